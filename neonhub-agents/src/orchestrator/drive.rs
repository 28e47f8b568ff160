//! Driving plans, with the runs of their nodes that wait.

use futures_util::future::BoxFuture;
use neonhub_core::run::{AgentRun, Driver, Replay, RunStatus, RunView};
use neonhub_core::{ErrorKind, PermissionSet, Result, Scope};

use super::child::{cancel_below, is_held};
use super::program::{AGENT, CONTROL, Conductor};
use super::state::{NodeState, PlanState};
use super::team::{self, Teamwork};
use super::tell::{PlanCommand, TellPlan};

/// Goes on with a run of an agent or of a plan.
pub(crate) fn drive_any<'a>(cx: &'a Scope, run: &'a str) -> BoxFuture<'a, Result<RunView>> {
    Box::pin(async move {
        let row = cx.need::<AgentRun>(run).await?.body;
        match row.agent.as_str() {
            AGENT if row.spec.is_none() => return drive(cx, run).await,
            team::SUPERVISE => return drive_team(cx, run, team::Supervisor).await,
            team::DEBATE => return drive_team(cx, run, team::Debater).await,
            _ => {}
        }
        crate::registry::drive_run(cx, run).await
    })
}

/// Tells the log of a run again with the program that it belongs to.
pub(crate) async fn replay_any(cx: &Scope, run: &AgentRun) -> Result<Replay> {
    match run.agent.as_str() {
        AGENT if run.spec.is_none() => Driver::new(Conductor).replay(cx, &run.id).await,
        team::SUPERVISE => Driver::new(team::Supervisor).replay(cx, &run.id).await,
        team::DEBATE => Driver::new(team::Debater).replay(cx, &run.id).await,
        _ => Driver::new(crate::registry::worker_of(cx, run).await?).replay(cx, &run.id).await,
    }
}

/// Goes on with a plan until it ends, or waits for somebody.
pub(super) async fn drive(cx: &Scope, run: &str) -> Result<RunView> {
    drive_team(cx, run, Conductor).await
}

/// Goes on with a plan or a team until it ends, or waits for somebody. What an errand waited for and is there wakes it.
async fn drive_team<P: Teamwork + Copy>(cx: &Scope, run: &str, program: P) -> Result<RunView> {
    loop {
        let view = Driver::new(program).drive(cx, run).await?;
        if view.run.status == RunStatus::Cancelled {
            // What was under way when the plan was cut off is held here, so it ends here.
            cancel_below(&cx.outside(), run).await?;
        }
        let Some(wait) = wait_of(&view.run).map(str::to_owned) else { return Ok(view) };
        if view.run.signals.contains_key(&wait) {
            continue;
        }
        let state = Driver::new(program).state(cx, run).await?.program;
        let nodes = moved(cx, program.agent(), run, &program.waiting(&state)).await?;
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

impl Teamwork for Conductor {
    fn waiting(&self, state: &PlanState) -> Vec<(String, String)> {
        let waiting = state.of_state(NodeState::Waiting).into_iter();
        let both = waiting.filter_map(|i| state.plan.nodes.get(i).zip(state.nodes.get(i)));
        both.filter_map(|(node, record)| Some((node.id.clone(), record.run.clone()?))).collect()
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

/// Drives the runs of errands that wait; gives the errands whose runs are at their end, or cannot go on.
async fn moved(cx: &Scope, name: &str, run: &str, waiting: &[(String, String)]) -> Result<Vec<String>> {
    let agent = cx.outside().for_agent(name, run, PermissionSet::all());
    let mut moved = Vec::new();
    for (id, child) in waiting {
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
            moved.push(id.clone());
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
