//! Operations on queues.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::claim::priorities;
use super::model::rank;
use super::recover::forget;
use super::{Job, JobState, Queue, QueueControl};
use crate::bus::Event;
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::{Expected, Key, Query, Stored};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// How often a drain looks whether the active jobs are through.
const LOOK: Duration = Duration::from_millis(20);
/// Jobs removed by one call.
const MAX_REMOVED: usize = 5_000;
/// Ended jobs that the figures of a queue are taken from.
const SAMPLE: usize = 200;

/// Counts of one queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStats {
    /// Queue.
    pub queue: String,
    /// Ready to be taken.
    pub waiting: u64,
    /// Waiting for their instant.
    pub delayed: u64,
    /// Waiting for children.
    pub blocked: u64,
    /// Held by workers.
    pub active: u64,
    /// Done, as far as kept.
    pub completed: u64,
    /// Ended because a child failed, as far as kept.
    pub failed: u64,
    /// Given up.
    pub dead: u64,
    /// Cancelled, as far as kept.
    pub cancelled: u64,
    /// True while nothing is taken from it.
    pub paused: bool,
    /// How long the oldest ready job has been waiting, in milliseconds.
    pub oldest_ms: u64,
    /// Jobs completed per minute, over the last 200 at most.
    pub per_minute: f64,
    /// Milliseconds from start to end of completed jobs that half of the last 200 stayed under.
    pub p50_ms: u64,
    /// Milliseconds that 99 of 100 stayed under.
    pub p99_ms: u64,
}

/// A queue of this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueueView {
    /// Its name.
    pub name: String,
    /// Jobs in work at once in one process.
    pub concurrency: u64,
    /// Tries before a job is given up.
    pub attempts: u16,
    /// Milliseconds for one try.
    pub timeout_ms: u64,
    /// The right that enqueueing needs.
    pub needs: Permission,
    /// True while nothing is taken from it in this workspace.
    pub paused: bool,
}

/// Lists the queues that this program works.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQueues {}

impl Operation for ListQueues {
    type Output = Vec<QueueView>;
    const NAME: &'static str = "queues.list";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Vec<QueueView>> {
        let mut views = Vec::new();
        for queue in cx.hub().queues() {
            views.push(QueueView {
                name: queue.name().to_owned(),
                concurrency: queue.concurrency as u64,
                attempts: queue.max_attempts,
                timeout_ms: super::spec::millis(queue.timeout),
                needs: queue.needs,
                paused: is_paused(cx, queue).await?,
            });
        }
        Ok(views)
    }
    fn examples() -> Vec<Self> {
        vec![ListQueues {}]
    }
}

async fn is_paused(cx: &Scope, queue: &Queue) -> Result<bool> {
    Ok(cx.get::<QueueControl>(queue.name()).await?.is_some_and(|c| c.paused))
}

/// Counts the jobs of one queue.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// Queue, such as `email.send`.
    pub queue: String,
}

impl Operation for Stats {
    type Output = QueueStats;
    const NAME: &'static str = "queues.stats";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<QueueStats> {
        cx.queue_stats(&self.queue).await
    }
    fn examples() -> Vec<Self> {
        vec![Stats { queue: "email.send".into() }]
    }
}

impl Scope {
    /// Counts of a queue in this workspace.
    ///
    /// # Errors
    /// `NotFound` for a queue without a handler; what the store answers.
    pub async fn queue_stats(&self, queue: &str) -> Result<QueueStats> {
        let queue = self.queue_named(queue)?;
        let name = queue.name();
        let ended = |state: JobState| Query::index("ended").prefix(Key::text(name).and_text(state.word()));
        let mut stats = QueueStats {
            queue: name.to_owned(),
            blocked: self.count::<Job>(&Query::index("blocked").prefix(Key::text(name))).await?,
            active: self.count::<Job>(&Query::index("lease_until").prefix(Key::text(name))).await?,
            completed: self.count::<Job>(&ended(JobState::Completed)).await?,
            failed: self.count::<Job>(&ended(JobState::Failed)).await?,
            dead: self.count::<Job>(&ended(JobState::Dead)).await?,
            cancelled: self.count::<Job>(&ended(JobState::Cancelled)).await?,
            paused: is_paused(self, &queue).await?,
            ..QueueStats::default()
        };
        self.count_queued(name, &mut stats).await?;
        let sample = ended(JobState::Completed).descending().limit(SAMPLE);
        figures(&self.query::<Job>(&sample).await?, self.now(), &mut stats);
        Ok(stats)
    }

