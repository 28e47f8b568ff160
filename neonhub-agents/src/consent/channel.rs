//! The channels a person can be reached on.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use neonhub_core::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::people::IdentityKind;

/// A way to reach a person. `dm` names its platform: `dm:instagram`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Channel {
    /// E-mail.
    Email,
    /// Text messages.
    Sms,
    /// WhatsApp messages.
    Whatsapp,
    /// Direct messages on the named platform.
    Dm(Box<str>),
    /// Push messages of an app.
    Push,
    /// Push messages of a browser.
    WebPush,
    /// Messages inside the host's app.
    Inapp,
    /// Voice calls.
    Phone,
    /// Letters.
    Mail,
    /// Audiences of advertising platforms.
    Ads,
}

impl Channel {
    /// Every channel that needs no platform name.
    pub const FIXED: [Channel; 9] = [
        Channel::Email,
        Channel::Sms,
        Channel::Whatsapp,
        Channel::Push,
        Channel::WebPush,
        Channel::Inapp,
        Channel::Phone,
        Channel::Mail,
        Channel::Ads,
    ];

    /// The word of this channel: `email`, `dm:instagram`.
    #[must_use]
    pub fn as_word(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
            Channel::Whatsapp => "whatsapp",
            Channel::Dm(platform) => return Cow::Owned(format!("dm:{platform}")),
            Channel::Push => "push",
            Channel::WebPush => "web_push",
            Channel::Inapp => "inapp",
            Channel::Phone => "phone",
            Channel::Mail => "mail",
            Channel::Ads => "ads",
        })
    }

    /// The kind of identity that carries this channel; `None` when none is needed (letters, in-app).
    #[must_use]
    pub fn identity_kind(&self) -> Option<IdentityKind> {
        match self {
            Channel::Email | Channel::Ads => Some(IdentityKind::Email),
            Channel::Sms | Channel::Whatsapp | Channel::Phone => Some(IdentityKind::Phone),
            Channel::Dm(_) => Some(IdentityKind::PlatformId),
            Channel::Push | Channel::WebPush => Some(IdentityKind::PushToken),
            Channel::Inapp | Channel::Mail => None,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_word())
    }
}

impl FromStr for Channel {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        if let Some(found) = Channel::FIXED.iter().find(|c| c.as_word() == word) {
            return Ok(found.clone());
        }
        match word.strip_prefix("dm:") {
            Some(platform) if is_platform(platform) => Ok(Channel::Dm(platform.into())),
            _ => Err(Error::invalid(
                "consent.channel",
                "channel",
                "expected email, sms, whatsapp, dm:<platform>, push, web_push, inapp, phone, mail or ads",
            )),
        }
    }
}

fn is_platform(word: &str) -> bool {
    (1..=32).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

impl TryFrom<String> for Channel {
    type Error = Error;
    fn try_from(word: String) -> Result<Self> {
        word.parse()
    }
}

impl From<Channel> for String {
    fn from(channel: Channel) -> String {
        channel.as_word().into_owned()
    }
}

impl JsonSchema for Channel {
    fn schema_name() -> Cow<'static, str> {
        "Channel".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A channel: email, sms, whatsapp, dm:<platform>, push, web_push, inapp, phone, mail or ads.",
            "pattern": "^(email|sms|whatsapp|dm:[a-z0-9_]{1,32}|push|web_push|inapp|phone|mail|ads)$",
            "examples": ["email"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_finds_its_channel() {
        for channel in Channel::FIXED.into_iter().chain([Channel::Dm("x".into())]) {
            assert_eq!(channel.as_word().parse::<Channel>().unwrap(), channel);
        }
        for bad in ["", "Email", "dm:", "dm:In stagram", "fax"] {
            assert!(bad.parse::<Channel>().is_err(), "{bad}");
        }
    }
}
