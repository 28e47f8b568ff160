//! What the offline model is told: the part of a request that only it reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A template with seeded choices, filled from `vars`.
///
/// Beside the strict template language (see the `prompt` room) a template here has:
/// - `pick([a, b, c])`: one of them, drawn from the seed of the request and the number of the variant;
/// - `shuffle([a, b, c])`: all of them in a drawn order;
/// - `chance(0.3)`: true in three of ten draws;
/// - `seq(a, b, c)`: one per variant, in turn, so that neighbouring variants differ;
/// - `json(value)`: the value as JSON, for answers of a schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OfflineTemplate {
    /// The template text; written by us or the host, never by a document or a person.
    pub template: String,
    /// What it may name. A value is only ever text or data; it cannot act as template code.
    pub vars: Value,
    /// How many answers that differ (three-word shingles overlap below 0.8). 0 and 1 mean one; at most 16.
    pub variants: u32,
    /// Most characters of an answer (Unicode scalar values); longer draws are dropped in favour of shorter ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<u32>,
}

impl OfflineTemplate {
    /// A template for one answer.
    #[must_use]
    pub fn new(template: impl Into<String>, vars: Value) -> Self {
        OfflineTemplate { template: template.into(), vars, variants: 1, max_chars: None }
    }

    /// Asks for `n` answers that differ, 1..=16.
    #[must_use]
    pub fn variants(mut self, n: u32) -> Self {
        self.variants = n;
        self
    }

    /// Limits each answer, in characters.
    #[must_use]
    pub fn max_chars(mut self, n: u32) -> Self {
        self.max_chars = Some(n);
        self
    }
}

/// What is to be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facet {
    /// What the writer wants.
    Intent,
    /// How the writer feels: `positive`, `neutral`, `negative`.
    Sentiment,
    /// What the text is about.
    Topic,
    /// The language, as a two-letter code.
    Language,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanStep {
    /// Unique in the plan; also the id of its tool call.
    pub id: String,
    /// The tool to call.
    pub tool: String,
    /// Arguments; a string `$step` or `$step.field.0` takes a value from an earlier result.
    #[serde(default)]
    pub args: Value,
    /// Steps whose results must be there first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Runs only when the value at this path is there and not false, null, 0 or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// A fixed plan of tool calls without cycles, and the template of what to say when it is through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfflinePlan {
    /// The steps.
    pub steps: Vec<PlanStep>,
    /// The template of the last answer; it sees the results by step id.
    #[serde(default)]
    pub answer: String,
}

/// How the offline model is to answer. Without one it looks at the request: a schema is filled from the facts in
/// it, retrieved parts are quoted, anything else is `Unsupported`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
#[non_exhaustive]
pub enum OfflineTask {
    /// Fill a template.
    Template(OfflineTemplate),
    /// The most telling sentences of the context, in their order.
    Summarize {
        /// How many, at least 1.
        sentences: u32,
    },
    /// The most telling phrases of the context, as a JSON array or one per line.
    KeyPhrases {
        /// How many, at least 1.
        count: u32,
    },
    /// A title for the context.
    Title {
        /// Most characters.
        max_chars: u32,
    },
    /// Probabilities as a JSON object `{"label": word, "scores": {word: 0..1}}`.
    Classify {
        /// What to tell apart.
        facet: Facet,
        /// Cue words by label, for topics and intents of the caller; empty: the built-in lists.
        #[serde(default)]
        labels: std::collections::BTreeMap<String, Vec<String>>,
    },
    /// Fill the output schema from these facts, then from the context.
    Fill {
        /// Facts by name.
        facts: Value,
    },
    /// Quote the retrieved parts that answer the question.
    Answer {
        /// Most sentences, at least 1.
        sentences: u32,
    },
    /// Follow a plan of tool calls.
    Plan(OfflinePlan),
}

impl From<OfflineTemplate> for OfflineTask {
    fn from(template: OfflineTemplate) -> Self {
        OfflineTask::Template(template)
    }
}

impl From<OfflinePlan> for OfflineTask {
    fn from(plan: OfflinePlan) -> Self {
        OfflineTask::Plan(plan)
    }
}
