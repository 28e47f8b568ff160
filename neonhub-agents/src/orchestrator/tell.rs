//! Telling a plan that waits what to do.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::AgentRun;
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::drive::wait_of;

/// What a plan is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum PlanCommand {
    /// The runs of these nodes have moved.
    Look {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// Run a node again.
    Retry {
        /// The node.
        node: String,
    },
    /// Go on without a node.
    Skip {
        /// The node.
        node: String,
    },
}

/// Tells a plan that waits what to do, beside what it was told before and has not taken up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TellPlan {
    /// The run of the plan.
    pub run: String,
    /// The wait.
    pub wait: String,
    /// What to do.
    pub command: PlanCommand,
}

impl Operation for TellPlan {
    type Output = ();
    const NAME: &'static str = "orchestrator.tell";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const INTERNAL: bool = true;
    const RERUNS: u8 = 5;
    const ERRORS: &'static [&'static str] = &["node_state"];

    async fn run(self, cx: &Scope) -> Result<()> {
        let mut row = cx.need::<AgentRun>(&self.run).await?;
        if wait_of(&row) != Some(self.wait.as_str()) {
            let why = "the plan does not wait for this any more: look where it is";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, why).with_code("node_state"));
        }
        let command = serde_json::to_value(&self.command).map_err(|c| Error::internal(Self::NAME, c))?;
        let told = match row.signals.get(&self.wait) {
            None => Vec::new(),
            Some(Value::Array(told)) => told.clone(),
            Some(other) => vec![other.clone()],
        };
        let all: Vec<Value> = told.into_iter().chain([command]).collect();
        row.body.signals.insert(self.wait, Value::Array(all));
        cx.save(&row)
    }
}

/// The commands that came with a signal; what is none is left out.
pub(super) fn commands(payload: &Value) -> Vec<PlanCommand> {
    let one = |value: &Value| serde_json::from_value(value.clone()).ok();
    match payload {
        Value::Array(all) => all.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}
