//! Operations on operations: what there is, and calls by name.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{CallOptions, Effect, Entry, Operation, entry};
use crate::permission::Permission;
use crate::{Error, Result, Retry, Scope};

/// Operations on the catalogue.
pub static CATALOGUE: &[Entry] = &[
    entry::<ListOperations>(),
    entry::<DescribeOperation>(),
    entry::<CallOperation>(),
    entry::<CallBatch>(),
];

/// One line of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationLine {
    /// Dotted name.
    pub name: String,
    /// Raised when the shape of input or answer changes.
    pub version: u16,
    /// What it does, in a sentence.
    pub about: String,
    /// Rights it needs.
    pub needs: Vec<Permission>,
    /// `pure`, `read`, `idempotent`, `write` or `compensable`.
    pub effect: String,
    /// The operation that takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// `free`, `cheap`, `model` or `money`.
    pub cost: String,
    /// `stable` or `preview`.
    pub stability: String,
}

/// Everything about an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationDetails {
    /// Its line in the catalogue.
    pub operation: OperationLine,
    /// JSON Schema of the input.
    pub input_schema: Value,
    /// JSON Schema of the answer.
    pub output_schema: Value,
    /// Fields of the answer that are hidden without `read:pii`.
    pub masks: Vec<String>,
    /// Audit rows it leaves: `none`, `business` or `security`.
    pub audit: String,
    /// Idempotency keys: `none`, `optional` or `required`.
    pub idempotency: String,
    /// Where its words go out of reach: `send`, `publish`, `spend`, `export`, `memory_write`. An agent that had read words
    /// from outside asks a person first.
    pub sinks: Vec<String>,
    /// The largest input as JSON, in bytes.
    pub max_input_bytes: u64,
    /// The largest answer as JSON, in bytes.
    pub max_output_bytes: u64,
    /// Time a call may take, in milliseconds.
    pub deadline_ms: u64,
    /// The version of NeonHub it came with.
    pub since: String,
    /// Codes it may fail with beyond those of every operation.
    pub errors: Vec<String>,
    /// Example inputs.
    pub examples: Vec<Value>,
}

fn line_of(entry: &Entry) -> OperationLine {
    let schema = Value::from((entry.input_schema)());
    let doc = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    OperationLine {
        name: entry.name.to_owned(),
        version: entry.version,
        about: doc.split("\n\n").next().unwrap_or_default().replace('\n', " "),
        needs: entry.needs.to_vec(),
        effect: entry.effect.word().to_owned(),
        undo: match entry.effect {
            Effect::Compensable(undo) => Some(undo.to_owned()),
            _ => None,
        },
        cost: entry.cost.word().to_owned(),
        stability: entry.stability.word().to_owned(),
    }
}

/// Lists the operations of this hub, by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListOperations {
    /// Only names that start so, such as `people.`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl Operation for ListOperations {
    type Output = Vec<OperationLine>;
    const NAME: &'static str = "catalogue.list";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Vec<OperationLine>> {
        let prefix = self.prefix.unwrap_or_default();
        let shown = cx.hub().operations().filter(|e| !e.internal && e.name.starts_with(&prefix));
        Ok(shown.map(line_of).collect())
    }
    fn examples() -> Vec<Self> {
        vec![ListOperations { prefix: Some("scope.".into()) }]
    }
}

/// Tells everything about an operation: its schemas, rights, limits and examples.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribeOperation {
    /// Its name.
    pub name: String,
}

impl Operation for DescribeOperation {
    type Output = OperationDetails;
    const NAME: &'static str = "catalogue.describe";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<OperationDetails> {
        let entry = cx.hub().operation(&self.name)?;
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Ok(OperationDetails {
            operation: line_of(entry),
            input_schema: (entry.input_schema)().into(),
            output_schema: (entry.output_schema)().into(),
            masks: owned(entry.masks),
            audit: entry.audit.word().to_owned(),
            idempotency: entry.idempotency.word().to_owned(),
            sinks: entry.sinks.iter().map(|sink| sink.word().to_owned()).collect(),
            max_input_bytes: entry.max_input as u64,
            max_output_bytes: entry.max_output as u64,
            deadline_ms: u64::try_from(entry.deadline.as_millis()).unwrap_or(u64::MAX),
            since: entry.since.to_owned(),
            errors: owned(entry.errors),
            examples: (entry.examples)(),
        })
    }
    fn examples() -> Vec<Self> {
        vec![DescribeOperation { name: "scope.whoami".into() }]
    }
}

