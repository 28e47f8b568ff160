//! A run begun from the first steps of another.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::driver::{Driver, by_key, hash};
use super::entry::{EffectClass, Entry, RunStatus, ToolState, What};
use super::journal;
use super::machine::Program;
use super::receipt::{AnswerFrom, Receipt};
use super::record::{AgentRun, RunSpec};
use super::retell::{Edits, Replay, replay, retell};
use super::session::{Session, settle};
use super::state::RunState;
use crate::op::Unit;
use crate::resilience::Counted;
use crate::store::{Expected, Stored};
use crate::{Error, ErrorKind, Result, Scope};

/// What a forked run does with tools that change something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForkEffects {
    /// They are not called: the answer is the one that the first run got for the same call, or `{"simulated": true}`.
    #[default]
    Simulate,
    /// They are called.
    Allow,
}

/// Where a run was forked from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForkedFrom {
    /// The run.
    pub run: String,
    /// How many entries of its log were looked at.
    pub at: u32,
    /// The model that answers from there on; absent: as in the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What happens to tools that change something.
    #[serde(default)]
    pub effects: ForkEffects,
}

/// What a run below a fork takes over from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnderFork {
    /// What happens to tools that change something.
    pub effects: ForkEffects,
    /// The model that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The run of the first line that was asked the same: calls that are not made answer what it got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
}

/// How a run is forked.
#[derive(Clone, Debug, Default)]
pub struct Fork {
    /// So many entries of the log are taken over, as far as they still fit. Default: all but the end.
    pub at: Option<u32>,
    /// What is told otherwise.
    pub edits: Edits,
    /// The model that answers from there on.
    pub model: Option<String>,
    /// What happens to tools that change something.
    pub effects: ForkEffects,
    /// Makes the same key the same run.
    pub key: Option<String>,
    /// The description of the agent that the program is made from.
    pub spec: Option<RunSpec>,
}

impl<P: Program> Driver<P> {
    /// Tells the log of a run again, without asking anybody: the same log and the same output come out, byte by byte, or the
    /// program has changed what it does with a log.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub async fn replay(&self, cx: &Scope, run: &str) -> Result<Replay> {
        let row = self.own(cx, run).await?;
        self.check_version(&row)?;
        replay(&self.program, run, &journal::load(cx, run).await?)
    }

    /// Makes a run that begins with the first steps of another one; drives nothing. The first run stays as it is. What it
    /// published is not published again.
    ///
    /// # Errors
    /// `NotFound`; `Conflict`, code `idempotency_mismatch` for a key that belongs to another run; `RateLimited` as
    /// [`start`](Self::start).
    pub async fn fork(&self, cx: &Scope, run: &str, fork: Fork) -> Result<AgentRun> {
        let first = self.own(cx, run).await?;
        let log = journal::load(cx, run).await?;
        let kept = steps(&log, fork.at);
        let input = match (&fork.edits.input, kept.first().map(|entry| &entry.what)) {
            (Some(input), _) => input.clone(),
            (None, Some(What::Started { input, .. })) => input.clone(),
            _ => Value::Null,
        };
        let origin = ForkedFrom {
            run: run.to_owned(),
            at: u32::try_from(kept.len()).unwrap_or(u32::MAX),
            model: fork.model,
            effects: fork.effects,
        };
        let input_hash = hash(&input)?;
        if let Some(found) = by_key(cx, self.program.agent(), fork.key.as_deref()).await? {
            if found.forked_from.as_ref() == Some(&origin) && found.input_hash == input_hash {
                return Ok(found);
            }
            let why = "this key belongs to another run: take a new key";
            return Err(Error::new(ErrorKind::Conflict, "runs.fork", why)
                .with_code("idempotency_mismatch")
                .with_context("run", found.id));
        }
        cx.admit(Counted::Agent, &format!("{}|{}", cx.label(), self.program.agent())).await?;
        let id = cx.new_id("run");
        let cx = cx.outside();
        // At this instant, so that the time the first run took counts for none of this one's.
        let moment = (cx.now(), cx.label().to_owned());
        let (state, mut told) = retell(&self.program, &id, &kept, &fork.edits, Some((moment.0, &moment.1)));
        told.iter_mut().for_each(take_over);
        let body = AgentRun {
            id,
            agent_version: P::VERSION,
            status: RunStatus::Queued,
            wait_reason: None,
            wake_at: None,
            principal: cx.label().to_owned(),
            rights: self.rights(&cx),
            idempotency_key: fork.key,
            input_hash,
            used: state.used,
            lease: None,
            cancel_asked: false,
            signals: serde_json::Map::new(),
            failure: None,
            origin: None,
            spec: fork.spec.or_else(|| first.spec.clone()),
            parent_run: None,
            depth: 0,
            trace: None,
            started_at: cx.now(),
            ended_at: None,
            forked_from: Some(origin),
            ..first
        };
        let at = cx.now();
        let mut row = Stored { body, rev: 0, created_at: at, updated_at: at, created_by: String::new() };
        settle(&mut row.body, &state, at);
        let scope =
            Session::new(self, &cx, row.clone(), RunState::new(&row.id)).writer(&Arc::new(Unit::default()));
        journal::keep(&scope, &row.id, &told).await?;
        for entry in told.iter().filter(|e| matches!(e.what, What::Started { .. } | What::Finished { .. })) {
            journal::announce(&scope, &row, entry)?;
        }
        scope.put(&row.body, Expected::Absent)?;
        scope.flush().await?;
        Ok(row.body)
    }

    async fn own(&self, cx: &Scope, run: &str) -> Result<AgentRun> {
        let row = cx.need::<AgentRun>(run).await?.body;
        if row.agent == self.program.agent() { Ok(row) } else { Err(cx.missing("run of this agent")) }
    }
}

