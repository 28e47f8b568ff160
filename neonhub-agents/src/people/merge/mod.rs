//! Merges of people and taking them back (people.md 3). A merge writes one entry and the gate facts of both
//! sides; people, identities and ledger rows stay as they are.

mod ops;
mod rebuild;

use neonhub_core::store::Key;

use super::PersonId;

pub use ops::{AcceptCandidate, ListCandidates, MergePeople, RejectCandidate, UnmergePeople, Unmerged};
pub(crate) use rebuild::own_facts;

/// A pair in the order it is kept in.
pub(crate) fn ordered(a: &PersonId, b: &PersonId) -> (PersonId, PersonId) {
    if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) }
}

/// The unique key of a pair.
pub(crate) fn pair_key(a: &PersonId, b: &PersonId) -> Key {
    Key::text(a.as_str()).and_text(b.as_str())
}

#[cfg(test)]
mod tests;
