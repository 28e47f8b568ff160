package ai.neonhub.testing

import ai.neonhub.Hub
import ai.neonhub.PLAIN
import ai.neonhub.ffi.NativeCassette
import ai.neonhub.ffi.NativeClock
import ai.neonhub.ffi.NativeFaults
import ai.neonhub.ffi.NativeOffline
import ai.neonhub.ffi.NativeScript
import ai.neonhub.translated
import java.nio.file.Path
import java.time.Instant
import kotlin.time.Duration
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject

/** The instant that [memory] starts at: a Monday morning. */
public val TEST_NOW: Instant = Instant.parse("2026-01-05T09:00:00Z")

/** A hub for tests: in memory, with fixed chance, and a clock that stands until it is moved. */
public suspend fun memory(seed: Long = 1, now: Instant = TEST_NOW): Hub = Hub.open(seed = seed, now = now)

/**
 * A model that plays a script, added with [Hub.addModel]. The first line that fits a request answers it and is used
 * up; a request that no line fits fails with code `unscripted`.
 *
 * @param script texts of answers; [add] takes the other kinds of line
 */
public class ScriptedModel(vararg script: String) {
    internal val native = translated { NativeScript(JsonArray(script.map(::JsonPrimitive)).toString()) }

    /** Adds an answer for a request that holds [contains], or for any. */
    public fun add(text: String, contains: String? = null): ScriptedModel = add(buildJsonObject {
        put("text", text)
        contains?.let { put("when", it) }
    })

    /**
     * Adds a line: one of `text`, `chunks`, `json`, `tool_calls` (`[{id, name, args}]`), `refuse` and `error` (`{kind,
     * code, message, retry_after_ms}`; with `chunks`: a stream that breaks), and as wanted `when` and `after_ms`.
     */
    public fun add(line: JsonObject): ScriptedModel = apply { translated { native.add(line.toString()) } }

    /** Every request so far, in order. */
    public val requests: List<JsonObject>
        get() = PLAIN.parseToJsonElement(native.requests()).jsonArray.map { it.jsonObject }

    /** The lines that nobody has asked for, in words; empty once the script was played to its end. */
    public val left: List<String> get() = native.left()
}

/** What a [Cassette] does with a request. */
public enum class Tape {
    /** Plays what is there and records what is missing. */
    Auto,

    /** Records everything anew. */
    Record,

    /** Plays what is there; anything else fails with code `cassette_miss`. */
    Replay,
}

/**
 * Answers of models on tape: recorded once, played without a network from then on. Put in with [Hub.insert].
 *
 * What looks like a secret or a way to reach a person is redacted before it is written. Answers in words are recorded:
 * embeddings, pictures and moderation are not. An answer that is played costs nothing.
 *
 * @param path the file; it is made with the first recording
 */
public class Cassette(path: Path, mode: Tape = Tape.Auto) {
    internal val native = translated { NativeCassette(path.toString(), mode.name.lowercase()) }

    /** Erases the answers of runs about a person; says how many there were. */
    public fun erasePerson(person: String): Long = translated { native.erasePerson(person) }.toLong()
}

/** What faults befall. */
public enum class On { Model, Tool, Connector }

/** Puts faults on the calls of models, tools and connectors of a hub, by [Hub.inject]. */
public class Faults {
    internal val native = NativeFaults()

    /**
     * Adds a rule.
     *
     * @param on what it befalls
     * @param name only the model, tool or connector of this name
     * @param nth only this call, counted from 1
     * @param times at most so many calls
     * @param delay the call waits first
     * @param hang the call never ends by itself
     * @param error the kind of error that the call ends with, such as `unavailable`
     * @param status fails as an answer over HTTP of this status would, in the place of [error]
     * @param cut breaks the answer of a model off after so many bytes of its text
     * @param kill ends the process at once, as `kill -9` does
     * @param after true: the call is made, and its answer is lost
     */
    public fun add(
        on: On,
        name: String? = null,
        nth: Long? = null,
        times: Long? = null,
        delay: Duration? = null,
        hang: Boolean = false,
        error: String? = null,
        status: Int? = null,
        cut: Long? = null,
        kill: Boolean = false,
        after: Boolean = false,
    ): Faults = apply {
        val rule = buildJsonObject {
            put("on", on.name.lowercase())
            name?.let { put("name", it) }
            nth?.let { put("nth", it) }
            times?.let { put("times", it) }
            delay?.let { put("delay_ms", it.inWholeMilliseconds) }
            if (hang) put("hang", true)
            error?.let { putJsonObject("error") { put("kind", it) } }
            status?.let { put("status", it) }
            cut?.let { put("cut", it) }
            if (kill) put("kill", true)
            if (after) put("after", true)
        }
        translated { native.add(rule.toString()) }
    }

    /** Takes every rule away. */
    public fun clear(): Unit = native.clear()

    /** The calls so far: `{on, name, faulty}` in order. */
    public val seen: List<JsonObject>
        get() = PLAIN.parseToJsonElement(native.seen()).jsonArray.map { it.jsonObject }
}

/** The clock of a hub that was opened with `now`. */
public class VirtualClock internal constructor(private val native: NativeClock) {
    /** The instant it shows; set, it moves there, also back. */
    public var now: Instant
        get() = Instant.ofEpochMilli(native.nowMs())
        set(instant) = translated { native.set(instant.toString()) }

    /** Moves it forward. */
    public fun advance(by: Duration): Unit = native.advance(by.inWholeMilliseconds)
}

/** Keeps every socket of the process shut while [work] runs: what would open one fails with code `network_forbidden`. */
public inline fun <T> forbidNetwork(work: (Offline) -> T): T = Offline().use(work)

/** Sockets stay shut until it is closed. */
public class Offline : AutoCloseable {
    private val native = NativeOffline()

    /** True while sockets are shut. */
    public val isShut: Boolean get() = native.isShut()

    override fun close() {
        native.lift()
        native.close()
    }
}
