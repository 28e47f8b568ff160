//! The figures behind a test of prompts: which variant a unit gets, whether the split is as meant, who won.

/// Exposures from which a broken split is looked for, and its alarm.
// Rule of experiments, growth.md 8.5.
const SRM_FROM: u64 = 100;
const SRM_ALARM: f64 = 0.001;
/// Variance of the differences that are looked for: a rate that moves by five points.
// Ours, 2026; the mixing variance of growth.md 8.3.
const MIXING: f64 = 0.0025;

/// FNV-1a, 32 bits.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A number in 0..1 in steps of 1/10 000 that a unit always gets: version 2 of GrowthBook's hash.
pub(super) fn bucket(seed: &str, unit: &str) -> f64 {
    let hash = fnv1a(&fnv1a(&format!("{seed}{unit}")).to_string());
    f64::from(hash % 10_000) / 10_000.0
}

/// The variant that a number falls into; none outside of the coverage.
pub(super) fn choose(weights: &[f64], coverage: f64, number: f64) -> Option<usize> {
    let mut from = 0.0;
    weights.iter().position(|weight| {
        let hit = number >= from && number < from + weight * coverage;
        from += weight;
        hit
    })
}

/// The chance of counts at least so uneven under the weights (chi-square). None below 100 exposures.
pub(super) fn split_p(counts: &[u64], weights: &[f64]) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if total < SRM_FROM || counts.len() < 2 {
        return None;
    }
    let sum: f64 = weights.iter().sum();
    let chi: f64 = counts
        .iter()
        .zip(weights)
        .map(|(count, weight)| {
            let meant = total as f64 * weight / sum;
            (*count as f64 - meant).powi(2) / meant
        })
        .sum();
    Some(chi_square_tail(chi, counts.len() - 1))
}

/// True when the split is not what was meant, and so no winner may be named.
pub(super) fn is_broken_split(p: Option<f64>) -> bool {
    p.is_some_and(|p| p < SRM_ALARM)
}

/// The chance that chi-square of so many degrees is above `x`, by the recurrence from one or two degrees on.
fn chi_square_tail(x: f64, degrees: usize) -> f64 {
    let half = x / 2.0;
    let (mut tail, mut term, first) = if degrees.is_multiple_of(2) {
        ((-half).exp(), (-half).exp(), 2)
    } else {
        (erfc(half.sqrt()), (-half).exp() / (std::f64::consts::PI * half).sqrt().max(f64::MIN_POSITIVE), 1)
    };
    let mut below = first;
    while below < degrees {
        term *= half / (below as f64 / 2.0);
        tail += term;
        below += 2;
    }
    tail.clamp(0.0, 1.0)
}

/// The complementary error function for `x` of 0 or more, to 1.5e-7.
// Abramowitz and Stegun 1964, 7.1.26.
fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592]
        .iter()
        .fold(0.0, |sum, c| sum * t + c);
    poly * t * (-x * x).exp()
}

/// The mixture sequential probability ratio for a mean difference `d` over `n` pairs, whose single difference has the
/// variance `s2`; looking early does not raise it.
// Johari et al. 2017, as in growth.md 8.3.
pub(super) fn msprt(n: f64, d: f64, s2: f64, t2: f64) -> f64 {
    let wide = s2 + n * t2;
    (s2 / wide).sqrt() * ((n * n * t2 * d * d) / (2.0 * s2 * wide)).exp()
}

/// Hits among the units that a variant was shown to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arm {
    pub(super) shown: u64,
    pub(super) hits: u64,
}

impl Arm {
    /// Its rate with one hit and one miss more, so that it has a variance.
    fn rate(self) -> f64 {
        (self.hits as f64 + 1.0) / (self.shown as f64 + 2.0)
    }
}

/// The arm that is above every other one beyond doubt: each comparison passes its share of `alpha`.
pub(super) fn winner(arms: &[Arm], alpha: f64) -> Option<usize> {
    let (best, top) = arms.iter().enumerate().max_by(|(_, a), (_, b)| a.rate().total_cmp(&b.rate()))?;
    let needed = arms.len().saturating_sub(1).max(1) as f64 / alpha;
    let beats = |other: &Arm| {
        let (a, b) = (top.rate(), other.rate());
        let s2 = a * (1.0 - a) + b * (1.0 - b);
        a > b && msprt(top.shown.min(other.shown) as f64, a - b, s2, MIXING) >= needed
    };
    let others = arms.iter().enumerate().filter(|(at, _)| *at != best);
    (arms.len() > 1 && others.map(|(_, arm)| arm).all(beats)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_growthbook() {
        assert_eq!(bucket("exp1", "user-7"), 0.202);
        let half = [0.5, 0.5];
        assert_eq!(choose(&half, 0.5, 0.249), Some(0));
        assert_eq!(choose(&half, 0.5, 0.25), None);
        assert_eq!(choose(&half, 0.5, 0.5), Some(1));
        assert_eq!(choose(&half, 0.5, 0.75), None);
        assert_eq!(choose(&half, 1.0, 0.9999), Some(1));
    }

    #[test]
    fn a_broken_split_is_seen() {
        let p = split_p(&[480, 520], &[0.5, 0.5]).unwrap();
        assert!((p - 0.2059).abs() < 1e-4, "{p}");
        assert!(!is_broken_split(Some(p)));
        assert!(is_broken_split(split_p(&[400, 600], &[0.5, 0.5])));
        assert_eq!(split_p(&[40, 50], &[0.5, 0.5]), None);
        // Tables: 5.991 at two degrees and 7.815 at three are 0.05.
        assert!((chi_square_tail(5.991, 2) - 0.05).abs() < 1e-4);
        assert!((chi_square_tail(7.815, 3) - 0.05).abs() < 1e-4);
    }

    #[test]
    fn a_winner_is_beyond_doubt() {
        assert!((msprt(200.0, 0.2, 1.0, 1.0) - 3.775_176).abs() < 1e-6);
        let arm = |shown, hits| Arm { shown, hits };
        assert_eq!(winner(&[arm(1000, 100), arm(1000, 200)], 0.05), Some(1));
        assert_eq!(winner(&[arm(1000, 100), arm(1000, 110)], 0.05), None);
        assert_eq!(winner(&[arm(1000, 0), arm(1000, 0)], 0.05), None);
        // The best must beat every other one.
        assert_eq!(winner(&[arm(1000, 195), arm(1000, 200), arm(1000, 10)], 0.05), None);
    }
}
