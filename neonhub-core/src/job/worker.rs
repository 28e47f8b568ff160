//! Taking, working and ending jobs.

use std::sync::Arc;
use std::time::Duration;

use super::{Handler, Job, JobState, Lease, Outcome};
use crate::op::Unit;
use crate::scope::Writing;
use crate::store::{Expected, Key, Kind, Query, Record, Stored, Write};
use crate::{ErrorKind, Result, Retry, Scope, Timestamp};

/// How long a worker holds a job without renewing.
// Common default of durable queues (30 s); our choice.
const LEASE: Duration = Duration::from_secs(30);
/// A job that killed its worker this often is given up.
const MAX_STALLS: u8 = 2;
/// First pause and longest pause between tries.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// Completed jobs kept per queue.
const KEEP_COMPLETED: u64 = 200;

/// What a drain did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Jobs done.
    pub done: u64,
    /// Jobs put off.
    pub later: u64,
    /// Tries that failed.
    pub failed: u64,
}

impl Scope {
    /// Works every job of this workspace that is due now, in all queues, until none is left. Jobs that come
    /// due later wait for a later call.
    ///
    /// # Errors
    /// `Cancelled` when the hub closes; what the store answers. Failures of jobs are counted, not raised.
    pub async fn work_until_idle(&self) -> Result<Drained> {
        let mut total = Drained::default();
        self.release_orphans().await?;
        loop {
            let before = total;
            for handler in self.hub().handlers() {
                while let Some(batch) = self.work_batch(&handler).await? {
                    total.done += batch.done;
                    total.later += batch.later;
                    total.failed += batch.failed;
                }
            }
            if total == before {
                return Ok(total);
            }
        }
    }

    /// Takes and works one batch; `None` when nothing was due.
    async fn work_batch(&self, handler: &Arc<dyn Handler>) -> Result<Option<Drained>> {
        self.cancel_token().check("jobs.work")?;
        if self.hub().is_paused() {
            return Ok(None);
        }
        let _busy = self.hub().enter("jobs.work")?;
        self.release_expired(handler.queue()).await?;
        let Some((cx, jobs)) = self.lease(handler.as_ref()).await? else { return Ok(None) };
        let bodies: Vec<Job> = jobs.iter().map(|j| j.body.clone()).collect();
        let began = std::time::Instant::now();
        let work = async {
            tokio::select! {
                done = handler.work(&cx, &bodies) => done,
                // The shutdown gives the jobs back to their queue.
                () = self.hub().grace_over() => Err(crate::scope::cancelled("jobs.work")),
            }
        };
        let done = work.await;
        if done.is_err() && self.hub().is_past_grace() {
            return Err(crate::scope::cancelled("jobs.work"));
        }
        let outcomes = match done {
            Ok(outcomes) if outcomes.len() == jobs.len() => outcomes,
            Ok(_) => {
                let fault = || {
                    crate::Error::new(ErrorKind::Internal, "jobs.work", "the handler must answer each job")
                };
                jobs.iter().map(|_| Outcome::Failed(fault())).collect()
            }
            Err(error) => {
                let again = |e: &crate::Error| {
                    crate::Error::new(e.kind(), "jobs.work", e.message().to_owned()).with_retry(e.retry())
                };
                jobs.iter().map(|_| Outcome::Failed(again(&error))).collect()
            }
        };
        let took = began.elapsed();
        for outcome in &outcomes {
            let word = match outcome {
                Outcome::Done => "done",
                Outcome::Later(_) => "later",
                Outcome::Failed(_) => "failed",
            };
            self.hub().telemetry().job_done(handler.queue(), word, took);
        }
        end(&cx, jobs, outcomes).await.map(Some)
    }

    /// Marks due jobs as held, in one commit.
    async fn lease(&self, handler: &dyn Handler) -> Result<Option<(Scope, Vec<Stored<Job>>)>> {
        let queue = handler.queue();
        let now = self.now();
        let query = Query::index("due").prefix(Key::text(queue)).limit(handler.batch());
        let found = self.query::<Job>(&query).await?;
        let mut jobs: Vec<_> = found.into_iter().filter(|j| j.run_at <= now).collect();
        if jobs.is_empty() {
            return Ok(None);
        }
        let unit = Arc::new(Unit::default());
        let fork = format!("{}|{}", jobs.first().map_or("", |j| j.id.as_str()), jobs.len());
        let cx = self.fork(&["job", &fork]);
        let cx =
            cx.inside("jobs.work", cx.seed(), Writing::Job(Arc::clone(&unit)), self.cancel_token().clone());
        for job in &mut jobs {
            let token = job.body.lease.as_ref().map_or(0, |l| l.token) + 1;
            job.body.lease =
                Some(Lease { owner: self.hub().worker_name().to_owned(), token, until: now.plus(LEASE) });
            job.body.state = JobState::Active;
            cx.save(job)?;
        }
        match cx.flush().await {
            Ok(_) => {}
            // Another process took one of them first: look again.
            Err(error) if error.code() == "stale_revision" => return Box::pin(self.lease(handler)).await,
            Err(error) => return Err(error),
        }
        for job in &mut jobs {
            job.rev += 1;
        }
        unit.staged().replace_standing(standing(&jobs));
        Ok(Some((cx, jobs)))
    }

