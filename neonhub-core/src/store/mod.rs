//! The store: typed records with indexes and unique keys, one atomic commit, one ordered change feed.

mod backup;
mod batch;
mod canonical;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod compact;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod consistency;
mod grow;
mod keep;
mod key;
mod lenient;
mod memory;
mod ndjson;
pub mod ops;
mod pack;
#[cfg(any(feature = "postgres", feature = "sled"))]
mod plan;
#[cfg(feature = "postgres")]
pub mod postgres;
mod query;
mod record;
mod refs;
mod retention;
#[cfg(feature = "sled")]
pub mod sled;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod sweep;
mod tombstone;
mod transfer;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

pub use backup::{
    Manifest, backup_to, increment_to, restore_backup, restore_increment, verify_backup, write_backup,
    write_increment,
};
pub use batch::{
    Batch, Blob, Change, ChangeOp, Committed, Durability, Expected, FeedEntry, Link, Write, stale, taken,
};
pub use canonical::canonical_json;
pub use consistency::Consistency;
pub use key::Key;
pub use memory::MemoryStore;
pub(crate) use memory::blob_hash;
pub use ndjson::{Exported, ImportPlan, Imported, LineFault, OnConflict, export, import};
pub use query::{Order, Query};
pub use record::{Index, Kind, Record, Row, Stored};
pub use refs::{CASCADE_LIMIT, OnDelete, Ref};
pub use retention::Keep;
pub use sweep::{sweep_blobs, trim_feed};
pub use tombstone::Tombstone;
pub use transfer::{Figures, Item, KindFigures, RecordItem, Snapshot, cursor_expired};

pub(crate) use refs::Family;
pub(crate) use retention::{RETAIN, Retain, retain};
pub(crate) use tombstone::{CASCADE, Cascade, bury, cascade};
pub(crate) use transfer::rebuild_from;

use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Timestamp};

/// Record kinds of the store itself.
pub static KINDS: &[Kind] = &[Kind::of::<Tombstone>()];

/// What a backend can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCaps {
    /// What was committed survives the process.
    pub durable: bool,
    /// Several processes may open it at once.
    pub shared: bool,
    /// Name of the engine.
    pub engine: &'static str,
}

/// Makes a batch of rows that were taken.
pub type Claim<'a> = Box<dyn FnOnce(Vec<Row>) -> Result<Batch> + Send + 'a>;

