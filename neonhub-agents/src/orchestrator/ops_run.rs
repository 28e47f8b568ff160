//! Running plans, and seeing where they are.

use std::time::Duration;

use neonhub_core::op::{Cost, Effect, Operation};
use neonhub_core::run::{AgentRun, Driver, Failure, NewRun, RunStatus};
use neonhub_core::{Error, ErrorKind, Money, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::child::is_held;
use super::drive::{drive, state};
use super::model::AgentPlan;
use super::ops_plan::MakePlan;
use super::program::{AGENT, Conductor, PlanInput};
use super::state::{NodeState, PlanState};
use super::{build, validate};
use crate::registry::{Directory, ExecuteMode, FollowRun, Terms, by_key, check_path};

/// Bytes of the outputs of 200 nodes.
pub(super) const MAX_VIEW: usize = 64 << 20;

/// Where one node of a plan is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// The intent it was written for, as `agent.intent`.
    pub address: String,
    /// Where it is.
    pub state: NodeState,
    /// Its latest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Runs so far.
    pub tries: u32,
    /// What it gave; null until it ended well.
    pub output: Value,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

pub(super) fn views(state: &PlanState) -> Vec<NodeView> {
    let both = state.plan.nodes.iter().zip(&state.nodes);
    both.map(|(node, record)| NodeView {
        id: node.id.clone(),
        address: format!("{}.{}", node.agent, node.intent),
        state: record.state,
        run: record.run.clone(),
        tries: record.tries,
        output: record.output.clone(),
        failure: record.failure.clone(),
    })
    .collect()
}

/// Where a plan is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    /// Its run.
    pub run: String,
    /// Where the run stands.
    pub status: RunStatus,
    /// What it is for.
    pub goal: String,
    /// The nodes in the order of the plan.
    pub nodes: Vec<NodeView>,
    /// True when the plan waits until a node is retried or skipped.
    pub is_asking: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

pub(super) async fn view(cx: &Scope, run: &str) -> Result<PlanView> {
    let row = of_plan(cx, run).await?;
    let state = state(cx, run).await?;
    Ok(PlanView {
        status: row.standing(cx),
        run: row.id,
        goal: state.plan.goal.clone(),
        nodes: views(&state),
        is_asking: !row.status.is_final() && !state.of_state(NodeState::Asked).is_empty(),
        failure: row.failure,
    })
}

pub(super) async fn of_plan(cx: &Scope, run: &str) -> Result<AgentRun> {
    let row = cx.need::<AgentRun>(run).await?.body;
    if row.agent == AGENT && row.spec.is_none() { Ok(row) } else { Err(cx.missing("run of a plan")) }
}

pub(super) fn hide(view: &mut PlanView) {
    view.nodes.iter_mut().for_each(|node| node.output = Value::Null);
}

/// Runs a plan. It is checked whole first; each node is a run of its own with the rights of the caller at most. A plan
/// that acts on the world runs only as it was looked at, with its hash in `approved`.
///
/// When a node fails the plan and others had ended well, what can be undone is undone, the last one first. A failure of
/// the plan is no error: it stands in the answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunPlan {
    /// The plan.
    pub plan: AgentPlan,
    /// The hash that `orchestrator.simulate` gave for the plan as somebody looked at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<String>,
    /// The same key is the same run, 1 to 255 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether to wait for it. Default: `sync`.
    pub mode: ExecuteMode,
}

