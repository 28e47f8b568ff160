package ai.neonhub

import ai.neonhub.models.Identifier
import ai.neonhub.models.IdentityKind
import java.nio.file.Path
import java.time.Instant
import kotlin.io.path.readText
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

/** A Saturday morning. */
internal val MORNING: Instant = Instant.parse("2026-11-21T09:00:00Z")

/** A test against a hub in memory, with fixed chance and a stopped clock. */
internal fun withHub(now: Instant = MORNING, limit: Duration = 60.seconds, test: suspend CoroutineScope.(Hub) -> Unit): Unit =
    runBlocking {
        withTimeout(limit) { Hub.open(seed = 1, now = now).use { test(it) } }
    }

internal suspend fun Hub.ask(prompt: String = "Write a subject line."): String = ai.generateText(prompt = prompt).text

internal suspend fun Hub.resolve(n: Int): String? =
    people.resolve(identifiers = listOf(Identifier(kind = IdentityKind.Email, value = "p$n@example.example"))).person

internal fun contract(name: String): JsonObject =
    expanded(Json.parseToJsonElement(Path.of("../../../tests/contract").resolve(name).readText())).jsonObject

/** Long texts are written short in the contract: `{"$repeat": [TEXT, N]}`. */
private fun expanded(value: JsonElement): JsonElement = when (value) {
    is JsonArray -> JsonArray(value.map(::expanded))
    is JsonObject -> {
        val (text, times) = (value["\$repeat"] as? JsonArray).orEmpty().takeIf { it.size == 2 } ?: listOf(null, null)
        if (text != null && times != null) {
            JsonPrimitive(text.jsonPrimitive.content.repeat(times.jsonPrimitive.int))
        } else {
            JsonObject(value.mapValues { expanded(it.value) })
        }
    }
    else -> value
}

/** Publishes events of type `test.tick`, numbered from 0. */
internal suspend fun Hub.emit(events: Int) {
    for (first in 0 until events step 1_000) {
        core.send("testing.emit_events", """{"first":$first,"count":${minOf(1_000, events - first)}}""")
    }
}

internal fun cases(name: String): List<JsonObject> =
    contract(name).getValue("cases").jsonArray.map { it.jsonObject }.also { check(it.isNotEmpty()) }

/** What the JVM holds after it has cleaned up, in bytes. */
internal fun heap(): Long {
    repeat(3) {
        System.gc()
        Thread.sleep(50)
    }
    return Runtime.getRuntime().let { it.totalMemory() - it.freeMemory() }
}

/** What the process holds, the native library included, in bytes; from Linux. */
internal fun resident(): Long {
    heap()
    val line = Path.of("/proc/self/status").readText().lines().first { it.startsWith("VmRSS:") }
    return line.filter(Char::isDigit).toLong() * 1024
}
