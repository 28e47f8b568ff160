//! Words of a host's own: `app:` and what the host calls them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Permission;

/// Longest word of a host, in bytes. Our choice: the words stand in errors, lists and audit rows.
const LONGEST: usize = 64;
const HEAD: &str = "app:";
/// How such a word is told to whoever wrote another one.
pub(crate) const APP_SHAPE: &str =
    "app: and 1..60 characters of a-z, 0-9, _ and dots between words, such as app:orders.refund";

/// A right that a host made up for its own operations: `app:` and words of `a-z`, `0-9` and `_` with dots between them, a
/// letter first in each, at most 64 bytes in all. It means something once the host has declared it with
/// [`HubBuilder::permission`](crate::HubBuilder::permission).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppPermission {
    /// The word, with zeros behind it: so words compare as their bytes do.
    text: [u8; LONGEST],
}

impl AppPermission {
    /// The permission of this word.
    #[must_use]
    pub const fn parse(word: &str) -> Option<Self> {
        if !is_shaped(word.as_bytes()) {
            return None;
        }
        let mut text = [0; LONGEST];
        let (mut from, mut to) = (word.as_bytes(), text.as_mut_slice());
        while let ([byte, rest @ ..], [slot, slots @ ..]) = (from, to) {
            *slot = *byte;
            (from, to) = (rest, slots);
        }
        Some(AppPermission { text })
    }

    /// The word, such as `app:orders.refund`.
    #[must_use]
    pub fn word(&self) -> &str {
        let end = self.text.iter().position(|byte| *byte == 0).unwrap_or(LONGEST);
        self.text.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or(HEAD)
    }
}

const fn is_shaped(word: &[u8]) -> bool {
    let [b'a', b'p', b'p', b':', rest @ ..] = word else { return false };
    let (mut rest, mut begins) = (rest, true);
    while let [byte, tail @ ..] = rest {
        begins = match byte {
            b'a'..=b'z' => false,
            b'0'..=b'9' | b'_' if !begins => false,
            b'.' if !begins => true,
            _ => return false,
        };
        rest = tail;
    }
    // An empty word, and one that ends with a dot, still wait for a letter.
    !begins && word.len() <= LONGEST
}

impl fmt::Debug for AppPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(from)?;
        Permission::from_word(&word).ok_or_else(|| {
            let words: Vec<&str> = Permission::ALL.iter().map(Permission::word).collect();
            // The word itself may be anything, a secret in the wrong field too.
            D::Error::custom(format!("expected one of {}, or {APP_SHAPE}", words.join(", ")))
        })
    }
}

impl JsonSchema for Permission {
    fn schema_name() -> Cow<'static, str> {
        "Permission".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut doc = "A right that an operation needs. The words are stable and the same in every language; a host may \
                       declare more of its own, which begin with `app:`.\n"
            .to_owned();
        for word in Permission::ALL {
            doc.push_str(&format!("\n- `{word}`: {}", word.meaning()));
        }
        json_schema!({
            "type": "string", "description": doc, "pattern": "^[a-z]+:[a-z][a-z0-9_.]*$", "maxLength": LONGEST,
            "examples": ["read:content", "app:orders.refund"]
        })
    }
}
