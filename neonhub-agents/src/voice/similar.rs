//! Lexical likeness of texts: bags of words and inner character trigrams, and word shingles.

use std::collections::{BTreeMap, BTreeSet};

use super::text;

/// A bag of features of one or more texts.
#[derive(Clone, Debug, Default)]
pub struct Bag(BTreeMap<String, f64>);

impl Bag {
    /// Adds the features of `text`: each word counts 1, its character trigrams share 1.
    pub fn add(&mut self, text: &str) {
        for word in text::words(text) {
            let lower: String = word.text.to_lowercase().chars().map(text::fold_mark).collect();
            let padded: Vec<char> = std::iter::once('^').chain(lower.chars()).chain(['$']).collect();
            let grams = padded.len().saturating_sub(2).max(1) as f64;
            for gram in padded.windows(3) {
                *self.0.entry(gram.iter().collect()).or_default() += 1.0 / grams;
            }
            *self.0.entry(lower).or_default() += weight(word.text);
        }
    }

    /// True when nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Cosine of the two bags with logarithmic counts, 0..=1.
    #[must_use]
    pub fn cosine(&self, other: &Bag) -> f64 {
        let log = |x: &f64| (1.0 + x).ln();
        let norm = |b: &Bag| b.0.values().map(|v| log(v).powi(2)).sum::<f64>().sqrt();
        let dot: f64 = self.0.iter().filter_map(|(k, v)| other.0.get(k).map(|o| log(v) * log(o))).sum();
        let scale = norm(self) * norm(other);
        if scale == 0.0 { 0.0 } else { dot / scale }
    }
}

/// Very common words say little about a topic, yet a little about a style. Ours.
fn weight(word: &str) -> f64 {
    if word.chars().count() <= 3 { 0.3 } else { 1.0 }
}

/// Word trigrams of a text in lower case, links left out.
#[must_use]
pub fn shingles(text: &str) -> BTreeSet<String> {
    let words: Vec<String> = text::words(text).iter().map(|w| w.text.to_lowercase()).collect();
    if words.len() < 3 {
        return words.into_iter().collect();
    }
    words.windows(3).map(|w| w.join(" ")).collect()
}

/// Shared part of two sets, 0..=1; two empty sets are the same.
#[must_use]
pub fn jaccard(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let union = a.union(b).count();
    if union == 0 { 1.0 } else { a.intersection(b).count() as f64 / union as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(text: &str) -> Bag {
        let mut bag = Bag::default();
        bag.add(text);
        bag
    }

    #[test]
    fn like_texts_are_closer() {
        let a = bag("fresh sourdough bread from our oven");
        let near = a.cosine(&bag("our oven bakes fresh bread"));
        assert!(near > a.cosine(&bag("latency dashboards for platform teams")) + 0.2);
        assert!((a.cosine(&a) - 1.0).abs() < 1e-9);
        assert!(Bag::default().cosine(&a).abs() < 1e-9);
    }

    #[test]
    fn shingles_measure_shared_wording() {
        let a = shingles("one two three four");
        assert!((jaccard(&a, &shingles("one two three five")) - 1.0 / 3.0).abs() < 1e-9);
        assert!((jaccard(&a, &a) - 1.0).abs() < 1e-9);
    }
}
