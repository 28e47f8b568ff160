//! A run with all that belongs to it, to be taken along.

use std::collections::VecDeque;

use neonhub_core::approval::Approval;
use neonhub_core::op::{Effect, Operation, Sink};
use neonhub_core::run::{AgentRun, GetRun, RunDetails};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::explain::{approvals, hide_approvals};
use super::feedback::{self, Feedback};
use crate::registry::{AgentSpec, pinned};

/// The shape of bundles that this version writes.
const FORMAT: u16 = 1;
/// Most runs of one bundle.
const MOST: usize = 200;

/// A run in a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExportedRun {
    /// The run with its input, output and whole log.
    pub details: RunDetails,
    /// The description of the agent that began it; absent for runs of plans, and when that version is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSpec>,
    /// What it asked people, and what they decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// What people said about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback: Vec<Feedback>,
}

/// A run with everything that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunBundle {
    /// Version of this shape: 1.
    pub format: u16,
    /// The run that was asked for, then those below it; each names the one above in `parent_run`.
    pub runs: Vec<ExportedRun>,
}

/// Gives a run with all that belongs to it in one piece: its whole log, the description of its agent, the questions it asked,
/// what people said about it, and the runs below it. For audits, support and archives outside of the store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRun {
    /// The run.
    pub id: String,
}

impl Operation for ExportRun {
    type Output = RunBundle;
    const NAME: &'static str = "runs.export";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Read;
    const SINKS: &'static [Sink] = &[Sink::Export];
    const MASKS: &'static [&'static str] = &[
        "runs.details.input",
        "runs.details.output",
        "runs.details.log.data",
        "runs.approvals.args",
        "runs.approvals.tainted_spans.text",
        "runs.feedback.text",
        "runs.feedback.corrected_text",
    ];
    const MAX_OUTPUT: usize = 64 << 20;
    const ERRORS: &'static [&'static str] = &["too_many_runs", "log_broken"];

    async fn run(self, cx: &Scope) -> Result<RunBundle> {
        let mut runs = Vec::new();
        let mut next = VecDeque::from([self.id]);
        while let Some(id) = next.pop_front() {
            if runs.len() == MOST {
                let why = "there are more than 200 runs below this one: export them one by one";
                return Err(Error::new(ErrorKind::InvalidInput, Self::NAME, why).with_code("too_many_runs"));
            }
            let below = Query::index("parent").prefix(Key::text(&id)).limit(MOST);
            next.extend(cx.query::<AgentRun>(&below).await?.into_iter().map(|child| child.body.id));
            runs.push(exported(cx, id).await?);
        }
        Ok(RunBundle { format: FORMAT, runs })
    }

    /// What went in and came out may speak of people.
    fn mask(output: &mut RunBundle) {
        for run in &mut output.runs {
            GetRun::mask(&mut run.details);
            hide_approvals(&mut run.approvals);
            run.feedback.iter_mut().for_each(feedback::hide);
        }
    }

    fn examples() -> Vec<Self> {
        vec![ExportRun { id: "run_01kaf3w0000000000000000000".into() }]
    }
}

async fn exported(cx: &Scope, id: String) -> Result<ExportedRun> {
    let details = GetRun { id: id.clone(), with_log: true }.run(cx).await?;
    let agent = match &details.run.spec {
        Some(pin) => pinned(cx, &details.run.agent, &pin.version).await.ok(),
        None => None,
    };
    let approvals = approvals(cx, &id).await?;
    let feedback = feedback::of_run(cx, &id).await?;
    Ok(ExportedRun { details, agent, approvals, feedback })
}
