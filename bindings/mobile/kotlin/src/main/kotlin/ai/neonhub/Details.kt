package ai.neonhub

import kotlin.time.Duration

/**
 * One fault of one field, for errors that list several at once.
 *
 * @property field path of the field, as the caller wrote it: `budget.currency`, `channels[2]`
 * @property message what was expected and what to do
 */
public data class Fault(val field: String, val message: String)

/** The parts of a [NeonHubException]. */
internal class Details(
    val message: String,
    val code: String? = null,
    val operation: String = "host",
    val context: Map<String, String> = emptyMap(),
    val faults: List<Fault> = emptyList(),
    val retryable: Boolean = false,
    val retryAfter: Duration? = null,
    val cause: Throwable? = null,
    val line: String? = null,
)
