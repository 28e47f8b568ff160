//! The content of a store in a form that every engine reads and writes: for backups, moves and exports.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::grow::KeysOf;
use super::{Change, ChangeOp, FeedEntry, Index, Key, Kind, Row};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Timestamp};

/// One part of a store's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum Item {
    /// A kind with its declared indexes; a unique one ends with `!`. Comes before its records.
    Kind {
        /// Name.
        name: String,
        /// Version of the body's shape.
        schema: u16,
        /// Declared indexes in order.
        indexes: Vec<String>,
    },
    /// A record that is there no more, or comes anew further down. In increments alone, before all records.
    Gone {
        /// Its workspace.
        workspace: WorkspaceId,
        /// Its kind.
        kind: String,
        /// Its id.
        id: String,
    },
    /// A record with its header.
    Record(RecordItem),
    /// The head of a hash chain.
    Chain {
        /// Its workspace.
        workspace: WorkspaceId,
        /// Its name.
        chain: String,
        /// Number of the last entry.
        seq: u64,
        /// Hash of the last entry, hex.
        hash: String,
    },
    /// A blob.
    Blob {
        /// SHA-256 in hex.
        hash: String,
        /// Its bytes, as they are or as an engine keeps them; base64 in JSON.
        #[serde(rename = "data", with = "in_base64")]
        bytes: Vec<u8>,
    },
    /// One commit of the change feed.
    Feed {
        /// Position.
        seq: u64,
        /// Workspace of the commit.
        workspace: WorkspaceId,
        /// When.
        at: Timestamp,
        /// Kind, id, revision before and after, per change.
        changes: Vec<(String, String, u64, u64)>,
    },
}

/// A record as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordItem {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its revision.
    pub rev: u64,
    /// Version of the body's shape.
    pub schema: u16,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The principal that first wrote it.
    pub created_by: String,
    /// The key for each declared index in hex, in order.
    pub keys: Vec<Option<String>>,
    /// Canonical JSON.
    pub body: String,
}

impl RecordItem {
    /// The record of a row.
    #[must_use]
    pub fn of(workspace: WorkspaceId, kind: &str, row: Row) -> Self {
        RecordItem {
            workspace,
            kind: kind.to_owned(),
            id: row.id,
            rev: row.rev,
            schema: row.schema,
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by,
            keys: row.keys.iter().map(|k| k.as_ref().map(|k| crate::store_hex(k.as_bytes()))).collect(),
            body: row.body,
        }
    }

    /// The row again.
    ///
    /// # Errors
    /// `Corrupted` when a key is no hex text.
    pub fn into_row(self) -> Result<Row> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            keys.push(key.map(|hex| unhex(&hex).map(Key::from_encoded)).transpose()?);
        }
        Ok(Row {
            id: self.id,
            rev: self.rev,
            schema: self.schema,
            created_at: self.created_at,
            updated_at: self.updated_at,
            created_by: self.created_by,
            body: self.body,
            keys,
        })
    }
}

/// Bytes of a hex text.
pub(super) fn unhex(text: &str) -> Result<Vec<u8>> {
    let bad = || Error::new(ErrorKind::Corrupted, "store.load", "expected hex digits");
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or_else(bad);
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return Err(bad());
    }
    bytes
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Ok(digit(*high)? << 4 | digit(*low)?),
            _ => Err(bad()),
        })
        .collect()
}

pub(super) fn undeclared(kind: &str) -> Error {
    Error::new(ErrorKind::Corrupted, "store.load", "a record comes before its kind")
        .with_context("kind", kind)
}

pub(super) fn hash_bytes(hex: &str) -> Result<[u8; 32]> {
    <[u8; 32]>::try_from(unhex(hex)?.as_slice())
        .map_err(|_| Error::new(ErrorKind::Corrupted, "store.load", "expected a hash of 64 hex digits"))
}

mod in_base64 {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        BASE64_STANDARD.decode(&*text).map_err(de::Error::custom)
    }
}

