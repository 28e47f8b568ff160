//! Which chunks of an index may be seen.

use tantivy::columnar::Column;
use tantivy::{DocAddress, DocId, Searcher};

use super::super::IdSet;
use super::tail::Tail;

/// Which chunks may be seen.
#[derive(Debug)]
pub(super) struct Allowed<'a> {
    tail: &'a Tail,
    /// Their ids, and by segment the column that keeps the key of each chunk. `None` leaves nothing out.
    filter: Option<(&'a IdSet, Vec<Column<u64>>)>,
}

impl<'a> Allowed<'a> {
    pub(super) fn new(
        within: Option<&'a IdSet>,
        searcher: &Searcher,
        tail: &'a Tail,
    ) -> tantivy::Result<Self> {
        let Some(ids) = within else { return Ok(Self { tail, filter: None }) };
        let columns = searcher.segment_readers().iter().map(|segment| segment.fast_fields().u64("key"));
        Ok(Self { tail, filter: Some((ids, columns.collect::<tantivy::Result<_>>()?)) })
    }

    /// True when nothing is left out.
    pub(super) fn is_all(&self) -> bool {
        self.filter.is_none()
    }

    /// True when a chunk of a segment is there and may be seen.
    pub(super) fn holds(&self, segment: u32, doc: DocId) -> bool {
        let is_seen = self.filter.as_ref().is_none_or(|(ids, columns)| {
            let column = columns.get(segment as usize);
            column.and_then(|column| column.first(doc)).is_some_and(|key| ids.holds(key))
        });
        is_seen && !self.tail.is_gone(DocAddress::new(segment, doc))
    }

    /// True when a chunk in memory is there and may be seen.
    pub(super) fn holds_waiting(&self, number: DocId) -> bool {
        let key = self.tail.key(number);
        key.is_some_and(|key| self.filter.as_ref().is_none_or(|(ids, _)| ids.holds(key)))
    }
}
