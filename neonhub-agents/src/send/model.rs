//! Sends and what they hang on.

use std::collections::BTreeMap;

use neonhub_core::connector::{Decision, EffectId, Reason};
use neonhub_core::store::{Index, Key, Record};
use neonhub_core::{Timestamp, id_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DraftId;
use crate::brand::{BrandId, SenderId};
use crate::gate::facts::{RecentSend, SourceState};
use crate::gate::{Category, Channel};
use crate::people::{IdentityId, PersonId};

id_type!(SendId, "snd", "A send: one message to one person, or one public post.");

/// How many verdicts a send keeps; older ones are dropped.
const MAX_VERDICTS: usize = 20;
/// How many recent messages a person's reach keeps: more than any cap counts.
const MAX_RECENT: usize = 64;

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// State of a send.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum SendState { $($(#[$doc])* $name),+ }

        impl SendState {
            /// Every state.
            pub const ALL: &'static [SendState] = &[$(SendState::$name),+];

            /// The word of this state.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(SendState::$name => $word),+ }
            }
        }
    };
}

states! {
    /// Waits for its time.
    #[default]
    Scheduled = "scheduled",
    /// Waits for a worker.
    Queued = "queued",
    /// The gate put it off.
    Deferred = "deferred",
    /// Handed to the connector; the outcome is not stored yet.
    Dispatching = "dispatching",
    /// Nobody knows whether it went out: a probe or a person decides.
    Unknown = "unknown",
    /// The provider took it.
    Accepted = "accepted",
    /// It arrived.
    Delivered = "delivered",
    /// It came back.
    Bounced = "bounced",
    /// The provider refused it for good, or it could not be written.
    Failed = "failed",
    /// The gate refused it.
    Denied = "denied",
    /// Taken back before dispatch.
    Cancelled = "cancelled",
    /// Not possible in time.
    Expired = "expired",
}

impl SendState {
    /// True when nothing more happens but reports of the provider.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(
            self,
            SendState::Delivered
                | SendState::Bounced
                | SendState::Failed
                | SendState::Denied
                | SendState::Cancelled
                | SendState::Expired
        )
    }

    /// True before the point of no return.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, SendState::Scheduled | SendState::Queued | SendState::Deferred)
    }
}

/// A verdict of the gate, as kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Its direction.
    pub decision: Decision,
    /// The instant it was made.
    pub at: Timestamp,
    /// For a deferral: when the gate is asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The rule that decided, for deferrals and denials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Every reason, in the order of the rules. Warnings have the decision `allow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Version of rules, limits and laws.
    pub gate: String,
    /// Hash of the content it was about.
    pub draft_hash: String,
}

/// One message to one person, or one public post.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Send {
    /// Its id.
    pub id: SendId,
    /// What is sent.
    pub draft: DraftId,
    /// Hash of the content when the send was made.
    pub draft_hash: String,
    /// The brand that speaks.
    pub brand: BrandId,
    /// What it is sent from.
    pub sender: SenderId,
    /// The recipient; none for a public post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// The address it went to, once dispatched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityId>,
    /// Channel.
    pub channel: Channel,
    /// What kind of message it is.
    pub category: Category,
    /// Campaign, bulk or journey it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Step of a sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// When it is wanted.
    pub send_at: Timestamp,
    /// When it stops being wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// State.
    pub state: SendState,
    /// How often the state changed.
    pub state_seq: u32,
    /// When the state changed last.
    pub state_at: Timestamp,
    /// The effect: the provider's idempotency key, and what a probe asks for.
    pub effect: EffectId,
    /// The same key is the same send.
    pub dedupe_key: String,
    /// Verdicts, oldest first; the last 20 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
    /// When the provider took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    /// The provider's id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// The provider's word for its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_status: Option<String>,
    /// Segments of a text message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
    /// Fingerprint of a public text, to find the same text on the same account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Code of the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A test send: it counts nowhere and goes to the test list only.
    #[serde(default)]
    pub test: bool,
}

