//! One turn of a plan: nodes side by side, their results in the order of the plan.

use std::time::Duration;

use futures_util::future::join_all;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::{AgentRun, Failure, RunStatus};
use neonhub_core::{Error, ErrorKind, Permission, Principal, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::child::{self, Errand};
use super::drive::drive_any;
use super::program::UNDO;
use super::state::NodeResult;
use crate::registry::{Directory, FollowRun, NODE_KEY, Terms, by_key, is_away_error};

/// Pause before the second try of a node; the third waits twice as long.
// Rule of agents, section 7: 75 ms.
const PAUSE: Duration = Duration::from_millis(75);
/// Eight nodes take and give what eight operations may, 1 MiB and 8 MiB each.
const MAX: usize = 64 << 20;

/// A node that is to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaveNode {
    /// Its id in the plan.
    pub(super) id: String,
    /// The agent.
    pub(super) agent: String,
    /// Its version, as the plan was checked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    /// The intent.
    pub(super) intent: String,
    /// The input.
    pub(super) input: Value,
    /// Which try it is, from 1.
    pub(super) tries: u32,
}

/// Runs nodes of a plan side by side, each as a child of the run that calls.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunWave {
    nodes: Vec<WaveNode>,
    /// Runs that are no longer wanted.
    #[serde(default)]
    cancel: Vec<String>,
}

impl Operation for RunWave {
    type Output = Value;
    const NAME: &'static str = "orchestrator.wave";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const INTERNAL: bool = true;
    const MAX_INPUT: usize = MAX;
    const MAX_OUTPUT: usize = MAX;

    async fn run(self, cx: &Scope) -> Result<Value> {
        let Principal::Agent { run: root, .. } = cx.principal().clone() else {
            let why = "only the run of a plan calls this";
            return Err(Error::new(ErrorKind::PermissionDenied, Self::NAME, why));
        };
        for run in &self.cancel {
            child::cancel(cx, run).await?;
        }
        let directory = Directory::load(cx).await?;
        let terms = Terms::of_caller(cx).await?;
        let forked = cx.need::<AgentRun>(&root).await?.body.forked_from.map(|first| first.run);
        let work = self.nodes.iter().map(|node| {
            // Each node has its own chance, so that what runs beside it changes nothing.
            let cx = cx.outside().fork(&["node", &node.id, &node.tries.to_string()]);
            let (root, directory, mut terms) = (root.as_str(), &directory, terms.clone());
            let first = forked.as_deref();
            async move {
                if let (Some(fork), Some(first)) = (&mut terms.under_fork, first) {
                    fork.like = by_key(&cx, &node.agent, &key_of(first, node)).await?.map(|run| run.id);
                }
                one(&cx, root, directory, node, terms).await
            }
        });
        // Results stand in the order of the nodes, whichever ended first.
        let results = join_all(work).await.into_iter().collect::<Result<Vec<NodeResult>>>()?;
        serde_json::to_value(results).map_err(|cause| Error::internal(Self::NAME, cause))
    }
}

async fn one(
    cx: &Scope,
    root: &str,
    directory: &Directory,
    node: &WaveNode,
    terms: Terms,
) -> Result<NodeResult> {
    let key = key_of(root, node);
    // A run that has begun ends as it began, whatever became of its agent.
    let begun = match by_key(cx, &node.agent, &key).await? {
        Some(run) => Ok(run),
        None => begin(cx, directory, node, &key, terms).await,
    };
    let run = match begun {
        Ok(run) => run.id,
        // The hub closes, the caller gave up or the store is away: nobody knows whether it began.
        Err(error) if is_open(&error) => return Err(error),
        Err(error) => return Ok(ended(node, None, Failure::from(&error))),
    };
    let view = match drive_any(cx, &run).await {
        Ok(view) => view,
        Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
        // Another process works on it, or it goes on later: it is looked at again.
        Err(error) if child::is_held(&error) || error.is_retryable() => {
            return Ok(NodeResult {
                status: RunStatus::Waiting,
                failure: None,
                ..ended(node, Some(run), Failure::from(&error))
            });
        }
        // What it has done is not known, so it is not tried again.
        Err(error) => return Ok(NodeResult { acted: true, ..ended(node, Some(run), Failure::from(&error)) }),
    };
    let acted = view.run.status == RunStatus::Failed && child::has_acted(cx, &view.run).await?;
    if node.id.starts_with(UNDO) && !view.run.status.is_final() {
        // The plan does not wait for it.
        cx.outside().call(FollowRun { run: view.run.id.clone() }).await?;
    }
    Ok(NodeResult {
        id: node.id.clone(),
        run: Some(view.run.id),
        status: view.run.status,
        output: if view.run.status == RunStatus::Completed { view.output } else { Value::Null },
        failure: view.run.failure,
        acted,
    })
}

/// The key of the run of a node.
fn key_of(root: &str, node: &WaveNode) -> String {
    format!("{NODE_KEY}{root}:{}:{}", node.id, node.tries)
}

async fn begin(
    cx: &Scope,
    directory: &Directory,
    node: &WaveNode,
    key: &str,
    terms: Terms,
) -> Result<AgentRun> {
    if node.tries > 1 {
        cx.sleep(PAUSE * (node.tries - 1).min(8)).await?;
    }
    let (agent, intent) = (Some(node.agent.as_str()), Some(node.intent.as_str()));
    let asked = directory.address(cx.hub(), RunWave::NAME, agent, intent, node.version.as_deref())?;
    let errand = Errand { asked: &asked, input: &node.input, key, terms };
    child::begin(cx, RunWave::NAME, &errand).await
}

/// True when a start has failed in a way that says nothing of the node.
fn is_open(error: &Error) -> bool {
    let is_answer = error.kind() == ErrorKind::RateLimited || is_away_error(error);
    error.kind() == ErrorKind::Cancelled || error.is_retryable() && !is_answer
}

fn ended(node: &WaveNode, run: Option<String>, failure: Failure) -> NodeResult {
    NodeResult {
        id: node.id.clone(),
        run,
        status: RunStatus::Failed,
        output: Value::Null,
        failure: Some(failure),
        acted: false,
    }
}
