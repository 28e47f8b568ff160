//! Subscribers whose cursor is stored: each event reaches them at least once, in order, also after a crash.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::BusEvent;
use super::filter::Filter;
use crate::store::{Index, Key, Record};
use crate::{Result, Scope, Timestamp};

/// Where a subscriber begins that was never here before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    #[default]
    Now,
    /// With the first event that is kept.
    Beginning,
}

/// Reacts to events. Its writes, the events it emits and the move of its cursor are one commit, so that what it does
/// to records happens once; what it does to the world may happen again after a crash and needs a key of its own:
/// `(name, seq, sub)` names each delivery.
///
/// A failure is tried again with growing pauses and holds up this subscriber alone; after ten tries the event is put
/// aside as a [`DeadEvent`] and the next one comes.
#[async_trait]
pub trait Subscriber: Debug + Send + Sync + 'static {
    /// Its name, unique in the hub; the cursor is kept under it.
    fn name(&self) -> &'static str;

    /// What it is told of. Default: everything.
    fn filter(&self) -> Filter {
        Filter::default()
    }

    /// Where it begins when it was never here before.
    fn start(&self) -> Start {
        Start::Now
    }

    /// Takes one event. `cx` is a job's scope: what is staged in it is committed with the cursor.
    async fn handle(&self, cx: &Scope, event: &BusEvent) -> Result<()>;
}

/// How far a subscriber is in one workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriberCursor {
    /// The subscriber.
    pub name: String,
    /// Commit of the last event taken, or passed over.
    pub seq: u64,
    /// Number of that event in its commit; 65,535 when the commit is done.
    pub sub: u16,
    /// Tries of the next event so far.
    #[serde(default)]
    pub attempts: u16,
    /// Not before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Code of the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it last moved.
    pub moved_at: Timestamp,
}

/// A subscriber that has not moved for this long no longer keeps the change feed for itself.
// Our choice, as the runtime rules state it.
const SILENCE: Duration = Duration::from_secs(14 * 24 * 3600);
/// One that is no further behind than this is not silent: what concerns it not is written down now and then only.
const NEAR: u64 = 1_000;

impl SubscriberCursor {
    /// True when it is far behind the last commit and has not moved for 14 days.
    pub(crate) fn is_silent(&self, last: u64, now: Timestamp) -> bool {
        last.saturating_sub(self.seq) > NEAR && now > self.moved_at.plus(SILENCE)
    }

    pub(super) fn place(&self) -> (u64, u16) {
        (self.seq, self.sub)
    }

    pub(super) fn move_to(&mut self, place: (u64, u16), at: Timestamp) {
        (self.seq, self.sub) = place;
        (self.attempts, self.retry_at, self.error) = (0, None, None);
        self.moved_at = at;
    }
}

impl Record for SubscriberCursor {
    const KIND: &'static str = "subscriber_cursor";
    fn id(&self) -> &str {
        &self.name
    }
}

/// An event that a subscriber could not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadEvent {
    /// Its id: subscriber and place.
    pub id: String,
    /// The subscriber.
    pub subscriber: String,
    /// Commit of the event.
    pub seq: u64,
    /// Its number in the commit.
    pub sub: u16,
    /// Id of the event.
    pub event_id: String,
    /// Type of the event.
    pub event_type: String,
    /// Code of the failure; `loop_guard` for a chain of causes that is too long.
    pub error: String,
    /// When it was put aside.
    pub at: Timestamp,
}

impl Record for DeadEvent {
    const KIND: &'static str = "dead_event";
    const INDEXES: &'static [Index] = &[Index::on("subscriber")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.subscriber).and_time(self.at))]
    }
}
