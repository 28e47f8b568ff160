//! A store that slips another commit in just before one that is asked for.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use neonhub_core::store::{
    Batch, Committed, Damage, FeedEntry, Key, Kind, MemoryStore, Query, Row, Store, StoreCaps, Write,
};
use neonhub_core::{Result, WorkspaceId};
use tokio::sync::watch;

type Prank = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A memory store with one prank: what runs before the first commit that moves a send to `dispatching`.
#[derive(Default)]
pub(super) struct Meddler {
    inner: MemoryStore,
    prank: Mutex<Option<Prank>>,
}

impl std::fmt::Debug for Meddler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddler")
    }
}

impl Meddler {
    pub(super) fn plan(&self, prank: Prank) {
        *self.prank.lock().unwrap_or_else(PoisonError::into_inner) = Some(prank);
    }

    fn due(&self, batch: &Batch) -> Option<Prank> {
        let dispatches = batch.writes.iter().any(
            |w| matches!(w, Write::Put { kind, row, .. } if kind.name == "send" && row.body.contains("\"dispatching\"")),
        );
        if !dispatches {
            return None;
        }
        self.prank.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl Store for Meddler {
    fn caps(&self) -> StoreCaps {
        self.inner.caps()
    }
    async fn declare(&self, kinds: &[Kind]) -> Result<()> {
        self.inner.declare(kinds).await
    }
    async fn get(&self, kind: Kind, workspace: &WorkspaceId, id: &str) -> Result<Option<Row>> {
        self.inner.get(kind, workspace, id).await
    }
    async fn get_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        ids: &[String],
    ) -> Result<Vec<Option<Row>>> {
        self.inner.get_many(kind, workspace, ids).await
    }
    async fn find_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        index: &str,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>> {
        self.inner.find_many(kind, workspace, index, keys).await
    }
    async fn query(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
        self.inner.query(kind, workspace, query).await
    }
    async fn count(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<u64> {
        self.inner.count(kind, workspace, query).await
    }
    async fn commit(&self, batch: Batch) -> Result<Committed> {
        if let Some(prank) = self.due(&batch) {
            prank.await;
        }
        self.inner.commit(batch).await
    }
    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
        self.inner.changes(after, limit).await
    }
    async fn seq(&self) -> Result<u64> {
        self.inner.seq().await
    }
    async fn blob_put(&self, bytes: &[u8]) -> Result<String> {
        self.inner.blob_put(bytes).await
    }
    async fn blob_get(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        self.inner.blob_get(hash).await
    }
    fn watch(&self) -> watch::Receiver<u64> {
        self.inner.watch()
    }
    async fn check(&self) -> Result<Vec<Damage>> {
        self.inner.check().await
    }
    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
