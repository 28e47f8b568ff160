//! The SQLite engine: one file, several processes of one machine, each acknowledged commit synced.
//!
//! Write-ahead log with `synchronous=FULL`; one committing thread per process groups the commits that wait
//! into one transaction, so that many callers share one sync. Readers work beside it.

mod committer;
mod log;
mod mount;
mod notice;
mod read;
mod schema;
mod shape;
mod snapshot;
mod upkeep;
mod workers;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tokio::sync::watch;

use self::committer::Committer;
use self::workers::Workers;
use super::{
    Batch, Committed, Damage, FeedEntry, Figures, Item, Key, Kind, Query, Row, Snapshot, Store, StoreCaps,
    memory, pack,
};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Retry, Timestamp};

/// How long a writer waits for another process before it answers `Unavailable`.
const BUSY: std::time::Duration = std::time::Duration::from_secs(30);
/// Idle read connections kept open.
const IDLE_READERS: usize = 4;

/// A store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    committer: Committer,
    readers: Mutex<Option<Vec<Connection>>>,
    workers: Workers,
    notice: Mutex<Option<notice::Notice>>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// `Config` for a missing folder, a folder on a network file system (code `network_file_system`), a folder or file
    /// without write rights, or a file of a newer version, naming both versions; `Corrupted` for a file that is no
    /// NeonHub store; `Unavailable` when the disk is full or another process holds the file for over 30 s.
    pub async fn open(path: &Path) -> Result<Self> {
        mount::check(path)?;
        Self::open_anywhere(path).await
    }

    /// The same, also on a network file system: for who knows that no other machine ever opens the file, and that the
    /// locks of the file system hold.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for `network_file_system`.
    pub async fn open_anywhere(path: &Path) -> Result<Self> {
        check_folder(path)?;
        let mut connection = connect(path)?;
        schema::prepare(&mut connection)?;
        let reader = reader(path)?;
        let committer = Committer::start(connection)?;
        let notice = notice::watch(path, committer.looker());
        Ok(SqliteStore {
            committer,
            notice: Mutex::new(notice),
            readers: Mutex::new(Some(vec![reader])),
            workers: Workers::beside(path),
            path: path.to_owned(),
        })
    }

    /// Runs a read on a connection of the pool.
    fn reading<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = {
            let mut pool = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            pool.as_mut().ok_or_else(closed)?.pop()
        };
        let connection = match idle {
            Some(connection) => connection,
            None => reader(&self.path)?,
        };
        let result = work(&connection);
        let mut pool = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pool.as_mut().filter(|p| p.len() < IDLE_READERS) {
            pool.push(connection);
        }
        result
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "store", "the store is closed: open the hub again")
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn check_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, "hub.open", "the folder of the store does not exist: create it first")
        .with_context("folder", folder.display()))
}

fn connect(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| failed("hub.open", e))?;
    connection.busy_timeout(BUSY).map_err(|e| failed("hub.open", e))?;
    connection.set_prepared_statement_cache_capacity(512);
    // Every range is over an index that the query names: a plan for each bound is a second parse for the same plan.
    let plans_once = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    plans_once.map_err(|e| failed("hub.open", e))?;
    Ok(connection)
}

fn reader(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")
        .map_err(|e| failed("hub.open", e))?;
    Ok(connection)
}

/// An error of SQLite in our words, with the cure where there is one.
fn failed(operation: &'static str, cause: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let code = cause.sqlite_error_code();
    let (kind, message, retry) = match code {
        Some(Code::DiskFull) => (
            ErrorKind::Unavailable,
            "the disk is full: free space and try again; nothing was written",
            Retry::Backoff,
        ),
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
            (ErrorKind::Unavailable, "another process is writing to the store: try again", Retry::Backoff)
        }
        Some(Code::ReadOnly | Code::PermissionDenied) => (
            // At open the setup is wrong; later the file became so, and reads go on.
            if operation == "hub.open" { ErrorKind::Config } else { ErrorKind::Unavailable },
            "the store cannot be written: check the rights of the file and its folder",
            Retry::Never,
        ),
        Some(Code::CannotOpen) => (
            ErrorKind::Config,
            "the store cannot be opened: check that its folder exists and may be written",
            Retry::Never,
        ),
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => (
            ErrorKind::Corrupted,
            "the file is damaged or no neonhub store: restore it from a backup",
            Retry::Never,
        ),
        Some(Code::SystemIoFailure) => {
            (ErrorKind::Unavailable, "the disk refused a read or write", Retry::Backoff)
        }
        _ => (ErrorKind::Internal, "the store failed", Retry::Never),
    };
    Error::new(kind, operation, message).with_retry(retry).with_source(cause)
}

