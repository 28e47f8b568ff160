package ai.neonhub

import ai.neonhub.ffi.hop
import ai.neonhub.models.OfflineTemplate
import java.nio.file.Path
import kotlin.io.path.fileSize
import kotlin.time.TimeSource
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

/**
 * What the binding costs next to a bare suspend call of the same library, one JSON row per line:
 * `{name, ours, unit, peer, peer_value, goal}`, medians of the rounds. Ours and the peer take turns, so that a busy
 * machine slows both alike.
 *
 * `[--rounds N] [--calls N] [--jar JAR]`
 */
internal class Bench(private val rounds: Int, private val calls: Int) {
    suspend fun run(hub: Hub) {
        val bare = "no-op suspend call"
        against("trivial operation", { hub.scope.whoami() }, bare, { hop() }, calls, "<= 3x")
        for (kib in listOf(1, 100)) {
            val body = "tea ".repeat(256 * kib)
            val template = OfflineTemplate(template = "{{ body }}", vars = buildJsonObject { put("body", body) })
            val text = buildJsonObject { put("text", body) }.toString()
            against(
                "a result of $kib KiB",
                { hub.ai.generateText(prompt = "x", offlineTemplate = template, seed = 1) },
                "no-op, and JSON read and written twice",
                { hop().also { repeat(2) { Json.parseToJsonElement(text).toString() } } },
                maxOf(20, calls / 4),
                "<= 5x",
            )
        }
        val shape = buildJsonObject { put("type", "object") }
        hub.addTool("bench.one", "One", shape, "read") { JsonPrimitive(1) }
        val none = buildJsonObject { }
        val argument = buildJsonObject { put("text", "x") }
        against(
            "a callback of the host",
            { hub.tools.call(name = "bench.one", args = none) },
            "tool of the core",
            { hub.tools.call(name = "sms.segments", args = argument) },
            calls / 2,
            "<= 3x",
        )
        hub.emit(calls)
        against(
            "a streamed event",
            { hub.events(types = "test.*").take(calls).collect { } },
            bare,
            { repeat(calls) { hop() } },
            1,
            "<= 1x",
            calls,
        )
    }

    private suspend fun against(
        name: String,
        ours: suspend () -> Unit,
        peer: String,
        theirs: suspend () -> Unit,
        times: Int,
        goal: String,
        each: Int = 1,
    ) {
        // The first round warms both up.
        val pairs = List(rounds + 1) { time(times, ours) / each to time(times, theirs) / each }.drop(1)
        row(name, median(pairs.map { it.first }), "us", peer, median(pairs.map { it.second }), goal)
    }

    private suspend fun time(times: Int, work: suspend () -> Unit): Double {
        val start = TimeSource.Monotonic.markNow()
        repeat(times) { work() }
        return start.elapsedNow().inWholeNanoseconds / 1e3 / times
    }

    companion object {
        @JvmStatic
        fun main(arguments: Array<String>): Unit = runBlocking {
            val given = arguments.toList().chunked(2).associate { (option, value) -> option to value }
            val bench = Bench(given["--rounds"]?.toInt() ?: 5, given["--calls"]?.toInt() ?: 2_000)
            Hub.open(seed = 1).use { bench.run(it) }
            given["--jar"]?.let { row("size of the jar", Path.of(it).fileSize() / 1e6, "MB", null, null, "<= 32 MB") }
        }

        private fun median(values: List<Double>): Double = values.sorted()[values.size / 2]

        private fun row(name: String, ours: Double, unit: String, peer: String?, peerValue: Double?, goal: String) {
            println(buildJsonObject {
                put("name", "Kotlin: $name")
                put("ours", ours)
                put("unit", unit)
                put("peer", peer)
                put("peer_value", peerValue)
                put("goal", goal)
            })
        }
    }
}
