//! What a model answers: piece by piece, and joined.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::part::{Message, Part, PartBody, Role, Taint};
use super::{BadAnswer, DeltaStream, schema};
use crate::{Error, ErrorKind, Result, Retry};

/// So many faults of an answer are named.
const FAULTS: usize = 20;

/// Where text came from. What was made offline is never passed off as the work of a model.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Rules and templates of the offline model.
    #[default]
    Offline,
    /// A real model.
    Model,
    /// A person.
    Human,
}

impl Origin {
    /// True for text of the offline model.
    #[must_use]
    pub fn is_offline(self) -> bool {
        self == Origin::Offline
    }

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Offline => "offline",
            Origin::Model => "model",
            Origin::Human => "human",
        }
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopKind {
    /// It is complete.
    Done,
    /// The token limit cut it.
    Length,
    /// The model waits for tools.
    ToolCalls,
    /// The model refused.
    Refused {
        /// Its words or its class, if it gave any.
        why: String,
    },
    /// The provider paused a long turn; send the conversation again to go on.
    Paused,
    /// A reason we do not know, as the provider wrote it.
    Other(String),
}

/// Tokens used by one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// Input tokens that were not cached.
    pub input_uncached: u64,
    /// Input tokens read from a cache.
    pub input_cache_read: u64,
    /// Input tokens written to a cache.
    pub input_cache_write: u64,
    /// Output tokens the caller sees.
    pub output_visible: u64,
    /// Output tokens of reasoning.
    pub output_reasoning: u64,
    /// False when any of them is an estimate.
    pub exact: bool,
}

impl Usage {
    /// All tokens.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input_uncached
            + self.input_cache_read
            + self.input_cache_write
            + self.output_visible
            + self.output_reasoning
    }

    /// The sum of two answers.
    #[must_use]
    pub fn plus(&self, other: &Usage) -> Usage {
        Usage {
            input_uncached: self.input_uncached + other.input_uncached,
            input_cache_read: self.input_cache_read + other.input_cache_read,
            input_cache_write: self.input_cache_write + other.input_cache_write,
            output_visible: self.output_visible + other.output_visible,
            output_reasoning: self.output_reasoning + other.output_reasoning,
            exact: self.exact && other.exact,
        }
    }
}

/// A call of a tool, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Links the result to the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments. Text that was no JSON is kept as a string, for the model to see its own fault.
    pub args: Value,
}

/// A sentence of an answer that stands in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// The id of the source.
    pub source: String,
    /// The words as they stand there.
    pub quote: String,
}

/// One piece of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Delta {
    /// The model has started; always first.
    Started {
        /// The provider.
        provider: String,
        /// The model that answers.
        model: String,
        /// What its text counts as.
        origin: Origin,
    },
    /// Words of the variant with this index, from 0.
    Text {
        /// The variant; 0 when there is one answer.
        choice: u32,
        /// The next words.
        text: String,
    },
    /// Words of reasoning, never part of the answer.
    Reasoning {
        /// The next words.
        text: String,
    },
    /// A piece of reasoning is complete, as the provider wants it back in the next request: opaque, and readable by
    /// that provider alone. Other pieces that only it understands come in the same way.
    ReasoningPart {
        /// The provider it belongs to; with the model behind a slash when only that model can read it.
        provider: String,
        /// Its value as the provider sent it.
        data: Value,
    },
    /// A tool call begins.
    ToolCallStart {
        /// Links the pieces.
        id: String,
        /// The tool.
        name: String,
    },
    /// The next characters of its arguments, as JSON text.
    ToolCallArgs {
        /// The call.
        id: String,
        /// JSON text, possibly cut anywhere.
        json: String,
    },
    /// The call is complete.
    ToolCallEnd {
        /// The call.
        id: String,
    },
    /// A source stands behind words of the answer.
    Cited(Citation),
    /// Tokens used; comes once, before `Done`.
    Usage(Usage),
    /// Something was left out or cut; a word and an explanation.
    Warning {
        /// Stable word: `parameter_dropped`, `prompt_cut`.
        code: String,
        /// For a reader.
        message: String,
    },
    /// Another model starts again from the beginning: what came before counts no more.
    Restarted,
    /// The end.
    Done(StopKind),
}

