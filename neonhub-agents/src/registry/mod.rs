//! Agents as data: what each is for, what it may do, and how it is asked.
//!
//! An [`AgentSpec`] names an agent's intents, tools, rights, bounds and checks. The built-in ones are the faces of the
//! capabilities of this build; a workspace overrides them or adds its own ([`PutAgent`], [`ActivateAgent`]). An
//! intent is either one operation of the catalogue, or work for a model that sees the tools of the spec and nothing
//! else. [`ExecuteAgent`] starts it as a run: a log that is folded, so that it goes on after a crash, is listed,
//! cancelled and read like every other run.

mod address;
mod again;
mod builtin;
mod check;
mod desk;
mod directory;
mod execute;
mod face;
mod fence;
mod guard;
mod health;
mod instruct;
mod job;
mod judge;
mod metrics;
mod model;
mod ops;
mod ops_change;
mod outcome;
mod prepare;
mod resume;
mod room;
mod start;
mod turn;
mod worker;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use neonhub_core::HubBuilder;
use neonhub_core::job::Queue;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub use address::Addressed;
pub(crate) use again::NODE_KEY;
pub use again::PauseRun;
pub(crate) use check::{is_name, rank};
pub(crate) use directory::{Directory, pinned};
pub use execute::{ExecuteAgent, ExecuteMode, Executed};
pub(crate) use fence::HAND_OFF;
pub(crate) use guard::{BREAKER, is_away, is_away_error, stand_in};
pub use health::{AgentCheck, CheckAgents};
pub use job::{FollowRun, RunRights};
pub(crate) use judge::{figures_of, texts_of};
pub(crate) use metrics::quantile;
pub use metrics::{AgentMetric, AgentMetrics};
pub(crate) use model::hash_of;
pub use model::{
    AgentQuotas, AgentSpec, AgentState, Guardrails, HealthProbe, IntentSpec, MemoryUse, OutputCheck, SpecRow,
    Standing,
};
pub use ops::{AgentLine, AgentVersions, GetAgent, IntentLine, ListAgents};
pub use ops_change::{ActivateAgent, DisableAgent, PutAgent};
pub use outcome::{NoteOutcome, PromptUse};
pub use prepare::PrepareRun;
pub use resume::AdoptRun;
pub use room::RunRoom;
pub(crate) use start::{Rest, Terms, by_key, check_path, drive as drive_run, start as start_run, worker_of};
pub(crate) use worker::{PREPARE, Worker};

/// The operations of agents.
pub static CATALOGUE: &[Entry] = &[
    entry::<ListAgents>(),
    entry::<GetAgent>(),
    entry::<AgentVersions>(),
    entry::<PutAgent>(),
    entry::<ActivateAgent>(),
    entry::<DisableAgent>(),
    entry::<CheckAgents>(),
    entry::<AgentMetrics>(),
    entry::<ExecuteAgent>(),
    entry::<PrepareRun>(),
    entry::<FollowRun>(),
    entry::<AdoptRun>(),
    entry::<PauseRun>(),
    entry::<NoteOutcome>(),
];

/// The records of agents.
pub static KINDS: &[Kind] =
    &[Kind::of::<SpecRow>(), Kind::of::<Standing>(), Kind::of::<RunRights>(), Kind::of::<PromptUse>()];

/// Adds the registry, its built-in agents and the queue that drives their runs to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    let queue = Queue::declare(job::QUEUE).timeout(job::TIMEOUT).handler(Arc::new(job::RunHandler)).build();
    let builder = builder.operations(CATALOGUE).kinds(KINDS).queue(queue);
    let builder = builder
        .health_source(Arc::new(health::OwnAgents))
        .health(Arc::new(resume::Stopped))
        .recipe(Arc::new(resume::TakeUp));
    builtin::all().iter().fold(builder, |builder, spec| builder.agent(Arc::new(face::Face::new(spec))))
}
