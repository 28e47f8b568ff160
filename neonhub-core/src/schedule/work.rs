//! Working the sessions: the handler of the queue `system`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::agent_work::{self, AgentRunOf};
use super::cost::add_up;
use super::fire::{emit, must_wait, pause};
use super::model::{AgentSession, Schedule, SessionId, SessionState};
use super::{SESSION_AGENT, SESSION_END, SESSION_RUN, SYSTEM};
use crate::approval;
use crate::bus::Event;
use crate::job::ops::CancelJob;
use crate::job::{Handler, Job, JobState, JobType, Outcome, job_type};
use crate::op::CallOptions;
use crate::permission::PermissionSet;
use crate::store::{self, Key, Query, Stored};
use crate::{Error, ErrorKind, Result, Scope};

/// Characters of an answer that a session keeps.
pub(super) const MAX_SUMMARY: usize = 2_000;
/// Ended sessions kept per schedule: those that failed, and the others.
// The figures of the earlier product.
const KEEP: [(i64, usize); 2] = [(0, 500), (1, 200)];

/// Payload of `session.run`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Run {
    session: SessionId,
    operation: String,
    #[serde(default)]
    input: Value,
}

/// Payload of `session.end`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct End {
    session: SessionId,
}

/// How a session ended.
pub(super) enum Ended {
    Well(String),
    Failed(String),
    Cancelled(String),
}

static TYPES: &[JobType] = &[
    job_type::<Run>(SESSION_RUN),
    job_type::<AgentRunOf>(SESSION_AGENT),
    job_type::<End>(SESSION_END),
    job_type::<approval::Expire>(approval::EXPIRE),
    job_type::<store::Cascade>(store::CASCADE),
    job_type::<store::Retain>(store::RETAIN),
];

/// Works what schedules start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System;

#[async_trait]
impl Handler for System {
    fn queue(&self) -> &'static str {
        SYSTEM
    }
    fn batch(&self) -> usize {
        1
    }
    fn jobs(&self) -> &'static [JobType] {
        TYPES
    }
    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(match job.name.as_str() {
                SESSION_RUN => run(cx, job).await?,
                SESSION_AGENT => agent_work::run(cx, job).await?,
                approval::EXPIRE => approval::expire(cx, job).await?,
                store::CASCADE => store::cascade(cx, job).await?,
                store::RETAIN => store::retain(cx).await?,
                _ => close(cx, job).await?,
            });
        }
        Ok(outcomes)
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(job: &Job) -> Result<T> {
    serde_json::from_value(job.payload.clone()).map_err(|e| Error::internal("sessions.run", e))
}

/// The session and its schedule; `None` when one of them was removed.
pub(super) async fn load(
    cx: &Scope,
    id: &SessionId,
) -> Result<Option<(Stored<AgentSession>, Option<Stored<Schedule>>)>> {
    let Some(session) = cx.get::<AgentSession>(id.as_str()).await? else { return Ok(None) };
    let schedule = match &session.schedule_id {
        Some(id) => cx.get::<Schedule>(id.as_str()).await?,
        None => None,
    };
    Ok(Some((session, schedule)))
}

async fn run(cx: &Scope, job: &Job) -> Result<Outcome> {
    let Run { session: id, operation, input } = read(job)?;
    let Some((mut session, schedule)) = load(cx, &id).await? else { return Ok(Outcome::Done) };
    if session.state.is_ended() {
        return Ok(Outcome::Done);
    }
    let Some(mut schedule) = schedule else { return orphaned(cx, session).await };
    if must_wait(cx, &schedule, &session).await? {
        return Ok(Outcome::Later(cx.now().plus(agent_work::LOOK)));
    }
    session.body.state = SessionState::Running;
    session.body.started_at = session.started_at.or(Some(cx.now()));
    session.body.attempt += 1;
    tell(cx, &session, "session.started", json!({ "attempt": session.attempt }))?;
    cx.save(&session)?;
    cx.flush().await?;
    session.rev += 1;
    // The same try with the same key: an answer that was given before a crash is given again.
    let key = format!("session:{id}:{}", job.attempts);
    let rights = PermissionSet::of(&schedule.rights);
    let caller = cx.outside().with_permissions(rights);
    let answer = caller.call_by_name(&operation, input, CallOptions::new().idempotency_key(key)).await;
    // The call may have changed the schedule itself, and someone may have ended the session.
    let Some((mut session, fresh)) = load(cx, &id).await? else { return Ok(Outcome::Done) };
    if let Some(fresh) = fresh {
        schedule = fresh;
    }
    if session.state.is_ended() {
        return Ok(Outcome::Done);
    }
    let ended = match answer {
        Ok(value) => Ended::Well(value.to_string().chars().take(MAX_SUMMARY).collect()),
        Err(error) if error.is_retryable() && job.attempts + 1 < job.max_attempts => {
            session.body.state = SessionState::Pending;
            session.body.reason = Some(error.code().to_owned());
            cx.save(&session)?;
            return Ok(Outcome::Failed(error));
        }
        // The session holds the failure; a dead letter beside it would say the same again.
        Err(error) => Ended::Failed(error.code().to_owned()),
    };
    close_session(cx, session, schedule, ended).await
}

/// Ends a session whose schedule was removed before it ran.
pub(super) async fn orphaned(cx: &Scope, mut session: Stored<AgentSession>) -> Result<Outcome> {
    add_up(cx, &mut session.body).await?;
    settle_alone(cx, &mut session.body, Ended::Cancelled("the schedule was removed".into()))?;
    cx.save(&session)?;
    Ok(Outcome::Done)
}

