//! Backups: one file that every engine writes and every engine restores.
//!
//! Lines of JSON: a head, the items of a snapshot, and an end with the counts and the SHA-256 of all bytes before it.
//! A file that was cut, changed or lengthened anywhere is refused before a byte of it reaches a store.
//!
//! An increment holds what changed since a position of the change feed, and the hash of the commit at that position: it
//! goes on top of the store that ends with this very commit and of no other.

mod delta;
mod read;
mod restore;
mod write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::read::verify_backup;
pub(super) use self::restore::check_order;
pub use self::restore::{restore_backup, restore_increment};
pub(super) use self::write::private;
pub use self::write::{backup_to, increment_to, write_backup, write_increment};

use crate::scope::BLOB_CAP;
use crate::{Error, ErrorKind};

/// Version of the form of a full backup, and of an increment.
const FORMAT: u16 = 1;
const INCREMENT: u16 = 2;
/// Items that go into the new store at once, and the bytes of blobs among them.
const PAGE: (usize, usize) = (500, 16 << 20);
/// Longest line: the largest blob in base64, and some room. A longer one is damage.
const LINE: u64 = (BLOB_CAP as u64).div_ceil(3) * 4 + 4096;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Engine that it was taken from.
    pub engine: String,
    /// Position of the last commit it holds.
    pub seq: u64,
    /// For an increment: the position it goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_seq: Option<u64>,
    /// Records.
    pub records: u64,
    /// All items: kinds, records, chain heads, blobs, feed entries.
    pub items: u64,
    /// Bytes of the file.
    pub size_bytes: u64,
    /// SHA-256 of everything before the last line, hex.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    neonhub_backup: u16,
    engine: String,
    seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Base>,
}

/// The commit that an increment goes on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    seq: u64,
    /// SHA-256 of its entry of the feed, hex.
    commit: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: Counts,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    items: u64,
    records: u64,
    sha256: String,
}

fn damaged(problem: impl Into<String>, line: u64) -> Error {
    Error::new(
        ErrorKind::Corrupted,
        "store.verify_backup",
        format!("the backup is damaged: {}; nothing was restored", problem.into()),
    )
    .with_context("line", line)
}
