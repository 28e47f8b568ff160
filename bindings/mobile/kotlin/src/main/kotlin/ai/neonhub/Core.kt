package ai.neonhub

import java.time.Instant
import kotlin.time.Duration
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.serialization.DeserializationStrategy
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerializationStrategy
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.PrimitiveSerialDescriptor
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.encoding.Decoder
import kotlinx.serialization.encoding.Encoder
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonDecoder
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonEncoder
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/** Reads what the core writes: a member that a later core adds is passed over. */
internal val PLAIN: Json = Json { ignoreUnknownKeys = true }

/** One call by name, JSON in and out. Tests put a recorder here. */
internal fun interface Caller {
    suspend fun call(name: String, input: String, key: String?, timeoutMs: Long?): String
}

/** What the generated operations call through. */
internal class Core(
    private val caller: Caller,
    private val key: String? = null,
    private val timeout: Duration? = null,
    private val sendNull: Set<String> = emptySet(),
    private val closed: Flag = Flag(),
) {
    class Flag(@Volatile var isSet: Boolean = false)

    var isClosed: Boolean by closed::isSet

    fun copy(
        caller: Caller = this.caller,
        key: String? = this.key,
        timeout: Duration? = this.timeout,
        sendNull: Set<String> = this.sendNull,
    ): Core = Core(caller, key, timeout, sendNull, closed)

    inline fun <T> open(work: () -> T): T {
        if (isClosed) throw NeonHubException.Unavailable("the hub is closed: open it again", operation = "hub")
        return work()
    }

    suspend inline fun <T> call(name: String, output: DeserializationStrategy<T>, fill: Args.() -> Unit): T {
        val input = Args(sendNull).apply(fill).text()
        return PLAIN.decodeFromString(output, send(name, input))
    }

    suspend fun send(name: String, input: String): String {
        // The native side starts before it suspends: a call that nobody waits for must not begin.
        currentCoroutineContext().ensureActive()
        return open { awaited(name) { caller.call(name, input, key, timeout?.inWholeMilliseconds) } }
    }
}

/** The arguments of one call, as JSON. */
internal class Args(private val sendNull: Set<String>) {
    private val members = LinkedHashMap<String, JsonElement>()

    fun <T> give(name: String, value: T, serializer: SerializationStrategy<T>) {
        members[name] = PLAIN.encodeToJsonElement(serializer, value)
    }

    /** Null is left out unless the caller asked for it by name. */
    fun <T : Any> offer(name: String, value: T?, serializer: SerializationStrategy<T>) {
        if (value != null) give(name, value, serializer) else if (name in sendNull) members[name] = JsonNull
    }

    fun text(): String = JsonObject(members).toString()
}

/** Instants are UTC milliseconds in JSON. */
internal object InstantSerializer : KSerializer<Instant> {
    override val descriptor: SerialDescriptor = PrimitiveSerialDescriptor("neonhub.Instant", PrimitiveKind.LONG)
    override fun serialize(encoder: Encoder, value: Instant): Unit = encoder.encodeLong(value.toEpochMilli())
    override fun deserialize(decoder: Decoder): Instant = Instant.ofEpochMilli(decoder.decodeLong())
}

/** A union that is a bare word, or an object of one member whose name tells the variant. */
internal abstract class KeyedSerializer<T : Any>(name: String) : KSerializer<T> {
    override val descriptor: SerialDescriptor = PrimitiveSerialDescriptor(name, PrimitiveKind.STRING)

    protected abstract fun ofWord(word: String): T?
    protected abstract fun wordOf(value: T): String?
    protected abstract fun serializerOf(key: String): KSerializer<out T>?
    protected abstract fun write(value: T): JsonElement?

    override fun serialize(encoder: Encoder, value: T) {
        (encoder as JsonEncoder).encodeJsonElement(wordOf(value)?.let(::JsonPrimitive) ?: write(value) ?: JsonNull)
    }

    override fun deserialize(decoder: Decoder): T {
        val element = (decoder as JsonDecoder).decodeJsonElement()
        val found = when (element) {
            is JsonPrimitive -> ofWord(element.content)
            is JsonObject -> element.keys.firstNotNullOfOrNull(::serializerOf)?.let { PLAIN.decodeFromJsonElement(it, element) }
            else -> null
        }
        return found ?: throw kotlinx.serialization.SerializationException("${descriptor.serialName}: an unknown variant")
    }
}
