//! The records of consent, suppression and preferences.

use std::collections::BTreeMap;

use neonhub_core::Timestamp;
use neonhub_core::seal::Sealed;
use neonhub_core::store::{Index, Key, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::ConsentFact;
use super::suppression::{SuppressionKind, SuppressionReason};
use super::{Basis, Channel, ConsentId, ConsentScope, ConsentTextId, ProofMethod, Status, SuppressionId};
use crate::people::{IdentityId, PersonId};

/// What shows that a consent was given or taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// SHA-256 of the wording, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_hash: Option<String>,
    /// Version of the wording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_version: Option<String>,
    /// Language of the wording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// How it was given.
    pub method: ProofMethod,
    /// The page it was given on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The browser it was given with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Who recorded it.
    pub actor: String,
}

/// A row of the consent ledger. Rows are added and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Consent {
    /// Its id, made from what the row says: the same statement twice is one row.
    pub id: ConsentId,
    /// The person it was written for; merges do not move it.
    pub person: PersonId,
    /// The one address that it covers; none: every address of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityId>,
    /// The channel.
    pub channel: Channel,
    /// What it is for.
    pub scope: ConsentScope,
    /// The brand it is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// What it says.
    pub status: Status,
    /// Why processing is lawful.
    pub basis: Basis,
    /// Where it was given.
    pub source: String,
    /// The law it was given under, such as `EU` or `US-FL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// Since when it holds.
    pub effective_at: Timestamp,
    /// Since when we know it.
    pub recorded_at: Timestamp,
    /// Order among rows of the same two instants.
    #[serde(default)]
    pub sequence: u64,
    /// When a grant lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

impl Record for Consent {
    const KIND: &'static str = "consent";
    const INDEXES: &'static [Index] = &[Index::on("person")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        // People have a handful of rows: (person, instant) serves the history and every check.
        vec![Some(Key::text(self.person.as_str()).and_time(self.effective_at))]
    }
    fn personal(&self) -> Vec<String> {
        vec![self.person.to_string()]
    }
}

impl Consent {
    /// The part that the rules read.
    #[must_use]
    pub fn to_fact(&self, member: u32) -> ConsentFact {
        ConsentFact {
            row: self.id.clone(),
            member,
            identity: self.identity.clone(),
            channel: self.channel.clone(),
            scope: self.scope.clone(),
            brand: self.brand.clone(),
            status: self.status,
            effective_at: self.effective_at,
            recorded_at: self.recorded_at,
            sequence: self.sequence,
            expires_at: self.expires_at,
        }
    }
}

/// A wording that people agreed to. Kept for ever, once per wording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsentText {
    /// Its id, made from key, version, language and wording.
    pub id: ConsentTextId,
    /// Its name, such as `newsletter` or `import`.
    pub key: String,
    /// Its version; for imported wordings the start of the hash.
    pub version: String,
    /// Its language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The wording.
    pub body: String,
    /// SHA-256 of the wording, 64 hex digits.
    pub hash: String,
}

impl Record for ConsentText {
    const KIND: &'static str = "consent_text";
    const INDEXES: &'static [Index] = &[Index::on("hash")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.hash))]
    }
}

/// How a suppression ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lifted {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

/// An address, domain or person that must not be reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suppression {
    /// Its id.
    pub id: SuppressionId,
    /// What it names.
    pub kind: SuppressionKind,
    /// The channel it is limited to; none: every channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Keyed hash of what it names, 32 hex digits; it outlives the value.
    pub value_hash: String,
    /// The address or domain, sealed; absent after an erase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Sealed>,
    /// The person it names, or that held the address when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// The brand it is limited to; none: every brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Why.
    pub reason: SuppressionReason,
    /// Where it came from.
    pub source: String,
    /// What shows it: an id of a bounce, complaint or message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Since when.
    pub at: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How it was lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Lifted>,
}

impl Record for Suppression {
    const KIND: &'static str = "suppression";
    const INDEXES: &'static [Index] = &[Index::unique("place"), Index::on("value"), Index::on("reason")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let channel = self.channel.as_ref().map(Channel::as_word).unwrap_or_default();
        let place =
            Key::text(&self.value_hash).and_text(channel).and_text(self.brand.as_deref().unwrap_or_default());
        vec![Some(place), Some(Key::text(&self.value_hash)), Some(Key::text(self.reason.as_word()))]
    }
    fn personal(&self) -> Vec<String> {
        self.person.iter().map(ToString::to_string).collect()
    }
}

/// Every suppression of one address or domain, under the hash itself: a page of an import reads what it needs
/// by id, whether or not a person holds the address yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuppressedValue {
    /// The keyed hash.
    pub id: String,
    /// Its suppressions that were not lifted.
    pub suppressions: Vec<super::suppression::SuppressionFact>,
}

impl Record for SuppressedValue {
    const KIND: &'static str = "suppressed_value";
    fn id(&self) -> &str {
        &self.id
    }
}

/// Counts the changes of [`SuppressedValue`]. A commit that adds identities expects the count it read, so that
/// no suppression slips in between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuppressionCount {
    /// Changes so far.
    pub changes: u64,
}

impl SuppressionCount {
    /// The one id.
    pub const ID: &'static str = "suppressions";
}

impl Record for SuppressionCount {
    const KIND: &'static str = "suppression_count";
    fn id(&self) -> &str {
        SuppressionCount::ID
    }
}

/// Hours of the local day in which a person wants no message, as minutes since midnight; may cross midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// First minute, 0..1440.
    pub from: u16,
    /// Minute after the last, 0..1440.
    pub to: u16,
}

/// The most messages a person wants on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frequency {
    /// At most this many.
    pub max: u32,
    /// In so many days.
    pub days: u16,
}

/// What a person wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preferences {
    /// Channels switched off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels_off: Vec<Channel>,
    /// Topics switched off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics_off: Vec<String>,
    /// The most messages per channel word.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub frequency: BTreeMap<String, Frequency>,
    /// Marketing waits until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<Timestamp>,
    /// No messages in these hours of the local day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
    /// Wanted language, BCP 47.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// The preferences of a person; its id is the person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preference {
    /// The person.
    pub person: PersonId,
    /// What it wants.
    pub wants: Preferences,
}

impl Record for Preference {
    const KIND: &'static str = "preference";
    fn id(&self) -> &str {
        self.person.as_str()
    }
    fn personal(&self) -> Vec<String> {
        vec![self.person.to_string()]
    }
}
