//! A store whose process dies.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::store::{
    Batch, Committed, Damage, FeedEntry, Key, Kind, MemoryStore, Query, Row, Store, StoreCaps, Write,
};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result};

/// A store in memory as a process sees it that dies at a commit: nothing after it reaches the records. The records are
/// shared, so that the next process is another of these over the same ones.
#[derive(Debug)]
pub struct DyingStore {
    records: Arc<MemoryStore>,
    left: AtomicU64,
    is_last_taken: AtomicBool,
    is_dead: AtomicBool,
    last: Mutex<Vec<(&'static str, String)>>,
}

impl DyingStore {
    /// A process that lives on.
    #[must_use]
    pub fn new(records: Arc<MemoryStore>) -> Self {
        DyingStore {
            records,
            left: AtomicU64::new(u64::MAX),
            is_last_taken: AtomicBool::new(false),
            is_dead: AtomicBool::new(false),
            last: Mutex::default(),
        }
    }

    /// Lets it die at the commit after `commits` more. `is_taken`: that commit reaches the records, and its answer is lost.
    pub fn die_after(&self, commits: u64, is_taken: bool) {
        self.is_last_taken.store(is_taken, Ordering::SeqCst);
        self.left.store(commits, Ordering::SeqCst);
    }

    /// True once it is dead.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// The kinds and bodies of the records that the commit held at which it died.
    #[must_use]
    pub fn last_commit(&self) -> Vec<(&'static str, String)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn died() -> Error {
    Error::new(ErrorKind::Unavailable, "store.commit", "the process died")
}

#[async_trait]
impl Store for DyingStore {
    fn caps(&self) -> StoreCaps {
        self.records.caps()
    }
    async fn declare(&self, kinds: &[Kind]) -> Result<()> {
        self.records.declare(kinds).await
    }
    async fn get(&self, kind: Kind, workspace: &WorkspaceId, id: &str) -> Result<Option<Row>> {
        self.records.get(kind, workspace, id).await
    }
    async fn get_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        ids: &[String],
    ) -> Result<Vec<Option<Row>>> {
        self.records.get_many(kind, workspace, ids).await
    }
    async fn find_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        index: &str,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>> {
        self.records.find_many(kind, workspace, index, keys).await
    }
    async fn query(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
        self.records.query(kind, workspace, query).await
    }
    async fn count(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<u64> {
        self.records.count(kind, workspace, query).await
    }
    async fn commit(&self, batch: Batch) -> Result<Committed> {
        if self.is_dead() {
            return Err(died());
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return self.records.commit(batch).await;
        }
        self.is_dead.store(true, Ordering::SeqCst);
        let puts = batch.writes.iter().filter_map(|write| match write {
            Write::Put { kind, row, .. } => Some((kind.name, row.body.clone())),
            _ => None,
        });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = puts.collect();
        if self.is_last_taken.load(Ordering::SeqCst) {
            self.records.commit(batch).await?;
        }
        Err(died())
    }
    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
        self.records.changes(after, limit).await
    }
    async fn seq(&self) -> Result<u64> {
        self.records.seq().await
    }
    async fn blob_put(&self, bytes: &[u8]) -> Result<String> {
        self.records.blob_put(bytes).await
    }
    async fn blob_get(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        self.records.blob_get(hash).await
    }
    fn watch(&self) -> watch::Receiver<u64> {
        self.records.watch()
    }
    async fn check(&self) -> Result<Vec<Damage>> {
        self.records.check().await
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
