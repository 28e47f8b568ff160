//! The messages of a workspace, ready to be searched.

use std::collections::BTreeMap;

use neonhub_core::store::{Query, Record};
use neonhub_core::{Result, Scope};

use super::model::{Conversation, ConversationId, Message, MessageEmbedding};
use crate::index::{AdaptiveIndex, IdSet, TextDoc, TextIndex, VectorIndex, VectorStorage};
use crate::language::guess_language;
use crate::vector::decode;

/// Commits behind which the feed is read; above, everything is read anew.
const FEED_COMMITS: u64 = 512;
const PAGE: usize = 500;

/// Words and vectors of all messages, and the conversation of each.
#[derive(Debug)]
pub(crate) struct MessageIndex {
    cursor: Option<u64>,
    embedder: String,
    pub(super) text: TextIndex,
    pub(super) vectors: AdaptiveIndex,
    pub(super) conversations: BTreeMap<String, Conversation>,
    /// Messages by conversation.
    messages: BTreeMap<ConversationId, IdSet>,
    /// Conversation by message.
    home: BTreeMap<String, ConversationId>,
}

/// What changed: ids by kind.
#[derive(Default)]
struct Changes {
    messages: Vec<String>,
    embeddings: Vec<String>,
    conversations: Vec<String>,
}

impl MessageIndex {
    pub(crate) fn new(embedder: &str, dims: usize) -> Result<Self> {
        Ok(Self {
            cursor: None,
            embedder: embedder.to_owned(),
            text: TextIndex::open(None)?,
            vectors: AdaptiveIndex::new(dims, VectorStorage::F16),
            conversations: BTreeMap::new(),
            messages: BTreeMap::new(),
            home: BTreeMap::new(),
        })
    }

    /// The conversation of a message.
    pub(super) fn home(&self, message: &str) -> Option<&ConversationId> {
        self.home.get(message)
    }

    /// The messages of a conversation.
    pub(super) fn messages(&self, conversation: &ConversationId) -> impl Iterator<Item = &str> {
        self.messages.get(conversation).into_iter().flatten().map(AsRef::as_ref)
    }

    /// The messages of the conversations that pass.
    pub(super) fn within(&self, keep: impl Fn(&Conversation) -> bool) -> IdSet {
        let kept = self.conversations.values().filter(|c| keep(c));
        kept.filter_map(|c| self.messages.get(&c.id)).flatten().cloned().collect()
    }

    /// Follows the feed to where it is now.
    pub(crate) async fn catch_up(&mut self, cx: &Scope) -> Result<()> {
        let seq = cx.store().seq().await?;
        if self.cursor == Some(seq) {
            return Ok(());
        }
        let changes = match self.cursor.filter(|c| *c <= seq && seq - c <= FEED_COMMITS) {
            Some(cursor) => from_feed(cx, cursor).await?,
            None => None,
        };
        let changes = match changes {
            Some(changes) => changes,
            None => {
                *self = Self::new(&self.embedder, self.vectors.dims())?;
                Changes {
                    messages: ids::<Message>(cx).await?,
                    embeddings: ids::<MessageEmbedding>(cx).await?,
                    conversations: ids::<Conversation>(cx).await?,
                }
            }
        };
        self.apply(cx, &changes).await?;
        self.cursor = Some(seq);
        Ok(())
    }

    async fn apply(&mut self, cx: &Scope, changes: &Changes) -> Result<()> {
        for ids in changes.conversations.chunks(PAGE) {
            for (id, stored) in ids.iter().zip(cx.get_many::<Conversation>(ids).await?) {
                match stored {
                    Some(stored) => self.conversations.insert(id.clone(), stored.body),
                    None => self.conversations.remove(id),
                };
            }
        }
        for ids in changes.messages.chunks(PAGE) {
            let found = cx.get_many::<Message>(ids).await?;
            self.apply_messages(ids, found.into_iter().map(|m| m.map(|m| m.body)).collect())?;
        }
        for ids in changes.embeddings.chunks(PAGE) {
            for (id, stored) in ids.iter().zip(cx.get_many::<MessageEmbedding>(ids).await?) {
                match stored.filter(|e| e.embedder == self.embedder) {
                    Some(stored) => self.vectors.upsert(id, &decode(&stored.vector)?)?,
                    None => {
                        self.vectors.remove(id);
                    }
                }
            }
        }
        self.vectors.settle(PAGE);
        Ok(())
    }

    fn apply_messages(&mut self, ids: &[String], found: Vec<Option<Message>>) -> Result<()> {
        let mut removed: Vec<&str> = Vec::new();
        let mut texts: Vec<(String, String)> = Vec::new();
        for (id, message) in ids.iter().zip(found) {
            if let Some(before) = self.home.remove(id) {
                self.messages.entry(before).or_default().remove(id.as_str());
            }
            let Some(message) = message else {
                removed.push(id);
                self.vectors.remove(id);
                continue;
            };
            texts.push((id.clone(), message.text()));
            self.messages.entry(message.conversation.clone()).or_default().insert(id.as_str().into());
            self.home.insert(id.clone(), message.conversation);
        }
        let docs: Vec<TextDoc<'_>> = texts
            .iter()
            .map(|(id, text)| TextDoc {
                id,
                title: "",
                headings: "",
                body: text,
                language: guess_language(text),
            })
            .collect();
        self.text.apply(&removed, &docs, "")
    }
}

/// What the feed tells since the cursor; nothing when the feed no longer holds what followed.
async fn from_feed(cx: &Scope, cursor: u64) -> Result<Option<Changes>> {
    let mut out = Changes::default();
    let limit = usize::try_from(FEED_COMMITS).unwrap_or(usize::MAX);
    let entries = match cx.store().changes(cursor, limit).await {
        Err(error) if error.code() == "cursor_expired" => return Ok(None),
        other => other?,
    };
    for entry in entries {
        if entry.workspace != *cx.workspace() {
            continue;
        }
        for change in entry.changes {
            match change.kind.as_str() {
                Message::KIND => out.messages.push(change.id),
                MessageEmbedding::KIND => out.embeddings.push(change.id),
                Conversation::KIND => out.conversations.push(change.id),
                _ => {}
            }
        }
    }
    for ids in [&mut out.messages, &mut out.embeddings, &mut out.conversations] {
        ids.sort_unstable();
        ids.dedup();
    }
    Ok(Some(out))
}

async fn ids<R: Record>(cx: &Scope) -> Result<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    let mut query = Query::by_id().limit(PAGE);
    loop {
        let page = cx.query::<R>(&query).await?;
        let Some(last) = page.last().map(|s| s.id().to_owned()) else { return Ok(out) };
        out.extend(page.iter().map(|s| s.id().to_owned()));
        query = query.after(Default::default(), last);
    }
}
