package ai.neonhub

import java.util.Base64
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.longOrNull
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonArray
import kotlinx.serialization.json.putJsonObject

/** What a model is asked. [raw] is the whole request: system, messages with parts and sources, tools, limits. */
public class ModelRequest internal constructor(public val raw: JsonObject) {
    /** The instructions, one per line. */
    public val system: String get() = texts(raw["system"]).joinToString("\n")

    /** The words of the conversation, one part per line, retrieved passages among them. */
    public val prompt: String
        get() = items(raw["messages"]).flatMap { texts(it.jsonObject["parts"]) }.joinToString("\n")

    /** What the answer is for, one word: `compose`, `classify`. */
    public val purpose: String? get() = raw.maybe("purpose")

    /** JSON Schema of the answer, when it is to be JSON. */
    public val outputSchema: JsonObject? get() = raw["output_schema"] as? JsonObject

    /** Makes the answer repeatable where the model allows it. */
    public val seed: Long? get() = (raw["seed"] as? JsonPrimitive)?.longOrNull

    /** Most tokens of the answer. */
    public val maxOutputTokens: Long? get() = (raw["max_output_tokens"] as? JsonPrimitive)?.longOrNull
}

/**
 * What a model answers: its words, or a value when a schema was asked for, or several texts when several were.
 *
 * @property inputTokens tokens read, when the model counts them
 * @property outputTokens tokens written, when the model counts them
 * @property model the model that answered
 */
public data class ModelAnswer(
    val text: String = "",
    val json: JsonElement? = null,
    val variants: List<String> = emptyList(),
    val inputTokens: Long? = null,
    val outputTokens: Long? = null,
    val model: String? = null,
) {
    internal fun toJson(): JsonObject = buildJsonObject {
        put("text", text)
        json?.let { put("json", it) }
        putJsonArray("variants") { variants.forEach { add(JsonPrimitive(it)) } }
        model?.let { put("model", it) }
        if (inputTokens != null || outputTokens != null) {
            putJsonObject("usage") {
                put("input_uncached", inputTokens ?: 0)
                put("output_visible", outputTokens ?: 0)
                put("exact", inputTokens != null && outputTokens != null)
            }
        }
    }
}

/** One call of a tool. [raw] holds the arguments as `args`, and who calls as `call`. */
public class ToolCall internal constructor(public val raw: JsonObject) {
    /** The arguments, which fit the tool's schema. */
    public val args: JsonObject get() = raw.getValue("args").jsonObject

    /** Who calls: `user:owner`, `agent:campaign`. */
    public val principal: String get() = raw.getValue("call").jsonObject.text("principal")

    /**
     * In a run of an agent: the name of this call, the same each time it is made. Give it to a service as idempotency key or
     * marker.
     */
    public val effect: String? get() = raw.getValue("call").jsonObject.maybe("effect")
}

/** A message that the send gate has cleared, ready for a service. [raw] is the whole message. */
public class OutgoingMessage internal constructor(public val raw: JsonObject) {
    private val payload get() = raw.getValue("payload").jsonObject

    /** Where it goes out: `email`, `sms`, `x`. */
    public val channel: String get() = raw.text("channel")

    /** The name of this one delivery: give it to the service as idempotency key or marker. */
    public val effect: String get() = raw.text("effect")

    /** The recipient; null for a public post. */
    public val to: String? get() = payload.maybe("to")

    /** The words of a text message or a post. */
    public val text: String? get() = payload.maybe("body") ?: payload.maybe("text")

    /** The complete RFC 5322 message of an e-mail. */
    public val email: ByteArray? get() = payload.maybe("message_base64")?.let(Base64.getDecoder()::decode)

    /** Facts for the record of the delivery; no contact values. */
    public val facts: JsonElement get() = raw["facts"] ?: JsonNull
}

/** What a probe says about a delivery, or about a call of a tool. */
public sealed interface Landing {
    /**
     * The call of a tool happened.
     *
     * @property output what the tool would have answered
     */
    public data class Landed(val output: JsonElement = JsonNull) : Landing

    /** It did not happen. */
    public data object Missing : Landing

    /** Nobody can tell. */
    public data object Unknown : Landing
}

/**
 * What a service answered; from a probe it says that the delivery landed.
 *
 * @property providerId the service's own id of the message
 * @property providerStatus the service's own word for its state
 */
public data class Delivery(val providerId: String, val providerStatus: String? = null) : Landing {
    internal fun toJson(): JsonObject = buildJsonObject {
        put("provider_id", providerId)
        put("provider_status", providerStatus)
    }
}

internal fun Landing.toJson(): JsonElement = when (this) {
    is Delivery -> toJson()
    is Landing.Landed -> buildJsonObject { put("landed", output) }
    Landing.Missing -> JsonPrimitive(false)
    Landing.Unknown -> JsonNull
}

internal fun JsonObject.text(name: String): String = getValue(name).jsonPrimitive.content

private fun JsonObject.maybe(name: String): String? = (this[name] as? JsonPrimitive)?.contentOrNull

private fun items(value: JsonElement?): List<JsonElement> = (value as? JsonArray).orEmpty()

private fun texts(parts: JsonElement?): List<String> =
    items(parts).map { it.jsonObject }.filter { it.maybe("type") == "text" }.map { it.text("text") }
