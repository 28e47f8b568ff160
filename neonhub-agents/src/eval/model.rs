//! Records: cases by name, and what a run over them came to.

use std::collections::BTreeMap;

use neonhub_core::Timestamp;
use neonhub_core::run::Failure;
use neonhub_core::store::{Index, Key, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grade::{Grade, Grader};
use super::stats::Interval;

/// The answer of a tool that a replay gives instead of calling it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordedTool {
    /// The tool.
    pub tool: String,
    /// Its arguments; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Value>,
    /// What it answered.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The answer of a model in the run that a case came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedAnswer {
    /// The call: `turn/1`.
    pub call: String,
    /// The answer; null when the call failed.
    #[serde(default)]
    pub answer: Value,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// All that a case knows of the world.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshot {
    /// Version of the agent that prepared the desk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the run worked with, as its log has it. Absent: it is prepared anew.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub desk: Value,
    /// The chance of the run, below 2^53.
    pub seed: u64,
    /// Answers of tools, in the order they were given.
    pub tools: Vec<RecordedTool>,
    /// Answers of the model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<RecordedAnswer>,
}

/// One case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvalCase {
    /// Its name, unique in the set, 1 to 100 bytes.
    pub name: String,
    /// The intent of the agent.
    pub intent: String,
    /// The input of the intent.
    pub input: Value,
    /// What the replay knows of the world.
    pub context: Snapshot,
    /// The output that is wanted, or a good one to compare with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// How the output is judged, 1 to 20.
    pub graders: Vec<Grader>,
    /// Words to choose cases by: `security`, `LLM01`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The run it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_run: Option<String>,
}

/// Cases for one agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvalSet {
    /// Its name, a path of `[a-z0-9_.-]`: `support/returns`.
    pub name: String,
    /// The agent.
    pub agent: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Its cases by name, at most 500.
    pub cases: Vec<EvalCase>,
}

/// A set as a list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EvalSetHead {
    /// Its name.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Names of its cases, sorted.
    pub cases: Vec<String>,
}

impl Record for EvalSetHead {
    const KIND: &'static str = "eval_set";
    const INDEXES: &'static [Index] = &[Index::on("agent")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.agent))]
    }
}

/// A case as the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRow {
    /// Set and name.
    pub id: String,
    /// The case.
    pub case: EvalCase,
}

impl CaseRow {
    /// The id of a case.
    #[must_use]
    pub fn id_of(set: &str, case: &str) -> String {
        format!("{set}#{case}")
    }
}

impl Record for CaseRow {
    const KIND: &'static str = "eval_case";
    fn id(&self) -> &str {
        &self.id
    }
}

/// A question of the replay that nothing was recorded for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Miss {
    /// The call: `turn/1/0`.
    pub call: String,
    /// The tool, or `model`.
    pub tool: String,
    /// What it was asked.
    pub args: Value,
}

/// What came of one case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CaseResult {
    /// The case.
    pub case: String,
    /// Hash of the case as it was then: only equal ones are compared.
    pub hash: String,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Mean of its grades, 0..=1.
    pub score: f64,
    /// True when every grade passed and the model could be reached.
    pub is_passed: bool,
    /// The grades.
    pub grades: Vec<Grade>,
    /// What was asked and not recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misses: Vec<Miss>,
    /// The output.
    pub output: Value,
    /// Why the replay failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// True when the model gave no answer at all: nothing was measured.
    pub is_broken: bool,
    /// Calls of models.
    pub model_calls: u32,
    /// Tokens, put in and out.
    pub tokens: u64,
    /// How long it took to play, in milliseconds.
    pub took_ms: u64,
}

/// One run over a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EvalRun {
    /// Its id.
    pub id: String,
    /// The set.
    pub set: String,
    /// The agent.
    pub agent: String,
    /// Its version.
    pub version: String,
    /// The model that was asked for, or those that answered: `provider/model`, sorted.
    pub models: Vec<String>,
    /// True when the answers of the recorded runs were taken in the place of a model's.
    pub is_recorded: bool,
    /// True when the offline model made a part of it.
    pub is_offline: bool,
    /// The cases by name.
    pub results: Vec<CaseResult>,
    /// Mean score with its 95 % interval over the cases.
    pub score: Interval,
    /// Share of cases that passed, 0..=1.
    pub pass_rate: f64,
    /// Questions that nothing was recorded for, over all cases.
    pub misses: u32,
    /// What models cost, in micros by currency.
    pub cost_micros: BTreeMap<String, u64>,
    /// Calls of models whose price is not known.
    pub unpriced: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

impl Record for EvalRun {
    const KIND: &'static str = "eval_run";
    const INDEXES: &'static [Index] = &[Index::on("set"), Index::on("agent")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let at = self.started_at;
        vec![Some(Key::text(&self.set).and_time(at)), Some(Key::text(&self.agent).and_time(at))]
    }
}
