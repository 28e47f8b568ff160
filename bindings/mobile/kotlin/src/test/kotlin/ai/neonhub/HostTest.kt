package ai.neonhub

import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertSame
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.delay
import kotlinx.coroutines.withTimeout

/** Models written in Kotlin. */
class HostTest {
    @Test
    fun `a function answers`() = withHub { hub ->
        val seen = mutableListOf<ModelRequest>()
        hub.addModel(provider = "house") { request ->
            seen += request
            ModelAnswer("Fresh for spring", inputTokens = 3, outputTokens = 4)
        }
        assertEquals("Fresh for spring", hub.ask())
        assertTrue("Write a subject line." in seen.single().prompt, seen.single().prompt)
    }

    @Test
    fun `functions run side by side`() = withHub { hub ->
        hub.addModel(provider = "house") {
            delay(200.milliseconds)
            ModelAnswer("slow")
        }
        val start = TimeSource.Monotonic.markNow()
        assertEquals(List(20) { "slow" }, List(20) { async { hub.ask() } }.awaitAll())
        assertTrue(start.elapsedNow() < 3.seconds, "${start.elapsedNow()}")
    }

    @Test
    fun `an exception is the cause, and its words stay out of the message`() = withHub { hub ->
        val thrown = IllegalStateException("ada@example.example is unknown")
        hub.addModel(provider = "house") { throw thrown }
        val error = assertFailsWith<NeonHubException.Internal> { hub.ask() }
        assertEquals("host_error", error.code)
        // Coroutines may copy an exception to add the frames of the caller.
        assertEquals(thrown.toString(), error.cause.toString())
        assertTrue("IllegalStateException" in error.message && "ada@" !in error.toString(), error.toString())
    }

    @Test
    fun `an error of the virtual machine is an exception like any other`() = withHub { hub ->
        hub.addModel(provider = "house") { throw StackOverflowError() }
        assertTrue("StackOverflowError" in assertFailsWith<NeonHubException.Internal> { hub.ask() }.message)
        hub.addModel(provider = "other") { ModelAnswer("still here") }
        assertEquals("still here", hub.ask())
    }

    @Test
    fun `an error of ours keeps kind, code and advice`() = withHub { hub ->
        val ours = NeonHubException.RateLimited(
            "the daily quota is used up", code = "daily_quota", retryAfter = 2.5.seconds, context = mapOf("limit" to "9"),
        )
        hub.addModel(provider = "house") { throw ours }
        val error = assertFailsWith<NeonHubException.RateLimited> { hub.ask() }
        assertEquals("daily_quota" to 2.5.seconds, error.code to error.retryAfter)
        assertTrue(error.retryable)
        assertEquals("9", error.context["limit"])
        assertSame(ours, error.cause)
    }

    @Test
    fun `garbage is corrupted`() = withHub { hub ->
        var answer = ModelAnswer(inputTokens = -1)
        hub.addModel(provider = "house") { answer }
        val error = assertFailsWith<NeonHubException.Corrupted> { hub.ask() }
        assertEquals("host_answer", error.code)
        answer = ModelAnswer("half a pair: \ud800")
        assertEquals("host_answer", assertFailsWith<NeonHubException.Corrupted> { hub.ask() }.code)
        hub.addModel(provider = "loud") { error("half a pair: \ud800") }
        assertFailsWith<NeonHubException.Internal> { hub.ask() }
        hub.addModel(provider = "house again") { answer }
        answer = ModelAnswer("fine again")
        assertEquals("fine again", hub.ask())
    }

    @Test
    fun `a function that blocks ends with the timeout`() = withHub { hub ->
        val done = CountDownLatch(1)
        hub.addModel(provider = "house") {
            done.await(20, TimeUnit.SECONDS)
            ModelAnswer("late")
        }
        val start = TimeSource.Monotonic.markNow()
        val error = assertFailsWith<NeonHubException.Timeout> { hub.withOptions(timeout = 100.milliseconds).ask() }
        assertTrue(error.retryable && start.elapsedNow() < 5.seconds)
        done.countDown()
        assertFailsWith<NeonHubException.InvalidInput> { hub.withOptions(timeout = (-1).seconds).scope.whoami() }
    }

    @Test
    fun `a coroutine that hangs is cancelled with the call`() = withHub { hub ->
        val ended = CompletableDeferred<Unit>()
        hub.addModel(provider = "house") {
            try {
                awaitCancellation()
            } finally {
                ended.complete(Unit)
            }
        }
        assertFailsWith<TimeoutCancellationException> { withTimeout(100.milliseconds) { hub.ask() } }
        withTimeout(5.seconds) { ended.await() }
        val start = TimeSource.Monotonic.markNow()
        hub.shutdown()
        // A call still under way would hold the close up to 30 s.
        assertTrue(start.elapsedNow() < 5.seconds)
    }

    @Test
    fun `a function that gives itself up is an exception of its own`() = withHub { hub ->
        hub.addModel(provider = "house") { withTimeout(20.milliseconds) { awaitCancellation() } }
        val error = assertFailsWith<NeonHubException.Internal> { hub.ask() }
        assertTrue("TimeoutCancellationException" in error.message, error.message)
    }

    @Test
    fun `no run is left when a model fails`() = withHub { hub ->
        hub.addModel(provider = "house") { error("broken") }
        repeat(5) { runCatching { hub.ask() } }
        val open = hub.agents.listRuns().items.filter { it.endedAt == null }
        assertTrue(open.isEmpty(), "$open")
        assertEquals(0, hub.jobs.work().done)
    }

    @Test
    fun `settings are checked`() = withHub { hub ->
        assertTrue("offline" in assertFailsWith<NeonHubException.InvalidInput> { hub.addModel("offline") { ModelAnswer() } }.message)
        assertFailsWith<NeonHubException.InvalidInput> { hub.addConnector("mine", listOf("E-Mail")) { Delivery("x") } }
        assertFailsWith<NeonHubException.InvalidInput> { hub.addConnector("My Mailer", listOf("email")) { Delivery("x") } }
        assertFalse(hub.isClosed)
    }
}
