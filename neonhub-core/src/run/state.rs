//! The state of a run as the fold of its log.

mod apply;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entry::{EffectClass, Entry, RunStatus, What, effect_of};
use super::machine::{Command, Failure, Limits, Program, WaitOn};
use crate::connector::EffectId;
use crate::llm::{LlmRequest, TokenCount, Usage};
use crate::{ErrorKind, Result, Timestamp};

/// What a run has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Used {
    /// Entries of the log.
    pub steps: u32,
    /// Calls of models.
    pub model_calls: u32,
    /// Calls of tools.
    pub tool_calls: u32,
    /// Tokens put in.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// Time spent waiting, in milliseconds.
    pub waited_ms: u64,
}

impl Used {
    fn add(&mut self, usage: &Usage) {
        self.input_tokens += usage.input_uncached + usage.input_cache_read + usage.input_cache_write;
        self.output_tokens += usage.output_visible + usage.output_reasoning;
    }
}

/// A call that was planned and has no outcome yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Open {
    /// A model is being asked.
    Model {
        /// The request.
        request: Box<LlmRequest>,
        /// Tries so far.
        attempts: u32,
    },
    /// A tool is being called.
    Tool {
        /// The operation.
        tool: String,
        /// Its input.
        args: Value,
        /// Name of the effect.
        effect: EffectId,
        /// Class of the effect.
        class: EffectClass,
    },
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Do this call and record its outcome.
    Dispatch(String, Open),
    /// Wait for this.
    Wait(String, WaitOn),
    /// Nothing: the run is at its end.
    End,
}

/// When an entry is made, by whom, and which provider answers.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The instant.
    pub at: Timestamp,
    /// The principal.
    pub actor: String,
    /// The provider of the hub's model.
    pub provider: String,
}

/// The state of a run: the program's own and what the log says around it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState<S> {
    /// Id of the run; part of the ids of its effects.
    pub run: String,
    /// Where it stands; `Interrupted` is a matter of its lease and never appears here.
    pub status: RunStatus,
    /// The program's state.
    pub program: S,
    /// Version of the program that began it.
    pub version: u32,
    /// Number of the next entry.
    pub next_seq: u32,
    /// Calls without outcome, in order of their planning.
    pub open: Vec<(String, Open)>,
    /// Waits without answer.
    pub waits: Vec<(String, WaitOn)>,
    /// What is used.
    pub used: Used,
    /// True when an offline model made a part of it.
    pub is_offline: bool,
    /// The output, once finished.
    pub output: Value,
    /// Why it failed.
    pub failure: Option<Failure>,
    todo: VecDeque<Command>,
    limits: Limits,
    names: BTreeSet<String>,
    started_at: Timestamp,
    waiting_since: BTreeMap<String, Timestamp>,
    limit: Option<(String, u64, u64)>,
    told: BTreeMap<String, Value>,
}

/// Begins the name of a wait that asks whether a call landed; the name of the call follows.
pub(super) const LANDED: &str = "?landed/";
/// Begins the name of a wait for a person's yes to a call; the name of the call follows.
pub(super) const APPROVED: &str = "?approved/";
/// Begins the name of a wait for a person who allows more than a quota does; the name of the call follows.
pub(super) const MORE: &str = "?more/";
/// Begins the name of a wait for a process that has the tool of a call; the name of the call follows.
pub(super) const ELSEWHERE: &str = "?elsewhere/";

impl<S: Default> RunState<S> {
    /// The state before the first entry.
    #[must_use]
    pub fn new(run: impl Into<String>) -> Self {
        RunState {
            run: run.into(),
            status: RunStatus::Queued,
            program: S::default(),
            version: 0,
            next_seq: 0,
            open: Vec::new(),
            waits: Vec::new(),
            used: Used::default(),
            is_offline: false,
            output: Value::Null,
            failure: None,
            todo: VecDeque::new(),
            limits: Limits::default(),
            names: BTreeSet::new(),
            started_at: Timestamp::EPOCH,
            waiting_since: BTreeMap::new(),
            limit: None,
            told: BTreeMap::new(),
        }
    }
}

