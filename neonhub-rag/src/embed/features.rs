//! The features of a text: character grams inside words, stemmed words, word pairs.

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

/// Features by ascending hash. The hash is xxh3-64, which is defined byte for byte.
pub(super) fn features(text: &str) -> Vec<(u64, Feature)> {
    // The language of a query of three words cannot be told, and query and passage must meet on the same
    // features, so one stemmer serves all languages.
    let stemmer = Stemmer::create(Algorithm::English);
    let text: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let mut all = Shares::default();
    let mut before: Option<String> = None;
    let (mut edged, mut bounds) = (String::new(), Vec::new());
    for word in text.unicode_words() {
        mark(word, &mut edged, &mut bounds);
        let grams = || grams(&edged, &bounds);
        let share = 1.0 / grams().count().max(1) as f64;
        for gram in grams() {
            all.add(b'g', gram, share);
        }
        let stem = stemmer.stem(word).into_owned();
        all.add(b'w', &stem, WORD_WEIGHT);
        if let Some(before) = before.replace(stem.clone()) {
            all.add(b'p', &format!("{before} {stem}"), WORD_WEIGHT);
        }
    }
    all.by_feature()
}

/// What each occurrence of a feature gives.
#[derive(Default)]
struct Shares {
    all: Vec<(u64, f64)>,
    key: Vec<u8>,
}

impl Shares {
    fn add(&mut self, kind: u8, text: &str, weight: f64) {
        self.key.clear();
        self.key.push(kind);
        self.key.extend_from_slice(text.as_bytes());
        self.all.push((xxh3_64(&self.key), weight));
    }

    /// The shares of one feature are added up as they came, for sums that have the same bits everywhere.
    fn by_feature(mut self) -> Vec<(u64, Feature)> {
        self.all.sort_by_key(|(hash, _)| *hash);
        let mut out: Vec<(u64, Feature)> = Vec::new();
        for (hash, weight) in self.all {
            match out.last_mut().filter(|(last, _)| *last == hash) {
                Some((_, feature)) => {
                    feature.count += 1;
                    feature.weight += weight;
                }
                None => out.push((hash, Feature { count: 1, weight })),
            }
        }
        out
    }
}

/// A word between its edges, and where its characters begin and the last one ends.
fn mark(word: &str, edged: &mut String, bounds: &mut Vec<usize>) {
    edged.clear();
    edged.push(EDGE);
    edged.push_str(word);
    edged.push(EDGE);
    bounds.clear();
    bounds.extend(edged.char_indices().map(|(at, _)| at));
    bounds.push(edged.len());
}

/// Character 3-, 4- and 5-grams of a marked word.
fn grams<'a>(edged: &'a str, bounds: &'a [usize]) -> impl Iterator<Item = &'a str> {
    let sized = |size: usize| bounds.windows(size + 1);
    let spans = (3..=5).flat_map(sized);
    spans.filter_map(|span| edged.get(*span.first()?..*span.last()?))
}
