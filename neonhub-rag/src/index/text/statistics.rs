//! The statistics of BM25 over the documents that may be seen.

use std::collections::BTreeMap;

use tantivy::columnar::Column;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, Searcher, SegmentReader, TERMINATED, Term};

use super::collect::{Allowed, key_column};

/// Counts over live, allowed documents.
pub(super) struct Statistics<'a> {
    searcher: &'a Searcher,
    allowed: &'a Allowed,
    columns: Vec<Column<u64>>,
    totals: Totals,
}

/// Number of documents and of the words of each field.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    docs: u64,
    tokens: BTreeMap<Field, u64>,
}

impl<'a> Statistics<'a> {
    /// Counts documents and lengths, in one pass over the documents, unless they are known.
    pub(super) fn new(
        searcher: &'a Searcher,
        allowed: &'a Allowed,
        fields: [Field; 3],
        known: Option<Totals>,
    ) -> tantivy::Result<Self> {
        let columns =
            searcher.segment_readers().iter().map(key_column).collect::<tantivy::Result<Vec<_>>>()?;
        let is_known = known.is_some();
        let mut out = Self { searcher, allowed, columns, totals: known.unwrap_or_default() };
        if is_known {
            return Ok(out);
        }
        for (segment, column) in searcher.segment_readers().iter().zip(&out.columns) {
            let norms = fields
                .iter()
                .map(|f| Ok((*f, segment.get_fieldnorms_reader(*f)?)))
                .collect::<tantivy::Result<Vec<_>>>()?;
            for doc in segment.doc_ids_alive().filter(|doc| out.allowed.holds(column, *doc)) {
                out.totals.docs += 1;
                for (field, reader) in &norms {
                    *out.totals.tokens.entry(*field).or_default() += u64::from(reader.fieldnorm(doc));
                }
            }
        }
        Ok(out)
    }

    /// What was counted.
    pub(super) fn totals(&self) -> Totals {
        self.totals.clone()
    }

    fn count(&self, segment: &SegmentReader, column: &Column<u64>, term: &Term) -> tantivy::Result<u64> {
        let inverted = segment.inverted_index(term.field())?;
        if self.allowed.is_all() && segment.alive_bitset().is_none() {
            return Ok(u64::from(inverted.doc_freq(term)?));
        }
        let Some(mut postings) = inverted.read_postings(term, IndexRecordOption::Basic)? else {
            return Ok(0);
        };
        let mut count = 0;
        while postings.doc() != TERMINATED {
            let doc = postings.doc();
            if !segment.is_deleted(doc) && self.allowed.holds(column, doc) {
                count += 1;
            }
            postings.advance();
        }
        Ok(count)
    }
}

impl Bm25StatisticsProvider for Statistics<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        Ok(self.totals.tokens.get(&field).copied().unwrap_or(0))
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.totals.docs)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let mut count = 0;
        for (segment, column) in self.searcher.segment_readers().iter().zip(&self.columns) {
            count += self.count(segment, column, term)?;
        }
        Ok(count)
    }
}
