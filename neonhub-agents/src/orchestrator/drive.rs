//! Driving plans, with the runs of their nodes that wait.

use futures_util::future::BoxFuture;
use neonhub_core::run::{AgentRun, Driver, RunStatus, RunView};
use neonhub_core::{ErrorKind, PermissionSet, Result, Scope};

use super::child::{cancel_below, is_held};
use super::program::{AGENT, CONTROL, Conductor};
use super::state::{NodeState, PlanState};
use super::tell::{PlanCommand, TellPlan};

/// Goes on with a run of an agent or of a plan.
pub(crate) fn drive_any<'a>(cx: &'a Scope, run: &'a str) -> BoxFuture<'a, Result<RunView>> {
    Box::pin(async move {
        let row = cx.need::<AgentRun>(run).await?.body;
        if row.agent == AGENT && row.spec.is_none() {
            return drive(cx, run).await;
        }
        crate::registry::drive_run(cx, run).await
    })
}

/// Goes on with a plan until it ends, or waits for somebody. What a node waited for and is there wakes the plan.
pub(super) async fn drive(cx: &Scope, run: &str) -> Result<RunView> {
    loop {
        let view = Driver::new(Conductor).drive(cx, run).await?;
        if view.run.status == RunStatus::Cancelled {
            // What was under way when the plan was cut off is held here, so it ends here.
            cancel_below(&cx.outside(), run).await?;
        }
        let Some(wait) = wait_of(&view.run).map(str::to_owned) else { return Ok(view) };
        if view.run.signals.contains_key(&wait) {
            continue;
        }
        let nodes = moved(cx, run).await?;
        if nodes.is_empty() {
            return Ok(view);
        }
        let tell = TellPlan { run: run.to_owned(), wait, command: PlanCommand::Look { nodes } };
        match cx.outside().call(tell).await {
            // Somebody else has woken it meanwhile.
            Err(error) if error.code() == "node_state" => {}
            other => other?,
        }
    }
}

/// The wait of a plan that stands still.
pub(super) fn wait_of(run: &AgentRun) -> Option<&str> {
    let reason = run.wait_reason.as_deref().filter(|_| run.status == RunStatus::Waiting)?;
    reason.strip_prefix("signal ").filter(|name| name.starts_with(CONTROL))
}

/// Where the nodes of a plan are.
pub(super) async fn state(cx: &Scope, run: &str) -> Result<PlanState> {
    Ok(Driver::new(Conductor).state(cx, run).await?.program)
}

/// Drives the runs of nodes that wait; gives the nodes whose runs are at their end, or cannot go on.
async fn moved(cx: &Scope, run: &str) -> Result<Vec<String>> {
    let state = state(cx, run).await?;
    let agent = cx.outside().for_agent(AGENT, run, PermissionSet::all());
    let mut moved = Vec::new();
    for i in state.of_state(NodeState::Waiting) {
        let Some((node, record)) = state.plan.nodes.get(i).zip(state.nodes.get(i)) else { continue };
        let Some(child) = record.run.as_deref() else { continue };
        let row = cx.need::<AgentRun>(child).await?.body;
        if stands_still(cx, &row) {
            continue;
        }
        let has_moved = row.status.is_final()
            || match drive_any(&agent, child).await {
                Ok(view) => view.run.status.is_final(),
                Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
                // Another process works on it, or it may go on later; else the plan is told.
                Err(error) => !is_held(&error) && !error.is_retryable(),
            };
        if has_moved {
            moved.push(node.id.clone());
        }
    }
    Ok(moved)
}

/// True for a run that waits, and nothing of what it waits for is there.
fn stands_still(cx: &Scope, run: &AgentRun) -> bool {
    run.status == RunStatus::Waiting
        && run.signals.is_empty()
        && !run.cancel_asked
        && run.wake_at.is_none_or(|at| at > cx.now())
}
