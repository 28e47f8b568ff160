//! What a consent is for: a tree of scopes, walked from `all` down.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use neonhub_core::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest topic name in bytes [our choice].
const MAX_TOPIC_BYTES: usize = 64;

/// A node of the scope tree: `all` > `marketing` > `marketing.<topic>`, `all` > `transactional`,
/// `all` > `profiling` > `memory`, `all` > `share`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum ConsentScope {
    /// Everything.
    All,
    /// Marketing of every topic.
    Marketing,
    /// Marketing of one topic.
    Topic(Box<str>),
    /// Messages that a contract or an order needs.
    Transactional,
    /// Scores, segments and predictions about the person.
    Profiling,
    /// What agents remember about the person.
    Memory,
    /// Passing data on to third parties.
    Share,
}

impl ConsentScope {
    /// The word of this scope: `marketing`, `marketing.offers`.
    #[must_use]
    pub fn as_word(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            ConsentScope::All => "all",
            ConsentScope::Marketing => "marketing",
            ConsentScope::Topic(topic) => return Cow::Owned(format!("marketing.{topic}")),
            ConsentScope::Transactional => "transactional",
            ConsentScope::Profiling => "profiling",
            ConsentScope::Memory => "memory",
            ConsentScope::Share => "share",
        })
    }

    /// The next wider scope; `None` above `all`.
    #[must_use]
    pub fn parent(&self) -> Option<ConsentScope> {
        match self {
            ConsentScope::All => None,
            ConsentScope::Topic(_) => Some(ConsentScope::Marketing),
            ConsentScope::Memory => Some(ConsentScope::Profiling),
            ConsentScope::Marketing
            | ConsentScope::Transactional
            | ConsentScope::Profiling
            | ConsentScope::Share => Some(ConsentScope::All),
        }
    }

    /// The scopes from `all` down to this one.
    #[must_use]
    pub fn path(&self) -> Vec<ConsentScope> {
        let mut path = vec![self.clone()];
        let mut at = self.parent();
        while let Some(scope) = at {
            at = scope.parent();
            path.push(scope);
        }
        path.reverse();
        path
    }

    /// True for `marketing` and its topics.
    #[must_use]
    pub fn is_marketing(&self) -> bool {
        matches!(self, ConsentScope::Marketing | ConsentScope::Topic(_))
    }
}

impl fmt::Display for ConsentScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_word())
    }
}

impl FromStr for ConsentScope {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Ok(match word {
            "all" => ConsentScope::All,
            "marketing" => ConsentScope::Marketing,
            "transactional" => ConsentScope::Transactional,
            "profiling" => ConsentScope::Profiling,
            "memory" => ConsentScope::Memory,
            "share" => ConsentScope::Share,
            _ => match word.strip_prefix("marketing.") {
                Some(topic) if is_topic(topic) => ConsentScope::Topic(topic.into()),
                _ => {
                    return Err(Error::invalid(
                        "consent.scope",
                        "scope",
                        "expected all, marketing, marketing.<topic>, transactional, profiling, memory or share",
                    ));
                }
            },
        })
    }
}

fn is_topic(word: &str) -> bool {
    (1..=MAX_TOPIC_BYTES).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

impl TryFrom<String> for ConsentScope {
    type Error = Error;
    fn try_from(word: String) -> Result<Self> {
        word.parse()
    }
}

impl From<ConsentScope> for String {
    fn from(scope: ConsentScope) -> String {
        scope.as_word().into_owned()
    }
}

impl JsonSchema for ConsentScope {
    fn schema_name() -> Cow<'static, str> {
        "ConsentScope".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "What the consent is for: all, marketing, marketing.<topic>, transactional, profiling, memory or share.",
            "pattern": "^(all|marketing(\\.[a-z0-9_-]{1,64})?|transactional|profiling|memory|share)$",
            "examples": ["marketing"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_starts_at_all() {
        let path = |word: &str| {
            let words: Vec<_> = word
                .parse::<ConsentScope>()
                .unwrap()
                .path()
                .iter()
                .map(|s| s.as_word().into_owned())
                .collect();
            words.join(" > ")
        };
        assert_eq!(path("all"), "all");
        assert_eq!(path("marketing.offers"), "all > marketing > marketing.offers");
        assert_eq!(path("memory"), "all > profiling > memory");
        assert_eq!(path("transactional"), "all > transactional");
    }

    #[test]
    fn unknown_scopes_are_refused() {
        for bad in ["", "Marketing", "marketing.", "marketing.a b", "profiling.x"] {
            assert!(bad.parse::<ConsentScope>().is_err(), "{bad}");
        }
    }
}
