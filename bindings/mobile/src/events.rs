//! Streams of events, a batch per crossing.

use neonhub_ffi::{EventStream, Value};

use crate::error::NativeError;

/// A stream of items. Freed, it ends the subscription.
#[derive(Debug, uniffi::Object)]
pub struct NativeStream(EventStream);

impl NativeStream {
    pub(crate) fn new(stream: EventStream) -> Self {
        NativeStream(stream)
    }
}

#[uniffi::export]
impl NativeStream {
    /// The next items as a JSON array, 1 to `most`, waiting for the first; nothing once the stream has ended.
    ///
    /// # Errors
    /// What the store answers; the stream has ended then.
    pub async fn next_batch(&self, most: u32) -> Result<Option<String>, NativeError> {
        // Items wait in a channel already: taking them needs no thread of ours.
        let batch = self.0.next_batch(usize::try_from(most).unwrap_or(1)).await?;
        Ok(batch.map(|items| Value::Array(items).to_string()))
    }

    /// Ends the stream.
    pub fn stop(&self) {
        self.0.stop();
    }
}
