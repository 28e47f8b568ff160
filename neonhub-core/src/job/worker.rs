//! Working jobs: one batch under its deadline, and the drain that tests and small programs use.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _};

use super::claim::claim;
use super::finish::{self, Drained, Worked, again};
use super::room::{Grip, JobTurn, Room, Taken};
use super::{Job, JobState, Outcome, Queue, recover};
use crate::op::Unit;
use crate::scope::{CancelToken, Writing};
use crate::store::{Expected, Key, Kind, Query, Record as _, Stored, Write};
use crate::telemetry::hushed;
use crate::{Error, ErrorKind, Result, Retry, Scope};

/// How often a worker says that it is alive.
const REPORT: Duration = Duration::from_secs(10);
/// After so many ended jobs of a queue, what is beyond the kept ones is dropped.
const SWEEP_EVERY: u64 = 1_000;

impl Scope {
    /// Fires the schedules of this workspace that are due now, and works every job that is, in all queues, until
    /// none is left. What comes due later waits for a later call.
    ///
    /// # Errors
    /// `Cancelled` when the hub closes; what the store answers. Failures of jobs are counted, not raised.
    pub async fn work_until_idle(&self) -> Result<Drained> {
        let mut total = Drained::default();
        self.release_orphans().await?;
        loop {
            let before = total;
            self.fire_due().await?;
            for queue in self.hub().queues() {
                while let Some(batch) = self.work_batch(queue).await? {
                    total.add(batch);
                }
            }
            if total == before {
                return Ok(total);
            }
        }
    }

    /// Frees what processes that are gone left behind in this workspace.
    pub(crate) async fn release_orphans(&self) -> Result<()> {
        for queue in self.hub().queues() {
            recover::release_orphans(self, queue).await?;
        }
        Ok(())
    }

    /// Frees the jobs of a queue whose lease ran out. Gives how many.
    pub(crate) async fn release_stalled(&self, queue: &str) -> Result<usize> {
        match self.hub().queue(queue) {
            Some(queue) => recover::release_expired(self, &queue).await,
            None => Ok(0),
        }
    }

    /// Gives back every job of this workspace that this process holds. Gives how many.
    pub(crate) async fn give_back_own(&self) -> Result<u64> {
        let mut given = 0;
        for queue in self.hub().queues() {
            let held = Query::index("lease_until").prefix(Key::text(queue.name())).limit(10_000);
            let mut own = self.query::<Job>(&held).await?;
            own.retain(|j| j.lease.as_ref().is_some_and(|l| l.owner == self.hub().worker_name()));
            given += own.len() as u64;
            recover::give_back(self, own).await?;
        }
        Ok(given)
    }

    /// Takes and works what the lanes of a queue hold; `None` when nothing was due.
    async fn work_batch(&self, queue: &Arc<Queue>) -> Result<Option<Drained>> {
        self.cancel_token().check("jobs.work")?;
        let _busy = self.hub().enter("jobs.work")?;
        recover::release_expired(self, queue).await?;
        let batch = queue.handler.batch().max(1);
        let jobs = claim(self, queue, batch * queue.lanes()).await?.jobs;
        if jobs.is_empty() {
            return Ok(None);
        }
        let _taken: Vec<Taken> = jobs.iter().map(|j| Taken::new(self.hub(), &j.id)).collect();
        let batches: Vec<Vec<Stored<Job>>> = jobs.chunks(batch).map(<[_]>::to_vec).collect();
        let works: Vec<Worked> = futures_util::stream::iter(batches)
            .map(|jobs| run(self, queue, jobs))
            .buffered(queue.lanes())
            .collect()
            .await;
        close_out(self, queue, works).await.map(Some)
    }
}

/// Ends batches and looks after what is kept.
pub(super) async fn close_out(cx: &Scope, queue: &Queue, works: Vec<Worked>) -> Result<Drained> {
    let room = cx.hub().room();
    let drained = finish::end(cx, queue, works).await?;
    if room.count_ended(cx.workspace(), queue.name(), drained.done + drained.failed, SWEEP_EVERY) {
        recover::sweep(cx, queue).await?;
    }
    Ok(drained)
}

