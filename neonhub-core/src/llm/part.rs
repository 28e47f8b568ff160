//! Messages and their parts; each part knows where its content came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions of the host or the agent.
    System,
    /// The caller.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

/// Where content came from, and so how far it may be trusted. Labels flow from inputs to outputs; what sends,
/// publishes, spends or remembers declares which of them it accepts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Taint {
    /// Written by the host application or NeonHub itself.
    #[default]
    FirstParty,
    /// Typed by a user.
    User,
    /// Written by a model.
    Model,
    /// Found in the knowledge base.
    Retrieved,
    /// Read from the web.
    Web,
    /// Returned by a tool of somebody else.
    ThirdPartyTool,
}

impl Taint {
    /// True for what neither the host, its users nor a model wrote: such text is shown to models between marks.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        matches!(self, Taint::Retrieved | Taint::Web | Taint::ThirdPartyTool)
    }
}

/// The document, page or record that a part was taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The id to cite: a chunk id, a URL, a tool name.
    pub id: String,
    /// What a reader would call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl Source {
    /// A source with this id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Source { id: id.into(), title: None }
    }

    /// Names it for a reader.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartBody {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// A picture, by the content hash of its blob.
    Image {
        /// Media type, such as `image/png`.
        mime: String,
        /// SHA-256 of the bytes, in hex.
        blob: String,
    },
    /// A document, by the content hash of its blob.
    Document {
        /// Media type, such as `application/pdf`.
        mime: String,
        /// SHA-256 of the bytes, in hex.
        blob: String,
    },
    /// The model asks for a tool.
    ToolCall {
        /// Links the result to the call.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments, an object.
        args: Value,
    },
    /// What the tool answered.
    ToolResult {
        /// The id of the call.
        id: String,
        /// The tool.
        name: String,
        /// What it returned.
        output: Value,
        /// True when the tool failed and `output` says why.
        #[serde(default)]
        is_error: bool,
    },
    /// Reasoning of a provider, opaque and readable by it alone; dropped when another provider answers.
    Reasoning {
        /// The provider it belongs to; with the model behind a slash when only that model can read it.
        provider: String,
        /// Its bytes as the provider sent them.
        data: Value,
    },
}

/// One piece of a message, with its label and source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What it holds.
    #[serde(flatten)]
    pub body: PartBody,
    /// Where it came from. Default: [`Taint::FirstParty`].
    #[serde(default)]
    pub taint: Taint,
    /// The document or record behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

impl Part {
    /// Words, first party.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Part::from(PartBody::Text { text: text.into() })
    }

    /// Words found in the knowledge base, to be quoted under `source`.
    #[must_use]
    pub fn retrieved(text: impl Into<String>, source: Source) -> Self {
        Part::text(text).tainted(Taint::Retrieved).from_source(source)
    }

    /// The result of a tool call.
    #[must_use]
    pub fn tool_result(id: impl Into<String>, name: impl Into<String>, output: Value) -> Self {
        Part::from(PartBody::ToolResult { id: id.into(), name: name.into(), output, is_error: false })
    }

    /// Sets the label.
    #[must_use]
    pub fn tainted(mut self, taint: Taint) -> Self {
        self.taint = taint;
        self
    }

    /// Sets the source.
    #[must_use]
    pub fn from_source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// The words of a text part.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.body {
            PartBody::Text { text } => Some(text),
            _ => None,
        }
    }
}

impl From<PartBody> for Part {
    fn from(body: PartBody) -> Self {
        Part { body, taint: Taint::FirstParty, source: None }
    }
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Part::text(text)
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Part::text(text)
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

impl Message {
    /// A message of one role.
    #[must_use]
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Message { role, parts }
    }

    /// Words of the user; labelled [`Taint::User`].
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Message::new(Role::User, vec![Part::text(text).tainted(Taint::User)])
    }

    /// Words of the model; labelled [`Taint::Model`].
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Message::new(Role::Assistant, vec![Part::text(text).tainted(Taint::Model)])
    }

    /// The text parts, joined by line breaks.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts.iter().filter_map(Part::as_text).collect::<Vec<_>>().join("\n")
    }
}
