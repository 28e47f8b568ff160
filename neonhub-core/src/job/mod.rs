//! Durable jobs over the store: enqueued in the commit that asks for them, worked under a fenced lease.

mod queue;
mod worker;

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use queue::{JobSpec, QueueStats};
pub use worker::Drained;

use crate::store::{Index, Key, Record};
use crate::{Error, Result, Scope, Timestamp};

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Ready to be taken once `run_at` has come.
    Waiting,
    /// Held by a worker until its lease ends.
    Active,
    /// Done.
    Completed,
    /// Given up; kept until someone acts.
    Dead,
    /// Cancelled before it was done.
    Cancelled,
}

impl JobState {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Active => "active",
            JobState::Completed => "completed",
            JobState::Dead => "dead",
            JobState::Cancelled => "cancelled",
        }
    }
}

/// A worker's hold on a job. Every later write of the worker checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The worker.
    pub owner: String,
    /// Fencing token: one more than the lease before.
    pub token: u64,
    /// When it ends unless renewed.
    pub until: Timestamp,
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
    /// Higher goes first.
    pub priority: i16,
    /// Not before this instant.
    pub run_at: Timestamp,
    /// Tries that failed so far.
    pub attempts: u16,
    /// Tries before it is given up.
    pub max_attempts: u16,
    /// Only one live job of a queue may hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Leases that ended without an outcome.
    #[serde(default)]
    pub stalls: u8,
    /// Code of the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Joins it to the call that enqueued it.
    pub correlation_id: String,
}

impl Record for Job {
    const KIND: &'static str = "job";
    const INDEXES: &'static [Index] =
        &[Index::on("due"), Index::on("lease_until"), Index::unique("dedupe"), Index::on("ended")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let live = matches!(self.state, JobState::Waiting | JobState::Active);
        let due = (self.state == JobState::Waiting)
            .then(|| Key::text(&self.queue).and_int(-i64::from(self.priority)).and_time(self.run_at));
        let lease = self.lease.as_ref().filter(|_| self.state == JobState::Active);
        vec![
            due,
            lease.map(|l| Key::text(&self.queue).and_time(l.until)),
            self.dedupe_key.as_ref().filter(|_| live).map(|k| Key::text(&self.queue).and_text(k)),
            (!live).then(|| Key::text(&self.queue).and_text(self.state.word()).and_text(&self.id)),
        ]
    }
}

/// What became of a job.
#[derive(Debug)]
pub enum Outcome {
    /// Done.
    Done,
    /// Not now: again at this instant, without using a try.
    Later(Timestamp),
    /// Failed: again with growing pauses while tries last and the error's advice allows it.
    Failed(Error),
}

/// Works the jobs of one queue.
///
/// A handler gets a batch, so that it can share loads and commits; it answers each job in order. It stages
/// writes in the scope: what it staged is committed together with the outcomes, and [`Scope::flush`] commits
/// earlier where an effect needs its intent on disk first. Every commit checks the leases.
#[async_trait]
pub trait Handler: Debug + Send + Sync + 'static {
    /// Queue it works. Dotted, such as `email.send`.
    fn queue(&self) -> &'static str;
    /// Most jobs of one batch. Default 64.
    fn batch(&self) -> usize {
        64
    }
    /// Does the work.
    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>>;
}