impl Operation for RunPlan {
    type Output = PlanView;
    const NAME: &'static str = "orchestrator.run";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const MAX_OUTPUT: usize = MAX_VIEW;
    const ERRORS: &'static [&'static str] =
        &["plan_changed", "approval_needed", "idempotency_mismatch", "too_deep", "loop_detected"];

    async fn run(self, cx: &Scope) -> Result<PlanView> {
        let hash = self.plan.hash()?;
        let budget = self.plan.budget;
        if let Some(key) = &self.key
            && by_key(cx, AGENT, key).await?.is_some()
        {
            // What has begun was checked then; since then agents may have changed.
            let input = PlanInput { plan: self.plan, ..PlanInput::default() };
            let wanted = Wanted { input, key: self.key, mode: self.mode, budget };
            return start(cx, Self::NAME, wanted).await;
        }
        let directory = Directory::load(cx).await?;
        let checked = validate::check(cx.hub(), &directory, Self::NAME, &self.plan)?;
        match &self.approved {
            Some(approved) if *approved != hash => {
                let why = "the plan is not the one that was approved: look at it again";
                return Err(Error::new(ErrorKind::Conflict, Self::NAME, why)
                    .with_code("plan_changed")
                    .with_context("hash", hash));
            }
            None if checked.acts() => {
                let why =
                    "the plan acts on the world: look at it with orchestrator.simulate and give its hash";
                return Err(Error::new(ErrorKind::Conflict, Self::NAME, why).with_code("approval_needed"));
            }
            _ => {}
        }
        let input = PlanInput {
            plan: self.plan,
            is_approved: self.approved.is_some(),
            versions: checked.versions(),
            ..PlanInput::default()
        };
        start(cx, Self::NAME, Wanted { input, key: self.key, mode: self.mode, budget }).await
    }

    fn mask(output: &mut PlanView) {
        hide(output);
    }

    fn examples() -> Vec<Self> {
        let made = MakePlan::examples().into_iter();
        made.map(|op| RunPlan {
            plan: build::of_tasks("Answer two questions", &op.tasks, op.shape, None),
            key: Some("questions-7".into()),
            ..Self::default()
        })
        .collect()
    }
}

/// A run of a plan that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) input: PlanInput,
    pub(super) key: Option<String>,
    pub(super) mode: ExecuteMode,
    /// Most money for models.
    pub(super) budget: Option<Money>,
}

/// Starts a run of a plan, or finds the one with the same key, and drives it when somebody waits for it.
pub(super) async fn start(cx: &Scope, operation: &'static str, wanted: Wanted) -> Result<PlanView> {
    let Wanted { input, key, mode, budget } = wanted;
    let found = match &key {
        Some(key) => by_key(cx, AGENT, key).await?,
        None => None,
    };
    let run = match found {
        Some(run) => {
            let began = state(cx, &run.id).await?.plan.hash()?;
            if began != input.plan.hash()? {
                let why = "this key belongs to a run of another plan: take a new key";
                return Err(Error::new(ErrorKind::Conflict, operation, why)
                    .with_code("idempotency_mismatch")
                    .with_context("run", run.id));
            }
            run.id
        }
        None => begin(cx, operation, input, key, budget).await?,
    };
    match mode {
        ExecuteMode::Sync => go_on(cx, &run).await?,
        ExecuteMode::Start => cx.outside().call(FollowRun { run: run.clone() }).await?,
    }
    view(cx, &run).await
}

async fn begin(
    cx: &Scope,
    operation: &'static str,
    input: PlanInput,
    key: Option<String>,
    budget: Option<Money>,
) -> Result<String> {
    let value = serde_json::to_value(input).map_err(|cause| Error::internal(operation, cause))?;
    let mut new = NewRun::new(value);
    if let Some((parent, depth)) = Terms::of_caller(cx).await?.parent {
        check_path(cx, operation, (parent.as_str(), depth), (AGENT, "run"), new.input()).await?;
        new = new.child_of(parent, depth);
    }
    if let Some(key) = key {
        new = new.key(key);
    }
    if let Some(money) = budget {
        new = new.budget(money);
    }
    Ok(Driver::new(Conductor).start(cx, new).await?.id)
}

/// Drives a plan until it ends or waits; has the queue go on with it then.
pub(super) async fn go_on(cx: &Scope, run: &str) -> Result<()> {
    let cx = cx.outside();
    match drive(&cx, run).await {
        Ok(driven) if driven.run.status.is_final() => return Ok(()),
        Ok(_) => {}
        // Another process drives it.
        Err(error) if is_held(&error) => {}
        Err(error) => return Err(error),
    }
    cx.call(FollowRun { run: run.to_owned() }).await
}

/// Shows where the nodes of a plan are.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanStatus {
    /// The run of the plan.
    pub run: String,
}

impl Operation for PlanStatus {
    type Output = PlanView;
    const NAME: &'static str = "orchestrator.status";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const MAX_OUTPUT: usize = MAX_VIEW;
    async fn run(self, cx: &Scope) -> Result<PlanView> {
        view(cx, &self.run).await
    }
    fn mask(output: &mut PlanView) {
        hide(output);
    }
    fn examples() -> Vec<Self> {
        vec![PlanStatus { run: "run_01kaf3w0000000000000000000".into() }]
    }
}
