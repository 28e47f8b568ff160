//! Text and vector index of one space.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use neonhub_core::{Error, Result, Scope};

use super::feed::Place;
use super::held::{Held, HeldChange, Journal};
use super::model::{ChunkRecord, Document, Space, chunk_ids};
use crate::index::{
    AdaptiveIndex, FieldBoosts, IdSet, Scored, TextDoc, TextIndex, VectorIndex, VectorStorage,
};
use crate::vector::decode;

/// Chunks of one commit of the text index: bounds its memory during a rebuild.
const CHUNKS_PER_COMMIT: u32 = 2_000;
/// Vectors up to which the snapshot is written after each change, some 200 KiB; larger ones wait for a tenth of change.
const SMALL: usize = 256;

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
    /// Where it is written down what the words hold; nowhere in memory.
    journal: Option<Journal>,
    /// Documents whose vectors are in the index.
    held: Held,
    /// Vectors changed since the snapshot.
    unsaved: usize,
    /// What the vectors hold, when that is not what the words hold: the difference is read from the records.
    behind: Option<Held>,
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
#[derive(Default)]
struct Step {
    /// Chunks that go.
    removed: Vec<String>,
    added: Vec<Loaded>,
    change: HeldChange,
    /// The place of the feed that it leads to, when it is the last one on the way.
    at: Option<Place>,
}

/// What an index must change.
#[derive(Default)]
struct Difference<'d> {
    /// Documents to remove, each with the number of its chunks.
    gone: Vec<(String, u32)>,
    missing: Vec<&'d Document>,
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
    pub(super) async fn bring_to(&self, cx: &Scope, documents: &[&Document], at: Place) -> Result<()> {
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
        changed: &[(String, Option<Document>)],
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
        *inner = Inner::in_memory(&inner.held.embedder, inner.vectors.dims(), inner.vectors.storage())?;
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
        let mut chunks = 0;
        for document in missing {
            if chunks >= CHUNKS_PER_COMMIT {
                self.commit(std::mem::take(&mut step)).await?;
                chunks = 0;
            }
            step.added.extend(load(cx, document, &embedder).await?);
            let entry = (document.content_hash.clone(), document.chunks);
            step.change.put.insert(document.id.to_string(), entry);
            chunks += document.chunks;
        }
        step.at = Some(at);
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
        for ids in missing.chunks(500) {
            for document in cx.get_many::<Document>(ids).await?.into_iter().flatten() {
                let chunks = load(cx, &document, &held.embedder).await?;
                let mut inner = self.lock();
                for chunk in &chunks {
                    inner.add_vector(chunk)?;
                }
            }
        }
        self.lock().behind = None;
        Ok(())
    }

    /// The difference that some documents make.
    fn changes<'d>(&self, space: &str, changed: &'d [(String, Option<Document>)]) -> Difference<'d> {
        let inner = self.lock();
        let mut out = Difference::default();
        for (id, document) in changed {
            let document = document.as_ref().filter(|document| document.space.as_str() == space);
            let entry = inner.held.documents.get(id);
            let is_held = |(hash, chunks): &(String, u32)| {
                document.is_some_and(|document| document.content_hash == *hash && document.chunks == *chunks)
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
    fn difference<'d>(&self, documents: &[&'d Document]) -> Difference<'d> {
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
                Some((_, (hash, chunks))) if document.content_hash == *hash && document.chunks == *chunks => {
                }
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

