package ai.neonhub

import ai.neonhub.models.SourceText
import ai.neonhub.models.Turn
import kotlinx.serialization.DeserializationStrategy
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.serializer

/** The name of a value that is no object: models answer objects. */
private const val WRAPPED = "value"
private const val OPERATION = "ai.generate_text"

/**
 * Asks the model of the hub for a value of a serializable type, as `ai.generateText` does with the schema of the type.
 * [Describe] says more of a class or a property; a property with a default may be left out.
 *
 * An answer that does not fit is given back to the model once. One that does not fit then, or that the type itself refuses, is
 * a [NeonHubException.Corrupted] (code `invalid_output`). The offline model makes nothing up: what the facts do not say is a
 * [NeonHubException.Unsupported] (code `needs_input`).
 *
 * @param prompt what is asked
 * @param system instructions
 * @param turns earlier turns, oldest first
 * @param sources texts to answer from
 * @param facts what the offline model fills the type from: an object, or the value itself where the type is no class
 * @param seed makes the answer repeatable where the model allows it; below 2^53
 * @param maxOutputTokens most tokens of the answer
 * @param route the route that chooses the model, by its name
 * @param model the model itself, in the place of a route: `provider/model`
 */
public suspend inline fun <reified T> Hub.generate(
    prompt: String,
    system: String? = null,
    turns: List<Turn>? = null,
    sources: List<SourceText>? = null,
    facts: JsonElement? = null,
    seed: Long? = null,
    maxOutputTokens: Long? = null,
    route: String? = null,
    model: String? = null,
): T = generate(serializer<T>(), prompt, system, turns, sources, facts, seed, maxOutputTokens, route, model)

/** The same for a type that a serializer names. */
public suspend fun <T> Hub.generate(
    type: DeserializationStrategy<T>,
    prompt: String,
    system: String? = null,
    turns: List<Turn>? = null,
    sources: List<SourceText>? = null,
    facts: JsonElement? = null,
    seed: Long? = null,
    maxOutputTokens: Long? = null,
    route: String? = null,
    model: String? = null,
): T {
    val schema = schemaOf(type.descriptor)
    val isObject = schema["type"] == JsonPrimitive("object") || "\$ref" in schema && "anyOf" !in target(schema)
    val answer = ai.generateText(
        prompt = prompt,
        system = system,
        turns = turns,
        sources = sources,
        facts = if (isObject || facts == null) facts else JsonObject(mapOf(WRAPPED to facts)),
        seed = seed,
        maxOutputTokens = maxOutputTokens,
        route = route,
        model = model,
        schema = if (isObject) schema else wrapped(schema),
    )
    val lacking = answer.warnings.filter { it.code == "needs_input" }.joinToString("; ") { it.message }
    if (lacking.isNotEmpty()) {
        val said = "the offline model makes no value up: $lacking: give facts, or add a model"
        throw NeonHubException.Unsupported(said, code = "needs_input", operation = OPERATION)
    }
    val value = answer.json ?: JsonNull
    return try {
        Json.decodeFromJsonElement(type, if (isObject) value else (value as JsonObject).getValue(WRAPPED))
    } catch (misfit: IllegalArgumentException) {
        throw corrupted(misfit)
    }
}

/** What the type refused; of a [SerializationException] the first line names it, the rest shows the answer. */
private fun corrupted(misfit: IllegalArgumentException): NeonHubException {
    val words = misfit.message.orEmpty().lineSequence().first()
    val said = "the answer does not fit the type: $words"
    return NeonHubException.Corrupted(said, code = "invalid_output", operation = OPERATION, cause = misfit)
}

private fun target(schema: JsonObject): JsonObject {
    val name = (schema.getValue("\$ref") as JsonPrimitive).content.substringAfterLast('/')
    return (schema.getValue("\$defs") as JsonObject).getValue(name) as JsonObject
}

private fun wrapped(schema: JsonObject): JsonObject {
    val inner = JsonObject(schema - "\$defs")
    val root = mapOf(
        "type" to JsonPrimitive("object"),
        "properties" to JsonObject(mapOf(WRAPPED to inner)),
        "required" to JsonArray(listOf(JsonPrimitive(WRAPPED))),
        "additionalProperties" to JsonPrimitive(false),
    )
    return JsonObject(root + schema.filterKeys { it == "\$defs" })
}
