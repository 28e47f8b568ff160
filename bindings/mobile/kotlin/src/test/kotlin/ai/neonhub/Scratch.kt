package ai.neonhub
import java.nio.file.Files
import kotlin.io.path.writeText
import kotlin.time.TimeSource
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.count
import kotlinx.coroutines.runBlocking
object Scratch { @JvmStatic fun main(a: Array<String>): Unit = runBlocking {
  Hub.open(seed = 1).use { hub ->
    val n = a[0].toInt()
    val file = Files.createTempFile("people", ".csv")
    file.writeText((0 until n).joinToString("\n", "email\n") { "p$it@example.example" })
    var t = TimeSource.Monotonic.markNow()
    println(hub.people.import.start(path = file.toString()))
    println("import start ${t.elapsedNow()}")
    while (hub.jobs.work().done > 0) println("work ${t.elapsedNow()}")
    println(hub.people.list(limit = 1).items.size)
    t = TimeSource.Monotonic.markNow()
    println(hub.events(types = "person.created").take(n).count())
    println("events ${t.elapsedNow()}")
    for (i in 0..3) { println(resident() / 1048576); val u = TimeSource.Monotonic.markNow(); repeat(3000) { hub.scope.whoami() }; println("whoami ${u.elapsedNow() / 3000}"); println(heap()/1048576) }
  }
} }
