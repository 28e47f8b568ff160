package ai.neonhub

import ai.neonhub.ffi.NativeHub
import ai.neonhub.ffi.openHub
import ai.neonhub.models.ItemEvent
import ai.neonhub.models.ItemProgress
import ai.neonhub.operations.Operations
import ai.neonhub.testing.Cassette
import ai.neonhub.testing.Faults
import ai.neonhub.testing.ScriptedModel
import ai.neonhub.testing.VirtualClock
import java.time.Instant
import kotlin.time.Duration
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.KSerializer
import kotlinx.serialization.builtins.ListSerializer
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonArray
import kotlinx.serialization.json.putJsonObject

/** Items that one crossing of a stream carries at most. */
private const val BATCH: UInt = 256u

/**
 * One open hub, seen from one workspace. Its operations are members by namespace: `hub.people.resolve(...)`.
 *
 * Open it with [Hub.open] and close it with [use] or [shutdown]. A cancelled coroutine stops its call in the core too.
 */
public class Hub internal constructor(private val native: NativeHub, core: Core) : Operations(core), AutoCloseable {
    /** True once the hub was closed. */
    public val isClosed: Boolean get() = core.isClosed || native.isClosed()

    /** Names of all operations, sorted. */
    public val operationNames: List<String> get() = core.open { native.operations() }

    /** Stops taking calls, waits for those under way, and closes the store. Closing twice is one close. */
    public suspend fun shutdown() {
        if (!core.isClosed) awaited { native.shut() }
        core.isClosed = true
    }

    /** [shutdown] for `use {}`: waits on the calling thread, and frees what the hub holds outside of the JVM. */
    override fun close() {
        runBlocking { shutdown() }
        native.close()
    }

    /** The same hub in another workspace. */
    public suspend fun inWorkspace(slug: String): Hub {
        val other = core.open { awaited { native.workspace(slug) } }
        return Hub(other, core.copy(caller = caller(other)))
    }

    /**
     * The same hub with settings for the calls made through it.
     *
     * @param idempotencyKey a repeated call with the same key and input gives the first answer for 24 hours
     * @param timeout after this a call fails with [NeonHubException.Timeout] and nothing written; it can only shorten
     *   the operation's own deadline
     * @param sendNull names (as in JSON) of optional arguments that are sent as null when they are null; an argument
     *   that is null is left out otherwise
     */
    public fun withOptions(
        idempotencyKey: String? = null,
        timeout: Duration? = null,
        sendNull: Set<String> = emptySet(),
    ): Hub = Hub(native, core.copy(key = idempotencyKey, timeout = timeout, sendNull = sendNull))

    /**
     * Keeps a file of up to 100 MiB in the store and gives its name, for the `blob` of `documents.upload`.
     *
     * An argument of a call holds up to 1 MiB. Storing the same file again costs nothing.
     */
    public suspend fun putBlob(content: ByteArray): String = core.open { awaited { native.putBlob(content) } }

    /**
     * What happened after [cursor] (0: from the start), then what happens, in order, each event once. Each collector
     * has a subscription of its own, which ends with the collection.
     *
     * @param cursor `cursor` of the last item that was worked off
     * @param types only this type, such as `person.created`; `person.*` for all below
     */
    public fun events(cursor: Long = 0, types: String? = null): Flow<ItemEvent> =
        stream(cursor, types, "events", ItemEvent.serializer())

    /** Progress of running work from now on. A slow collector misses some; nothing is stored. */
    public fun progress(): Flow<ItemProgress> = stream(0, null, "progress", ItemProgress.serializer())

    /**
     * Adds a model written in Kotlin; it answers from now on.
     *
     * @param provider a word for it, kept with everything it writes
     * @param model the model's own name
     * @param tools true when it calls tools
     * @param jsonSchema true when it answers in JSON of a given schema
     * @param contextTokens tokens of input and output together
     * @param maxOutputTokens most tokens of one answer
     * @param complete answers a request; blocking calls are fine, since it runs on [kotlinx.coroutines.Dispatchers.IO]
     */
    public fun addModel(
        provider: String,
        model: String? = null,
        tools: Boolean = false,
        jsonSchema: Boolean = false,
        contextTokens: Long? = null,
        maxOutputTokens: Long? = null,
        complete: suspend (ModelRequest) -> ModelAnswer,
    ) {
        val settings = buildJsonObject {
            put("provider", provider)
            model?.let { put("model", it) }
            put("tools", tools)
            put("json_schema", jsonSchema)
            contextTokens?.let { put("context_tokens", it) }
            maxOutputTokens?.let { put("max_output_tokens", it) }
        }
        val function = HostCode { complete(ModelRequest(it)).toJson() }
        core.open { translated { native.addModel(settings.toString(), function) } }
    }

    /**
     * Adds a connector written in Kotlin; it takes over the channels it names.
     *
     * It only ever gets messages that the send gate has cleared. An exception that is no [NeonHubException] counts as
     * "may have been sent": the message is not sent again until [probe] or a person says what became of it.
     *
     * @param name short name, `snake_case`
     * @param channels channels such as `email` or `sms`
     * @param probe says whether the delivery `(effect, channel)` landed; null cannot tell
     * @param deliver hands the message to a service
     */
    public fun addConnector(
        name: String,
        channels: List<String>,
        probe: (suspend (effect: String, channel: String) -> Landing)? = null,
        deliver: suspend (OutgoingMessage) -> Delivery,
    ) {
        val settings = buildJsonObject {
            put("name", name)
            putJsonArray("channels") { channels.forEach { add(JsonPrimitive(it)) } }
        }
        val delivers = HostCode { deliver(OutgoingMessage(it)).toJson() }
        val probes = probe?.let { HostCode { asked -> it(asked.text("effect"), asked.text("channel")).toJson() } }
        core.open { translated { native.addConnector(settings.toString(), delivers, probes) } }
    }

