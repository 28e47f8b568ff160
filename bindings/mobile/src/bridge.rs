//! From a Rust future to a suspending call: the work runs on our threads and ends when nobody waits any more.

use std::future::Future;

use neonhub_ffi::{CancelToken, FfiError, FfiResult, runtime};
use tokio::task::JoinHandle;

use crate::error::NativeError;

/// Ends a call from outside: Swift's tasks do not drop the future they wait for, so their cancellation comes here.
#[derive(Debug, Default, uniffi::Object)]
pub struct NativeCancel(CancelToken);

#[uniffi::export]
impl NativeCancel {
    /// A token nobody has used yet.
    #[uniffi::constructor]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every call that was given this token, now or later.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

impl NativeCancel {
    pub(crate) fn token(&self) -> CancelToken {
        self.0.clone()
    }
}

/// Work under way. Dropped with the waiting future, as a cancelled coroutine does, it stops the work.
struct Running<T> {
    token: CancelToken,
    task: JoinHandle<T>,
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.token.cancel();
        self.task.abort();
    }
}

/// Runs the work on the shared runtime and waits for it; `token` is cancelled when the wait is given up.
pub(crate) async fn run<T: Send + 'static>(
    token: CancelToken,
    work: impl Future<Output = FfiResult<T>> + Send + 'static,
) -> Result<T, NativeError> {
    let mut running = Running { token, task: runtime().spawn(work) };
    match (&mut running.task).await {
        Ok(answer) => Ok(answer?),
        Err(_panicked) => Err(FfiError::of_panic("hub").into()),
    }
}
