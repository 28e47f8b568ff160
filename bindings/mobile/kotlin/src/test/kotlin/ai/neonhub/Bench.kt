package ai.neonhub

import ai.neonhub.ffi.hop
import java.nio.file.Path
import kotlin.io.path.fileSize
import kotlin.time.TimeSource
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

private const val EVENTS = 5_000

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
            val none = buildJsonObject { }
            hub.addTool("bench.one", "One", buildJsonObject { put("type", "object") }, "pure") { JsonPrimitive(1) }
            val called = time(rounds / 5) { hub.tools.call(name = "bench.one", args = none) }
            row("host callback (a tool)", called, "us", "no-op suspend call", bare, null)
            for (kib in listOf(1, 100)) {
                val text = "x".repeat(kib * 1024)
                hub.addModel("bench") { ModelAnswer(text) }
                val took = time(rounds / 5) { hub.ask() }
                row("host model, a result of $kib KiB", took, "us", "no-op suspend call", bare, null)
            }
            row("streamed event", events(hub), "us", "no-op suspend call", bare, null)
        }
        jar?.let { row("jar", it.fileSize() / 1048576.0, "MiB", null, null, null) }
    }

    private suspend fun events(hub: Hub): Double {
        hub.emit(EVENTS)
        return List(5) {
            val start = TimeSource.Monotonic.markNow()
            hub.events(types = "test.*").take(EVENTS).collect { }
            start.elapsedNow().inWholeNanoseconds / 1e3 / EVENTS
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
