package ai.neonhub

import java.nio.file.Files
import kotlin.io.path.writeText
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

private const val EVENTS = 100_000

/** Streams of events and progress. */
class EventsTest {
    @Test
    fun `events are read from the start and end with the hub`() = withHub { hub ->
        repeat(5) { hub.resolve(it) }
        val first = hub.events(types = "person.created").take(5).toList()
        assertTrue(first.all { it.event.type == "person.created" })
        assertEquals(5, first.map { it.event.subjectId }.toSet().size)
        assertEquals(first.map { it.cursor }.sorted(), first.map { it.cursor })
        val all = async(start = CoroutineStart.UNDISPATCHED) { hub.events(types = "person.created").toList() }
        delay(100)
        hub.shutdown()
        assertEquals(first, withTimeout(10.seconds) { all.await() })
        assertFailsWith<NeonHubException.Unavailable> { hub.events().first() }
    }

    @Test
    fun `a cursor goes on where it ended`() = withHub { hub ->
        repeat(4) { hub.resolve(it) }
        val seen = hub.events(types = "person.created").take(2).toList()
        val rest = hub.events(cursor = seen.last().cursor, types = "person.created").take(2).toList()
        assertEquals(4, (seen + rest).map { it.event.id }.toSet().size)
        assertFailsWith<NeonHubException.InvalidInput> { hub.events(cursor = -1).first() }
    }

    @Test
    fun `events arrive while others write`() = withHub { hub ->
        val reader = async { hub.events(types = "person.created").take(20).toList() }
        List(20) { n -> async { hub.resolve(n) } }.awaitAll()
        assertEquals(20, withTimeout(10.seconds) { reader.await() }.map { it.event.subjectId }.toSet().size)
    }

    @Test
    fun `a waiting collector is cancelled, and the hub closes at once`() = withHub { hub ->
        val waiting = launch(start = CoroutineStart.UNDISPATCHED) { hub.events().collect { } }
        delay(50)
        withTimeout(5.seconds) { waiting.cancelAndJoin() }
        withTimeout(5.seconds) { hub.shutdown() }
    }

    @Test
    fun `progress of an import is seen`() = withHub { hub ->
        val seen = async(start = CoroutineStart.UNDISPATCHED) { hub.progress().first() }
        delay(50)
        import(hub, 50)
        assertTrue("import" in withTimeout(20.seconds) { seen.await() }.toString())
    }

    @Test
    fun `a hundred thousand events come without loss and in bounded memory`() = withHub(limit = 5.minutes) { hub ->
        hub.emit(2_000)
        hub.events(types = "test.*").take(2_000).collect { }
        val before = heap()
        val writer = launch(Dispatchers.Default) { hub.emit(EVENTS) }
        var seen = 0
        var most = 0L
        hub.events(cursor = hub.last(), types = "test.*").take(EVENTS).collect {
            check(it.event.data.jsonObject.getValue("n").jsonPrimitive.int == seen) { "event $seen is ${it.event.data}" }
            seen += 1
            if (seen % 20_000 == 0) most = maxOf(most, heap() - before)
        }
        writer.join()
        assertEquals(EVENTS, seen)
        assertTrue(most < 32 shl 20, "the JVM held ${most shr 20} MiB more")
    }

    @Test
    fun `a stream that is left early is freed`() = withHub(limit = 2.minutes) { hub ->
        hub.emit(5_000)
        repeat(100) { hub.events().first() }
        val before = resident()
        repeat(1_000) { hub.events().first() }
        val grown = resident() - before
        assertTrue(grown < 48 shl 20, "grew by ${grown shr 20} MiB")
        // An open subscription would hold this up.
        withTimeout(10.seconds) { hub.shutdown() }
    }

    /** The cursor of the newest of the first 2,000 ticks. */
    private suspend fun Hub.last() = events(types = "test.*").take(2_000).toList().last().cursor

    private suspend fun import(hub: Hub, people: Int) {
        val file = Files.createTempFile("people", ".csv")
        file.writeText((0 until people).joinToString("\n", "email\n") { "p$it@example.example" })
        hub.people.import.start(path = file.toString())
        while (hub.jobs.work().done > 0) Unit
        Files.delete(file)
    }
}
