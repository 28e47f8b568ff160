//! Operations that change conversations.

use std::collections::BTreeMap;

use neonhub_core::bus::Event;
use neonhub_core::llm::Taint;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Key, Query, Record, Stored};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::embed::enqueue;
use super::model::{
    Conversation, ConversationId, ConversationKind, ConversationStatus, Message, MessageId, MessagePart,
    MessageRole,
};
use super::ops_summary::enqueue_when_long;
use super::summary::size;

/// Messages that are read at once.
const PAGE: usize = 500;
/// Most characters of one message.
const MAX_CHARS: usize = 100_000;

/// A conversation that the caller may read.
pub(super) async fn need(cx: &Scope, id: &ConversationId) -> Result<Stored<Conversation>> {
    let conversation = cx.need::<Conversation>(id.as_str()).await?;
    if conversation.may_read(cx) { Ok(conversation) } else { Err(cx.missing("conversation")) }
}

/// Starts a conversation.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartConversation {
    /// What it is for. Default: `ad_hoc`.
    #[serde(default)]
    pub kind: ConversationKind,
    /// Title, 1 to 200 characters.
    pub title: String,
    /// Names or ids of who takes part, up to 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
}

impl Operation for StartConversation {
    type Output = Conversation;
    const NAME: &'static str = "conversations.start";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;

    async fn run(self, cx: &Scope) -> Result<Conversation> {
        let mut faults = Faults::new();
        let fits = |text: &str| !text.trim().is_empty() && text.chars().count() <= 200;
        faults.check(fits(&self.title), "title", "expected 1 to 200 characters");
        let participants = self.participants.len() <= 100 && self.participants.iter().all(|p| fits(p));
        faults.check(participants, "participants", "expected up to 100 names of 1 to 200 characters");
        for (field, value) in [("agent", &self.agent), ("person", &self.person), ("campaign", &self.campaign)]
        {
            faults.check(value.as_deref().is_none_or(fits), field, "expected 1 to 200 characters");
        }
        faults.into_result(Self::NAME)?;
        let conversation = Conversation {
            id: ConversationId::new(cx),
            kind: self.kind,
            title: self.title,
            participants: self.participants,
            agent: self.agent,
            person: self.person,
            campaign: self.campaign,
            status: ConversationStatus::Open,
            messages: 0,
            tokens: 0,
            created_at: cx.now(),
            last_at: cx.now(),
            merged_into: None,
            absorbed: false,
        };
        cx.create(&conversation)?;
        announce(cx, "conversation.started", &conversation)?;
        Ok(conversation)
    }

    fn examples() -> Vec<Self> {
        vec![StartConversation { title: "Spring launch".into(), ..Self::default() }]
    }
}

fn announce(cx: &Scope, word: &str, conversation: &Conversation) -> Result<()> {
    let data = json!({ "kind": conversation.kind, "status": conversation.status });
    cx.emit(Event::new(cx, word, Conversation::KIND, conversation.id.as_str(), data))
}

/// Adds a message to a conversation. A closed one opens again, and one that waited for an answer no longer does. The message is found by its words at once, and by
/// its meaning when the job that embeds it has run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendMessage {
    /// The conversation.
    pub conversation: ConversationId,
    /// In whose role it speaks. Default: `user`.
    #[serde(default)]
    pub role: MessageRole,
    /// Name or id of who wrote it.
    pub author: String,
    /// What it holds, 1 to 50 parts with up to 100 000 characters in all.
    pub parts: Vec<MessagePart>,
    /// The message it answers; it then belongs to the thread of that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to_id: Option<MessageId>,
    /// The run that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// How far its text can be trusted. Default: by the role, `user` for a user and `model` for an assistant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taint: Option<Taint>,
    /// True when somebody is to answer it: the conversation is then `pending` until the next message. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_reply: bool,
}

impl AppendMessage {
    /// A message of words by a user.
    #[must_use]
    pub fn of(conversation: ConversationId, author: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            conversation,
            role: MessageRole::User,
            author: author.into(),
            parts: vec![MessagePart::Text { text: text.into() }],
            reply_to_id: None,
            run_id: None,
            taint: None,
            awaits_reply: false,
        }
    }

    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let author = !self.author.trim().is_empty() && self.author.chars().count() <= 200;
        faults.check(author, "author", "expected 1 to 200 characters");
        faults.check((1..=50).contains(&self.parts.len()), "parts", "expected 1 to 50 parts");
        let says = |part: &MessagePart| match part {
            MessagePart::Text { text } => !text.trim().is_empty(),
            MessagePart::File { .. } => true,
        };
        let is_blank = !self.parts.is_empty() && !self.parts.iter().any(says);
        faults.check(!is_blank, "parts", "expected words or a file");
        let chars = |part: &MessagePart| match part {
            MessagePart::Text { text } => text.chars().count(),
            MessagePart::File { .. } => 0,
        };
        let fits = self.parts.iter().map(chars).sum::<usize>() <= MAX_CHARS;
        faults.check(fits, "parts", "expected at most 100000 characters: send the text as a file");
        faults.into_result(Self::NAME)
    }
}