/// Works one batch; never fails: what goes wrong is the outcome of its jobs.
pub(super) async fn run(cx: &Scope, queue: &Queue, jobs: Vec<Stored<Job>>) -> Worked {
    let unit = Arc::new(Unit::default());
    let fork = format!("{}|{}", jobs.first().map_or("", |j| j.id.as_str()), jobs.len());
    let mut inner = cx.fork(&["job", &fork]);
    if let [job] = jobs.as_slice() {
        inner = inner.correlated(&job.correlation_id);
    }
    let writing = Writing::Job(Arc::clone(&unit));
    let inner = inner.inside("jobs.work", inner.seed(), writing, CancelToken::new());
    unit.staged().replace_standing(standing(&jobs));
    // Another process may have rotated the data key, or made the workspace, since the workers began.
    if let Err(error) = inner.hub().read_keys(inner.workspace()).await {
        tracing::warn!(code = error.code(), "the keys of a workspace were not read");
    }
    let began = Instant::now();
    let outcomes = outcomes(cx, &inner, &unit, queue, &jobs).await;
    let took = began.elapsed();
    for outcome in &outcomes {
        inner.hub().telemetry().job_done(queue.name(), outcome.word(), took);
    }
    Worked { cx: inner, jobs, outcomes }
}

async fn outcomes(
    outer: &Scope,
    cx: &Scope,
    unit: &Unit,
    queue: &Queue,
    jobs: &[Stored<Job>],
) -> Vec<Outcome> {
    let faults: Vec<Option<Error>> = jobs.iter().map(|j| queue.check(&j.name, &j.payload).err()).collect();
    let sound: Vec<&Stored<Job>> =
        jobs.iter().zip(&faults).filter(|(_, f)| f.is_none()).map(|(j, _)| j).collect();
    let bodies: Vec<Job> = sound.iter().map(|j| j.body.clone()).collect();
    let mut made = if bodies.is_empty() {
        Vec::new().into_iter()
    } else {
        let held = Held::new(cx, &sound);
        let answer = guarded(outer, cx, queue, &bodies, &held).await;
        drop(held);
        if answer.is_err() {
            // What a failed try staged is not its result.
            *unit.staged() = crate::op::Staged::default();
            unit.staged().replace_standing(standing(jobs));
        }
        answers(cx, answer, bodies.len()).into_iter()
    };
    faults
        .into_iter()
        .map(|fault| match fault {
            Some(fault) => Outcome::Failed(fault),
            None => made.next().unwrap_or_else(|| Outcome::Failed(unanswered())),
        })
        .collect()
}

/// Why a batch has no outcomes.
enum Broken {
    Failed(Error),
    /// It was told to stop: the jobs are free again, or cancelled when that was asked. Of a batch that lost one nothing
    /// is written: the others are free when their leases end.
    Stopped,
}

/// The handler, under its deadline, with reports in between; a panic is a failure.
async fn guarded(
    outer: &Scope,
    cx: &Scope,
    queue: &Queue,
    jobs: &[Job],
    held: &Held<'_>,
) -> std::result::Result<Vec<Outcome>, Broken> {
    let limit = limit(queue, jobs);
    let work = AssertUnwindSafe(hushed(queue.handler.work(cx, jobs))).catch_unwind();
    let is_single = jobs.len() == 1;
    tokio::select! {
        biased;
        done = tokio::time::timeout(limit, work) => match done {
            Ok(Ok(Ok(outcomes))) => Ok(outcomes),
            Ok(Ok(Err(error))) => Err(Broken::Failed(error)),
            Ok(Err(_panic)) => Err(Broken::Failed(
                Error::new(ErrorKind::Internal, "jobs.work", "the handler panicked").with_retry(Retry::Backoff),
            )),
            Err(_) => Err(Broken::Failed(
                Error::new(ErrorKind::Timeout, "jobs.work", "the handler did not end in its time")
                    .with_context("timeout_ms", limit.as_millis())
                    .with_retry(Retry::Backoff),
            )),
        },
        () = cx.cancel_token().cancelled(), if is_single => Err(Broken::Stopped),
        () = outer.cancel_token().cancelled(), if is_single => Err(Broken::Stopped),
        never = pass_on(outer.cancel_token(), cx.cancel_token()), if !is_single => match never {},
        () = cx.hub().grace_over() => Err(Broken::Stopped),
        () = held.lost.cancelled() => {
            // What the handler handed its scope to stops as well.
            cx.cancel_token().cancel();
            Err(Broken::Stopped)
        }
        never = reports(outer, held) => match never {},
    }
}

