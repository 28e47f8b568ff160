//! Jobs whose worker is gone, and jobs that ended long ago.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::claim::LEASE;
use super::finish::{close, note_history, tell_end};
use super::{Job, JobError, JobNote, JobState, JobWorker, Queue, flow};
use crate::op::Unit;
use crate::scope::Writing;
use crate::store::{Expected, Key, Kind, Query, Stored};
use crate::tenancy::WorkspaceId;
use crate::{Result, Scope, Timestamp};

/// A job whose lease ran out this often is given up: it will do so again.
// Common practice of durable queues is a limit of one stall (BullMQ, 2026).
const MAX_STALLS: u8 = 2;
/// A job that was in work at so many crashes is given up. Most of them were innocent bystanders in a batch, or their
/// process was killed from outside, so the bound is wide.
const MAX_CRASHES: u8 = 20;
/// A job that this process holds by the store and knows nothing of is free after this time: within it, the taking of it
/// may be under way.
const UNDER_WAY: Duration = Duration::from_secs(5);
/// Jobs of one commit.
const PAGE: usize = 500;

/// Why a job is free again.
enum Loss {
    /// Its worker reported no more.
    Stall,
    /// The process of its worker is known to be gone, or has lost it.
    Crash,
}

/// Jobs whose lease ran out go back to waiting. Gives how many.
pub(super) async fn release_expired(cx: &Scope, queue: &Queue) -> Result<usize> {
    let (now, me) = (cx.hub().steady_now(), cx.hub().worker_name());
    let query = Query::index("lease_until")
        .from(Key::text(queue.name()))
        .up_to(Key::text(queue.name()).and_time(now))
        .limit(PAGE);
    let expired = cx.query::<Job>(&query).await?;
    let mut workers: BTreeMap<String, bool> = BTreeMap::new();
    let mut lost = Vec::new();
    for job in expired {
        let Some(owner) = job.lease.as_ref().map(|l| l.owner.clone()) else { continue };
        // What this process itself lost track of (the taking or the end of it failed half way) is no fault of the job.
        if owner == me && !cx.hub().room().has_taken(&job.id) {
            lost.push((job, Loss::Crash));
            continue;
        }
        let is_held = match workers.get(&owner) {
            Some(known) => *known,
            None => *workers.entry(owner.clone()).or_insert(reports(cx, &owner, now).await?),
        };
        if !is_held {
            let loss = if owner == me { Loss::Crash } else { Loss::Stall };
            lost.push((job, loss));
        }
    }
    release(cx, lost).await
}

/// True while a worker's reports keep its leases.
async fn reports(cx: &Scope, owner: &str, now: Timestamp) -> Result<bool> {
    if !cx.store().is_worker_alive(owner) {
        return Ok(false);
    }
    let row = cx.store().get(Kind::of::<JobWorker>(), &WorkspaceId::hub(), owner).await?;
    Ok(row.as_ref().map(Stored::<JobWorker>::from_row).transpose()?.is_some_and(|w| w.until > now))
}

/// Jobs of workers that are known to be gone go back to waiting at once, and those that this process lost track of (the
/// store was away while it took or ended them) soon. Gives how many.
pub(super) async fn release_orphans(cx: &Scope, queue: &Queue) -> Result<usize> {
    let (now, me) = (cx.hub().steady_now(), cx.hub().worker_name());
    let mut query = Query::index("lease_until").prefix(Key::text(queue.name())).limit(PAGE);
    let mut released = 0;
    let mut alive: BTreeMap<String, bool> = BTreeMap::new();
    loop {
        let held = cx.query::<Job>(&query).await?;
        let Some(last) = held.last() else { return Ok(released) };
        query = query.after(
            last.lease.as_ref().map(|l| Key::text(queue.name()).and_time(l.until)).unwrap_or_default(),
            last.id.clone(),
        );
        let mut lost = Vec::new();
        for job in held {
            let owner = job.lease.as_ref().map(|l| l.owner.clone()).unwrap_or_default();
            if owner == me {
                let is_old = job.lease.as_ref().is_some_and(|l| l.until <= now.plus(LEASE - UNDER_WAY));
                if is_old && !cx.hub().room().has_taken(&job.id) {
                    lost.push((job, Loss::Crash));
                }
                continue;
            }
            if !*alive.entry(owner.clone()).or_insert_with(|| cx.store().is_worker_alive(&owner)) {
                lost.push((job, Loss::Crash));
            }
        }
        released += release(cx, lost).await?;
    }
}

