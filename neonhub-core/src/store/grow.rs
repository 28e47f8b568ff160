//! Indexes that a newer build declares behind those a store already has for a kind.
//!
//! The engine adds them at the open, in one transaction with the keys of all records, so that a crash leaves the older
//! shape and the next open begins again. Indexes are only ever added at the end: a store whose list goes on past that of
//! the build was written by a newer one, and is refused.

use super::{Key, Kind, Record, canonical_json};
use crate::{Error, ErrorKind, Result};

/// The key for each declared index of a body, in order.
type MakeKeys = fn(&str) -> Result<Vec<Option<Key>>>;

/// A body that has forgotten the record an index names, and its keys.
type Detach = fn(&str, &str) -> Result<(String, Vec<Option<Key>>)>;

/// Makes the keys of a stored body. Kinds that this build does not declare have none.
#[derive(Clone, Copy)]
pub(crate) struct KeysOf(Option<(MakeKeys, Detach)>);

impl KeysOf {
    pub(crate) const UNKNOWN: KeysOf = KeysOf(None);

    pub(crate) const fn of<R: Record>() -> Self {
        KeysOf(Some((keys_of::<R>, detach::<R>)))
    }

    pub(super) fn detach(self, kind: &Kind, body: &str, index: &str) -> Result<(String, Vec<Option<Key>>)> {
        let undeclared = || {
            let what = "records of a kind that this build does not declare cannot be changed";
            Error::new(ErrorKind::Internal, "store.commit", what).with_context("kind", kind.name)
        };
        let (_, detach) = self.0.ok_or_else(undeclared)?;
        detach(body, index)
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
    serde_json::from_str(body).map_err(|cause| {
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
    let made = kind.keys.0.map_or_else(|| Ok(Vec::new()), |(of, _)| of(body));
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