/// Ends a session and looks after what its schedule keeps.
pub(super) async fn close_session(
    cx: &Scope,
    mut session: Stored<AgentSession>,
    mut schedule: Stored<Schedule>,
    ended: Ended,
) -> Result<Outcome> {
    add_up(cx, &mut session.body).await?;
    if settle(cx, &mut schedule.body, &mut session.body, ended)? {
        cx.save(&schedule)?;
    }
    cx.save(&session)?;
    sweep(cx, &schedule).await?;
    Ok(Outcome::Done)
}

/// Closes the session of a job that was worked in its own queue.
async fn close(cx: &Scope, job: &Job) -> Result<Outcome> {
    let End { session: id } = read(job)?;
    let Some((mut session, schedule)) = load(cx, &id).await? else { return Ok(Outcome::Done) };
    if session.state.is_ended() {
        return Ok(Outcome::Done);
    }
    let child = cx.job_children(&job.id, 1).await?.pop();
    let ended = match &child {
        Some(child) if child.state == JobState::Completed => {
            let result = child.result.as_ref().map(ToString::to_string).unwrap_or_default();
            Ended::Well(result.chars().take(MAX_SUMMARY).collect())
        }
        Some(child) if child.state == JobState::Cancelled => Ended::Cancelled("the job was cancelled".into()),
        Some(child) => Ended::Failed(child.error.as_ref().map_or("failed".into(), |e| e.code.clone())),
        None => Ended::Failed("job_gone".into()),
    };
    if let Some(child) = &child {
        session.body.started_at = child.started_at;
        session.body.attempt = u32::from(child.attempts.max(1));
    }
    match schedule {
        Some(schedule) => close_session(cx, session, schedule, ended).await,
        None => {
            settle_alone(cx, &mut session.body, ended)?;
            cx.save(&session)?;
            Ok(Outcome::Done)
        }
    }
}

/// Ends a session and counts it for its schedule, which pauses itself after too many failures in a row. Gives whether the
/// schedule changed: mostly it does not, and then many sessions that end at once must not contend for its record.
pub(super) fn settle(
    cx: &Scope,
    schedule: &mut Schedule,
    session: &mut AgentSession,
    ended: Ended,
) -> Result<bool> {
    let is_changed = match &ended {
        Ended::Well(_) => std::mem::take(&mut schedule.failures) > 0,
        Ended::Cancelled(_) => false,
        Ended::Failed(reason) => {
            schedule.failures += 1;
            emit(cx, schedule, "schedule.failed", json!({ "session": session.id, "reason": reason }))?;
            let limit = schedule.pause_after_failures;
            if limit > 0 && schedule.failures >= limit && schedule.enabled {
                pause(cx, schedule, "too_many_failures")?;
            }
            true
        }
    };
    settle_alone(cx, session, ended)?;
    Ok(is_changed)
}

fn settle_alone(cx: &Scope, session: &mut AgentSession, ended: Ended) -> Result<()> {
    let (state, word) = match ended {
        Ended::Well(summary) => {
            session.summary = summary;
            (SessionState::Completed, "session.completed")
        }
        Ended::Failed(reason) => {
            session.reason = Some(reason);
            (SessionState::Failed, "session.failed")
        }
        Ended::Cancelled(reason) => {
            session.reason = Some(reason);
            (SessionState::Cancelled, "session.cancelled")
        }
    };
    session.state = state;
    session.ended_at = Some(cx.now());
    tell(cx, session, word, json!({ "reason": session.reason }))
}

pub(super) fn tell(cx: &Scope, session: &AgentSession, kind: &str, data: Value) -> Result<()> {
    let mut event = Event::new(cx, kind, "agent_session", session.id.as_str(), data);
    if let (Some(schedule), Value::Object(data)) = (&session.schedule_id, &mut event.data) {
        data.insert("schedule".into(), json!(schedule));
    }
    cx.emit(event)
}

/// Cancels a session with its job. One whose effect is under way goes on.
pub(super) async fn cancel(
    cx: &Scope,
    mut session: Stored<AgentSession>,
    reason: &str,
) -> Result<AgentSession> {
    if session.state.is_ended() {
        return Ok(session.body);
    }
    agent_work::cancel_runs(cx, &session).await?;
    let job = match &session.job_id {
        Some(id) => cx.get::<Job>(id).await?,
        None => None,
    };
    // A run stops by itself at its next await and writes down how; its worker must be there for that.
    let stops_itself = |j: &Job| j.name == SESSION_AGENT && j.state == JobState::Active;
    if let Some(job) = job.filter(|j| !stops_itself(j)) {
        let (job, flow) = (job.body.id, job.body.flow_id);
        let id = flow.is_none().then_some(job);
        let call = CancelJob { id, flow, reason: reason.to_owned() };
        match call.run_for_owner(cx).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    add_up(cx, &mut session.body).await?;
    settle_alone(cx, &mut session.body, Ended::Cancelled(reason.to_owned()))?;
    cx.save(&session)?;
    Ok(session.body)
}

/// Drops sessions beyond the kept ones.
async fn sweep(cx: &Scope, schedule: &Schedule) -> Result<()> {
    for (class, keep) in KEEP {
        let class = Key::text(schedule.id.as_str()).and_int(class);
        let newest = Query::index("ended").prefix(class).descending().limit(keep + 20);
        for old in cx.query::<AgentSession>(&newest).await?.into_iter().skip(keep) {
            cx.delete::<AgentSession>(old.id.as_str(), crate::store::Expected::Any)?;
        }
    }
    Ok(())
}
