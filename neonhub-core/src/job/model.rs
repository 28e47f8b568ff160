//! The records of the queue.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Backoff;
use crate::store::{Index, Key, Record};
use crate::{Error, Timestamp};

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Ready to be taken.
    Waiting,
    /// Waits for its instant. It is taken from then on without another write.
    Delayed,
    /// Waits for its children.
    Blocked,
    /// Held by a worker until its lease ends.
    Active,
    /// Done.
    Completed,
    /// Ended because a child failed.
    Failed,
    /// Given up; kept until someone acts.
    Dead,
    /// Cancelled before it was done.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: &'static [JobState] = &[
        JobState::Waiting,
        JobState::Delayed,
        JobState::Blocked,
        JobState::Active,
        JobState::Completed,
        JobState::Failed,
        JobState::Dead,
        JobState::Cancelled,
    ];

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Delayed => "delayed",
            JobState::Blocked => "blocked",
            JobState::Active => "active",
            JobState::Completed => "completed",
            JobState::Failed => "failed",
            JobState::Dead => "dead",
            JobState::Cancelled => "cancelled",
        }
    }

    /// True once nothing more happens by itself.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, JobState::Completed | JobState::Failed | JobState::Dead | JobState::Cancelled)
    }

    /// True while it stands in the queue: waiting or delayed.
    #[must_use]
    pub const fn is_queued(self) -> bool {
        matches!(self, JobState::Waiting | JobState::Delayed)
    }
}

/// A worker's hold on a job. Every later write of the worker checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The worker.
    pub owner: String,
    /// Fencing token: one more than the lease before.
    pub token: u64,
    /// When it ends unless its worker reports that it is alive.
    pub until: Timestamp,
}

/// What happens when the dedupe key of a new job is held by a live one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DedupeMode {
    /// The live job is the answer.
    #[default]
    Reject,
    /// The payload of a job that still waits is swapped; its instant stays.
    Replace,
    /// As replace, and its instant moves too: it runs once things are quiet.
    Extend,
}

/// What a parent does when a child of it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnChildFailure {
    /// It fails too, at once, and its other children that still wait are cancelled.
    #[default]
    Fail,
    /// The child counts as done; its error stays readable.
    Ignore,
    /// It starts at the first failure, without waiting for the others.
    Continue,
}

/// Why a try failed. No personal data, no bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobError {
    /// The stable word, such as `unavailable`.
    pub code: String,
    /// What was wrong.
    pub message: String,
    /// True when another try may help.
    pub retryable: bool,
}

impl From<&Error> for JobError {
    fn from(error: &Error) -> Self {
        JobError {
            code: error.code().to_owned(),
            message: error.message().chars().take(500).collect(),
            retryable: error.is_retryable(),
        }
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A piece of durable work. The payload holds ids only, no personal values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Queue it stands in.
    pub queue: String,
    /// Name of the work.
    pub name: String,
    /// Ids the handler needs; at most 256 KiB.
    pub payload: Value,
    /// State.
    pub state: JobState,
    /// Higher goes first. A waiting job gains 1 per minute, up to 10.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i16,
    /// Not before this instant.
    pub run_at: Timestamp,
    /// How far the machine's clock was set back, in milliseconds, when `run_at` was said: it counts from there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_behind_ms: u64,
    /// Tries that failed so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u16,
    /// Tries before it is given up.
    pub max_attempts: u16,
    /// Pauses between tries; absent: those of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Time for one try in milliseconds; absent: that of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Only one live job of a queue may hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// Holds the dedupe key for so long after its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_key_for_ms: Option<u64>,
    /// At most as many active jobs as the queue allows share it, one by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_key: Option<String>,
    /// Place in its group while active, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_slot: Option<u16>,
    /// The job that waits for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Further jobs that wait for this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_parents: Vec<String>,
    /// Its flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// Children it still waits for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub open_children: u32,
    /// What it does when a child fails.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub on_child_failure: OnChildFailure,
    /// Who holds it, or held it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Leases that ended without an outcome.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stalls: u8,
    /// Processes that were gone while they held it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crashes: u8,
    /// How far it is, in percent; filled in when a job is read by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// What its handler answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Who enqueued it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub principal: String,
    /// Joins it to the call that enqueued it.
    pub correlation_id: String,
    /// When it was first taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl Job {
    /// Every job that waits for this one.
    pub fn parents(&self) -> impl Iterator<Item = &String> {
        self.parent_id.iter().chain(&self.more_parents)
    }

    /// The state as of `now`: a delayed job whose instant has come waits.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> JobState {
        match self.state {
            JobState::Delayed if self.run_at <= now => JobState::Waiting,
            state => state,
        }
    }

    /// Says when it is due, by the machine's clock as it is now.
    pub(super) fn set_run_at(&mut self, at: Timestamp, clock_behind: Duration) {
        (self.run_at, self.clock_behind_ms) = (at, super::spec::millis(clock_behind));
    }

    /// Its instant on the steady clock of a process that has the machine's clock `clock_behind`. Both know of the same
    /// steps back only as far as the smaller of the two goes: whoever began after a step goes by the machine's clock.
    pub(super) fn due_at(&self, clock_behind: Duration) -> Timestamp {
        self.run_at.plus(clock_behind.min(Duration::from_millis(self.clock_behind_ms)))
    }

    /// Until when an ended job still holds its dedupe key.
    #[must_use]
    pub fn key_until(&self) -> Option<Timestamp> {
        let keep = Duration::from_millis(self.keep_key_for_ms?);
        Some(self.finished_at?.plus(keep))
    }

    fn holds_key(&self) -> bool {
        !self.state.is_ended() || self.keep_key_for_ms.is_some()
    }
}

/// Priority as a part of a key: higher first.
pub(crate) fn rank(priority: i16) -> i64 {
    -i64::from(priority)
}

impl Record for Job {
    const KIND: &'static str = "job";
    const INDEXES: &'static [Index] = &[
        Index::on("due"),
        Index::on("lease_until"),
        Index::unique("dedupe"),
        Index::on("ended"),
        Index::unique("group_slot"),
        Index::on("parent"),
        Index::on("flow"),
        Index::on("blocked"),
    ];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let queue = || Key::text(&self.queue);
        let lease = self.lease.as_ref().filter(|_| self.state == JobState::Active);
        let ended = self.state.is_ended();
        vec![
            self.state.is_queued().then(|| queue().and_int(rank(self.priority)).and_time(self.run_at)),
            lease.map(|l| queue().and_time(l.until)),
            self.dedupe_key.as_ref().filter(|_| self.holds_key()).map(|k| queue().and_text(k)),
            ended.then(|| {
                queue().and_text(self.state.word()).and_time(self.finished_at.unwrap_or(self.run_at))
            }),
            self.group_key
                .as_ref()
                .zip(self.group_slot)
                .filter(|_| self.state == JobState::Active)
                .map(|(g, slot)| group_key(&self.queue, g, slot)),
            self.parent_id.as_ref().map(Key::text),
            self.flow_id.as_ref().map(Key::text),
            (self.state == JobState::Blocked).then(queue),
        ]
    }
}

pub(super) fn group_key(queue: &str, group: &str, slot: u16) -> Key {
    Key::text(queue).and_text(group).and_int(i64::from(slot))
}
