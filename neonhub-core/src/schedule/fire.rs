//! Firing: a commit that moves the schedule on and makes its session and job, so that of many processes one wins.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::model::{AgentSession, Missed, Overlap, Schedule, SessionState};
use super::when::Plan;
use super::work::{Ended, settle};
use super::{SESSION_AGENT, SESSION_END, SESSION_RUN, SYSTEM, Target};
use crate::bus::Event;
use crate::job::{FlowNode, Job, JobSpec, OnChildFailure};
use crate::op::Unit;
use crate::scope::Writing;
use crate::store::{Key, Query, Record as _, Stored};
use crate::{Result, Scope, Timestamp};

/// An instant this late is a missed one.
// Our choice: longer than a restart, shorter than anybody waits for a report.
const ON_TIME: Duration = Duration::from_secs(60);
/// Instants that fire after a pause at most, with `missed` `all`.
const MAX_MISSED: usize = 100;
/// Due schedules looked at in one go.
const PAGE: usize = 256;
/// Sessions under way that are looked at for one schedule.
const MAX_OPEN: usize = 200;
/// The longest time of one try of a session.
const LONGEST: Duration = Duration::from_secs(86_400);
/// How much longer than the deadline of its operation a try may take: the door answers at the deadline itself.
const PAST_DEADLINE: Duration = Duration::from_secs(5);

impl Scope {
    /// Fires every schedule of this workspace whose instant has come, and the daily removal of what is kept no longer.
    /// Gives how many schedules fired.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn fire_due(&self) -> Result<u64> {
        self.retain_when_due().await?;
        self.fire_schedules().await
    }

    /// Fires every schedule whose instant has come.
    pub(crate) async fn fire_schedules(&self) -> Result<u64> {
        let mut fired = 0;
        let (steady, behind) = self.hub().clocks();
        let mut query = Query::index("next_at").up_to(Key::from(steady)).limit(PAGE);
        loop {
            let due = self.query::<Schedule>(&query).await?;
            let Some(last) = due.last().filter(|_| due.len() == PAGE) else {
                return Ok(fired + fire_all(self, due, steady, behind).await?);
            };
            query = query.after(Key::from(last.next_at.unwrap_or_default()), last.id.as_str());
            fired += fire_all(self, due, steady, behind).await?;
        }
    }

    /// The next instant of any schedule of this workspace.
    pub(crate) async fn next_firing(&self) -> Result<Option<Timestamp>> {
        let first = Query::index("next_at").limit(1);
        let Some(first) = self.query::<Schedule>(&first).await?.pop() else { return Ok(None) };
        // After the machine's clock was set back, instants lie in no order: the tick looks.
        let is_ordered = self.hub().clock_behind().is_zero();
        Ok(first.next_at.filter(|_| is_ordered))
    }

    /// Names of schedules whose zone is not in the tables any more, among those that fire next.
    pub(crate) async fn lost_zones(&self) -> Result<Vec<String>> {
        let next = Query::index("next_at").limit(PAGE);
        let is_lost =
            |s: &Stored<Schedule>| s.when.zone_name().is_some_and(|z| crate::zone("zone", z).is_err());
        let found = self.query::<Schedule>(&next).await?.into_iter().filter(is_lost);
        Ok(found.map(|s| s.body.name).collect())
    }
}

/// Fires those whose instant has come.
async fn fire_all(
    cx: &Scope,
    due: Vec<Stored<Schedule>>,
    steady: Timestamp,
    behind: Duration,
) -> Result<u64> {
    let mut fired = 0;
    for schedule in due {
        let now = schedule.now(steady, behind);
        if schedule.next_at.is_some_and(|at| at <= now) {
            fired += u64::from(fire(cx, schedule, now).await?);
        }
    }
    Ok(fired)
}

/// Fires one schedule; false when another process was first.
async fn fire(cx: &Scope, schedule: Stored<Schedule>, now: Timestamp) -> Result<bool> {
    let label = format!("{}|{}", schedule.id, schedule.next_at.unwrap_or_default().as_millis());
    let cx = cx.fork(&["fire", &label]);
    let unit = Arc::new(Unit::default());
    let cx = cx.inside("schedules.fire", cx.seed(), Writing::Job(unit), cx.cancel_token().clone());
    stage(&cx, schedule, now).await?;
    match cx.flush().await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.code(), "stale_revision" | "unique_taken") => Ok(false),
        Err(error) => Err(error),
    }
}

