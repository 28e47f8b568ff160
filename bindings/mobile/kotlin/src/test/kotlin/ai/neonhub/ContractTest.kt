package ai.neonhub

import ai.neonhub.ffi.ErrorPair
import ai.neonhub.ffi.ErrorParts
import ai.neonhub.ffi.NativeException
import ai.neonhub.ffi.echo
import ai.neonhub.ffi.errorKinds
import ai.neonhub.ffi.fail
import ai.neonhub.models.Channel
import ai.neonhub.operations.Operations
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.booleanOrNull
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.doubleOrNull
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.longOrNull

/** The contract files: what every language must show alike. */
class ContractTest {
    private fun JsonObject.word(name: String) = (this[name] as? JsonPrimitive)?.contentOrNull

    private fun JsonObject.pairs(name: String) =
        (this[name] as? JsonArray).orEmpty().map { pair -> pair.jsonArray.map { it.jsonPrimitive.content } }

    private fun parts(made: JsonObject): ErrorParts {
        val pairs = { name: String -> made.pairs(name).map { (first, second) -> ErrorPair(first, second) } }
        return ErrorParts(
            kind = made.word("kind")!!,
            code = made.word("code").orEmpty(),
            operation = "",
            reason = made.word("message").orEmpty(),
            context = pairs("context"),
            faults = pairs("faults"),
            retryable = (made["retryable"] as? JsonPrimitive)?.booleanOrNull ?: false,
            retryAfterMs = (made["retry_after_ms"] as? JsonPrimitive)?.longOrNull,
            line = "",
            raised = null,
        )
    }

    @Test
    fun `errors show what the contract says`() {
        for (case in cases("errors.json")) {
            val name = case.word("name")
            val expect = case.getValue("expect").jsonObject
            val error = assertFailsWith<NeonHubException> { translated { fail(parts(case.getValue("error").jsonObject)) } }
            assertEquals(expect.word("kind"), error.kind, name)
            assertEquals(expect.word("code"), error.code, name)
            assertEquals(expect.getValue("retryable").jsonPrimitive.booleanOrNull, error.retryable, name)
            assertEquals(expect.getValue("retry_after_ms").jsonPrimitive.longOrNull?.milliseconds, error.retryAfter, name)
            assertEquals(expect.pairs("context"), error.context.map { listOf(it.key, it.value) }, name)
            assertEquals(expect.pairs("faults"), error.faults.map { listOf(it.field, it.message) }, name)
            assertEquals(expect.word("line"), error.toString(), name)
        }
    }

    @Test
    fun `every kind has a class and a case`() {
        val kinds = errorKinds()
        assertEquals(kinds.toSet(), cases("errors.json").map { it.getValue("error").jsonObject.word("kind") }.toSet())
        for (kind in kinds) {
            val error = NeonHubException.of(kind, Details("x"))
            assertEquals(kind, error.kind)
            assertEquals(kind.split('_').joinToString("") { it.replaceFirstChar(Char::uppercase) }, error.javaClass.simpleName)
        }
        assertEquals(kinds.size, NeonHubException::class.java.permittedSubclasses.size)
    }

    /** Equal, where 1 is not 1.0 and not "1"; numbers compare by value within their type. */
    private fun same(a: JsonElement?, b: JsonElement?): Boolean = when {
        a is JsonObject && b is JsonObject -> a.keys == b.keys && a.all { same(it.value, b[it.key]) }
        a is JsonArray && b is JsonArray -> a.size == b.size && a.zip(b).all { (x, y) -> same(x, y) }
        a is JsonPrimitive && b is JsonPrimitive -> when {
            a is JsonNull || b is JsonNull -> a == b
            a.isString || b.isString -> a.isString && b.isString && a.content == b.content
            isFraction(a) && isFraction(b) -> a.doubleOrNull == b.doubleOrNull
            else -> a.content == b.content
        }
        else -> false
    }

    private fun isFraction(number: JsonPrimitive) = number.content.any { it in ".eE" } && number.doubleOrNull != null

    private fun echoed(value: JsonElement) = PLAIN.parseToJsonElement(echo(value.toString()))

    @Test
    fun `values come back as they went`() {
        for (case in cases("values.json")) {
            val value = case.getValue("value")
            assertTrue(same(value, echoed(value)), "${case.word("name")}: ${echoed(value)}")
            val deep = JsonObject(mapOf("in" to JsonArray(listOf(value))))
            assertTrue(same(deep, echoed(deep)), case.word("name"))
        }
    }

    @Test
    fun `a body of 1 MiB comes back as it went`() {
        val text = buildString { while (length < 1 shl 20) append("Grüße an Ada 👩‍🚀 \u2028 ") }
        assertEquals(text, echoed(JsonPrimitive(text)).jsonPrimitive.content)
    }

