//! The generic cell rate algorithm: one number per bucket says when its next call is in turn.
// ITU-T I.371 (1996), virtual scheduling form.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// So many calls per window; the whole window may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls, 1..=1 000 000.
    pub max: u32,
    /// Per this many milliseconds, 1..=31 days.
    pub per_ms: u64,
}

impl Rate {
    /// `max` calls per `per`.
    #[must_use]
    pub const fn new(max: u32, per: Duration) -> Self {
        Rate { max, per_ms: per.as_millis() as u64 }
    }

    /// Microseconds between two calls at an even pace, at least 1.
    fn pace(self) -> i64 {
        let per = i64::try_from(self.per_ms).unwrap_or(i64::MAX / 2_000).saturating_mul(1_000);
        (per / i64::from(self.max.max(1))).max(1)
    }

    /// How far ahead of the even pace a bucket may run: all but one call of the window.
    fn slack(self) -> i64 {
        self.pace().saturating_mul(i64::from(self.max.max(1)) - 1)
    }

    /// Calls a process may set aside at once: a tenth of the window.
    pub(super) fn block(self) -> u32 {
        (self.max / 10).max(1)
    }

    /// Takes `n` calls at `now` from a bucket whose next call is in turn at `turn` (microseconds): the new turn, or
    /// how long to wait. The instant after the wait admits, unless another caller takes it.
    ///
    /// # Errors
    /// The wait, in whole milliseconds.
    pub(super) fn take(self, turn: i64, now: Timestamp, n: u32) -> Result<i64, Duration> {
        let now = now.as_millis().saturating_mul(1_000);
        let next = turn.max(now).saturating_add(self.pace().saturating_mul(i64::from(n.max(1))));
        let early = next.saturating_sub(self.pace()).saturating_sub(self.slack()).saturating_sub(now);
        if early <= 0 {
            return Ok(next);
        }
        // Rounded up: a clock of milliseconds must stand past the instant when it shows it.
        Err(Duration::from_millis(u64::try_from(early).unwrap_or(0).div_ceil(1_000)))
    }

    /// Calls left at `now`.
    pub(super) fn left(self, turn: i64, now: Timestamp) -> u32 {
        let ahead = (turn - now.as_millis().saturating_mul(1_000)).max(0);
        let free = (self.slack() + self.pace() - ahead).max(0) / self.pace();
        u32::try_from(free).unwrap_or(u32::MAX).min(self.max)
    }

    /// Moves a turn ahead by `n` calls.
    pub(super) fn ahead(self, turn: i64, n: u32) -> i64 {
        turn.saturating_add(self.pace().saturating_mul(i64::from(n)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_instant_a_refusal_names_admits_and_none_before_does(
            max in 1_u32..500, per_ms in 1_u64..3_600_000, gaps in prop::collection::vec(0_i64..2_000, 1..400),
        ) {
            let rate = Rate { max, per_ms };
            let (mut turn, mut now) = (0, 1_700_000_000_000_i64);
            for gap in gaps {
                now += gap;
                match rate.take(turn, Timestamp::from_millis(now), 1) {
                    Ok(next) => {
                        prop_assert!(rate.left(turn, Timestamp::from_millis(now)) >= 1);
                        turn = next;
                    }
                    Err(wait) => {
                        let wait = i64::try_from(wait.as_millis()).unwrap();
                        prop_assert!(wait > 0);
                        prop_assert!(rate.take(turn, Timestamp::from_millis(now + wait), 1).is_ok());
                        prop_assert!(rate.take(turn, Timestamp::from_millis(now + wait - 1), 1).is_err());
                    }
                }
            }
        }

        #[test]
        fn no_window_holds_more_than_twice_its_calls(max in 1_u32..60, gaps in prop::collection::vec(0_i64..300, 1..300)) {
            let rate = Rate { max, per_ms: 10_000 };
            let (mut turn, mut now, mut admitted) = (0, 1_700_000_000_000_i64, Vec::new());
            for gap in gaps {
                now += gap;
                if let Ok(next) = rate.take(turn, Timestamp::from_millis(now), 1) {
                    turn = next;
                    admitted.push(now);
                }
            }
            for start in &admitted {
                let inside = admitted.iter().filter(|at| (*start..start + 10_000).contains(at)).count();
                // A full bucket at once, and what flows in during the window.
                prop_assert!(inside <= 2 * max as usize);
            }
        }
    }

    #[test]
    fn a_full_bucket_holds_its_window() {
        let rate = Rate::new(3, Duration::from_secs(60));
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut turn = 0;
        for left in [2, 1, 0] {
            turn = rate.take(turn, now, 1).unwrap();
            assert_eq!(rate.left(turn, now), left);
        }
        assert_eq!(rate.take(turn, now, 1).unwrap_err(), Duration::from_secs(20));
    }
}
