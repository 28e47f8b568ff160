//! The calls of tools of a run, as its log tells them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::entry::{EffectClass, Entry, ToolState, What};
use super::machine::{Failure, WaitOn};
use super::receipt::{AnswerFrom, CallCost};
use super::record::LogEntry;
use super::served::served;
use super::state::{APPROVED, LANDED};
use crate::llm::hex;
use crate::store::canonical_json;
use crate::{Result, Timestamp};

/// How far a call of a tool came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolExecutionState {
    /// It is to be made; one that changes nothing outside may be on its way.
    Planned,
    /// It acts on the world and is on its way.
    Dispatched,
    /// It happened.
    Landed,
    /// It did not happen.
    NotLanded,
    /// A person is asked whether it happened.
    Unknown,
    /// It failed.
    Failed,
    /// Nothing was called for it: its answer is one that a log held. That of an earlier call of a run that reads the same
    /// again, or that of the run which this one was forked from.
    ServedFromLog,
}

/// One call of a tool in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolExecution {
    /// Id of the entry of the log that plans it; for one that a later request to the model alone tells of, of that.
    pub id: String,
    /// The run.
    pub run_id: String,
    /// Number of that entry in the run.
    pub step: u32,
    /// The name that the program gave it, or the model for one that was never planned.
    pub call: String,
    /// The tool.
    pub tool: String,
    /// The version of the tool that answered or failed; absent before, and in logs of older releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// SHA-256 of the RFC 8785 form of the arguments, in hex.
    pub args_hash: String,
    /// The arguments; as a person edited them, where one did.
    pub args: Value,
    /// Name of the effect, under which a probe finds it.
    pub effect_id: String,
    /// Class of the effect.
    pub class: EffectClass,
    /// How far it came.
    pub state: ToolExecutionState,
    /// When it was planned.
    pub started_at: Timestamp,
    /// When its outcome was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// From plan to outcome, waits included, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// SHA-256 of the RFC 8785 form of what it returned, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_hash: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The approval that it waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// What the models that it used have cost; absent where it was free. Runs that it began have their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CallCost>,
    /// How often it was sent to the world, or once for any other; 0 for one that was never sent.
    pub attempts: u32,
}

/// The calls of a log, in order of their planning; those that were served from it where the model read their answers.
pub(super) fn executions(run: &str, log: &[Entry]) -> Result<Vec<ToolExecution>> {
    let mut all: Vec<ToolExecution> = Vec::new();
    for entry in log {
        if let What::ToolPlanned { call, tool, args, effect, class } = &entry.what {
            all.push(ToolExecution {
                id: LogEntry::id_of(run, entry.seq),
                run_id: run.to_owned(),
                step: entry.seq,
                call: call.clone(),
                tool: tool.clone(),
                args_hash: hash(args)?,
                args: args.clone(),
                effect_id: effect.to_string(),
                class: *class,
                state: sent(*class),
                started_at: entry.at,
                ended_at: None,
                duration_ms: None,
                result_hash: None,
                error: None,
                approval_id: None,
                version: None,
                cost: None,
                attempts: 1,
            });
        } else if let Some(one) =
            named(&entry.what).and_then(|call| all.iter_mut().rev().find(|one| one.call == call))
        {
            one.follow(entry)?;
        }
    }
    all.extend(served(run, log, &all)?);
    all.sort_by_key(|one| one.step);
    Ok(all)
}

/// The call that an entry is about.
fn named(what: &What) -> Option<&str> {
    match what {
        What::ToolCalled { call } | What::ToolDone { call, .. } => Some(call),
        What::Wait { wait, .. } | What::Woken { wait, .. } => {
            wait.strip_prefix(LANDED).or_else(|| wait.strip_prefix(APPROVED))
        }
        _ => None,
    }
}

impl ToolExecution {
    fn follow(&mut self, entry: &Entry) -> Result<()> {
        match &entry.what {
            What::ToolCalled { .. } => {
                self.attempts += 1;
                self.state = sent(self.class);
            }
            What::Wait { on: WaitOn::Approval { approval: Some(approval), .. }, .. } => {
                self.approval_id = Some(approval.clone());
                self.state = ToolExecutionState::Planned;
            }
            What::Wait { .. } => self.state = ToolExecutionState::Unknown,
            What::Woken { payload, .. } => {
                self.state = ToolExecutionState::Planned;
                if let Some(edited) = payload.get("args") {
                    (self.args, self.args_hash) = (edited.clone(), hash(edited)?);
                }
            }
            What::ToolDone { state, output, failure, receipt, .. } => {
                let from = receipt.as_ref().map(|receipt| receipt.from).unwrap_or_default();
                self.version = receipt.as_ref().and_then(|receipt| receipt.version);
                self.cost = receipt.as_ref().and_then(|receipt| receipt.cost.clone());
                if from != AnswerFrom::Tool {
                    self.attempts = 0;
                }
                self.state = match state {
                    ToolState::Landed if from == AnswerFrom::Log => ToolExecutionState::ServedFromLog,
                    ToolState::Landed if from == AnswerFrom::Nowhere => ToolExecutionState::NotLanded,
                    ToolState::Landed => ToolExecutionState::Landed,
                    ToolState::NotLanded => ToolExecutionState::NotLanded,
                    ToolState::Failed => ToolExecutionState::Failed,
                };
                self.ended_at = Some(entry.at);
                let took = entry.at.as_millis().saturating_sub(self.started_at.as_millis());
                self.duration_ms = Some(u64::try_from(took).unwrap_or(0));
                self.error.clone_from(failure);
                if *state == ToolState::Landed {
                    self.result_hash = Some(hash(output)?);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A call that acts on the world is taken for sent as soon as it is planned: nobody knows until its outcome is there.
fn sent(class: EffectClass) -> ToolExecutionState {
    if class.is_ours() { ToolExecutionState::Planned } else { ToolExecutionState::Dispatched }
}

pub(super) fn hash(value: &Value) -> Result<String> {
    Ok(hex(&Sha256::digest(canonical_json(value)?)))
}
