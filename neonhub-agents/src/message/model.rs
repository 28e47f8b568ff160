//! A message and whom it is for.

use neonhub_core::Timestamp;
use neonhub_core::run::Failure;
use neonhub_core::store::{Index, Key, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Messages that follow from each other at most.
// Rule of agents, section 7: eight.
pub(super) const MAX_DEPTH: u8 = 8;

/// What a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// An answer is wanted by its deadline.
    Request,
    /// The answer to a request; each has one.
    Reply,
    /// News.
    #[default]
    Inform,
    /// A contradiction to another message, which is kept beside it.
    Objection,
}

impl MessageKind {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            MessageKind::Request => "request",
            MessageKind::Reply => "reply",
            MessageKind::Inform => "inform",
            MessageKind::Objection => "objection",
        }
    }
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
pub enum MessageTo {
    /// The run of an agent that takes it first.
    Agent {
        /// The agent.
        name: String,
    },
    /// One run.
    Run {
        /// The run.
        id: String,
    },
    /// Whoever reads the topic.
    Topic {
        /// The topic: 1 to 80 of `a-z 0-9 _ - .`
        name: String,
    },
}

impl MessageTo {
    /// The kind and the name.
    pub(super) fn parts(&self) -> (&'static str, &str) {
        match self {
            MessageTo::Agent { name } => ("agent", name),
            MessageTo::Run { id } => ("run", id),
            MessageTo::Topic { name } => ("topic", name),
        }
    }

    pub(super) fn key(&self) -> Key {
        let (kind, name) = self.parts();
        Key::text(kind).and_text(name)
    }
}

/// Who sent a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageFrom {
    /// The principal in short: `agent:campaign`, `user:ada`.
    pub by: String,
    /// The agent, when one sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// A message between agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentMessage {
    /// Its id.
    pub id: String,
    /// Who sent it.
    pub from: MessageFrom,
    /// Whom it is for.
    #[serde(rename = "for")]
    pub to: MessageTo,
    /// What it is about: 1 to 80 of `a-z 0-9 _ - .`
    pub topic: String,
    /// What it is.
    pub kind: MessageKind,
    /// JSON Schema of the body; null: anything.
    #[serde(default)]
    pub schema: Value,
    /// What it says. Null for readers whom it is not for and who may not see personal data.
    pub body: Value,
    /// Joins a request with all that follows from it.
    pub correlation: String,
    /// The message that it answers or contradicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// Until when an answer is due; of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Messages before it that it follows from, up to 8.
    pub depth: u8,
    /// When it was sent.
    pub at: Timestamp,
    /// The run that has taken it with `bus.receive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<String>,
    /// What became of a request that nobody answered in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Record for AgentMessage {
    const KIND: &'static str = "agent_message";
    const INDEXES: &'static [Index] = &[
        Index::on("to"),
        Index::on("open"),
        Index::on("reader"),
        Index::on("correlation"),
        Index::unique("reply"),
    ];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let is_open = self.taken_by.is_none() && !matches!(self.to, MessageTo::Topic { .. });
        let answered = self.in_reply_to.as_ref().filter(|_| self.kind == MessageKind::Reply);
        vec![
            Some(self.to.key().and_time(self.at)),
            is_open.then(|| self.to.key().and_time(self.at)),
            self.reader().map(|run| Key::text(run).and_int(i64::from(self.depth))),
            Some(Key::text(&self.correlation).and_time(self.at)),
            answered.map(Key::text),
        ]
    }
}

impl AgentMessage {
    /// The run that it has come to: the one it is for, or the one that took it.
    pub(super) fn reader(&self) -> Option<&str> {
        match &self.to {
            MessageTo::Run { id } => Some(id),
            _ => self.taken_by.as_deref(),
        }
    }
}

/// The name of the signal that a run is woken by when its request is answered.
pub(super) fn answer_signal(request: &str) -> String {
    format!("message/{request}")
}

/// True for a word of a topic.
pub(super) fn is_topic(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b);
    (1..=80).contains(&text.len()) && text.bytes().all(fits)
}
