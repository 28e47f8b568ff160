//! Indexes that a newer build declares behind those a store already has for a kind.
//!
//! The engine adds them at the open, in one transaction with the keys of all records, so that a crash leaves the older
//! shape and the next open begins again. Indexes are only ever added at the end: a store whose list goes on past that of
//! the build was written by a newer one, and is refused.

use super::{Keep, Key, Kind, Record, Row, canonical_json, keep, lenient};
use crate::{Error, ErrorKind, Result};

/// The key for each declared index of a body, in order.
type MakeKeys = fn(&str) -> Result<Vec<Option<Key>>>;

/// A body that has forgotten the record an index names, and its keys.
type Detach = fn(&str, &str) -> Result<(String, Vec<Option<Key>>)>;

/// A new body with what the old one holds beyond what the type knows; none when that is nothing.
type Carry = fn(&str, &str) -> Option<String>;

/// The persons whom a body is about.
type Personal = fn(&str) -> Result<Vec<String>>;

/// What a type makes of stored bodies.
#[derive(Clone, Copy)]
struct OfType {
    keys: MakeKeys,
    detach: Detach,
    carry: Carry,
    retention: fn() -> Keep,
    personal: Personal,
}

/// Makes the keys of a stored body. Kinds that this build does not declare have none.
#[derive(Clone, Copy)]
pub(crate) struct KeysOf(Option<OfType>);

impl KeysOf {
    pub(crate) const UNKNOWN: KeysOf = KeysOf(None);

    pub(crate) const fn of<R: Record>() -> Self {
        KeysOf(Some(OfType {
            keys: keys_of::<R>,
            detach: detach::<R>,
            carry: keep::kept::<R>,
            retention: R::retention,
            personal: personal::<R>,
        }))
    }

    pub(super) fn detach(self, kind: &Kind, body: &str, index: &str) -> Result<(String, Vec<Option<Key>>)> {
        let undeclared = || {
            let what = "records of a kind that this build does not declare cannot be changed";
            Error::new(ErrorKind::Internal, "store.commit", what).with_context("kind", kind.name)
        };
        let of = self.0.ok_or_else(undeclared)?;
        (of.detach)(body, index)
    }
}

impl Kind {
    /// True when a row of this kind that replaces another one keeps what the type does not know of that.
    #[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
    pub(super) fn keeps(&self) -> bool {
        self.keys.0.is_some()
    }

    /// Brings into a row what the body it replaces holds and the type does not know.
    pub(super) fn keep_unknown(&self, old: &str, row: &mut Row) {
        if let Some(body) = self.keys.0.and_then(|of| (of.carry)(old, &row.body)) {
            row.body = body;
        }
    }

    /// How long its records are kept.
    #[must_use]
    pub fn retention(&self) -> Keep {
        self.keys.0.map_or(Keep::Forever, |of| (of.retention)())
    }

    /// The ids of the persons whom a stored record of this kind is about.
    ///
    /// # Errors
    /// `Corrupted` naming kind and id when the body does not have the declared shape.
    pub fn personal(&self, row: &Row) -> Result<Vec<String>> {
        let found = self.keys.0.map_or_else(|| Ok(Vec::new()), |of| (of.personal)(&row.body));
        found.map_err(|error| error.with_context("id", &row.id))
    }

    /// The kind for rows whose bodies are whole already: nothing of what they replace is kept.
    pub(super) fn whole(self) -> Kind {
        Kind { keys: KeysOf::UNKNOWN, ..self }
    }
}

// How keys are made does not tell kinds apart: their declarations do.
impl PartialEq for KeysOf {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for KeysOf {}

impl std::fmt::Debug for KeysOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "declared" } else { "unknown" })
    }
}

fn read<R: Record>(operation: &'static str, body: &str) -> Result<R> {
    lenient::read(body).map_err(|cause| {
        Error::new(ErrorKind::Corrupted, operation, "the stored body does not have the declared shape")
            .with_context("kind", R::KIND)
            .with_source(cause)
    })
}

fn all_keys<R: Record>(record: &R) -> Vec<Option<Key>> {
    let mut keys = record.keys();
    keys.resize(R::INDEXES.len(), None);
    keys
}

fn keys_of<R: Record>(body: &str) -> Result<Vec<Option<Key>>> {
    read::<R>("store.declare", body).map(|record| all_keys(&record))
}

fn personal<R: Record>(body: &str) -> Result<Vec<String>> {
    read::<R>("store.get", body).map(|record| record.personal())
}

fn detach<R: Record>(body: &str, index: &str) -> Result<(String, Vec<Option<Key>>)> {
    let mut record: R = read("store.commit", body)?;
    record.detach(index);
    Ok((canonical_json(&record)?, all_keys(&record)))
}

/// The indexes to add when `found` is an older list of this kind; `None` when it is another list altogether.
#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
pub(super) fn added<'f>(
    kind: &Kind,
    found: impl IntoIterator<Item = &'f str>,
) -> Option<&'static [super::Index]> {
    let words = super::transfer::index_words(kind);
    let mut old = 0;
    for word in found {
        if words.get(old).map(String::as_str) != Some(word) {
            return None;
        }
        old += 1;
    }
    kind.indexes.get(old..).filter(|new| !new.is_empty() && kind.keys.0.is_some())
}

/// The refusal of a build whose list of indexes for a kind ends before that of the store: what it wrote would lack the
/// entries of the others.
pub(super) fn outgrown(kind: &Kind, found: &str) -> Error {
    let ours = super::transfer::index_words(kind).join(" ");
    Error::new(
        ErrorKind::Config,
        "store.commit",
        format!(
            "a newer neonhub has added indexes to this kind: the store has `{found}`, this process writes `{ours}`; \
             start it again with the newer build"
        ),
    )
    .with_code("newer_store")
    .with_context("kind", kind.name)
    .with_context("store", found)
    .with_context("build", ours)
}

/// The refusal of an index that is declared unique over records that share a value.
pub(super) fn shared_value(kind: &Kind, index: &str, one: &str, other: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        "store.declare",
        "records share a value of an index that this build declares unique: change or remove one of them with the \
         build before, then open again; nothing was changed",
    )
    .with_code("unique_taken")
    .with_context("kind", kind.name)
    .with_context("index", index)
    .with_context("id", one)
    .with_context("other_id", other)
}

/// All keys of a stored body. One that cannot be read stays out of the added indexes, as it stays out of every answer:
/// a damaged record must not keep the sound ones from being opened.
pub(super) fn keys(kind: &Kind, id: &str, body: &str) -> Vec<Option<Key>> {
    let made = kind.keys.0.map_or_else(|| Ok(Vec::new()), |of| (of.keys)(body));
    let mut keys = made.unwrap_or_else(|cause| {
        tracing::warn!(
            kind = kind.name,
            id,
            code = cause.code(),
            "a damaged record is left out of a new index"
        );
        Vec::new()
    });
    keys.resize(kind.indexes.len(), None);
    keys
}
