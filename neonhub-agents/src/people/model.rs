//! The records of people.

use std::collections::BTreeMap;

use neonhub_core::Timestamp;
use neonhub_core::seal::Sealed;
use neonhub_core::store::{Index, Key, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::normalise::Quality;
use super::resolve::StoppedBy;
use super::{CandidateId, IdentityId, IdentityKind, MergeId, PersonId};

/// How well a person is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// Only seen, without a name or address.
    Anonymous,
    /// Known by an address, number or user id.
    #[default]
    Known,
    /// Shows interest.
    Lead,
    /// Has bought.
    Customer,
    /// Was a customer.
    Former,
}

impl Lifecycle {
    /// The word.
    #[must_use]
    pub const fn as_word(self) -> &'static str {
        match self {
            Lifecycle::Anonymous => "anonymous",
            Lifecycle::Known => "known",
            Lifecycle::Lead => "lead",
            Lifecycle::Customer => "customer",
            Lifecycle::Former => "former",
        }
    }
}

/// Whether a person may be processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PersonStatus {
    /// Yes.
    #[default]
    Active,
    /// Kept and neither profiled nor written to (GDPR Art. 18).
    Restricted,
    /// Erased; only the shell remains.
    Erased,
}

/// A fact about a person from outside the fixed fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trait {
    /// The value.
    pub value: Value,
    /// When it became so; an older one never overwrites a newer one.
    pub at: Timestamp,
    /// Where it came from.
    pub source: String,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Its id.
    pub id: PersonId,
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Language, BCP 47.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Time zone, IANA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Country, ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Region of the country, such as `US-FL` (ISO 3166-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How well the person is known.
    pub lifecycle: Lifecycle,
    /// Whether the person may be processed.
    pub status: PersonStatus,
    /// Other facts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traits: BTreeMap<String, Trait>,
    /// Tags, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When the person last did something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
    /// What was given and could not be used, such as an unknown time zone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// When the record was made; the oldest of merged people speaks for all.
    pub created_at: Timestamp,
}

impl Record for Person {
    const KIND: &'static str = "person";
    const INDEXES: &'static [Index] = &[Index::on("lifecycle"), Index::on("last_seen")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.lifecycle.as_word())), self.last_seen_at.map(Key::from)]
    }
    fn personal(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}

impl Person {
    /// A person of whom nothing is known yet.
    #[must_use]
    pub fn new(id: PersonId, created_at: Timestamp) -> Self {
        Person {
            id,
            first_name: None,
            last_name: None,
            locale: None,
            timezone: None,
            country: None,
            region: None,
            lifecycle: Lifecycle::default(),
            status: PersonStatus::default(),
            traits: BTreeMap::new(),
            tags: Vec::new(),
            last_seen_at: None,
            metadata: BTreeMap::new(),
            created_at,
        }
    }
}

/// How a claim to an identity was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerificationMethod {
    /// A confirmed opt-in mail.
    DoubleOptIn,
    /// A one-time code.
    Otp,
    /// A message from the address.
    InboundMessage,
    /// A sign-in at the provider.
    Oauth,
    /// Attested by the host in an import or call.
    ImportAttested,
    /// Checked by someone of the workspace.
    Manual,
}

/// The proof of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// How.
    pub method: VerificationMethod,
    /// When.
    pub at: Timestamp,
    /// What shows it: an id of an event or message, no personal value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// Whether an identity is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentityStatus {
    /// It finds its person.
    #[default]
    Active,
    /// It was taken away.
    Removed,
}

