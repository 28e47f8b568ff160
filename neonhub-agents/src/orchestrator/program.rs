//! The program of a plan: which nodes begin, what comes of them, how it ends.

use std::collections::BTreeMap;

use neonhub_core::ErrorKind;
use neonhub_core::op::Operation as _;
use neonhub_core::run::{Command, Failure, Limits, Machine, Program, RunEvent, RunStatus, WaitOn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::{AgentPlan, NodeFailure};
use super::ops_run::views;
use super::state::{Meaning, NodeResult, NodeState, PlanState, failure};
use super::tell::{self, PlanCommand};
use super::wave::{RunWave, WaveNode};

/// The name that plans run under.
pub(crate) const AGENT: &str = "orchestrator";
/// Begins the name of a wait; the number of the turn follows.
pub(super) const CONTROL: &str = "control/";
/// Nodes that run side by side.
// Rule of agents, section 7: eight.
pub(super) const WIDTH: usize = 8;
/// Begins the id of a node that is being taken back.
pub(super) const UNDO: &str = "undo/";

/// Input of the run of a plan.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct PlanInput {
    pub(super) plan: AgentPlan,
    /// True when the plan was looked at as it stands.
    #[serde(default)]
    pub(super) is_approved: bool,
    /// Results of nodes that an earlier run of the plan has finished.
    #[serde(default)]
    pub(super) done: Vec<NodeResult>,
    /// Nodes to go without.
    #[serde(default)]
    pub(super) skip: Vec<String>,
    /// The versions of agents that the plan was checked with.
    #[serde(default)]
    pub(super) versions: BTreeMap<String, String>,
}

/// Runs plans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conductor;

impl Machine for Conductor {
    type State = PlanState;
    type Event = RunEvent;
    type Command = Command;

    fn step(&self, mut state: PlanState, event: &RunEvent) -> (PlanState, Vec<Command>) {
        let mut commands = Vec::new();
        match event {
            RunEvent::Started { input, .. } => match serde_json::from_value::<PlanInput>(input.clone()) {
                Ok(input) => begin(&mut state, input, &mut commands),
                Err(_) => commands.push(fail(failure(
                    ErrorKind::InvalidInput,
                    "plan_broken",
                    "the input of the run is no plan",
                ))),
            },
            RunEvent::ToolDone { output, .. } => {
                match serde_json::from_value::<Vec<NodeResult>>(output.clone()) {
                    Ok(results) => {
                        took(&mut state, &results, &mut commands);
                        next(&mut state, &mut commands);
                    }
                    Err(_) => commands.push(fail(event.failure())),
                }
            }
            RunEvent::ToolFailed { failure, .. } => {
                state.broke(failure);
                next(&mut state, &mut commands);
            }
            RunEvent::Woken { payload, .. } => {
                woken(&mut state, payload, &mut commands);
                next(&mut state, &mut commands);
            }
            other => commands.push(fail(other.failure())),
        }
        (state, commands)
    }
}

impl Program for Conductor {
    const AGENT: &'static str = AGENT;
    const VERSION: u32 = 1;
    const INTENT: &'static str = "run";

    fn limits(&self) -> Limits {
        // A node takes one call for each try, look and undoing.
        Limits { wall_ms: 24 * 3_600_000, ..Limits::default() }.tool_calls(5_000)
    }

    fn delegates(&self, tool: &str) -> bool {
        tool == RunWave::NAME
    }

    fn partial(&self, state: &PlanState) -> Value {
        outcome(state)
    }
}

fn begin(state: &mut PlanState, input: PlanInput, commands: &mut Vec<Command>) {
    *state = PlanState::new(input.plan);
    state.versions = input.versions;
    for result in &input.done {
        state.take(result);
    }
    for id in &input.skip {
        state.told(&PlanCommand::Skip { node: id.clone() });
    }
    if input.is_approved {
        let hash = state.plan.hash().unwrap_or_default();
        commands.push(Command::Emit { event: "plan.approved".to_owned(), data: json!({ "hash": hash }) });
    }
    next(state, commands);
}

fn took(state: &mut PlanState, results: &[NodeResult], commands: &mut Vec<Command>) {
    for result in results {
        if let Some(i) = result.id.strip_prefix(UNDO).and_then(|id| state.index(id)) {
            state.undoing = None;
            if let Some(record) = state.nodes.get_mut(i) {
                match (result.status, &result.failure) {
                    (RunStatus::Completed, _) => record.state = NodeState::Undone,
                    (_, Some(failure)) => record.failure = Some(failure.clone()),
                    (_, None) => record.failure = Some(undo_waits()),
                }
            }
            continue;
        }
        let meaning = state.take(result);
        announce(meaning, &result.id, result.run.as_deref(), result.failure.as_ref(), commands);
    }
}

fn undo_waits() -> Failure {
    let why = "its undoing waits for somebody, and goes on by itself";
    failure(ErrorKind::Conflict, "undo_waits", why)
}

