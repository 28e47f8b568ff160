//! Collects the best documents among the allowed ones, ties included.

use std::collections::HashSet;
use std::sync::Arc;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::super::IdSet;
use super::key;

/// Most documents with the score of the last hit that are kept to break the tie by id.
const MAX_TIES: usize = 256;

/// Which documents may be seen.
#[derive(Debug)]
pub(super) struct Allowed {
    keys: Option<Arc<HashSet<u64>>>,
}

impl Allowed {
    pub(super) fn new(within: Option<&IdSet>) -> Self {
        Self { keys: within.map(|ids| Arc::new(ids.iter().map(|id| key(id)).collect())) }
    }

    /// True when nothing is left out.
    pub(super) fn is_all(&self) -> bool {
        self.keys.is_none()
    }

    /// True when the document of a key column may be seen.
    pub(super) fn holds(&self, column: &Column<u64>, doc: DocId) -> bool {
        self.keys.as_ref().is_none_or(|keys| column.first(doc).is_some_and(|key| keys.contains(&key)))
    }
}

/// The column that keeps the key of each document.
pub(super) fn key_column(segment: &SegmentReader) -> tantivy::Result<Column<u64>> {
    segment.fast_fields().u64("key")
}

/// The best `k` and those with an equal score.
pub(super) struct Best<'a> {
    pub(super) k: usize,
    pub(super) allowed: &'a Allowed,
}

/// The best of one segment.
pub(super) struct BestOfSegment {
    column: Column<u64>,
    allowed: Option<Arc<HashSet<u64>>>,
    segment: SegmentOrdinal,
    found: Vec<(Score, DocAddress)>,
    k: usize,
}

impl Collector for Best<'_> {
    type Fruit = Vec<(Score, DocAddress)>;
    type Child = BestOfSegment;

    fn for_segment(&self, segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<BestOfSegment> {
        Ok(BestOfSegment {
            column: key_column(reader)?,
            allowed: self.allowed.keys.clone(),
            segment,
            found: Vec::new(),
            k: self.k,
        })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Self::Fruit>) -> tantivy::Result<Self::Fruit> {
        Ok(best(segments.into_iter().flatten().collect(), self.k))
    }
}

impl SegmentCollector for BestOfSegment {
    type Fruit = Vec<(Score, DocAddress)>;

    fn collect(&mut self, doc: DocId, score: Score) {
        let is_allowed = self
            .allowed
            .as_ref()
            .is_none_or(|keys| self.column.first(doc).is_some_and(|key| keys.contains(&key)));
        if is_allowed {
            self.found.push((score, DocAddress::new(self.segment, doc)));
            // Keeps memory small on a word that stands in every chunk.
            if self.found.len() >= 8 * (self.k + MAX_TIES) {
                self.found = best(std::mem::take(&mut self.found), self.k);
            }
        }
    }

    fn harvest(self) -> Self::Fruit {
        best(self.found, self.k)
    }
}

fn best(mut found: Vec<(Score, DocAddress)>, k: usize) -> Vec<(Score, DocAddress)> {
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    if let Some((last, _)) = k.checked_sub(1).and_then(|n| found.get(n)).copied() {
        let ties = found.iter().skip(k).take_while(|(score, _)| *score == last).count().min(MAX_TIES);
        found.truncate(k + ties);
    }
    found
}