/// The state after these entries.
///
/// # Errors
/// `Corrupted`, code `log_broken`, for a gap, an outcome without its plan, or an entry after the end.
pub fn fold<'e, P: Program>(
    program: &P,
    run: &str,
    entries: impl IntoIterator<Item = &'e Entry>,
) -> Result<RunState<P::State>> {
    let mut state = RunState::new(run);
    for entry in entries {
        state.apply(program, entry)?;
    }
    Ok(state)
}

/// Records `what`, and after it everything that needs nothing from outside: the plans of the next calls, events,
/// waits, the end. The entries belong into one commit.
///
/// # Errors
/// As [`fold`].
pub fn advance<P: Program>(
    program: &P,
    mut state: RunState<P::State>,
    what: What,
    moment: &Moment,
    class: impl Fn(&str) -> EffectClass,
) -> Result<(RunState<P::State>, Vec<Entry>)> {
    let mut entries = Vec::new();
    let mut next = Some(what);
    while let Some(what) = next {
        let entry = Entry { seq: state.next_seq, at: moment.at, actor: moment.actor.clone(), what };
        state.apply(program, &entry)?;
        entries.push(entry);
        next = state.intent(program, moment, &class);
    }
    Ok((state, entries))
}

impl<S: Default + Clone> RunState<S> {
    /// What is to be done next, once everything intended is recorded.
    #[must_use]
    pub fn next(&self) -> Next {
        if self.status.is_final() {
            return Next::End;
        }
        // A wait beside an open call asks a person about that very call.
        match (self.waits.first(), self.open.first()) {
            (Some((wait, on)), _) => Next::Wait(wait.clone(), on.clone()),
            (None, Some((call, open))) => Next::Dispatch(call.clone(), open.clone()),
            (None, None) => Next::End,
        }
    }

    /// The operation and the class of a tool call without outcome.
    #[must_use]
    pub(super) fn tool(&self, call: &str) -> Option<(&str, EffectClass)> {
        self.open.iter().find(|(name, _)| name == call).and_then(|(_, open)| match open {
            Open::Tool { tool, class, .. } => Some((tool.as_str(), *class)),
            Open::Model { .. } => None,
        })
    }

    /// What a person said about the fate of a call.
    #[must_use]
    pub fn told(&self, call: &str) -> Option<&Value> {
        self.told.get(call)
    }

    /// The failure of a call that a person has refused.
    pub(super) fn refused(&self, call: &str) -> Option<Failure> {
        let told = self.told.get(call).filter(|told| told["approved"] == false)?;
        let state = told["state"].as_str().unwrap_or("denied");
        let note = told["note"].as_str().map(|note| format!(": {note}")).unwrap_or_default();
        let (kind, code, why) = match told.get("more") {
            Some(_) => {
                let why = "a quota holds this call up, and nobody allowed more";
                (ErrorKind::BudgetExceeded, "budget_paused".to_owned(), why)
            }
            None => (ErrorKind::Blocked, format!("approval_{state}"), "nobody said yes to this call"),
        };
        Some(Failure {
            kind: kind.code().to_owned(),
            code,
            operation: "runs.step".to_owned(),
            message: format!("{why} ({state}){note}"),
            retryable: false,
        })
    }

    /// The question by which a person allowed a call more than a quota does.
    pub(super) fn more(&self, call: &str) -> Option<String> {
        let told = self.told.get(call).filter(|told| told["approved"] == true)?;
        told.get("more")?.as_str().map(str::to_owned)
    }

