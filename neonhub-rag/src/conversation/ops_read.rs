//! Operations that read conversations.

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Conversation, ConversationId, ConversationKind, ConversationStatus, Message, MessageId};
use super::ops_summary::summary_of;
use super::ops_write::{example_id, need};
use super::summary::ConversationSummary;

/// Gives a conversation with a page of its messages, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetConversation {
    /// The conversation.
    pub conversation: ConversationId,
    /// Only the messages of the thread that this message began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<MessageId>,
    /// Newest messages first. Default: oldest first.
    #[serde(default)]
    pub newest_first: bool,
    /// Most messages of the page, 1..500. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A conversation with some of its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConversationPage {
    /// The conversation.
    pub conversation: Conversation,
    /// What was summarised of it, or of the thread; absent while it is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<ConversationSummary>,
    /// Its messages.
    pub messages: Vec<Message>,
    /// Where the next page starts; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Operation for GetConversation {
    type Output = ConversationPage;
    const NAME: &'static str = "conversations.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<ConversationPage> {
        let conversation = need(cx, &self.conversation).await?.body;
        let mut query = match &self.thread {
            None => Query::index("conversation_time").prefix(Key::text(self.conversation.as_str())),
            Some(first) => Query::index("thread_time").prefix(Key::text(first.as_str())),
        };
        if self.newest_first {
            query = query.descending();
        }
        let page = cx
            .page::<Message>(query.limit(self.limit.unwrap_or(50) as usize), self.cursor.as_deref())
            .await?;
        let messages = page.items.into_iter().map(|m| m.body);
        // The id of a thread may belong to another conversation.
        let messages = messages.filter(|m| m.conversation == self.conversation).collect();
        let summary = summary_of(cx, &self.conversation, self.thread.as_ref()).await?.map(|s| s.body);
        Ok(ConversationPage { conversation, summary, messages, next: page.next })
    }

    fn examples() -> Vec<Self> {
        let of = |conversation| GetConversation {
            conversation,
            thread: None,
            newest_first: false,
            limit: Some(20),
            cursor: None,
        };
        example_id().map(of).into_iter().collect()
    }
}

/// The newest messages of a conversation or thread, oldest of them first.
pub(crate) async fn tail(
    cx: &Scope,
    id: &ConversationId,
    thread: Option<&MessageId>,
    most: usize,
) -> Result<Vec<Message>> {
    need(cx, id).await?;
    let query = match thread {
        None => Query::index("conversation_time").prefix(Key::text(id.as_str())),
        Some(first) => Query::index("thread_time").prefix(Key::text(first.as_str())),
    };
    let newest = cx.query::<Message>(&query.descending().limit(most)).await?;
    // The id of a thread may belong to another conversation.
    let mut out: Vec<Message> =
        newest.into_iter().map(|m| m.body).filter(|m| m.conversation == *id).collect();
    out.reverse();
    Ok(out)
}

/// Lists conversations, the ones with the newest message first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListConversations {
    /// Only of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ConversationKind>,
    /// Only with this person. Not together with `kind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Only of this status. A page may then hold fewer than `limit`, and more may follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ConversationStatus>,
    /// Most conversations of the page, 1..500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListConversations {
    type Output = Page<Conversation>;
    const NAME: &'static str = "conversations.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<Conversation>> {
        let query = match (&self.kind, &self.person) {
            (Some(_), Some(_)) => {
                let expected = "expected one of kind and person";
                return Err(neonhub_core::Error::invalid(Self::NAME, "person", expected));
            }
            (Some(kind), None) => Query::index("kind_last").prefix(Key::text(kind.word())),
            (None, Some(person)) => Query::index("person_last").prefix(Key::text(person)),
            // Every listed conversation has a key of this index, the others have none.
            (None, None) => Query::index("last").prefix(Key::new()),
        };
        let query = query.descending().limit(self.limit.unwrap_or(50) as usize);
        let page = cx.page::<Conversation>(query, self.cursor.as_deref()).await?;
        let is_wanted =
            |c: &Conversation| c.may_read(cx) && self.status.is_none_or(|status| status == c.status);
        let items = page.items.into_iter().map(|c| c.body).filter(is_wanted).collect();
        Ok(Page { items, next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListConversations { kind: Some(ConversationKind::Support), ..Self::default() }]
    }
}
