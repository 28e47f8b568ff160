//! Going on with a run.

use std::time::Duration;

use neonhub_core::op::{Cost, Effect, Operation};
use neonhub_core::run::{AgentRun, RunView, SignalRun};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::orchestrator::drive_any;
use crate::registry::{ExecuteMode, Executed, FollowRun};

/// Goes on with a run that waits, or whose process is gone, with the rights of the caller: also one that another process
/// or another language began. With a payload it first answers what the run waits for, as `runs.signal` does. A run goes on
/// with the version of the agent that began it; where that is gone, fork it with another version.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResumeRun {
    /// The run.
    pub id: String,
    /// The answer to what it waits for, such as `{"approved": true}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Whether to wait until it ends or waits again. Default: `sync`.
    pub mode: ExecuteMode,
}

impl Operation for ResumeRun {
    type Output = Executed;
    const NAME: &'static str = "runs.resume";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const ERRORS: &'static [&'static str] =
        &["run_finished", "not_waiting", "leased", "fenced", "spec_changed", "no_place"];

    async fn run(self, cx: &Scope) -> Result<Executed> {
        let row = cx.need::<AgentRun>(&self.id).await?.body;
        if row.status.is_final() {
            let why = "the run is at its end: fork it to go another way";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, why)
                .with_code("run_finished")
                .with_context("status", row.status.word()));
        }
        if let Some(payload) = self.payload {
            let wait = waits_for(&row).ok_or_else(|| {
                let why =
                    "the run waits for no signal: leave the payload out, or answer the approval it waits for";
                Error::new(ErrorKind::Conflict, Self::NAME, why).with_code("not_waiting")
            })?;
            cx.outside().call(SignalRun { id: self.id.clone(), wait, payload }).await?;
        }
        let view = match self.mode {
            ExecuteMode::Sync => drive_any(&cx.outside(), &self.id).await?,
            ExecuteMode::Start => RunView { run: row, input: Value::Null, output: Value::Null },
        };
        if !view.run.status.is_final() {
            cx.outside().call(FollowRun { run: self.id }).await?;
        }
        Ok(Executed::of(&view.run, view.output))
    }

    fn examples() -> Vec<Self> {
        vec![ResumeRun { id: "run_01kaf3w0000000000000000000".into(), ..Self::default() }]
    }
}

/// The signal that a run waits for.
fn waits_for(run: &AgentRun) -> Option<String> {
    run.wait_reason.as_deref()?.strip_prefix("signal ").map(str::to_owned)
}
