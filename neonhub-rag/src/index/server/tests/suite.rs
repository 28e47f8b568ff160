//! The suite of vector indexes: each vector is the one chunk of a document.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::runtime::Runtime;

use super::*;

/// Changes that wait before they are written; single ones are written at once.
const WAITING: usize = 64;

/// The tables as a plain index.
struct Plain {
    runtime: Runtime,
    place: Place,
    /// The store keeps its connections as long as it lives.
    store: PostgresStore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seq: u64,
    hashes: u64,
    wanted: Wanted,
    waiting: BTreeMap<String, Vec<f32>>,
    is_changed: bool,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.place.fmt(f)
    }
}

fn open(dims: usize, exact_below: usize) -> Box<dyn VectorIndex> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (store, server, _) = runtime.block_on(server("pgv_suite"));
    let place = Place { exact_below, ..place(&server, "w", "s", dims) };
    Box::new(Plain { runtime, place, store, state: Mutex::default() })
}

impl Plain {
    fn flush(&self, state: &mut State) -> Result<()> {
        if !std::mem::take(&mut state.is_changed) {
            return Ok(());
        }
        state.seq += 1;
        let waiting = std::mem::take(&mut state.waiting);
        let entries: Vec<_> = waiting.iter().map(|(id, vector)| entry(id, "", Some(vector))).collect();
        self.runtime.block_on(async {
            let progress = self.place.bring(state.seq, &state.wanted, &entries).await?;
            assert_eq!(progress, Progress::There);
            self.place.grow(state.wanted.len()).await;
            self.place.settle().await;
            Ok(())
        })
    }
}

impl VectorIndex for Plain {
    fn dims(&self) -> usize {
        self.place.dims
    }

    fn len(&self) -> usize {
        self.state.lock().unwrap().wanted.len()
    }

    fn contains(&self, id: &str) -> bool {
        self.state.lock().unwrap().wanted.contains_key(id)
    }

    fn vector(&self, id: &str) -> Option<Vec<f32>> {
        self.flush(&mut self.state.lock().unwrap()).unwrap();
        self.runtime.block_on(self.place.vectors(&[id])).unwrap().remove(id)
    }

    fn upsert(&mut self, id: &str, vector: &[f32]) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        state.hashes += 1;
        let hash = state.hashes.to_string();
        state.wanted.insert(id.to_owned(), (hash, 1));
        state.waiting.insert(id.to_owned(), vector.to_vec());
        state.is_changed = true;
        if state.wanted.len() > WAITING {
            return Ok(());
        }
        self.flush(&mut state).inspect_err(|_| {
            state.wanted.remove(id);
        })
    }

    fn remove(&mut self, id: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        state.waiting.remove(id);
        state.is_changed = true;
        state.wanted.remove(id).is_some()
    }

    fn compact(&mut self) {
        self.flush(&mut self.state.lock().unwrap()).unwrap();
        self.runtime.block_on(self.store.compact()).unwrap();
    }

    fn search(&self, query: &[f32], k: usize, within: Option<&IdSet>) -> Result<Vec<Scored>> {
        let mut state = self.state.lock().unwrap();
        self.flush(&mut state)?;
        let kept = match within {
            None => all(state.wanted.len()),
            // By document where there is a graph, so that it is walked with the filter.
            Some(ids) if self.place.exact_below == 1 => Kept {
                documents: Some(ids.iter().map(|id| id.to_string()).collect()),
                ids: None,
                chunks: ids.len(),
                of: ids.len(),
            },
            Some(ids) => Kept::chunks(ids),
        };
        self.runtime.block_on(self.place.search_vector(query, k, &kept))
    }
}

mod scanned {
    crate::vector_conformance!(
        ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`",
        |dims| super::open(dims, 10_000)
    );
}

mod walked {
    crate::vector_conformance!(
        ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`",
        |dims| super::open(dims, 1)
    );
}
