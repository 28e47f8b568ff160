package ai.neonhub

import ai.neonhub.ffi.ErrorPair
import ai.neonhub.ffi.ErrorParts
import ai.neonhub.ffi.HostFunction
import ai.neonhub.ffi.InternalException
import ai.neonhub.ffi.NativeException
import java.nio.charset.CharacterCodingException
import java.util.concurrent.atomic.AtomicLong
import kotlin.coroutines.ContinuationInterceptor
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.isActive
import kotlinx.coroutines.withContext
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject

/** Runs native work; what it throws becomes a [NeonHubException]. */
internal inline fun <T> translated(operation: String = "hub", work: () -> T): T = try {
    work()
} catch (failed: NativeException) {
    throw failed.translate()
} catch (_: CharacterCodingException) {
    throw NeonHubException.InvalidInput("expected text without lone surrogates", operation = operation)
} catch (broken: InternalException) {
    throw NeonHubException.Internal("the native library failed: please report it", operation = operation, cause = broken)
}

/**
 * Waits for native work. The core's own threads resume what waited, and one that then waits itself, in `close()` of
 * `suspend fun main` for one, would never end: so a caller without a dispatcher goes on on [Dispatchers.IO].
 */
internal suspend fun <T> awaited(operation: String = "hub", work: suspend () -> T): T {
    val dispatcher = currentCoroutineContext()[ContinuationInterceptor]
    val isOnItsOwn = dispatcher == null || dispatcher === Dispatchers.Unconfined
    return translated(operation) { if (isOnItsOwn) withContext(Dispatchers.IO) { work() } else work() }
}

internal fun NativeException.translate(): NeonHubException = when (this) {
    is NativeException.Failed -> NeonHubException.of(
        kind = parts.kind,
        Details(
            message = parts.reason,
            code = parts.code,
            operation = parts.operation,
            context = parts.context.associate { it.name to it.text },
            faults = parts.faults.map { Fault(it.name, it.text) },
            retryable = parts.retryable,
            retryAfter = parts.retryAfterMs?.milliseconds,
            cause = parts.raised?.let(Thrown::get),
            line = parts.line,
        ),
    )
    is NativeException.Raised -> NeonHubException.Internal("the host raised $exception", cause = Thrown.get(raised))
}

/** The exceptions of host functions that the core may still hand back as a cause: the newest ones. */
internal object Thrown {
    private const val MOST = 256L
    private val next = AtomicLong()
    private val kept = java.util.concurrent.ConcurrentHashMap<Long, Throwable>()

    fun keep(thrown: Throwable): Long {
        val place = next.incrementAndGet()
        kept[place] = thrown
        kept.remove(place - MOST)
        return place
    }

    fun get(place: Long): Throwable? = kept[place]
}

/** A function of the application as the core calls it. It may block: it runs on [Dispatchers.IO]. */
internal class HostCode(private val body: suspend (JsonObject) -> JsonElement) : HostFunction {
    override suspend fun invoke(input: String): String = try {
        val answer = withContext(Dispatchers.IO) { body(PLAIN.parseToJsonElement(input).jsonObject).toString() }
        // The glue would never answer for text that it cannot encode.
        if (answer != sound(answer)) throw NeonHubException.Corrupted("expected text without lone surrogates", "host_answer")
        answer
    } catch (ended: CancellationException) {
        // The call behind it has ended, or the function gave itself up, such as by a timeout of its own.
        if (currentCoroutineContext().isActive) throw raised(ended) else throw ended
    } catch (ours: NeonHubException) {
        throw NativeException.Failed(ours.parts())
    } catch (@Suppress("TooGenericExceptionCaught") other: Throwable) {
        throw raised(other)
    }

    private fun raised(thrown: Throwable) =
        NativeException.Raised(thrown.javaClass.simpleName, sound(thrown.message.orEmpty()), Thrown.keep(thrown))
}

/** The text with a question mark for each lone surrogate. */
private fun sound(text: String) = text.toByteArray().decodeToString()

private fun NeonHubException.parts() = ErrorParts(
    kind = kind,
    code = sound(code),
    operation = sound(operation),
    reason = sound(message),
    context = context.map { (name, text) -> ErrorPair(sound(name), sound(text)) },
    faults = faults.map { ErrorPair(sound(it.field), sound(it.message)) },
    retryable = retryable,
    retryAfterMs = retryAfter?.inWholeMilliseconds,
    line = sound(toString()),
    raised = Thrown.keep(this),
)
