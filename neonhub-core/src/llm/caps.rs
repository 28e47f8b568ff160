//! What a model can do, and how large a request is.

use serde::{Deserialize, Serialize};

use super::part::PartBody;
use super::request::LlmRequest;

/// Bytes of UTF-8 per token in the estimate: an upper side for English and most languages in Latin script.
const BYTES_PER_TOKEN: f64 = 3.2;
/// Tokens added per message for the marks around it.
const PER_MESSAGE: u64 = 4;

/// Capabilities of one model. A model nobody knows gets the conservative [`Default`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelCaps {
    /// The model they belong to.
    pub model: String,
    /// Tokens of input and output together.
    pub context_tokens: u64,
    /// Most tokens of one answer.
    pub max_output_tokens: u64,
    /// Calls tools.
    pub tools: bool,
    /// Answers in JSON of a given schema.
    pub json_schema: bool,
    /// Sees pictures.
    pub images_in: bool,
    /// Reads documents.
    pub documents_in: bool,
    /// Takes temperature and `top_p`.
    pub sampling: bool,
    /// Gives the same answer for the same seed.
    pub seeded: bool,
    /// Takes a wish how much to think.
    #[serde(default)]
    pub reasoning: bool,
    /// Can be made to call a tool, or one named tool.
    #[serde(default)]
    pub forced_choice: bool,
}

impl Default for ModelCaps {
    fn default() -> Self {
        ModelCaps {
            model: String::new(),
            context_tokens: 8_192,
            max_output_tokens: 2_048,
            tools: false,
            json_schema: false,
            images_in: false,
            documents_in: false,
            sampling: true,
            seeded: false,
            reasoning: false,
            forced_choice: false,
        }
    }
}

impl ModelCaps {
    /// Conservative capabilities of `model`.
    #[must_use]
    pub fn unknown(model: impl Into<String>) -> Self {
        ModelCaps { model: model.into(), ..Self::default() }
    }
}

/// How many tokens a text or request holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCount {
    /// Tokens.
    pub tokens: u64,
    /// False when it is an estimate.
    pub exact: bool,
}

impl TokenCount {
    /// `ceil(bytes / 3.2)`, an estimate on the high side.
    #[must_use]
    pub fn of_text(text: &str) -> u64 {
        Self::of_bytes(text.len())
    }

    /// The same, for a number of bytes.
    #[must_use]
    pub(crate) fn of_bytes(bytes: usize) -> u64 {
        (bytes as f64 / BYTES_PER_TOKEN).ceil() as u64
    }

    /// The estimate for a whole request: texts, tools, schema and 4 tokens per message.
    #[must_use]
    pub fn estimate(request: &LlmRequest) -> Self {
        let mut tokens = request.messages.len() as u64 * PER_MESSAGE;
        for part in request.parts() {
            tokens += match &part.body {
                PartBody::Text { text } => Self::of_text(text),
                PartBody::Image { .. } | PartBody::Document { .. } => 0,
                PartBody::ToolCall { name, args, .. } => {
                    Self::of_text(name) + Self::of_text(&args.to_string())
                }
                PartBody::ToolResult { name, output, .. } => {
                    Self::of_text(name) + Self::of_text(&output.to_string())
                }
                PartBody::Reasoning { data, .. } => Self::of_text(&data.to_string()),
            };
        }
        for tool in &request.tools {
            tokens += Self::of_text(&tool.name) + Self::of_text(&tool.doc);
            tokens += Self::of_text(&tool.input_schema.to_string());
        }
        if let Some(schema) = &request.output_schema {
            tokens += Self::of_text(&schema.to_string());
        }
        TokenCount { tokens, exact: false }
    }
}
