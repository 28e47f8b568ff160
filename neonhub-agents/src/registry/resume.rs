//! Runs whose process went away: the round of health checks finds them and hands them to the queue.

use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::bus::Event;
use neonhub_core::health::{Health, Recipe, Status};
use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::{AgentRun, CancelRun, RunStatus};
use neonhub_core::store::{Expected, Key, Query, Record as _};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::guard::OF_SCHEDULE;
use super::job::{RunRights, follow_job};
use crate::orchestrator::AGENT as PLANS;

/// The part that is looked at.
const SUBJECT: &str = "agents.runs";
/// A run that nobody has driven for so long since it began is driven by nobody.
// Ours: twice the hold on a run.
const GRACE: Duration = Duration::from_secs(60);
/// Rows read at once, and most runs of one look.
const PAGE: usize = 200;
const MOST: usize = 2_000;

/// Runs in the middle of their work that no process holds and no job goes on with.
async fn stopped(cx: &Scope) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for status in [RunStatus::Running, RunStatus::Queued] {
        let mut query = Query::index("status").prefix(Key::text(status.word())).limit(PAGE);
        let mut seen = 0;
        loop {
            let rows = cx.query::<AgentRun>(&query).await?;
            seen += rows.len();
            for row in &rows {
                if is_stopped(cx, &row.body).await? {
                    found.push(row.id.clone());
                }
            }
            match rows.last().filter(|_| rows.len() == PAGE && seen < MOST) {
                Some(last) => {
                    let key = last.keys().into_iter().next().flatten().unwrap_or_default();
                    query = query.after(key, last.id.clone());
                }
                None => break,
            }
        }
    }
    Ok(found)
}

async fn is_stopped(cx: &Scope, run: &AgentRun) -> Result<bool> {
    let is_ours = run.spec.is_some() || run.agent == PLANS;
    let is_alone = match run.status {
        RunStatus::Running => run.standing(cx) == RunStatus::Interrupted,
        RunStatus::Queued => run.lease.is_none() && cx.now().since(run.started_at) > GRACE,
        _ => false,
    };
    let is_scheduled = run.idempotency_key.as_deref().is_some_and(|key| key.starts_with(OF_SCHEDULE));
    // Without its rights, as in runs of older releases, nobody may go on with it.
    if !is_ours || !is_alone || is_scheduled || run.rights.is_empty() {
        return Ok(false);
    }
    // One above that is not at its end goes on with it.
    if let Some(above) = parent(cx, run).await?
        && !above.status.is_final()
    {
        return Ok(false);
    }
    Ok(cx.get::<RunRights>(&run.id).await?.is_none())
}

async fn parent(cx: &Scope, run: &AgentRun) -> Result<Option<AgentRun>> {
    let Some(above) = &run.parent_run else { return Ok(None) };
    Ok(cx.get::<AgentRun>(above).await?.map(|row| row.body))
}

/// Whether runs stand still because their process is gone.
#[derive(Debug)]
pub(super) struct Stopped;

#[async_trait]
impl Health for Stopped {
    fn subject(&self) -> String {
        SUBJECT.to_owned()
    }

    async fn check(&self, cx: &Scope) -> Result<Status> {
        let all = stopped(cx).await?;
        if all.is_empty() {
            return Ok(Status::Healthy);
        }
        Ok(Status::Degraded { why: format!("{} runs stand still: their process is gone", all.len()) })
    }
}

/// Hands runs whose process is gone to the queue.
#[derive(Debug)]
pub(super) struct TakeUp;

#[async_trait]
impl Recipe for TakeUp {
    fn name(&self) -> &'static str {
        "take_up_runs"
    }

    fn fits(&self, subject: &str) -> bool {
        subject == SUBJECT
    }

    async fn apply(&self, cx: &Scope, _subject: &str) -> Result<String> {
        let (all, mut taken) = (stopped(cx).await?, 0);
        for run in all {
            taken += u32::from(cx.outside().call(AdoptRun { run }).await?);
        }
        Ok(format!("{taken} runs go on in the queue"))
    }
}

/// Has the queue go on with a run whose process is gone, with the rights it began with; ends one whose caller was
/// cancelled. False for one that somebody works on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptRun {
    /// The run.
    pub run: String,
}

impl Operation for AdoptRun {
    type Output = bool;
    const NAME: &'static str = "agents.adopt";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const INTERNAL: bool = true;
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<bool> {
        let row = cx.need::<AgentRun>(&self.run).await?.body;
        if !is_stopped(cx, &row).await? {
            return Ok(false);
        }
        if parent(cx, &row).await?.is_some_and(|above| above.cancel_asked) {
            CancelRun { id: self.run }.run(cx).await?;
            return Ok(true);
        }
        cx.put(&RunRights { id: self.run.clone(), rights: row.rights }, Expected::Absent)?;
        cx.emit(Event::new(cx, "run.interrupted", "agent_run", &self.run, json!({ "agent": row.agent })))?;
        cx.submit(follow_job(&self.run)).await?;
        Ok(true)
    }
}
