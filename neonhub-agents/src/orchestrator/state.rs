//! Where the nodes of a running plan are, and what comes next.

use std::collections::BTreeMap;

use neonhub_core::ErrorKind;
use neonhub_core::run::{Failure, RunStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::{AgentPlan, NodeFailure, NodeJoin, PlanNode};
use super::tell::PlanCommand;
use super::{graph, reference};

/// Tries of a node whose failure may pass, and of a turn that did not come to its end.
// Rule of agents, section 7: three.
const TRIES: u32 = 3;
/// Child runs beyond one for each node: tries, fallbacks, retries by hand.
// Rule of agents, section 7: 100 per root.
const EXTRA_RUNS: u32 = 100;

/// Where a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It has not begun, or is to begin again.
    #[default]
    Pending,
    /// Its run is under way.
    Running,
    /// Its run waits for somebody.
    Waiting,
    /// It ended well.
    Done,
    /// It failed, and with it the plan.
    Failed,
    /// The plan goes on without it.
    Skipped,
    /// It failed, and somebody is to retry or skip it.
    Asked,
    /// It ended well and was taken back.
    Undone,
}

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct NodeRecord {
    pub(super) state: NodeState,
    /// Its latest run.
    pub(super) run: Option<String>,
    /// Runs so far; names the next one.
    pub(super) tries: u32,
    pub(super) is_fallback: bool,
    pub(super) output: Value,
    pub(super) failure: Option<Failure>,
}

impl NodeRecord {
    fn is_ended(&self) -> bool {
        matches!(self.state, NodeState::Done | NodeState::Skipped)
    }
}

/// What came of one node in a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct NodeResult {
    /// The node.
    pub(super) id: String,
    /// Its run; none when it could not be started.
    pub(super) run: Option<String>,
    /// Where the run stands.
    pub(super) status: RunStatus,
    /// What it gave.
    pub(super) output: Value,
    /// Why it failed.
    pub(super) failure: Option<Failure>,
    /// True when it has changed something before it failed.
    pub(super) acted: bool,
}

/// What a result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Completed,
    Failed,
    Skipped,
    /// Nothing to tell: it waits, is asked about or is tried again.
    Open,
}

/// The nodes of a plan by index, and how it goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PlanState {
    pub(super) plan: AgentPlan,
    pub(super) nodes: Vec<NodeRecord>,
    /// Turns so far; names calls and waits.
    pub(super) turn: u32,
    /// Nodes in the order in which they ended well.
    pub(super) ended: Vec<usize>,
    /// Why the plan fails.
    pub(super) failure: Option<Failure>,
    /// Runs to be cancelled with the next turn.
    pub(super) cancel: Vec<String>,
    /// Nodes that wait and whose runs are to be looked at again.
    pub(super) look: Vec<usize>,
    /// The versions of agents that the plan was checked with.
    pub(super) versions: BTreeMap<String, String>,
    /// The node that is being taken back.
    pub(super) undoing: Option<usize>,
    /// Turns that did not come to their end.
    pub(super) broken: u32,
}

impl PlanState {
    pub(super) fn new(plan: AgentPlan) -> Self {
        let nodes = vec![NodeRecord::default(); plan.nodes.len()];
        PlanState { plan, nodes, ..PlanState::default() }
    }

    pub(super) fn index(&self, id: &str) -> Option<usize> {
        self.plan.nodes.iter().position(|node| node.id == id)
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, &PlanNode, &NodeRecord)> {
        self.plan.nodes.iter().zip(&self.nodes).enumerate().map(|(i, (node, record))| (i, node, record))
    }

    fn record(&self, i: usize) -> Option<&NodeRecord> {
        self.nodes.get(i)
    }

    /// The results of the nodes that have ended well, for a run that takes them over.
    pub(super) fn done(&self) -> Vec<NodeResult> {
        let done = self.pairs().filter(|(_, _, record)| record.state == NodeState::Done);
        done.map(|(_, node, record)| NodeResult {
            id: node.id.clone(),
            run: record.run.clone(),
            status: RunStatus::Completed,
            output: record.output.clone(),
            failure: None,
            acted: false,
        })
        .collect()
    }

