//! Mending plans: cancelling them, running a node again, going on without one.

use std::time::Duration;

use neonhub_core::economy::{GetQuotas, QuotaSubject};
use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::{AgentRun, RunStatus};
use neonhub_core::{Error, ErrorKind, Money, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::child::cancel;
use super::drive::{state, wait_of};
use super::ops_run::{MAX_VIEW, PlanView, Wanted, go_on, hide, of_plan, start, view};
use super::program::PlanInput;
use super::state::{NodeState, PlanState};
use super::tell::{PlanCommand, TellPlan};
use super::validate;
use crate::registry::{Directory, ExecuteMode};

const EXAMPLE: &str = "run_01kaf3w0000000000000000000";
/// Micros of one unit of a currency.
const MICROS: u64 = 1_000_000;

/// Cancels a plan and the runs of its nodes that are not at their end. What has ended stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelPlan {
    /// The run of the plan.
    pub run: String,
}

impl Operation for CancelPlan {
    type Output = PlanView;
    const NAME: &'static str = "orchestrator.cancel";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const MAX_OUTPUT: usize = MAX_VIEW;
    async fn run(self, cx: &Scope) -> Result<PlanView> {
        of_plan(cx, &self.run).await?;
        // The plan first: it starts nothing more.
        cancel(cx, &self.run).await?;
        view(&cx.outside(), &self.run).await
    }
    fn mask(output: &mut PlanView) {
        hide(output);
    }
    fn examples() -> Vec<Self> {
        vec![CancelPlan { run: EXAMPLE.into() }]
    }
}

/// Runs a node again. In a plan that asks about it, the plan goes on. A plan that has failed goes on in a new run, which
/// takes over what had ended well and was not undone, and lives from what is left of the budget.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryNode {
    /// The run of the plan.
    pub run: String,
    /// The node.
    pub node: String,
}

impl Operation for RetryNode {
    type Output = PlanView;
    const NAME: &'static str = "orchestrator.retry_node";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const MAX_OUTPUT: usize = MAX_VIEW;
    const ERRORS: &'static [&'static str] = &["node_state", "budget_spent"];
    async fn run(self, cx: &Scope) -> Result<PlanView> {
        mend(cx, Self::NAME, &self.run, PlanCommand::Retry { node: self.node }).await
    }
    fn mask(output: &mut PlanView) {
        hide(output);
    }
    fn examples() -> Vec<Self> {
        vec![RetryNode { run: EXAMPLE.into(), node: "step_1".into() }]
    }
}

/// Goes on without a node: one that is asked about, waits or has not begun. A plan that has failed goes on in a new run,
/// as for `orchestrator.retry_node`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipNode {
    /// The run of the plan.
    pub run: String,
    /// The node.
    pub node: String,
}

impl Operation for SkipNode {
    type Output = PlanView;
    const NAME: &'static str = "orchestrator.skip_node";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const MAX_OUTPUT: usize = MAX_VIEW;
    const ERRORS: &'static [&'static str] = &["node_state", "budget_spent"];
    async fn run(self, cx: &Scope) -> Result<PlanView> {
        mend(cx, Self::NAME, &self.run, PlanCommand::Skip { node: self.node }).await
    }
    fn mask(output: &mut PlanView) {
        hide(output);
    }
    fn examples() -> Vec<Self> {
        vec![SkipNode { run: EXAMPLE.into(), node: "step_1".into() }]
    }
}

async fn mend(cx: &Scope, operation: &'static str, run: &str, command: PlanCommand) -> Result<PlanView> {
    let row = of_plan(cx, run).await?;
    let mut state = state(cx, run).await?;
    let (PlanCommand::Retry { node } | PlanCommand::Skip { node }) = &command else {
        return view(cx, run).await;
    };
    let Some(record) = state.index(node).and_then(|i| state.nodes.get(i)) else {
        let ids = state.plan.nodes.iter().map(|n| n.id.as_str());
        let near = neonhub_core::hub::closest(node, ids).join(", ");
        return Err(Error::new(ErrorKind::NotFound, operation, "the plan has no such node")
            .with_context("closest", near));
    };
    if row.status == RunStatus::Failed && record.state != NodeState::Done {
        return again(cx, operation, &row, &state, &command).await;
    }
    let wait = wait_of(&row).map(str::to_owned);
    let Some(wait) = wait.filter(|_| state.told(&command)) else {
        let why = "the node is not in a state for that: look where the plan is";
        return Err(Error::new(ErrorKind::Conflict, operation, why)
            .with_code("node_state")
            .with_context("status", row.status.word()));
    };
    let cx = cx.outside();
    cx.call(TellPlan { run: run.to_owned(), wait, command }).await?;
    go_on(&cx, run).await?;
    view(&cx, run).await
}

/// A new run of a plan that has failed, with what had ended well.
async fn again(
    cx: &Scope,
    operation: &'static str,
    row: &AgentRun,
    state: &PlanState,
    command: &PlanCommand,
) -> Result<PlanView> {
    let done = state.done();
    let (key, skip) = match command {
        PlanCommand::Skip { node } => (format!("skip:{}:{node}", row.id), vec![node.clone()]),
        PlanCommand::Retry { node } => (format!("retry:{}:{node}", row.id), Vec::new()),
        PlanCommand::Look { .. } => (format!("look:{}", row.id), Vec::new()),
    };
    // A plan that acts on the world goes on with the agents that it was looked at with; any other with those of today.
    let directory = Directory::load(cx).await?;
    let versions = match validate::check(cx.hub(), &directory, operation, &state.plan) {
        Ok(checked) if !checked.acts() => checked.versions(),
        _ => state.versions.clone(),
    };
    // Who released the plan released its nodes.
    let input = PlanInput { plan: state.plan.clone(), is_approved: false, done, skip, versions };
    let budget = left(cx, operation, row).await?;
    let wanted = Wanted { input, key: Some(key), mode: ExecuteMode::Sync, budget };
    start(cx, operation, wanted).await
}

/// What is left of the budget of a run, in whole minor units.
///
/// # Errors
/// `BudgetExceeded`, code `budget_spent`, when that is nothing.
async fn left(cx: &Scope, operation: &'static str, row: &AgentRun) -> Result<Option<Money>> {
    let Some(budget) = row.budget else { return Ok(None) };
    let of_run = GetQuotas { subject: Some(QuotaSubject::Run { id: row.id.clone() }) };
    // Who may run the plan may know what it has used.
    let micros = of_run.run(cx).await?.first().and_then(|quota| quota.left_micros).unwrap_or(0);
    let minor = micros / (MICROS / 10_u64.pow(u32::from(budget.currency.exponent()))).max(1);
    if minor == 0 {
        return Err(Error::new(ErrorKind::BudgetExceeded, operation, "the budget of the plan is spent")
            .with_code("budget_spent")
            .with_context("run", &row.id));
    }
    Ok(Some(Money::new(i64::try_from(minor).unwrap_or(i64::MAX), budget.currency)?))
}
