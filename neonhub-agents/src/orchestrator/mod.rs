//! Work that several agents do together: plans as graphs of intents, checked whole before anything runs.
//!
//! An [`AgentPlan`] is data: nodes that name an intent, its input with references to the output of earlier nodes, and
//! what happens when a node fails. [`RunPlan`] makes it a run of its own whose log says which node is where; each
//! node is a child run. Nodes that are ready begin together, up to eight at once, and their results are taken in the
//! order of the plan, so that timing changes nothing. A killed process goes on with the nodes that are not finished.
//! Without a plan, [`Supervise`] has a supervisor pick who is asked next, and [`Debate`] has drafts criticised and judged.

mod build;
mod child;
mod delegate;
mod drive;
mod fork;
mod graph;
mod inputs;
mod model;
mod ops_mend;
mod ops_plan;
mod ops_run;
mod program;
mod reference;
mod route;
mod state;
mod team;
mod tell;
mod types;
mod validate;
mod wave;

#[cfg(test)]
mod tests;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};

pub use build::{PlanShape, PlanTask};
pub use delegate::HandOff;
pub(crate) use drive::{drive_any, replay_any};
pub(crate) use fork::{PlanFork, fork as fork_plan};
pub use model::{AgentPlan, NodeFailure, NodeJoin, PlanNode, PlanTotals, Undo};
pub use ops_mend::{CancelPlan, RetryNode, SkipNode};
pub use ops_plan::{MadePlan, MakePlan, PlanEffect, PlanFault, SimulatePlan, Simulated};
pub use ops_run::{NodeView, PlanStatus, PlanView, RunPlan};
pub(crate) use program::AGENT;
pub use route::{RouteChoice, RouteIntent, Routed};
pub use state::NodeState;
pub use team::{Debate, Member, ResolveTeam, Supervise};
pub use tell::{PlanCommand, TellPlan};
pub use wave::RunWave;

/// The operations of the orchestrator.
pub static CATALOGUE: &[Entry] = &[
    entry::<RouteIntent>(),
    entry::<MakePlan>(),
    entry::<SimulatePlan>(),
    entry::<RunPlan>(),
    entry::<PlanStatus>(),
    entry::<CancelPlan>(),
    entry::<RetryNode>(),
    entry::<SkipNode>(),
    entry::<RunWave>(),
    entry::<HandOff>(),
    entry::<TellPlan>(),
    entry::<Supervise>(),
    entry::<Debate>(),
    entry::<ResolveTeam>(),
];

/// Adds the orchestrator to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE)
}