    /// Nodes that can begin now, in the order of the plan; nodes whose join can never hold.
    pub(super) fn ready(&self) -> (Vec<usize>, Vec<usize>) {
        let needs = graph::needs(&self.plan);
        let (mut ready, mut unmet) = (Vec::new(), Vec::new());
        for (i, node, record) in self.pairs() {
            if record.state != NodeState::Pending {
                continue;
            }
            let before: Vec<&NodeRecord> =
                needs.get(i).into_iter().flatten().filter_map(|need| self.record(*need)).collect();
            let ended = before.iter().filter(|need| need.is_ended()).count();
            let done = before.iter().filter(|need| need.state == NodeState::Done).count();
            let all = ended == before.len();
            let holds = match node.when {
                NodeJoin::All => all,
                NodeJoin::Any => before.is_empty() || ended > 0,
                NodeJoin::Quorum { n } => done >= n as usize,
                NodeJoin::FirstOk => before.is_empty() || done > 0,
            };
            if holds {
                ready.push(i);
            } else if all {
                unmet.push(i);
            }
        }
        (ready, unmet)
    }

    pub(super) fn of_state(&self, state: NodeState) -> Vec<usize> {
        self.pairs().filter(|(_, _, record)| record.state == state).map(|(i, _, _)| i).collect()
    }

    /// The input of a node with the outputs of others in place of its references.
    pub(super) fn input(&self, input: &Value) -> Value {
        let output = |id: &str| {
            let record = self.record(self.index(id)?)?;
            matches!(record.state, NodeState::Done).then_some(&record.output)
        };
        match reference::resolved(input, &output) {
            Value::Null => Value::Object(serde_json::Map::new()),
            input => input,
        }
    }

    /// Child runs beyond one for each node.
    fn extra_runs(&self) -> u32 {
        self.nodes.iter().map(|record| record.tries.saturating_sub(1)).sum()
    }

    /// Takes the result of a node.
    pub(super) fn take(&mut self, result: &NodeResult) -> Meaning {
        let Some(i) = self.index(&result.id) else { return Meaning::Open };
        let extra = self.extra_runs();
        let Some((node, record)) = self.plan.nodes.get(i).zip(self.nodes.get_mut(i)) else {
            return Meaning::Open;
        };
        let has_ended =
            matches!(result.status, RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled);
        if has_ended || result.run.is_some() {
            record.run.clone_from(&result.run);
        }
        match result.status {
            RunStatus::Completed => {
                record.state = NodeState::Done;
                record.output = result.output.clone();
                record.failure = None;
                self.ended.push(i);
                self.broken = 0;
                return Meaning::Completed;
            }
            RunStatus::Failed | RunStatus::Cancelled => {}
            _ => {
                record.state = NodeState::Waiting;
                return Meaning::Open;
            }
        }
        record.failure = Some(result.failure.clone().unwrap_or_else(cancelled));
        let may_pass = result.failure.as_ref().is_some_and(|failure| failure.retryable);
        if may_pass && !result.acted && record.tries < TRIES && extra < EXTRA_RUNS {
            record.state = NodeState::Pending;
            return Meaning::Open;
        }
        if matches!(node.failure, NodeFailure::Fallback { .. }) && !record.is_fallback && extra < EXTRA_RUNS {
            (record.is_fallback, record.state) = (true, NodeState::Pending);
            return Meaning::Open;
        }
        self.settle(i)
    }

    /// Does with a failed node what its policy says.
    pub(super) fn settle(&mut self, i: usize) -> Meaning {
        let Some((node, record)) = self.plan.nodes.get(i).zip(self.nodes.get_mut(i)) else {
            return Meaning::Open;
        };
        if node.optional || node.failure == NodeFailure::Skip {
            record.state = NodeState::Skipped;
            return Meaning::Skipped;
        }
        if node.failure == NodeFailure::Ask {
            record.state = NodeState::Asked;
            return Meaning::Open;
        }
        record.state = NodeState::Failed;
        if self.failure.is_none() {
            self.failure.clone_from(&record.failure);
        }
        Meaning::Failed
    }