impl Inner {
    fn in_memory(embedder: &str, dims: usize, storage: VectorStorage) -> Result<Self> {
        Ok(Self {
            text: TextIndex::open(None)?,
            vectors: AdaptiveIndex::new(dims, storage),
            snapshot: None,
            journal: None,
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
        let stamp = text.stamp();
        let journal = Some(Journal::new(folder, stamp.as_deref()));
        let held = stamp.and_then(|stamp| Journal::read(folder, &stamp));
        let Some(held) = held.filter(|held| held.embedder == embedder) else {
            if !text.is_empty() {
                text.clear("")?;
            }
            let snapshot = Some(snapshot);
            return Ok(Self { text, snapshot, journal, ..Self::in_memory(embedder, dims, storage)? });
        };
        // The snapshot is written after the words, and not each time: it may lack some documents.
        let loaded = AdaptiveIndex::load(&snapshot)
            .filter(|(index, _)| index.dims() == dims && index.storage() == storage)
            .and_then(|(index, stamp)| Some((index, read(&stamp)?)));
        let (vectors, of_vectors) = loaded.unwrap_or_else(|| (AdaptiveIndex::new(dims, storage), empty()));
        let behind = (of_vectors.documents != held.documents).then_some(of_vectors);
        Ok(Self { text, vectors, snapshot: Some(snapshot), journal, held, unsaved: 0, behind })
    }

    fn add_vector(&mut self, chunk: &Loaded) -> Result<()> {
        // A chunk without a vector of this embedder is still found by its words.
        chunk.vector.as_ref().map_or(Ok(()), |vector| self.vectors.upsert(&chunk.record.id, vector))
    }

    /// Reflects a later commit that changed nothing here.
    fn stay(&mut self, at: Place) {
        self.held.at = Some(at);
        if let Some(journal) = &mut self.journal {
            journal.note(at);
        }
    }

    fn compact(&mut self) -> Result<()> {
        // The lines of the journal name documents that are gone: a file of what is there takes its place.
        self.journal.iter_mut().for_each(Journal::forget);
        let stamp = self.stamp(&HeldChange::default())?;
        self.text.compact(&stamp)?;
        self.journal.iter_mut().for_each(Journal::tidy);
        self.vectors.compact();
        self.vectors.settle(usize::MAX);
        self.unsaved = usize::MAX / 10;
        self.save();
        Ok(())
    }

    fn commit(&mut self, step: &Step) -> Result<()> {
        let back = self.held.apply(step.change.clone());
        self.held.at = step.at;
        if let Err(cause) = self.commit_words(step).and_then(|()| self.change_vectors(step)) {
            self.held.apply(back);
            self.held.at = None;
            self.journal.iter_mut().for_each(Journal::forget);
            return Err(cause);
        }
        self.unsaved += step.removed.len() + step.added.len();
        self.save();
        Ok(())
    }

    fn change_vectors(&mut self, step: &Step) -> Result<()> {
        for id in &step.removed {
            self.vectors.remove(id);
        }
        for chunk in &step.added {
            self.add_vector(chunk)?;
        }
        self.vectors.settle(SETTLED);
        Ok(())
    }

    /// Writes a change down. Gives what a commit of the words says with it.
    fn stamp(&mut self, change: &HeldChange) -> Result<String> {
        self.journal.as_mut().map_or_else(|| Ok(String::new()), |journal| journal.write(&self.held, change))
    }

    /// The words of a step: in memory when they are few, else in one commit that says what is held with them. What was in
    /// memory when a process ended is read from the records, as what followed the last commit.
    fn commit_words(&mut self, step: &Step) -> Result<()> {
        let stamp = self.stamp(&step.change)?;
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
        if !self.text.hold(&removed, &docs)? {
            self.text.apply(&removed, &docs, &stamp)?;
            self.journal.iter_mut().for_each(Journal::tidy);
        }
        Ok(())
    }

    /// Writes the vectors when that is cheap or due. Without it the next start reads them from the records.
    fn save(&mut self) {
        let Some(path) = &self.snapshot else { return };
        if self.vectors.len() > SMALL && self.unsaved * 10 < self.vectors.len() {
            return;
        }
        let stamp = serde_json::to_string(&self.held).map_err(|e| Error::internal("knowledge.index", e));
        match stamp.and_then(|stamp| self.vectors.save(path, &stamp)) {
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
