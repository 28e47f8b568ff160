//! What is asked of a model, in words no provider owns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::part::{Message, Part, PartBody, Role};
use super::task::OfflineTask;
use crate::{Error, Faults, Result, Timestamp};

/// Stop sequences one request may carry.
const MAX_STOP: usize = 4;
/// Seeds stay below 2^53, so that every language and RFC 8785 write them exactly.
pub(crate) const MAX_SEED: u64 = (1 << 53) - 1;

/// A tool as a model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// `[a-z0-9_.]`, 1 to 64 characters.
    pub name: String,
    /// What it does and when to use it.
    pub doc: String,
    /// JSON Schema of the arguments, an object.
    pub input_schema: Value,
}

/// Whether the model must, may or must not call a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No tool.
    None,
    /// At least one tool.
    Required,
    /// This tool.
    Named(String),
}

/// How much a model may think before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reasoning {
    /// Not at all.
    None,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As much as the model can.
    Max,
}

/// Where the stable prefix of a request may be cached by a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheHint {
    /// After the tools.
    Tools,
    /// After the system parts.
    System,
    /// After the message with this index, from 0.
    Message(u32),
}

/// One request to a model. Only what is set is sent.
///
/// ```
/// use neonhub_core::llm::LlmRequest;
/// let request = LlmRequest::new().system("Answer in one sentence.").user("What is a consent ledger?").seed(1);
/// assert_eq!(request.hash()?, request.clone().hash()?);
/// # Ok::<(), neonhub_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LlmRequest {
    /// The model by name. Neither model nor route: the default of the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The route by name, when the router chooses the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Instructions; part of the stable prefix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<Part>,
    /// The conversation, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// Tools the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// Whether it must.
    pub tool_choice: ToolChoice,
    /// JSON Schema (2020-12) of the answer, when it is to be JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Most tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Sampling temperature, 0..=2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0..=1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts that end the answer; at most 4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Makes the answer repeatable where the model allows it; below 2^53.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How much the model may think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
    /// Where the prefix may be cached; no influence on the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_hints: Vec<CacheHint>,
    /// What the answer is for, one word: `compose`, `classify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Words for metering and traces; no influence on the answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When the answer is no longer of use; no influence on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How the offline model is to do this; every other model ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineTask>,
}

impl LlmRequest {
    /// An empty request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the model.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Adds an instruction.
    #[must_use]
    pub fn system(mut self, part: impl Into<Part>) -> Self {
        self.system.push(part.into());
        self
    }

