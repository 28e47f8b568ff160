//! What a new job is to be.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::declare::Queue;
use super::{Backoff, DedupeMode, Job, JobState, OnChildFailure};
use crate::scope::Writing;
use crate::{Error, Faults, Result, Scope, Timestamp};

const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
const MAX_KEY_BYTES: usize = 255;
const MAX_ATTEMPTS: u16 = 1_000;
/// The longest time for one try: a day.
const MAX_TIMEOUT_MS: u64 = 86_400_000;

/// A job to be enqueued.
#[derive(Clone, Debug)]
pub struct JobSpec {
    pub(super) queue: Cow<'static, str>,
    pub(super) name: Cow<'static, str>,
    pub(super) payload: Value,
    pub(super) priority: i16,
    pub(super) run_at: Option<Timestamp>,
    pub(super) max_attempts: Option<u16>,
    pub(super) backoff: Option<Backoff>,
    pub(super) timeout: Option<Duration>,
    pub(super) dedupe: Option<Dedupe>,
    pub(super) group: Option<String>,
    pub(super) on_child_failure: OnChildFailure,
}

/// The dedupe key of a spec.
#[derive(Clone, Debug)]
pub(super) struct Dedupe {
    pub(super) key: String,
    pub(super) mode: DedupeMode,
    pub(super) keep: Option<Duration>,
}

impl JobSpec {
    /// A job named `name` for `queue`, with the ids its handler needs.
    #[must_use]
    pub fn new(
        queue: impl Into<Cow<'static, str>>,
        name: impl Into<Cow<'static, str>>,
        payload: Value,
    ) -> Self {
        JobSpec {
            queue: queue.into(),
            name: name.into(),
            payload,
            priority: 0,
            run_at: None,
            max_attempts: None,
            backoff: None,
            timeout: None,
            dedupe: None,
            group: None,
            on_child_failure: OnChildFailure::Fail,
        }
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

    /// Tries before it is given up, 1..1000. Default: that of the queue.
    #[must_use]
    pub fn max_attempts(mut self, tries: u16) -> Self {
        self.max_attempts = Some(tries);
        self
    }

    /// Pauses between tries. Default: those of the queue.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Time for one try, up to a day. Default: that of the queue.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Only one live job of the queue may hold this key, 1..255 bytes.
    #[must_use]
    pub fn dedupe(self, key: impl Into<String>) -> Self {
        self.dedupe_as(key, DedupeMode::Reject)
    }

    /// As [`dedupe`](Self::dedupe), with what happens to the live job.
    #[must_use]
    pub fn dedupe_as(mut self, key: impl Into<String>, mode: DedupeMode) -> Self {
        let keep = self.dedupe.and_then(|d| d.keep);
        self.dedupe = Some(Dedupe { key: key.into(), mode, keep });
        self
    }

    /// Holds the dedupe key for so long after the end of the job: a throttle. Needs a key.
    #[must_use]
    pub fn keep_key_for(mut self, time: Duration) -> Self {
        if let Some(dedupe) = &mut self.dedupe {
            dedupe.keep = Some(time);
        }
        self
    }

    /// Jobs of one group are worked one after the other, 1..255 bytes.
    #[must_use]
    pub fn group(mut self, key: impl Into<String>) -> Self {
        self.group = Some(key.into());
        self
    }

    /// What it does when a child of it fails. Default: it fails too.
    #[must_use]
    pub fn on_child_failure(mut self, what: OnChildFailure) -> Self {
        self.on_child_failure = what;
        self
    }

    /// Checks the spec against its queue and makes the job, not yet staged.
    pub(super) fn make(self, cx: &Scope, queue: &Queue) -> Result<Job> {
        self.check(queue)?;
        let now = cx.now();
        let run_at = self.run_at.unwrap_or(now);
        let state = if run_at > now { JobState::Delayed } else { JobState::Waiting };
        let (dedupe_key, keep) = self.dedupe.map_or((None, None), |d| (Some(d.key), d.keep));
        Ok(Job {
            id: cx.next_job_id(),
            queue: queue.name().to_owned(),
            name: self.name.into_owned(),
            payload: self.payload,
            state,
            priority: self.priority,
            run_at,
            clock_behind_ms: millis(cx.hub().clock_behind()),
            attempts: 0,
            max_attempts: self.max_attempts.unwrap_or(queue.max_attempts),
            backoff: self.backoff,
            timeout_ms: self.timeout.map(millis),
            dedupe_key,
            keep_key_for_ms: keep.map(millis),
            group_key: self.group,
            group_slot: None,
            parent_id: None,
            more_parents: Vec::new(),
            flow_id: None,
            open_children: 0,
            on_child_failure: self.on_child_failure,
            lease: None,
            stalls: 0,
            crashes: 0,
            progress: None,
            result: None,
            error: None,
            principal: cx.label().to_owned(),
            correlation_id: cx.correlation().to_owned(),
            started_at: None,
            finished_at: None,
        })
    }

    fn check(&self, queue: &Queue) -> Result<()> {
        let mut faults = Faults::new();
        let fits = |key: &str| (1..=MAX_KEY_BYTES).contains(&key.len());
        faults.check((1..=100).contains(&self.name.len()), "name", "expected 1..100 bytes");
        faults.check(
            self.payload.to_string().len() <= MAX_PAYLOAD_BYTES,
            "payload",
            "expected at most 256 KiB: keep large bodies as blobs",
        );
        if let Some(dedupe) = &self.dedupe {
            faults.check(fits(&dedupe.key), "dedupe.key", "expected 1..255 bytes");
        }
        if let Some(group) = &self.group {
            faults.check(fits(group), "group", "expected 1..255 bytes");
        }
        if let Some(tries) = self.max_attempts {
            faults.check((1..=MAX_ATTEMPTS).contains(&tries), "attempts", "expected 1..1000");
        }
        if let Some(b) = &self.backoff {
            let fits = b.base_ms >= 1 && b.base_ms <= b.cap_ms && b.cap_ms <= 30 * MAX_TIMEOUT_MS;
            faults.check(fits, "backoff", "expected 1 <= base_ms <= cap_ms <= 30 days");
        }
        if let Some(limit) = self.timeout {
            faults.check(
                (1..=MAX_TIMEOUT_MS).contains(&millis(limit)),
                "timeout_ms",
                "expected 1..86 400 000",
            );
        }
        faults.into_result("jobs.enqueue")?;
        queue.check(&self.name, &self.payload)
    }
}

impl Scope {
    /// Ids of one instant are in no order: within a commit, each is made to follow the one before.
    fn next_job_id(&self) -> String {
        let mut id = self.new_id("job");
        let (Writing::Operation(unit) | Writing::Job(unit)) = &self.0.writing else { return id };
        let mut staged = unit.staged();
        if let Some(last) = staged.last_job.take_if(|last| *last >= id) {
            id = crate::id::next(&last);
        }
        staged.last_job = Some(id.clone());
        id
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The error for a queue that this program does not work.
pub(super) fn unknown_queue(cx: &Scope, name: &str) -> Error {
    let names: Vec<&str> = cx.hub().queues().iter().map(|q| q.name()).collect();
    let close = crate::hub::closest(name, names.into_iter()).join(", ");
    Error::new(crate::ErrorKind::NotFound, "jobs.enqueue", format!("no handler works the queue {name:?}"))
        .with_context("queue", name)
        .with_context("closest", close)
}
