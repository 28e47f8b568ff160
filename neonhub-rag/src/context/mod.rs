//! Puts together what a model gets to read: instructions, rules, passages, memory and talk, within a token budget.

mod build;
mod ops;
mod sources;

use neonhub_core::op::{Entry, entry};

#[cfg(test)]
use build::ContextPart;
pub use build::{ContextBlock, Dropped, PartKind};
pub use ops::{BuildContext, BuiltContext, ContextItem, PartLimits};

/// The operations of contexts.
pub(crate) static CATALOGUE: &[Entry] = &[entry::<BuildContext>()];

#[cfg(test)]
mod tests;
