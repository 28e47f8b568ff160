//! A case played again: the program of the agent is folded in memory, tools answer from the record, only the model is
//! asked. Nothing is called, sent or stored.

use std::collections::BTreeMap;

use neonhub_core::llm::{Answer, BadAnswer, LlmRequest};
use neonhub_core::op::Operation as _;
use neonhub_core::run::{
    EffectClass, Failure, Moment, Next, Open, Program as _, RunState, RunStatus, ToolState, What, advance,
};
use neonhub_core::{Error, ErrorKind, PermissionSet, Result, Scope};
use serde_json::Value;

use super::model::{Miss, RecordedTool, Snapshot};
use crate::registry::{AgentSpec, PrepareRun, Worker, hash_of};

/// How the model is chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct Casting {
    /// `provider/model`; none: what the agent's route chooses.
    pub(super) model: Option<String>,
    /// The answers of the recorded run instead.
    pub(super) is_recorded: bool,
}

/// A tool call that the agent asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Called {
    pub(super) tool: String,
    pub(super) args: Value,
    pub(super) class: EffectClass,
}

/// What a replay came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Played {
    pub(super) output: Value,
    pub(super) failure: Option<Failure>,
    pub(super) calls: Vec<Called>,
    /// What tools answered.
    pub(super) seen: Vec<Value>,
    pub(super) misses: Vec<Miss>,
    /// Models that answered, and their tokens with the cost where it is known.
    pub(super) models: Vec<String>,
    pub(super) model_calls: u32,
    pub(super) tokens: u64,
    pub(super) cost_micros: BTreeMap<String, u64>,
    pub(super) unpriced: u32,
    pub(super) is_offline: bool,
    pub(super) is_broken: bool,
}

/// The record of one case while it is played.
struct Tape<'c> {
    context: &'c Snapshot,
    used: Vec<bool>,
}

impl<'c> Tape<'c> {
    fn new(context: &'c Snapshot) -> Self {
        Tape { used: vec![false; context.tools.len()], context }
    }

    /// The answer of a call: the next one that was recorded for these arguments, else the last one for them, else the
    /// same for any arguments.
    fn find(&mut self, tool: &str, args: &Value) -> Option<&'c RecordedTool> {
        let same = |recorded: &RecordedTool| {
            recorded.args.as_ref().is_some_and(|known| match (hash_of(known), hash_of(args)) {
                (Ok(a), Ok(b)) => a == b,
                _ => known == args,
            })
        };
        let any = |recorded: &RecordedTool| recorded.args.is_none();
        self.next(|r| r.tool == tool && same(r)).or_else(|| self.next(|r| r.tool == tool && any(r)))
    }

    fn next(&mut self, fits: impl Fn(&RecordedTool) -> bool) -> Option<&'c RecordedTool> {
        let context = self.context;
        let mut last = None;
        for (at, recorded) in context.tools.iter().enumerate() {
            if !fits(recorded) {
                continue;
            }
            last = Some(recorded);
            if let Some(used) = self.used.get_mut(at).filter(|used| !**used) {
                *used = true;
                break;
            }
        }
        last
    }
}

/// Plays one input of an intent again.
///
/// # Errors
/// `Cancelled`; those of preparing the agent; a failure of the run itself stands in what is given.
pub(super) async fn play(
    cx: &Scope,
    operation: &'static str,
    spec: &AgentSpec,
    (intent, input, context): (&str, &Value, &Snapshot),
    casting: &Casting,
) -> Result<Played> {
    let worker = Worker::new(spec, intent, spec.limits);
    let moment = Moment { at: cx.now(), actor: cx.label().to_owned(), provider: "replay".to_owned() };
    let mut stage = Stage {
        cx,
        spec,
        casting,
        tape: Tape::new(context),
        classes: BTreeMap::new(),
        played: Played::default(),
    };
    let mut state = RunState::new("replay");
    let mut what = What::Started {
        agent: spec.name.clone(),
        version: Worker::VERSION,
        input: input.clone(),
        seed: context.seed,
        limits: spec.limits,
    };
    loop {
        cx.cancel_token().check(operation)?;
        (state, _) = advance(&worker, state, what, &moment, |tool| stage.class(tool))?;
        what = match state.next() {
            Next::Dispatch(call, Open::Tool { tool, args, .. }) => stage.tool(call, &tool, args).await?,
            Next::Dispatch(call, Open::Model { request, .. }) => stage.model(call, *request).await?,
            Next::Wait(..) | Next::End => break,
        };
    }
    let mut played = stage.played;
    played.models.sort();
    played.models.dedup();
    if state.status == RunStatus::Completed {
        played.output = state.output;
    } else {
        played.failure =
            Some(state.failure.unwrap_or_else(|| failure("replay_waits", "the run waits for somebody")));
    }
    Ok(played)
}

struct Stage<'c> {
    cx: &'c Scope,
    spec: &'c AgentSpec,
    casting: &'c Casting,
    tape: Tape<'c>,
    /// Classes of the tools on the desk.
    classes: BTreeMap<String, EffectClass>,
    played: Played,
}

