//! Records: typed bodies with declared indexes, and the rows that engines keep.

use std::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::grow::KeysOf;
use super::{Keep, Key, Ref, canonical_json, lenient};
use crate::{Error, ErrorKind, Result, Timestamp};

/// One declared index of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Name, `snake_case`, unique in the kind.
    pub name: &'static str,
    /// True when no two records of a workspace may share a key.
    pub unique: bool,
}

impl Index {
    /// An index for lookups and ordered ranges.
    #[must_use]
    pub const fn on(name: &'static str) -> Self {
        Index { name, unique: false }
    }

    /// An index that allows each key once per workspace.
    #[must_use]
    pub const fn unique(name: &'static str) -> Self {
        Index { name, unique: true }
    }
}

/// What an engine knows of a record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Name, `snake_case`: the table in relational engines.
    pub name: &'static str,
    /// Version of the body's shape.
    pub schema: u16,
    /// Declared indexes.
    pub indexes: &'static [Index],
    /// Declared references to other kinds.
    pub refs: &'static [Ref],
    /// Makes the keys of bodies that were stored before an index was declared.
    pub(crate) keys: KeysOf,
}

impl Kind {
    /// The kind of a record type.
    #[must_use]
    pub const fn of<R: Record>() -> Self {
        Kind { name: R::KIND, schema: R::SCHEMA, indexes: R::INDEXES, refs: R::REFS, keys: KeysOf::of::<R>() }
    }

    /// Position of an index.
    ///
    /// # Errors
    /// `Internal` when the kind declares no such index: a fault of the calling code.
    pub fn index(&self, name: &str) -> Result<usize> {
        self.indexes.iter().position(|i| i.name == name).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "store.query", "no such index")
                .with_context("kind", self.name)
                .with_context("index", name)
        })
    }
}

/// A typed record. Its workspace leads every index and unique key.
///
/// Unknown fields of stored bodies are ignored on read and kept on write, so an older build reads and changes what a
/// newer one wrote in the same schema without loss: a write over a stored record keeps the fields, of the body and of
/// objects in it, that the type does not know.
pub trait Record: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Name of the kind: the table in relational engines. `snake_case`, at most 40 characters.
    const KIND: &'static str;
    /// Version of the body's shape; raise it when old bodies need an upgrade.
    const SCHEMA: u16 = 1;
    /// Declared indexes. New ones go to the end of the list: stores that have the others get them at their next open.
    const INDEXES: &'static [Index] = &[];
    /// Records that this one refers to, and what happens to it when they are removed. Who refers to a record can be
    /// written only while that one is there.
    const REFS: &'static [Ref] = &[];

    /// The id, unique in workspace and kind.
    fn id(&self) -> &str;

    /// The key for each declared index in order; `None` leaves the record out of that index.
    fn keys(&self) -> Vec<Option<Key>> {
        Vec::new()
    }

    /// How long records of this kind are kept. Default: until somebody removes them.
    fn retention() -> Keep {
        Keep::Forever
    }

    /// The ids of the persons whom this record is about, for exports and erasures. Default: nobody.
    fn personal(&self) -> Vec<String> {
        Vec::new()
    }

    /// Forgets the record that the keys of `index` name, because it was removed: for kinds with a [`Ref::detach`].
    fn detach(&mut self, _index: &str) {}
}

/// A record as the store holds it: the body and its header.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<R> {
    /// The body.
    pub body: R,
    /// Revision, from 1, raised by each write.
    pub rev: u64,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The principal that first wrote it.
    pub created_by: String,
}

impl<R> Deref for Stored<R> {
    type Target = R;
    fn deref(&self) -> &R {
        &self.body
    }
}

impl<R: Record> Stored<R> {
    /// Reads a row back into its type.
    ///
    /// # Errors
    /// `Corrupted` naming kind and id when the body does not have the shape of `R`.
    pub fn from_row(row: &Row) -> Result<Self> {
        let body = lenient::read(&row.body).map_err(|cause| {
            Error::new(ErrorKind::Corrupted, "store.get", "the stored body does not have the declared shape")
                .with_context("kind", R::KIND)
                .with_context("id", &row.id)
                .with_source(cause)
        })?;
        Ok(Stored {
            body,
            rev: row.rev,
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by.clone(),
        })
    }
}

/// A record as an engine holds it. The body is canonical JSON (RFC 8785).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The id, unique in workspace and kind.
    pub id: String,
    /// Revision, set by the engine.
    pub rev: u64,
    /// Version of the body's shape.
    pub schema: u16,
    /// When it was first written, set by the engine.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The principal that first wrote it.
    pub created_by: String,
    /// Canonical JSON.
    pub body: String,
    /// The key for each declared index, in order.
    pub keys: Vec<Option<Key>>,
}

impl Row {
    /// The row of a record written now.
    ///
    /// # Errors
    /// `InvalidInput` when the body cannot be written as JSON (a NaN, a map with non-text keys).
    pub fn of<R: Record>(record: &R, at: Timestamp, by: &str) -> Result<Self> {
        let body = canonical_json(record)
            .map_err(|e| e.with_context("kind", R::KIND).with_context("id", record.id()))?;
        let mut keys = record.keys();
        keys.resize(R::INDEXES.len(), None);
        Ok(Row {
            id: record.id().to_owned(),
            rev: 0,
            schema: R::SCHEMA,
            created_at: at,
            updated_at: at,
            created_by: by.to_owned(),
            body,
            keys,
        })
    }

    /// The checksum that is stored beside the body: XXH3-64 over kind, id, revision and body, so that a body
    /// that moved to another row is found as well as a flipped bit.
    #[must_use]
    pub fn checksum(&self, kind: &str) -> u64 {
        let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
        for part in [kind, self.id.as_str(), self.body.as_str()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(&self.rev.to_le_bytes());
        hash.digest()
    }

    /// Compares with a stored checksum.
    ///
    /// # Errors
    /// `Corrupted` naming kind and id.
    pub fn verify(&self, kind: &str, stored: u64) -> Result<()> {
        if self.checksum(kind) == stored {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Corrupted,
            "store.get",
            "the record does not match its checksum: restore it from a backup",
        )
        .with_context("kind", kind)
        .with_context("id", &self.id))
    }
}
