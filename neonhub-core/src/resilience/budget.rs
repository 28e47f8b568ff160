//! A budget for retries: a downstream that fails is not hit several times as hard.

use std::collections::VecDeque;

use crate::Timestamp;

// Defaults of Finagle's RetryBudget, 2016: a fifth of the calls of the last 10 s, and 10 per second besides.
const WINDOW_MS: i64 = 10_000;
const SHARE_PERCENT: u64 = 20;
const PER_SECOND: u64 = 10;

/// Calls and retries of one downstream in the last 10 seconds, by second.
#[derive(Debug, Default)]
pub(super) struct RetryBudget {
    seconds: VecDeque<(i64, u64, u64)>,
}

impl RetryBudget {
    /// Notes a first try.
    pub(super) fn call(&mut self, now: Timestamp) {
        self.note(now, 1, 0);
    }

    /// Takes one retry; false when the budget is used up.
    pub(super) fn retry(&mut self, now: Timestamp) -> bool {
        self.note(now, 0, 0);
        let (calls, retries) = self.seconds.iter().fold((0, 0), |(c, r), s| (c + s.1, r + s.2));
        let allowed = calls * SHARE_PERCENT / 100 + PER_SECOND * WINDOW_MS.unsigned_abs() / 1_000;
        if retries >= allowed {
            return false;
        }
        self.note(now, 0, 1);
        true
    }

    fn note(&mut self, now: Timestamp, calls: u64, retries: u64) {
        let second = now.as_millis().div_euclid(1_000);
        self.seconds.retain(|s| s.0 > second - WINDOW_MS / 1_000 && s.0 <= second);
        match self.seconds.back_mut() {
            Some(last) if last.0 == second => *last = (second, last.1 + calls, last.2 + retries),
            _ => self.seconds.push_back((second, calls, retries)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_calls_and_ten_per_second_may_be_repeated() {
        let mut budget = RetryBudget::default();
        let now = Timestamp::from_millis(1_000_000);
        (0..1_000).for_each(|_| budget.call(now));
        assert_eq!((0..1_000).filter(|_| budget.retry(now)).count(), 200 + 100);
        let later = Timestamp::from_millis(1_010_000);
        assert_eq!((0..1_000).filter(|_| budget.retry(later)).count(), 100, "the window has moved on");
    }
}
