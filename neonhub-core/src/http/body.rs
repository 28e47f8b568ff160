//! The bytes of an answer, under limits.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::{HttpLimits, OPERATION, late};
use crate::{Error, ErrorKind, Result};

/// Bytes as they arrive. An `Err` item is the last one.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Vec<u8>>> + Send>>;

/// Bytes of an answer. Dropping it closes the connection unless it was read to its end.
pub struct Body {
    stream: BodyStream,
    idle: Duration,
    ends: Instant,
    left: u64,
    max: u64,
    is_over: bool,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Body {
    pub(super) fn new(stream: BodyStream, limits: &HttpLimits, ends: Instant) -> Self {
        let max = limits.max_body_bytes;
        Body { stream, idle: limits.idle, ends, left: max, max, is_over: false }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `Timeout` when none came in time; `Unavailable` (code `truncated`) when the connection broke; `Corrupted` (code
    /// `too_large`) above the size limit.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        if self.is_over {
            return Ok(None);
        }
        let at = (Instant::now() + self.idle).min(self.ends);
        let next = tokio::time::timeout_at(at, self.stream.next()).await;
        let next = next.map_err(|_| late("the answer stopped coming: try again later", self.idle))?;
        self.is_over = !matches!(next, Some(Ok(_)));
        let Some(chunk) = next.transpose()? else { return Ok(None) };
        let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
            return Err(Error::new(ErrorKind::Corrupted, OPERATION, "the answer is larger than the limit")
                .with_code("too_large")
                .with_context("max_body_bytes", self.max));
        };
        self.left = left;
        Ok(Some(chunk))
    }

    /// Up to `max` bytes, for a report: what is longer is cut, what breaks off ends there.
    pub async fn head(mut self, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < max {
            match self.chunk().await {
                Ok(Some(chunk)) => out.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        out.truncate(max);
        out
    }

    /// All bytes.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn all(&mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            out.extend_from_slice(&chunk);
        }
        Ok(out)
    }

    /// Reads what is left after the last word that matters, so that the connection can be used again; gives up after
    /// `wait` or 64 KiB.
    pub async fn drain(mut self, wait: Duration) {
        let rest = async {
            let mut read = 0;
            while let Ok(Some(chunk)) = self.chunk().await {
                read += chunk.len();
                if read > 64 << 10 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(wait, rest).await;
    }
}