    async fn count_queued(&self, name: &str, stats: &mut QueueStats) -> Result<()> {
        let now = self.now();
        for priority in priorities(self, name).await? {
            let class = Key::text(name).and_int(rank(priority));
            let all = self.count::<Job>(&Query::index("due").prefix(class.clone())).await?;
            let due = Query::index("due").from(class.clone()).up_to(class.and_time(now));
            let waiting = self.count::<Job>(&due).await?;
            stats.waiting += waiting;
            stats.delayed += all.saturating_sub(waiting);
            if let Some(oldest) = self.query::<Job>(&due.limit(1)).await?.first() {
                let age = now.as_millis().saturating_sub(oldest.run_at.as_millis());
                stats.oldest_ms = stats.oldest_ms.max(u64::try_from(age).unwrap_or(0));
            }
        }
        Ok(())
    }
}

/// Rate and percentiles of the jobs that were completed last, newest first.
fn figures(last: &[Stored<Job>], now: Timestamp, stats: &mut QueueStats) {
    let span = |j: &Stored<Job>| {
        Some(j.finished_at?.as_millis().saturating_sub(j.started_at?.as_millis()).max(0).cast_unsigned())
    };
    let mut spans: Vec<u64> = last.iter().filter_map(span).collect();
    spans.sort_unstable();
    let at = |part: usize| spans.get((spans.len() * part / 100).min(spans.len().saturating_sub(1))).copied();
    stats.p50_ms = at(50).unwrap_or(0);
    stats.p99_ms = at(99).unwrap_or(0);
    if let Some(first) = last.last().and_then(|j| j.finished_at) {
        let minutes = now.as_millis().saturating_sub(first.as_millis()).max(1) as f64 / 60_000.0;
        stats.per_minute = last.len() as f64 / minutes;
    }
}

/// Stops the taking of jobs from a queue, in every process; what is in work goes on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseQueue {
    /// The queue.
    pub queue: String,
}

impl Operation for PauseQueue {
    type Output = QueueStats;
    const NAME: &'static str = "queues.pause";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<QueueStats> {
        let queue = cx.queue_named(&self.queue)?;
        set_paused(cx, &queue, true).await?;
        let stats = cx.queue_stats(queue.name()).await?;
        Ok(QueueStats { paused: true, ..stats })
    }
    fn examples() -> Vec<Self> {
        vec![PauseQueue { queue: "email.send".into() }]
    }
}

/// Has jobs of a paused queue taken again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeQueue {
    /// The queue.
    pub queue: String,
}

impl Operation for ResumeQueue {
    type Output = QueueStats;
    const NAME: &'static str = "queues.resume";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<QueueStats> {
        let queue = cx.queue_named(&self.queue)?;
        set_paused(cx, &queue, false).await?;
        let stats = cx.queue_stats(queue.name()).await?;
        Ok(QueueStats { paused: false, ..stats })
    }
    fn examples() -> Vec<Self> {
        vec![ResumeQueue { queue: "email.send".into() }]
    }
}