impl Record for Send {
    const KIND: &'static str = "send";
    const INDEXES: &'static [Index] = &[
        Index::unique("dedupe"),
        Index::on("campaign"),
        Index::on("person"),
        Index::on("state"),
        Index::on("fingerprint"),
    ];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let campaign = self.campaign.as_ref().map(|campaign| {
            Key::text(campaign).and_text(self.step.as_deref().unwrap_or_default()).and_text(self.state.word())
        });
        let person = self.person.as_ref().map(|p| Key::text(p.as_str()).and_time(self.send_at));
        let fingerprint = self.fingerprint.as_ref().zip(self.accepted_at);
        vec![
            Some(Key::text(&self.dedupe_key)),
            campaign,
            person,
            Some(Key::text(self.state.word()).and_time(self.send_at)),
            fingerprint.map(|(f, at)| Key::text(f).and_time(at)),
        ]
    }
    fn personal(&self) -> Vec<String> {
        self.person.iter().map(ToString::to_string).collect()
    }
}

impl Send {
    /// Moves to a state.
    pub(super) fn enter(&mut self, state: SendState, at: Timestamp) {
        if self.state != state {
            self.state = state;
            self.state_seq += 1;
            self.state_at = at;
        }
    }

    /// Keeps a verdict.
    pub(super) fn note(&mut self, verdict: Verdict) {
        if self.verdicts.len() >= MAX_VERDICTS {
            self.verdicts.remove(0);
        }
        self.verdicts.push(verdict);
    }

    /// The rule of the last verdict, when it did not allow.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.verdicts.last().and_then(|v| v.rule.as_deref())
    }
}

/// What a send comes from, as the gate sees it. Its owner (a campaign) writes it in the commit that changes its
/// own state; a dispatch commit expects the revision the verdict was computed from, so a pause stops what was
/// already taken from the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendSource {
    /// Id of the campaign, bulk or journey.
    pub id: String,
    /// Its state.
    pub state: SourceState,
    /// Nothing goes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Nothing goes from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
}

impl Record for SendSource {
    const KIND: &'static str = "send_source";
    fn id(&self) -> &str {
        &self.id
    }
}

/// A message that counts, with the send it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// The send.
    pub send: SendId,
    /// When, where and what.
    #[serde(flatten)]
    pub sent: RecentSend,
}

/// What reached a person lately. Written in the dispatch commit, which expects the revision the verdict saw: two
/// sends never take the same frequency slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// The person.
    pub id: PersonId,
    /// Accepted and dispatching messages, oldest first.
    pub recent: Vec<Reached>,
    /// Last message that said how to stop, by channel word.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub opt_out_shown_at: BTreeMap<String, Timestamp>,
}

impl Record for Reach {
    const KIND: &'static str = "reach";
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn personal(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}

impl Reach {
    /// Nothing reached this person yet.
    #[must_use]
    pub fn new(id: PersonId) -> Self {
        Reach { id, recent: Vec::new(), opt_out_shown_at: BTreeMap::new() }
    }

    /// Takes a slot.
    pub(super) fn take(&mut self, send: &SendId, sent: RecentSend) {
        self.release(send);
        if self.recent.len() >= MAX_RECENT {
            self.recent.remove(0);
        }
        self.recent.push(Reached { send: send.clone(), sent });
    }

    /// Gives a slot back.
    pub(super) fn release(&mut self, send: &SendId) {
        self.recent.retain(|r| r.send != *send);
    }
}

/// Keeps of [`Send`] what lists show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendTotals {
    /// Sends the gate let through, whatever became of them.
    pub allowed: u64,
    /// Sends the gate put off.
    pub deferred: u64,
    /// Sends the gate refused.
    pub denied: u64,
    /// Sends that wait for their time and were not judged yet.
    pub scheduled: u64,
    /// Sends a provider or the outbox took.
    pub sent: u64,
    /// Sends taken back.
    pub cancelled: u64,
    /// Sends by state word.
    pub states: BTreeMap<String, u64>,
    /// Deferred and denied sends by the rule that decided, each once.
    pub reasons: BTreeMap<String, u64>,
}
