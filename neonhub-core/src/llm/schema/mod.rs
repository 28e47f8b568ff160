//! JSON Schema (2020-12), as far as answers of models and arguments of tools need it.
//!
//! [`check`] compares a value with a schema and lists every fault by path. [`lint`] looks at the schema alone:
//! a keyword that is not checked here is refused and named, so that nothing passes by being overlooked.
//! Annotations (`title`, `description`, `default`, `examples`, `x-...`) and unknown formats are ignored, as the
//! standard says.

mod check;
mod format;
mod lint;
mod lower;

pub use check::check;
pub(crate) use check::{faults, is_type};
pub(crate) use format::holds as has_format;
pub use lint::lint;
pub use lower::lower;
pub(crate) use lower::raise;

use serde_json::Value;

/// Deepest nesting of a schema or value. Deeper ones are refused.
pub(crate) const MAX_DEPTH: usize = 64;

/// Follows a `$ref` inside the same document: `#` or `#/$defs/Name`.
pub(crate) fn resolve<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    let pointer = reference.strip_prefix('#')?;
    root.pointer(pointer)
}

/// `budget` + `currency` = `budget.currency`; the root itself is empty.
pub(crate) fn join_path(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