#[async_trait]
impl Store for SqliteStore {
    fn caps(&self) -> StoreCaps {
        StoreCaps { durable: true, shared: true, engine: "sqlite" }
    }

    async fn declare(&self, kinds: &[Kind]) -> Result<()> {
        self.committer.declare(kinds.to_vec()).await
    }

    async fn get(&self, kind: Kind, workspace: &WorkspaceId, id: &str) -> Result<Option<Row>> {
        self.reading(|c| Ok(read::by_ids(c, kind, workspace, &[id])?.pop().flatten()))
    }

    async fn get_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        ids: &[String],
    ) -> Result<Vec<Option<Row>>> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.reading(|c| read::by_ids(c, kind, workspace, &ids))
    }

    async fn find_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        index: &str,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>> {
        kind.index(index)?;
        self.reading(|c| read::by_keys(c, kind, workspace, index, keys))
    }

    async fn query(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
        self.reading(|c| read::query(c, kind, workspace, query))
    }

    async fn count(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<u64> {
        self.reading(|c| read::count(c, kind, workspace, query))
    }

    async fn commit(&self, mut batch: Batch) -> Result<Committed> {
        // Here, and not in the thread that all commits wait for.
        for blob in &mut batch.blobs {
            blob.bytes = pack::pack_aside(std::mem::take(&mut blob.bytes)).await?;
        }
        self.committer.commit(batch).await
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
        self.reading(|c| read::changes(c, after, limit))
    }

    async fn seq(&self) -> Result<u64> {
        self.reading(read::seq)
    }

    async fn blob_put(&self, bytes: &[u8]) -> Result<String> {
        let hash = memory::blob_hash(bytes);
        // A look costs no commit, and most blobs are new.
        let name = hash.clone();
        if self.reading(|c| upkeep::has_blob(c, &hash))?
            && self.committer.run(move |c| upkeep::touch_blob(c, &name)).await?
        {
            return Ok(hash);
        }
        let (name, kept) = (hash.clone(), pack::pack_aside(bytes.to_vec()).await?);
        self.committer.run(move |c| upkeep::put_blob(c, &name, &kept)).await?;
        Ok(hash)
    }

    fn takes_blobs(&self) -> bool {
        true
    }

    async fn blob_get(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        let bytes: Option<Vec<u8>> = self.reading(|c| {
            c.prepare_cached("SELECT bytes FROM _blob WHERE hash = ?1")
                .and_then(|mut s| s.query_row([hash], |row| row.get(0)).optional())
                .map_err(|e| failed("store.blob_get", e))
        })?;
        bytes.map(|kept| pack::unpack(hash, kept)).transpose()
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.committer.watch()
    }

    fn watch_others(&self) -> watch::Receiver<u64> {
        self.committer.watch_others()
    }

    fn register_worker(&self, name: &str) -> Result<()> {
        self.workers.register(name)
    }

    fn is_worker_alive(&self, name: &str) -> bool {
        self.workers.is_alive(name)
    }

    async fn check(&self) -> Result<Vec<Damage>> {
        self.reading(read::check)
    }

    async fn version(&self) -> Result<(u32, u32)> {
        self.reading(schema::version)
    }

    async fn migrate(&self) -> Result<Vec<u32>> {
        self.committer.run(schema::apply).await
    }

    async fn drift(&self) -> Result<Vec<String>> {
        self.reading(upkeep::drift)
    }

    async fn repair(&self) -> Result<Vec<String>> {
        self.committer.run(|c| upkeep::repair(c)).await
    }

    async fn figures(&self) -> Result<Figures> {
        self.reading(upkeep::figures)
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        self.reading(|_| Ok(()))?;
        Ok(Box::new(snapshot::SqliteSnapshot::open(reader(&self.path)?)?))
    }

    async fn load(&self, items: Vec<Item>) -> Result<()> {
        self.committer.run(|c| snapshot::load(c, items)).await
    }

    async fn trim_feed(&self, through: u64) -> Result<u64> {
        self.committer.run(move |c| upkeep::trim_feed(c, through)).await
    }

    async fn blob_delete(&self, hashes: &[String], before: Timestamp) -> Result<u64> {
        let hashes = hashes.to_vec();
        self.committer.run(move |c| upkeep::delete_blobs(c, &hashes, before)).await
    }

    async fn compact(&self) -> Result<(u64, u64)> {
        self.committer.run(|c| upkeep::compact(c)).await
    }

    async fn close(&self) -> Result<()> {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner).take();
        if readers.is_none() {
            return Ok(());
        }
        drop(readers);
        self.workers.leave();
        drop(self.notice.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.committer.stop().await
    }
}

/// A shared SQLite store.
///
/// # Errors
/// As [`SqliteStore::open`].
pub async fn open(path: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(path).await?))
}

#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod tests;