    /// The entry that follows without anything from outside.
    fn intent<P: Program<State = S>>(
        &mut self,
        program: &P,
        moment: &Moment,
        class: &impl Fn(&str) -> EffectClass,
    ) -> Option<What> {
        if self.status.is_final() {
            return None;
        }
        if let Some((limit, used, allowed)) = &self.limit {
            return Some(over(limit, *used, *allowed, &program.partial(&self.program)));
        }
        if let Some((call, Open::Model { attempts: 0, .. })) = self.open.first() {
            let provider = moment.provider.clone();
            return Some(What::ModelCalled { call: call.clone(), provider, attempt: 1 });
        }
        if !self.open.is_empty() || !self.waits.is_empty() {
            return None;
        }
        let Some(command) = self.todo.front() else { return Some(stuck()) };
        if let Some((limit, used, allowed)) = self.exceeded(command, moment.at) {
            return Some(What::Budget { limit: limit.to_owned(), used, allowed });
        }
        Some(self.plan(command.clone(), class))
    }

    fn plan(&self, command: Command, class: &impl Fn(&str) -> EffectClass) -> What {
        let (Command::CallModel { call: name, .. }
        | Command::CallTool { call: name, .. }
        | Command::Wait { wait: name, .. }) = &command
        else {
            return match command {
                Command::Emit { event, data } => What::Emitted { event, data },
                Command::Done { output } => {
                    What::Finished { status: RunStatus::Completed, output, failure: None }
                }
                Command::Fail { failure } => failed(failure, Value::Null),
                _ => stuck(),
            };
        };
        if self.names.contains(name) || name.starts_with('?') {
            let message = format!("the program may not use the name {name:?} (again)");
            return failed(fault("name_taken", &message), Value::Null);
        }
        match command {
            Command::CallModel { call, request } => What::ModelPlanned { call, request },
            Command::CallTool { call, tool, args } => match effect_of(&self.run, &call, &tool, &args) {
                Ok(effect) => What::ToolPlanned { class: class(&tool), call, tool, args, effect },
                Err(error) => failed(error.into(), Value::Null),
            },
            Command::Wait { wait, on } => What::Wait { wait, on },
            _ => stuck(),
        }
    }

    /// The bound that a command would pass: its name, what would be used, what is allowed.
    fn exceeded(&self, command: &Command, at: Timestamp) -> Option<(&'static str, u64, u64)> {
        let since = at.as_millis().saturating_sub(self.started_at.as_millis());
        let worked = u64::try_from(since).unwrap_or(0).saturating_sub(self.used.waited_ms);
        let limits = &self.limits;
        let mut checks = Vec::new();
        match command {
            Command::CallModel { request, .. } => {
                checks.push((
                    "model_calls",
                    u64::from(self.used.model_calls) + 1,
                    u64::from(limits.model_calls),
                ));
                checks.push(("live_tokens", TokenCount::estimate(request).tokens, limits.live_tokens));
            }
            Command::CallTool { .. } => {
                checks.push((
                    "tool_calls",
                    u64::from(self.used.tool_calls) + 1,
                    u64::from(limits.tool_calls),
                ));
            }
            _ => return None,
        }
        checks.push(("wall_ms", worked, limits.wall_ms));
        checks.into_iter().find(|(_, used, allowed)| used > allowed)
    }
}

/// A fault of the program or of the run itself.
fn fault(code: &str, message: &str) -> Failure {
    Failure {
        kind: ErrorKind::Internal.code().to_owned(),
        code: code.to_owned(),
        operation: "runs.step".to_owned(),
        message: message.to_owned(),
        retryable: false,
    }
}

fn failed(failure: Failure, output: Value) -> What {
    What::Finished { status: RunStatus::Failed, output, failure: Some(failure) }
}

fn stuck() -> What {
    failed(fault("stuck", "the program asked for nothing and did not end"), Value::Null)
}

fn over(limit: &str, used: u64, allowed: u64, partial: &Value) -> What {
    let failure = Failure {
        kind: ErrorKind::BudgetExceeded.code().to_owned(),
        code: "limit_reached".to_owned(),
        operation: "runs.step".to_owned(),
        message: format!("the run reached its limit of {limit}: {used} needed, {allowed} allowed"),
        retryable: false,
    };
    failed(failure, json!({ "partial": partial }))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