/// Says of an outcome that it is that of another run.
fn take_over(entry: &mut Entry) {
    if let What::ToolDone { receipt, .. } | What::ModelDone { receipt, .. } = &mut entry.what {
        *receipt = Receipt::taken_over(receipt.take()).kept();
    }
}

/// The entries that a fork takes over: so many, without the end, and without questions that nobody has answered.
fn steps(log: &[Entry], at: Option<u32>) -> Vec<Entry> {
    let at = at.map_or(log.len(), |at| at as usize).clamp(1, log.len().max(1));
    let kept = log.get(..at).unwrap_or_default();
    let is_answered = |wait: &str| {
        kept.iter().any(|entry| matches!(&entry.what, What::Woken { wait: woken, .. } if woken == wait))
    };
    let goes_on = |entry: &&Entry| match &entry.what {
        What::Finished { .. } => false,
        What::Wait { wait, .. } => is_answered(wait),
        _ => true,
    };
    kept.iter().filter(goes_on).cloned().collect()
}

/// What a call that is not made answers: what the first run got for it, if it made it.
pub(super) async fn simulated(
    cx: &Scope,
    first: &str,
    tool: &str,
    args: &Value,
) -> Result<(Value, AnswerFrom)> {
    let log = journal::load(cx, first).await?;
    let planned = log.iter().find_map(|entry| match &entry.what {
        What::ToolPlanned { call, tool: made, args: with, .. } if made == tool && with == args => Some(call),
        _ => None,
    });
    let answer = planned.and_then(|wanted| {
        log.iter().find_map(|entry| match &entry.what {
            What::ToolDone { call, state: ToolState::Landed, output, .. } if call == wanted => {
                Some(output.clone())
            }
            _ => None,
        })
    });
    Ok(match answer {
        Some(answer) => (answer, AnswerFrom::Log),
        None => (json!({ "simulated": true }), AnswerFrom::Nowhere),
    })
}

/// True for a call that a fork does not make, and no run below one.
pub(super) fn is_held_back(run: &AgentRun, class: EffectClass) -> bool {
    let changes = !matches!(class, EffectClass::Pure | EffectClass::Read);
    changes && run.passes_on().is_some_and(|fork| fork.effects == ForkEffects::Simulate)
}

impl AgentRun {
    /// What runs below it take over from the fork that it is, or that is above it.
    #[must_use]
    pub fn passes_on(&self) -> Option<UnderFork> {
        match (&self.forked_from, &self.under_fork) {
            (Some(fork), _) => {
                Some(UnderFork { effects: fork.effects, model: fork.model.clone(), like: None })
            }
            (None, Some(above)) => Some(UnderFork { like: None, ..above.clone() }),
            (None, None) => None,
        }
    }

    /// The run whose answers stand in for calls that it does not make.
    pub(super) fn is_like(&self) -> &str {
        let like = self.under_fork.as_ref().and_then(|above| above.like.as_deref());
        self.forked_from.as_ref().map(|fork| fork.run.as_str()).or(like).unwrap_or_default()
    }
}
