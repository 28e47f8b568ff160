//! Ending a try: the outcome, what the handler staged last, and the parents, in one commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::spec::millis;
use super::{HistoryLine, Jitter, Job, JobError, JobNote, JobState, Outcome, Queue, flow};
use crate::audit::{AuditDraft, Outcome as Audited};
use crate::bus::Event;
use crate::op::Unit;
use crate::scope::Writing;
use crate::store::{Durability, Expected, Stored};
use crate::{Error, ErrorKind, Result, Retry, Scope, Timestamp};

/// How often an end is staged anew when a parent changed meanwhile.
const TRIES: usize = 20;
/// Turns of a job that are kept.
const MAX_HISTORY: usize = 50;
/// How much longer than advised a pause may be, as a part of it.
// Our choice: enough to spread a burst that was told the same instant.
const ADVICE_JITTER: u64 = 10;

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

impl Drained {
    pub(super) fn add(&mut self, other: Drained) {
        self.done += other.done;
        self.later += other.later;
        self.failed += other.failed;
    }
}

/// A batch that was worked: its scope with what is staged, its jobs, and what became of each.
pub(super) struct Worked {
    pub(super) cx: Scope,
    pub(super) jobs: Vec<Stored<Job>>,
    pub(super) outcomes: Vec<Outcome>,
}

impl Worked {
    fn unit(&self) -> Option<&Arc<Unit>> {
        match &self.cx.0.writing {
            Writing::Job(unit) => Some(unit),
            _ => None,
        }
    }

    fn is_bare(&self) -> bool {
        self.unit().is_none_or(|u| u.staged().is_bare())
    }
}

/// Ends batches of one workspace: those that staged nothing share one commit.
pub(super) async fn end(cx: &Scope, queue: &Queue, works: Vec<Worked>) -> Result<Drained> {
    let (mut bare, own): (Vec<Worked>, Vec<Worked>) = works.into_iter().partition(Worked::is_bare);
    let mut drained = Drained::default();
    if bare.len() > 1 {
        match end_together(cx, queue, &mut bare).await {
            Ok(some) => {
                drained.add(some);
                bare.clear();
            }
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error),
        }
    }
    for work in bare.into_iter().chain(own) {
        drained.add(end_one(queue, work).await?);
    }
    Ok(drained)
}

async fn end_together(cx: &Scope, queue: &Queue, works: &mut [Worked]) -> Result<Drained> {
    let unit = Arc::new(Unit::default());
    let label = works.first().and_then(|w| w.jobs.first()).map_or("", |j| j.id.as_str()).to_owned();
    let cx = cx.fork(&["end", &label]);
    let cx = cx.inside("jobs.end", cx.seed(), Writing::Job(Arc::clone(&unit)), cx.cancel_token().clone());
    let mut drained = Drained::default();
    for work in works {
        let mut jobs = work.jobs.clone();
        drained.add(stage(&cx, queue, &mut jobs, &work.outcomes).await?);
    }
    unit.staged().durability = durability(&drained);
    cx.flush().await?;
    Ok(drained)
}

/// Ends that hold nothing but the state of their jobs need not be safe at once; tries that failed are counted.
fn durability(drained: &Drained) -> Durability {
    if drained.failed == 0 { Durability::LEASES } else { Durability::Sync }
}