    /// Adds words of the user as a message.
    #[must_use]
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(Message::user(text))
    }

    /// Adds a message.
    #[must_use]
    pub fn message(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }

    /// Adds a retrieved chunk or other part to the last user message, or starts one with it.
    #[must_use]
    pub fn context(mut self, part: Part) -> Self {
        match self.messages.last_mut() {
            Some(last) if last.role == Role::User => last.parts.push(part),
            _ => self.messages.push(Message::new(Role::User, vec![part])),
        }
        self
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool(mut self, tool: ToolSpec) -> Self {
        self.tools.push(tool);
        self
    }

    /// Says whether tools must be used. Default: [`ToolChoice::Auto`].
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = choice;
        self
    }

    /// Asks for JSON of this schema.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// Limits the answer, in tokens.
    #[must_use]
    pub fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// Sets the seed; its upper bits are dropped so that it stays below 2^53.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed & MAX_SEED);
        self
    }

    /// Says in one word what the answer is for.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(purpose.into());
        self
    }

    /// Tells the offline model how to do this.
    #[must_use]
    pub fn offline(mut self, task: impl Into<OfflineTask>) -> Self {
        self.offline = Some(task.into());
        self
    }

    /// Every part in the order a model reads it.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.system.iter().chain(self.messages.iter().flat_map(|m| m.parts.iter()))
    }

    /// The words of the last user message that were not retrieved: the question.
    #[must_use]
    pub fn question(&self) -> Option<String> {
        let last = self.messages.iter().rev().find(|m| m.role == Role::User)?;
        let words: Vec<&str> =
            last.parts.iter().filter(|p| p.source.is_none()).filter_map(Part::as_text).collect();
        (!words.is_empty()).then(|| words.join("\n"))
    }

    /// Checks the request itself, whatever model will answer it.
    ///
    /// # Errors
    /// `InvalidInput` that lists every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        faults.check(
            !self.messages.is_empty() || !self.system.is_empty() || self.offline.is_some(),
            "messages",
            "expected at least one message",
        );
        faults.check(self.stop.len() <= MAX_STOP, "stop", "expected at most 4 stop sequences");
        faults.check(self.stop.iter().all(|s| !s.is_empty()), "stop", "expected no empty stop sequence");
        faults.check(self.seed.is_none_or(|s| s <= MAX_SEED), "seed", "expected a number below 2^53");
        let within = |v: Option<f64>, top: f64| v.is_none_or(|v| (0.0..=top).contains(&v));
        faults.check(within(self.temperature, 2.0), "temperature", "expected 0 to 2");
        faults.check(within(self.top_p, 1.0), "top_p", "expected 0 to 1");
        faults.check(self.max_output_tokens != Some(0), "max_output_tokens", "expected at least 1");
        for (i, tool) in self.tools.iter().enumerate() {
            faults.check(
                is_tool_name(&tool.name),
                format!("tools[{i}].name"),
                "expected 1 to 64 characters of a-z, 0-9, underscore and dot",
            );
            faults.check(
                tool.input_schema.is_object(),
                format!("tools[{i}].input_schema"),
                "expected a JSON Schema object",
            );
        }
        if let ToolChoice::Named(name) = &self.tool_choice {
            let known = self.tools.iter().any(|t| t.name == *name);
            faults.check(known, "tool_choice", "expected the name of one of the tools");
        }
        self.check_tool_results(&mut faults);
        faults.into_result("llm.call")
    }

    fn check_tool_results(&self, faults: &mut Faults) {
        let mut asked: Vec<&str> = Vec::new();
        for (i, message) in self.messages.iter().enumerate() {
            for part in &message.parts {
                match &part.body {
                    PartBody::ToolCall { id, .. } => asked.push(id),
                    PartBody::ToolResult { id, .. } => faults.check(
                        asked.contains(&id.as_str()),
                        format!("messages[{i}]"),
                        "expected the tool call before its result",
                    ),
                    _ => {}
                }
            }
        }
    }

    /// The RFC 8785 bytes of everything that can influence the answer; labels, deadline and the hints for caches are left out.
    ///
    /// # Errors
    /// `InvalidInput` when a number in it is not finite.
    pub fn canonical(&self) -> Result<Vec<u8>> {
        let mut bare = self.clone();
        bare.labels.clear();
        bare.deadline = None;
        bare.cache_hints.clear();
        serde_json_canonicalizer::to_vec(&bare).map_err(|cause| {
            Error::invalid("llm.call", "request", "expected only finite numbers").with_source(cause)
        })
    }

    /// SHA-256 of [`canonical`](Self::canonical), in hex: the key of a recorded answer.
    ///
    /// # Errors
    /// As [`canonical`](Self::canonical).
    pub fn hash(&self) -> Result<String> {
        Ok(hex(&Sha256::digest(self.canonical()?)))
    }
}

/// `[a-z0-9_.]{1,64}`.
fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.')
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_fault_is_listed() {
        let mut request = LlmRequest::new().tool(ToolSpec {
            name: "Send Mail".into(),
            doc: String::new(),
            input_schema: json!([]),
        });
        request.temperature = Some(9.0);
        let err = request.check().unwrap_err();
        let fields: Vec<_> = err.field_faults().iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["messages", "temperature", "tools[0].name", "tools[0].input_schema"]);
    }

    #[test]
    fn labels_and_deadline_do_not_change_the_hash() {
        let a = LlmRequest::new().user("hi").seed(3);
        let mut b = a.clone();
        b.labels.insert("run".into(), "run_1".into());
        b.deadline = Some(Timestamp::from_millis(5));
        assert_eq!(a.hash().unwrap(), b.hash().unwrap());
        assert_ne!(a.hash().unwrap(), a.clone().seed(4).hash().unwrap());
    }

    #[test]
    fn a_result_needs_its_call() {
        let orphan =
            LlmRequest::new().message(Message::new(Role::Tool, vec![Part::tool_result("t1", "x", json!(1))]));
        assert_eq!(orphan.check().unwrap_err().field_faults()[0].field, "messages[0]");
    }

    #[test]
    fn a_request_survives_json() {
        let request = LlmRequest::new()
            .system("be brief")
            .user("why")
            .context(Part::retrieved("because", super::super::Source::new("chk_1")))
            .seed(u64::MAX);
        let back: LlmRequest = serde_json::from_value(serde_json::to_value(&request).unwrap()).unwrap();
        assert_eq!(back, request);
        assert_eq!(back.question().as_deref(), Some("why"));
    }
}