    /// Takes note that runs of nodes have moved.
    fn look_at(&mut self, ids: &[String]) {
        for i in ids.iter().filter_map(|id| self.index(id)).collect::<Vec<_>>() {
            if !self.look.contains(&i) {
                self.look.push(i);
            }
        }
    }

    /// Up to so many nodes that wait and are to be looked at, in the order of the plan.
    pub(super) fn looked_at(&mut self, most: usize) -> Vec<usize> {
        let mut due = std::mem::take(&mut self.look);
        due.retain(|i| self.record(*i).is_some_and(|record| record.state == NodeState::Waiting));
        due.sort_unstable();
        self.look = due.split_off(due.len().min(most));
        due
    }

    /// A turn that did not come to its end. Its runs are found again by their keys; after some tries the plan fails.
    pub(super) fn broke(&mut self, failure: &Failure) {
        self.broken += 1;
        let may_pass = failure.retryable && self.broken < TRIES;
        for i in self.of_state(NodeState::Running) {
            let Some(record) = self.nodes.get_mut(i) else { continue };
            if may_pass {
                record.state = NodeState::Waiting;
                self.look.push(i);
            } else {
                record.state = NodeState::Failed;
                record.failure = Some(failure.clone());
            }
        }
        if let Some(i) = self.undoing.take() {
            match self.nodes.get_mut(i) {
                Some(_) if may_pass => self.ended.push(i),
                Some(record) => record.failure = Some(failure.clone()),
                None => {}
            }
        } else if !may_pass && self.failure.is_none() {
            self.failure = Some(failure.clone());
        }
    }

    /// A node whose join can never hold.
    pub(super) fn unmet(&mut self, i: usize) -> Meaning {
        if let Some(record) = self.nodes.get_mut(i) {
            record.failure = Some(failure(
                ErrorKind::Conflict,
                "join_unmet",
                "too few of the nodes that this one depends on have ended well",
            ));
        }
        self.settle(i)
    }

    /// Does what it is told; false when the node is in no state for that.
    pub(super) fn told(&mut self, command: &PlanCommand) -> bool {
        let may_run = self.extra_runs() < EXTRA_RUNS;
        let (id, is_retry) = match command {
            PlanCommand::Look { nodes } => {
                self.look_at(nodes);
                return true;
            }
            PlanCommand::Retry { node } => (node, true),
            PlanCommand::Skip { node } => (node, false),
        };
        let Some(record) = self.index(id).and_then(|i| self.nodes.get_mut(i)) else { return false };
        match (is_retry, record.state) {
            (true, NodeState::Asked) if may_run => record.state = NodeState::Pending,
            (false, NodeState::Asked | NodeState::Pending) => record.state = NodeState::Skipped,
            (false, NodeState::Waiting) => {
                record.state = NodeState::Skipped;
                self.cancel.extend(record.run.clone());
            }
            _ => return false,
        }
        true
    }

    /// The next node to be taken back: the last that ended well and can be.
    pub(super) fn next_undo(&mut self) -> Option<usize> {
        while let Some(i) = self.ended.pop() {
            let has_undo = self.plan.nodes.get(i).is_some_and(|node| node.undo.is_some());
            if has_undo && self.record(i).is_some_and(|record| record.state == NodeState::Done) {
                return Some(i);
            }
        }
        None
    }
}

fn cancelled() -> Failure {
    failure(ErrorKind::Cancelled, "cancelled", "the run of the node was cancelled")
}

pub(super) fn failure(kind: ErrorKind, code: &str, message: &str) -> Failure {
    Failure {
        kind: kind.code().to_owned(),
        code: code.to_owned(),
        operation: "orchestrator.run".to_owned(),
        message: message.to_owned(),
        retryable: false,
    }
}
