//! What the workspace remembers about a brand, an agent or a user: facts, preferences, constraints.
//!
//! Everything comes in through one gate ([`rules`]): structured slots before free text, nothing twice, nothing
//! that was itself recalled, and what a model or a free text says waits in quarantine until a second, independent
//! event or a first-party source confirms it. A contradiction closes the old item instead of overwriting it, so
//! that `memory.as_of` can answer what was known at an instant. Texts are sealed in the store; forgetting removes
//! the record whole. Memory about people is kept with the people, not here.

mod model;
mod ops_read;
mod ops_write;
mod rules;
mod shelf;

use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;
use neonhub_core::vault::SealedColumn;

pub use model::{Memory, MemoryId, MemoryKind, MemoryState, MemorySubject, SourceLabel, SubjectKind};
pub use ops_read::{MemoriesAsOf, MemoryHit, SearchMemory};
pub use ops_write::{
    AddMemory, ConfirmMemory, ForgetMemory, Forgotten, MemoryChange, RememberedAs, RetractMemory,
};
pub(crate) use shelf::{Shelf, is_usable};

/// The operations of memory.
pub(crate) static CATALOGUE: &[Entry] = &[
    entry::<AddMemory>(),
    entry::<SearchMemory>(),
    entry::<ConfirmMemory>(),
    entry::<RetractMemory>(),
    entry::<ForgetMemory>(),
    entry::<MemoriesAsOf>(),
];

/// The record kinds of memory.
pub(crate) static KINDS: &[Kind] = &[Kind::of::<model::MemoryRecord>()];

/// What is sealed in them.
pub(crate) static SEALED: &[SealedColumn] = &[SealedColumn::of::<model::MemoryRecord>("memory", "content")];

#[cfg(test)]
mod tests;