impl Delta {
    /// Words of the only answer.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Delta::Text { choice: 0, text: text.into() }
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The words; of the first variant when several were asked for.
    pub text: String,
    /// Every variant, when more than one was asked for; the first equals `text`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// The parsed answer, when a schema was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Tools the model wants called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Pieces that go back to the provider unchanged in the next request: provider and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasoning: Vec<(String, Value)>,
    /// Sources behind the words, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<Citation>,
    /// Tokens used.
    pub usage: Usage,
    /// Why it ended.
    pub stop: StopKind,
    /// What was left out or cut: code and explanation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<(String, String)>,
    /// What the text counts as.
    pub origin: Origin,
    /// The provider that answered.
    pub provider: String,
    /// The model that answered.
    pub model: String,
}

impl Answer {
    /// True when the offline model made it.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.origin.is_offline()
    }

    /// The answer as the next message of the conversation: reasoning, words, tool calls.
    #[must_use]
    pub fn message(&self) -> Message {
        let mut parts: Vec<Part> = Vec::new();
        for (provider, data) in &self.reasoning {
            parts.push(PartBody::Reasoning { provider: provider.clone(), data: data.clone() }.into());
        }
        if !self.text.is_empty() {
            parts.push(Part::text(&self.text));
        }
        for call in &self.tool_calls {
            let ToolCall { id, name, args } = call.clone();
            parts.push(PartBody::ToolCall { id, name, args }.into());
        }
        Message::new(Role::Assistant, parts.into_iter().map(|part| part.tainted(Taint::Model)).collect())
    }

    /// Joins a stream; parses and checks the text when `wanted` is the schema of the request.
    ///
    /// # Errors
    /// The error of the stream; `Unavailable` (code `truncated`) when it ended without `Done`; `Corrupted` (code
    /// `invalid_output`, [`BadAnswer`] behind it) or `Blocked` (code `refused`) when a schema was wanted and not met.
    pub async fn join(mut stream: DeltaStream, wanted: Option<&Value>) -> Result<Answer> {
        let mut joined = Joined::default();
        while let Some(delta) = stream.next().await {
            joined.take(delta?);
        }
        joined.finish(wanted)
    }
}

/// An answer on its way.
#[derive(Debug, Default)]
struct Joined {
    choices: BTreeMap<u32, String>,
    calls: Vec<(String, String, String)>,
    reasoning: Vec<(String, Value)>,
    citations: Vec<Citation>,
    usage: Usage,
    warnings: Vec<(String, String)>,
    started: Option<(String, String, Origin)>,
    stop: Option<StopKind>,
}

impl Joined {
    fn take(&mut self, delta: Delta) {
        match delta {
            Delta::Started { provider, model, origin } => self.started = Some((provider, model, origin)),
            Delta::Text { choice, text } => self.choices.entry(choice).or_default().push_str(&text),
            Delta::Reasoning { .. } | Delta::ToolCallEnd { .. } => {}
            Delta::ReasoningPart { provider, data } => self.reasoning.push((provider, data)),
            Delta::ToolCallStart { id, name } => self.calls.push((id, name, String::new())),
            Delta::ToolCallArgs { id, json } => {
                if let Some(call) = self.calls.iter_mut().rev().find(|c| c.0 == id) {
                    call.2.push_str(&json);
                }
            }
            Delta::Cited(citation) => self.citations.push(citation),
            Delta::Usage(usage) => self.usage = usage,
            Delta::Warning { code, message } => self.warnings.push((code, message)),
            Delta::Restarted => *self = Joined::default(),
            Delta::Done(stop) => self.stop = Some(stop),
        }
    }

    fn finish(mut self, wanted: Option<&Value>) -> Result<Answer> {
        let (Some(stop), Some((provider, model, origin))) = (self.stop.take(), self.started.take()) else {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "llm.call",
                "the answer ended before its last piece: call again",
            )
            .with_code("truncated")
            .with_retry(Retry::Backoff));
        };
        let text = self.choices.values().next().cloned().unwrap_or_default();
        let json = match wanted {
            Some(schema) if self.calls.is_empty() => {
                let parsed = parse(&text, schema, &stop);
                Some(parsed.map_err(|error| match error.code() {
                    "invalid_output" => error.with_source(BadAnswer::new(text.clone(), self.usage)),
                    _ => error,
                })?)
            }
            _ => None,
        };
        let tool_calls = self.calls.into_iter().map(|(id, name, args)| call(id, name, args)).collect();
        let variants = if self.choices.len() > 1 { self.choices.into_values().collect() } else { Vec::new() };
        Ok(Answer {
            text,
            variants,
            json,
            tool_calls,
            reasoning: self.reasoning,
            citations: self.citations,
            usage: self.usage,
            stop,
            warnings: self.warnings,
            origin,
            provider,
            model,
        })
    }
}

