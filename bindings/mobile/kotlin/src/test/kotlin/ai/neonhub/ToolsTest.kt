package ai.neonhub

import ai.neonhub.models.AgentSpec
import ai.neonhub.models.EffectClass
import ai.neonhub.models.IntentSpec
import ai.neonhub.models.PolicyDraft
import ai.neonhub.models.PolicyEffectAllow
import ai.neonhub.models.PolicyScope
import ai.neonhub.models.Prompt
import ai.neonhub.models.RunStatus
import ai.neonhub.models.Sink
import ai.neonhub.testing.Cassette
import ai.neonhub.testing.Faults
import ai.neonhub.testing.Offline
import ai.neonhub.testing.On
import ai.neonhub.testing.ScriptedModel
import ai.neonhub.testing.Tape
import ai.neonhub.testing.TEST_NOW
import ai.neonhub.testing.forbidNetwork
import ai.neonhub.testing.memory
import java.nio.file.Files
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject

/** Tools written in Kotlin, and the helpers for tests. */
class ToolsTest {
    private val schema = buildJsonObject {
        put("type", "object")
        putJsonObject("properties") { putJsonObject("sku") { put("type", "string") } }
        putJsonObject("required") { }
    }.let { JsonObject(it + ("required" to kotlinx.serialization.json.JsonArray(listOf(JsonPrimitive("sku"))))) }

    private fun test(body: suspend (Hub) -> Unit) = runBlocking { memory().use { body(it) } }

    private fun sku(value: String) = buildJsonObject { put("sku", value) }

    @Test
    fun `a function is a tool like any other`() = test { hub ->
        hub.addTool("shop.stock", "How many are there", schema, effect = "read") { call ->
            buildJsonObject {
                put("of", call.args.getValue("sku"))
                put("by", call.principal)
            }
        }
        val answer = hub.tools.call(name = "shop.stock", args = sku("T-1")).output as JsonObject
        assertEquals("T-1" to "user:owner", answer.text("of") to answer.text("by"))
        val error = assertFailsWith<NeonHubException.InvalidInput> {
            hub.tools.call(name = "shop.stock", args = buildJsonObject { })
        }
        assertEquals(listOf("sku"), error.faults.map { it.field })
        assertTrue(hub.removeTool("shop.stock") && !hub.removeTool("shop.stock"))
    }

    @Test
    fun `what a tool throws is told by type and words`() = test { hub ->
        hub.addTool("shop.stock", "How many are there", schema, effect = "read") { error("no such article") }
        val read = assertFailsWith<NeonHubException.Internal> { hub.tools.call(name = "shop.stock", args = sku("x")) }
        assertTrue(read.message.endsWith("IllegalStateException: no such article"), read.message)
        assertFailsWith<NeonHubException.AlreadyExists> { hub.addTool("shop.stock", "Again", schema) { JsonPrimitive(1) } }
        hub.addTool("shop.stock", "Counts", schema, replace = true) { error("after the write") }
        assertFailsWith<NeonHubException.OutcomeUnknown> { hub.tools.call(name = "shop.stock", args = sku("x")) }
        assertFailsWith<NeonHubException.InvalidInput> { hub.addTool("Shop", "", schema) { JsonPrimitive(1) } }
    }

    @Test
    fun `a tool says itself what became of a lost call of a run`() = test { hub ->
        val names = mutableListOf<String?>()
        val allow = PolicyDraft(
            effect = PolicyEffectAllow,
            name = "let-pay",
            reason = "a test",
            scope = PolicyScope(operations = listOf("shop.pay")),
        )
        hub.policies.activate(id = hub.policies.put(policy = allow).id)
        hub.addTool("shop.pay", "Pays", schema, probe = { call ->
            names += call.effect
            if (call.args.text("sku") == "T-1") Landing.Landed(JsonPrimitive("paid")) else Landing.Unknown
        }) { call ->
            names += call.effect
            error("the line broke")
        }
        val spec = AgentSpec(
            name = "till",
            version = "1.0.0",
            title = "Till",
            purpose = "Pays.",
            intents = listOf(IntentSpec(name = "work", doc = "Pays.", effectMax = EffectClass.Write)),
            instructions = Prompt(name = "till", version = 1, template = "You pay."),
            tools = listOf("shop.pay"),
            owner = "ada",
        )
        hub.agents.put(spec = spec)
        hub.agents.activate(name = "till", version = "1.0.0")
        val model = ScriptedModel()
        listOf("T-1", null, "T-2").forEach { article ->
            model.add(Json.parseToJsonElement(
                article?.let { """{"tool_calls":[{"id":"c1","name":"shop.pay","args":{"sku":"$it"}}]}""" } ?: """{"text":"Done."}""",
            ).jsonObject)
        }
        hub.addModel(model)
        assertEquals(RunStatus.Completed, hub.agents.execute(intent = "till.work", input = emptyMap()).status)
        assertEquals(RunStatus.Waiting, hub.agents.execute(intent = "till.work", input = emptyMap()).status)
        assertTrue(names[0] != null && names[0] == names[1] && names[2] == names[3] && names[0] != names[2], "$names")
    }

