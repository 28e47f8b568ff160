//! The program of every agent that is data: one operation, or a model with the agent's tools.

use std::collections::{BTreeMap, VecDeque};

use neonhub_core::PermissionSet;
use neonhub_core::llm::{
    Answer, LlmRequest, Message, OfflineTask, Part, PartBody, Role, StopKind, Taint, ToolCall, mending,
};
use neonhub_core::op::Operation as _;
use neonhub_core::run::{Command, EffectClass, Failure, Limits, Machine, Program, RunEvent};
use neonhub_core::tool::ReadToolResult;
use neonhub_core::{ErrorKind, hub::closest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::again::{Again, PAUSE, Redo, first_name};
use super::desk::Desk;
use super::model::AgentSpec;
use super::prepare::PrepareRun;
use super::{judge, turn};

/// Names of the calls that are not a model's.
pub(crate) const PREPARE: &str = "prepare";
const ACT: &str = "act";
/// Begins the names of a model's calls.
const TURN: &str = "turn/";
/// Bad calls in a row after which the run fails.
// Rule of agents, section 3: three.
const BAD_CALLS: u32 = 3;

/// Drives one intent of one version of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    agent: String,
    version: String,
    intent: String,
    limits: Limits,
    rights: PermissionSet,
    /// Whether what failed before anything was changed is tried again.
    retries: bool,
}

impl Worker {
    pub(crate) fn new(spec: &AgentSpec, intent: &str, limits: Limits) -> Self {
        Worker {
            agent: spec.name.clone(),
            version: spec.version.clone(),
            intent: intent.to_owned(),
            limits,
            rights: PermissionSet::of(&spec.permissions),
            retries: false,
        }
    }

    /// Tries again what failed before the run changed anything.
    pub(crate) fn retrying(mut self, retries: bool) -> Self {
        self.retries = retries;
        self
    }

    fn prepare(&self, again: &Again, input: &Value) -> Command {
        let args = json!({ "agent": self.agent, "version": self.version, "intent": self.intent,
            "input": input });
        Command::tool(again.name(PREPARE), PrepareRun::NAME, args)
    }

    /// The end of the run, or the pause before what failed is tried again.
    fn failed(&self, state: &mut WorkerState, redo: Redo, failure: Failure) -> Command {
        let pause = if self.retries { state.again.pause(redo, &failure, state.seed) } else { None };
        pause.unwrap_or_else(|| fail(failure))
    }

    /// What was to be tried again after a pause.
    fn redo(&self, state: &mut WorkerState) -> Command {
        match (state.again.redo.take(), state.desk.act.clone()) {
            (Some(Redo::Prepare), _) => self.prepare(&state.again, &state.input),
            (Some(Redo::Act), Some((operation, args))) => {
                Command::tool(state.again.name(ACT), operation, args)
            }
            (Some(Redo::Ask), _) => state.ask(&self.intent),
            _ => fault(ErrorKind::Internal, "unexpected_event", "nothing was to be tried again"),
        }
    }
}

/// What the program remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkerState {
    desk: Desk,
    input: Value,
    seed: u64,
    messages: Vec<Message>,
    /// Answers of the model so far.
    turns: u32,
    /// Calls of the last answer that are still to be made.
    pending: VecDeque<ToolCall>,
    /// The call that is being made.
    current: Option<ToolCall>,
    results: Vec<Part>,
    /// Bad calls since the last good one.
    bad: u32,
    calls: Vec<String>,
    /// Answers of tools that only read, by call.
    read: BTreeMap<String, Value>,
    is_warned: bool,
    /// True once an answer was kept aside.
    #[serde(default)]
    has_aside: bool,
    is_repaired: bool,
    #[serde(default)]
    again: Again,
}

impl Machine for Worker {
    type State = WorkerState;
    type Event = RunEvent;
    type Command = Command;

    fn step(&self, mut state: WorkerState, event: &RunEvent) -> (WorkerState, Vec<Command>) {
        let command = match event {
            RunEvent::Started { input, seed, .. } => {
                (state.input, state.seed) = (input.clone(), *seed);
                self.prepare(&state.again, input)
            }
            RunEvent::ToolDone { call, .. } | RunEvent::ToolFailed { call, .. }
                if call.starts_with(PAUSE) =>
            {
                self.redo(&mut state)
            }
            RunEvent::ToolDone { call, output } if first_name(call) == PREPARE => {
                state.begin(output, &self.intent)
            }
            RunEvent::ToolDone { call, output } if first_name(call) == ACT => Command::done(output.clone()),
            RunEvent::ToolFailed { call, failure } if first_name(call) == PREPARE => {
                self.failed(&mut state, Redo::Prepare, failure.clone())
            }
            RunEvent::ToolFailed { call, failure } if first_name(call) == ACT => {
                state.again.has_acted = !state.desk.may_act_again;
                self.failed(&mut state, Redo::Act, failure.clone())
            }
            RunEvent::ToolDone { output, .. } => state.took(Ok(output), &self.intent),
            RunEvent::ToolFailed { failure, .. } => state.took(Err(failure), &self.intent),
            RunEvent::ModelDone { answer, .. } => state.answered(answer, &self.intent),
            RunEvent::ModelFailed { failure, said, .. } if failure.code == "invalid_output" => {
                state.repair("invalid_output", &failure.message, said.as_deref(), &self.intent)
            }
            RunEvent::ModelFailed { failure, .. } => self.failed(&mut state, Redo::Ask, failure.clone()),
            other => fail(other.failure()),
        };
        (state, vec![command])
    }
}

