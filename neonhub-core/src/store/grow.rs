//! Indexes that a newer build declares behind those a store already has for a kind.
//!
//! The engine adds them at the open, in one transaction with the keys of all records, so that a crash leaves the older
//! shape and the next open begins again. Indexes are only ever added at the end: a store whose list goes on past that of
//! the build was written by a newer one, and is refused.

use super::{Key, Kind, Record};
use crate::{Error, ErrorKind, Result};

/// The key for each declared index of a body, in order.
type MakeKeys = fn(&str) -> Result<Vec<Option<Key>>>;

/// Makes the keys of a stored body. Kinds that this build does not declare have none.
#[derive(Clone, Copy)]
pub(crate) struct KeysOf(Option<MakeKeys>);

impl KeysOf {
    pub(crate) const UNKNOWN: KeysOf = KeysOf(None);

    pub(crate) const fn of<R: Record>() -> Self {
        KeysOf(Some(keys_of::<R>))
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

fn keys_of<R: Record>(body: &str) -> Result<Vec<Option<Key>>> {
    let record: R = serde_json::from_str(body).map_err(|cause| {
        Error::new(ErrorKind::Corrupted, "store.declare", "the stored body does not have the declared shape")
            .with_context("kind", R::KIND)
            .with_source(cause)
    })?;
    let mut keys = record.keys();
    keys.resize(R::INDEXES.len(), None);
    Ok(keys)
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

/// All keys of a stored body. One that cannot be read stays out of the added indexes, as it stays out of every answer:
/// a damaged record must not keep the sound ones from being opened.
pub(super) fn keys(kind: &Kind, id: &str, body: &str) -> Vec<Option<Key>> {
    let made = kind.keys.0.map_or_else(|| Ok(Vec::new()), |of| of(body));
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