/// Calls an operation by its name. The call is judged, limited and audited as the operation itself is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallOperation {
    /// Name of the operation.
    pub name: String,
    /// Its input.
    #[serde(default)]
    pub input: Map<String, Value>,
    /// A repeated call with the same key and input gives the first answer for 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Shortens the operation's deadline, in milliseconds, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// The longest an operation may take at all; the operation called has its own deadline.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl CallOperation {
    async fn make(self, cx: &Scope) -> Result<Value> {
        if self.name.starts_with("catalogue.call") || self.name.starts_with("catalogue.batch") {
            return Err(Error::invalid(
                cx.operation(),
                "name",
                "expected the operation itself: calls do not nest",
            ));
        }
        let mut options = CallOptions::new().cancel(cx.cancel_token().clone());
        options.idempotency_key = self.idempotency_key;
        if let Some(ms) = self.deadline_ms {
            if ms == 0 {
                return Err(Error::invalid(cx.operation(), "deadline_ms", "expected at least 1"));
            }
            options.deadline = Some(Duration::from_millis(ms));
        }
        cx.as_host().call_by_name(&self.name, Value::Object(self.input), options).await
    }
}

impl Operation for CallOperation {
    type Output = Value;
    const NAME: &'static str = "catalogue.call";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONGEST;
    const UNCOUNTED: bool = true;
    async fn run(self, cx: &Scope) -> Result<Value> {
        Box::pin(self.make(cx)).await
    }
    fn examples() -> Vec<Self> {
        vec![CallOperation {
            name: "scope.whoami".into(),
            input: Map::new(),
            idempotency_key: None,
            deadline_ms: Some(1_000),
        }]
    }
}

/// Makes up to 100 calls one after the other. Each stands for itself: what one changed stays when a later one fails.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallBatch {
    /// The calls, 1..=100.
    pub calls: Vec<CallOperation>,
    /// True to leave out what comes after the first that fails.
    #[serde(default)]
    pub stop_on_error: bool,
}

/// The end of one call of a batch: `output` or `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallEnd {
    /// True when it succeeded.
    pub ok: bool,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
}

/// An error as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallError {
    /// Kind, such as `not_found`.
    pub kind: String,
    /// The finer word, or the kind again.
    pub code: String,
    /// What was expected and what to do.
    pub message: String,
    /// Facts of the failure, name by name.
    pub context: Value,
    /// True when the same call may succeed later.
    pub retryable: bool,
    /// When to call again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl From<&Error> for CallError {
    fn from(error: &Error) -> Self {
        let context: Map<String, Value> = error.context().map(|(k, v)| (k.to_owned(), json!(v))).collect();
        CallError {
            kind: error.kind().code().to_owned(),
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            context: context.into(),
            retryable: error.is_retryable(),
            retry_after_ms: match error.retry() {
                Retry::After(wait) => u64::try_from(wait.as_millis()).ok(),
                _ => None,
            },
        }
    }
}

impl Operation for CallBatch {
    type Output = Vec<CallEnd>;
    const NAME: &'static str = "catalogue.batch";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONGEST;
    const UNCOUNTED: bool = true;
    async fn run(self, cx: &Scope) -> Result<Vec<CallEnd>> {
        if !(1..=100).contains(&self.calls.len()) {
            return Err(Error::invalid(Self::NAME, "calls", "expected 1..100 calls"));
        }
        let mut ends = Vec::with_capacity(self.calls.len());
        for call in self.calls {
            cx.cancel_token().check(Self::NAME)?;
            let done = Box::pin(call.make(cx)).await;
            let failed = done.is_err();
            ends.push(match done {
                Ok(output) => CallEnd { ok: true, output, error: None },
                Err(error) => {
                    CallEnd { ok: false, output: Value::Null, error: Some(CallError::from(&error)) }
                }
            });
            if failed && self.stop_on_error {
                break;
            }
        }
        Ok(ends)
    }
    fn examples() -> Vec<Self> {
        let call = |name: &str| CallOperation {
            name: name.into(),
            input: Map::new(),
            idempotency_key: None,
            deadline_ms: None,
        };
        vec![CallBatch { calls: vec![call("scope.whoami"), call("workspaces.get")], stop_on_error: true }]
    }
}
