//! The sled engine, on request: one process, one folder, keys in order.
//!
//! Everything is in one tree, so that a commit is one atomic batch. sled acknowledges a flush on Linux without an
//! fsync, so each commit syncs the log itself; it panics on some damaged files, so it is opened under a guard.

mod entry;
mod rows;
mod upkeep;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sled_db::Db;
use tokio::sync::watch;

use self::rows::{commit, holder, insert, last_seq, matching, read_row, remove};
use super::transfer::kind_of;
use super::{
    Batch, Committed, Damage, Family, FeedEntry, Figures, Item, Key, Kind, Query, Row, Snapshot, Store,
    StoreCaps, cursor_expired, memory,
};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Retry, Timestamp};

/// A store in a sled folder.
pub struct SledStore {
    path: PathBuf,
    shared: Arc<Shared>,
    seq: watch::Sender<u64>,
}

struct Shared {
    /// `None` once closed.
    db: Mutex<Option<Db>>,
    /// The log of sled, for the sync of ours.
    log: File,
    /// One commit at a time.
    turn: Mutex<()>,
    family: Mutex<Arc<Family>>,
    /// Until when a sync is promised.
    due: Mutex<Option<Instant>>,
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// An error of sled in our words.
fn failed(operation: &'static str, cause: sled_db::Error) -> Error {
    match cause {
        sled_db::Error::Io(cause) if cause.kind() == std::io::ErrorKind::StorageFull => Error::new(
            ErrorKind::Unavailable,
            operation,
            "the disk is full: free space and try again; nothing was written",
        )
        .with_retry(Retry::Backoff)
        .with_source(cause),
        sled_db::Error::Io(cause) => {
            Error::new(ErrorKind::Unavailable, operation, "the disk refused a read or write")
                .with_retry(Retry::Backoff)
                .with_source(cause)
        }
        sled_db::Error::Corruption { .. } => {
            Error::new(ErrorKind::Corrupted, operation, "the folder is damaged: restore it from a backup")
        }
        other => Error::new(ErrorKind::Internal, operation, "the store failed").with_source(other),
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "store", "the store is closed: open the hub again")
}

fn open_db(path: &Path) -> Result<Db> {
    let config = sled_db::Config::new().path(path).mode(sled_db::Mode::HighThroughput);
    // Reports of panics on damaged files are open upstream since 2021.
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| config.open()));
    match opened {
        Err(_) => Err(Error::new(
            ErrorKind::Corrupted,
            "hub.open",
            "the folder cannot be read: restore it from a backup, or move to SQLite with an export",
        )
        .with_context("path", path.display())),
        Ok(Err(sled_db::Error::Io(cause))) if cause.to_string().contains("lock") => Err(Error::new(
            ErrorKind::Conflict,
            "hub.open",
            "another process has this folder open, and sled allows one: close it there, or keep the records in SQLite",
        )
        .with_context("path", path.display())
        .with_source(cause)),
        Ok(opened) => opened.map_err(|e| failed("hub.open", e)),
    }
}

impl SledStore {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// `Conflict` when another process has it open; `Corrupted` when it cannot be read; `Config` for one of a newer
    /// version; `Unavailable` when the disk refuses.
    pub async fn open(path: &Path) -> Result<Self> {
        let folder = path.to_owned();
        let db = tokio::task::spawn_blocking(move || open_db(&folder)).await;
        let db = db.map_err(|cause| Error::internal("hub.open", cause))??;
        upkeep::check_version(&db)?;
        let log = File::options().read(true).write(true).open(path.join("db")).map_err(|cause| {
            Error::new(
                ErrorKind::Config,
                "hub.open",
                "the log of the store cannot be opened: check its rights",
            )
            .with_source(cause)
        })?;
        let last = last_seq(&db)?;
        let shared = Shared {
            db: Mutex::new(Some(db)),
            log,
            turn: Mutex::new(()),
            family: Mutex::default(),
            due: Mutex::default(),
        };
        Ok(SledStore { path: path.to_owned(), shared: Arc::new(shared), seq: watch::channel(last).0 })
    }

    fn db(&self) -> Result<Db> {
        self.shared.db()
    }

    /// Runs blocking work beside the async tasks, one at a time.
    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Db) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let db = shared.db()?;
            let done = work(&db)?;
            shared.sync(&db, operation)?;
            Ok(done)
        });
        done.await.map_err(|cause| Error::internal(operation, cause))?
    }

    /// Runs blocking work whose sync may come later: the log is in the order of the writes.
    async fn write_soon<T: Send + 'static>(
        &self,
        operation: &'static str,
        window: Duration,
        work: impl FnOnce(&Db) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
            work(&shared.db()?)
        });
        let done = done.await.map_err(|cause| Error::internal(operation, cause))??;
        let due = Instant::now() + window;
        {
            let mut promised = self.shared.due.lock().unwrap_or_else(PoisonError::into_inner);
            if promised.is_some_and(|old| old <= due) {
                return Ok(done);
            }
            *promised = Some(due);
        }
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            tokio::time::sleep(window).await;
            let synced = tokio::task::spawn_blocking(move || {
                let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
                // A closed store has synced.
                shared.db().map_or(Ok(()), |db| shared.sync(&db, operation))
            });
            if let Ok(Err(error)) = synced.await {
                tracing::warn!(code = error.code(), "the log of the store was not synced in time");
            }
        });
        Ok(done)
    }
}

