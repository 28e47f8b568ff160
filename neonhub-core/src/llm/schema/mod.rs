//! JSON Schema (2020-12), as far as answers of models and arguments of tools need it.
//!
//! [`check`] compares a value with a schema and lists every fault by path. [`lint`] looks at the schema alone:
//! a keyword that is not checked here is refused and named, so that nothing passes by being overlooked.
//! Annotations (`title`, `description`, `default`, `examples`, `x-...`) and unknown formats are ignored, as the
//! standard says. [`closest`] finds near misses of a name.

mod check;
mod format;
mod lint;

pub use check::check;
pub(crate) use check::{faults, is_type};
pub(crate) use format::holds as has_format;
pub use lint::lint;

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

/// The up to three of `names` nearest to `word`, nearest first; the distance is the number of changed characters.
#[must_use]
pub fn closest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let limit = (word.chars().count() / 2).max(2);
    let mut near: Vec<(usize, &str)> =
        names.into_iter().map(|n| (distance(word, n), n)).filter(|(d, _)| *d <= limit).collect();
    near.sort_unstable();
    near.into_iter().take(3).map(|(_, n)| n).collect()
}

/// Levenshtein distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (cb, up) in b.iter().zip(row.iter().skip(1)) {
            let here = (diagonal + usize::from(ca != *cb)).min(up + 1).min(left + 1);
            diagonal = *up;
            left = here;
            next.push(here);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_nearest_first() {
        let names = ["people.get", "people.list", "people.resolve", "sends.create"];
        assert_eq!(closest("people.gett", names), ["people.get", "people.list"]);
        assert!(closest("x", names).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