pub(super) fn feed_item(entry: &FeedEntry) -> Item {
    let changes = entry.changes.iter().map(|c| (c.kind.clone(), c.id.clone(), c.before, c.after)).collect();
    Item::Feed { seq: entry.seq, workspace: entry.workspace.clone(), at: entry.at, changes }
}

pub(super) fn feed_entry(
    seq: u64,
    workspace: WorkspaceId,
    at: Timestamp,
    changes: Vec<(String, String, u64, u64)>,
) -> FeedEntry {
    let changes = changes.into_iter().map(|(kind, id, before, after)| {
        let op = match (before, after) {
            (0, _) => ChangeOp::Create,
            (_, 0) => ChangeOp::Delete,
            _ => ChangeOp::Update,
        };
        Change { kind, id, before, after, op }
    });
    FeedEntry { seq, workspace, at, changes: changes.collect() }
}

/// A view of the store at one commit, read while writers go on.
#[async_trait]
pub trait Snapshot: Send {
    /// Position of the last commit it holds.
    fn seq(&self) -> u64;

    /// The next items: kinds, then records by kind, workspace and id, then chains, blobs and the feed. Empty at the
    /// end.
    async fn next(&mut self) -> Result<Vec<Item>>;
}

/// A snapshot that was taken whole, for engines in memory.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) seq: u64,
    pub(super) items: std::vec::IntoIter<Item>,
}

#[async_trait]
impl Snapshot for Taken {
    fn seq(&self) -> u64 {
        self.seq
    }

    async fn next(&mut self) -> Result<Vec<Item>> {
        Ok(self.items.by_ref().take(500).collect())
    }
}

/// Names of the indexes of a kind, a unique one with `!` behind.
pub(super) fn index_words(kind: &Kind) -> Vec<String> {
    kind.indexes.iter().map(|i| format!("{}{}", i.name, if i.unique { "!" } else { "" })).collect()
}

static KINDS: Mutex<Option<HashMap<String, Kind>>> = Mutex::new(None);

/// A kind that this build may not declare, as a store or backup describes it. Each distinct one is kept for the life
/// of the process; there are as many as kinds of records.
pub(super) fn kind_of(name: &str, schema: u16, indexes: &[String]) -> Kind {
    let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = kinds.get_or_insert_with(HashMap::new);
    let place = format!("{name} {schema} {}", indexes.join(" "));
    *known.entry(place).or_insert_with(|| {
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let indexes: Vec<Index> = indexes
            .iter()
            .map(|word| match word.strip_suffix('!') {
                Some(name) => Index::unique(leak(name)),
                None => Index::on(leak(word)),
            })
            .collect();
        let indexes = Box::leak(indexes.into_boxed_slice());
        Kind { name: leak(name), schema, indexes, refs: &[], keys: KeysOf::UNKNOWN }
    })
}

/// Figures of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KindFigures {
    /// Name of the kind.
    pub kind: String,
    /// Records.
    pub records: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// Figures of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Per kind.
    pub kinds: Vec<KindFigures>,
    /// Entries that the feed still holds.
    pub feed_length: u64,
    /// Position of the oldest entry it holds; 0 when it holds none.
    pub feed_oldest: u64,
    /// Blobs.
    pub blobs: u64,
    /// Their bytes as they are kept: compressed where that pays.
    pub blob_bytes: u64,
    /// Bytes on disk, 0 in memory.
    pub disk_bytes: u64,
}

/// The error for a cursor that points before the oldest entry the feed still holds.
#[must_use]
pub fn cursor_expired(after: u64, oldest: u64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "store.changes",
        "the feed no longer holds what follows this cursor: rebuild from the records, then go on after `rebuild_from`",
    )
    .with_code("cursor_expired")
    .with_context("cursor", after)
    .with_context(REBUILD_FROM, oldest.saturating_sub(1))
}

const REBUILD_FROM: &str = "rebuild_from";

/// Where the feed begins, for an error that says that a cursor points before it.
pub(crate) fn rebuild_from(error: &Error) -> Option<u64> {
    let (_, seq) = error.context().find(|(name, _)| *name == REBUILD_FROM)?;
    if error.code() == "cursor_expired" { seq.parse().ok() } else { None }
}
