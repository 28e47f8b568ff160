//! The messages of a workspace, ready to be searched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neonhub_core::store::{Query, Record, Stored};
use neonhub_core::{Error, ErrorKind, Result, Retry, Scope};

use super::model::{Conversation, ConversationId, Message, MessageEmbedding};
#[cfg(feature = "postgres")]
use super::server::ServerLists;
#[cfg(feature = "postgres")]
use crate::index::server::{Kept, Server};
use crate::index::{AdaptiveIndex, IdSet, Scored, TextDoc, TextIndex, VectorIndex, VectorStorage};
use crate::language::guess_language;
use crate::vector::decode;

/// Commits behind which the feed is read; above, everything is read anew.
const FEED_COMMITS: u64 = 512;
const PAGE: usize = 500;
/// Times that the records are read anew because another process is ahead.
const MOST_ROUNDS: usize = 20;

/// The messages of a workspace: which there are, and where their words and vectors are searched.
#[derive(Debug)]
pub(crate) struct MessageIndex {
    cursor: Option<u64>,
    embedder: String,
    lists: Lists,
    pub(super) conversations: BTreeMap<String, Conversation>,
    /// Messages by conversation.
    messages: BTreeMap<ConversationId, BTreeSet<Arc<str>>>,
    /// Conversation by message.
    home: BTreeMap<String, ConversationId>,
    /// Messages whose vector comes from another embedder.
    stale: BTreeSet<String>,
}

/// Where words and vectors are.
#[derive(Debug)]
enum Lists {
    /// In the memory of this process.
    Caches { text: Box<TextIndex>, vectors: Box<AdaptiveIndex> },
    /// In tables of the store's own server.
    #[cfg(feature = "postgres")]
    Server(Box<ServerLists>),
}

/// Which messages may be hits, in the form that the lists take.
#[derive(Debug)]
pub(super) enum Within {
    Messages(IdSet),
    #[cfg(feature = "postgres")]
    Conversations(Kept),
}

/// What changed: ids by kind.
#[derive(Default)]
struct Changes {
    messages: Vec<String>,
    embeddings: Vec<String>,
    conversations: Vec<String>,
}

impl Lists {
    fn caches(dims: usize) -> Result<Self> {
        let vectors = Box::new(AdaptiveIndex::new(dims, VectorStorage::F16));
        Ok(Lists::Caches { text: Box::new(TextIndex::open(None)?), vectors })
    }

    /// The same place, with nothing in it.
    fn anew(&self) -> Result<Self> {
        match self {
            Lists::Caches { vectors, .. } => Self::caches(vectors.dims()),
            #[cfg(feature = "postgres")]
            Lists::Server(lists) => Ok(Lists::Server(Box::new(lists.anew()))),
        }
    }
}

impl MessageIndex {
    pub(crate) fn new(embedder: &str, dims: usize) -> Result<Self> {
        Ok(Self::at(embedder, Lists::caches(dims)?))
    }

    /// With words and vectors in the tables of a server.
    #[cfg(feature = "postgres")]
    pub(crate) fn on(server: Arc<Server>, workspace: &str, embedder: &str, dims: usize) -> Self {
        let lists = ServerLists::new(server, workspace, embedder, dims);
        Self::at(embedder, Lists::Server(Box::new(lists)))
    }

    fn at(embedder: &str, lists: Lists) -> Self {
        Self {
            cursor: None,
            embedder: embedder.to_owned(),
            lists,
            conversations: BTreeMap::new(),
            messages: BTreeMap::new(),
            home: BTreeMap::new(),
            stale: BTreeSet::new(),
        }
    }

    /// The conversation of a message.
    pub(super) fn home(&self, message: &str) -> Option<&ConversationId> {
        self.home.get(message)
    }

    /// True when some message has no vector that this index may compare, but one of another embedder.
    pub(super) fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// True for such a message.
    pub(super) fn is_stale(&self, message: &str) -> bool {
        self.stale.contains(message)
    }

    /// The messages of a conversation.
    pub(super) fn messages(&self, conversation: &ConversationId) -> impl Iterator<Item = &str> {
        self.messages.get(conversation).into_iter().flatten().map(AsRef::as_ref)
    }

    /// The messages of the conversations that pass.
    pub(super) fn within(&self, keep: impl Fn(&Conversation) -> bool) -> Within {
        let kept = self.conversations.values().filter(|c| keep(c));
        match &self.lists {
            Lists::Caches { .. } => {
                Within::Messages(kept.filter_map(|c| self.messages.get(&c.id)).flatten().cloned().collect())
            }
            #[cfg(feature = "postgres")]
            Lists::Server(lists) => Within::Conversations(lists.kept(kept.map(|c| c.id.as_str()))),
        }
    }

    /// The best messages by words.
    pub(super) async fn search_words(&self, query: &str, k: usize, within: &Within) -> Result<Vec<Scored>> {
        match (&self.lists, within) {
            (Lists::Caches { text, .. }, Within::Messages(ids)) => text.search(query, k, Some(ids)),
            #[cfg(feature = "postgres")]
            (Lists::Server(lists), Within::Conversations(kept)) => lists.search_words(query, k, kept).await,
            #[cfg(feature = "postgres")]
            _ => Ok(Vec::new()),
        }
    }

