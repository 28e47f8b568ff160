//! The trace span of a call.

use tracing::Span;

use super::CallOptions;
use crate::{Error, Scope};

/// Stage 1: the one span of a call. It says how the call ended, and in whose trace it was made.
pub(super) fn span(operation: &'static str, cx: &Scope, options: &CallOptions) -> Span {
    let span = tracing::info_span!(
        "operation",
        name = operation,
        workspace_id = %cx.workspace(),
        correlation_id = cx.correlation(),
        trace_id = tracing::field::Empty,
        outcome = tracing::field::Empty,
    );
    if !span.is_disabled()
        && let Some(context) = options.trace.as_ref().or(cx.0.trace.as_ref())
    {
        span.record("trace_id", context.trace_id());
    }
    span
}

/// Says on the span how the call ended: `ok`, or the code of its failure.
pub(super) fn ended(span: &Span, error: Option<&Error>) {
    span.record("outcome", error.map_or("ok", Error::code));
}