async fn set_paused(cx: &Scope, queue: &Queue, paused: bool) -> Result<()> {
    let found = cx.get::<QueueControl>(queue.name()).await?;
    if found.as_ref().is_some_and(|c| c.paused == paused) || (found.is_none() && !paused) {
        return Ok(());
    }
    let expected = found.as_ref().map_or(Expected::Absent, |c| Expected::Rev(c.rev));
    let old = found.map_or_else(QueueControl::default, |c| c.body);
    cx.put(&QueueControl { queue: queue.name().to_owned(), paused, ..old }, expected)?;
    cx.ring(queue.name());
    let kind = if paused { "queue.paused" } else { "queue.resumed" };
    cx.emit(Event::new(cx, kind, "queue", queue.name(), json!({})))
}

/// Pauses a queue and waits until nothing of it is in work any more.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainQueue {
    /// The queue.
    pub queue: String,
    /// Milliseconds to wait at most, up to an hour. Default 30 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl Operation for DrainQueue {
    type Output = QueueStats;
    const NAME: &'static str = "queues.drain";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(3_660);
    async fn run(self, cx: &Scope) -> Result<QueueStats> {
        let limit = self.timeout_ms.unwrap_or(30_000);
        if limit > 3_600_000 {
            return Err(Error::invalid(Self::NAME, "timeout_ms", "expected at most 3 600 000"));
        }
        let name = cx.queue_named(&self.queue)?.name();
        // The pause must be seen while this waits, so it is a commit of its own.
        cx.outside().call(PauseQueue { queue: self.queue }).await?;
        let active = Query::index("lease_until").prefix(Key::text(name));
        let until_idle = async {
            while cx.count::<Job>(&active).await? > 0 {
                tokio::time::sleep(LOOK).await;
            }
            Ok::<_, Error>(())
        };
        match tokio::time::timeout(Duration::from_millis(limit), until_idle).await {
            Ok(done) => done?,
            Err(_) => {
                let left = cx.count::<Job>(&active).await?;
                let error = Error::new(
                    ErrorKind::Timeout,
                    Self::NAME,
                    "jobs of this queue are still in work: it stays paused, call again to go on waiting",
                );
                return Err(error.with_context("active", left));
            }
        }
        cx.emit(Event::new(cx, "queue.drained", "queue", name, json!({})))?;
        cx.queue_stats(name).await
    }
    fn examples() -> Vec<Self> {
        vec![DrainQueue { queue: "email.send".into(), timeout_ms: Some(1_000) }]
    }
}

/// Removes all jobs of a queue, 5000 a call. The queue must be drained.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObliterateQueue {
    /// The queue.
    pub queue: String,
    /// The full name of the queue once more, typed out.
    pub confirm: String,
}

impl Operation for ObliterateQueue {
    type Output = super::ops::Changed;
    const NAME: &'static str = "queues.obliterate";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<super::ops::Changed> {
        let queue = cx.queue_named(&self.queue)?;
        let name = queue.name();
        if self.confirm != name {
            return Err(Error::invalid(Self::NAME, "confirm", format!("expected {name:?}, typed out")));
        }
        let active = self.active(cx, name).await?;
        if active > 0 || !is_paused(cx, &queue).await? {
            let error = Error::new(ErrorKind::Conflict, Self::NAME, "the queue is at work: drain it first");
            return Err(error.with_code("not_drained").with_context("active", active));
        }
        let mut count = 0;
        for index in ["due", "ended", "blocked"] {
            let left = MAX_REMOVED - count;
            for job in cx.query::<Job>(&Query::index(index).prefix(Key::text(name)).limit(left)).await? {
                forget(cx, &job).await?;
                count += 1;
            }
        }
        Ok(super::ops::Changed { count: count as u64, is_more: count == MAX_REMOVED })
    }
    fn examples() -> Vec<Self> {
        vec![ObliterateQueue { queue: "email.send".into(), confirm: "email.send".into() }]
    }
}

impl ObliterateQueue {
    async fn active(&self, cx: &Scope, name: &str) -> Result<u64> {
        cx.count::<Job>(&Query::index("lease_until").prefix(Key::text(name))).await
    }
}