impl Operation for AppendMessage {
    type Output = Message;
    const NAME: &'static str = "conversations.append";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<Message> {
        self.check()?;
        let mut conversation = need(cx, &self.conversation).await?;
        if conversation.merged_into.is_some() {
            let message = "the conversation was merged into another one: append to that one";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
        }
        let thread_id = match &self.reply_to_id {
            None => None,
            Some(id) => {
                let answered = cx.get::<Message>(id.as_str()).await?.map(|m| m.body);
                let answered = answered.filter(|m| m.conversation == self.conversation);
                let expected = "expected a message of the same conversation";
                let answered = answered.ok_or_else(|| Error::invalid(Self::NAME, "reply_to_id", expected))?;
                Some(answered.thread_id.unwrap_or(answered.id))
            }
        };
        let message = Message {
            id: MessageId::new(cx),
            conversation: self.conversation,
            merged_from: None,
            person: conversation.person.clone(),
            role: self.role,
            author: self.author.clone(),
            parts: self.parts,
            reply_to_id: self.reply_to_id,
            thread_id,
            // Who wrote it has read it.
            read_at: BTreeMap::from([(self.author, cx.now())]),
            run_id: self.run_id,
            taint: self.taint.unwrap_or(match self.role {
                MessageRole::System => Taint::FirstParty,
                MessageRole::User => Taint::User,
                MessageRole::Assistant => Taint::Model,
                MessageRole::Tool => Taint::ThirdPartyTool,
            }),
            created_at: cx.now(),
            edited_at: None,
        };
        cx.create(&message)?;
        conversation.body.messages += 1;
        conversation.body.tokens += u64::from(size(&message));
        conversation.body.last_at = conversation.body.last_at.max(cx.now());
        conversation.body.status = match self.awaits_reply {
            true => ConversationStatus::Pending,
            false => ConversationStatus::Open,
        };
        cx.save(&conversation)?;
        if !message.text().trim().is_empty() {
            enqueue(cx, &message.id)?;
            enqueue_when_long(cx, &conversation).await?;
        }
        let data = json!({ "conversation": message.conversation, "role": message.role });
        cx.emit(Event::new(cx, "message.added", Message::KIND, message.id.as_str(), data))?;
        Ok(message)
    }

    fn examples() -> Vec<Self> {
        let of = |id| AppendMessage::of(id, "mila", "When do we launch?");
        example_id().map(of).into_iter().collect()
    }
}

pub(super) fn example_id() -> Option<ConversationId> {
    "cnv_01kaf3w0000000000000000000".parse().ok()
}

/// Closes a conversation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseConversation {
    /// The conversation.
    pub conversation: ConversationId,
}

impl Operation for CloseConversation {
    type Output = Conversation;
    const NAME: &'static str = "conversations.close";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Conversation> {
        let mut conversation = need(cx, &self.conversation).await?;
        if conversation.status != ConversationStatus::Closed {
            conversation.body.status = ConversationStatus::Closed;
            cx.save(&conversation)?;
            announce(cx, "conversation.closed", &conversation)?;
        }
        Ok(conversation.body)
    }

    fn examples() -> Vec<Self> {
        example_id().map(|conversation| CloseConversation { conversation }).into_iter().collect()
    }
}

/// Marks the messages of a conversation as read by a user, up to one of them. Gives how many were marked, all in one
/// commit however many they are.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkRead {
    /// The conversation.
    pub conversation: ConversationId,
    /// Name or id of the user.
    pub user: String,
    /// The last message that was read. Default: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<MessageId>,
}

impl Operation for MarkRead {
    type Output = u64;
    const NAME: &'static str = "conversations.mark_read";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<u64> {
        if self.user.trim().is_empty() || self.user.chars().count() > 200 {
            return Err(Error::invalid(Self::NAME, "user", "expected 1 to 200 characters"));
        }
        need(cx, &self.conversation).await?;
        if let Some(id) = &self.up_to {
            let last = cx.get::<Message>(id.as_str()).await?;
            if last.is_none_or(|last| last.conversation != self.conversation) {
                let expected = "expected a message of the conversation";
                return Err(Error::invalid(Self::NAME, "up_to", expected));
            }
        }
        let (mut marked, mut pages) = (0, Pages::of(&self.conversation));
        while let Some(page) = pages.next(cx).await? {
            for mut message in page {
                let is_last = self.up_to.as_ref() == Some(&message.body.id);
                if !message.is_read(&self.user) {
                    message.body.read_at.insert(self.user.clone(), cx.now());
                    cx.save(&message)?;
                    marked += 1;
                }
                if is_last {
                    return Ok(marked);
                }
            }
        }
        Ok(marked)
    }

    fn examples() -> Vec<Self> {
        let of = |conversation| MarkRead { conversation, user: "mila".into(), up_to: None };
        example_id().map(of).into_iter().collect()
    }
}

/// The messages of a conversation by time, page by page.
pub(super) struct Pages {
    query: Query,
    is_over: bool,
}

impl Pages {
    pub(super) fn of(id: &ConversationId) -> Self {
        let query = Query::index("conversation_time").prefix(Key::text(id.as_str())).limit(PAGE);
        Self { query, is_over: false }
    }

    /// The next page; nothing after the last one.
    pub(super) async fn next(&mut self, cx: &Scope) -> Result<Option<Vec<Stored<Message>>>> {
        if self.is_over {
            return Ok(None);
        }
        cx.cancel_token().check(cx.operation())?;
        let page = cx.query::<Message>(&self.query).await?;
        self.is_over = page.len() < PAGE;
        let Some(last) = page.last() else { return Ok(None) };
        let key = last.body.keys().into_iter().next().flatten().unwrap_or_default();
        self.query = self.query.clone().after(key, last.body.id.as_str());
        Ok(Some(page))
    }
}
