//! The features of a text: character grams inside words, stemmed words, word pairs.

use std::collections::BTreeMap;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;
use xxhash_rust::xxh3::xxh3_64;

/// Weight of a stemmed word and of a word pair against the grams of one word together.
const WORD_WEIGHT: f64 = 0.3;
/// Marks of the start and end of a word, so that `art` differs in `art` and `start`.
const EDGE: char = '\u{1}';

/// One feature of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Feature {
    /// How often it occurs.
    pub(super) count: u32,
    /// Sum of its shares over all occurrences.
    pub(super) weight: f64,
}

/// Features by hash. The hash is xxh3-64, which is defined byte for byte.
pub(super) fn features(text: &str) -> BTreeMap<u64, Feature> {
    // The language of a query of three words cannot be told, and query and passage must meet on the same
    // features, so one stemmer serves all languages.
    let stemmer = Stemmer::create(Algorithm::English);
    let text: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let mut out: BTreeMap<u64, Feature> = BTreeMap::new();
    let mut add = |kind: u8, bytes: &str, weight: f64| {
        let mut key = Vec::with_capacity(bytes.len() + 1);
        key.push(kind);
        key.extend_from_slice(bytes.as_bytes());
        let feature = out.entry(xxh3_64(&key)).or_default();
        feature.count += 1;
        feature.weight += weight;
    };
    let mut before: Option<String> = None;
    for word in text.unicode_words() {
        let grams = grams(word);
        let share = 1.0 / grams.len().max(1) as f64;
        for gram in &grams {
            add(b'g', gram, share);
        }
        let stem = stemmer.stem(word).into_owned();
        add(b'w', &stem, WORD_WEIGHT);
        if let Some(before) = before.replace(stem.clone()) {
            add(b'p', &format!("{before} {stem}"), WORD_WEIGHT);
        }
    }
    out
}

/// Character 3-, 4- and 5-grams of a word with its edges marked.
fn grams(word: &str) -> Vec<String> {
    let chars: Vec<char> = std::iter::once(EDGE).chain(word.chars()).chain(std::iter::once(EDGE)).collect();
    let mut out = Vec::new();
    for size in 3..=5 {
        out.extend(chars.windows(size).map(|w| w.iter().collect::<String>()));
    }
    out
}
