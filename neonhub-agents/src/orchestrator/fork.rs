//! A plan that goes another way from a step on: what was done by then is kept, the rest is done anew.

use std::collections::BTreeMap;

use neonhub_core::hub::closest;
use neonhub_core::run::{AgentRun, Driver, ForkEffects, ForkedFrom, NewRun, What, fold, load_log};
use neonhub_core::{Error, ErrorKind, Result, Scope};
use serde_json::Value;

use super::program::{Conductor, PlanInput};
use super::state::{NodeState, PlanState};

/// How a plan is forked.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlanFork {
    /// So many entries of its log are looked at. Default: all but the end.
    pub(crate) at: Option<u32>,
    /// Other outputs of nodes that were done by then.
    pub(crate) outputs: BTreeMap<String, Value>,
    /// The model that answers from there on.
    pub(crate) model: Option<String>,
    /// What happens to tools that change something.
    pub(crate) effects: ForkEffects,
    /// Makes the same key the same run.
    pub(crate) key: Option<String>,
}

/// Makes a run of the same plan that takes over the nodes which were done; drives nothing.
///
/// # Errors
/// `InvalidInput` for an output of a node that was not done; `Conflict`, code `idempotency_mismatch`.
pub(crate) async fn fork(
    cx: &Scope,
    operation: &'static str,
    first: &AgentRun,
    fork: PlanFork,
) -> Result<AgentRun> {
    let log = load_log(cx, &first.id).await?;
    let at = fork.at.map_or(log.len(), |at| at as usize).clamp(1, log.len().max(1));
    let kept = log.iter().take(at).filter(|entry| !matches!(entry.what, What::Finished { .. }));
    let state: PlanState = fold(&Conductor, &first.id, kept)?.program;
    let mut done = state.done();
    for (id, output) in fork.outputs {
        let Some(result) = done.iter_mut().find(|result| result.id == id) else {
            let near = closest(&id, done.iter().map(|result| result.id.as_str())).join(", ");
            let why = format!("no node {id:?} was done by there; close are {near}");
            return Err(Error::invalid(operation, "changes.outputs", why));
        };
        result.output = output;
    }
    // Who went without a node by hand goes without it again; one that failed is tried.
    let by_hand = state
        .plan
        .nodes
        .iter()
        .zip(&state.nodes)
        .filter(|(_, record)| record.state == NodeState::Skipped && record.failure.is_none());
    let skip = by_hand.map(|(node, _)| node.id.clone()).collect();
    let input = PlanInput { plan: state.plan, is_approved: false, done, skip, versions: state.versions };
    let input = serde_json::to_value(input).map_err(|cause| Error::internal(operation, cause))?;
    let origin = ForkedFrom {
        run: first.id.clone(),
        at: u32::try_from(at).unwrap_or(u32::MAX),
        model: fork.model,
        effects: fork.effects,
    };
    let mut new = NewRun::new(input).forked_from(origin.clone());
    if let Some(money) = first.budget {
        new = new.budget(money);
    }
    if let Some(key) = fork.key {
        new = new.key(key);
    }
    let run = Driver::new(Conductor).start(cx, new).await?;
    if run.forked_from.as_ref() != Some(&origin) {
        let why = "this key belongs to another run: take a new key";
        return Err(Error::new(ErrorKind::Conflict, operation, why)
            .with_code("idempotency_mismatch")
            .with_context("run", run.id));
    }
    Ok(run)
}
