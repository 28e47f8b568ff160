//! How alike two texts are: overlap of their runs of three words.

use std::collections::BTreeSet;

use super::text;

/// The runs of three words of a text; of the whole text when it has fewer.
pub(super) type Shingles = BTreeSet<Vec<String>>;

/// Lower-cased runs of three words.
pub(super) fn shingles(of: &str) -> Shingles {
    let words: Vec<String> = text::words(of).map(|w| w.to_lowercase()).collect();
    if words.len() < 3 {
        return std::iter::once(words).collect();
    }
    words.windows(3).map(<[String]>::to_vec).collect()
}

/// Shared runs over all runs, 0..=1 (Broder 1997, resemblance).
pub(super) fn jaccard(a: &Shingles, b: &Shingles) -> f64 {
    let shared = a.intersection(b).count();
    let all = a.len() + b.len() - shared;
    if all == 0 { 1.0 } else { shared as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_counted_in_runs_of_three() {
        let of = |a: &str, b: &str| jaccard(&shingles(a), &shingles(b));
        assert!((of("a b c d", "a b c e") - 1.0 / 3.0).abs() < 1e-12);
        assert!((of("Hi there", "hi, THERE!") - 1.0).abs() < 1e-12);
        assert!(of("one", "two").abs() < 1e-12);
    }
}
