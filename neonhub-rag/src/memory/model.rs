//! Records of memory.

use std::collections::BTreeMap;

use neonhub_core::seal::Sealed;
use neonhub_core::store::{Index, Key, Record};
use neonhub_core::{Timestamp, id_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

id_type!(MemoryId, "mem", "One thing that is remembered.");

/// Who or what a memory is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemorySubject {
    /// Brand, agent, user or person.
    pub kind: SubjectKind,
    /// Its id or name, 1 to 200 characters.
    pub id: String,
}

impl MemorySubject {
    /// A brand.
    #[must_use]
    pub fn brand(id: impl Into<String>) -> Self {
        Self { kind: SubjectKind::Brand, id: id.into() }
    }

    /// A person.
    #[must_use]
    pub fn person(id: impl Into<String>) -> Self {
        Self { kind: SubjectKind::Person, id: id.into() }
    }

    pub(super) fn key(&self) -> Key {
        Key::text(self.kind.word()).and_text(&self.id)
    }
}

/// Kind of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A brand.
    #[default]
    Brand,
    /// An agent.
    Agent,
    /// A user of the workspace. Needs a consent basis.
    User,
    /// A person. Needs a consent basis, the rights on people beside those on content, and the person's consent to be
    /// remembered: when it is kept and when it is read.
    Person,
}

impl SubjectKind {
    fn word(self) -> &'static str {
        match self {
            Self::Brand => "brand",
            Self::Agent => "agent",
            Self::User => "user",
            Self::Person => "person",
        }
    }
}

/// What kind of thing is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// Something that is so.
    #[default]
    Fact,
    /// What is liked or wanted.
    Preference,
    /// What happened between two sides.
    Interaction,
    /// A shorter form of something longer.
    Summary,
    /// What must or must not be done.
    Constraint,
    /// How two things stand to each other.
    Relationship,
}

/// Where a memory comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceLabel {
    /// The owner of the workspace or a system of theirs. Holds at once.
    FirstParty,
    /// Something a user wrote.
    User,
    /// Something found in a document or on the web.
    Retrieved,
    /// Something a model concluded.
    #[default]
    Model,
}

/// State of a memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemoryState {
    /// Heard once, not confirmed: no search gives it.
    #[default]
    Quarantined,
    /// Holds.
    Active,
    /// Taken back.
    Retracted,
}

/// One thing that is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// Its id.
    pub id: MemoryId,
    /// Who or what it is about.
    pub subject: MemorySubject,
    /// What kind of thing it is.
    pub kind: MemoryKind,
    /// In words.
    pub text: String,
    /// In fields, such as `{"tone": "warm"}`.
    pub slots: BTreeMap<String, String>,
    /// How sure it is, 0 to 1.
    pub confidence: f32,
    /// Where it comes from.
    pub source_label: SourceLabel,
    /// Purposes it may be used for; empty: any.
    pub purposes: Vec<String>,
    /// The consent or contract that allows to keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_basis: Option<String>,
    /// Ids of the events it was learned from; each counts once.
    pub source_events: Vec<String>,
    /// From when it is so.
    pub valid_from: Timestamp,
    /// Until when it was so; open when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
    /// The memory that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<MemoryId>,
    /// When it may no longer be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// State.
    pub state: MemoryState,
    /// When it came in.
    pub created_at: Timestamp,
    /// When it left quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Timestamp>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retracted_at: Option<Timestamp>,
    /// When it was closed by a newer one; `valid_to` says from when it is not so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_at: Option<Timestamp>,
}

/// What can be told from a memory: sealed in the store, so that no file ever shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) slots: BTreeMap<String, String>,
    pub(super) embedder: String,
    pub(super) vector: String,
}

/// A memory as the store keeps it: `memory.text` and `memory.slots` are empty and stand in `content`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct MemoryRecord {
    pub(super) memory: Memory,
    pub(super) content: Sealed,
}

impl Record for MemoryRecord {
    const KIND: &'static str = "memory";
    const INDEXES: &'static [Index] = &[Index::on("subject")];
    fn id(&self) -> &str {
        self.memory.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(self.memory.subject.key().and_time(self.memory.created_at))]
    }
    fn personal(&self) -> Vec<String> {
        let subject = &self.memory.subject;
        (subject.kind == SubjectKind::Person).then(|| subject.id.clone()).into_iter().collect()
    }
}
