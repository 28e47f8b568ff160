//! Taking one entry of the log into the state.

use serde_json::{Value, json};

use super::{APPROVED, ELSEWHERE, LANDED, MORE, Open, RunState, effect_of, fault};
use crate::llm::Answer;
use crate::run::entry::{Entry, RunStatus, ToolState, What};
use crate::run::machine::{Command, Failure, Program, RunEvent, WaitOn};
use crate::{Error, ErrorKind, Result};

impl<S: Default + Clone> RunState<S> {
    /// Takes one entry into the state.
    ///
    /// # Errors
    /// `Corrupted`, code `log_broken`, when it cannot follow what is there.
    pub fn apply<P: Program<State = S>>(&mut self, program: &P, entry: &Entry) -> Result<()> {
        let out_of_place = |why: &str| {
            Err(Error::new(ErrorKind::Corrupted, "runs.fold", format!("the log is broken: {why}"))
                .with_code("log_broken")
                .with_context("seq", entry.seq)
                .with_context("kind", entry.what.word()))
        };
        if entry.seq != self.next_seq {
            return out_of_place("an entry is missing");
        }
        let is_start = matches!(entry.what, What::Started { .. });
        if is_start != (entry.seq == 0) {
            return out_of_place("the first entry is `started`, and no other");
        }
        if self.status.is_final() && !matches!(entry.what, What::Note { .. }) {
            return out_of_place("an entry follows the end");
        }
        self.next_seq += 1;
        self.used.steps = self.next_seq;
        match self.take(entry) {
            Ok(Some(event)) => {
                let (state, commands) = program.step(std::mem::take(&mut self.program), &event);
                self.program = state;
                self.todo.extend(commands);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(why) => out_of_place(why),
        }
    }

    /// Everything but the program's own state; the event it is to see, if any.
    fn take(&mut self, entry: &Entry) -> std::result::Result<Option<RunEvent>, &'static str> {
        match &entry.what {
            What::Started { version, input, seed, limits, .. } => {
                (self.version, self.limits, self.started_at) = (*version, *limits, entry.at);
                self.status = RunStatus::Running;
                return Ok(Some(RunEvent::Started { input: input.clone(), at: entry.at, seed: *seed }));
            }
            What::ModelPlanned { call, request } => {
                self.begin(call)?;
                self.used.model_calls += 1;
                self.open.push((call.clone(), Open::Model { request: request.clone(), attempts: 0 }));
            }
            What::ModelCalled { call, attempt, .. } => {
                let slot = self.open.iter_mut().find(|(c, _)| c == call);
                let Some((_, Open::Model { attempts, .. })) = slot else {
                    return Err("a call was never planned");
                };
                *attempts = *attempt;
                // More was allowed for the attempt before.
                self.told.remove(call);
            }
            What::ModelDone { call, answer, failure, said, .. } => {
                self.close(call)?;
                let failure = failure.as_ref();
                return Ok(Some(self.model_done(call, answer.as_deref(), failure, said.as_deref())));
            }
            What::ToolPlanned { call, tool, args, effect, class } => {
                self.begin(call)?;
                self.used.tool_calls += 1;
                let open = Open::Tool {
                    tool: tool.clone(),
                    args: args.clone(),
                    effect: effect.clone(),
                    class: *class,
                };
                self.open.push((call.clone(), open));
            }
            What::ToolCalled { call } => {
                if !self.open.iter().any(|(c, open)| c == call && matches!(open, Open::Tool { .. })) {
                    return Err("a call was never planned");
                }
                // What was said is about the call before; the fate of this one is open again.
                self.told.remove(call);
            }
            What::ToolDone { call, state, output, failure, .. } => {
                self.close(call)?;
                return Ok(Some(tool_done(call, *state, output, failure.as_ref())));
            }
            What::Wait { wait, on } => {
                // A wait may also be put in by the driver, for a call whose fate a person must tell.
                if self.todo.front().is_some_and(|c| matches!(c, Command::Wait { wait: w, .. } if w == wait))
                {
                    self.todo.pop_front();
                }
                self.names.insert(wait.clone());
                self.waits.push((wait.clone(), on.clone()));
                self.waiting_since.insert(wait.clone(), entry.at);
                self.status = RunStatus::Waiting;
            }
            What::Woken { wait, payload } => {
                let at = self.waits.iter().position(|(w, _)| w == wait).ok_or("nothing waits for this")?;
                let (_, on) = self.waits.remove(at);
                if let Some(since) = self.waiting_since.remove(wait) {
                    let waited = entry.at.as_millis().saturating_sub(since.as_millis());
                    self.used.waited_ms += u64::try_from(waited).unwrap_or(0);
                }
                self.status = RunStatus::Running;
                if let Some(call) = wait.strip_prefix(LANDED) {
                    self.told.insert(call.to_owned(), payload.clone());
                    return Ok(None);
                }
                if let Some(call) = wait.strip_prefix(APPROVED) {
                    self.answered(call, payload);
                    return Ok(None);
                }
                if let Some(call) = wait.strip_prefix(MORE) {
                    self.told.insert(call.to_owned(), with_question(payload, &on));
                    return Ok(None);
                }
                if let Some(call) = wait.strip_prefix(ELSEWHERE) {
                    // It was not made anywhere yet.
                    self.told.insert(call.to_owned(), json!({ "landed": false }));
                    return Ok(None);
                }
                let (wait, payload, at) = (wait.clone(), payload.clone(), entry.at);
                return Ok(Some(RunEvent::Woken { wait, payload, at }));
            }
            What::Emitted { .. } => drop(self.todo.pop_front()),
            What::Budget { limit, used, allowed } => self.limit = Some((limit.clone(), *used, *allowed)),
            What::Note { .. } => {}
            What::Finished { status, output, failure } => {
                (self.status, self.output) = (*status, output.clone());
                self.failure.clone_from(failure);
                self.todo.clear();
                self.waits.clear();
            }
        }
        Ok(None)
    }