    /// Jobs whose worker went away go back to waiting; twice, and they are given up.
    pub(crate) async fn release_expired(&self, queue: &str) -> Result<()> {
        let query = Query::index("lease_until")
            .from(Key::text(queue))
            .up_to(Key::text(queue).and_time(self.now()))
            .limit(500);
        let expired = self.query::<Job>(&query).await?;
        if expired.is_empty() {
            return Ok(());
        }
        let unit = Arc::new(Unit::default());
        let cx = self.inside("jobs.release", self.seed(), Writing::Job(unit), self.cancel_token().clone());
        for mut job in expired {
            job.body.stalls += 1;
            job.body.state = if job.body.stalls >= MAX_STALLS { JobState::Dead } else { JobState::Waiting };
            if job.body.state == JobState::Dead {
                job.body.error = Some("stalled".to_owned());
            }
            cx.save(&job)?;
        }
        match cx.flush().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == "stale_revision" => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Jobs held by workers that are known to be gone go back to waiting at once. A process that was killed
    /// says nothing about its jobs, so this counts as no stall.
    pub(crate) async fn release_orphans(&self) -> Result<()> {
        for handler in self.hub().handlers() {
            let mut query = Query::index("lease_until").prefix(Key::text(handler.queue())).limit(500);
            loop {
                let held = self.query::<Job>(&query).await?;
                let Some(last) = held.last() else { break };
                query = query.after(last.keys().into_iter().nth(1).flatten().unwrap_or_default(), last.id());
                let unit = Arc::new(Unit::default());
                let cx =
                    self.inside("jobs.release", self.seed(), Writing::Job(unit), self.cancel_token().clone());
                for mut job in held {
                    let owner = job.lease.as_ref().map(|l| l.owner.clone()).unwrap_or_default();
                    if !self.store().is_worker_alive(&owner) {
                        job.body.state = JobState::Waiting;
                        cx.save(&job)?;
                    }
                }
                match cx.flush().await {
                    Ok(_) => {}
                    // Another process released them first.
                    Err(error) if error.code() == "stale_revision" => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// The checks that each later commit of the worker repeats.
fn standing(jobs: &[Stored<Job>]) -> Vec<Write> {
    jobs.iter()
        .map(|j| Write::Check {
            kind: Kind::of::<Job>(),
            id: j.id().to_owned(),
            expected: Expected::Rev(j.rev),
        })
        .collect()
}

/// Stores the outcomes together with what the handler staged last.
async fn end(cx: &Scope, jobs: Vec<Stored<Job>>, outcomes: Vec<Outcome>) -> Result<Drained> {
    let mut drained = Drained::default();
    let queue = jobs.first().map(|j| j.queue.clone()).unwrap_or_default();
    for (mut job, outcome) in jobs.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Done => {
                drained.done += 1;
                job.body.state = JobState::Completed;
            }
            Outcome::Later(at) => {
                drained.later += 1;
                job.body.state = JobState::Waiting;
                job.body.run_at = at;
            }
            Outcome::Failed(error) => {
                drained.failed += 1;
                job.body.attempts += 1;
                job.body.error = Some(error.code().to_owned());
                match pause(cx, &job.body, &error) {
                    Some(at) => {
                        job.body.state = JobState::Waiting;
                        job.body.run_at = at;
                    }
                    None => job.body.state = JobState::Dead,
                }
            }
        }
        cx.save(&job)?;
    }
    if let Writing::Job(unit) = &cx.0.writing {
        // The outcomes themselves expect the leased revisions.
        unit.staged().replace_standing(Vec::new());
    }
    cx.flush().await?;
    sweep(cx, &queue).await?;
    Ok(drained)
}

/// When to try again: full jitter under a doubling cap, or what the error advises; `None` to give up.
// Full jitter: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
fn pause(cx: &Scope, job: &Job, error: &crate::Error) -> Option<Timestamp> {
    if job.attempts >= job.max_attempts {
        return None;
    }
    match error.retry() {
        Retry::After(wait) => Some(cx.now().plus(wait)),
        Retry::Backoff => {
            let doubling = 1_u64 << u32::from(job.attempts.saturating_sub(1)).min(20);
            let cap = BACKOFF.1.as_millis().min(BACKOFF.0.as_millis() * u128::from(doubling));
            let wait = cx.with_rng(|rng| rng.below(u64::try_from(cap).unwrap_or(u64::MAX)));
            Some(cx.now().plus(Duration::from_millis(wait.max(1))))
        }
        Retry::Never | Retry::Exhausted => None,
    }
}

/// Drops completed jobs beyond what is kept.
async fn sweep(cx: &Scope, queue: &str) -> Result<()> {
    let ended = Query::index("ended").prefix(Key::text(queue).and_text(JobState::Completed.word()));
    let kept = cx.count::<Job>(&ended).await?;
    if kept < KEEP_COMPLETED * 5 {
        return Ok(());
    }
    let surplus = usize::try_from(kept - KEEP_COMPLETED).unwrap_or(usize::MAX);
    for job in cx.query::<Job>(&ended.limit(surplus)).await? {
        cx.delete::<Job>(job.id(), Expected::Any)?;
    }
    cx.flush().await.map(|_| ())
}
