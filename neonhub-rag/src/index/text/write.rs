//! Changing the text index: a few chunks in memory, many in a commit.

use std::sync::PoisonError;

use neonhub_core::Result;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::schema::IndexRecordOption;
use tantivy::tokenizer::PreTokenizedString;
use tantivy::{DocAddress, DocSet as _, IndexWriter, Searcher, TERMINATED, TantivyDocument, Term};

use super::super::ids::key;
use super::rank::{Totals, lengths};
use super::tail::{Added, Tail};
use super::{TextDoc, TextIndex, analyse, fault};

/// Memory of the writer: the least that tantivy accepts. It is given back after each commit.
const WRITER_BYTES: usize = 15_000_000;
/// Share of deleted chunks of a segment above which a commit writes it anew without them.
const MOST_DELETED: f32 = 0.2;
/// Most changes that wait in memory. A commit takes some 50 ms whatever it holds (2026): spread over so many, less than one.
const MOST_WAITING: usize = 64;

impl TextIndex {
    /// Removes and adds a few chunks in memory: every search finds them, the files stay as they are until the next
    /// [`apply`](Self::apply). An added id replaces the one before. False, with nothing done, when so much waits already
    /// that it is worth a commit.
    ///
    /// # Errors
    /// `Internal` when the files cannot be read; nothing is then done.
    pub fn hold(&self, removed: &[&str], added: &[TextDoc<'_>]) -> Result<bool> {
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        if tail.changes() + removed.len() + added.len() > MOST_WAITING {
            return Ok(false);
        }
        let searcher = self.reader.searcher();
        let ids = removed.iter().copied().chain(added.iter().map(|doc| doc.id));
        let mut leaving = Vec::new();
        for id in ids.clone() {
            leaving.extend(self.in_files(&searcher, id).map_err(fault)?);
        }
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unused = Totals::default();
        let totals = totals.as_mut().unwrap_or(&mut unused);
        for (address, id, words) in leaving {
            if tail.take_out(address, id) {
                totals.remove(words);
            }
        }
        for id in ids {
            tail.remove(id).into_iter().for_each(|words| totals.remove(words));
        }
        for doc in added {
            let tokens = tokens(doc);
            let (language, document) = (doc.language.unwrap_or_default(), self.document(doc));
            totals.add(tail.add(Added { id: doc.id, key: key(doc.id), language, tokens: &tokens, document }));
        }
        Ok(true)
    }

    /// Where a chunk stands in the files, with the words of each field.
    fn in_files<'i>(
        &self,
        searcher: &Searcher,
        id: &'i str,
    ) -> tantivy::Result<Option<(DocAddress, &'i str, [u32; 3])>> {
        let term = Term::from_field_text(self.fields.id, id);
        for (number, segment) in (0..).zip(searcher.segment_readers()) {
            let postings = segment.inverted_index(self.fields.id)?;
            let Some(mut postings) = postings.read_postings(&term, IndexRecordOption::Basic)? else {
                continue;
            };
            while postings.doc() != TERMINATED {
                let doc = postings.doc();
                if !segment.is_deleted(doc) {
                    let fields = [self.fields.title, self.fields.headings, self.fields.body];
                    let words = lengths(segment, fields)?.map(|lengths| lengths.fieldnorm(doc));
                    return Ok(Some((DocAddress::new(number, doc), id, words)));
                }
                postings.advance();
            }
        }
        Ok(None)
    }

    /// Removes and adds chunks in one commit, together with what waits in memory and a stamp. An added id replaces the one
    /// before.
    ///
    /// # Errors
    /// `Internal` when the commit fails; nothing of it is then seen.
    pub fn apply(&self, removed: &[&str], added: &[TextDoc<'_>], stamp: &str) -> Result<()> {
        self.commit(stamp, |writer, tail| {
            let remove = |id: &str| {
                writer.delete_term(Term::from_field_text(self.fields.id, id));
            };
            tail.gone().for_each(remove);
            for document in tail.documents() {
                writer.add_document(document.clone())?;
            }
            removed.iter().copied().chain(added.iter().map(|doc| doc.id)).for_each(remove);
            for doc in added {
                writer.add_document(self.document(doc))?;
            }
            Ok(())
        })
    }

    /// Removes everything.
    ///
    /// # Errors
    /// `Internal` when the commit fails.
    pub fn clear(&self, stamp: &str) -> Result<()> {
        self.commit(stamp, |writer, _| writer.delete_all_documents().map(|_| ()))
    }

    fn commit(
        &self,
        stamp: &str,
        change: impl FnOnce(&IndexWriter, &Tail) -> tantivy::Result<()>,
    ) -> Result<()> {
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        let mut writer = self.writer()?;
        change(&writer, &tail).map_err(fault)?;
        let mut prepared = writer.prepare_commit().map_err(fault)?;
        prepared.set_payload(stamp);
        prepared.commit().map_err(fault)?;
        // Joins the threads, so that no merge runs behind the back of the host.
        writer.wait_merging_threads().map_err(fault)?;
        self.reload(&mut tail)
    }

    /// Shows what was committed, in which all is that waited.
    fn reload(&self, tail: &mut Tail) -> Result<()> {
        self.reader.reload().map_err(fault)?;
        *tail = Tail::default();
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    fn writer(&self) -> Result<IndexWriter> {
        let options = IndexWriterOptions::builder()
            .memory_budget_per_thread(WRITER_BYTES)
            .num_worker_threads(1)
            .num_merge_threads(1)
            .build();
        let writer: IndexWriter = self.index.writer_with_options(options).map_err(fault)?;
        let mut policy = LogMergePolicy::default();
        policy.set_del_docs_ratio_before_merge(MOST_DELETED);
        writer.set_merge_policy(Box::new(policy));
        Ok(writer)
    }

    /// Writes what waits, and then the files anew without what was removed, so that its words stand in none of them.
    ///
    /// # Errors
    /// `Internal` when the files cannot be written.
    pub fn compact(&self, stamp: &str) -> Result<()> {
        self.apply(&[], &[], stamp)?;
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        let segments = self.index.searchable_segment_metas().map_err(fault)?;
        if segments.len() < 2 && segments.iter().all(|s| s.num_deleted_docs() == 0) {
            return Ok(());
        }
        let mut writer = self.writer()?;
        let ids: Vec<_> = segments.iter().map(tantivy::index::SegmentMeta::id).collect();
        // Files live as long as somebody holds their description.
        drop(segments);
        writer.merge(&ids).wait().map_err(fault)?;
        self.reload(&mut tail)?;
        writer.garbage_collect_files().wait().map_err(fault)?;
        writer.wait_merging_threads().map_err(fault)
    }

    fn document(&self, doc: &TextDoc<'_>) -> TantivyDocument {
        let mut out = TantivyDocument::default();
        out.add_text(self.fields.id, doc.id);
        out.add_u64(self.fields.key, key(doc.id));
        let (language, fields) = (doc.language.unwrap_or_default(), self.fields);
        out.add_text(fields.language, language);
        for (field, text) in
            [(fields.title, doc.title), (fields.headings, doc.headings), (fields.body, doc.body)]
        {
            out.add_text(field, analyse::with_language(text, language));
        }
        out
    }
}

/// The words of title, headings and text.
fn tokens(doc: &TextDoc<'_>) -> [PreTokenizedString; 3] {
    let language = doc.language.unwrap_or_default();
    [doc.title, doc.headings, doc.body].map(|text| analyse::tokens(text, language))
}