impl Program for Worker {
    const AGENT: &'static str = "agent";
    const VERSION: u32 = 1;

    fn agent(&self) -> &str {
        &self.agent
    }
    fn intent(&self) -> &str {
        &self.intent
    }
    fn limits(&self) -> Limits {
        self.limits
    }
    fn permissions(&self) -> PermissionSet {
        self.rights.clone()
    }
    fn keeps_aside(&self, call: &str) -> bool {
        call.starts_with(TURN)
    }
    fn partial(&self, state: &WorkerState) -> Value {
        let said = state.messages.iter().rev().find(|m| m.role == Role::Assistant).map(Message::text);
        json!({ "turns": state.turns, "text": said.unwrap_or_default() })
    }
}

impl WorkerState {
    fn begin(&mut self, output: &Value, intent: &str) -> Command {
        match serde_json::from_value::<Desk>(output.clone()) {
            Ok(desk) => self.desk = desk,
            Err(_) => return fault(ErrorKind::Internal, "desk_broken", "the run could not be prepared"),
        }
        if let Some((operation, args)) = self.desk.act.clone() {
            return Command::tool(self.again.name(ACT), operation, args);
        }
        let task = Part::text(self.input.to_string()).tainted(Taint::User);
        self.messages.push(Message::new(Role::User, vec![task]));
        self.ask(intent)
    }

    fn ask(&mut self, intent: &str) -> Command {
        let mut request = LlmRequest::new().system(self.desk.system.as_str()).seed(self.seed).purpose(intent);
        request.messages.clone_from(&self.messages);
        request.route.clone_from(&self.desk.route);
        request.temperature = self.desk.temperature;
        request.tools = self.desk.offered(self.has_aside).map(|tool| tool.spec.clone()).collect();
        request.output_schema.clone_from(&self.desk.wanted);
        request.offline = match (&self.desk.offline, &self.desk.wanted) {
            (Some(plan), _) => Some(OfflineTask::Plan(plan.clone())),
            (None, Some(_)) => Some(OfflineTask::Fill { facts: self.input.clone() }),
            (None, None) => self.desk.template.clone().map(OfflineTask::Template),
        };
        self.turns += 1;
        Command::model(format!("{TURN}{}", self.turns), request)
    }

    fn answered(&mut self, answer: &Answer, intent: &str) -> Command {
        if let StopKind::Refused { .. } = answer.stop {
            return fault(ErrorKind::Blocked, "refused", "the model refused to answer");
        }
        self.messages.push(answer.message());
        if !answer.tool_calls.is_empty() {
            self.pending = answer.tool_calls.iter().cloned().collect();
            self.results.clear();
            return self.next_call(intent);
        }
        match answer.stop {
            StopKind::Paused => return self.ask(intent),
            StopKind::Length => {
                let why = "the answer is longer than the model may write: ask for less";
                return fault(ErrorKind::Corrupted, "truncated", why);
            }
            _ => {}
        }
        let output = match &self.desk.wanted {
            Some(_) => answer.json.clone().unwrap_or_default(),
            None => json!({ "text": answer.text }),
        };
        let any = Value::Bool(true);
        let wanted = self.desk.wanted.as_ref().unwrap_or(&any);
        let known = self.known();
        let found = judge::answer(&output, wanted, self.desk.guardrails.as_ref(), &self.desk.checks, &known);
        match found {
            None => Command::done(output),
            Some(found) => self.repair(found.code, &found.message, None, intent),
        }
    }

    /// What the figures of an answer may come from.
    fn known(&self) -> Vec<&Value> {
        let parts = self.messages.iter().flat_map(|message| &message.parts);
        let outputs = parts.filter_map(|part| match &part.body {
            PartBody::ToolResult { output, is_error: false, .. } => Some(output),
            _ => None,
        });
        std::iter::once(&self.input).chain(outputs).collect()
    }

    /// Gives an answer back once, with what is wrong with it; `said` is one that is not among the messages.
    fn repair(&mut self, code: &str, message: &str, said: Option<&str>, intent: &str) -> Command {
        if self.is_repaired {
            let kind = if code == "guardrail" { ErrorKind::Blocked } else { ErrorKind::Corrupted };
            return fault(kind, code, message);
        }
        self.is_repaired = true;
        self.messages.extend(mending(said, code, message));
        self.ask(intent)
    }

