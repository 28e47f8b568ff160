//! Errands of a team: asked for by child runs, tried again where that is safe, waited for.

use neonhub_core::op::Operation as _;
use neonhub_core::run::{Command, Failure, Program, RunStatus, WaitOn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::program::{CONTROL, WIDTH};
use super::super::state::{NodeResult, NodeState};
use super::super::wave::RunWave;
use super::member::Member;

/// Tries of an errand whose failure may pass, and of a turn that did not come to its end.
// Rule of agents, section 7: three.
const TRIES: u32 = 3;

/// A program that asks others by child runs.
pub(crate) trait Teamwork: Program {
    /// Errands whose runs wait, and those runs.
    fn waiting(&self, state: &Self::State) -> Vec<(String, String)>;
}

/// One errand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) agent: String,
    pub(super) intent: String,
    pub(super) version: String,
    pub(super) input: Value,
    pub(super) why: String,
    pub(super) state: NodeState,
    pub(super) tries: u32,
    pub(super) run: Option<String>,
    pub(super) output: Value,
    pub(super) failure: Option<Failure>,
    /// True once its run has waited: it is looked at again, not begun.
    pub(super) is_begun: bool,
}

impl Task {
    pub(super) fn new(id: String, member: &Member, input: Value, why: &str) -> Self {
        Task {
            id,
            agent: member.agent.clone(),
            intent: member.intent.clone(),
            version: member.version.clone(),
            input,
            why: why.to_owned(),
            ..Task::default()
        }
    }

    pub(super) fn address(&self) -> String {
        format!("{}.{}", self.agent, self.intent)
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == NodeState::Done
    }

    fn take(&mut self, result: &NodeResult) {
        if result.run.is_some() {
            self.run.clone_from(&result.run);
        }
        match result.status {
            RunStatus::Completed => {
                (self.state, self.output, self.failure) = (NodeState::Done, result.output.clone(), None);
            }
            RunStatus::Failed | RunStatus::Cancelled => {
                let may_pass = result.failure.as_ref().is_some_and(|failure| failure.retryable);
                let again = may_pass && !result.acted && self.tries < TRIES;
                self.failure = Some(result.failure.clone().unwrap_or_else(cancelled));
                self.state = if again { NodeState::Pending } else { NodeState::Failed };
                self.is_begun = false;
            }
            _ => (self.state, self.is_begun) = (NodeState::Waiting, true),
        }
    }

    /// What is told of it at the end: outputs are copied, never told again.
    pub(super) fn view(&self) -> Value {
        json!({
            "id": self.id, "address": self.address(), "run": self.run, "state": self.state, "tries": self.tries,
            "why": self.why, "output": self.output, "failure": self.failure,
        })
    }
}

fn cancelled() -> Failure {
    let kind = neonhub_core::ErrorKind::Cancelled;
    super::super::state::failure(kind, "cancelled", "the run of the errand was cancelled")
}

/// The errands of a team so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Crew {
    pub(super) tasks: Vec<Task>,
    turn: u32,
    broken: u32,
}

impl Crew {
    /// What the errands ask for next; none once each has ended.
    pub(super) fn go(&mut self) -> Option<Command> {
        let mut nodes = Vec::new();
        for task in self.tasks.iter_mut().filter(|task| task.state == NodeState::Pending).take(WIDTH) {
            task.tries += u32::from(!task.is_begun);
            task.state = NodeState::Running;
            nodes.push(json!({ "id": task.id, "agent": task.agent, "version": task.version,
                "intent": task.intent, "input": task.input, "tries": task.tries }));
        }
        if !nodes.is_empty() {
            self.turn += 1;
            let args = json!({ "nodes": nodes });
            return Some(Command::tool(format!("turn/{}", self.turn), RunWave::NAME, args));
        }
        if self.waiting().is_empty() {
            return None;
        }
        self.turn += 1;
        let name = format!("{CONTROL}{}", self.turn);
        Some(Command::Wait { wait: name.clone(), on: WaitOn::Signal { name } })
    }

    /// Takes the results of a turn; gives the events that tell of them. False when they are none.
    pub(super) fn took(&mut self, output: &Value) -> Option<Vec<Command>> {
        let results = serde_json::from_value::<Vec<NodeResult>>(output.clone()).ok()?;
        self.broken = 0;
        let mut told = Vec::new();
        for result in &results {
            let Some(task) = self.tasks.iter_mut().find(|task| task.id == result.id) else { continue };
            task.take(result);
            let word = match task.state {
                NodeState::Done => "plan.node.completed",
                NodeState::Failed => "plan.node.failed",
                _ => continue,
            };
            let code = task.failure.as_ref().map(|failure| failure.code.as_str());
            let data = json!({ "node": task.id, "child": task.run, "code": code });
            told.push(Command::Emit { event: word.to_owned(), data });
        }
        Some(told)
    }

    /// A turn that did not come to its end. Its runs are found again by their keys; after three tries that is the
    /// failure of the whole.
    pub(super) fn broke(&mut self, failure: &Failure) -> Option<Failure> {
        self.broken += 1;
        if !failure.retryable || self.broken >= TRIES {
            return Some(failure.clone());
        }
        for task in self.tasks.iter_mut().filter(|task| task.state == NodeState::Running) {
            (task.state, task.is_begun) = (NodeState::Pending, true);
        }
        None
    }

    /// Runs have moved: those that wait are looked at again.
    pub(super) fn woken(&mut self) {
        for task in self.tasks.iter_mut().filter(|task| task.state == NodeState::Waiting) {
            (task.state, task.is_begun) = (NodeState::Pending, true);
        }
    }

    pub(super) fn waiting(&self) -> Vec<(String, String)> {
        let waiting = self.tasks.iter().filter(|task| task.state == NodeState::Waiting);
        waiting.filter_map(|task| Some((task.id.clone(), task.run.clone()?))).collect()
    }

    /// Tells that an errand begins.
    pub(super) fn started(task: &Task) -> Command {
        let data = json!({ "node": task.id, "agent": task.agent, "intent": task.intent });
        Command::Emit { event: "plan.node.started".to_owned(), data }
    }

    /// The failure of the first errand that failed.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.tasks.iter().find_map(|task| task.failure.clone())
    }
}

/// A failure of a team.
pub(super) fn fault(kind: neonhub_core::ErrorKind, code: &str, message: &str) -> Command {
    Command::Fail { failure: super::super::state::failure(kind, code, message) }
}
