//! The token that stops work in progress.

use std::sync::Arc;

use crate::{Error, ErrorKind, Result};

/// Tells work in progress to stop.
#[derive(Clone, Debug)]
pub struct CancelToken(Arc<tokio::sync::watch::Sender<bool>>);

impl Default for CancelToken {
    fn default() -> Self {
        CancelToken(Arc::new(tokio::sync::watch::channel(false).0))
    }
}

impl CancelToken {
    /// A token nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels, once and for all.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// True once cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until cancelled.
    pub async fn cancelled(&self) {
        // The sender lives in self, so the only way out is the value itself.
        let _ = self.0.subscribe().wait_for(|stop| *stop).await;
    }

    /// # Errors
    /// `Cancelled` once cancelled.
    pub fn check(&self, operation: &'static str) -> Result<()> {
        if self.is_cancelled() { Err(cancelled(operation)) } else { Ok(()) }
    }
}

pub(crate) fn cancelled(operation: &'static str) -> Error {
    Error::new(ErrorKind::Cancelled, operation, "the caller gave up or the hub is closing")
}