    fn next_call(&mut self, intent: &str) -> Command {
        while let Some(mut call) = self.pending.pop_front() {
            if self.desk.tool(&call.name).is_none() {
                let names = self.desk.tools.iter().map(|tool| tool.spec.name.as_str());
                let near = closest(&call.name, names).join(", ");
                let why = format!("there is no tool {:?}, close are {near}", call.name);
                if let Some(end) = self.refused(&call, &why) {
                    return end;
                }
                continue;
            }
            if !call.args.is_object() {
                if let Some(end) = self.refused(&call, "the arguments are no JSON object") {
                    return end;
                }
                continue;
            }
            match self.desk.fence.hold(&call.name, std::mem::take(&mut call.args)) {
                Ok(args) => call.args = args,
                Err(why) => match self.refused(&call, &why) {
                    Some(end) => return end,
                    None => continue,
                },
            }
            let name = turn::name_of(&call.name, &call.args);
            self.calls.push(name.clone());
            if turn::goes_round(&self.calls) {
                if self.is_warned {
                    let why = "the agent makes the same calls again and again";
                    return fault(ErrorKind::Blocked, "loop_detected", why);
                }
                self.is_warned = true;
                let why = "this call was made before, with the same answer: go on with what you know";
                self.results.push(error_part(&call, "loop_warning", why));
                continue;
            }
            if let Some(output) = self.read.get(&name) {
                let (shown, taint) = (self.shown(output), self.taint_of(&call));
                self.results.push(result_part(&call, shown, taint));
                continue;
            }
            let at = format!("{TURN}{}/{}", self.turns, self.results.len());
            let command = Command::tool(at, call.name.clone(), call.args.clone());
            self.current = Some(call);
            return command;
        }
        let results = std::mem::take(&mut self.results);
        self.messages.push(Message::new(Role::Tool, results));
        self.ask(intent)
    }

    /// A call that was not made; the end of the run when there were too many in a row.
    fn refused(&mut self, call: &ToolCall, why: &str) -> Option<Command> {
        self.bad += 1;
        self.results.push(error_part(call, "invalid_call", why));
        let message = "the model cannot use its tools: its calls were wrong three times in a row";
        (self.bad >= BAD_CALLS).then(|| fault(ErrorKind::Corrupted, "invalid_tool_use", message))
    }

    /// A result as the model reads it. What was too long was kept aside before.
    fn shown(&self, output: &Value) -> Value {
        if self.desk.reader.is_some() { output.clone() } else { turn::shown(output) }
    }

    /// The label of a call's answer; a piece of an answer is labelled as the whole.
    fn taint_of(&self, call: &ToolCall) -> Taint {
        let own = self.desk.tool(&call.name).map_or(Taint::ThirdPartyTool, |tool| tool.taint);
        if call.name != ReadToolResult::NAME {
            return own;
        }
        let Some(handle) = call.args.get("handle").and_then(Value::as_str) else { return own };
        let mut parts = self.messages.iter().flat_map(|message| &message.parts).chain(&self.results);
        // A handle is made with its answer, so who names it first is that answer.
        let whole = parts.find(|part| match &part.body {
            PartBody::ToolResult { output, .. } => turn::handle(output) == Some(handle),
            _ => false,
        });
        whole.map_or(own, |part| part.taint)
    }

    fn took(&mut self, outcome: Result<&Value, &Failure>, intent: &str) -> Command {
        let Some(call) = self.current.take() else {
            return fault(ErrorKind::Internal, "unexpected_event", "no call was under way");
        };
        let class = self.desk.tool(&call.name).map(|tool| tool.class);
        let only_reads = matches!(class, Some(EffectClass::Pure | EffectClass::Read));
        if !only_reads {
            self.again.has_acted = true;
        }
        match outcome {
            Ok(output) => {
                self.bad = 0;
                self.has_aside |= turn::handle(output).is_some();
                if only_reads {
                    self.read.insert(turn::name_of(&call.name, &call.args), output.clone());
                }
                let (shown, taint) = (self.shown(output), self.taint_of(&call));
                self.results.push(result_part(&call, shown, taint));
            }
            Err(failure) if failure.kind == ErrorKind::InvalidInput.code() => {
                if let Some(end) = self.refused(&call, &failure.message) {
                    return end;
                }
            }
            Err(failure) => {
                self.bad = 0;
                self.results.push(error_part(&call, &failure.code, &failure.message));
            }
        }
        self.next_call(intent)
    }
}

fn result_part(call: &ToolCall, output: Value, taint: Taint) -> Part {
    Part::tool_result(call.id.as_str(), call.name.as_str(), output).tainted(taint)
}

fn error_part(call: &ToolCall, code: &str, message: &str) -> Part {
    PartBody::ToolResult {
        id: call.id.clone(),
        name: call.name.clone(),
        output: json!({ "error": code, "message": message }),
        is_error: true,
    }
    .into()
}

fn fail(failure: Failure) -> Command {
    Command::Fail { failure }
}

fn fault(kind: ErrorKind, code: &str, message: &str) -> Command {
    fail(Failure {
        kind: kind.code().to_owned(),
        code: code.to_owned(),
        operation: "agents.execute".to_owned(),
        message: message.to_owned(),
        retryable: false,
    })
}
