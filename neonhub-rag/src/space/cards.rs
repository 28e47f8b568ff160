//! What is kept in memory of the documents that search answers from, once something looks at them one by one.
//!
//! A document's record is several times as large as what filters ask for, and its labels are mostly those of its
//! neighbours: a card keeps the first and shares the second.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use neonhub_core::Timestamp;

use super::model::{Document, DocumentId, Trust, chunk_ids};

/// Words more than there were after the last look at which of them are still used.
const SPARE_WORDS: usize = 1_000;

/// What is kept of one document. Cards are equal, and in order, by their id.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) id: DocumentId,
    pub(super) space: Arc<str>,
    pub(super) dataset: Arc<str>,
    pub(super) title: Box<str>,
    pub(super) language: Option<Arc<str>>,
    pub(super) tags: Box<[Arc<str>]>,
    pub(super) consent_basis: Option<Arc<str>>,
    pub(super) content_hash: Box<str>,
    pub(super) ingested_at: Timestamp,
    pub(super) chunks: u32,
    pub(super) trust: Trust,
}

impl Card {
    /// The ids of its chunks.
    pub(super) fn chunk_ids(&self) -> impl Iterator<Item = String> {
        chunk_ids(self.id.as_str(), self.chunks)
    }
}

impl Ord for Card {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl PartialOrd for Card {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Card {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Card {}

impl Borrow<str> for Card {
    fn borrow(&self) -> &str {
        self.id.as_str()
    }
}

/// Words of cards, each kept once.
#[derive(Debug, Default)]
pub(super) struct Words {
    all: HashSet<Arc<str>>,
    used: usize,
}

impl Words {
    /// The card of a document.
    pub(super) fn card(&mut self, document: Document) -> Card {
        Card {
            space: self.shared(document.space.as_str()),
            dataset: self.shared(document.dataset.as_str()),
            title: document.title.into(),
            language: document.language.map(|language| self.shared(&language)),
            tags: document.tags.iter().map(|tag| self.shared(tag)).collect(),
            consent_basis: document.consent_basis.map(|basis| self.shared(&basis)),
            content_hash: document.content_hash.into(),
            ingested_at: document.ingested_at,
            chunks: document.chunks,
            trust: document.trust,
            id: document.id,
        }
    }

    fn shared(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.all.get(word) {
            return Arc::clone(known);
        }
        if self.all.len() >= 2 * self.used + SPARE_WORDS {
            self.all.retain(|word| Arc::strong_count(word) > 1);
            self.used = self.all.len();
        }
        let word: Arc<str> = word.into();
        self.all.insert(Arc::clone(&word));
        word
    }
}

/// The cards of a workspace, by id.
pub(super) type Cards = BTreeSet<Card>;

/// The cards of a space, by id.
pub(super) fn of_space<'c>(cards: &'c Cards, space: &str) -> impl Iterator<Item = &'c Card> {
    cards.iter().filter(move |card| &*card.space == space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_once_and_go_with_their_last_card() {
        let mut words = Words::default();
        let (first, second) = (words.shared("tag"), words.shared("tag"));
        assert!(Arc::ptr_eq(&first, &second));
        drop(second);
        for n in 0..10 * SPARE_WORDS {
            words.shared(&format!("word {n}"));
        }
        assert!(words.all.len() <= SPARE_WORDS + 2, "{}", words.all.len());
        assert!(Arc::ptr_eq(&first, &words.shared("tag")), "what is used stays");
    }
}
