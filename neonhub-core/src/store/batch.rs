//! What one commit asks for.

use std::fmt;

use super::{Kind, Row, Tombstone};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Timestamp};

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anything, or nothing.
    Any,
    /// No record with this id.
    Absent,
    /// A record with this id, whatever its revision.
    Present,
    /// Exactly this revision.
    Rev(u64),
}

/// One write of a batch.
#[derive(Clone, Debug)]
pub enum Write {
    /// Creates or replaces a record.
    Put {
        /// Its kind.
        kind: Kind,
        /// The new row; revision and creation header are set by the engine.
        row: Row,
        /// What must be there before.
        expected: Expected,
    },
    /// Removes a record; removing what is not there is no fault unless a revision is expected.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
        /// What must be there before.
        expected: Expected,
    },
    /// Writes nothing, but the commit fails unless the record is as expected.
    Check {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
        /// What must be there.
        expected: Expected,
    },
}

impl Write {
    /// Kind, id and expectation.
    #[must_use]
    pub fn target(&self) -> (&Kind, &str, Expected) {
        match self {
            Write::Put { kind, row, expected } => (kind, &row.id, *expected),
            Write::Delete { kind, id, expected } | Write::Check { kind, id, expected } => {
                (kind, id, *expected)
            }
        }
    }
}

type Forge = Box<dyn Fn(u64, [u8; 32]) -> Result<(Row, [u8; 32])> + Send + Sync>;

/// The next entry of a hash chain. The engine calls `forge` inside the commit with the entry's number and
/// the hash of the entry before, so that concurrent writers never fork the chain; again when the commit lost
/// a race and is repeated.
pub struct Link {
    /// Name of the chain; each workspace has its own.
    pub chain: &'static str,
    /// Kind of the entry.
    pub kind: Kind,
    /// Hash that the first entry builds on.
    pub genesis: [u8; 32],
    /// Makes the row and its hash.
    pub forge: Forge,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// When what was committed is safe from a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before the commit returns. For effects, audit and money, and for everything else that is not said to be less.
    #[default]
    Sync,
    /// At most this many milliseconds later. A power cut within them loses the newest of these commits and never one
    /// before another; a later commit with `Sync` makes them safe too. For what can be made again. PostgreSQL syncs these at once, as do batches with chain entries.
    Batched(u32),
}

impl Durability {
    /// For pieces of a text that is still being written: 50 ms.
    // Our choice, as the runtime rules state it.
    pub const CHUNKS: Durability = Durability::Batched(50);
    /// For leases of jobs, and for ends of jobs that changed nothing else: 50 ms. After a power cut such a job is worked
    /// again, as after the death of its worker.
    // Our choice: the window of the text.
    pub const LEASES: Durability = Durability::Batched(50);
}

/// An atomic group of writes to one workspace.
#[derive(Debug)]
pub struct Batch {
    /// The workspace all writes belong to.
    pub workspace: WorkspaceId,
    /// When.
    pub at: Timestamp,
    /// The writes, applied in order.
    pub writes: Vec<Write>,
    /// Chain entries, applied after the writes.
    pub links: Vec<Link>,
    /// Bodies that the writes name, for an engine that [`takes_blobs`](super::Store::takes_blobs).
    pub blobs: Vec<Blob>,
    /// When it must be safe. Default: before the commit returns.
    pub durability: Durability,
}

/// A body that is kept with a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its SHA-256 in hex.
    pub hash: String,
    /// The body.
    pub bytes: Vec<u8>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new(workspace: WorkspaceId, at: Timestamp) -> Self {
        Batch {
            workspace,
            at,
            writes: Vec::new(),
            links: Vec::new(),
            blobs: Vec::new(),
            durability: Durability::Sync,
        }
    }

    /// Milliseconds within which it must be safe; none: before the commit returns. A chain proves what was done, so its
    /// entries never wait.
    #[cfg(any(feature = "sled", feature = "sqlite"))]
    pub(super) fn window(&self) -> Option<u32> {
        match self.durability {
            Durability::Batched(ms) if self.links.is_empty() => Some(ms),
            Durability::Batched(_) | Durability::Sync => None,
        }
    }

    /// True when committing would change and check nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.links.is_empty() && self.blobs.is_empty()
    }
}

/// The answer to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Position in the change feed; 0 when the batch held checks alone.
    pub seq: u64,
}

/// What happened to one record in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOp {
    /// It was created.
    Create,
    /// It was replaced.
    Update,
    /// It was removed.
    Delete,
}

/// One record of a feed entry; bodies are read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Kind of the record.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Revision before, 0 when there was none.
    pub before: u64,
    /// Revision after, 0 when it is gone.
    pub after: u64,
    /// What happened.
    pub op: ChangeOp,
}

/// One commit of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Position: one more than the commit before.
    pub seq: u64,
    /// Workspace of the commit.
    pub workspace: WorkspaceId,
    /// When.
    pub at: Timestamp,
    /// The records it touched, in the order of the writes.
    pub changes: Vec<Change>,
}

/// The error for a record that is not as a write expected.
#[must_use]
pub fn stale(kind: &str, id: &str, expected: Expected, found: u64) -> Error {
    let (code, message) = match expected {
        Expected::Present => {
            ("parent_missing", "the record that this one refers to is not there: name one that is")
        }
        Expected::Absent if kind == Tombstone::NAME => (
            "tombstoned",
            "what referred to a removed record of this id is still being removed: take another id",
        ),
        _ => ("stale_revision", "the record changed since it was read: read it again and repeat"),
    };
    Error::new(ErrorKind::Conflict, "store.commit", message)
        .with_code(code)
        .with_context("kind", kind)
        .with_context("id", id)
        .with_context(
            "expected",
            match expected {
                Expected::Any => "any".to_owned(),
                Expected::Absent => "absent".to_owned(),
                Expected::Present => "present".to_owned(),
                Expected::Rev(rev) => rev.to_string(),
            },
        )
        .with_context("found", found)
}

/// The error for a unique key that another record holds.
#[must_use]
pub fn taken(kind: &str, index: &str, holder: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, "store.commit", "another record holds this unique value")
        .with_code("unique_taken")
        .with_context("kind", kind)
        .with_context("index", index)
        .with_context("holder", holder)
}

/// The revision that results from a write, or the conflict.
pub(super) fn next_rev(kind: &str, id: &str, expected: Expected, found: u64) -> Result<u64> {
    let fits = match expected {
        Expected::Any => true,
        Expected::Absent => found == 0,
        Expected::Present => found > 0,
        Expected::Rev(rev) => found == rev && rev > 0,
    };
    if fits { Ok(found + 1) } else { Err(stale(kind, id, expected, found)) }
}