    /// The nearest messages.
    pub(super) async fn search_vector(
        &self,
        query: &[f32],
        k: usize,
        within: &Within,
    ) -> Result<Vec<Scored>> {
        match (&self.lists, within) {
            (Lists::Caches { vectors, .. }, Within::Messages(ids)) => vectors.search(query, k, Some(ids)),
            #[cfg(feature = "postgres")]
            (Lists::Server(lists), Within::Conversations(kept)) => lists.search_vector(query, k, kept).await,
            #[cfg(feature = "postgres")]
            _ => Ok(Vec::new()),
        }
    }

    /// [`search_vector`](Self::search_vector) of several queries at once, each with its own answer, in order.
    pub(super) async fn search_vectors(
        &self,
        queries: &[Vec<f32>],
        k: usize,
        within: &Within,
    ) -> Result<Vec<Vec<Scored>>> {
        match (&self.lists, within) {
            (Lists::Caches { vectors, .. }, Within::Messages(ids)) => {
                queries.iter().map(|query| vectors.search(query, k, Some(ids))).collect()
            }
            #[cfg(feature = "postgres")]
            (Lists::Server(lists), Within::Conversations(kept)) => {
                lists.search_vectors(queries, k, kept).await
            }
            #[cfg(feature = "postgres")]
            _ => Ok(Vec::new()),
        }
    }

    /// The newest messages of a conversation, newest first.
    pub(super) fn newest(&self, id: &ConversationId, most: usize) -> Vec<&str> {
        // Ids sort by time.
        let mut own: Vec<&str> = self.messages(id).collect();
        own.reverse();
        own.truncate(most);
        own
    }

    /// The vectors of the newest messages of a conversation, as far as they have one.
    pub(super) async fn newest_vectors(&self, id: &ConversationId, most: usize) -> Result<Vec<Vec<f32>>> {
        let own = self.newest(id, most);
        match &self.lists {
            Lists::Caches { vectors, .. } => Ok(own.into_iter().filter_map(|m| vectors.vector(m)).collect()),
            #[cfg(feature = "postgres")]
            Lists::Server(lists) => lists.vectors(id.as_str(), &own).await,
        }
    }

    /// Follows the feed to where it is now.
    pub(crate) async fn catch_up(&mut self, cx: &Scope) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
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
                    *self = Self::at(&self.embedder, self.lists.anew()?);
                    Changes {
                        messages: ids::<Message>(cx).await?,
                        embeddings: ids::<MessageEmbedding>(cx).await?,
                        conversations: ids::<Conversation>(cx).await?,
                    }
                }
            };
            self.apply(cx, &changes).await?;
            let is_there = match &mut self.lists {
                Lists::Caches { .. } => true,
                #[cfg(feature = "postgres")]
                Lists::Server(lists) => lists.bring_to(cx, seq).await?,
            };
            if is_there {
                self.cursor = Some(seq);
                return Ok(());
            }
        }
        let message = "others write messages faster than they can be indexed: try again";
        Err(Error::new(ErrorKind::Unavailable, "conversations.index", message).with_retry(Retry::Backoff))
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
            self.apply_messages(ids, found)?;
        }
        for ids in changes.embeddings.chunks(PAGE) {
            for (id, stored) in ids.iter().zip(cx.get_many::<MessageEmbedding>(ids).await?) {
                if stored.as_ref().is_some_and(|e| e.embedder != self.embedder) {
                    self.stale.insert(id.clone());
                } else {
                    self.stale.remove(id);
                }
                let stored = stored.filter(|e| e.embedder == self.embedder);
                match (&mut self.lists, stored) {
                    (Lists::Caches { vectors, .. }, Some(stored)) => {
                        vectors.upsert(id, &decode(&stored.vector)?)?;
                    }
                    (Lists::Caches { vectors, .. }, None) => {
                        vectors.remove(id);
                    }
                    #[cfg(feature = "postgres")]
                    (Lists::Server(lists), stored) => {
                        if let Some(home) = self.home.get(id) {
                            lists.embedded(home.as_str(), id, stored.map(|stored| stored.rev));
                        }
                    }
                }
            }
        }
        match &mut self.lists {
            Lists::Caches { vectors, .. } => vectors.settle(PAGE),
            #[cfg(feature = "postgres")]
            Lists::Server(_) => {}
        }
        Ok(())
    }

    fn apply_messages(&mut self, ids: &[String], found: Vec<Option<Stored<Message>>>) -> Result<()> {
        let mut removed: Vec<&str> = Vec::new();
        let mut texts: Vec<(String, String)> = Vec::new();
        for (id, message) in ids.iter().zip(found) {
            let before = self.home.remove(id);
            if let Some(before) = &before {
                self.messages.entry(before.clone()).or_default().remove(id.as_str());
            }
            #[cfg(feature = "postgres")]
            if let Lists::Server(lists) = &mut self.lists {
                let vector = before.and_then(|before| lists.remove(before.as_str(), id));
                if let Some(message) = &message {
                    let home = message.conversation.as_str();
                    lists.put(home, id, message.rev, guess_language(&message.text()));
                    // Its vector moves with it.
                    lists.embedded(home, id, vector);
                }
            }
            let Some(message) = message else {
                self.stale.remove(id);
                removed.push(id);
                continue;
            };
            texts.push((id.clone(), message.text()));
            self.messages.entry(message.conversation.clone()).or_default().insert(id.as_str().into());
            self.home.insert(id.clone(), message.body.conversation);
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
        match &mut self.lists {
            Lists::Caches { text, vectors } => {
                for id in &removed {
                    vectors.remove(id);
                }
                text.apply(&removed, &docs, "")
            }
            #[cfg(feature = "postgres")]
            Lists::Server(_) => Ok(()),
        }
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
