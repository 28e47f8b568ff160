//! Text and vector index of one space.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use neonhub_core::{Error, Result, Scope};

use super::caches::{Caches, Loaded, Step};
use super::cards::{Card, Words};
use super::feed::Place;
use super::held::{Held, HeldChange};
use super::model::{ChunkRecord, Document, Space, chunk_ids};
use crate::allocator::takes_much;
use crate::index::{FieldBoosts, IdSet, Scored, VectorIndex as _};
use crate::vector::decode;

/// Chunks of one commit of the text index: bounds its memory during a rebuild.
const CHUNKS_PER_COMMIT: usize = 2_000;
/// Documents whose chunks are read together.
const READ: usize = 100;
/// Chunks of a change, or documents read for it, after which memory is given back.
pub(super) const LARGE: usize = 500;

/// The indexes of one space.
#[derive(Clone, Debug)]
pub(super) struct SpaceIndex {
    inner: Arc<Mutex<Caches>>,
}

/// What an index must change.
#[derive(Default)]
struct Difference<'d> {
    /// Documents to remove, each with the number of its chunks.
    gone: Vec<(String, u32)>,
    missing: Vec<&'d Card>,
}

impl SpaceIndex {
    /// Opens the caches of a space, or starts empty ones in memory when the folder belongs to no file store or
    /// cannot be used.
    pub(super) async fn open(folder: Option<PathBuf>, space: &Space) -> Result<Self> {
        let (embedder, dims, storage) = (space.embedder.clone(), space.dims as usize, space.storage);
        blocking(move || {
            let inner = match folder {
                Some(folder) => Caches::on_disk(&folder, &embedder, dims, storage).or_else(|cause| {
                    // A read-only place must not end search: the records are all there.
                    tracing::warn!(error = %cause, "index kept in memory: its folder cannot be used");
                    Caches::in_memory(&embedder, dims, storage)
                })?,
                None => Caches::in_memory(&embedder, dims, storage)?,
            };
            Ok(Self { inner: Arc::new(Mutex::new(inner)) })
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Caches> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the index hold exactly these documents.
    pub(super) async fn bring_to(&self, cx: &Scope, documents: &[&Card], at: Place) -> Result<()> {
        match self.bring(cx, self.difference(documents), at).await {
            Err(cause) if self.leave_disk()? => {
                // Another process writes the folder now, or the disk is full; the records serve as well.
                tracing::warn!(error = %cause, "index kept in memory: its folder cannot be written");
                self.bring(cx, self.difference(documents), at).await
            }
            done => done,
        }
    }

    /// Takes what became of some documents, of any space. False when it must be told all.
    pub(super) async fn bring_changes(
        &self,
        cx: &Scope,
        space: &str,
        changed: &[(String, Option<Card>)],
        at: Place,
    ) -> Result<bool> {
        match self.bring(cx, self.changes(space, changed), at).await {
            Err(cause) if self.leave_disk()? => {
                tracing::warn!(error = %cause, "index kept in memory: its folder cannot be written");
                Ok(false)
            }
            done => done.map(|()| true),
        }
    }

    /// The place of the feed that it reflects, if it is known.
    pub(super) fn at(&self) -> Option<Place> {
        self.lock().held.at
    }

    /// True when no document is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().held.documents.is_empty()
    }

    /// Starts an empty index in memory in place of the one on disk; false when it is in memory already.
    fn leave_disk(&self) -> Result<bool> {
        let mut inner = self.lock();
        if inner.snapshot.is_none() {
            return Ok(false);
        }
        *inner = Caches::in_memory(&inner.held.embedder, inner.vectors.dims(), inner.vectors.storage())?;
        Ok(true)
    }

    async fn bring(&self, cx: &Scope, difference: Difference<'_>, at: Place) -> Result<()> {
        let Difference { gone, missing } = difference;
        if let Some((held, behind)) = self.behind(&gone) {
            self.load_vectors(cx, &held, &behind).await?;
        }
        if gone.is_empty() && missing.is_empty() {
            self.lock().stay(at);
            return Ok(());
        }
        let embedder = self.embedder();
        let mut step = Step::default();
        for (id, chunks) in gone {
            step.removed.extend(chunk_ids(&id, chunks));
            step.change.out.push(id);
        }
        let mut large = false;
        for documents in missing.chunks(READ) {
            if step.added.len() >= CHUNKS_PER_COMMIT {
                self.commit(std::mem::take(&mut step)).await?;
                large = true;
            }
            step.added.extend(load(cx, documents, &embedder).await?);
            for document in documents {
                let entry = (document.content_hash.to_string(), document.chunks);
                step.change.put.insert(document.id.to_string(), entry);
            }
        }
        step.at = Some(at);
        if large || step.added.len() >= LARGE {
            takes_much();
        }
        self.commit(step).await
    }

    /// What the words will hold without what is gone, and what the vectors hold, when that is not the same.
    fn behind(&self, gone: &[(String, u32)]) -> Option<(Held, Held)> {
        let inner = self.lock();
        let behind = inner.behind.clone()?;
        let mut held = inner.held.clone();
        held.apply(HeldChange {
            out: gone.iter().map(|(id, _)| id.clone()).collect(),
            ..HeldChange::default()
        });
        Some((held, behind))
    }

    /// Replays what the vectors lack against the words: the snapshot is not written after each commit.
    async fn load_vectors(&self, cx: &Scope, held: &Held, behind: &Held) -> Result<()> {
        for (id, (_, chunks)) in
            behind.documents.iter().filter(|(id, is)| held.documents.get(*id) != Some(is))
        {
            let mut inner = self.lock();
            for chunk in chunk_ids(id, *chunks) {
                inner.vectors.remove(&chunk);
            }
        }
        let missing = held.documents.iter().filter(|(id, entry)| behind.documents.get(*id) != Some(entry));
        let missing: Vec<String> = missing.map(|(id, _)| id.clone()).collect();
        let mut words = Words::default();
        for ids in missing.chunks(READ) {
            let documents = cx.get_many::<Document>(ids).await?.into_iter().flatten();
            let cards: Vec<Card> = documents.map(|document| words.card(document.body)).collect();
            let chunks = load(cx, &cards.iter().collect::<Vec<_>>(), &held.embedder).await?;
            let mut inner = self.lock();
            for chunk in &chunks {
                inner.add_vector(chunk)?;
            }
        }
        self.lock().behind = None;
        Ok(())
    }

    /// The difference that some documents make.
    fn changes<'d>(&self, space: &str, changed: &'d [(String, Option<Card>)]) -> Difference<'d> {
        let inner = self.lock();
        let mut out = Difference::default();
        for (id, document) in changed {
            let document = document.as_ref().filter(|document| &*document.space == space);
            let entry = inner.held.documents.get(id);
            let is_held = |(hash, chunks): &(String, u32)| {
                document
                    .is_some_and(|document| *document.content_hash == **hash && document.chunks == *chunks)
            };
            if !entry.is_some_and(is_held) {
                out.gone.extend(entry.map(|(_, chunks)| (id.clone(), *chunks)));
                out.missing.extend(document);
            }
        }
        out
    }

