//! Events and live items.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::Record;
use crate::tenancy::WorkspaceId;
use crate::{Scope, Timestamp};

/// Longest chain of events that cause each other.
// Our choice (rule of the runtime, section 10): far beyond what a host builds on purpose.
pub const MAX_DEPTH: u8 = 32;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Id of the event.
    pub id: String,
    /// Dotted word, such as `person.created`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Version of the shape of its facts.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub version: u16,
    /// When.
    pub at: Timestamp,
    /// Kind of the record it is about.
    pub subject_kind: String,
    /// Id of the record it is about.
    pub subject_id: String,
    /// Facts: ids, counts, words; no contact values.
    pub data: Value,
    /// Joins everything one outer call caused.
    pub correlation_id: String,
    /// The event whose handling caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// Length of the chain of causes before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u8,
    /// Who.
    pub actor: String,
}

const fn first() -> u16 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_first(version: &u16) -> bool {
    *version == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero(depth: &u8) -> bool {
    *depth == 0
}

impl Record for Event {
    const KIND: &'static str = "bus_event";
    fn id(&self) -> &str {
        &self.id
    }
}

impl Event {
    /// An event about a record, now. Inside a subscriber it carries its cause.
    #[must_use]
    pub fn new(cx: &Scope, kind: &str, subject_kind: &str, subject_id: &str, data: Value) -> Self {
        let cause = cx.0.causation.as_ref();
        Event {
            id: cx.new_id("evt"),
            kind: kind.to_owned(),
            version: 1,
            at: cx.now(),
            subject_kind: subject_kind.to_owned(),
            subject_id: subject_id.to_owned(),
            data,
            correlation_id: cx.correlation().to_owned(),
            causation_id: cause.map(|c| c.event.clone()),
            depth: cause.map_or(0, |c| c.depth),
            actor: cx.label().to_owned(),
        }
    }
}

/// What the work of a scope was caused by.
#[derive(Clone, Debug)]
pub(crate) struct Causation {
    /// The event that is being handled.
    pub(crate) event: String,
    /// Depth of the events this work emits.
    pub(crate) depth: u8,
}

/// An event with its place: `seq` is the commit, `sub` the event's number in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BusEvent {
    /// Commit, as counted by the change feed.
    pub seq: u64,
    /// Number within the commit, from 0.
    pub sub: u16,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

impl BusEvent {
    /// Its place.
    #[must_use]
    pub fn place(&self) -> (u64, u16) {
        (self.seq, self.sub)
    }
}

/// One item of a subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum Item {
    /// A durable event: each subscriber with a cursor gets it once, in order.
    Event {
        /// Position; give it back to go on after this item.
        cursor: u64,
        /// The event.
        event: Event,
    },
    /// Progress of running work. May be dropped when a subscriber is slow; never stored.
    Progress(Progress),
}

/// How far a piece of work is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The work: `import`, `ingest`, `assets`, `launch`.
    pub task: String,
    /// Units done.
    pub done: u64,
    /// Units in all, 0 while unknown.
    pub total: u64,
    /// What is being done now.
    pub note: String,
}
