//! The sled engine, on request: one process, one folder, keys in order.
//!
//! Everything is in one tree, so that a commit is one atomic batch. sled acknowledges a flush on Linux without an
//! fsync, so each commit syncs the log itself; it panics on some damaged files, so it is opened under a guard.

mod entry;
mod upkeep;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sled_db::{Batch as Writes, Db, IVec};
use tokio::sync::watch;

use self::entry::{Stored, index_entry, record_key, record_prefix};
use super::plan::{Facts, Needs, Plan, work_out};
use super::transfer::{feed_item, kind_of};
use super::{
    Batch, Committed, Damage, FeedEntry, Figures, Item, Key, Kind, Order, Query, Row, Snapshot, Store,
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
        let shared = Shared { db: Mutex::new(Some(db)), log, turn: Mutex::new(()) };
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
            db.flush().map_err(|e| failed(operation, e))?;
            shared.log.sync_data().map_err(|cause| failed(operation, cause.into()))?;
            Ok(done)
        });
        done.await.map_err(|cause| Error::internal(operation, cause))?
    }
}

impl Shared {
    fn db(&self) -> Result<Db> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)
    }
}

fn last_seq(db: &Db) -> Result<u64> {
    let last = db.scan_prefix(b"f").next_back().transpose().map_err(|e| failed("store.seq", e))?;
    Ok(last.map_or(0, |(key, _)| entry::seq_of(&key)))
}

fn read_row(db: &Db, kind: Kind, ws: &WorkspaceId, id: &str) -> Result<Option<Row>> {
    let found = db.get(record_key(kind.name, ws, id)).map_err(|e| failed("store.get", e))?;
    found.map(|bytes| Stored::read(kind.name, id, &bytes)?.verified(kind.name)).transpose()
}

fn facts(db: &Db, ws: &WorkspaceId, needs: &Needs) -> Result<Facts> {
    let mut facts = Facts::default();
    for (name, (kind, ids)) in &needs.records {
        for id in ids {
            if let Some(row) = read_row(db, *kind, ws, id)? {
                facts.revs.insert((name, id.clone()), row.rev);
            }
        }
    }
    for ((name, n), (_, keys)) in &needs.keys {
        for key in keys {
            if let Some(id) = holder(db, name, *n, ws, key)? {
                facts.holders.insert((name, *n, key.clone()), id);
            }
        }
    }
    for chain in &needs.chains {
        let head = db.get(entry::chain_key(ws, chain)).map_err(|e| failed("store.commit", e))?;
        if let Some(head) = head {
            facts.heads.insert(chain, entry::read_head(&head)?);
        }
    }
    Ok(facts)
}

/// The record that holds a key of an index: the first one by id.
fn holder(db: &Db, kind: &str, n: usize, ws: &WorkspaceId, key: &Key) -> Result<Option<String>> {
    let (from, to) = (entry::at(kind, n, ws, key), entry::behind(kind, n, ws, key));
    let found = db.range(from..to).next().transpose().map_err(|e| failed("store.find", e))?;
    found.map(|(_, id)| entry::text(&id)).transpose()
}

/// Turns a plan into the one batch that sled applies whole or not at all.
fn lay_out(db: &Db, ws: &WorkspaceId, plan: &Plan, at: u64, writes: &mut Writes) -> Result<()> {
    for (name, (kind, table)) in &plan.tables {
        for id in &table.deletes {
            remove(db, *kind, ws, id, writes)?;
        }
        for row in &table.updates {
            let old = remove(db, *kind, ws, &row.id, writes)?;
            let mut row = row.clone();
            if let Some(old) = old {
                row.created_at = old.created_at;
                row.created_by = old.created_by;
            }
            insert(name, ws, row, writes)?;
        }
        for row in &table.inserts {
            insert(name, ws, row.clone(), writes)?;
        }
    }
    for (chain, head) in &plan.heads {
        writes.insert(entry::chain_key(ws, chain), entry::head(head));
    }
    for (n, (when, changes)) in plan.feed.iter().enumerate() {
        let seq = at + 1 + n as u64;
        let line = FeedEntry { seq, workspace: ws.clone(), at: *when, changes: changes.clone() };
        writes.insert(entry::feed_key(seq), entry::json(&feed_item(&line))?);
    }
    Ok(())
}