async fn end_one(queue: &Queue, work: Worked) -> Result<Drained> {
    let Some(unit) = work.unit().map(Arc::clone) else { return Ok(Drained::default()) };
    let ours: BTreeSet<&str> = work.jobs.iter().map(|j| j.id.as_str()).collect();
    let is_bare = work.is_bare();
    let has_parents = work.jobs.iter().any(|j| j.parents().next().is_some());
    // The outcomes themselves expect the leased revisions.
    unit.staged().replace_standing(Vec::new());
    for _ in 0..TRIES {
        let before = has_parents.then(|| unit.staged().copy());
        let mut jobs = work.jobs.clone();
        let drained = stage(&work.cx, queue, &mut jobs, &work.outcomes).await?;
        if is_bare {
            unit.staged().durability = durability(&drained);
        }
        let error = match work.cx.flush().await {
            Ok(_) => return Ok(drained),
            Err(error) if is_conflict(&error) => error,
            Err(error) => return Err(error),
        };
        let target = target_of(&error);
        match before {
            _ if target.as_ref().is_some_and(|(kind, id)| kind == "job" && ours.contains(id.as_str())) => {
                tracing::warn!(queue = queue.name(), "a lease was lost: what its worker made is dropped");
                return Ok(Drained::default());
            }
            Some(before) if target.as_ref().is_some_and(|(kind, _)| kind == "job" || kind == "job_note") => {
                unit.staged().put_back(before);
            }
            _ => return retry_all(&work, queue, &error).await,
        }
    }
    let error = Error::new(ErrorKind::Conflict, "jobs.end", "the parents of these jobs change all the time");
    retry_all(&work, queue, &error).await
}

/// What the handler staged lost a race: the tries failed.
async fn retry_all(work: &Worked, queue: &Queue, error: &Error) -> Result<Drained> {
    let unit = Arc::new(Unit::default());
    let cx = &work.cx;
    let cx = cx.inside("jobs.end", cx.seed(), Writing::Job(unit), cx.cancel_token().clone());
    let mut jobs = work.jobs.clone();
    let failed: Vec<Outcome> = jobs.iter().map(|_| Outcome::Failed(again(error))).collect();
    let drained = stage(&cx, queue, &mut jobs, &failed).await?;
    match cx.flush().await {
        Ok(_) => Ok(drained),
        Err(error) if is_conflict(&error) => Ok(Drained::default()),
        Err(error) => Err(error),
    }
}

/// The same error for one more job. A lost race is worth another try.
pub(super) fn again(error: &Error) -> Error {
    let retry = if is_conflict(error) { Retry::Backoff } else { error.retry() };
    let copy = Error::new(error.kind(), "jobs.work", error.message().to_owned());
    copy.with_code(error.code().to_owned()).with_retry(retry)
}

fn is_conflict(error: &Error) -> bool {
    matches!(error.code(), "stale_revision" | "unique_taken" | "lease_lost")
}

