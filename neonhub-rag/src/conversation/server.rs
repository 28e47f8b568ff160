//! Words and vectors of messages in the store's own database, in the tables that documents use. What stays in this
//! process is which messages there are, and in which form.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use neonhub_core::{Result, Scope};
use xxhash_rust::xxh3::xxh3_64;

use super::model::{Message, MessageEmbedding};
use crate::index::server::{Entry, Kept, Passage, Place, Progress, Server, Wanted};
use crate::index::{FieldBoosts, Scored, TextDoc};
use crate::vector::decode;

/// The space of the tables that messages stand in. No space of documents is called so: their ids begin otherwise.
pub(crate) const MESSAGES: &str = "messages";
/// Messages that one transaction puts in: bounds the time for which others wait.
const PER_COMMIT: u32 = 1_000;

/// What a server is asked, as a type without its layers: see `space::passages`.
fn boxed<'f, T>(asked: impl Future<Output = T> + Send + 'f) -> Pin<Box<dyn Future<Output = T> + Send + 'f>> {
    Box::pin(asked)
}

/// The form a message is in.
#[derive(Clone, Copy, Debug)]
struct Mark {
    rev: u64,
    language: Option<&'static str>,
    /// Revision of its vector.
    vector: Option<u64>,
}

/// The messages of a workspace in the tables, conversation by conversation.
#[derive(Debug)]
pub(super) struct ServerLists {
    place: Place,
    marks: BTreeMap<String, BTreeMap<String, Mark>>,
    wanted: Wanted,
    languages: BTreeSet<String>,
    /// Conversations whose hash is to be worked out.
    changed: BTreeSet<String>,
}

