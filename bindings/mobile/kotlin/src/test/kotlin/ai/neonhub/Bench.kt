package ai.neonhub

import ai.neonhub.ffi.hop
import java.nio.file.Files
import java.nio.file.Path
import kotlin.io.path.fileSize
import kotlin.io.path.writeText
import kotlin.time.TimeSource
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

private const val PEOPLE = 2_000

/** Prints one JSON row per line: what the binding costs next to a bare suspend call of the same library. */
internal object Bench {
    @JvmStatic
    fun main(arguments: Array<String>): Unit = runBlocking {
        val rounds = if ("--quick" in arguments) 300 else 3_000
        val jar = arguments.firstOrNull { it.endsWith(".jar") }?.let { Path.of(it) }
        Hub.open(seed = 1).use { hub ->
            val bare = time(rounds) { hop() }
            val trivial = time(rounds) { hub.scope.whoami() }
            row("trivial suspend operation", trivial, "us", "no-op suspend call", bare, 3.0)
            for (size in listOf(1_024, 102_400)) {
                val text = "x".repeat(size)
                hub.addModel("bench") { ModelAnswer(text) }
                row("result of ${size / 1024} KiB", time(rounds / 5) { hub.sized(size) }, "us", "no-op suspend call", bare, null)
            }
            hub.addModel("bench") { ModelAnswer("x") }
            row("host callback", time(rounds / 5) { hub.ask() }, "us", "no-op suspend call", bare, null)
            row("streamed event", events(hub), "us", "no-op suspend call", bare, null)
        }
        jar?.let { row("jar", it.fileSize() / 1048576.0, "MiB", null, null, null) }
    }

    private suspend fun Hub.sized(size: Int) {
        check(core.send("scope.whoami", "{}").isNotEmpty() && size > 0)
        ai.generateText(prompt = "x")
    }

    private suspend fun events(hub: Hub): Double {
        val file = Files.createTempFile("people", ".csv")
        file.writeText((0 until PEOPLE).joinToString("\n", "email\n") { "p$it@example.example" })
        hub.people.import.start(path = file.toString())
        while (hub.jobs.work().done > 0) Unit
        Files.delete(file)
        return List(5) {
            val start = TimeSource.Monotonic.markNow()
            hub.events(types = "person.created").take(PEOPLE).collect { }
            start.elapsedNow().inWholeNanoseconds / 1e3 / PEOPLE
        }.sorted()[2]
    }

    /** Median of five rounds, in microseconds for one call, behind a round that warms up. */
    private suspend inline fun time(rounds: Int, work: () -> Unit): Double = List(6) {
        val start = TimeSource.Monotonic.markNow()
        repeat(rounds) { work() }
        start.elapsedNow().inWholeNanoseconds / 1e3 / rounds
    }.drop(1).sorted()[2]

    private fun row(name: String, ours: Double, unit: String, peer: String?, peerValue: Double?, goal: Double?) {
        println(buildJsonObject {
            put("name", name)
            put("ours", JsonPrimitive(ours))
            put("unit", unit)
            peer?.let { put("peer", it) }
            peerValue?.let { put("peer_value", it) }
            goal?.let { put("goal", it) }
        })
    }
}