/// Kind and id of the record a commit was refused for.
fn target_of(error: &Error) -> Option<(String, String)> {
    let of = |key: &str| error.context().find(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
    Some((of("kind")?, of("id").or_else(|| of("holder"))?))
}

/// Stages the outcomes.
async fn stage(cx: &Scope, queue: &Queue, jobs: &mut [Stored<Job>], outcomes: &[Outcome]) -> Result<Drained> {
    let mut drained = Drained::default();
    for (job, outcome) in jobs.iter_mut().zip(outcomes) {
        let reason = apply(cx, queue, &mut job.body, outcome, &mut drained).await?;
        if let Some(reason) = reason {
            note_history(cx, &job.id, job.state, &reason).await?;
        }
        cx.save(job)?;
        if job.state.is_ended() && job.parents().next().is_some() {
            flow::tell_parents(cx, &job.body).await?;
        }
        if matches!(job.state, JobState::Dead | JobState::Cancelled) {
            tell_end(cx, &job.body)?;
        }
    }
    Ok(drained)
}

/// Tells of a job that came to its end without being done: by its event, and in the audit log when it was given up.
pub(super) fn tell_end(cx: &Scope, job: &Job) -> Result<()> {
    if job.state == JobState::Dead {
        let why = job.error.as_ref().map_or("unknown", |e| e.code.as_str());
        let draft = AuditDraft::of(cx, "jobs.dead_letter", Audited::Failed);
        cx.note(draft.on("job", job.id.as_str()).because(why))?;
    }
    cx.emit(event(cx, job))
}

/// The durable event of a job that came to its end without being done.
pub(super) fn event(cx: &Scope, job: &Job) -> Event {
    let data = serde_json::json!({
        "queue": job.queue, "name": job.name, "attempts": job.attempts,
        "error": job.error.as_ref().map(|e| e.code.clone()),
    });
    Event::new(cx, &format!("job.{}", job.state.word()), "job", &job.id, data)
}

/// Moves a job to what its outcome says; gives the reason when it is worth a line of history.
async fn apply(
    cx: &Scope,
    queue: &Queue,
    job: &mut Job,
    outcome: &Outcome,
    drained: &mut Drained,
) -> Result<Option<String>> {
    let now = cx.now();
    job.group_slot = None;
    match outcome {
        Outcome::Done => {
            drained.done += 1;
            close(job, JobState::Completed, now);
            Ok(None)
        }
        Outcome::DoneWith(result) => {
            drained.done += 1;
            job.result = Some(result.clone());
            close(job, JobState::Completed, now);
            Ok(None)
        }
        Outcome::Later(at) => {
            drained.later += 1;
            if let Some(reason) = cancel_asked(cx, job).await? {
                close(job, JobState::Cancelled, now);
                return Ok(Some(reason));
            }
            put_off(cx, job, *at);
            Ok(None)
        }
        Outcome::Failed(error) => {
            drained.failed += 1;
            if let Some(reason) = cancel_asked(cx, job).await? {
                close(job, JobState::Cancelled, now);
                return Ok(Some(reason));
            }
            job.attempts += 1;
            job.error = Some(JobError::from(error));
            match pause(cx, queue, job, error) {
                Some(at) => put_off(cx, job, at),
                None => close(job, JobState::Dead, now),
            }
            Ok(Some(error.code().to_owned()))
        }
    }
}

async fn cancel_asked(cx: &Scope, job: &Job) -> Result<Option<String>> {
    Ok(cx.get::<JobNote>(&job.id).await?.and_then(|n| n.body.cancel))
}

pub(super) fn close(job: &mut Job, state: JobState, now: Timestamp) {
    job.state = state;
    job.finished_at = Some(now);
    job.group_slot = None;
}

fn put_off(cx: &Scope, job: &mut Job, at: Timestamp) {
    job.state = if at > cx.now() { JobState::Delayed } else { JobState::Waiting };
    job.set_run_at(at, cx.hub().clock_behind());
    job.group_slot = None;
}

/// Notes a turn in the life of a job.
pub(super) async fn note_history(cx: &Scope, id: &str, state: JobState, reason: &str) -> Result<()> {
    let found = cx.get::<JobNote>(id).await?;
    let rev = found.as_ref().map(|n| n.rev);
    let mut note = found.map_or_else(|| JobNote { id: id.to_owned(), ..JobNote::default() }, |n| n.body);
    note.history.push(HistoryLine { at: cx.now(), state, reason: reason.to_owned() });
    let surplus = note.history.len().saturating_sub(MAX_HISTORY);
    note.history.drain(..surplus);
    cx.put(&note, rev.filter(|r| *r > 0).map_or(Expected::Any, Expected::Rev))
}

/// When to try again, `None` to give up.
fn pause(cx: &Scope, queue: &Queue, job: &Job, error: &Error) -> Option<Timestamp> {
    use ErrorKind as K;
    let is_final =
        matches!(error.kind(), K::InvalidInput | K::PermissionDenied | K::ConsentRequired | K::Blocked);
    // What may have happened is not repeated; a handler that probes names the instant.
    let is_unknown = error.kind() == K::OutcomeUnknown && !matches!(error.retry(), Retry::After(_));
    if is_final || is_unknown || job.attempts >= job.max_attempts {
        return None;
    }
    let draw = |bound: u64| cx.with_rng(|rng| rng.below(bound));
    let wait = match error.retry() {
        Retry::After(wait) => {
            let wait = millis(wait);
            wait.saturating_add(draw(wait / ADVICE_JITTER))
        }
        Retry::Backoff => {
            let backoff = job.backoff.unwrap_or(queue.backoff);
            let ceiling = backoff.ceiling_ms(job.attempts);
            match backoff.jitter {
                Jitter::Full => draw(ceiling).max(1),
                Jitter::None => ceiling,
            }
        }
        Retry::Never | Retry::Exhausted => return None,
    };
    Some(cx.now().plus(Duration::from_millis(wait)))
}
