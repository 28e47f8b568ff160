//! Functions written in Kotlin or Swift, as callbacks of the shared layer.

use std::sync::Arc;

use async_trait::async_trait;
use neonhub_ffi::host::Callback;
use neonhub_ffi::{Error, ErrorKind, Value};

use crate::error::NativeError;

/// A function of the host: JSON in, JSON out. The models, tools and connectors of the typed surface are made of it.
#[uniffi::export(foreign)]
#[async_trait]
pub trait HostFunction: Send + Sync {
    /// Answers. Ended early when the call behind it ends.
    async fn invoke(&self, input: String) -> Result<String, NativeError>;
}

/// The function as a callback. Dropping its future cancels the coroutine or the task of the host.
pub(crate) fn callback(function: Arc<dyn HostFunction>) -> Callback {
    Arc::new(move |input: Value| {
        let function = Arc::clone(&function);
        Box::pin(async move {
            let answer = function.invoke(input.to_string()).await.map_err(NativeError::into_core)?;
            serde_json::from_str(&answer).map_err(|cause| {
                let message = "the callback of the host answered something else: expected JSON";
                Error::new(ErrorKind::Corrupted, "host", message).with_code("host_answer").with_source(cause)
            })
        })
    })
}
