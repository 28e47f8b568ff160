//! Records of conversations.

use std::collections::BTreeMap;

use neonhub_core::llm::Taint;
use neonhub_core::store::{Index, Key, Record};
use neonhub_core::{Permission, Scope, Timestamp, id::check_id, id_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

id_type!(ConversationId, "cnv", "A conversation.");
id_type!(MessageId, "msg", "A message.");

/// A conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// What it is for.
    pub kind: ConversationKind,
    /// Title.
    pub title: String,
    /// Names or ids of who takes part.
    pub participants: Vec<String>,
    /// The agent that takes part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The person it is with. Reading it then needs `read:people`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The campaign it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Status.
    pub status: ConversationStatus,
    /// Number of messages.
    pub messages: u64,
    /// Their size in tokens.
    #[serde(default)]
    pub tokens: u64,
    /// When it began.
    pub created_at: Timestamp,
    /// When the last message came, or when it began.
    pub last_at: Timestamp,
    /// The conversation that took its messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<ConversationId>,
    /// True when messages of another conversation were merged into it.
    #[serde(default)]
    pub absorbed: bool,
}

/// What a conversation is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Help for a customer.
    Support,
    /// Work on a campaign.
    Campaign,
    /// Plans.
    Planning,
    /// Anything else.
    #[default]
    AdHoc,
}

impl ConversationKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Campaign => "campaign",
            Self::Planning => "planning",
            Self::AdHoc => "ad_hoc",
        }
    }
}

/// Status of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationStatus {
    /// Going on.
    #[default]
    Open,
    /// Waits for an answer.
    Pending,
    /// Ended; a new message opens it again.
    Closed,
}

impl Record for Conversation {
    const KIND: &'static str = "conversation";
    const INDEXES: &'static [Index] = &[Index::on("last"), Index::on("kind_last"), Index::on("person_last")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        // One that was merged away is listed under the other.
        let is_listed = self.merged_into.is_none();
        let person = self.person.as_ref().filter(|_| is_listed);
        vec![
            is_listed.then(|| Key::new().and_time(self.last_at)),
            is_listed.then(|| Key::text(self.kind.word()).and_time(self.last_at)),
            person.map(|p| Key::text(p).and_time(self.last_at)),
        ]
    }
    fn personal(&self) -> Vec<String> {
        persons(self.person.as_ref(), &self.participants)
    }
}

/// The persons of a record: the one it is about, and those among its names that are ids of persons.
fn persons<'n>(about: Option<&'n String>, names: impl IntoIterator<Item = &'n String>) -> Vec<String> {
    let is_person = |name: &&String| check_id("person", "per", name).is_ok();
    let mut out: Vec<String> =
        about.into_iter().chain(names.into_iter().filter(is_person)).cloned().collect();
    out.sort_unstable();
    out.dedup();
    out
}

impl Conversation {
    /// True when the caller may read it: one with a person needs `read:people`.
    pub(super) fn may_read(&self, cx: &Scope) -> bool {
        self.person.is_none() || cx.permissions().has(Permission::ReadPeople)
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The conversation it stands in now.
    pub conversation: ConversationId,
    /// The conversation it came from, when that was merged into this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_from: Option<ConversationId>,
    /// The person its conversation is with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// In whose role it speaks.
    pub role: MessageRole,
    /// Name or id of who wrote it.
    pub author: String,
    /// What it holds.
    pub parts: Vec<MessagePart>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to_id: Option<MessageId>,
    /// The first message of its thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<MessageId>,
    /// When each user read it.
    pub read_at: BTreeMap<String, Timestamp>,
    /// The run that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// How far its text can be trusted.
    pub taint: Taint,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
}

/// In whose role a message speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// Instructions of the application.
    System,
    /// A person.
    #[default]
    User,
    /// A model.
    Assistant,
    /// The answer of a tool.
    Tool,
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum MessagePart {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// A file that the store keeps.
    File {
        /// SHA-256 of the file, as hex.
        blob: String,
        /// File name.
        name: String,
        /// MIME type.
        mime: String,
    },
}

impl Record for Message {
    const KIND: &'static str = "message";
    const INDEXES: &'static [Index] = &[Index::on("conversation_time"), Index::on("thread_time")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let thread = self.thread_id.as_ref().unwrap_or(&self.id);
        vec![
            Some(Key::text(self.conversation.as_str()).and_time(self.created_at)),
            Some(Key::text(thread.as_str()).and_time(self.created_at)),
        ]
    }
    fn personal(&self) -> Vec<String> {
        persons(self.person.as_ref(), [&self.author])
    }
}

impl Message {
    /// Whether a user has read it.
    #[must_use]
    pub fn is_read(&self, user: &str) -> bool {
        self.read_at.contains_key(user)
    }

    /// Its words.
    pub(crate) fn text(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match part {
            MessagePart::Text { text } => Some(text.as_str()),
            MessagePart::File { .. } => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

/// The vector of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageEmbedding {
    /// The message; also the id of this record.
    pub message: MessageId,
    /// The persons that the message is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<String>,
    /// Embedder that made it.
    pub embedder: String,
    /// Length of the vector.
    pub dims: u32,
    /// The vector: half-precision numbers, little endian, in base64.
    pub vector: String,
}

impl Record for MessageEmbedding {
    const KIND: &'static str = "message_embedding";
    fn id(&self) -> &str {
        self.message.as_str()
    }
    fn personal(&self) -> Vec<String> {
        self.persons.clone()
    }
}
