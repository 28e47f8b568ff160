@file:OptIn(ExperimentalSerializationApi::class)

package ai.neonhub

import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.SerialInfo
import kotlinx.serialization.descriptors.PolymorphicKind
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.descriptors.SerialKind
import kotlinx.serialization.descriptors.StructureKind
import kotlinx.serialization.descriptors.elementDescriptors
import kotlinx.serialization.descriptors.elementNames
import kotlinx.serialization.descriptors.nonNullOriginal
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/** What a model is told of a class or a property. */
@SerialInfo
@Target(AnnotationTarget.CLASS, AnnotationTarget.PROPERTY)
public annotation class Describe(val words: String)

/** Formats of texts by the serial name of their class. */
private val FORMATS = mapOf("kotlin.time.Instant" to "date-time", "kotlin.uuid.Uuid" to "uuid")

/** The JSON Schema of a serializable type. */
internal fun schemaOf(descriptor: SerialDescriptor): JsonObject {
    val schemas = Schemas()
    val root = schemas.of(descriptor, "")
    return if (schemas.classes.isEmpty()) root else JsonObject(root + ("\$defs" to JsonObject(schemas.classes)))
}

/** Schemas of descriptors, with the classes they name kept once. */
private class Schemas {
    val classes = LinkedHashMap<String, JsonElement>()
    private val names = HashMap<SerialDescriptor, String>()

    fun of(descriptor: SerialDescriptor, path: String): JsonObject {
        val plain = if (descriptor.isInline) of(descriptor.getElementDescriptor(0), path) else bare(descriptor.nonNullOriginal, path)
        return if (descriptor.isNullable) schema("anyOf" to list(listOf(plain, type("null")))) else plain
    }

    private fun bare(descriptor: SerialDescriptor, path: String): JsonObject = when (val kind = descriptor.kind) {
        PrimitiveKind.BOOLEAN -> type("boolean")
        PrimitiveKind.BYTE, PrimitiveKind.SHORT, PrimitiveKind.INT, PrimitiveKind.LONG -> type("integer")
        PrimitiveKind.FLOAT, PrimitiveKind.DOUBLE -> type("number")
        PrimitiveKind.STRING, PrimitiveKind.CHAR -> text(descriptor)
        SerialKind.ENUM -> schema("enum" to list(descriptor.elementNames.map(::JsonPrimitive)))
        StructureKind.LIST ->
            schema("type" to JsonPrimitive("array"), "items" to of(descriptor.getElementDescriptor(0), "$path[]"))
        StructureKind.MAP ->
            schema("type" to JsonPrimitive("object"), "additionalProperties" to of(descriptor.getElementDescriptor(1), "$path{}"))
        StructureKind.CLASS, StructureKind.OBJECT -> reference(descriptor) { members(descriptor, path) }
        // Elements of kotlinx-serialization-json say that they are sealed, and are anything.
        PolymorphicKind.SEALED ->
            if (descriptor.serialName.startsWith("kotlinx.serialization.json.")) schema() else variants(descriptor, path)
        PolymorphicKind.OPEN, SerialKind.CONTEXTUAL -> throw NeonHubException.InvalidInput(
            "${path.ifEmpty { "type" }}: no JSON Schema for ${descriptor.serialName} ($kind): use a class, a sealed class or a plain type",
            operation = "ai.generate_text",
        )
    }

    private fun text(descriptor: SerialDescriptor): JsonObject {
        val format = FORMATS[descriptor.serialName]?.let { mapOf("format" to JsonPrimitive(it)) }.orEmpty()
        return JsonObject(type("string") + format)
    }

    /** The class under a name of its own; two of one name are two. */
    private fun reference(descriptor: SerialDescriptor, make: () -> JsonObject): JsonObject {
        val name = names[descriptor] ?: run {
            val plain = descriptor.serialName.substringAfterLast('.').replace(Regex("\\W+"), "_")
            val free = generateSequence(1) { it + 1 }.map { if (it == 1) plain else "${plain}_$it" }.first { it !in classes }
            names[descriptor] = free
            classes[free] = schema()
            classes[free] = make()
            free
        }
        return schema("\$ref" to JsonPrimitive("#/\$defs/$name"))
    }

    private fun members(descriptor: SerialDescriptor, path: String, variant: String? = null): JsonObject {
        val properties = LinkedHashMap<String, JsonElement>()
        variant?.let { properties["type"] = schema("enum" to list(listOf(JsonPrimitive(it)))) }
        val needed = ArrayList<String>(properties.keys)
        for (n in 0 until descriptor.elementsCount) {
            val name = descriptor.getElementName(n)
            val schema = of(descriptor.getElementDescriptor(n), if (path.isEmpty()) name else "$path.$name")
            properties[name] = described(schema, descriptor.getElementAnnotations(n))
            if (!descriptor.isElementOptional(n)) needed += name
        }
        val made = schema(
            "type" to JsonPrimitive("object"),
            "properties" to JsonObject(properties),
            "required" to list(needed.map(::JsonPrimitive)),
            "additionalProperties" to JsonPrimitive(false),
        )
        return described(made, descriptor.annotations)
    }

    /** A sealed class: one of its variants, which the member `type` names. */
    private fun variants(descriptor: SerialDescriptor, path: String): JsonObject = reference(descriptor) {
        val all = descriptor.getElementDescriptor(1).elementDescriptors.map { members(it.nonNullOriginal, path, it.serialName) }
        schema("anyOf" to list(all))
    }

    private fun described(schema: JsonObject, annotations: List<Annotation>): JsonObject {
        val words = annotations.filterIsInstance<Describe>().firstOrNull()?.words ?: return schema
        return JsonObject(schema + ("description" to JsonPrimitive(words)))
    }

    private fun type(name: String) = schema("type" to JsonPrimitive(name))

    private fun schema(vararg members: Pair<String, JsonElement>) = JsonObject(mapOf(*members))

    private fun list(items: List<JsonElement>) = JsonArray(items)
}