    @Test
    fun `what is no text of Unicode is refused`() = withHub { hub ->
        val error = assertFailsWith<NeonHubException.InvalidInput> { hub.workspaces.update(name = "a\ud800b") }
        assertTrue("surrogates" in error.message, error.message)
        assertIs<NativeException.Failed>(runCatching { echo("{") }.exceptionOrNull())
    }

    private fun holds(found: JsonElement?, expected: JsonElement): Boolean =
        if (found is JsonObject && expected is JsonObject) {
            expected.all { it.key in found && holds(found[it.key], it.value) }
        } else {
            same(found, expected)
        }

    @Test
    fun `calls answer what the contract says`() = withHub { hub ->
        for (case in cases("calls.json")) {
            val call: suspend () -> JsonElement = {
                val answer = hub.core.send(case.word("operation")!!, case.getValue("input").toString())
                PLAIN.parseToJsonElement(answer)
            }
            val expected = case["error"]?.jsonObject
            if (expected == null) {
                val answer = call()
                assertTrue(holds(answer, case.getValue("answer")), "${case.word("name")}: $answer")
                continue
            }
            val error = assertFailsWith<NeonHubException>(case.word("name")) { call() }
            assertEquals(expected.word("kind"), error.kind, case.word("name"))
            expected.word("code")?.let { assertEquals(it, error.code, case.word("name")) }
            expected["fields"]?.let { fields ->
                assertContentEquals(fields.jsonArray.map { it.jsonPrimitive.content }, error.faults.map(Fault::field))
            }
        }
    }

    private class Sent(val name: String, val input: JsonElement) : Exception()

    /** Equal, but that a class may leave out the null of an optional member, and a default. */
    private fun goesOut(example: JsonElement, sent: JsonElement?, depth: Int = 0): Boolean = when (example) {
        is JsonObject -> sent is JsonObject && (depth > 0 || sent.keys.all { it in example }) &&
            example.all { (name, value) -> goesOut(value, sent[name], depth + 1) || (depth > 0 && sent[name] == null) }
        is JsonArray -> sent is JsonArray && example.size == sent.size &&
            example.indices.all { goesOut(example[it], sent[it], depth + 1) }
        is JsonPrimitive -> sent is JsonPrimitive &&
            (same(example, sent) || (!example.isString && !sent.isString && example.doubleOrNull == sent.doubleOrNull))
    }

    @Test
    fun `every example of every operation goes out as it is`() = runBlocking {
        val recorder = Caller { name, input, _, _ -> throw Sent(name, PLAIN.parseToJsonElement(echo(input))) }
        val file = contract("examples.json")
        val operations = listOf("operations", "made").flatMap { file.getValue(it).jsonObject.entries }
        assertEquals(operations.map { it.key }.toSet(), INPUTS.keys)
        for ((name, examples) in operations) for (example in examples.jsonArray.map { it.jsonObject }) {
            val nulls = example.filterValues { it is JsonNull }.keys
            val hub = Operations(Core(recorder, sendNull = nulls))
            val sent = assertFailsWith<Sent>(name) { INPUTS.getValue(name)(hub, Given(example)) }
            assertEquals(name, sent.name)
            assertTrue(goesOut(example, sent.input), "$name: $example became ${sent.input}")
        }
    }

    @Test
    fun `every operation is on the surface`() = withHub { hub ->
        assertEquals(hub.operationNames, INPUTS.keys.sorted())
    }

    @Test
    fun `what is not given is not sent, and null is when asked for`() = runBlocking {
        val inputs = mutableListOf<String>()
        val core = Core({ _, input, _, _ -> throw Sent("", PLAIN.parseToJsonElement(input)).also { inputs += input } })
        runCatching { Operations(core).audit.query(limit = 10) }
        runCatching { Operations(core.copy(sendNull = setOf("cursor"))).audit.query(limit = 10) }
        assertEquals(listOf("""{"limit":10}""", """{"cursor":null,"limit":10}"""), inputs)
    }

    @Test
    fun `numbers up to the limit of JavaScript are kept, and beyond it refused`() = withHub { hub ->
        val most = (1L shl 53) - 1
        assertEquals(most, echoed(JsonPrimitive(most)).jsonPrimitive.longOrNull)
        assertFailsWith<NeonHubException.InvalidInput> { Hub.open(seed = most + 1) }
        assertNull(hub.people.list(limit = 1).next)
        assertEquals("email", Channel.Email.word)
    }
}

/** The members of an example, read into the types of the surface. */
internal class Given(private val members: JsonObject) {
    fun <T> need(name: String, serializer: KSerializer<T>): T = PLAIN.decodeFromJsonElement(serializer, members.getValue(name))

    fun <T : Any> may(name: String, serializer: KSerializer<T>): T? =
        members[name]?.takeIf { it !is JsonNull }?.let { PLAIN.decodeFromJsonElement(serializer, it) }
}