async fn stage(cx: &Scope, mut schedule: Stored<Schedule>, now: Timestamp) -> Result<()> {
    let Some(first) = schedule.next_at else { return Ok(()) };
    let plan = match super::plan(cx, &schedule).await {
        Ok(plan) => plan,
        Err(error) => {
            // A rule that was fine once: the zone is gone from the tables, and the home zone too.
            pause(cx, &mut schedule.body, error.code())?;
            return cx.save(&schedule);
        }
    };
    let (passed, count) = plan.passed(first, now, MAX_MISSED);
    let instants = choose(&schedule, &passed, now);
    let missed = u32::try_from(count.saturating_sub(instants.len())).unwrap_or(u32::MAX);
    if missed > 0 {
        let data = json!({ "missed": missed, "policy": schedule.missed });
        emit(cx, &schedule, "schedule.missed", data)?;
    }
    for (n, instant) in instants.iter().enumerate() {
        // After the machine's clock was set back an instant may come a second time.
        if has_session(cx, &schedule, *instant).await? {
            continue;
        }
        let missed = if n == 0 { missed } else { 0 };
        begin(cx, &mut schedule.body, *instant, missed, None).await?;
    }
    advance(cx, &mut schedule.body, &plan, now)?;
    cx.save(&schedule)
}

/// Which of the passed instants fire.
fn choose(schedule: &Schedule, passed: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
    let window = Duration::from_millis(schedule.missed_window_ms);
    let Some(last) = passed.last().copied() else { return Vec::new() };
    let is_on_time = |at: &Timestamp| at.plus(ON_TIME) >= now;
    match schedule.missed {
        Missed::Skip => Some(last).filter(is_on_time).into_iter().collect(),
        Missed::Latest => {
            Some(last).filter(|at| is_on_time(at) || at.plus(window) >= now).into_iter().collect()
        }
        Missed::All => passed.iter().copied().filter(|at| is_on_time(at) || at.plus(window) >= now).collect(),
    }
}

/// Moves a schedule behind `now`; at its end it is switched off.
pub(super) fn advance(cx: &Scope, schedule: &mut Schedule, plan: &Plan, now: Timestamp) -> Result<()> {
    schedule.next_at = super::next_of(schedule, plan, now);
    let is_over = schedule.max_runs.is_some_and(|max| schedule.fired >= max);
    if is_over || schedule.next_at.is_none() {
        schedule.enabled = false;
        schedule.next_at = None;
        schedule.paused_reason = Some(if is_over { "max_runs" } else { "ended" }.to_owned());
    }
    cx.ring(SYSTEM);
    Ok(())
}

/// True when an instant has its session already.
pub(super) async fn has_session(cx: &Scope, schedule: &Schedule, at: Timestamp) -> Result<bool> {
    let planned = Key::text(schedule.id.as_str()).and_time(at);
    Ok(cx.find::<AgentSession>("planned", planned).await?.is_some())
}

/// Makes the session of one instant, with its job when it is to run.
pub(super) async fn begin(
    cx: &Scope,
    schedule: &mut Schedule,
    at: Timestamp,
    missed: u32,
    target: Option<Target>,
) -> Result<AgentSession> {
    let mut session = AgentSession { missed_count: missed, ..AgentSession::planned(cx, schedule, at) };
    let open = open_sessions(cx, schedule).await?;
    if let Some(reason) = overlap(cx, schedule, &open).await? {
        session.state = SessionState::Skipped;
        session.reason = Some(reason.to_owned());
        session.ended_at = Some(cx.now());
        emit(cx, schedule, "schedule.skipped", json!({ "planned_at": at, "reason": reason }))?;
        cx.create(&session)?;
        return Ok(session);
    }
    let target = target.as_ref().unwrap_or(&schedule.target);
    let before = jobs_before(cx, schedule, target).await?;
    let job = enqueue(cx, schedule, &session, target)?;
    session.job_id = Some(job);
    cx.create(&session)?;
    schedule.fired += 1;
    schedule.last_at = Some(at);
    let data = json!({ "planned_at": at, "session": session.id, "missed": missed, "priority": schedule.priority,
        "queue_position": before + 1 });
    emit(cx, schedule, "schedule.fired", data)?;
    Ok(session)
}

pub(super) fn emit(cx: &Scope, schedule: &Schedule, kind: &str, data: serde_json::Value) -> Result<()> {
    cx.emit(Event::new(cx, kind, "schedule", schedule.id.as_str(), data))
}

/// Pauses a schedule by itself.
pub(super) fn pause(cx: &Scope, schedule: &mut Schedule, reason: &str) -> Result<()> {
    schedule.enabled = false;
    schedule.paused_reason = Some(reason.to_owned());
    emit(cx, schedule, "schedule.paused", json!({ "reason": reason }))
}

