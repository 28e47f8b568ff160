//! The circuit breaker: a target that keeps failing is left alone for a while.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::{Index, Key, Record};
use crate::{ErrorKind, Timestamp};

/// Failures in a row that open it.
// The figures of the earlier NeonHub web platform: 3 failures, 10 s.
pub(crate) const FAILURES: u32 = 3;
/// How long it stays open, in milliseconds.
pub(crate) const OPEN_MS: u64 = 10_000;
/// How long a trial may take before another is let through, in milliseconds.
// Our choice: as long as a call may take by default.
const TRIAL_MS: u64 = 30_000;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls pass.
    #[default]
    Closed,
    /// Calls are refused until an instant.
    Open,
    /// One call is on trial, the rest are refused.
    HalfOpen,
}

/// The breaker of one target, as it is stored and shared by processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Breaker {
    /// The target, such as `model:openai` or `connection:smtp`.
    pub target: String,
    /// Where it stands.
    #[serde(default)]
    pub state: BreakerState,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// Open: refused until then. Half open: the trial counts as lost then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The kind of the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// How often it opened.
    #[serde(default)]
    pub trips: u32,
}

impl Record for Breaker {
    const KIND: &'static str = "breaker";
    const INDEXES: &'static [Index] = &[Index::on("target")];
    fn id(&self) -> &str {
        &self.target
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.target))]
    }
}

/// What an end of a call means for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Nothing: a fault of the caller, a rate limit, a budget of ours.
    None,
    /// One failure.
    Counted,
    /// The provider will refuse everything: it opens at once.
    AtOnce,
}

/// Weighs a failure of the provider.
pub(super) fn weigh(kind: ErrorKind) -> Weight {
    match kind {
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::OutcomeUnknown | ErrorKind::Internal => {
            Weight::Counted
        }
        ErrorKind::BudgetExceeded | ErrorKind::Unauthenticated => Weight::AtOnce,
        _ => Weight::None,
    }
}

/// What a breaker says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// Go on.
    Pass,
    /// Go on as the one trial; the new state must be stored first.
    Try,
    /// Not before an instant.
    Wait(Timestamp),
}

impl Breaker {
    pub(super) fn new(target: &str) -> Self {
        Breaker { target: target.to_owned(), ..Breaker::default() }
    }

    /// Whether a call may go on, moving to half open when the pause is over.
    pub(super) fn ask(&mut self, now: Timestamp) -> Say {
        match (self.state, self.until) {
            (BreakerState::Closed, _) => Say::Pass,
            (_, Some(until)) if now < until => Say::Wait(until),
            _ => {
                self.state = BreakerState::HalfOpen;
                self.until = Some(now.plus(std::time::Duration::from_millis(TRIAL_MS)));
                Say::Try
            }
        }
    }

    /// Notes how a call ended; true when the stored state must change.
    pub(super) fn note(&mut self, failure: Option<ErrorKind>, now: Timestamp) -> bool {
        let weight = failure.map_or(Weight::None, weigh);
        match (failure, weight) {
            (Some(_), Weight::None) => {
                // The target answered; a trial that met the caller's own fault proves that it is there.
                self.state == BreakerState::HalfOpen && self.close()
            }
            (None, _) => self.close(),
            (Some(kind), weight) => {
                self.failures = self.failures.saturating_add(1);
                self.last = Some(kind.code().to_owned());
                let opens = weight == Weight::AtOnce
                    || self.state == BreakerState::HalfOpen
                    || self.failures >= FAILURES;
                if opens && self.state != BreakerState::Open {
                    self.state = BreakerState::Open;
                    self.until = Some(now.plus(std::time::Duration::from_millis(OPEN_MS)));
                    self.trips = self.trips.saturating_add(1);
                    return true;
                }
                false
            }
        }
    }

    /// Closes it; true when it was not closed before.
    pub(super) fn close(&mut self) -> bool {
        let was_shut = self.state != BreakerState::Closed;
        self.state = BreakerState::Closed;
        self.failures = 0;
        self.until = None;
        was_shut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    #[test]
    fn three_failures_open_it_for_ten_seconds_then_one_trial_decides() {
        let mut breaker = Breaker::new("model:a");
        let down = Some(ErrorKind::Unavailable);
        assert!(!breaker.note(down, at(0)) && !breaker.note(down, at(1)));
        assert_eq!(breaker.ask(at(2)), Say::Pass);
        assert!(breaker.note(down, at(2)));
        assert_eq!(breaker.ask(at(10_001)), Say::Wait(at(10_002)));
        assert_eq!(breaker.ask(at(10_002)), Say::Try);
        assert!(matches!(breaker.ask(at(10_003)), Say::Wait(_)), "one trial, not two");
        assert!(breaker.note(down, at(10_004)), "a failed trial opens it again");
        assert_eq!(breaker.ask(at(20_004)), Say::Try);
        assert!(breaker.note(None, at(20_005)));
        assert_eq!((breaker.ask(at(20_006)), breaker.failures, breaker.trips), (Say::Pass, 0, 2));
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        let mut breaker = Breaker::new("model:a");
        for n in 0..10 {
            assert!(!breaker.note(Some(ErrorKind::Timeout), at(n)));
            assert!(!breaker.note(Some(ErrorKind::Timeout), at(n)));
            breaker.note(None, at(n));
        }
        assert_eq!(breaker.state, BreakerState::Closed);
    }

    #[test]
    fn faults_of_the_caller_do_not_count_and_spent_accounts_open_at_once() {
        let mut breaker = Breaker::new("model:a");
        for kind in [ErrorKind::InvalidInput, ErrorKind::RateLimited, ErrorKind::Blocked, ErrorKind::NotFound]
        {
            (0..5).for_each(|_| assert!(!breaker.note(Some(kind), at(0))));
        }
        assert_eq!(breaker.state, BreakerState::Closed);
        assert!(breaker.note(Some(ErrorKind::BudgetExceeded), at(0)));
        let mut other = Breaker::new("model:b");
        assert!(other.note(Some(ErrorKind::Unauthenticated), at(0)));
    }

    #[test]
    fn a_lost_trial_gives_way_to_another() {
        let mut breaker = Breaker::new("model:a");
        breaker.note(Some(ErrorKind::BudgetExceeded), at(0));
        assert_eq!(breaker.ask(at(10_000)), Say::Try);
        assert!(matches!(breaker.ask(at(39_999)), Say::Wait(_)));
        assert_eq!(breaker.ask(at(40_000)), Say::Try);
    }
}
