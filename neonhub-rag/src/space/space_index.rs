//! Text and vector index of one space.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use neonhub_core::{Error, Result, Scope};
use serde::{Deserialize, Serialize};

use super::model::{ChunkRecord, Document, Space, chunk_ids};
use crate::index::{
    AdaptiveIndex, FieldBoosts, IdSet, Scored, TextDoc, TextIndex, VectorIndex, VectorStorage,
};
use crate::vector::decode;

/// Chunks of one commit of the text index: bounds its memory during a rebuild.
const CHUNKS_PER_COMMIT: u32 = 2_000;
/// Vectors up to which the snapshot is written after each change; larger ones wait for a tenth of change.
const SMALL: usize = 2_000;

/// Vectors of a graph that are linked after each commit, beside those that each change links.
const SETTLED: usize = 64;

/// The indexes of one space.
#[derive(Clone, Debug)]
pub(super) struct SpaceIndex {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    text: TextIndex,
    vectors: AdaptiveIndex,
    snapshot: Option<PathBuf>,
    /// Documents whose vectors are in the index.
    held: Held,
    /// Vectors changed since the snapshot.
    unsaved: usize,
    /// What the vectors hold, when that is not what the words hold: the difference is read from the records.
    behind: Option<Held>,
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
pub(super) struct Loaded {
    pub(super) record: ChunkRecord,
    pub(super) title: String,
    pub(super) language: Option<String>,
    pub(super) vector: Option<Vec<f32>>,
}

impl Loaded {
    /// What stands above the text: headings, and the header of a table that it continues.
    pub(super) fn headings(&self) -> String {
        format!("{}\n{}", self.record.heading_path.join("\n"), self.record.context)
    }
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
        let (embedder, dims, storage) = (space.embedder.clone(), space.dims as usize, space.storage);
        blocking(move || {
            let inner = match folder {
                Some(folder) => Inner::on_disk(&folder, &embedder, dims, storage).or_else(|cause| {
                    // A read-only place must not end search: the records are all there.
                    tracing::warn!(error = %cause, "index kept in memory: its folder cannot be used");
                    Inner::in_memory(&embedder, dims, storage)
                })?,
                None => Inner::in_memory(&embedder, dims, storage)?,
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
        *inner = Inner::in_memory(&inner.held.embedder, inner.vectors.dims(), inner.vectors.storage())?;
        Ok(true)
    }

    async fn bring(&self, cx: &Scope, documents: &[&Document], seq: u64) -> Result<()> {
        let (mut held, removed, missing) = self.difference(documents);
        if let Some(behind) = self.behind() {
            self.load_vectors(cx, documents, &held, &behind).await?;
        }
        held.seq = seq;
        if removed.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let mut step = Step { removed, added: Vec::new(), held };
        let mut chunks = 0;
        for document in missing {
            step.added.extend(load(cx, document, &step.held.embedder).await?);
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

    fn behind(&self) -> Option<Held> {
        self.lock().behind.clone()
    }

    /// Replays what the vectors lack against the words: the snapshot is not written after each commit.
    async fn load_vectors(
        &self,
        cx: &Scope,
        documents: &[&Document],
        held: &Held,
        behind: &Held,
    ) -> Result<()> {
        for (id, (_, chunks)) in
            behind.documents.iter().filter(|(id, is)| held.documents.get(*id) != Some(is))
        {
            let mut inner = self.lock();
            for chunk in chunk_ids(id, *chunks) {
                inner.vectors.remove(&chunk);
            }
        }
        let is_missing =
            |id: &str| held.documents.get(id).is_some_and(|entry| behind.documents.get(id) != Some(entry));
        for document in documents.iter().filter(|d| is_missing(d.id.as_str())) {
            let chunks = load(cx, document, &held.embedder).await?;
            let mut inner = self.lock();
            for chunk in &chunks {
                inner.add_vector(chunk)?;
            }
        }
        self.lock().behind = None;
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

    /// The embedder of its vectors.
    pub(super) fn embedder(&self) -> String {
        self.lock().held.embedder.clone()
    }

    /// Writes the files anew without what was removed.
    pub(super) async fn compact(&self) -> Result<()> {
        let this = self.clone();
        blocking(move || this.lock().compact()).await
    }

    /// The best chunks by words.
    pub(super) fn search_text(
        &self,
        query: &str,
        k: usize,
        within: Option<&IdSet>,
        boosts: FieldBoosts,
    ) -> Result<Vec<Scored>> {
        self.lock().text.search_boosted(query, k, within, boosts)
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
    fn in_memory(embedder: &str, dims: usize, storage: VectorStorage) -> Result<Self> {
        Ok(Self {
            text: TextIndex::open(None)?,
            vectors: AdaptiveIndex::new(dims, storage),
            snapshot: None,
            held: Held { embedder: embedder.to_owned(), ..Held::default() },
            unsaved: 0,
            behind: None,
        })
    }

    fn on_disk(
        folder: &std::path::Path,
        embedder: &str,
        dims: usize,
        storage: VectorStorage,
    ) -> Result<Self> {
        let text = TextIndex::open(Some(&folder.join("text")))?;
        let snapshot = folder.join("vectors");
        let read = |stamp: &str| serde_json::from_str::<Held>(stamp).ok().filter(|h| h.embedder == embedder);
        let empty = || Held { embedder: embedder.to_owned(), ..Held::default() };
        let Some(held) = text.stamp().as_deref().and_then(read) else {
            let inner = Self { text, snapshot: Some(snapshot), ..Self::in_memory(embedder, dims, storage)? };
            if !inner.text.is_empty() {
                inner.text.clear(&inner.stamp(&inner.held)?)?;
            }
            return Ok(inner);
        };
        // The snapshot is written after the words, and not each time: it may lack some documents.
        let loaded = AdaptiveIndex::load(&snapshot)
            .filter(|(index, _)| index.dims() == dims && index.storage() == storage)
            .and_then(|(index, stamp)| Some((index, read(&stamp)?)));
        let (vectors, of_vectors) = loaded.unwrap_or_else(|| (AdaptiveIndex::new(dims, storage), empty()));
        let behind = (of_vectors.documents != held.documents).then_some(of_vectors);
        Ok(Self { text, vectors, snapshot: Some(snapshot), held, unsaved: 0, behind })
    }

    fn add_vector(&mut self, chunk: &Loaded) -> Result<()> {
        // A chunk without a vector of this embedder is still found by its words.
        chunk.vector.as_ref().map_or(Ok(()), |vector| self.vectors.upsert(&chunk.record.id, vector))
    }

    fn compact(&mut self) -> Result<()> {
        self.text.compact()?;
        self.vectors.compact();
        self.vectors.settle(usize::MAX);
        self.unsaved = usize::MAX / 10;
        let stamp = self.stamp(&self.held)?;
        self.save(&stamp);
        Ok(())
    }

    fn stamp(&self, held: &Held) -> Result<String> {
        serde_json::to_string(held).map_err(|e| Error::internal("knowledge.index", e))
    }

    fn commit(&mut self, step: &Step) -> Result<()> {
        let stamp = self.stamp(&step.held)?;
        let headings: Vec<String> = step.added.iter().map(Loaded::headings).collect();
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
        for chunk in &step.added {
            self.add_vector(chunk)?;
        }
        self.vectors.settle(SETTLED);
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

/// The chunks of a document, each with its vector of this embedder if it has one.
pub(super) async fn load(cx: &Scope, document: &Document, embedder: &str) -> Result<Vec<Loaded>> {
    let mut out = Vec::new();
    for ids in document.chunk_ids().chunks(500) {
        for record in cx.get_many::<ChunkRecord>(ids).await?.into_iter().flatten() {
            out.push(Loaded {
                vector: record.vector_of(embedder).map(decode).transpose()?,
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