    /// The documents to remove with the number of their chunks, and those to add. Both lists are walked once, side by
    /// side: one document among very many must cost little.
    fn difference<'d>(&self, documents: &[&'d Card]) -> Difference<'d> {
        debug_assert!(documents.is_sorted_by_key(|d| d.id.as_str()), "documents come by id");
        let inner = self.lock();
        let mut held = inner.held.documents.iter().peekable();
        let (mut gone, mut missing) = (Vec::new(), Vec::new());
        for document in documents {
            let wanted = document.id.as_str();
            while let Some((id, (_, chunks))) = held.next_if(|(id, _)| id.as_str() < wanted) {
                gone.push((id.clone(), *chunks));
            }
            match held.next_if(|(id, _)| id.as_str() == wanted) {
                Some((_, (hash, chunks)))
                    if *document.content_hash == **hash && document.chunks == *chunks => {}
                Some((id, (_, chunks))) => {
                    gone.push((id.clone(), *chunks));
                    missing.push(*document);
                }
                None => missing.push(*document),
            }
        }
        gone.extend(held.map(|(id, (_, chunks))| (id.clone(), *chunks)));
        Difference { gone, missing }
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

/// The chunks of documents, each with its vector of this embedder if it has one.
pub(super) async fn load(cx: &Scope, documents: &[&Card], embedder: &str) -> Result<Vec<Loaded>> {
    let chunks = documents.iter().flat_map(|document| document.chunk_ids().map(move |id| (id, *document)));
    let (ids, owners): (Vec<String>, Vec<&Card>) = chunks.unzip();
    let mut out = Vec::with_capacity(ids.len());
    for (ids, owners) in ids.chunks(500).zip(owners.chunks(500)) {
        let records = cx.get_many::<ChunkRecord>(ids).await?.into_iter();
        for (record, document) in records.zip(owners).filter_map(|(record, of)| Some((record?, of))) {
            out.push(Loaded {
                vector: record.vector_of(embedder).map(decode).transpose()?,
                record: record.body,
                title: document.title.to_string(),
                language: document.language.clone(),
            });
        }
    }
    Ok(out)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("knowledge.index", e))?
}
