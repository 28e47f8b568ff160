//! The operation catalogue, as `neonhub-catalogue` prints it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Everything a language surface is made from.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Catalogue {
    /// Version of the library.
    pub(crate) version: String,
    /// The words of all error kinds.
    #[serde(default)]
    pub(crate) error_kinds: Vec<String>,
    /// All operations, sorted by name.
    pub(crate) operations: Vec<Operation>,
    /// Schemas of types that cross to the host outside of operations, by name.
    #[serde(default)]
    pub(crate) types: BTreeMap<String, Value>,
}

/// One operation.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Operation {
    /// Dotted name, for example `people.resolve`.
    pub(crate) name: String,
    /// What it does: the documentation of its input type.
    pub(crate) doc: String,
    /// JSON Schema of the input.
    pub(crate) input: Value,
    /// JSON Schema of the output.
    pub(crate) output: Value,
    /// Permission words that the caller needs.
    pub(crate) needs: Vec<String>,
    /// Effect class word.
    pub(crate) effect: String,
    /// Codes it answers with beside the general ones.
    #[serde(default)]
    pub(crate) errors: Vec<String>,
    /// Example inputs.
    #[serde(default)]
    pub(crate) examples: Vec<Value>,
}