/// True while an earlier firing of the schedule is under way and this one must wait for it. A job that waits (for the
/// next try, or for what its run waits for) gives its group free, so the group alone does not tell.
pub(super) async fn must_wait(cx: &Scope, schedule: &Schedule, session: &AgentSession) -> Result<bool> {
    if schedule.overlap == Overlap::Allow {
        return Ok(false);
    }
    let earlier = Key::text(schedule.id.as_str());
    let query = Query::index("open").from(earlier.clone()).up_to(earlier.and_time(session.planned_at));
    for open in cx.query::<AgentSession>(&query.limit(MAX_OPEN)).await? {
        let (true, Some(job)) = (open.id != session.id, &open.job_id) else { continue };
        // One whose job is gone is settled at the next firing and holds nobody up.
        if cx.get::<Job>(job).await?.is_some_and(|j| !j.state.is_ended()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sessions of a schedule that are not at their end; those whose job is gone are settled on the way.
async fn open_sessions(cx: &Scope, schedule: &mut Schedule) -> Result<Vec<Stored<AgentSession>>> {
    let query = Query::index("open").prefix(Key::text(schedule.id.as_str())).limit(MAX_OPEN);
    let mut open = Vec::new();
    for mut session in cx.query::<AgentSession>(&query).await? {
        let job = match &session.job_id {
            Some(id) => cx.get::<Job>(id).await?,
            None => None,
        };
        if job.as_ref().is_some_and(|j| !j.state.is_ended()) {
            open.push(session);
            continue;
        }
        // Its job was given up or removed without a word to the session.
        let why = job.and_then(|j| j.body.error).map_or("job_gone".to_owned(), |e| e.code);
        settle(cx, schedule, &mut session.body, Ended::Failed(why))?;
        cx.save(&session)?;
    }
    Ok(open)
}

/// Why a firing is skipped, after what its overlap rule does to those before it.
async fn overlap(
    cx: &Scope,
    schedule: &Schedule,
    open: &[Stored<AgentSession>],
) -> Result<Option<&'static str>> {
    let is_full = match schedule.overlap {
        Overlap::Skip => !open.is_empty(),
        // One may be under way and one may wait; which of the two the single one is shows in a moment.
        Overlap::QueueOne => open.len() > 1,
        Overlap::QueueAll => open.len() >= MAX_OPEN,
        Overlap::Allow => open.len() >= usize::try_from(schedule.concurrency.max(1)).unwrap_or(usize::MAX),
        Overlap::CancelPrevious => {
            for session in open {
                super::work::cancel(cx, session.clone(), "replaced by the next firing").await?;
            }
            false
        }
    };
    Ok(is_full.then_some("overlap"))
}

/// The job of a session: it runs the operation, or waits for the job of the queue and closes the session.
/// How many jobs stand before a new one of this schedule in the queue of its target. One walk through an index.
async fn jobs_before(cx: &Scope, schedule: &Schedule, target: &Target) -> Result<u64> {
    let name = match target {
        Target::Job { queue, .. } => queue.as_str(),
        Target::Operation { .. } | Target::Agent { .. } => SYSTEM,
    };
    let queue = Key::text(crate::job::full_name(name));
    let last = queue.clone().and_int(crate::job::rank(schedule.priority)).and_time(cx.now());
    cx.count::<Job>(&Query::index("due").from(queue).up_to(last)).await
}

fn enqueue(cx: &Scope, schedule: &Schedule, session: &AgentSession, target: &Target) -> Result<String> {
    let jitter = Duration::from_millis(jitter(schedule, session.planned_at));
    // An instant that is past for the steady clock and lies ahead for the machine's is now.
    let at = session.planned_at.min(cx.now()).plus(jitter);
    let payload = json!({ "session": session.id });
    let shape = |spec: JobSpec| {
        let spec = spec.priority(schedule.priority).max_attempts(schedule.retries.saturating_add(1));
        match schedule.overlap {
            Overlap::Allow => spec,
            _ => spec.group(schedule.id.to_string()),
        }
    };
    match target {
        Target::Operation { operation, input } => {
            let payload = json!({ "session": session.id, "operation": operation, "input": input });
            let mut spec = shape(JobSpec::new(SYSTEM, SESSION_RUN, payload)).run_at(at);
            // The operation has a deadline of its own; the time of a plain job would cut long ones off.
            if let Ok(entry) = cx.hub().operation(operation) {
                spec = spec.timeout(entry.deadline.saturating_add(PAST_DEADLINE).min(LONGEST));
            }
            cx.enqueue(spec)
        }
        Target::Agent { agent, intent, input } => {
            let payload = json!({ "session": session.id, "agent": agent, "intent": intent, "input": input });
            // A run is bounded by its own limits.
            cx.enqueue(shape(JobSpec::new(SYSTEM, SESSION_AGENT, payload)).run_at(at).timeout(LONGEST))
        }
        Target::Job { queue, name, payload: work } => {
            let work = shape(JobSpec::new(queue.clone(), name.clone(), work.clone())).run_at(at);
            let close = JobSpec::new(SYSTEM, SESSION_END, payload).on_child_failure(OnChildFailure::Continue);
            let nodes = vec![
                FlowNode { key: "work".into(), spec: work, after: Vec::new() },
                FlowNode { key: "close".into(), spec: close, after: vec!["work".into()] },
            ];
            let (_, jobs) = cx.enqueue_flow(nodes)?;
            Ok(jobs.into_iter().nth(1).map(|j| j.id).unwrap_or_default())
        }
    }
}

/// Milliseconds that a firing starts later: the same for one schedule and instant, whoever fires it.
fn jitter(schedule: &Schedule, at: Timestamp) -> u64 {
    if schedule.jitter_ms == 0 {
        return 0;
    }
    let text = format!("{}|{}", Schedule::id(schedule), at.as_millis());
    xxhash_rust::xxh3::xxh3_64(text.as_bytes()) % (schedule.jitter_ms + 1)
}
