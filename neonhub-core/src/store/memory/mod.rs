//! The memory engine: for tests and throw-away work. Nothing survives the process.

mod state;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use self::state::{State, verified};
use super::transfer::{self, Taken};
use super::{
    Batch, Change, Committed, Damage, FeedEntry, Figures, Item, Key, Kind, KindFigures, Query, Row, Snapshot,
    Store, StoreCaps, Write,
};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Timestamp};

/// A store that lives in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    seq: watch::Sender<u64>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore { state: Mutex::default(), seq: watch::channel(0).0 }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "store",
                "the store is closed: open the hub again",
            ));
        }
        Ok(state)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn caps(&self) -> StoreCaps {
        StoreCaps { durable: false, shared: false, engine: "memory" }
    }

    async fn declare(&self, kinds: &[Kind]) -> Result<()> {
        let mut state = self.state()?;
        for kind in kinds {
            if let Some(table) = state.tables.get(kind.name) {
                table.refuse_twins(kind)?;
            }
            state.table(*kind);
        }
        Arc::make_mut(&mut state.family).learn(kinds);
        Ok(())
    }

    async fn get(&self, kind: Kind, workspace: &WorkspaceId, id: &str) -> Result<Option<Row>> {
        let state = self.state()?;
        let found = state.tables.get(kind.name).and_then(|t| t.rows.get(&(workspace.clone(), id.to_owned())));
        verified(kind, found)
    }

    async fn get_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        ids: &[String],
    ) -> Result<Vec<Option<Row>>> {
        let state = self.state()?;
        let table = state.tables.get(kind.name);
        ids.iter()
            .map(|id| verified(kind, table.and_then(|t| t.rows.get(&(workspace.clone(), id.clone())))))
            .collect()
    }

    async fn find_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        index: &str,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>> {
        let n = kind.index(index)?;
        let state = self.state()?;
        let Some(table) = state.tables.get(kind.name) else { return Ok(vec![None; keys.len()]) };
        keys.iter()
            .map(|key| {
                let id = table.holder(n, workspace, key);
                verified(kind, id.and_then(|id| table.rows.get(&(workspace.clone(), id.to_owned()))))
            })
            .collect()
    }

    async fn query(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
        self.state()?.query(kind, workspace, query)
    }

    async fn count(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<u64> {
        let state = self.state()?;
        let Some(table) = state.tables.get(kind.name) else { return Ok(0) };
        Ok(table.matching(kind, workspace, query)?.len() as u64)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        let mut state = self.state()?;
        let (mut batch, family) = (batch, Arc::clone(&state.family));
        let workspace = batch.workspace.clone();
        family.complete(&mut batch, |kind, query| state.query(kind, &workspace, query))?;
        let mut done: Vec<(Kind, Change, Option<Row>)> = Vec::new();
        let mut heads = HashMap::new();
        let mut outcome = Ok(());
        for write in batch.writes {
            let kind = *write.target().0;
            match state.apply(&workspace, write) {
                Ok(Some((change, old))) => done.push((kind, change, old)),
                Ok(None) => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        for link in batch.links {
            if outcome.is_err() {
                break;
            }
            let at = (workspace.clone(), link.chain);
            let head = heads.get(&at).or_else(|| state.chains.get(&at)).copied();
            let (seq, prev) = head.unwrap_or((0, link.genesis));
            let linked = (link.forge)(seq + 1, prev).and_then(|(row, hash)| {
                let write = Write::Put { kind: link.kind, row, expected: super::Expected::Absent };
                state.apply(&workspace, write).map(|change| (change, hash))
            });
            match linked {
                Ok((change, hash)) => {
                    done.extend(change.map(|(c, old)| (link.kind, c, old)));
                    heads.insert(at, (seq + 1, hash));
                }
                Err(error) => outcome = Err(error),
            }
        }
        if let Err(error) = outcome {
            for (kind, change, old) in done.into_iter().rev() {
                let place = (workspace.clone(), change.id);
                let table = state.table(kind);
                table.take(&place);
                if let Some(row) = old {
                    let sum = row.checksum(kind.name);
                    table.insert(place, row, sum);
                }
            }
            return Err(error);
        }
        state.chains.extend(heads);
        for blob in batch.blobs {
            state.keep_blob(blob.hash, || blob.bytes);
        }
        if done.is_empty() {
            return Ok(Committed { seq: 0 });
        }
        state.seq += 1;
        let seq = state.seq;
        let changes = done.into_iter().map(|(_, change, _)| change).collect();
        state.feed.push_back(FeedEntry { seq, workspace, at: batch.at, changes });
        drop(state);
        self.seq.send_replace(seq);
        Ok(Committed { seq })
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
        let state = self.state()?;
        let Some(oldest) = state.feed.front().map(|e| e.seq) else { return Ok(Vec::new()) };
        if after.saturating_add(1) < oldest {
            return Err(transfer::cursor_expired(after, oldest));
        }
        let skip = usize::try_from(after.saturating_add(1) - oldest).unwrap_or(usize::MAX);
        Ok(state.feed.iter().skip(skip).take(limit).cloned().collect())
    }

    async fn seq(&self) -> Result<u64> {
        Ok(self.state()?.seq)
    }

    async fn blob_put(&self, bytes: &[u8]) -> Result<String> {
        let hash = blob_hash(bytes);
        self.state()?.keep_blob(hash.clone(), || bytes.to_vec());
        Ok(hash)
    }

    fn takes_blobs(&self) -> bool {
        true
    }

    async fn blob_get(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.state()?.blobs.get(hash).map(|(bytes, _)| bytes.clone()))
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.seq.subscribe()
    }

    async fn check(&self) -> Result<Vec<Damage>> {
        let state = self.state()?;
        let mut damage = Vec::new();
        for (kind, table) in &state.tables {
            for (row, sum) in table.rows.values() {
                if let Err(error) = row.verify(kind, *sum) {
                    damage.push(Damage {
                        kind: (*kind).to_owned(),
                        id: row.id.clone(),
                        problem: error.message().to_owned(),
                    });
                }
            }
        }
        Ok(damage)
    }

    async fn figures(&self) -> Result<Figures> {
        let state = self.state()?;
        let kinds = state.tables.iter().map(|(name, table)| KindFigures {
            kind: (*name).to_owned(),
            records: table.rows.len() as u64,
            bytes: table.rows.values().map(|(row, _)| row.body.len() as u64).sum(),
        });
        Ok(Figures {
            kinds: kinds.collect(),
            feed_length: state.feed.len() as u64,
            feed_oldest: state.feed.front().map_or(0, |e| e.seq),
            blobs: state.blobs.len() as u64,
            blob_bytes: state.blobs.values().map(|(bytes, _)| bytes.len() as u64).sum(),
            disk_bytes: 0,
        })
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let state = self.state()?;
        let items: Vec<Item> = state.items().collect();
        Ok(Box::new(Taken { seq: state.seq, items: items.into_iter() }))
    }

    async fn load(&self, items: Vec<Item>) -> Result<()> {
        let mut state = self.state()?;
        for item in items {
            state.load(item)?;
        }
        let seq = state.seq;
        drop(state);
        self.seq.send_replace(seq);
        Ok(())
    }

    async fn trim_feed(&self, through: u64) -> Result<u64> {
        let mut state = self.state()?;
        let before = state.feed.len();
        while state.feed.len() > 1 && state.feed.front().is_some_and(|e| e.seq <= through) {
            state.feed.pop_front();
        }
        Ok((before - state.feed.len()) as u64)
    }

    async fn blob_delete(&self, hashes: &[String], before: Timestamp) -> Result<u64> {
        let mut state = self.state()?;
        let mut gone = 0;
        for hash in hashes {
            if state.blobs.get(hash).is_some_and(|(_, at)| *at < before) {
                state.blobs.remove(hash);
                gone += 1;
            }
        }
        Ok(gone)
    }

    async fn compact(&self) -> Result<(u64, u64)> {
        self.state().map(|_| (0, 0))
    }

    async fn close(&self) -> Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }
}

/// The name of a blob: its SHA-256 in hex.
pub(crate) fn blob_hash(bytes: &[u8]) -> String {
    crate::store_hex(&Sha256::digest(bytes))
}
