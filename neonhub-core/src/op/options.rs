//! How one call is made.

use std::time::Duration;

use crate::scope::CancelToken;
use crate::telemetry::TraceContext;

/// How to make one call.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// A repeated call with the same key and input gives the first answer for 24 h.
    pub idempotency_key: Option<String>,
    /// Shortens the operation's deadline.
    pub deadline: Option<Duration>,
    /// Stops the call when cancelled.
    pub cancel: Option<CancelToken>,
    /// The caller's trace, which the call becomes part of.
    pub trace: Option<TraceContext>,
}

impl CallOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the idempotency key: 1 to 255 bytes.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Shortens the deadline.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// Makes the call part of the caller's trace.
    #[must_use]
    pub fn trace(mut self, context: TraceContext) -> Self {
        self.trace = Some(context);
        self
    }

    /// Sets a token that stops the call.
    #[must_use]
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = Some(token);
        self
    }
}
