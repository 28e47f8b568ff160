//! In how many texts of a collection a feature occurs, counted in buckets.

use serde::{Deserialize, Serialize};

use super::features::features;
use super::real::ln;

/// Number of buckets.
const BUCKETS: usize = 1 << 14;

/// Document frequencies of one collection, frozen for one epoch.
///
/// Vectors made with different counts are not comparable, so a collection freezes its counts and embeds all of
/// its texts again when it takes new ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketCounts {
    /// Number of texts counted.
    pub texts: u32,
    /// Texts per bucket; features that share a bucket share the count.
    buckets: Vec<u32>,
}

impl BucketCounts {
    /// Counts of no text.
    #[must_use]
    pub fn empty() -> Self {
        Self { texts: 0, buckets: vec![0; BUCKETS] }
    }

    /// Adds one text.
    pub fn add(&mut self, text: &str) {
        self.texts = self.texts.saturating_add(1);
        let mut seen: Vec<usize> = features(text).into_iter().map(|(hash, _)| bucket(hash)).collect();
        seen.sort_unstable();
        seen.dedup();
        for bucket in seen {
            if let Some(count) = self.buckets.get_mut(bucket) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// The built-in table: what a thousand English, German, French and Spanish texts hold of function words.
    ///
    /// It keeps `the` and `und` from deciding which short texts are alike before a collection has counts.
    #[must_use]
    pub fn built_in() -> Self {
        let mut counts = Self::empty();
        counts.texts = 1_000;
        for (words, texts) in FUNCTION_WORDS {
            for word in words.split(' ') {
                for bucket in features(word).into_iter().map(|(hash, _)| bucket(hash)) {
                    if let Some(count) = counts.buckets.get_mut(bucket) {
                        *count = (*count).max(*texts);
                    }
                }
            }
        }
        counts
    }

    /// Inverse document frequency of a feature: `ln((1 + N) / (1 + df)) + 1`, at least 1.
    pub(super) fn idf(&self, hash: u64) -> f64 {
        let df = self.buckets.get(bucket(hash)).copied().unwrap_or(0);
        let (n, df) = (f64::from(self.texts) + 1.0, f64::from(df) + 1.0);
        ln((n / df).max(1.0)) + 1.0
    }

    /// False when the counts were cut or grown by hand.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.buckets.len() == BUCKETS
    }
}

/// The bucket of a hash; other bits than those that choose the dimension.
fn bucket(hash: u64) -> usize {
    (hash >> 20) as usize & (BUCKETS - 1)
}

/// Function words by the number of 1 000 paragraphs that hold them, rounded.
// Ranks by the word lists of Wiktionary's frequency lists (2016 subtitles), read 2026-08-30; shares are rough.
const FUNCTION_WORDS: &[(&str, u32)] = &[
    ("the of and to a in is that", 800),
    ("for it you with on as this be are we your not or at by an from have our was", 500),
    ("der die und das in zu den ist mit von", 300),
    ("nicht ein eine es sie wir auf für dem im sich auch als", 200),
    ("de la le et les des en un une à que est pour", 300),
    ("du dans il qui ne sur se pas plus par nous vous au", 200),
    ("el los y las por con una su del al lo como más para se", 250),
];
