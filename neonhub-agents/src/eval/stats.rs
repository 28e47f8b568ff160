//! How sure a figure is: bootstrap intervals with seeded draws.

use neonhub_core::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Draws of one interval.
// Rule of agents, section 10: 10 000.
const DRAWS: usize = 10_000;
/// Places of the 2.5th and 97.5th percentile among the sorted draws.
const LOW: usize = 249;
const HIGH: usize = 9_749;
/// Fewest pairs from which a difference may be called one.
// Ours: of fewer cases the bootstrap knows too little, and a single one has no width at all.
pub(super) const LEAST_PAIRS: usize = 5;

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Its lower bound.
    pub lo: f64,
    /// Its upper bound.
    pub hi: f64,
}

/// What a difference of two runs says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval is above 0.
    Better,
    /// The whole interval is below 0.
    Worse,
    /// 0 lies inside of the interval.
    NoDifference,
    /// Fewer than five cases are in both.
    TooFewCases,
}

/// The mean of values with the percentile interval of its bootstrap; the same seed gives the same bounds.
// Efron 1979; percentile method.
pub(super) fn interval(values: &[f64], seed: u64) -> Interval {
    if values.is_empty() {
        return Interval::default();
    }
    let mean = |sum: f64| sum / values.len() as f64;
    let mut rng = Seed::from_number(seed).rng();
    let mut draws: Vec<f64> =
        (0..DRAWS).map(|_| mean((0..values.len()).filter_map(|_| rng.pick(values)).sum())).collect();
    draws.sort_by(f64::total_cmp);
    let at = |place: usize| draws.get(place).copied().unwrap_or_default();
    Interval { mean: mean(values.iter().sum()), lo: at(LOW), hi: at(HIGH) }
}

/// What the interval of paired differences says: never better or worse while 0 lies inside, bounds included.
pub(super) fn verdict(difference: &Interval, pairs: usize) -> Verdict {
    if pairs < LEAST_PAIRS {
        Verdict::TooFewCases
    } else if difference.lo > 0.0 {
        Verdict::Better
    } else if difference.hi < 0.0 {
        Verdict::Worse
    } else {
        Verdict::NoDifference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let values: Vec<f64> = (0..50).map(|i| (f64::from(i) * 0.618).fract()).collect();
        let one = interval(&values, 7);
        assert_eq!(one, interval(&values, 7));
        assert_ne!(one, interval(&values, 8));
        assert!(one.lo < one.mean && one.mean < one.hi, "{one:?}");
        assert_eq!(interval(&[], 1), Interval::default());
        let flat = interval(&[0.5; 9], 1);
        assert_eq!((flat.lo, flat.mean, flat.hi), (0.5, 0.5, 0.5));
    }

    #[test]
    fn the_interval_is_about_as_wide_as_theory_says() {
        // 200 coins: standard error of the mean 0.0354, interval about 0.139 wide.
        let values: Vec<f64> = (0..200).map(|i| f64::from(i % 2)).collect();
        let found = interval(&values, 3);
        assert!((found.hi - found.lo - 0.139).abs() < 0.015, "{found:?}");
    }

    #[test]
    fn nothing_is_better_while_zero_lies_inside() {
        let of = |lo, hi| verdict(&Interval { mean: (lo + hi) / 2.0, lo, hi }, 20);
        assert_eq!(of(0.01, 0.2), Verdict::Better);
        assert_eq!(of(0.0, 0.4), Verdict::NoDifference);
        assert_eq!(of(-0.1, 0.4), Verdict::NoDifference);
        assert_eq!(of(-0.4, -0.1), Verdict::Worse);
        assert_eq!(verdict(&Interval { mean: 1.0, lo: 1.0, hi: 1.0 }, 4), Verdict::TooFewCases);
    }
}
