//! Text and vector index of one space.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use neonhub_core::{Error, Result, Scope};
use serde::{Deserialize, Serialize};

use super::model::{ChunkRecord, Document, Space, chunk_ids};
use super::vector::decode;
use crate::index::{FlatIndex, IdSet, Scored, TextDoc, TextIndex, VectorIndex};

/// Chunks of one commit of the text index: bounds its memory during a rebuild.
const CHUNKS_PER_COMMIT: u32 = 2_000;
/// Vectors up to which the snapshot is written after each change; larger ones wait for a tenth of change.
const SMALL: usize = 2_000;

/// The indexes of one space.
#[derive(Clone, Debug)]
pub(super) struct SpaceIndex {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    text: TextIndex,
    vectors: FlatIndex,
    snapshot: Option<PathBuf>,
    /// Documents whose vectors are in the index.
    held: Held,
    /// Vectors changed since the snapshot.
    unsaved: usize,
    /// The words are there but the vectors are not: they are read from the records first.
    lacks_vectors: bool,
}

/// What an index holds, as written into each of its commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    /// Position of the feed.
    seq: u64,
    /// Embedder of the vectors.
    embedder: String,
    /// Content hash and number of chunks by document.
    documents: BTreeMap<String, (String, u32)>,
}

/// One chunk with all that the indexes take of it.
struct Loaded {
    record: ChunkRecord,
    title: String,
    language: Option<String>,
    vector: Vec<f32>,
}

/// One commit: documents out, documents in.
struct Step {
    removed: Vec<String>,
    added: Vec<Loaded>,
    held: Held,
}

impl SpaceIndex {
    /// Opens the caches of a space, or starts empty ones in memory when the folder belongs to no file store or
    /// cannot be used.
    pub(super) async fn open(folder: Option<PathBuf>, space: &Space) -> Result<Self> {
        let (embedder, dims) = (space.embedder.clone(), space.dims as usize);
        blocking(move || {
            let inner = match folder {
                Some(folder) => Inner::on_disk(&folder, &embedder, dims).or_else(|cause| {
                    // A read-only place must not end search: the records are all there.
                    tracing::warn!(error = %cause, "index kept in memory: its folder cannot be used");
                    Inner::in_memory(&embedder, dims)
                })?,
                None => Inner::in_memory(&embedder, dims)?,
            };
            Ok(Self { inner: Arc::new(Mutex::new(inner)) })
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the index hold exactly these documents.
    pub(super) async fn bring_to(&self, cx: &Scope, documents: Vec<&Document>, seq: u64) -> Result<()> {
        match self.bring(cx, &documents, seq).await {
            Err(cause) if self.leave_disk()? => {
                // Another process writes the folder now, or the disk is full; the records serve as well.
                tracing::warn!(error = %cause, "index kept in memory: its folder cannot be written");
                self.bring(cx, &documents, seq).await
            }
            done => done,
        }
    }

    /// Starts an empty index in memory in place of the one on disk; false when it is in memory already.
    fn leave_disk(&self) -> Result<bool> {
        let mut inner = self.lock();
        if inner.snapshot.is_none() {
            return Ok(false);
        }
        *inner = Inner::in_memory(&inner.held.embedder, inner.vectors.dims())?;
        Ok(true)
    }

    async fn bring(&self, cx: &Scope, documents: &[&Document], seq: u64) -> Result<()> {
        let (mut held, removed, missing) = self.difference(documents);
        if self.lock().lacks_vectors {
            self.load_vectors(cx, documents, &held).await?;
        }
        held.seq = seq;
        if removed.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let mut step = Step { removed, added: Vec::new(), held };
        let mut chunks = 0;
        for document in missing {
            step.added.extend(load(cx, document).await?);
            let entry = (document.content_hash.clone(), document.chunks);
            step.held.documents.insert(document.id.to_string(), entry);
            chunks += document.chunks;
            if chunks >= CHUNKS_PER_COMMIT {
                let held = step.held.clone();
                self.commit(std::mem::replace(&mut step, Step { removed: vec![], added: vec![], held }))
                    .await?;
                chunks = 0;
            }
        }
        if !step.removed.is_empty() || !step.added.is_empty() {
            self.commit(step).await?;
        }
        Ok(())
    }

    /// Reads the vectors of the documents that stay.
    async fn load_vectors(&self, cx: &Scope, documents: &[&Document], held: &Held) -> Result<()> {
        for document in documents.iter().filter(|d| held.documents.contains_key(d.id.as_str())) {
            let chunks = load(cx, document).await?;
            let mut inner = self.lock();
            for chunk in chunks.iter().filter(|c| c.record.embedder == held.embedder) {
                inner.vectors.upsert(&chunk.record.id, &chunk.vector)?;
            }
        }
        self.lock().lacks_vectors = false;
        Ok(())
    }

    /// What stays, the chunks to remove, the documents to add.
    fn difference<'d>(&self, documents: &[&'d Document]) -> (Held, Vec<String>, Vec<&'d Document>) {
        let wanted: BTreeMap<&str, &Document> = documents.iter().map(|d| (d.id.as_str(), *d)).collect();
        let inner = self.lock();
        let mut held = inner.held.clone();
        let mut removed = Vec::new();
        held.documents.retain(|id, (hash, chunks)| {
            let is_kept =
                wanted.get(id.as_str()).is_some_and(|d| d.content_hash == *hash && d.chunks == *chunks);
            if !is_kept {
                removed.extend(chunk_ids(id, *chunks));
            }
            is_kept
        });
        let missing = wanted.into_values().filter(|d| !held.documents.contains_key(d.id.as_str())).collect();
        (held, removed, missing)
    }

    async fn commit(&self, step: Step) -> Result<()> {
        let this = self.clone();
        blocking(move || this.lock().commit(&step)).await
    }

    /// The best chunks by words.
    pub(super) fn search_text(&self, query: &str, k: usize, within: Option<&IdSet>) -> Result<Vec<Scored>> {
        self.lock().text.search(query, k, within)
    }

    /// The best chunks by vector.
    pub(super) fn search_vector(
        &self,
        query: &[f32],
        k: usize,
        within: Option<&IdSet>,
    ) -> Result<Vec<Scored>> {
        self.lock().vectors.search(query, k, within)
    }

    /// The vector of a chunk.
    pub(super) fn vector(&self, id: &str) -> Option<Vec<f32>> {
        self.lock().vectors.vector(id)
    }
}

impl Inner {
    fn in_memory(embedder: &str, dims: usize) -> Result<Self> {
        let held = Held { embedder: embedder.to_owned(), ..Held::default() };
        Ok(Self {
            text: TextIndex::open(None)?,
            vectors: FlatIndex::new(dims),
            snapshot: None,
            held,
            unsaved: 0,
            lacks_vectors: false,
        })
    }

