//! Telling the log of a run again.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::{AgentRun, Replay};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tells the log of a run again without asking a model or calling a tool: the program takes every step anew, and what came
/// from outside is taken from the log. The output is the same, byte by byte; where this build does something else, the
/// answer says at which entry. For evals that ask models anew see `evals.run`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRun {
    /// The run.
    pub id: String,
}

impl Operation for ReplayRun {
    type Output = Replay;
    const NAME: &'static str = "runs.replay";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const MASKS: &'static [&'static str] = &["output", "divergence.logged", "divergence.told"];
    const ERRORS: &'static [&'static str] = &["spec_changed", "log_broken"];

    async fn run(self, cx: &Scope) -> Result<Replay> {
        let row = cx.need::<AgentRun>(&self.id).await?.body;
        crate::orchestrator::replay_any(cx, &row).await
    }

    /// What went in and came out may speak of people.
    fn mask(output: &mut Replay) {
        output.output = Value::Null;
        if let Some(divergence) = &mut output.divergence {
            (divergence.logged, divergence.told) = (Value::Null, Value::Null);
        }
    }

    fn examples() -> Vec<Self> {
        vec![ReplayRun { id: "run_01kaf3w0000000000000000000".into() }]
    }
}
