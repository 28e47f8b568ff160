//! Entries of a run's log: what was meant, what was sent, what came back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::machine::{Failure, Limits, WaitOn};
use super::receipt::Receipt;
use crate::connector::EffectId;
use crate::llm::{Answer, LlmRequest};
use crate::{Error, ErrorKind, Result, Timestamp};

/// Version of the shape of entries. An older one is upgraded on read; a newer one is refused.
pub const LOG_VERSION: u16 = 1;

/// What kind of effect a tool has, and so what a resumed run does about a call without outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// Computes: call it again.
    Pure,
    /// Reads: call it again.
    Read,
    /// Changes records of ours, in the commit of its outcome: without outcome it did not happen; call it again.
    Idempotent,
    /// Acts on the world: ask whether it landed.
    Write,
    /// Changes records of ours and can be taken back: as idempotent.
    Compensable,
}

impl EffectClass {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            EffectClass::Pure => "pure",
            EffectClass::Read => "read",
            EffectClass::Idempotent => "idempotent",
            EffectClass::Write => "write",
            EffectClass::Compensable => "compensable",
        }
    }

    /// True when the effect is in the same commit as its outcome, or there is none.
    #[must_use]
    pub fn is_ours(self) -> bool {
        self != EffectClass::Write
    }
}

impl From<crate::op::Effect> for EffectClass {
    fn from(effect: crate::op::Effect) -> Self {
        use crate::op::Effect;
        match effect {
            Effect::Pure => EffectClass::Pure,
            Effect::Read => EffectClass::Read,
            Effect::Idempotent => EffectClass::Idempotent,
            Effect::Write => EffectClass::Write,
            Effect::Compensable(_) => EffectClass::Compensable,
        }
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Made, and taken by nobody yet.
    #[default]
    Queued,
    /// A process works on it.
    Running,
    /// It waits for an instant, a person or a signal.
    Waiting,
    /// It is done.
    Completed,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// Its process went away; the next one that drives it goes on.
    Interrupted,
}

impl RunStatus {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            RunStatus::Queued => "queued",
            RunStatus::Running => "running",
            RunStatus::Waiting => "waiting",
            RunStatus::Completed => "completed",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
            RunStatus::Interrupted => "interrupted",
        }
    }

    /// True when nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled)
    }
}

/// How a tool call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// It happened, and this is its answer.
    Landed,
    /// It did not happen.
    NotLanded,
    /// It failed.
    Failed,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Number in the run, from 0, without gaps.
    pub seq: u32,
    /// When.
    pub at: Timestamp,
    /// Who: the principal of the run, or of the cancel or signal.
    pub actor: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// The run was made.
    Started {
        /// Its agent.
        agent: String,
        /// Version of its program.
        version: u32,
        /// Its input.
        input: Value,
        /// Its chance, below 2^53.
        seed: u64,
        /// Its bounds.
        limits: Limits,
    },
    /// A model is to be asked.
    ModelPlanned {
        /// The call.
        call: String,
        /// The request.
        request: Box<LlmRequest>,
    },
    /// The request is on its way. Logged before it is sent, since a lost answer may still be billed.
    ModelCalled {
        /// The call.
        call: String,
        /// The provider.
        provider: String,
        /// The try, from 1.
        attempt: u32,
    },
    /// The model answered or failed: one of the two is there.
    ModelDone {
        /// The call.
        call: String,
        /// The answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Box<Answer>>,
        /// The failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// What the model said, where the failure is that it cannot be used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
        /// Which models were considered, and what it cost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Box<Receipt>>,
    },
    /// A tool is to be called.
    ToolPlanned {
        /// The call.
        call: String,
        /// The operation.
        tool: String,
        /// Its input.
        args: Value,
        /// Name of the effect.
        effect: EffectId,
        /// Class of the effect.
        class: EffectClass,
    },
    /// A tool that acts on the world is called again, after it was found that the call before did not land.
    ToolCalled {
        /// The call.
        call: String,
    },
    /// The tool answered or failed.
    ToolDone {
        /// The call.
        call: String,
        /// How it ended.
        state: ToolState,
        /// What it returned.
        #[serde(default)]
        output: Value,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// Which version answered, from where, and what it cost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Box<Receipt>>,
    },
    /// The run waits.
    Wait {
        /// Name of the wait.
        wait: String,
        /// What for.
        on: WaitOn,
    },
    /// It is there.
    Woken {
        /// Name of the wait.
        wait: String,
        /// What came with it.
        #[serde(default)]
        payload: Value,
    },
    /// An event was published.
    Emitted {
        /// Its word.
        event: String,
        /// Its facts.
        data: Value,
    },
    /// A bound was reached.
    Budget {
        /// Which: `model_calls`, `tool_calls`, `wall_ms`, `live_tokens`.
        limit: String,
        /// What is used.
        used: u64,
        /// What was allowed.
        allowed: u64,
    },
    /// A remark; it changes nothing.
    Note {
        /// The remark.
        text: String,
    },
    /// The end.
    Finished {
        /// How: completed, failed or cancelled.
        status: RunStatus,
        /// The output, whole or partial.
        #[serde(default)]
        output: Value,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
}

