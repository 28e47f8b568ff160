//! Enqueueing and looking at queues.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Job, JobState};
use crate::scope::Writing;
use crate::store::{Key, Query};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// A job to be enqueued.
#[derive(Clone, Debug)]
pub struct JobSpec {
    queue: &'static str,
    name: &'static str,
    payload: Value,
    priority: i16,
    run_at: Option<Timestamp>,
    max_attempts: u16,
    dedupe_key: Option<String>,
}

impl JobSpec {
    /// A job named `name` for `queue`, with the ids its handler needs.
    #[must_use]
    pub fn new(queue: &'static str, name: &'static str, payload: Value) -> Self {
        JobSpec { queue, name, payload, priority: 0, run_at: None, max_attempts: 10, dedupe_key: None }
    }

    /// Higher goes first. Default 0.
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Not before this instant. Default: at once.
    #[must_use]
    pub fn run_at(mut self, at: Timestamp) -> Self {
        self.run_at = Some(at);
        self
    }

    /// Tries before it is given up. Default 10.
    #[must_use]
    pub fn max_attempts(mut self, tries: u16) -> Self {
        self.max_attempts = tries;
        self
    }

    /// Only one live job of the queue may hold this key.
    #[must_use]
    pub fn dedupe(mut self, key: impl Into<String>) -> Self {
        self.dedupe_key = Some(key.into());
        self
    }
}

/// Counts of one queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStats {
    /// Queue.
    pub queue: String,
    /// Ready or delayed.
    pub waiting: u64,
    /// Held by workers.
    pub active: u64,
    /// Done, as far as kept.
    pub completed: u64,
    /// Given up.
    pub dead: u64,
}

impl Scope {
    /// Stages a job; it exists when and only when the commit does. Gives its id.
    ///
    /// # Errors
    /// `InvalidInput` for a queue without a handler or a payload over 256 KiB; at commit `AlreadyExists` when
    /// a live job holds the dedupe key.
    pub fn enqueue(&self, spec: JobSpec) -> Result<String> {
        if !self.hub().has_handler(spec.queue) {
            return Err(Error::new(ErrorKind::Config, "jobs.enqueue", "no handler works this queue")
                .with_context("queue", spec.queue));
        }
        if spec.payload.to_string().len() > MAX_PAYLOAD_BYTES {
            return Err(Error::invalid(
                "jobs.enqueue",
                "payload",
                "expected at most 256 KiB: keep large bodies as blobs",
            ));
        }
        let job = Job {
            id: self.new_id("job"),
            queue: spec.queue.to_owned(),
            name: spec.name.to_owned(),
            payload: spec.payload,
            state: JobState::Waiting,
            priority: spec.priority,
            run_at: spec.run_at.unwrap_or_else(|| self.now()),
            attempts: 0,
            max_attempts: spec.max_attempts,
            dedupe_key: spec.dedupe_key,
            lease: None,
            stalls: 0,
            error: None,
            correlation_id: self.correlation().to_owned(),
        };
        self.create(&job)?;
        if let Writing::Operation(unit) | Writing::Job(unit) = &self.0.writing {
            unit.staged().enqueued = true;
        }
        Ok(job.id)
    }

    /// Counts of a queue in this workspace.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn queue_stats(&self, queue: &str) -> Result<QueueStats> {
        let ended = |state: JobState| Query::index("ended").prefix(Key::text(queue).and_text(state.word()));
        Ok(QueueStats {
            queue: queue.to_owned(),
            waiting: self.count::<Job>(&Query::index("due").prefix(Key::text(queue))).await?,
            active: self.count::<Job>(&Query::index("lease_until").prefix(Key::text(queue))).await?,
            completed: self.count::<Job>(&ended(JobState::Completed)).await?,
            dead: self.count::<Job>(&ended(JobState::Dead)).await?,
        })
    }
}
