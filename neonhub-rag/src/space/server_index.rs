//! Indexes in the store's own database, kept in step by whichever process searches first.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use neonhub_core::{ErrorKind, Result, Scope};
use tokio::sync::OnceCell;

use super::caches::Loaded;
use super::cards::Card;
use super::model::Space;
use super::passages::Within;
use super::space_index::load;
use crate::index::server::{Entry, Kept, Passage, Place, Progress, Server, Wanted};
use crate::index::{FieldBoosts, Scored, TextDoc};

/// Chunks that one transaction puts in: bounds the time for which others wait.
const CHUNKS_PER_COMMIT: u32 = 1_000;

/// The tables of a hub, once its store was asked for them.
#[derive(Debug, Default)]
pub(super) struct Servers {
    server: OnceCell<Option<Arc<Server>>>,
}

impl Servers {
    /// The tables, when the store is a server that has what they need.
    pub(super) async fn find(&self, cx: &Scope) -> Result<Option<Arc<Server>>> {
        let open = async || match cx.store().side() {
            None => Ok(None),
            Some(side) => match Server::open(side).await {
                Ok(server) => Ok(Some(server)),
                Err(cause) if cause.kind() == ErrorKind::Config => {
                    tracing::warn!(error = %cause, "the indexes of knowledge stay in the memory of each process");
                    Ok(None)
                }
                Err(cause) => Err(cause),
            },
        };
        self.server.get_or_try_init(open).await.cloned()
    }
}

/// The indexes of one space.
#[derive(Debug)]
pub(super) struct ServerIndex {
    place: Place,
    /// What it is to hold, as this process sees the records.
    view: Mutex<Arc<View>>,
}

/// The records of a space as one process sees them.
#[derive(Debug, Default)]
struct View {
    wanted: Wanted,
    languages: BTreeSet<String>,
    chunks: usize,
}

impl ServerIndex {
    pub(super) fn new(server: Arc<Server>, cx: &Scope, space: &Space) -> Self {
        let (workspace, dims) = (cx.workspace().as_str(), space.dims as usize);
        Self {
            place: Place::new(server, workspace, space.id.as_str(), &space.embedder, dims),
            view: Mutex::default(),
        }
    }

    pub(super) fn embedder(&self) -> &str {
        self.place.embedder()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.view().wanted.is_empty()
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the tables hold exactly these documents; false when others bring them to a later position of the feed.
    pub(super) async fn bring_to(&self, cx: &Scope, documents: &[&Card], seq: u64) -> Result<bool> {
        let view = Arc::new(View::of(documents, self.embedder()));
        let mut progress = self.place.progress(seq, &view.wanted).await?;
        while let Progress::Missing(missing) = progress {
            cx.cancel_token().check(cx.operation())?;
            // The records are read before the transaction: it needs one connection and no other.
            let mut batch: Vec<&Card> = Vec::new();
            let mut chunks = 0;
            for document in documents.iter().filter(|d| missing.contains(d.id.as_str())) {
                if chunks > 0 && chunks + document.chunks > CHUNKS_PER_COMMIT {
                    break;
                }
                batch.push(document);
                chunks += document.chunks;
            }
            let mut chunks = load(cx, &batch, self.embedder()).await?.into_iter().peekable();
            let mut own = |document: &Card| {
                std::iter::from_fn(|| chunks.next_if(|chunk| chunk.record.document == document.id)).collect()
            };
            let loaded: Vec<(&Card, Vec<Loaded>)> =
                batch.into_iter().map(|document| (document, own(document))).collect();
            progress = self.put(seq, &view.wanted, &loaded).await?;
        }
        if progress == Progress::Behind {
            return Ok(false);
        }
        self.place.grow(view.chunks).await;
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(true)
    }

    async fn put(&self, seq: u64, wanted: &Wanted, loaded: &[(&Card, Vec<Loaded>)]) -> Result<Progress> {
        let headings: Vec<Vec<String>> =
            loaded.iter().map(|(_, chunks)| chunks.iter().map(Loaded::headings).collect()).collect();
        let entries: Vec<Entry<'_>> = loaded
            .iter()
            .zip(&headings)
            .map(|((document, chunks), headings)| Entry {
                document: document.id.as_str(),
                passages: chunks
                    .iter()
                    .zip(headings)
                    .map(|(chunk, headings)| passage(chunk, headings))
                    .collect(),
            })
            .collect();
        self.place.bring(seq, wanted, &entries).await
    }

    /// Waits for the graph that is being made.
    pub(super) async fn settle(&self) {
        self.place.settle().await;
    }

    pub(super) async fn search_text(
        &self,
        query: &str,
        k: usize,
        within: Option<&Within>,
        boosts: FieldBoosts,
    ) -> Result<Vec<Scored>> {
        let view = self.view();
        let search =
            async |kept: Kept| self.place.search_words(query, &view.languages, k, &kept, boosts).await;
        let found = search(view.kept(within)).await?;
        if within.is_some() || view.knows(&found) { Ok(found) } else { search(view.known()).await }
    }

    pub(super) async fn search_vector(
        &self,
        query: &[f32],
        k: usize,
        within: Option<&Within>,
    ) -> Result<Vec<Scored>> {
        let view = self.view();
        let found = self.place.search_vector(query, k, &view.kept(within)).await?;
        if within.is_some() || view.knows(&found) {
            return Ok(found);
        }
        self.place.search_vector(query, k, &view.known()).await
    }

    pub(super) async fn vectors(&self, ids: &[&str]) -> Result<HashMap<Arc<str>, Vec<f32>>> {
        self.place.vectors(ids).await
    }
}

impl View {
    fn of(documents: &[&Card], embedder: &str) -> Self {
        // Vectors of another embedder are another content.
        let entry =
            |d: &&Card| (d.id.as_str().to_owned(), (format!("{} {embedder}", d.content_hash), d.chunks));
        Self {
            wanted: documents.iter().map(entry).collect(),
            languages: documents
                .iter()
                .map(|d| d.language.as_deref().unwrap_or_default().to_owned())
                .collect(),
            chunks: documents.iter().map(|d| d.chunks as usize).sum(),
        }
    }

    fn kept(&self, within: Option<&Within>) -> Kept {
        match within {
            None => Kept { chunks: self.chunks, of: self.chunks, ..Kept::default() },
            Some(Within::Chunks(ids)) => Kept::chunks(ids),
            Some(Within::Documents(documents)) => Kept {
                documents: Some(documents.keys().cloned().collect()),
                ids: None,
                chunks: documents.values().map(|chunks| *chunks as usize).sum(),
                of: self.chunks,
            },
        }
    }

    /// All documents, by name: for when the tables are ahead of what this process knows.
    fn known(&self) -> Kept {
        let documents = Some(self.wanted.keys().cloned().collect());
        Kept { documents, ids: None, chunks: self.chunks, of: self.chunks }
    }

    /// True when every hit is of a document that this process knows. One that it does not know would be dropped later,
    /// and the list would come out short.
    fn knows(&self, found: &[Scored]) -> bool {
        found.iter().all(|hit| {
            let document = hit.id.rsplit_once('.').map_or(hit.id.as_ref(), |(document, _)| document);
            self.wanted.contains_key(document)
        })
    }
}

fn passage<'a>(chunk: &'a Loaded, headings: &'a str) -> Passage<'a> {
    Passage {
        doc: TextDoc {
            id: &chunk.record.id,
            title: &chunk.title,
            headings,
            body: &chunk.record.text,
            language: chunk.language.as_deref(),
        },
        vector: chunk.vector.as_deref(),
    }
}
