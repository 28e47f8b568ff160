package ai.neonhub

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlinx.serialization.Contextual
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.serializer

/** Answers of models as values of a type. */
class GenerateTest {
    @Serializable
    enum class Tone {
        @SerialName("warm")
        Warm,

        @SerialName("plain")
        Plain,
    }

    @Serializable
    @Describe("One line of an offer.")
    data class Line(val text: String, val tone: Tone = Tone.Plain)

    @Serializable
    data class Offer(
        @Describe("At most six words.") val title: String,
        val lines: List<Line>,
        @SerialName("price_cents") val price: Long? = null,
        val prices: Map<String, Double> = emptyMap(),
    )

    @Serializable
    sealed interface Step

    @Serializable
    @SerialName("mail")
    data class Mail(val to: String) : Step

    @Serializable
    @SerialName("wait")
    data class Wait(val days: Int, val then: Step? = null) : Step

    @Serializable
    data class Share(val percent: Int) {
        init {
            require(percent in 0..100) { "expected 0 to 100" }
        }
    }

    @Serializable
    data class Box<T>(val inner: T)

    @Serializable
    data class Odd(val any: @Contextual Any)

    private fun answering(vararg values: String, test: suspend (Hub, List<ModelRequest>) -> Unit) = withHub { hub ->
        val seen = mutableListOf<ModelRequest>()
        hub.addModel(provider = "house", jsonSchema = true) { request ->
            seen += request
            ModelAnswer(values[minOf(seen.size, values.size) - 1])
        }
        test(hub, seen)
    }

    @Test
    fun `a class comes back whole`() =
        answering("""{"title":"Spring","lines":[{"text":"Fresh","tone":"warm"},{"text":"Now"}],"price_cents":900}""") { hub, seen ->
            val offer: Offer = hub.generate("An offer.", system = "Be brief.")
            assertEquals(Offer("Spring", listOf(Line("Fresh", Tone.Warm), Line("Now")), 900), offer)
            val told = seen.single().outputSchema.toString()
            assertTrue("At most six words." in told && "One line of an offer." in told && "price_cents" in told, told)
        }

    @Test
    fun `lists and sealed classes are asked as one member`() = answering(
        """{"value":[{"type":"wait","days":2,"then":{"type":"mail","to":"ada"}}]}""",
        """{"value":{"type":"mail","to":"ada"}}""",
    ) { hub, _ ->
        assertEquals(listOf<Step>(Wait(2, Mail("ada"))), hub.generate<List<Step>>("Plan."))
        assertEquals(Mail("ada"), hub.generate<Step>("One step."))
    }

    @Test
    fun `what the type refuses is told, and what does not fit is given back once`() =
        answering("""{"percent":"many"}""", """{"percent":120}""") { hub, seen ->
            val error = assertFailsWith<NeonHubException.Corrupted> { hub.generate<Share>("How much?") }
            assertEquals("invalid_output" to "ai.generate_text", error.code to error.operation)
            assertTrue("expected 0 to 100" in error.message, error.message)
            assertEquals(2, seen.size)
        }

    @Test
    fun `offline the facts fill the type, and nothing is made up`() = withHub { hub ->
        assertEquals(4, hub.generate<Int>("How many?", facts = JsonPrimitive("4")))
        val facts = Json.parseToJsonElement("""{"title":"Spring"}""")
        val error = assertFailsWith<NeonHubException.Unsupported> { hub.generate<Offer>("An offer.", facts = facts) }
        assertEquals("needs_input", error.code)
        assertTrue("no fact for lines" in error.message, error.message)
    }

    @Test
    fun `one name with two parameters is two classes, and what has no schema is named`() {
        val both = schemaOf(serializer<Map<String, Pair<Box<Int>, Box<String>>>>().descriptor)
        assertTrue("Box_2" in both.toString(), both.toString())
        assertEquals("{}", schemaOf(serializer<JsonElement>().descriptor).toString())
        val error = assertFailsWith<NeonHubException.InvalidInput> { schemaOf(serializer<List<Odd>>().descriptor) }
        assertTrue(error.message.startsWith("[].any: "), error.message)
    }
}