/// Tells a batch that its caller stops; the batch itself decides when.
async fn pass_on(from: &CancelToken, to: &CancelToken) -> Infallible {
    from.cancelled().await;
    to.cancel();
    std::future::pending().await
}

/// Says again and again that this worker is alive, and looks whether it still holds what it works. A process that was
/// stopped for a while, or could not write, finds here that others took its jobs.
async fn reports(cx: &Scope, held: &Held<'_>) -> Infallible {
    loop {
        tokio::time::sleep(REPORT).await;
        let told = cx.hub().room().report(cx.hub()).await;
        let looked = match told {
            Ok(()) => held.look(cx).await,
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            tracing::warn!(%error, "the report of this worker was not written, or its jobs were not found");
        }
    }
}

/// The time of one job; a batch that is worked some at a time has so many times more.
fn limit(queue: &Queue, jobs: &[Job]) -> Duration {
    let of = |j: &Job| j.timeout_ms.map_or(queue.timeout, Duration::from_millis);
    let longest = jobs.iter().map(of).max().unwrap_or(queue.timeout);
    let rounds = jobs.len().div_ceil(queue.concurrency.max(1));
    longest.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
}

fn answers(cx: &Scope, answer: std::result::Result<Vec<Outcome>, Broken>, count: usize) -> Vec<Outcome> {
    let all = |make: &dyn Fn() -> Outcome| (0..count).map(|_| make()).collect();
    match answer {
        Ok(outcomes) if outcomes.len() == count => outcomes,
        Ok(_) => all(&|| Outcome::Failed(unanswered())),
        Err(Broken::Failed(error)) => all(&|| Outcome::Failed(again(&error))),
        Err(Broken::Stopped) => all(&|| Outcome::Later(cx.now())),
    }
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Internal, "jobs.work", "the handler must answer each job")
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

/// Jobs whose handler runs here: known to `jobs.cancel` until dropped.
struct Held<'a> {
    room: &'a Room,
    jobs: Vec<String>,
    /// Cancelled once one of them is another worker's: no commit of this batch can succeed any more.
    lost: CancelToken,
}

impl<'a> Held<'a> {
    fn new(cx: &'a Scope, jobs: &[&Stored<Job>]) -> Self {
        let (room, lost) = (cx.hub().room(), CancelToken::new());
        let stop = (jobs.len() == 1).then(|| cx.cancel_token().clone());
        for job in jobs {
            room.hold(&job.id, Grip { rev: job.rev, stop: stop.clone(), lost: lost.clone() });
            room.tell(|| turn(cx, job, JobState::Active));
        }
        Held { room, jobs: jobs.iter().map(|j| j.id.clone()).collect(), lost }
    }

    /// Looks whether the jobs are still as they were taken.
    async fn look(&self, cx: &Scope) -> Result<()> {
        let now = cx.outside().get_many::<Job>(&self.jobs).await?;
        for (id, job) in self.jobs.iter().zip(now) {
            self.room.moved(id, job.map_or(0, |j| j.rev));
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.jobs.iter().for_each(|job| self.room.let_go(job));
    }
}

pub(super) fn turn(cx: &Scope, job: &Job, state: JobState) -> JobTurn {
    JobTurn {
        workspace: cx.workspace().clone(),
        queue: job.queue.clone(),
        job: job.id.clone(),
        state,
        progress: None,
    }
}
