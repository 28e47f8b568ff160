//! Words: BM25 over title, headings and text, stemmed by the language of each chunk.
//!
//! Tantivy keeps the postings in files; a few changes wait in memory. The statistics of the score (documents, word
//! counts, lengths) are taken over the chunks that the caller may see and that are not deleted, so neither hidden nor
//! deleted text moves a score, and an index that grew step by step answers like one built at once.

mod allowed;
pub(super) mod analyse;
mod rank;
mod tail;
mod write;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use neonhub_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tantivy::directory::MmapDirectory;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{Index, IndexReader, IndexSettings, ReloadPolicy, Searcher, TantivyDocument};

use super::{IdSet, Scored};
use allowed::Allowed;
use rank::{Ranking, Totals};
use tail::Tail;

/// Most different words of one query.
pub(super) const MAX_QUERY_WORDS: usize = 64;
const OP: &str = "index.text";
/// Name of our words among the tokenizers.
const TOKENIZER: &str = "neonhub-words";

/// One chunk as the text index takes it.
#[derive(Clone, Debug)]
pub struct TextDoc<'a> {
    /// Id of the chunk.
    pub id: &'a str,
    /// Title of the document.
    pub title: &'a str,
    /// Heading path, joined.
    pub headings: &'a str,
    /// The text.
    pub body: &'a str,
    /// ISO 639-1 code of its language, if known.
    pub language: Option<&'a str>,
}

/// What a word counts by the place it stands in. Each 0 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FieldBoosts {
    /// In the title of the document. Default: 1.3.
    pub title: f32,
    /// In a heading above the text. Default: 1.5.
    pub headings: f32,
    /// In the text. Default: 1.
    pub body: f32,
}

impl Default for FieldBoosts {
    fn default() -> Self {
        Self { title: 1.3, headings: 1.5, body: 1.0 }
    }
}

/// True when a query holds words in quotes, which every hit must hold.
pub(crate) fn has_phrase(query: &str) -> bool {
    analyse::has_phrase(query)
}

#[derive(Clone, Copy, Debug)]
struct Fields {
    id: Field,
    key: Field,
    language: Field,
    title: Field,
    headings: Field,
    body: Field,
}

/// The text index, in a folder or in memory. One writer at a time; readers see the last commit and what [`hold`](Self::hold)
/// holds.
pub struct TextIndex {
    index: Index,
    reader: IndexReader,
    fields: Fields,
    folder: Option<PathBuf>,
    /// Changes since the last commit.
    tail: RwLock<Tail>,
    /// Totals over all chunks, counted once per commit and then kept up.
    totals: Mutex<Option<Totals>>,
}

impl std::fmt::Debug for TextIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextIndex").field("folder", &self.folder).field("chunks", &self.len()).finish()
    }
}

