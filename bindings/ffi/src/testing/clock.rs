//! A clock that a test moves.

use std::sync::Arc;
use std::time::Duration;

use neonhub_core::{Clock as _, ManualClock, Timestamp};

use crate::error::FfiResult;

/// The clock of a hub that was opened with `now`. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct VirtualClock(Arc<ManualClock>);

impl VirtualClock {
    pub(crate) fn new(clock: Arc<ManualClock>) -> Self {
        VirtualClock(clock)
    }

    /// The instant it shows, in UTC milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.0.now().as_millis()
    }

    /// Moves it to an RFC 3339 instant; also back.
    ///
    /// # Errors
    /// `InvalidInput` for any other text.
    pub fn set(&self, instant: &str) -> FfiResult<()> {
        self.0.set(Timestamp::parse("instant", instant)?);
        Ok(())
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}
