//! The step machine: what a program of a run sees and asks for.

use std::fmt::Debug;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::llm::{Answer, LlmRequest};
use crate::permission::PermissionSet;
use crate::{Error, ErrorKind, Timestamp};

/// A machine without clock, chance or I/O: the same state and event give the same state and commands, always and
/// everywhere. Times, draws and answers come in as events.
pub trait Machine: Debug + Send + Sync {
    /// What it remembers. Its default is the state before the first event.
    type State: Default + Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    /// What happens to it.
    type Event;
    /// What it asks for.
    type Command;

    /// One step.
    fn step(&self, state: Self::State, event: &Self::Event) -> (Self::State, Vec<Self::Command>);
}

/// A machine that runs as an agent: the plan of a campaign, a conversation with a model.
///
/// A released version never changes what it does with an old log; a change of `step` that would is a new
/// [`VERSION`](Program::VERSION), and runs of the old one are taken over only if [`takes_over`](Program::takes_over)
/// says so.
pub trait Program: Machine<Event = RunEvent, Command = Command> + 'static {
    /// Name of the agent: `campaign`.
    const AGENT: &'static str;
    /// Version of the program, from 1; pinned in each run.
    const VERSION: u32;
    /// What it is for, as a label of metrics; a word of a closed set. Default: `default`.
    const INTENT: &'static str = "default";

    /// The name its runs are kept under. Default: [`AGENT`](Program::AGENT); a program that is made from data has one
    /// of its own.
    fn agent(&self) -> &str {
        Self::AGENT
    }

    /// What its runs are for. Default: [`INTENT`](Program::INTENT).
    fn intent(&self) -> &str {
        Self::INTENT
    }

    /// Bounds of one run. Default: [`Limits::default`].
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// The rights the program may use of those its principal has. Default: all an agent may have.
    fn permissions(&self) -> PermissionSet {
        PermissionSet::all()
    }

    /// True when this version goes on with runs that an older version began.
    fn takes_over(&self, _version: u32) -> bool {
        false
    }

    /// True for a call whose answer a model is to read. One that is longer than its tool may give out at once is kept aside in
    /// the commit of its outcome, and the program gets its beginning, its end, its size and a handle for
    /// [`ReadToolResult`](crate::tool::ReadToolResult) in its place.
    fn keeps_aside(&self, _call: &str) -> bool {
        false
    }

    /// True for a tool that only has runs below this one do something. A fork that calls nothing that changes something calls
    /// it all the same: those runs hold back themselves. Default: none.
    fn delegates(&self, _tool: &str) -> bool {
        false
    }

    /// What is there to show when a limit ends the run early.
    fn partial(&self, _state: &Self::State) -> Value {
        Value::Null
    }
}

/// What happens to a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEvent {
    /// The run begins; always the first event.
    Started {
        /// The input of the run.
        input: Value,
        /// When.
        at: Timestamp,
        /// Chance of the run, below 2^53.
        seed: u64,
    },
    /// A model answered.
    ModelDone {
        /// The name the program gave the call.
        call: String,
        /// The answer.
        answer: Box<Answer>,
    },
    /// A model call failed.
    ModelFailed {
        /// The call.
        call: String,
        /// Why.
        failure: Failure,
        /// What the model said, where the failure is that it cannot be used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
    },
    /// A tool answered.
    ToolDone {
        /// The call.
        call: String,
        /// What it returned.
        output: Value,
    },
    /// A tool failed.
    ToolFailed {
        /// The call.
        call: String,
        /// Why.
        failure: Failure,
    },
    /// What the run waited for is there.
    Woken {
        /// The name the program gave the wait.
        wait: String,
        /// What came with it: the decision of an approval, the data of a signal, null for a timer.
        payload: Value,
        /// When.
        at: Timestamp,
    },
}

impl RunEvent {
    /// The failure it reports, or that the program did not expect it: for the last arm of a `match`.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            RunEvent::ModelFailed { failure, .. } | RunEvent::ToolFailed { failure, .. } => failure.clone(),
            _ => Failure {
                kind: ErrorKind::Internal.code().to_owned(),
                code: "unexpected_event".to_owned(),
                operation: "runs.step".to_owned(),
                message: "the program did not expect this event".to_owned(),
                retryable: false,
            },
        }
    }
}

