//! The caches of one space: its words and its vectors, and what they hold, in a folder or in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use neonhub_core::{Error, Result};

use super::feed::Place;
use super::held::{Held, HeldChange, Journal};
use super::model::ChunkRecord;
use crate::index::{AdaptiveIndex, TextDoc, TextIndex, VectorIndex as _, VectorStorage};

/// Vectors up to which the snapshot is written after each change, some 200 KiB; larger ones wait for a tenth of change.
const SMALL: usize = 256;

/// Vectors of a graph that are linked after each commit, beside those that each change links.
const SETTLED: usize = 64;

/// Both indexes of a space. What changes one is to change [`held`](Self::held) with it.
#[derive(Debug)]
pub(super) struct Caches {
    pub(super) text: TextIndex,
    pub(super) vectors: AdaptiveIndex,
    pub(super) snapshot: Option<PathBuf>,
    /// Where it is written down what the words hold; nowhere in memory.
    journal: Option<Journal>,
    /// Documents whose vectors are in the index.
    pub(super) held: Held,
    /// Vectors changed since the snapshot.
    unsaved: usize,
    /// What the vectors hold, when that is not what the words hold: the difference is read from the records.
    pub(super) behind: Option<Held>,
}

/// One chunk with all that the indexes take of it.
pub(super) struct Loaded {
    pub(super) record: ChunkRecord,
    pub(super) title: String,
    pub(super) language: Option<Arc<str>>,
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
pub(super) struct Step {
    /// Chunks that go.
    pub(super) removed: Vec<String>,
    pub(super) added: Vec<Loaded>,
    pub(super) change: HeldChange,
    /// The place of the feed that it leads to, when it is the last one on the way.
    pub(super) at: Option<Place>,
}

impl Caches {
    pub(super) fn in_memory(embedder: &str, dims: usize, storage: VectorStorage) -> Result<Self> {
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

    pub(super) fn on_disk(
        folder: &Path,
        embedder: &str,
        dims: usize,
        storage: VectorStorage,
    ) -> Result<Self> {
        let snapshot = folder.join("vectors");
        let is_own = |held: &Held| held.embedder == embedder;
        // Somebody waits for the first answer.
        let (words, loaded) = thread::scope(|scope| {
            let loading = scope.spawn(|| {
                let (index, stamp) = AdaptiveIndex::load(&snapshot)?;
                Some((index, serde_json::from_str::<Held>(&stamp).ok().filter(is_own)?))
            });
            let words = TextIndex::open(Some(&folder.join("text"))).map(|text| {
                let stamp = text.stamp();
                let held = stamp.as_deref().and_then(|stamp| Journal::read(folder, stamp));
                (text, Journal::new(folder, stamp.as_deref()), held)
            });
            (words, loading.join().ok().flatten())
        });
        let (text, journal, held) = words?;
        let journal = Some(journal);
        let Some(held) = held.filter(is_own) else {
            if !text.is_empty() {
                text.clear("")?;
            }
            let snapshot = Some(snapshot);
            return Ok(Self { text, snapshot, journal, ..Self::in_memory(embedder, dims, storage)? });
        };
        // The snapshot is written after the words, and not each time: it may lack some documents.
        let loaded = loaded.filter(|(index, _)| index.dims() == dims && index.storage() == storage);
        let (vectors, of_vectors) = loaded.unwrap_or_else(|| {
            let nothing = Held { embedder: embedder.to_owned(), ..Held::default() };
            (AdaptiveIndex::new(dims, storage), nothing)
        });
        let behind = (of_vectors.documents != held.documents).then_some(of_vectors);
        Ok(Self { text, vectors, snapshot: Some(snapshot), journal, held, unsaved: 0, behind })
    }

    pub(super) fn add_vector(&mut self, chunk: &Loaded) -> Result<()> {
        // A chunk without a vector of this embedder is still found by its words.
        chunk.vector.as_ref().map_or(Ok(()), |vector| self.vectors.upsert(&chunk.record.id, vector))
    }

    /// Reflects a later commit that changed nothing here.
    pub(super) fn stay(&mut self, at: Place) {
        self.held.at = Some(at);
        if let Some(journal) = &mut self.journal {
            journal.note(at);
        }
    }

    pub(super) fn compact(&mut self) -> Result<()> {
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

    pub(super) fn commit(&mut self, step: &Step) -> Result<()> {
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
