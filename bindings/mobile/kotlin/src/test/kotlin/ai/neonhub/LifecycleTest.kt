package ai.neonhub

import java.nio.file.Files
import java.security.MessageDigest
import java.util.Base64
import java.util.HexFormat
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit
import kotlin.coroutines.Continuation
import kotlin.coroutines.EmptyCoroutineContext
import kotlin.coroutines.startCoroutine
import kotlin.io.path.writeText
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.test.runTest
import kotlinx.coroutines.withTimeout

/** Opening, closing, cancelling, many callers, and memory over a long life. */
class LifecycleTest {
    @Test
    fun `a closed hub takes no calls`() = runTest {
        val hub = Hub.open()
        assertFalse(hub.isClosed)
        hub.shutdown()
        hub.shutdown()
        hub.close()
        hub.close()
        assertTrue(hub.isClosed)
        assertFailsWith<NeonHubException.Unavailable> { hub.scope.whoami() }
        assertFailsWith<NeonHubException.Unavailable> { hub.withOptions(timeout = 1.seconds).scope.whoami() }
        assertFailsWith<NeonHubException.Unavailable> { hub.addModel("late") { ModelAnswer() } }
    }

    @Test
    fun `a file too large for a call goes in as a blob`() = runTest(timeout = 1.minutes) {
        val large = "Every bag of our coffee is roasted on the day it leaves the house.\n".repeat(20_000).toByteArray()
        Hub.open().use { hub ->
            hub.spaces.create(name = "brand-voice")
            hub.datasets.create(space = "brand-voice", name = "brand-voice")
            val inline = Base64.getEncoder().encodeToString(large)
            assertFailsWith<NeonHubException.InvalidInput> {
                hub.documents.upload(dataset = "brand-voice", name = "large.txt", contentBase64 = inline)
            }
            val blob = hub.putBlob(large)
            assertEquals(HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(large)), blob)
            hub.documents.upload(dataset = "brand-voice", name = "large.txt", blob = blob)
            assertFailsWith<NeonHubException.InvalidInput> { hub.putBlob(ByteArray(0)) }
        }
    }

    @Test
    fun `close may wait where no dispatcher is`() {
        val ended = CompletableFuture<Result<Unit>>()
        val program: suspend () -> Unit = { Hub.open().use { hub -> hub.scope.whoami() } }
        program.startCoroutine(Continuation(EmptyCoroutineContext, ended::complete))
        ended.get(30, TimeUnit.SECONDS).getOrThrow()
    }

    @Test
    fun `use closes the hub, also when its block fails`() = runTest {
        lateinit var hub: Hub
        assertFailsWith<IllegalStateException> {
            Hub.open().use {
                hub = it
                error("in the block")
            }
        }
        assertTrue(hub.isClosed)
    }

    @Test
    fun `what cannot be opened says why`() = runTest {
        val folder = Files.createTempDirectory("hub")
        assertFailsWith<NeonHubException> { Hub.open(folder.resolve("missing/brand.neon").toString()) }
        val garbage = folder.resolve("no.neon")
        garbage.writeText("this is no store, but long enough to be taken for one".repeat(50))
        assertFailsWith<NeonHubException> { Hub.open(garbage.toString()) }
        assertFailsWith<NeonHubException.InvalidInput> { Hub.open(seed = -1) }
        assertFailsWith<NeonHubException.NotFound> { Hub.open(workspace = "elsewhere") }
        folder.toFile().deleteRecursively()
    }

    @Test
    fun `a file keeps what was written`() = runTest {
        val folder = Files.createTempDirectory("hub")
        val path = folder.resolve("brand.neon").toString()
        val person = Hub.open(path).use { it.resolve(1) }
        Hub.open(path).use { assertEquals(person, it.resolve(1)) }
        folder.toFile().deleteRecursively()
    }

    @Test
    fun `a cancelled call stops, and the hub works on`() = withHub { hub ->
        hub.addModel("slow") { awaitCancellation() }
        val call = launch { hub.ask() }
        delay(50.milliseconds)
        withTimeout(5.seconds) { call.cancelAndJoin() }
        assertTrue(hub.scope.whoami().workspace.isNotEmpty())
        withTimeout(5.seconds) { hub.shutdown() }
    }

    @Test
    fun `a call that was cancelled before it began does nothing`() = withHub { hub ->
        val call = launch {
            throw CancellationException("early")
        }
        call.join()
        assertFailsWith<CancellationException> {
            kotlinx.coroutines.coroutineScope {
                kotlinx.coroutines.currentCoroutineContext()[kotlinx.coroutines.Job]!!.cancel()
                hub.resolve(1)
            }
        }
        assertTrue(hub.people.list().items.isEmpty())
    }

    @Test
    fun `many coroutines and threads share a hub`() = withHub { hub ->
        val callers = List(500) { async(Dispatchers.Default) { hub.scope.whoami().workspace } }.awaitAll()
        assertEquals(1, callers.toSet().size)
    }

    @Test
    fun `a key makes a repeated call give the first answer`() = withHub { hub ->
        val once = hub.withOptions(idempotencyKey = "k1")
        assertEquals(once.resolve(7), once.resolve(7))
        assertFailsWith<NeonHubException.Conflict> { once.resolve(8) }
    }

    @Test
    fun `memory is flat over a hundred thousand calls`() = withHub(limit = 8.minutes) { hub ->
        val calls = { count: Int -> runBlocking(Dispatchers.Default) { repeat(count) { hub.scope.whoami() } } }
        calls(10_000)
        val before = resident()
        calls(100_000)
        val grown = resident() - before
        assertTrue(grown < 32 shl 20, "grew by ${grown shr 20} MiB")
    }

    @Test
    fun `memory is flat over a thousand hubs`() = runBlocking {
        val open = suspend { count: Int -> repeat(count) { Hub.open().use { hub -> hub.scope.whoami() } } }
        open(100)
        val before = resident()
        open(1_000)
        val grown = resident() - before
        assertTrue(grown < 48 shl 20, "grew by ${grown shr 20} MiB")
    }
}
