//! Sessions of an agent: each firing is a run, which is started, driven, waited for and cancelled with its session.
//!
//! The run and not the job holds the state: a worker that is killed, or a run that waits for a person, goes on with
//! the same run; only a failed run is followed by a new one, while tries last.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cost::add_up;
use super::fire::must_wait;
use super::model::{AgentSession, Schedule, SessionId, SessionState};
use super::work::{Ended, MAX_SUMMARY, close_session, load, orphaned, read, tell};
use crate::health::agent_subject;
use crate::job::{Job, Outcome};
use crate::op::Operation as _;
use crate::permission::PermissionSet;
use crate::resilience::NO_PLACE;
use crate::run::{Agent, AgentRun, CancelRun, NewRun, RunStatus, RunView, intent_of};
use crate::store::Stored;
use crate::{Error, ErrorKind, Result, Retry, Scope};

/// Time between two looks at a run that waits, and at an earlier firing that is still under way.
// Our choice: a person's answer is taken up within half a minute, and a wait of days costs little.
pub(super) const LOOK: Duration = Duration::from_secs(30);

/// Payload of `session.agent`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentRunOf {
    session: SessionId,
    agent: String,
    #[serde(default)]
    intent: Option<String>,
    #[serde(default)]
    input: Value,
}

/// Starts the run of a session, or goes on with it.
pub(super) async fn run(cx: &Scope, job: &Job) -> Result<Outcome> {
    let AgentRunOf { session: id, agent, intent, input } = read(job)?;
    let Some((mut session, schedule)) = load(cx, &id).await? else { return Ok(Outcome::Done) };
    let agent = cx.hub().agent(&agent);
    if session.state.is_ended() {
        if let Ok(agent) = agent {
            wind_up(cx, agent.as_ref(), &session).await?;
        }
        return note_cost(cx, session).await;
    }
    let Some(schedule) = schedule else {
        cancel_runs(cx, &session).await?;
        return orphaned(cx, session).await;
    };
    if must_wait(cx, &schedule, &session).await? {
        return Ok(Outcome::Later(cx.now().plus(LOOK)));
    }
    let agent = match agent {
        Ok(agent) => agent,
        Err(error) => return failed(cx, job, session, schedule, error).await,
    };
    let caller = cx.outside().with_permissions(PermissionSet::of(&schedule.rights));
    let run = match unfinished(cx, &session).await? {
        Some(run) => {
            if session.state == SessionState::Pending {
                // The try before ended without an end of its run.
                session.body.state = SessionState::Running;
                cx.save(&session)?;
                cx.flush().await?;
            }
            run
        }
        None => {
            let new = NewRun::new(input).key(format!("session:{id}:{}", session.run_ids.len()));
            let started = start(&caller, agent.as_ref(), intent.as_deref(), new).await;
            match started {
                Ok(run) if begin(cx, &mut session, &run.id).await? => run.id,
                // It was cancelled in this moment.
                Ok(run) => {
                    caller.call(CancelRun { id: run.id }).await?;
                    return Ok(Outcome::Done);
                }
                Err(error) => return failed(cx, job, session, schedule, error).await,
            }
        }
    };
    let driven = agent.drive(&caller, &run).await;
    // The run may have changed the schedule itself, and someone may have ended the session.
    let Some((session, fresh)) = load(cx, &id).await? else { return Ok(Outcome::Done) };
    let schedule = fresh.unwrap_or(schedule);
    match driven {
        _ if session.state.is_ended() => note_cost(cx, session).await,
        Ok(view) => ended(cx, job, session, schedule, view).await,
        // Another process still works on it, or this one is told to stop: the run goes on where it is.
        Err(error) if matches!(error.code(), "leased" | "fenced") => {
            let wait = if let Retry::After(wait) = error.retry() { wait } else { LOOK };
            Ok(Outcome::Later(cx.now().plus(wait)))
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => Ok(Outcome::Later(cx.now())),
        // No place was free: nothing was tried.
        Err(error) if error.code() == NO_PLACE => Ok(Outcome::Later(cx.now().plus(LOOK))),
        Err(error) => failed(cx, job, session, schedule, error).await,
    }
}

async fn start(cx: &Scope, agent: &dyn Agent, intent: Option<&str>, new: NewRun) -> Result<AgentRun> {
    let intent = intent_of(agent, intent)?;
    if !agent.stands_in() && cx.hub().is_unavailable(cx, &agent_subject(agent.name())).await? {
        let why = "this agent failed its health checks three times in a row";
        return Err(Error::new(ErrorKind::Unavailable, "sessions.run", why)
            .with_code("agent_unavailable")
            .with_retry(Retry::Backoff));
    }
    agent.start(cx, intent, new).await
}

/// The last run of a session, when it is not at its end.
async fn unfinished(cx: &Scope, session: &AgentSession) -> Result<Option<String>> {
    let Some(last) = session.run_ids.last() else { return Ok(None) };
    let run = cx.get::<AgentRun>(last).await?;
    Ok(run.filter(|r| !r.status.is_final()).map(|r| r.body.id))
}

/// Notes a new run with its session before anything of it is done; false when the session was ended meanwhile.
async fn begin(cx: &Scope, session: &mut Stored<AgentSession>, run: &str) -> Result<bool> {
    session.body.run_ids.push(run.to_owned());
    session.body.state = SessionState::Running;
    session.body.started_at = session.started_at.or(Some(cx.now()));
    session.body.attempt += 1;
    session.body.reason = None;
    tell(cx, session, "session.started", json!({ "attempt": session.attempt, "run": run }))?;
    cx.save(session)?;
    match cx.flush().await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == "stale_revision" => {
            let now = cx.get::<AgentSession>(session.id.as_str()).await?;
            if now.is_none_or(|s| s.state.is_ended()) { Ok(false) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// What a run that was driven means for its session.
async fn ended(
    cx: &Scope,
    job: &Job,
    session: Stored<AgentSession>,
    schedule: Stored<Schedule>,
    view: RunView,
) -> Result<Outcome> {
    let ended = match view.run.status {
        RunStatus::Completed => Ended::Well(view.output.to_string().chars().take(MAX_SUMMARY).collect()),
        RunStatus::Cancelled => Ended::Cancelled("the run was cancelled".to_owned()),
        RunStatus::Failed => {
            let failure = view.run.failure;
            let retry = failure.as_ref().is_some_and(|f| f.retryable);
            let error = failure.map_or_else(
                || Error::new(ErrorKind::Internal, "sessions.run", "the run failed without a reason"),
                |f| f.to_error(),
            );
            let error = if retry { error.with_retry(Retry::Backoff) } else { error };
            return failed(cx, job, session, schedule, error).await;
        }
        _ => return waits(cx, session, &view.run).await,
    };
    close_session(cx, session, schedule, ended).await
}

/// The run waits: looked at again without using a try.
async fn waits(cx: &Scope, mut session: Stored<AgentSession>, run: &AgentRun) -> Result<Outcome> {
    let next = cx.now().plus(LOOK);
    if session.reason != run.wait_reason {
        add_up(cx, &mut session.body).await?;
        session.body.reason.clone_from(&run.wait_reason);
        tell(cx, &session, "session.progress", json!({ "run": run.id, "waits_for": run.wait_reason }))?;
        cx.save(&session)?;
    }
    Ok(Outcome::Later(run.wake_at.map_or(next, |at| at.min(next))))
}

/// A try failed: another one while they last, else the session failed.
async fn failed(
    cx: &Scope,
    job: &Job,
    mut session: Stored<AgentSession>,
    schedule: Stored<Schedule>,
    error: Error,
) -> Result<Outcome> {
    if !error.is_retryable() || job.attempts + 1 >= job.max_attempts {
        return close_session(cx, session, schedule, Ended::Failed(error.code().to_owned())).await;
    }
    add_up(cx, &mut session.body).await?;
    session.body.state = SessionState::Pending;
    session.body.reason = Some(error.code().to_owned());
    cx.save(&session)?;
    Ok(Outcome::Failed(error))
}

/// The cost of a session that was ended from outside: a call that was in its middle then has been paid since.
async fn note_cost(cx: &Scope, mut session: Stored<AgentSession>) -> Result<Outcome> {
    let before = session.cost.clone();
    add_up(cx, &mut session.body).await?;
    if session.cost != before {
        cx.save(&session)?;
    }
    Ok(Outcome::Done)
}

/// Brings the runs of a session that was ended to their own end, so that none stands as interrupted for ever.
async fn wind_up(cx: &Scope, agent: &dyn Agent, session: &AgentSession) -> Result<()> {
    if let Some(run) = unfinished(cx, session).await? {
        let caller = cx.outside();
        caller.call(CancelRun { id: run.clone() }).await?;
        agent.drive(&caller, &run).await?;
    }
    Ok(())
}

/// Stages the end of what runs of a session are under way; true when there is one. A run that a process works on
/// stops at its next await.
pub(super) async fn cancel_runs(cx: &Scope, session: &AgentSession) -> Result<()> {
    if let Some(run) = unfinished(cx, session).await? {
        CancelRun { id: run }.run(cx).await?;
    }
    Ok(())
}