fn call(id: String, name: String, args: String) -> ToolCall {
    let args = if args.trim().is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        serde_json::from_str(&args).unwrap_or(Value::String(args))
    };
    ToolCall { id, name, args }
}

fn parse(text: &str, schema: &Value, stop: &StopKind) -> Result<Value> {
    if let StopKind::Refused { .. } = stop {
        return Err(
            Error::new(ErrorKind::Blocked, "llm.call", "the model refused to answer").with_code("refused")
        );
    }
    let invalid =
        |message: String| Error::new(ErrorKind::Corrupted, "llm.call", message).with_code("invalid_output");
    let mut value: Value = serde_json::from_str(unfenced(text))
        .map_err(|cause| invalid(format!("expected JSON of the asked schema: {cause}")))?;
    let mut faults = schema::check(schema, &value)?;
    if !faults.is_empty() {
        // A provider that was held to a stricter form says null for what was left out.
        schema::raise(schema, schema, &mut value, 0);
        faults = schema::check(schema, &value)?;
    }
    if faults.is_empty() {
        return Ok(value);
    }
    let mut words: Vec<String> =
        faults.iter().take(FAULTS).map(|f| format!("{}: {}", f.field, f.message)).collect();
    if faults.len() > FAULTS {
        words.push(format!("and {} more", faults.len() - FAULTS));
    }
    Err(invalid(words.join("; ")))
}

/// The text inside a code fence, which models without a schema put around JSON.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) else { return text };
    inner.strip_prefix("json").unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use serde_json::json;

    fn started() -> Delta {
        Delta::Started { provider: "p".into(), model: "m".into(), origin: Origin::Model }
    }

    async fn join(deltas: Vec<Delta>, wanted: Option<&Value>) -> Result<Answer> {
        Answer::join(Box::pin(stream::iter(deltas.into_iter().map(Ok))), wanted).await
    }

    #[tokio::test]
    async fn a_stream_without_its_end_is_truncated() {
        let err = join(vec![started(), Delta::text("half")], None).await.unwrap_err();
        assert_eq!((err.kind(), err.code()), (ErrorKind::Unavailable, "truncated"));
        assert!(err.is_retryable());
    }

    #[tokio::test]
    async fn arguments_are_joined_and_broken_ones_kept_as_text() {
        let deltas = |json: &str| {
            vec![
                started(),
                Delta::ToolCallStart { id: "1".into(), name: "t".into() },
                Delta::ToolCallArgs { id: "1".into(), json: "{\"a\":".into() },
                Delta::ToolCallArgs { id: "1".into(), json: json.into() },
                Delta::ToolCallEnd { id: "1".into() },
                Delta::Done(StopKind::ToolCalls),
            ]
        };
        assert_eq!(join(deltas("1}"), None).await.unwrap().tool_calls[0].args, json!({"a": 1}));
        assert_eq!(join(deltas("1"), None).await.unwrap().tool_calls[0].args, json!("{\"a\":1"));
    }

    #[tokio::test]
    async fn json_is_checked_against_the_schema() {
        let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
        let say = |text: &str, stop| vec![started(), Delta::text(text), Delta::Done(stop)];
        let good = join(say("{\"n\":1}", StopKind::Done), Some(&schema)).await.unwrap();
        assert_eq!(good.json, Some(json!({"n": 1})));
        let fenced = join(say("```json\n{\"n\": 2}\n```", StopKind::Done), Some(&schema)).await.unwrap();
        assert_eq!(fenced.json, Some(json!({"n": 2})));
        let bad = join(say("{\"n\":\"x\"}", StopKind::Done), Some(&schema)).await.unwrap_err();
        assert_eq!((bad.kind(), bad.code()), (ErrorKind::Corrupted, "invalid_output"));
        let no = join(say("I will not", StopKind::Refused { why: "policy".into() }), Some(&schema)).await;
        assert_eq!(no.unwrap_err().code(), "refused");
    }
}
