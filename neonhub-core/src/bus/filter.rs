//! Which events a subscriber is told of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::{Error, Result};

/// Which events are meant: all conditions that are given must hold. The empty filter means every event.
///
/// ```
/// use neonhub_core::bus::Filter;
/// let filter = Filter::types(["person.*", "*.finished"]);
/// assert!(filter.types.len() == 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Types, one of which must match; `*` stands for any characters. Empty: any type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Kind of the record it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_kind: Option<String>,
    /// Id of the record it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_id: Option<String>,
    /// Name of the agent that caused it; `*` stands for any characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl Filter {
    /// Events of these types.
    #[must_use]
    pub fn types<T: Into<String>>(types: impl IntoIterator<Item = T>) -> Self {
        Filter { types: types.into_iter().map(Into::into).collect(), ..Filter::default() }
    }

    pub(super) fn check(&self, operation: &'static str) -> Result<()> {
        if self.types.len() > 64 {
            return Err(Error::invalid(operation, "types", "expected at most 64 types"));
        }
        let is_glob = |t: &str| !t.is_empty() && t.len() <= 100 && t.bytes().all(|b| b.is_ascii_graphic());
        match self.types.iter().position(|t| !is_glob(t)) {
            Some(n) => {
                let field = format!("types[{n}]");
                Err(Error::invalid(operation, field, "expected 1..100 characters such as person.*"))
            }
            None => Ok(()),
        }
    }

    pub(super) fn lets_through(&self, event: &Event) -> bool {
        let agent = || event.actor.strip_prefix("agent:");
        (self.types.is_empty() || self.types.iter().any(|t| glob(t, &event.kind)))
            && self.subject_kind.as_deref().is_none_or(|k| k == event.subject_kind)
            && self.subject_id.as_deref().is_none_or(|id| id == event.subject_id)
            && self.agent.as_deref().is_none_or(|name| agent().is_some_and(|a| glob(name, a)))
    }
}

/// True when `*` in the pattern can be filled so that it equals the text.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else { return false };
    let Some(last) = pattern.contains('*').then(|| parts.next_back()).flatten() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, text, fits) in [
            ("person.created", "person.created", true),
            ("person.created", "person.created2", false),
            ("person.*", "person.merged", true),
            ("person.*", "people.merged", false),
            ("*", "", true),
            ("*.finished", "agent_run.finished", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("", "x", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