impl Shared {
    /// Everything that was written is safe afterwards. One turn at a time.
    fn sync(&self, db: &Db, operation: &'static str) -> Result<()> {
        db.flush().map_err(|e| failed(operation, e))?;
        self.log.sync_data().map_err(|cause| failed(operation, cause.into()))?;
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    fn db(&self) -> Result<Db> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)
    }
}

#[async_trait]
impl Store for SledStore {
    fn caps(&self) -> StoreCaps {
        StoreCaps { durable: true, shared: false, engine: "sled" }
    }

    async fn declare(&self, kinds: &[Kind]) -> Result<()> {
        let known = kinds.to_vec();
        self.write("store.declare", move |db| upkeep::declare(db, &known)).await?;
        let mut family = self.shared.family.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut family).learn(kinds);
        Ok(())
    }

    async fn get(&self, kind: Kind, workspace: &WorkspaceId, id: &str) -> Result<Option<Row>> {
        read_row(&self.db()?, kind, workspace, id)
    }

    async fn get_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        ids: &[String],
    ) -> Result<Vec<Option<Row>>> {
        let db = self.db()?;
        ids.iter().map(|id| read_row(&db, kind, workspace, id)).collect()
    }

    async fn find_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        index: &str,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>> {
        let (db, n) = (self.db()?, kind.index(index)?);
        let find = |key| match holder(&db, kind.name, n, workspace, key)? {
            Some(id) => read_row(&db, kind, workspace, &id),
            None => Ok(None),
        };
        keys.iter().map(find).collect()
    }

    async fn query(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
        rows::query(&self.db()?, kind, workspace, query)
    }

    async fn count(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<u64> {
        let mut count = 0;
        for id in matching(&self.db()?, kind, workspace, query)? {
            id?;
            count += 1;
        }
        Ok(count)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        let family = Arc::clone(&self.shared.family.lock().unwrap_or_else(PoisonError::into_inner));
        let window = batch.window().map(|ms| Duration::from_millis(u64::from(ms)));
        let work = move |db: &Db| commit(db, &family, batch);
        let done = match window {
            None => self.write("store.commit", work).await?,
            Some(window) => self.write_soon("store.commit", window, work).await?,
        };
        self.seq.send_if_modified(|known| std::mem::replace(known, done.seq.max(*known)) < done.seq);
        Ok(done)
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
        let db = self.db()?;
        let from = entry::feed_key(after.saturating_add(1));
        let page = db.range(from..entry::after(b"f")).take(limit);
        let page: Vec<FeedEntry> = page
            .map(|found| entry::feed(&found.map_err(|e| failed("store.changes", e))?.1))
            .collect::<Result<_>>()?;
        match page.first() {
            Some(first) if first.seq > after.saturating_add(1) => Err(cursor_expired(after, first.seq)),
            _ => Ok(page),
        }
    }

    async fn seq(&self) -> Result<u64> {
        last_seq(&self.db()?)
    }

    async fn blob_put(&self, bytes: &[u8]) -> Result<String> {
        let hash = memory::blob_hash(bytes);
        let (name, bytes) = (hash.clone(), bytes.to_vec());
        self.write("store.blob_put", move |db| upkeep::put_blob(db, &name, bytes)).await?;
        Ok(hash)
    }

    async fn blob_get(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        upkeep::blob(&self.db()?, hash)
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.seq.subscribe()
    }

    async fn check(&self) -> Result<Vec<Damage>> {
        upkeep::check(&self.db()?)
    }

    async fn version(&self) -> Result<(u32, u32)> {
        upkeep::version(&self.db()?)
    }

    async fn figures(&self) -> Result<Figures> {
        upkeep::figures(&self.db()?)
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        // sled has no snapshots: everything is read while no commit runs.
        let (seq, items) = self.write("store.snapshot", upkeep::everything).await?;
        Ok(Box::new(super::transfer::Taken { seq, items: items.into_iter() }))
    }

    async fn load(&self, items: Vec<Item>) -> Result<()> {
        self.write("store.load", move |db| upkeep::load(db, items)).await?;
        let seq = last_seq(&self.db()?)?;
        self.seq.send_replace(seq);
        Ok(())
    }

    async fn trim_feed(&self, through: u64) -> Result<u64> {
        self.write("store.trim_feed", move |db| upkeep::trim_feed(db, through)).await
    }

    async fn blob_delete(&self, hashes: &[String], before: Timestamp) -> Result<u64> {
        let hashes = hashes.to_vec();
        self.write("store.blob_delete", move |db| upkeep::delete_blobs(db, &hashes, before)).await
    }

    async fn close(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let db = shared.db.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(db) = db else { return Ok(()) };
            db.flush().map_err(|e| failed("store.close", e))?;
            shared.log.sync_data().map_err(|cause| failed("store.close", cause.into()))
        });
        done.await.map_err(|cause| Error::internal("store.close", cause))?
    }
}

/// A kind as the folder describes it.
fn described(item: &Item) -> Option<Kind> {
    match item {
        Item::Kind { name, schema, indexes } => Some(kind_of(name, *schema, indexes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