    /**
     * Adds a tool written in Kotlin; agents and models with the rights it needs may call it from now on.
     *
     * An exception that is no [NeonHubException] is told to the caller by type and words; when the tool acts on the
     * world, the outcome is unknown then.
     *
     * @param name dotted name such as `shop.stock`
     * @param doc what it does and when to use it
     * @param inputSchema JSON Schema of its arguments, an object
     * @param effect what it does to the world: `pure`, `read`, `idempotent` or `write`
     * @param needs rights that a caller needs, such as `read:people`
     * @param timeout time that a call may take; 30 s when null
     * @param replace true: it takes the place of a tool of its name
     * @param rate so many calls in such a time, over all processes; one more is a [NeonHubException.RateLimited]
     * @param approval true when an agent needs a person's yes for each call, whatever the effect
     * @param sinks what a call lets out or keeps for good (`send`, `publish`, `spend`, `export`, `memory_write`): an agent that
     *   had read foreign words needs a person's yes; empty: nothing, or anything where it acts on the world
     * @param probe says what became of a call of a run whose answer was lost, by its [ToolCall.effect]; a person is asked
     *   without one, or when it cannot tell
     * @param body gets the arguments, answers any value
     */
    public fun addTool(
        name: String,
        doc: String,
        inputSchema: JsonObject,
        effect: String = "write",
        needs: List<String> = emptyList(),
        timeout: Duration? = null,
        replace: Boolean = false,
        rate: Pair<Int, Duration>? = null,
        approval: Boolean = false,
        sinks: List<String> = emptyList(),
        probe: (suspend (ToolCall) -> Landing)? = null,
        body: suspend (ToolCall) -> JsonElement,
    ) {
        val settings = buildJsonObject {
            put("name", name)
            put("doc", doc)
            put("input_schema", inputSchema)
            put("effect", effect)
            putJsonArray("needs") { needs.forEach { add(JsonPrimitive(it)) } }
            timeout?.let { put("timeout_ms", it.inWholeMilliseconds) }
            rate?.let { (max, per) ->
                putJsonObject("rate") {
                    put("max", max)
                    put("per_ms", per.inWholeMilliseconds)
                }
            }
            put("approval", approval)
            putJsonArray("sinks") { sinks.forEach { add(JsonPrimitive(it)) } }
        }
        val calls = HostCode { body(ToolCall(it)) }
        val probes = probe?.let { HostCode { asked -> it(ToolCall(asked)).toJson() } }
        core.open { translated { native.addTool(settings.toString(), replace, calls, probes) } }
    }

    /** Takes a tool away. False when there was none of this name. */
    public fun removeTool(name: String): Boolean = core.open { translated { native.removeTool(name) } }

    /** Adds a scripted model; it answers from now on. */
    public fun addModel(model: ScriptedModel): Unit = core.open { translated { native.addScripted(model.native) } }

    /** Puts a cassette before the models of this hub; null takes it out. */
    public fun insert(cassette: Cassette?): Unit = core.open { translated { native.insertCassette(cassette?.native) } }

    /** Puts faults on the calls of this hub; null takes them away. */
    public fun inject(faults: Faults?): Unit = core.open { translated { native.injectFaults(faults?.native) } }

    /** The clock, when the hub was opened with `now`: it stands still until it is moved. */
    public val clock: VirtualClock? get() = core.open { native.clock()?.let(::VirtualClock) }

    override fun toString(): String = "Hub(${if (isClosed) "closed" else "open"})"

    private fun <T> stream(cursor: Long, types: String?, filter: String, item: KSerializer<T>): Flow<T> = flow {
        val items = ListSerializer(item)
        core.open { translated { native.events(cursor, types, filter) } }.use { stream ->
            while (true) {
                val batch = awaited { stream.nextBatch(BATCH) } ?: break
                PLAIN.decodeFromString(items, batch).forEach { emit(it) }
            }
        }
    }

    public companion object {
        /**
         * Opens a hub, and makes its file when there is none.
         *
         * A new file is a sandbox: text of the offline model may pass the send gate there, and mails go to an outbox
         * folder.
         *
         * @param url a path such as `brand.neon`, `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE` (the root key
         *   stands in the variable `NEONHUB_KEY`), or `memory:` for a hub that leaves nothing behind
         * @param workspace short name of the workspace to work in
         * @param outbox folder that takes every message until a connector is added; beside the store when null
         * @param seed fixes all chance, for tests and repeatable runs; below 2^53
         * @param now stops the clock at this instant, for tests and repeatable runs
         * @param more settings of the core that have no argument here
         */
        public suspend fun open(
            url: String = "memory:",
            workspace: String = "default",
            outbox: String? = null,
            seed: Long? = null,
            now: Instant? = null,
            more: Map<String, JsonElement> = emptyMap(),
        ): Hub {
            val options = buildJsonObject {
                put("url", url)
                put("workspace", workspace)
                outbox?.let { put("outbox", it) }
                seed?.let { put("seed", it) }
                now?.let { put("now", it.toString()) }
                more.forEach { (name, value) -> put(name, value) }
            }
            val native = awaited { openHub(options.toString()) }
            return Hub(native, Core(caller(native)))
        }

        private fun caller(native: NativeHub) = Caller { name, input, key, timeoutMs ->
            native.call(name, input, key, timeoutMs, null)
        }
    }
}
