//! Writes the exceptions: one class per kind of error.

use super::text;
use crate::generate::names;

const HEAD: &str = r#"package ai.neonhub

import kotlin.time.Duration

/**
 * What every failing call throws: one class per kind of error. Catch the class for what you handle, and this one for
 * the rest. A model, tool or connector written in Kotlin may throw these classes too: kind, code and advice are kept.
 *
 * @property kind the stable word of the class, the same in every language
 */
public sealed class NeonHubException private constructor(public val kind: String, private val details: Details) :
    Exception(details.message, details.cause) {
    /** What was expected and what to do. */
    override val message: String get() = details.message

    /** A stable word, as [kind] or finer (`no_identity`). */
    public val code: String get() = details.code ?: kind

    /** The operation that failed, such as `people.resolve`. */
    public val operation: String get() = details.operation

    /** Facts in the order they were added. */
    public val context: Map<String, String> get() = details.context

    /** Every fault by field, when there are several. */
    public val faults: List<Fault> get() = details.faults

    /** True when the same call may succeed later. */
    public val retryable: Boolean get() = details.retryable || details.retryAfter != null

    /** Not sooner than this, when the other side said so. */
    public val retryAfter: Duration? get() = details.retryAfter

    /** The line for operators: code, operation, message, `key=value`. */
    override fun toString(): String = details.line ?: (listOf("$code: $operation: $message") + context.map { "${it.key}=${it.value}" }).joinToString(" ")
"#;

/// The file.
pub(super) fn write(kinds: &[String]) -> String {
    let mut out = HEAD.to_owned();
    for kind in kinds {
        let class = names::camel(kind);
        out.push_str(&format!("\n    /** `{kind}` */\n    public class {class} internal constructor(details: Details) : NeonHubException({}, details) {{\n", text::literal(kind)));
        out.push_str(
            "        public constructor(
            message: String,
            code: String? = null,
            operation: String = \"host\",
            context: Map<String, String> = emptyMap(),
            faults: List<Fault> = emptyList(),
            retryable: Boolean = false,
            retryAfter: Duration? = null,
            cause: Throwable? = null,
        ) : this(Details(message, code, operation, context, faults, retryable, retryAfter, cause))
    }
",
        );
    }
    out.push_str("\n    internal companion object {\n        fun of(kind: String, details: Details): NeonHubException = when (kind) {\n");
    for kind in kinds.iter().filter(|kind| *kind != "internal") {
        out.push_str(&format!("            {} -> {}(details)\n", text::literal(kind), names::camel(kind)));
    }
    out + "            else -> Internal(details)\n        }\n    }\n}\n"
}
