//! What a connector declares about itself.

use serde_json::Value;
use std::sync::Arc;

use super::Connector;
use crate::Result;

/// One thing a connector can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Name, `snake_case`.
    pub name: &'static str,
    /// What it does, one sentence.
    pub about: &'static str,
    /// True when repeating it with the same effect id does nothing more.
    pub idempotent: bool,
}

/// The declaration of a connector: plain data, so that docs, bindings and test walks read it.
#[derive(Clone, Copy)]
pub struct Manifest {
    /// Short name, `snake_case`.
    pub id: &'static str,
    /// Display name.
    pub title: &'static str,
    /// What it does, one sentence.
    pub about: &'static str,
    /// What it can do.
    pub actions: &'static [Action],
    /// Where its facts were read, with the date.
    pub source: &'static str,
    /// Builds an instance from a settings map.
    pub open: fn(Value) -> Result<Arc<dyn Connector>>,
}

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manifest").field("id", &self.id).finish_non_exhaustive()
    }
}