/// An address, number or name that a person is found by. Its value is sealed; it is looked up by a keyed hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// The person it was written for; merges do not move it.
    pub person: PersonId,
    /// What it is.
    pub kind: IdentityKind,
    /// The namespace of the key, when the kind has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The normalised key, sealed: what a message is sent to.
    pub key: Sealed,
    /// The value as given, sealed; absent when it is the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Sealed>,
    /// Keyed hash of kind and key, 32 hex digits.
    pub hash: String,
    /// How sure the value is.
    pub quality: Quality,
    /// Whether the person proved it.
    pub verified: bool,
    /// How it was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Whether it is the one to use of its kind.
    pub is_primary: bool,
    /// Where it came from.
    pub source: String,
    /// Since when it is known.
    pub first_seen_at: Timestamp,
    /// When it was last met.
    pub last_seen_at: Timestamp,
    /// Whether it is in use.
    pub status: IdentityStatus,
    /// The extension of a phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

impl Record for Identity {
    const KIND: &'static str = "identity";
    const INDEXES: &'static [Index] = &[Index::unique("hash"), Index::on("person")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let finds = self.kind.finds_people() && self.status == IdentityStatus::Active;
        vec![finds.then(|| Key::text(&self.hash)), Some(Key::text(self.person.as_str()))]
    }
    fn personal(&self) -> Vec<String> {
        vec![self.person.to_string()]
    }
}

/// Whether a merge holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeStatus {
    /// It holds.
    #[default]
    Active,
    /// It was taken back.
    Undone,
}

/// A merge: one entry that joins two people and moves nothing, so that it can be taken back exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MergeEntry {
    /// Its id.
    pub id: MergeId,
    /// The side that spoke for both when they were merged.
    pub survivor: PersonId,
    /// The other side.
    pub absorbed: PersonId,
    /// What merged them: `resolve`, `manual` or `candidate`.
    pub rule: String,
    /// The identities that joined them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<IdentityId>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Whether it holds.
    pub status: MergeStatus,
    /// Who took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<String>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_at: Option<Timestamp>,
}

impl Record for MergeEntry {
    const KIND: &'static str = "merge_entry";
    const INDEXES: &'static [Index] = &[Index::unique("pair"), Index::on("survivor"), Index::on("absorbed")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let pair = Key::text(self.survivor.as_str()).and_text(self.absorbed.as_str());
        vec![
            (self.status == MergeStatus::Active).then_some(pair),
            Some(Key::text(self.survivor.as_str())),
            Some(Key::text(self.absorbed.as_str())),
        ]
    }
    fn personal(&self) -> Vec<String> {
        vec![self.survivor.to_string(), self.absorbed.to_string()]
    }
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CandidateStatus {
    /// Waits for a decision.
    #[default]
    Open,
    /// The two were merged.
    Accepted,
    /// They are two people; not proposed again without new evidence.
    Rejected,
}

impl CandidateStatus {
    /// The word.
    #[must_use]
    pub const fn as_word(self) -> &'static str {
        match self {
            CandidateStatus::Open => "open",
            CandidateStatus::Accepted => "accepted",
            CandidateStatus::Rejected => "rejected",
        }
    }
}

/// Two people that may be one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MergeCandidate {
    /// Its id.
    pub id: CandidateId,
    /// The person with the smaller id.
    pub a: PersonId,
    /// The person with the larger id.
    pub b: PersonId,
    /// The rules that stopped a merge.
    pub stopped_by: Vec<StoppedBy>,
    /// The identities that speak for it.
    pub evidence: Vec<IdentityId>,
    /// How likely they are one, 0..=1.
    pub score: f64,
    /// What became of it.
    pub status: CandidateStatus,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
}

impl Record for MergeCandidate {
    const KIND: &'static str = "merge_candidate";
    const INDEXES: &'static [Index] = &[Index::unique("pair"), Index::on("status")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let pair = Key::text(self.a.as_str()).and_text(self.b.as_str());
        // Scores are 0..=1: thousandths keep their order.
        let score = (self.score * 1_000.0).round() as i64;
        vec![Some(pair), Some(Key::text(self.status.as_word()).and_int(1_000 - score))]
    }
    fn personal(&self) -> Vec<String> {
        vec![self.a.to_string(), self.b.to_string()]
    }
}