/// Emits what a result means.
fn announce(
    meaning: Meaning,
    id: &str,
    run: Option<&str>,
    failure: Option<&Failure>,
    commands: &mut Vec<Command>,
) {
    let event = match meaning {
        Meaning::Completed => "plan.node.completed",
        Meaning::Failed => "plan.node.failed",
        Meaning::Skipped => "plan.node.skipped",
        Meaning::Open => return,
    };
    let code = failure.map(|failure| failure.code.as_str());
    commands.push(Command::Emit {
        event: event.to_owned(),
        data: json!({ "node": id, "child": run, "code": code }),
    });
}

fn woken(state: &mut PlanState, payload: &Value, commands: &mut Vec<Command>) {
    for command in tell::commands(payload) {
        if state.told(&command)
            && let PlanCommand::Skip { node } = &command
        {
            announce(Meaning::Skipped, node, None, None, commands);
        }
    }
}

/// What the plan asks for next.
fn next(state: &mut PlanState, commands: &mut Vec<Command>) {
    loop {
        if state.failure.is_some() {
            return wind_up(state, commands);
        }
        let (ready, unmet) = state.ready();
        if let Some(i) = unmet.first() {
            let meaning = state.unmet(*i);
            let id = state.plan.nodes.get(*i).map(|node| node.id.clone()).unwrap_or_default();
            let why = state.nodes.get(*i).and_then(|record| record.failure.clone());
            announce(meaning, &id, None, why.as_ref(), commands);
            continue;
        }
        let mut wave = state.looked_at(WIDTH);
        wave.extend(ready);
        wave.truncate(WIDTH);
        let waits = [NodeState::Waiting, NodeState::Asked].iter().any(|s| !state.of_state(*s).is_empty());
        if !wave.is_empty() {
            let nodes = start(state, &wave, commands);
            return call(state, &nodes, commands);
        }
        if !state.cancel.is_empty() {
            return call(state, &[], commands);
        }
        if waits {
            state.turn += 1;
            let name = format!("{CONTROL}{}", state.turn);
            commands.push(Command::Wait { wait: name.clone(), on: WaitOn::Signal { name } });
            return;
        }
        return commands.push(Command::done(outcome(state)));
    }
}

/// Cancels what waits, takes back what ended well, last first, and fails.
fn wind_up(state: &mut PlanState, commands: &mut Vec<Command>) {
    for i in state.of_state(NodeState::Waiting) {
        if let Some(record) = state.nodes.get_mut(i) {
            record.state = NodeState::Skipped;
            state.cancel.extend(record.run.clone());
        }
    }
    if let Some(i) = state.next_undo()
        && let Some(node) = state.plan.nodes.get(i)
        && let Some(undo) = node.undo.clone()
    {
        let id = format!("{UNDO}{}", node.id);
        let input = state.input(&undo.input);
        let version = state.versions.get(&undo.agent).cloned();
        let wave = WaveNode { id, agent: undo.agent, version, intent: undo.intent, input, tries: 1 };
        state.undoing = Some(i);
        return call(state, &[wave], commands);
    }
    if !state.cancel.is_empty() {
        return call(state, &[], commands);
    }
    let failure = state.failure.clone();
    commands.extend(failure.map(fail));
}

fn start(state: &mut PlanState, wave: &[usize], commands: &mut Vec<Command>) -> Vec<WaveNode> {
    let mut nodes = Vec::with_capacity(wave.len());
    for i in wave {
        let Some((node, record)) = state.plan.nodes.get(*i).cloned().zip(state.nodes.get(*i).cloned()) else {
            continue;
        };
        let is_new = record.state == NodeState::Pending;
        let (agent, intent) = match (&node.failure, record.is_fallback) {
            (NodeFailure::Fallback { agent, intent }, true) => (agent.clone(), intent.clone()),
            _ => (node.agent.clone(), node.intent.clone()),
        };
        let tries = record.tries + u32::from(is_new);
        let input = state.input(&node.input);
        if is_new && tries == 1 {
            let data = json!({ "node": node.id, "agent": agent, "intent": intent });
            commands.push(Command::Emit { event: "plan.node.started".to_owned(), data });
        }
        if let Some(record) = state.nodes.get_mut(*i) {
            (record.state, record.tries) = (NodeState::Running, tries);
        }
        let version = state.versions.get(&agent).cloned();
        nodes.push(WaveNode { id: node.id, agent, version, intent, input, tries });
    }
    nodes
}

fn call(state: &mut PlanState, nodes: &[WaveNode], commands: &mut Vec<Command>) {
    state.turn += 1;
    let args = json!({ "nodes": nodes, "cancel": state.cancel });
    state.cancel.clear();
    commands.push(Command::tool(format!("turn/{}", state.turn), RunWave::NAME, args));
}

/// What came of each node, in the order of the plan: outputs are copied, never told again.
fn outcome(state: &PlanState) -> Value {
    json!({ "goal": state.plan.goal, "nodes": views(state) })
}

fn fail(failure: Failure) -> Command {
    Command::Fail { failure }
}