impl TextIndex {
    /// Opens the index in a folder, or in memory. A damaged or older one is emptied: it is a cache.
    ///
    /// # Errors
    /// `Internal` when the folder cannot be made or written.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let (schema, fields) = schema();
        let Some(folder) = folder else {
            return Self::with(Index::create_in_ram(schema), fields, None);
        };
        if let Some(index) = open_checked(folder, &schema) {
            return Self::with(index, fields, Some(folder.to_owned()));
        }
        Self::create(folder, schema, fields)
    }

    fn create(folder: &Path, schema: Schema, fields: Fields) -> Result<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(folder).map_err(|e| Error::internal(OP, e))?;
        }
        std::fs::create_dir_all(folder).map_err(|e| Error::internal(OP, e))?;
        let directory = MmapDirectory::open(folder).map_err(|e| Error::internal(OP, e))?;
        let index = Index::create(directory, schema, IndexSettings::default()).map_err(fault)?;
        Self::with(index, fields, Some(folder.to_owned()))
    }

    fn with(index: Index, fields: Fields, folder: Option<PathBuf>) -> Result<Self> {
        index.tokenizers().register(TOKENIZER, analyse::Words);
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(fault)?;
        let (tail, totals) = (RwLock::default(), Mutex::default());
        Ok(Self { index, reader, fields, folder, tail, totals })
    }

    /// Number of chunks.
    #[must_use]
    pub fn len(&self) -> usize {
        let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
        let files = usize::try_from(self.reader.searcher().num_docs()).unwrap_or(usize::MAX);
        files.saturating_sub(tail.gone().len()).saturating_add(tail.len())
    }

    /// True without any chunk.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the last commit was built from, as given to [`apply`](Self::apply).
    #[must_use]
    pub fn stamp(&self) -> Option<String> {
        self.index.load_metas().ok()?.payload
    }

    /// True when a file of the index still holds a term, be it of a removed chunk: a proof of what
    /// [`compact`](Self::compact) does. The term is a word as the index keeps it: lower case, stemmed.
    ///
    /// # Errors
    /// `Internal` when the files cannot be read.
    pub fn holds_term(&self, term: &str) -> Result<bool> {
        for segment in self.reader.searcher().segment_readers() {
            for field in [self.fields.title, self.fields.headings, self.fields.body] {
                let inverted = segment.inverted_index(field).map_err(fault)?;
                let found = inverted.terms().get(term).map_err(|e| Error::internal(OP, e))?;
                if found.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The `k` best chunks for a query, best first, equal ones by id; only ids of `within` when given.
    ///
    /// `"words in quotes"` must stand in a hit in this order; `start*` finds the words that begin so. A query
    /// without words finds nothing.
    ///
    /// # Errors
    /// `Internal` when the files cannot be read.
    pub fn search(&self, query: &str, k: usize, within: Option<&IdSet>) -> Result<Vec<Scored>> {
        self.search_boosted(query, k, within, FieldBoosts::default())
    }

    /// As [`search`](Self::search), with the weights of title, headings and text.
    ///
    /// # Errors
    /// `Internal` when the files cannot be read.
    pub fn search_boosted(
        &self,
        query: &str,
        k: usize,
        within: Option<&IdSet>,
        boosts: FieldBoosts,
    ) -> Result<Vec<Scored>> {
        let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
        let searcher = self.reader.searcher();
        let clauses = analyse::query(query, &self.languages(&tail)?, MAX_QUERY_WORDS);
        if clauses.is_empty() || k == 0 {
            return Ok(Vec::new());
        }
        let fields = [
            (self.fields.title, boosts.title),
            (self.fields.headings, boosts.headings),
            (self.fields.body, boosts.body),
        ];
        let allowed = Allowed::new(within, &searcher, &tail).map_err(fault)?;
        let found = self.ranking(&searcher, &tail, fields, &allowed)?.best(&clauses, k).map_err(fault)?;
        let mut hits = Vec::with_capacity(found.len());
        for (score, address) in found {
            if address.segment_ord as usize == searcher.segment_readers().len() {
                hits.extend(tail.id(address.doc_id).map(|id| Scored { id: id.into(), score }));
                continue;
            }
            let doc: TantivyDocument = searcher.doc(address).map_err(fault)?;
            if let Some(id) = doc.get_first(self.fields.id).and_then(|v| tantivy::schema::Value::as_str(&v)) {
                hits.push(Scored { id: id.into(), score });
            }
        }
        Scored::sort(&mut hits);
        hits.truncate(k);
        Ok(hits)
    }

    fn ranking<'a>(
        &self,
        searcher: &'a Searcher,
        tail: &'a Tail,
        fields: [(Field, f32); 3],
        allowed: &'a Allowed<'a>,
    ) -> Result<Ranking<'a>> {
        let mut kept = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.filter(|_| allowed.is_all());
        let (ranking, totals) = Ranking::new(searcher, tail, fields, allowed, known).map_err(fault)?;
        if allowed.is_all() {
            *kept = Some(totals);
        }
        Ok(ranking)
    }

    /// Languages of the chunks in the index.
    fn languages(&self, tail: &Tail) -> Result<BTreeSet<String>> {
        let mut out: BTreeSet<String> = tail.languages().map(str::to_owned).collect();
        for segment in self.reader.searcher().segment_readers() {
            let inverted = segment.inverted_index(self.fields.language).map_err(fault)?;
            let mut terms = inverted.terms().stream().map_err(|e| Error::internal(OP, e))?;
            while terms.advance() {
                out.insert(String::from_utf8_lossy(terms.key()).into_owned());
            }
        }
        Ok(out)
    }
}

fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let words = || {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        TextOptions::default().set_indexing_options(indexing)
    };
    let fields = Fields {
        id: builder.add_text_field("id", STRING | STORED),
        key: builder.add_u64_field("key", FAST | INDEXED),
        language: builder.add_text_field("language", STRING),
        title: builder.add_text_field("title", words()),
        headings: builder.add_text_field("headings", words()),
        body: builder.add_text_field("body", words()),
    };
    (builder.build(), fields)
}

/// Opens the files when their schema and checksums are right.
fn open_checked(folder: &Path, schema: &Schema) -> Option<Index> {
    if !folder.join("meta.json").exists() {
        return None;
    }
    // A cut file may panic inside the reader of the footer.
    catch_unwind(AssertUnwindSafe(|| {
        let index = Index::open_in_dir(folder).ok()?;
        (index.schema() == *schema && index.validate_checksum().ok()?.is_empty()).then_some(index)
    }))
    .ok()
    .flatten()
}

fn fault(cause: tantivy::TantivyError) -> Error {
    Error::internal(OP, cause)
}
