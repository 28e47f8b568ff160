//! Pauses between tries.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How pauses between tries grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackoffKind {
    /// Always the base.
    Fixed,
    /// Doubles with each failure.
    Exponential,
}

/// Whether pauses are spread by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Anything between 0 and the pause.
    // "Full jitter": Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    Full,
    /// Exactly the pause.
    None,
}

/// Pauses between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// How they grow.
    pub kind: BackoffKind,
    /// First pause in milliseconds, at least 1.
    pub base_ms: u64,
    /// Longest pause in milliseconds.
    pub cap_ms: u64,
    /// Whether they are spread by chance.
    pub jitter: Jitter,
}

impl Backoff {
    /// Doubling from `base` up to `cap`, with full jitter.
    #[must_use]
    pub const fn doubling(base: Duration, cap: Duration) -> Self {
        Backoff {
            kind: BackoffKind::Exponential,
            base_ms: base.as_millis() as u64,
            cap_ms: cap.as_millis() as u64,
            jitter: Jitter::Full,
        }
    }

    /// Always the same pause.
    #[must_use]
    pub const fn fixed(pause: Duration) -> Self {
        let ms = pause.as_millis() as u64;
        Backoff { kind: BackoffKind::Fixed, base_ms: ms, cap_ms: ms, jitter: Jitter::None }
    }

    /// The longest pause after the `nth` failure, counted from 1, before chance.
    #[must_use]
    pub fn ceiling_ms(&self, nth: u16) -> u64 {
        match self.kind {
            BackoffKind::Fixed => self.base_ms.min(self.cap_ms),
            BackoffKind::Exponential => {
                let doubling = 1_u64 << u32::from(nth.saturating_sub(1)).min(40);
                self.base_ms.saturating_mul(doubling).min(self.cap_ms)
            }
        }
    }
}