async fn release(cx: &Scope, lost: Vec<(Stored<Job>, Loss)>) -> Result<usize> {
    if lost.is_empty() {
        return Ok(0);
    }
    let count = lost.len();
    let cx = cx.inside(
        "jobs.release",
        cx.seed(),
        Writing::Job(Arc::new(Unit::default())),
        cx.cancel_token().clone(),
    );
    for (mut job, loss) in lost {
        let (word, is_over) = match loss {
            Loss::Stall => {
                job.body.stalls = job.body.stalls.saturating_add(1);
                ("stalled", job.body.stalls >= MAX_STALLS)
            }
            Loss::Crash => {
                job.body.crashes = job.body.crashes.saturating_add(1);
                ("crashed", job.body.crashes >= MAX_CRASHES)
            }
        };
        let now = cx.now();
        let cancel = cx.get::<JobNote>(&job.id).await?.and_then(|n| n.body.cancel);
        if cancel.is_some() {
            close(&mut job.body, JobState::Cancelled, now);
        } else if is_over {
            let message = "its worker was gone too often while it held this job".to_owned();
            job.body.error = Some(JobError { code: word.to_owned(), message, retryable: false });
            close(&mut job.body, JobState::Dead, now);
        } else {
            job.body.state = JobState::Waiting;
            job.body.group_slot = None;
        }
        if matches!(loss, Loss::Stall) || job.state.is_ended() {
            note_history(&cx, &job.id, job.state, word).await?;
        }
        cx.save(&job)?;
        cx.ring(&job.queue);
        if job.state.is_ended() {
            tell_end(&cx, &job.body)?;
            flow::tell_parents(&cx, &job.body).await?;
        } else if matches!(loss, Loss::Stall) {
            let data = serde_json::json!({ "queue": job.queue, "name": job.name, "stalls": job.stalls });
            cx.emit(crate::bus::Event::new(&cx, "job.stalled", "job", &job.id, data))?;
        }
    }
    match cx.flush().await {
        Ok(_) => Ok(count),
        // Another process released them first.
        Err(error) if error.code() == "stale_revision" => Ok(0),
        Err(error) => Err(error),
    }
}

/// Gives back jobs that this worker holds and will not work: no stall, no try used.
pub(super) async fn give_back(cx: &Scope, jobs: Vec<Stored<Job>>) -> Result<()> {
    for page in jobs.chunks(PAGE) {
        let unit = Arc::new(Unit::default());
        let cx = cx.inside("jobs.release", cx.seed(), Writing::Job(unit), cx.cancel_token().clone());
        for job in page {
            let mut job = job.clone();
            job.body.state = JobState::Waiting;
            job.body.group_slot = None;
            cx.save(&job)?;
            cx.ring(&job.queue);
        }
        match cx.flush().await {
            Ok(_) => {}
            // One of them was taken over: the others' leases end by themselves.
            Err(error) if matches!(error.code(), "stale_revision" | "lease_lost") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Drops ended jobs beyond what the queue keeps, with what was noted about them.
pub(super) async fn sweep(cx: &Scope, queue: &Queue) -> Result<()> {
    let keep = &queue.keep;
    for (state, count) in [
        (JobState::Completed, keep.completed),
        (JobState::Cancelled, keep.completed),
        (JobState::Failed, keep.failed),
    ] {
        let class = Key::text(queue.name()).and_text(state.word());
        // Many may end at one instant, so the place of the last that stays counts, not its time.
        let all = Query::index("ended").prefix(class.clone()).descending();
        let kept = cx.query::<Job>(&all.clone().limit(count.max(1))).await?;
        let Some(last) = kept.last().filter(|_| kept.len() >= count) else { continue };
        let beyond = match count {
            0 => all,
            _ => all.after(class.and_time(last.finished_at.unwrap_or(last.run_at)), last.id.as_str()),
        };
        drop_ended(cx, beyond).await?;
    }
    let dead = Key::text(queue.name()).and_text(JobState::Dead.word());
    let to = dead.clone().and_time(cx.now().minus(keep.dead));
    drop_ended(cx, Query::index("ended").from(dead).up_to(to)).await
}

impl Scope {
    /// Drops the ended jobs of every queue beyond what it keeps.
    pub(crate) async fn sweep_ended(&self) -> Result<()> {
        for queue in self.hub().queues() {
            sweep(self, queue).await?;
        }
        Ok(())
    }
}

async fn drop_ended(cx: &Scope, query: Query) -> Result<()> {
    let query = query.limit(PAGE);
    loop {
        let old = cx.query::<Job>(&query).await?;
        // Jobs that hold a key or are children of a living flow stay until that is over.
        let unit = Arc::new(Unit::default());
        let cx = cx.inside("jobs.sweep", cx.seed(), Writing::Job(unit), cx.cancel_token().clone());
        let mut dropped = 0;
        for job in &old {
            if is_needed(&cx, job).await? {
                continue;
            }
            dropped += 1;
            forget(&cx, job).await?;
        }
        if dropped == 0 {
            return Ok(());
        }
        match cx.flush().await {
            Ok(_) if old.len() == PAGE => {}
            Ok(_) => return Ok(()),
            Err(error) if error.code() == "stale_revision" => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

async fn is_needed(cx: &Scope, job: &Job) -> Result<bool> {
    if job.key_until().is_some_and(|until| until > cx.now()) {
        return Ok(true);
    }
    for parent in job.parents() {
        if cx.get::<Job>(parent).await?.is_some_and(|p| !p.state.is_ended()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Stages the removal of a job and of what was noted about it.
pub(super) async fn forget(cx: &Scope, job: &Stored<Job>) -> Result<()> {
    cx.delete::<Job>(&job.id, Expected::Rev(job.rev))?;
    cx.delete::<JobNote>(&job.id, Expected::Any)?;
    if !job.more_parents.is_empty() {
        for edge in cx.query::<super::JobEdge>(&Query::index("child").equals(Key::text(&job.id))).await? {
            cx.delete::<super::JobEdge>(&edge.id, Expected::Any)?;
        }
    }
    Ok(())
}
