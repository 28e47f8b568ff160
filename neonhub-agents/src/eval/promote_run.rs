//! The run's own word for making a case of it.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::EvalCase;
use super::promote::PromoteRun;

/// Makes a case of a run that completed, as `evals.promote` does and with its rights, for whoever reads runs: with the
/// graders that fit the run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromoteToEval {
    /// The run.
    pub id: String,
    /// The set it is added to; a new one is made for the run's agent.
    pub set: String,
    /// Words to choose the case by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Further names of people that are to be replaced by fakes, at most 200.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Operation for PromoteToEval {
    type Output = EvalCase;
    const NAME: &'static str = "runs.promote";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["run_not_completed", "case_taken"];

    async fn run(self, cx: &Scope) -> Result<EvalCase> {
        let PromoteToEval { id, set, tags, names } = self;
        cx.call(PromoteRun { run: id, set, tags, names, ..PromoteRun::default() }).await
    }

    fn examples() -> Vec<Self> {
        vec![PromoteToEval {
            id: "run_01kaf3w0000000000000000000".into(),
            set: "support/returns".into(),
            tags: vec!["returns".into()],
            ..Self::default()
        }]
    }
}
