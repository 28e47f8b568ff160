//! Sets of ids that an index is asked for.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// A set of ids of chunks, made once and asked by every index.
///
/// It is asked by 64-bit hashes of ids: among a million ids two are alike once in some forty million sets.
#[derive(Clone, Debug, Default)]
pub struct IdSet {
    ids: Vec<Arc<str>>,
    keys: HashSet<u64, BuildHasherDefault<Key>>,
}

/// The short form of an id.
pub(super) fn key(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

impl IdSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an id; false when it was there.
    pub fn insert(&mut self, id: Arc<str>) -> bool {
        let is_new = self.keys.insert(key(&id));
        if is_new {
            self.ids.push(id);
        }
        is_new
    }

    /// True when the id is in the set.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.holds(key(id))
    }

    /// The short forms of the ids.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> {
        self.keys.iter().copied()
    }

    pub(super) fn holds(&self, key: u64) -> bool {
        self.keys.contains(&key)
    }

    /// Number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True without any id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.ids.iter()
    }
}

impl FromIterator<Arc<str>> for IdSet {
    fn from_iter<I: IntoIterator<Item = Arc<str>>>(ids: I) -> Self {
        let mut out = Self::new();
        out.extend(ids);
        out
    }
}

impl Extend<Arc<str>> for IdSet {
    fn extend<I: IntoIterator<Item = Arc<str>>>(&mut self, ids: I) {
        for id in ids {
            self.insert(id);
        }
    }
}

impl<const N: usize> From<[Arc<str>; N]> for IdSet {
    fn from(ids: [Arc<str>; N]) -> Self {
        ids.into_iter().collect()
    }
}

/// A key is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Key(u64);

impl Hasher for Key {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_in_a_set_once_and_in_its_place() {
        let mut set: IdSet = ["b", "a", "b"].map(Arc::from).into();
        assert_eq!(set.iter().map(|id| &**id).collect::<Vec<_>>(), ["b", "a"]);
        assert!(set.contains("a") && !set.contains("c"));
        assert!(set.insert("c".into()) && !set.insert("c".into()));
        assert_eq!((set.len(), set.is_empty()), (3, false));
    }
}
