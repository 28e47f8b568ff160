//! The brief: what a campaign is for, for whom, where, when and with which words.

use neonhub_core::{Error, Fault, Money, Result, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CampaignChannel, brief_check, brief_toml};

/// One brief becomes one campaign.
///
/// Read one from a TOML file with [`Brief::from_toml`], or fill the fields and call [`Brief::check`]. Both list
/// every fault by field in one error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brief {
    /// What the campaign should reach, in a sentence or two (1..=1,000 characters).
    pub goal: String,
    /// The brand that speaks (1..=100 characters).
    pub brand: String,
    /// Whom it speaks to, in plain words (1..=2,000 characters).
    pub audience_text: String,
    /// What should stick, most important first (1..=10, each 1..=300 characters).
    pub key_messages: Vec<String>,
    /// What is offered, if anything (1..=300 characters).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// Where it speaks; each channel once.
    pub channels: Vec<CampaignChannel>,
    /// The whole money, in minor units. Zero is allowed; a negative amount is not.
    pub budget: Money,
    /// Nothing goes out before this instant.
    pub start: Timestamp,
    /// Nothing goes out after this instant.
    pub end: Timestamp,
    /// Phrases that every e-mail must hold (at most 20, each 1..=200 characters).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_say: Vec<String>,
    /// Phrases that nothing may hold (at most 50, each 1..=200 characters).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_not_say: Vec<String>,
    /// Language and region of the texts, such as `en-GB`.
    pub locale: String,
    /// IANA zone in which times of day are meant, such as `Europe/London`.
    pub timezone: String,
    /// Who signs.
    pub sender: BriefSender,
    /// Where every link leads; tracking parameters are added, query and fragment kept.
    pub landing_url: String,
}

/// The sender of a campaign's messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BriefSender {
    /// Address in the From header.
    pub email: String,
    /// Name in the From header (1..=100 characters, one line).
    pub name: String,
    /// Postal address of the footer (1..=300 characters).
    pub postal_address: String,
    /// An `https` address that accepts the one-click request of RFC 8058; a signed token is added.
    pub unsubscribe_url: String,
}

impl Brief {
    /// Reads a brief file.
    ///
    /// `start` and `end` may be written with offset (`2026-11-24T09:00:00Z`), as local time or as a date; the
    /// last two are meant in `timezone`, and a date as `end` includes that day.
    ///
    /// ```
    /// use neonhub_agents::campaign::Brief;
    /// let err = Brief::from_toml("goal = \"\"\nbudget = { amount = 5 }\n").unwrap_err();
    /// let faulty: Vec<_> = err.field_faults().iter().map(|f| f.field.as_str()).collect();
    /// assert!(faulty.contains(&"goal") && faulty.contains(&"budget.currency"));
    /// ```
    ///
    /// # Errors
    /// `InvalidInput` that lists every fault by field, or the line of a TOML syntax fault.
    pub fn from_toml(text: &str) -> Result<Self> {
        brief_toml::parse(text)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// `InvalidInput` that lists every fault by field.
    pub fn check(&self) -> Result<()> {
        let faults = self.faults();
        if faults.is_empty() { Ok(()) } else { Err(Error::faults("campaign.brief", faults)) }
    }

    /// Every fault by field; empty when the brief is good.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        brief_check::faults(self)
    }

    /// The key of the campaign this brief stands for: 64 hex digits.
    ///
    /// Two files that say the same, however they are laid out, have the same key.
    #[must_use]
    pub fn key(&self) -> String {
        // Field order and number form are fixed by the type, so this JSON is canonical.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let digest = Sha256::new().chain_update(b"neonhub-brief-v1\n").chain_update(body).finalize();
        digest.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// True when the brief speaks on this channel.
    #[must_use]
    pub fn speaks_on(&self, channel: CampaignChannel) -> bool {
        self.channels.contains(&channel)
    }

    /// The channels on which each message goes to one person.
    pub fn personal_channels(&self) -> impl Iterator<Item = CampaignChannel> {
        self.channels.iter().copied().filter(|c| c.is_personal())
    }

    /// The key messages that hold no phrase of `must_not_say`, in order.
    pub fn sayable_messages(&self) -> impl Iterator<Item = &str> {
        self.key_messages.iter().map(String::as_str).filter(|m| !self.forbids(m))
    }

    /// True when `text` holds a phrase of `must_not_say` as whole words.
    #[must_use]
    pub fn forbids(&self, text: &str) -> bool {
        self.must_not_say.iter().any(|phrase| super::near::holds(text, phrase))
    }
}