impl What {
    /// The outcome of a tool, without a receipt.
    #[must_use]
    pub fn tool_done(call: String, state: ToolState, output: Value, failure: Option<Failure>) -> Self {
        What::ToolDone { call, state, output, failure, receipt: None }
    }

    /// The outcome of a model, without a receipt.
    #[must_use]
    pub fn model_done(
        call: String,
        outcome: std::result::Result<Answer, Failure>,
        said: Option<String>,
    ) -> Self {
        let (answer, failure) = match outcome {
            Ok(answer) => (Some(Box::new(answer)), None),
            Err(failure) => (None, Some(failure)),
        };
        What::ModelDone { call, answer, failure, said, receipt: None }
    }

    /// The stable word of the kind.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            What::Started { .. } => "started",
            What::ModelPlanned { .. } => "model_planned",
            What::ModelCalled { .. } => "model_called",
            What::ModelDone { .. } => "model_done",
            What::ToolPlanned { .. } => "tool_planned",
            What::ToolCalled { .. } => "tool_called",
            What::ToolDone { .. } => "tool_done",
            What::Wait { .. } => "wait",
            What::Woken { .. } => "woken",
            What::Emitted { .. } => "emitted",
            What::Budget { .. } => "budget",
            What::Note { .. } => "note",
            What::Finished { .. } => "finished",
        }
    }
}

impl Entry {
    /// Reads an entry of any version up to [`LOG_VERSION`].
    ///
    /// # Errors
    /// `Config` for a newer version, naming both; `Corrupted` when the entry does not have its shape.
    pub fn read(version: u16, data: Value) -> Result<Self> {
        if version > LOG_VERSION || version == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                "runs.read",
                "the log was written by a newer version: open it with that one",
            )
            .with_context("found", version)
            .with_context("known", LOG_VERSION));
        }
        serde_json::from_value(data).map_err(|cause| {
            Error::new(ErrorKind::Corrupted, "runs.read", "a log entry does not have the shape of its kind")
                .with_code("log_broken")
                .with_source(cause)
        })
    }
}

/// The id of a tool call's effect: SHA-256 over run, call, tool and the RFC 8785 form of the arguments.
///
/// # Errors
/// `InvalidInput` when the arguments hold numbers that JSON cannot carry exactly.
pub fn effect_of(run: &str, call: &str, tool: &str, args: &Value) -> Result<EffectId> {
    let args = crate::store::canonical_json(args)?;
    Ok(EffectId::of(&[run, call, tool, &args]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_effect_is_named_by_all_that_makes_it() {
        let of = |run, call, args: &Value| effect_of(run, call, "sends.create", args).unwrap();
        let a = of("run_1", "c1", &json!({"b": 1, "a": 2.0}));
        assert_eq!(a, of("run_1", "c1", &json!({"a": 2, "b": 1})));
        assert_ne!(a, of("run_2", "c1", &json!({"a": 2, "b": 1})));
        assert_ne!(a, of("run_1", "c2", &json!({"a": 2, "b": 1})));
        assert_ne!(a, of("run_1", "c1", &json!({"a": 2, "b": 2})));
    }

    #[test]
    fn entries_of_a_newer_version_are_refused_by_name() {
        let err = Entry::read(LOG_VERSION + 1, json!({})).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config);
        assert_eq!(Entry::read(1, json!({"seq": 0})).unwrap_err().code(), "log_broken");
    }

    #[test]
    fn unknown_fields_of_entries_are_kept_out_of_the_way() {
        let entry = Entry::read(
            1,
            json!({"seq": 3, "at": 5, "actor": "user:a", "kind": "note", "text": "x", "new_field": 1}),
        );
        assert_eq!(entry.unwrap().what, What::Note { text: "x".into() });
    }
}