/// Keeps records. One implementation per engine; all pass the same conformance suite.
///
/// When `commit` returns, a durable engine has synced the data: a `kill -9` or a power cut loses nothing
/// that was acknowledged ([`Durability::Batched`] says otherwise for a batch). Reads see every commit acknowledged
/// before they began.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// What this backend can do.
    fn caps(&self) -> StoreCaps;

    /// Prepares tables and indexes for these kinds. Called at open; a kind may be declared again.
    async fn declare(&self, kinds: &[Kind]) -> Result<()>;

    /// One record.
    async fn get(&self, kind: Kind, workspace: &WorkspaceId, id: &str) -> Result<Option<Row>>;

    /// Several records, in the order asked; `None` where there is none.
    async fn get_many(&self, kind: Kind, workspace: &WorkspaceId, ids: &[String])
    -> Result<Vec<Option<Row>>>;

    /// The records that hold these keys of a unique index, in the order asked.
    async fn find_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        index: &str,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>>;

    /// Records in the order of an index (ties by id), or of their ids.
    async fn query(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<Row>>;

    /// How many records a query would give without its limit.
    async fn count(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<u64>;

    /// Applies a batch whole or not at all.
    ///
    /// # Errors
    /// `Conflict` naming kind, id, expected and found revision; `AlreadyExists` naming the unique index;
    /// `Unavailable` when the disk is full or the file cannot be written, and then nothing is half written.
    async fn commit(&self, batch: Batch) -> Result<Committed>;

    /// True when this engine has its own way to [`claim`](Self::claim).
    fn has_claim(&self) -> bool {
        false
    }

    /// Takes rows for oneself: reads what these queries find and no other claim holds, hands it to `make`, and
    /// commits what that gives, in one transaction. `None` where the engine has no better way than to read and to
    /// commit with the revisions read; `make` is not called then.
    async fn claim(
        &self,
        _kind: Kind,
        _workspace: &WorkspaceId,
        _queries: &[Query],
        _make: Claim<'_>,
    ) -> Option<Result<Committed>> {
        None
    }

    /// Feed entries after `after`, oldest first, at most `limit`. Gapless.
    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>>;

    /// Position of the last commit.
    async fn seq(&self) -> Result<u64>;

    /// Keeps a body under its SHA-256 and gives the hash in hex. Storing it again costs nothing. An engine with a disk
    /// compresses it where that pays.
    async fn blob_put(&self, bytes: &[u8]) -> Result<String>;

    /// True when a [`Batch`] may bring the bodies that its writes name.
    fn takes_blobs(&self) -> bool {
        false
    }

    /// The body with this hash.
    async fn blob_get(&self, hash: &str) -> Result<Option<Vec<u8>>>;

    /// Wakes when the feed grows, also by another process where the engine is shared.
    fn watch(&self) -> watch::Receiver<u64>;

    /// Wakes when another process committed. An engine that cannot tell wakes on every commit.
    fn watch_others(&self) -> watch::Receiver<u64> {
        self.watch()
    }

    /// Makes this process known as a worker, so that others can tell when it is gone.
    fn register_worker(&self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// False when a worker is known to be gone, so that its leases can be taken at once.
    fn is_worker_alive(&self, _name: &str) -> bool {
        true
    }

    /// Reads every record and names what is damaged.
    async fn check(&self) -> Result<Vec<Damage>>;

    /// Version of the layout that the store has, and the one that this build works with.
    async fn version(&self) -> Result<(u32, u32)> {
        Ok((1, 1))
    }

    /// Applies the migrations that are still to come, each whole or not at all, and gives the numbers of those that this
    /// call applied. Opening does it too where the user may.
    async fn migrate(&self) -> Result<Vec<u32>> {
        Ok(Vec::new())
    }

    /// Compares the tables that are there with those declared, and names each difference.
    async fn drift(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Rebuilds what can be rebuilt from the records (indexes) and says what was done. Bodies that do not match
    /// their checksum have no second source here: they come back from a backup.
    async fn repair(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// How much it holds.
    async fn figures(&self) -> Result<Figures> {
        Err(unsupported(self, "store.stats"))
    }

    /// A view of everything at the last commit, while writers go on.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Err(unsupported(self, "store.snapshot"))
    }

    /// Takes items of a snapshot in as they are, revisions and all. For empty stores that nobody else has open.
    async fn load(&self, _items: Vec<Item>) -> Result<()> {
        Err(unsupported(self, "store.load"))
    }

    /// Forgets feed entries up to and with `through`, but never the last one; gives how many.
    async fn trim_feed(&self, _through: u64) -> Result<u64> {
        Err(unsupported(self, "store.trim_feed"))
    }

    /// Removes those of these blobs that were last put before `before`; gives how many.
    async fn blob_delete(&self, _hashes: &[String], _before: Timestamp) -> Result<u64> {
        Err(unsupported(self, "store.blob_delete"))
    }

    /// Gives the space of what was removed back, so that its bytes are gone from the files; sizes before and after.
    async fn compact(&self) -> Result<(u64, u64)> {
        Err(unsupported(self, "store.compact"))
    }

    /// The way to side tables in the same database; `None` for engines that are no PostgreSQL server.
    #[cfg(feature = "postgres")]
    fn side(&self) -> Option<postgres::PostgresSide> {
        None
    }

    /// Writes out everything and lets go of the files. Later calls answer `Unavailable`.
    async fn close(&self) -> Result<()>;
}

fn unsupported<S: Store + ?Sized>(store: &S, operation: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, "this store cannot do it")
        .with_context("engine", store.caps().engine)
}

/// One finding of [`Store::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Kind of the record, or the part of the store.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What is wrong.
    pub problem: String,
}

/// A shared store.
pub type SharedStore = Arc<dyn Store>;

#[cfg(test)]
mod tests {
    mod memory {
        async fn open() -> crate::Result<crate::store::SharedStore> {
            Ok(std::sync::Arc::new(crate::store::MemoryStore::new()))
        }
        crate::store_conformance!(open);
    }
}