    @Test
    fun `rate, approval and sinks are part of a tool`() = test { hub ->
        val any = buildJsonObject { put("type", "object") }
        hub.addTool("count", "Counts", any, effect = "read", rate = 1 to 1.minutes, approval = true, sinks = listOf("export")) {
            JsonPrimitive(1)
        }
        val info = hub.tools.describe(name = "count")
        assertEquals(Triple(true, listOf(Sink.Export), 60_000L), Triple(info.approval, info.sinks, info.rate?.perMs))
        hub.tools.call(name = "count")
        assertFailsWith<NeonHubException.RateLimited> { hub.tools.call(name = "count") }
    }

    @Test
    fun `a script answers line by line`() = test { hub ->
        val model = ScriptedModel("first").add("sunny", contains = "weather")
        model.add(buildJsonObject {
            putJsonObject("error") {
                put("kind", "rate_limited")
                put("retry_after_ms", 1500)
            }
        })
        hub.addModel(model)
        assertEquals(listOf("first", "sunny"), List(2) { hub.ask("the weather?") })
        assertEquals(1500.milliseconds, assertFailsWith<NeonHubException.RateLimited> { hub.ask() }.retryAfter)
        assertEquals("unscripted", assertFailsWith<NeonHubException> { hub.ask() }.code)
        assertTrue(model.left.isEmpty() && model.requests.size == 4)
        assertFailsWith<NeonHubException.InvalidInput> { model.add(buildJsonObject { put("words", "b") }) }
    }

    @Test
    fun `a cassette plays what was recorded`() = test { hub ->
        val path = Files.createTempDirectory("tape").resolve("answers.json")
        hub.addModel(ScriptedModel("live", "later"))
        hub.insert(Cassette(path))
        assertEquals(listOf("live", "live"), List(2) { hub.ask() })
        hub.insert(null)
        assertEquals("later", hub.ask())
        val player = Cassette(path, Tape.Replay)
        hub.insert(player)
        assertEquals("live", hub.ask())
        assertEquals("cassette_miss", assertFailsWith<NeonHubException.NotFound> { hub.ask("else") }.code)
        assertEquals(0L, player.erasePerson("per_nobody"))
        assertFailsWith<NeonHubException.Config> { Cassette(path.resolveSibling("none.json"), Tape.Replay) }
    }

    @Test
    fun `faults befall calls on demand`() = test { hub ->
        val faults = Faults().add(On.Tool, nth = 1, error = "unavailable")
        hub.inject(faults)
        assertFailsWith<NeonHubException.Unavailable> { hub.tools.call(name = "scope.whoami", args = buildJsonObject { }) }
        hub.tools.call(name = "scope.whoami", args = buildJsonObject { })
        assertEquals(listOf("true", "false"), faults.seen.map { it.getValue("faulty").jsonPrimitive.content })
        faults.clear()
        faults.add(On.Model, hang = true)
        assertFailsWith<NeonHubException.Timeout> { hub.withOptions(timeout = 50.milliseconds).ask() }
        hub.inject(null)
        hub.addModel(ScriptedModel("free again"))
        assertEquals("free again", hub.ask())
    }

    @Test
    fun `the clock moves by hand`() = test { hub ->
        val clock = hub.clock!!
        assertEquals(TEST_NOW, clock.now)
        clock.advance(2.hours)
        assertEquals(TEST_NOW.plusSeconds(7200), hub.clock!!.now)
        clock.now = TEST_NOW
        assertEquals(TEST_NOW, clock.now)
        Hub.open().use { assertNull(it.clock) }
    }

    @Test
    fun `the network is shut while it is forbidden`() = test { hub ->
        hub.addModel(ScriptedModel("no socket needed"))
        val after = forbidNetwork { offline ->
            assertTrue(offline.isShut)
            assertEquals("no socket needed", hub.ask())
            offline
        }
        assertFailsWith<IllegalStateException> { after.isShut }
        Offline().use { assertTrue(it.isShut) }
    }
}
