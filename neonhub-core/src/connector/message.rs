//! Rendered messages on their way out.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result, Secret};

/// A way to reach people or the public: `email`, `sms`, `x`, `linkedin`, `dm:instagram`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Channel(Arc<str>);

impl Channel {
    /// Reads a channel word: lower-case letters, digits, `_` and at most one `:`.
    ///
    /// # Errors
    /// `InvalidInput` for any other shape.
    pub fn new(word: &str) -> Result<Self> {
        let shaped = (1..=40).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b':')
            && word.bytes().filter(|b| *b == b':').count() <= 1;
        if shaped {
            Ok(Channel(word.into()))
        } else {
            Err(Error::invalid(
                "channel.parse",
                "channel",
                "expected a word such as email, sms or dm:instagram",
            ))
        }
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Channel {
    type Error = Error;
    fn try_from(word: String) -> Result<Self> {
        Channel::new(&word)
    }
}

impl From<Channel> for String {
    fn from(channel: Channel) -> String {
        channel.0.as_ref().to_owned()
    }
}

impl JsonSchema for Channel {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Channel".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "description": "A channel: email, sms, x, linkedin, instagram, facebook, dm:instagram",
            "pattern": "^[a-z0-9_]+(:[a-z0-9_]+)?$", "examples": ["email"]
        })
    }
}

/// The name of one effect on the world: stored before dispatch, carried as the provider's idempotency key or
/// as a marker, asked for by the probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct EffectId(String);

impl EffectId {
    /// The id of an effect: SHA-256 over length-prefixed parts, in hex.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        EffectId(crate::store_hex(&hash.finalize()))
    }

    /// The id in hex: safe as a file name, a header value and an idempotency key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is delivered.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A complete RFC 5322 message with its envelope.
    Email {
        /// Envelope sender.
        from: String,
        /// Envelope recipient, one.
        to: Secret,
        /// The message, CRLF line ends.
        message: Vec<u8>,
    },
    /// A text message to one person.
    Text {
        /// Sender number or name.
        from: String,
        /// Recipient, E.164 or a platform address.
        to: Secret,
        /// The text.
        body: String,
    },
    /// A public post.
    Post {
        /// Account that posts.
        account: String,
        /// The text.
        text: String,
        /// Link that goes with it.
        link: Option<String>,
        /// Alternative texts of media, in order.
        alt_texts: Vec<String>,
    },
}

/// A rendered message with what a connector needs to send it once.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Channel it goes out on.
    pub channel: Channel,
    /// The effect it is.
    pub effect: EffectId,
    /// What is delivered.
    pub payload: Payload,
    /// Facts for the record of the delivery (send id, segments, citations); no contact values.
    pub facts: Value,
}