fn remove(db: &Db, kind: Kind, ws: &WorkspaceId, id: &str, writes: &mut Writes) -> Result<Option<Row>> {
    let Some(old) = read_row(db, kind, ws, id)? else { return Ok(None) };
    for (n, key) in old.keys.iter().enumerate() {
        if let Some(key) = key {
            writes.remove(index_entry(kind.name, n, ws, key, id));
        }
    }
    writes.remove(record_key(kind.name, ws, id));
    Ok(Some(old))
}

fn insert(kind: &str, ws: &WorkspaceId, row: Row, writes: &mut Writes) -> Result<()> {
    for (n, key) in row.keys.iter().enumerate() {
        if let Some(key) = key {
            writes.insert(index_entry(kind, n, ws, key, &row.id), row.id.as_bytes());
        }
    }
    let key = record_key(kind, ws, &row.id);
    writes.insert(key, Stored::of(kind, ws, row).write()?);
    Ok(())
}

fn commit(db: &Db, batch: Batch) -> Result<Committed> {
    let ws = batch.workspace.clone();
    let batches = [batch];
    let facts = facts(db, &ws, &Needs::of(&batches))?;
    let mut plan = work_out(&batches, &facts);
    let answer = plan.answers.pop().unwrap_or(Ok(None))?;
    if answer.is_none() {
        return Ok(Committed { seq: 0 });
    }
    let last = last_seq(db)?;
    let mut writes = Writes::default();
    lay_out(db, &ws, &plan, last, &mut writes)?;
    db.apply_batch(writes).map_err(|e| failed("store.commit", e))?;
    Ok(Committed { seq: last + 1 })
}

/// The ids of a query in its order, without its limit.
fn matching(
    db: &Db,
    kind: Kind,
    ws: &WorkspaceId,
    query: &Query,
) -> Result<Box<dyn Iterator<Item = Result<String>>>> {
    let (from, to) = match query.index {
        None => entry::id_range(kind.name, ws, query),
        Some(name) => entry::index_range(kind.name, kind.index(name)?, ws, query),
    };
    let skip = match query.index {
        None => Some(record_prefix(kind.name, ws).len()),
        Some(_) => None,
    };
    let id = move |found: sled_db::Result<(IVec, IVec)>| -> Result<String> {
        let (key, value) = found.map_err(|e| failed("store.query", e))?;
        match skip {
            Some(n) => entry::text(key.get(n..).unwrap_or_default()),
            None => entry::text(&value),
        }
    };
    if from >= to {
        return Ok(Box::new(std::iter::empty()));
    }
    let range = db.range(from..to);
    Ok(match query.order {
        Order::Ascending => Box::new(range.map(id)),
        Order::Descending => Box::new(range.rev().map(id)),
    })
}

#[async_trait]
impl Store for SledStore {
    fn caps(&self) -> StoreCaps {
        StoreCaps { durable: true, shared: false, engine: "sled" }
    }

    async fn declare(&self, kinds: &[Kind]) -> Result<()> {
        let kinds = kinds.to_vec();
        self.write("store.declare", move |db| upkeep::declare(db, &kinds)).await
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
        let db = self.db()?;
        let mut out = Vec::new();
        for id in matching(&db, kind, workspace, query)? {
            if out.len() >= query.limit {
                break;
            }
            // A record that was removed since its entry was read is not there any more.
            out.extend(read_row(&db, kind, workspace, &id?)?);
        }
        Ok(out)
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
        let done = self.write("store.commit", move |db| commit(db, batch)).await?;
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
        self.write("store.blob_put", move |db| upkeep::put_blob(db, &name, &bytes)).await?;
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
