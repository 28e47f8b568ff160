//! Conversations and their messages: threads, read marks, merging, search, and conversations like this one.
//!
//! A message is stored first and embedded by a job after the commit; until then it is found by its words. The
//! index of messages follows the change feed: in memory, or in the tables of a PostgreSQL server with pgvector. Talk that
//! fills three quarters of a context is summarised; its messages stay.

mod embed;
mod index;
mod model;
mod ops_merge;
mod ops_read;
mod ops_search;
mod ops_summary;
mod ops_write;
mod renew;
#[cfg(feature = "postgres")]
mod server;
mod summary;

use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub(crate) use embed::EmbedMessages;
pub(crate) use index::MessageIndex;
pub use model::{
    Conversation, ConversationId, ConversationKind, ConversationStatus, Message, MessageEmbedding, MessageId,
    MessagePart, MessageRole,
};
pub use ops_merge::{MergeConversations, UnmergeConversations};
pub(crate) use ops_read::tail;
pub use ops_read::{ConversationPage, GetConversation, ListConversations};
pub use ops_search::{ConversationHit, MessageHit, SearchConversations, SimilarConversations};
pub use ops_summary::{SummarizeConversation, SummarizedConversation};
pub(crate) use ops_summary::{SummarizeConversations, summary_of};
pub use ops_write::{AppendMessage, CloseConversation, MarkRead, StartConversation};
pub(crate) use renew::{any_message_vector, lacking_messages, renew_messages};
#[cfg(feature = "postgres")]
pub(crate) use server::MESSAGES;
pub use summary::{ConversationSummary, SummaryId};
pub(crate) use summary::{DEFAULT_BUDGET, limit as summary_limit, size as message_size};

/// The operations of conversations.
pub(crate) static CATALOGUE: &[Entry] = &[
    entry::<StartConversation>(),
    entry::<AppendMessage>(),
    entry::<GetConversation>(),
    entry::<ListConversations>(),
    entry::<SearchConversations>(),
    entry::<SimilarConversations>(),
    entry::<MergeConversations>(),
    entry::<UnmergeConversations>(),
    entry::<CloseConversation>(),
    entry::<MarkRead>(),
    entry::<SummarizeConversation>(),
];

/// The record kinds of conversations.
pub(crate) static KINDS: &[Kind] = &[
    Kind::of::<Conversation>(),
    Kind::of::<Message>(),
    Kind::of::<MessageEmbedding>(),
    Kind::of::<ConversationSummary>(),
];

#[cfg(test)]
mod tests;