    /// Takes a person's answer to a call: it was not made yet, and may be made with another input.
    fn answered(&mut self, call: &str, answer: &Value) {
        let mut told = answer.clone();
        if let (Some(told), true) = (told.as_object_mut(), answer["approved"] == true) {
            told.insert("landed".to_owned(), Value::Bool(false));
        }
        let slot = self.open.iter_mut().find(|(name, _)| name == call);
        if let (Some((_, Open::Tool { tool, args, effect, .. })), Some(edited)) = (slot, answer.get("args"))
            && let Ok(of_edited) = effect_of(&self.run, call, tool, edited)
        {
            (*args, *effect) = (edited.clone(), of_edited);
        }
        self.told.insert(call.to_owned(), told);
    }

    fn begin(&mut self, call: &str) -> std::result::Result<(), &'static str> {
        self.todo.pop_front().ok_or("a call was planned that no step asked for")?;
        if self.names.insert(call.to_owned()) { Ok(()) } else { Err("a call was planned twice") }
    }

    fn close(&mut self, call: &str) -> std::result::Result<(), &'static str> {
        let at = self.open.iter().position(|(c, _)| c == call).ok_or("an outcome has no call")?;
        self.open.remove(at);
        Ok(())
    }

    fn model_done(
        &mut self,
        call: &str,
        answer: Option<&Answer>,
        failure: Option<&Failure>,
        said: Option<&str>,
    ) -> RunEvent {
        let call = call.to_owned();
        match answer {
            Some(answer) => {
                self.used.add(&answer.usage);
                self.is_offline |= answer.is_offline();
                RunEvent::ModelDone { call, answer: Box::new(answer.clone()) }
            }
            None => {
                let failure =
                    failure.cloned().unwrap_or_else(|| fault("no_outcome", "the call has no outcome"));
                RunEvent::ModelFailed { call, failure, said: said.map(str::to_owned) }
            }
        }
    }
}

/// The answer to the question whether more is allowed, with the id of that.
fn with_question(answer: &Value, on: &WaitOn) -> Value {
    let mut told = answer.clone();
    if let (Some(told), WaitOn::Approval { approval, .. }) = (told.as_object_mut(), on) {
        told.insert("more".to_owned(), json!(approval));
    }
    told
}

fn tool_done(call: &str, state: ToolState, output: &Value, failure: Option<&Failure>) -> RunEvent {
    let call = call.to_owned();
    match state {
        ToolState::Landed => RunEvent::ToolDone { call, output: output.clone() },
        ToolState::NotLanded | ToolState::Failed => {
            let failure = failure.cloned().unwrap_or_else(|| fault("not_landed", "the call did not happen"));
            RunEvent::ToolFailed { call, failure }
        }
    }
}