impl Stage<'_> {
    fn class(&self, tool: &str) -> EffectClass {
        match (self.cx.hub().operation(tool), self.classes.get(tool)) {
            (Ok(entry), _) => entry.effect.into(),
            (Err(_), Some(class)) => *class,
            (Err(_), None) => EffectClass::Write,
        }
    }

    async fn tool(&mut self, call: String, tool: &str, args: Value) -> Result<What> {
        if tool == PrepareRun::NAME {
            return self.prepare(call, args).await;
        }
        let class = self.class(tool);
        self.played.calls.push(Called { tool: tool.to_owned(), args: args.clone(), class });
        let Some(recorded) = self.tape.find(tool, &args) else {
            self.played.misses.push(Miss { call: call.clone(), tool: tool.to_owned(), args });
            let why = "nothing was recorded for this call";
            let failure = Some(failure("replay_miss", why));
            return Ok(What::tool_done(call, ToolState::NotLanded, Value::Null, failure));
        };
        let output = recorded.output.clone();
        self.played.seen.push(output.clone());
        let (state, failure) = match &recorded.failure {
            None => (ToolState::Landed, None),
            Some(failure) => (ToolState::Failed, Some(failure.clone())),
        };
        Ok(What::tool_done(call, state, output, failure))
    }

    /// The desk of the record for the version that it was made by; for any other version it is laid anew.
    async fn prepare(&mut self, call: String, args: Value) -> Result<What> {
        let context = self.tape.context;
        let is_same = context.version.as_ref() == Some(&self.spec.version);
        let output = if is_same && !context.desk.is_null() {
            context.desk.clone()
        } else {
            let rights = PermissionSet::of(&self.spec.permissions);
            let agent = self.cx.outside().for_agent(&self.spec.name, "replay", rights);
            let operation: PrepareRun =
                serde_json::from_value(args).map_err(|cause| Error::internal("evals.replay", cause))?;
            agent.call(operation).await?
        };
        for tool in output.get("tools").and_then(Value::as_array).into_iter().flatten() {
            let class = serde_json::from_value(tool["class"].clone()).unwrap_or(EffectClass::Write);
            if let Some(name) = tool.pointer("/spec/name").and_then(Value::as_str) {
                self.classes.insert(name.to_owned(), class);
            }
        }
        Ok(What::tool_done(call, ToolState::Landed, output, None))
    }

    async fn model(&mut self, call: String, mut request: LlmRequest) -> Result<What> {
        self.played.model_calls += 1;
        if self.casting.is_recorded {
            return self.recorded(call).await;
        }
        if let Some(model) = &self.casting.model {
            (request.model, request.route) = (Some(model.clone()), None);
        }
        match self.cx.model().complete(request).await {
            Ok(answer) => {
                self.count(&answer).await?;
                Ok(What::model_done(call, Ok(answer), None))
            }
            Err(error) => {
                // What the model said badly is its own fault; that it said nothing is not.
                let is_its_fault = matches!(error.code(), "invalid_output" | "refused");
                self.played.is_broken |= !is_its_fault && error.kind() != ErrorKind::Blocked;
                let said = BadAnswer::of(&error).map(|bad| bad.text().to_owned());
                Ok(What::model_done(call, Err(Failure::from(&error)), said))
            }
        }
    }

    async fn recorded(&mut self, call: String) -> Result<What> {
        let known = self.tape.context.answers.iter().find(|answer| answer.call == call);
        let answer = known.and_then(|known| serde_json::from_value::<Answer>(known.answer.clone()).ok());
        if let Some(answer) = answer {
            self.count(&answer).await?;
            return Ok(What::model_done(call, Ok(answer), None));
        }
        let failure = known.and_then(|known| known.failure.clone()).unwrap_or_else(|| {
            self.played.misses.push(Miss { call: call.clone(), tool: "model".to_owned(), args: Value::Null });
            failure("replay_miss", "no answer was recorded for this call of a model")
        });
        Ok(What::model_done(call, Err(failure), None))
    }

    async fn count(&mut self, answer: &Answer) -> Result<()> {
        let played = &mut self.played;
        played.is_offline |= answer.is_offline();
        played.models.push(format!("{}/{}", answer.provider, answer.model));
        played.tokens += answer.usage.total();
        let table = self.cx.model_table().await?;
        match table.cost(&answer.provider, &answer.model, &answer.usage) {
            Some((_, 0)) => {}
            Some((currency, micros)) => *played.cost_micros.entry(currency).or_default() += micros,
            None => played.unpriced += 1,
        }
        Ok(())
    }
}

fn failure(code: &str, message: &str) -> Failure {
    Failure {
        kind: ErrorKind::Unavailable.code().to_owned(),
        code: code.to_owned(),
        operation: "evals.replay".to_owned(),
        message: message.to_owned(),
        retryable: false,
    }
}