/// A conversation as it goes into the tables: row, words, language and vector of each message.
type Loaded = Vec<(String, String, Option<&'static str>, Option<Vec<f32>>)>;

impl ServerLists {
    pub(super) fn new(server: Arc<Server>, workspace: &str, embedder: &str, dims: usize) -> Self {
        Self::at(Place::new(server, workspace, MESSAGES, embedder, dims))
    }

    fn at(place: Place) -> Self {
        let (marks, wanted) = (BTreeMap::new(), Wanted::new());
        Self { place, marks, wanted, languages: BTreeSet::new(), changed: BTreeSet::new() }
    }

    /// The same place, with nothing known of the messages.
    pub(super) fn anew(&self) -> Self {
        Self::at(self.place.clone())
    }

    pub(super) fn put(
        &mut self,
        conversation: &str,
        message: &str,
        rev: u64,
        language: Option<&'static str>,
    ) {
        let mark = Mark { rev, language, vector: None };
        self.marks.entry(conversation.to_owned()).or_default().insert(message.to_owned(), mark);
        self.changed.insert(conversation.to_owned());
    }

    pub(super) fn remove(&mut self, conversation: &str, message: &str) -> Option<u64> {
        let messages = self.marks.get_mut(conversation)?;
        self.changed.insert(conversation.to_owned());
        let gone = messages.remove(message)?;
        if messages.is_empty() {
            self.marks.remove(conversation);
        }
        gone.vector
    }

    pub(super) fn embedded(&mut self, conversation: &str, message: &str, vector: Option<u64>) {
        let mark = self.marks.get_mut(conversation).and_then(|messages| messages.get_mut(message));
        if let Some(mark) = mark.filter(|mark| mark.vector != vector) {
            mark.vector = vector;
            self.changed.insert(conversation.to_owned());
        }
    }

    /// Makes the tables hold what is known here as of a position of the feed; false when others bring them to a later
    /// one.
    pub(super) async fn bring_to(&mut self, cx: &Scope, seq: u64) -> Result<bool> {
        self.work_out();
        let mut progress = boxed(self.place.progress(seq, &self.wanted)).await?;
        while let Progress::Missing(missing) = progress {
            cx.cancel_token().check(cx.operation())?;
            let mut loaded: Vec<(&str, Loaded)> = Vec::new();
            let mut count = 0;
            for conversation in &missing {
                let size = self.wanted.get(conversation).map_or(0, |(_, size)| *size);
                if count > 0 && count + size > PER_COMMIT {
                    break;
                }
                loaded.push((conversation, self.load(cx, conversation).await?));
                count += size;
            }
            let entries: Vec<Entry<'_>> = loaded.iter().map(|(id, messages)| entry(id, messages)).collect();
            progress = boxed(self.place.bring(seq, &self.wanted, &entries)).await?;
        }
        if progress == Progress::Behind {
            return Ok(false);
        }
        boxed(self.place.grow(self.size())).await;
        Ok(true)
    }

    fn size(&self) -> usize {
        self.wanted.values().map(|(_, size)| *size as usize).sum()
    }

    fn work_out(&mut self) {
        for conversation in std::mem::take(&mut self.changed) {
            let Some(messages) = self.marks.get(&conversation) else {
                self.wanted.remove(&conversation);
                continue;
            };
            // Vectors of another embedder are another content.
            let mut form = self.place.embedder().to_owned();
            for (id, mark) in messages {
                form.push_str(&format!(" {id} {} {}", mark.rev, mark.vector.unwrap_or_default()));
                self.languages.extend(mark.language.map(str::to_owned));
            }
            let hash = format!("{:016x}", xxh3_64(form.as_bytes()));
            let size = u32::try_from(messages.len()).unwrap_or(u32::MAX);
            self.wanted.insert(conversation, (hash, size));
        }
    }

    async fn load(&self, cx: &Scope, conversation: &str) -> Result<Loaded> {
        let marks = self.marks.get(conversation);
        let all: Vec<&String> = marks.into_iter().flat_map(BTreeMap::keys).collect();
        let mut out = Loaded::new();
        for ids in all.chunks(500) {
            let ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
            let messages = cx.get_many::<Message>(&ids).await?;
            let vectors = cx.get_many::<MessageEmbedding>(&ids).await?;
            for ((id, message), vector) in ids.iter().zip(messages).zip(vectors) {
                // What changed since is seen by the next look at the feed.
                let Some(message) = message else { continue };
                let vector = vector.filter(|vector| vector.embedder == self.place.embedder());
                let vector = vector.map(|vector| decode(&vector.vector)).transpose()?;
                let language = marks.and_then(|marks| marks.get(id)).and_then(|mark| mark.language);
                // A message that moves must not meet its old row: the row is named after both.
                out.push((format!("{conversation}.{id}"), message.text(), language, vector));
            }
        }
        Ok(out)
    }

    /// The rows of these conversations.
    pub(super) fn kept<'c>(&self, conversations: impl Iterator<Item = &'c str>) -> Kept {
        let kept: Vec<&str> = conversations.filter(|id| self.wanted.contains_key(*id)).collect();
        let size = |id: &&str| self.wanted.get(*id).map_or(0, |(_, size)| *size as usize);
        let is_all = kept.len() == self.wanted.len();
        Kept {
            chunks: kept.iter().map(size).sum(),
            documents: (!is_all).then(|| kept.into_iter().map(str::to_owned).collect()),
            ids: None,
            of: self.size(),
        }
    }

    pub(super) async fn search_words(&self, query: &str, k: usize, kept: &Kept) -> Result<Vec<Scored>> {
        let search = async |kept: &Kept| {
            boxed(self.place.search_words(query, &self.languages, k, kept, FieldBoosts::default())).await
        };
        let found = search(kept).await?;
        if kept.documents.is_some() || found.iter().all(|hit| self.knows(hit)) {
            return Ok(self.messages(found));
        }
        Ok(self.messages(search(&self.known()).await?))
    }

    pub(super) async fn search_vector(&self, query: &[f32], k: usize, kept: &Kept) -> Result<Vec<Scored>> {
        let found = boxed(self.place.search_vector(query, k, kept)).await?;
        if kept.documents.is_some() || found.iter().all(|hit| self.knows(hit)) {
            return Ok(self.messages(found));
        }
        Ok(self.messages(boxed(self.place.search_vector(query, k, &self.known())).await?))
    }

    /// [`search_vector`](Self::search_vector) of several queries at once, each with its own answer, in order.
    pub(super) async fn search_vectors(
        &self,
        queries: &[Vec<f32>],
        k: usize,
        kept: &Kept,
    ) -> Result<Vec<Vec<Scored>>> {
        let mut found = boxed(self.place.search_vectors(queries, k, kept)).await?;
        if kept.documents.is_none() && !found.iter().flatten().all(|hit| self.knows(hit)) {
            found = boxed(self.place.search_vectors(queries, k, &self.known())).await?;
        }
        Ok(found.into_iter().map(|rows| self.messages(rows)).collect())
    }

    /// The vectors of messages of a conversation, as far as they have one.
    pub(super) async fn vectors(&self, conversation: &str, messages: &[&str]) -> Result<Vec<Vec<f32>>> {
        let rows: Vec<String> = messages.iter().map(|id| format!("{conversation}.{id}")).collect();
        let names: Vec<&str> = rows.iter().map(String::as_str).collect();
        let mut found: HashMap<Arc<str>, Vec<f32>> = boxed(self.place.vectors(&names)).await?;
        Ok(names.iter().filter_map(|row| found.remove(*row)).collect())
    }

    /// All conversations by name: for when the tables are ahead of what this process knows.
    fn known(&self) -> Kept {
        let documents = Some(self.wanted.keys().cloned().collect());
        Kept { documents, ids: None, chunks: self.size(), of: self.size() }
    }

    fn knows(&self, hit: &Scored) -> bool {
        let names = hit.id.rsplit_once('.');
        names.is_some_and(|(home, id)| self.marks.get(home).is_some_and(|own| own.contains_key(id)))
    }

    /// Rows as the messages they stand for.
    fn messages(&self, rows: Vec<Scored>) -> Vec<Scored> {
        let known = rows.into_iter().filter(|row| self.knows(row));
        known
            .filter_map(|row| Some(Scored { id: row.id.rsplit_once('.')?.1.into(), score: row.score }))
            .collect()
    }
}

fn entry<'a>(conversation: &'a str, messages: &'a Loaded) -> Entry<'a> {
    let passage =
        |(row, body, language, vector): &'a (String, String, Option<&'static str>, Option<Vec<f32>>)| {
            let doc = TextDoc { id: row, title: "", headings: "", body, language: *language };
            Passage { doc, vector: vector.as_deref() }
        };
    Entry { document: conversation, passages: messages.iter().map(passage).collect() }
}
