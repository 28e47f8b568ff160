//! How many identities of a kind a person may hold.

use std::collections::{BTreeMap, BTreeSet};

use crate::people::limits::{self, Per};
use crate::people::normalise::Key;

/// True when these identities may belong to one person.
pub(super) fn holds<'a>(keys: impl Iterator<Item = &'a Key>) -> bool {
    let distinct: BTreeSet<&Key> = keys.collect();
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    distinct.into_iter().all(|key| {
        let limit = limits::of(key.kind);
        let place = match limit.per {
            Per::Kind => None,
            Per::Namespace => key.namespace.as_deref(),
        };
        let count = counts.entry((key.kind, place)).or_default();
        *count += 1;
        *count <= limit.max
    })
}
