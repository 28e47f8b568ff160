//! What the workspace remembers about a brand, an agent, a user or a person: facts, preferences, constraints.
//!
//! Everything comes in through one gate ([`rules`]): structured slots before free text, nothing twice, nothing
//! that was itself recalled, and what a model or a free text says waits in quarantine until a second, independent
//! event or a first-party source confirms it. A contradiction closes the old item instead of overwriting it, so
//! that `memory.as_of` can answer what was known at an instant. Texts are sealed in the store; forgetting removes
//! the record whole. About a person, what whoever keeps people says of its consent ([`access`]) decides at each
//! writing and reading.

mod access;
mod model;
mod ops_read;
mod ops_write;
mod renew;
mod rules;
mod shelf;

use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;
use neonhub_core::vault::SealedColumn;

pub(crate) use access::{ReadFor, Readable};
pub use model::{Memory, MemoryId, MemoryKind, MemoryState, MemorySubject, SourceLabel, SubjectKind};
pub use ops_read::{MemoriesAsOf, MemoryHit, SearchMemory};
pub use ops_write::{
    AddMemory, ConfirmMemory, ForgetMemory, Forgotten, MemoryChange, RememberedAs, RetractMemory,
};
pub(crate) use renew::{any_memory, lacking_memories, renew_memories};
pub(crate) use shelf::is_usable;

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