    fn on_disk(folder: &std::path::Path, embedder: &str, dims: usize) -> Result<Self> {
        let text = TextIndex::open(Some(&folder.join("text")))?;
        let snapshot = folder.join("vectors.flat");
        let read = |stamp: &str| serde_json::from_str::<Held>(stamp).ok();
        let held = text.stamp().as_deref().and_then(read).filter(|h| h.embedder == embedder);
        let Some(held) = held else {
            let held = Held { embedder: embedder.to_owned(), ..Held::default() };
            let vectors = FlatIndex::new(dims);
            let inner =
                Self { text, vectors, snapshot: Some(snapshot), held, unsaved: 0, lacks_vectors: false };
            if !inner.text.is_empty() {
                inner.text.clear(&inner.stamp(&inner.held)?)?;
            }
            return Ok(inner);
        };
        // The snapshot is written after the words, and not each time: it counts when it names the same state.
        let vectors = FlatIndex::load(&snapshot)
            .filter(|(index, stamp)| index.dims() == dims && read(stamp).as_ref() == Some(&held))
            .map(|(index, _)| index);
        let lacks_vectors = vectors.is_none();
        let vectors = vectors.unwrap_or_else(|| FlatIndex::new(dims));
        Ok(Self { text, vectors, snapshot: Some(snapshot), held, unsaved: 0, lacks_vectors })
    }

    fn stamp(&self, held: &Held) -> Result<String> {
        serde_json::to_string(held).map_err(|e| Error::internal("knowledge.index", e))
    }

    fn commit(&mut self, step: &Step) -> Result<()> {
        let stamp = self.stamp(&step.held)?;
        let headings: Vec<String> = step
            .added
            .iter()
            .map(|c| format!("{}\n{}", c.record.heading_path.join("\n"), c.record.context))
            .collect();
        let docs: Vec<TextDoc<'_>> = step
            .added
            .iter()
            .zip(&headings)
            .map(|(chunk, headings)| TextDoc {
                id: &chunk.record.id,
                title: &chunk.title,
                headings,
                body: &chunk.record.text,
                language: chunk.language.as_deref(),
            })
            .collect();
        let removed: Vec<&str> = step.removed.iter().map(String::as_str).collect();
        self.text.apply(&removed, &docs, &stamp)?;
        for id in &removed {
            self.vectors.remove(id);
        }
        for chunk in step.added.iter().filter(|c| c.record.embedder == step.held.embedder) {
            self.vectors.upsert(&chunk.record.id, &chunk.vector)?;
        }
        self.held = step.held.clone();
        self.unsaved += removed.len() + docs.len();
        self.save(&stamp);
        Ok(())
    }

    /// Writes the vectors when that is cheap or due. Without it the next start reads them from the records.
    fn save(&mut self, stamp: &str) {
        let Some(path) = &self.snapshot else { return };
        if self.vectors.len() > SMALL && self.unsaved * 10 < self.vectors.len() {
            return;
        }
        match self.vectors.save(path, stamp) {
            Ok(()) => self.unsaved = 0,
            Err(cause) => tracing::warn!(error = %cause, "vector cache not written"),
        }
    }
}

async fn load(cx: &Scope, document: &Document) -> Result<Vec<Loaded>> {
    let mut out = Vec::new();
    for ids in document.chunk_ids().chunks(500) {
        for record in cx.get_many::<ChunkRecord>(ids).await?.into_iter().flatten() {
            out.push(Loaded {
                vector: decode(&record.vector)?,
                record: record.body,
                title: document.title.clone(),
                language: document.language.clone(),
            });
        }
    }
    Ok(out)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("knowledge.index", e))?
}