/// What a program asks for. Commands are done in order, one call at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Ask a model.
    CallModel {
        /// A name for the call, unique in the run: `plan`, `asset/email/1`.
        call: String,
        /// The request.
        request: Box<LlmRequest>,
    },
    /// Call an operation of the catalogue.
    CallTool {
        /// A name for the call, unique in the run; part of the id of its effect.
        call: String,
        /// Name of the operation.
        tool: String,
        /// Its input.
        args: Value,
    },
    /// Stop until something happens.
    Wait {
        /// A name for the wait, unique in the run; does not begin with `?`.
        wait: String,
        /// What.
        on: WaitOn,
    },
    /// Publish an event with the next commit.
    Emit {
        /// Dotted word.
        event: String,
        /// Facts: ids, counts, words.
        data: Value,
    },
    /// The run is done.
    Done {
        /// Its output.
        output: Value,
    },
    /// The run has failed.
    Fail {
        /// Why.
        failure: Failure,
    },
}

impl Command {
    /// Calls an operation.
    #[must_use]
    pub fn tool(call: impl Into<String>, tool: impl Into<String>, args: Value) -> Self {
        Command::CallTool { call: call.into(), tool: tool.into(), args }
    }

    /// Asks a model.
    #[must_use]
    pub fn model(call: impl Into<String>, request: LlmRequest) -> Self {
        Command::CallModel { call: call.into(), request: Box::new(request) }
    }

    /// Ends the run.
    #[must_use]
    pub fn done(output: Value) -> Self {
        Command::Done { output }
    }
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "on", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitOn {
    /// An instant.
    Timer {
        /// When to go on.
        at: Timestamp,
    },
    /// A person's decision.
    Approval {
        /// What is to be decided.
        summary: String,
        /// The question that holds a call up, when it was one of [`crate::approval`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<String>,
    },
    /// A signal of the host.
    Signal {
        /// Its name.
        name: String,
    },
    /// A process that has a tool.
    Tool {
        /// The name of the tool.
        name: String,
    },
}

impl WaitOn {
    /// One word for lists: `timer`, `approval`, `signal go`, `tool shop.stock`.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            WaitOn::Timer { .. } => "timer".to_owned(),
            WaitOn::Approval { .. } => "approval".to_owned(),
            WaitOn::Signal { name } => format!("signal {name}"),
            WaitOn::Tool { name } => format!("tool {name}"),
        }
    }
}

/// An error as a log keeps it: words, no cause, no personal values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The word of the kind.
    pub kind: String,
    /// The finer word.
    pub code: String,
    /// The operation that failed.
    pub operation: String,
    /// What was expected and what to do.
    pub message: String,
    /// True when the same call may succeed later.
    pub retryable: bool,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Failure {
            kind: error.kind().code().to_owned(),
            code: error.code().to_owned(),
            operation: error.operation().to_owned(),
            message: error.message().to_owned(),
            retryable: error.is_retryable(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::from(&error)
    }
}

impl Failure {
    /// The error again, for a caller that waits for the run.
    #[must_use]
    pub fn to_error(&self) -> Error {
        let kind = ErrorKind::from_code(&self.kind).unwrap_or(ErrorKind::Internal);
        Error::new(kind, self.operation.clone(), self.message.clone()).with_code(self.code.clone())
    }
}

/// Bounds of one run. Reaching one ends it with `BudgetExceeded`, code `limit_reached`, and what it has so far.
// 50, 100, 1 h and 200 000: ours, 2026.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// Most calls of models. Default 50.
    pub model_calls: u32,
    /// Most calls of tools. Default 100.
    pub tool_calls: u32,
    /// Most time, without waits, in milliseconds. Default one hour.
    pub wall_ms: u64,
    /// Most tokens of one model request. Default 200 000.
    pub live_tokens: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { model_calls: 50, tool_calls: 100, wall_ms: 3_600_000, live_tokens: 200_000 }
    }
}

impl Limits {
    /// Allows this many tool calls.
    #[must_use]
    pub fn tool_calls(mut self, n: u32) -> Self {
        self.tool_calls = n;
        self
    }

    /// Allows this many model calls.
    #[must_use]
    pub fn model_calls(mut self, n: u32) -> Self {
        self.model_calls = n;
        self
    }

    /// Allows this much time without waits.
    #[must_use]
    pub fn wall(mut self, limit: Duration) -> Self {
        self.wall_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self
    }
}
