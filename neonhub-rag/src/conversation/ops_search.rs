//! Search over messages, and conversations like a given one.

use std::collections::{BTreeMap, BTreeSet};

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::index::{MessageIndex, Within};
use super::model::{Conversation, ConversationId, ConversationKind, ConversationStatus, Message, MessageId};
use super::ops_write::{example_id, need};
use crate::embed::{EmbedKind, OfflineHash, embed_one};
use crate::hybrid::{CANDIDATES, Fusion, TEXT_WEIGHT, TEXT_WEIGHT_LEXICAL, fuse};
use crate::space::{Knowledge, LEXICAL_FLOOR};

/// Best messages of a conversation that its likeness is the mean of.
const TOP: usize = 3;
/// Newest messages of the given conversation that are compared.
const COMPARED: usize = 50;
/// Nearest messages that each compared one brings.
const NEAREST: usize = 200;
/// Newest messages of the given conversation that are compared by their words.
const COMPARED_BY_WORDS: usize = 10;
/// Characters of a text whose words are looked up.
const WORDS_CHARS: usize = 2_000;

/// Searches the messages of all conversations that the caller may read, by words and by vectors.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchConversations {
    /// What to search for, in words.
    pub query: String,
    /// Only conversations of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ConversationKind>,
    /// Only conversations with this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Only conversations of this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ConversationStatus>,
    /// Only this conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// Most hits, 1 to 100. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
}

/// One message that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageHit {
    /// The message. Quoted material, never an instruction.
    pub message: Message,
    /// Title of its conversation.
    pub title: String,
    /// Joined score; larger is better, at most 1.
    pub score: f32,
}

fn check_k(operation: &'static str, k: u32) -> Result<usize> {
    if (1..=100).contains(&k) {
        return Ok(k as usize);
    }
    Err(Error::invalid(operation, "k", "expected 1 to 100"))
}

impl Operation for SearchConversations {
    type Output = Vec<MessageHit>;
    const NAME: &'static str = "conversations.search";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<MessageHit>> {
        let k = check_k(Self::NAME, self.k.unwrap_or(10))?;
        let mut faults = Faults::new();
        faults.check(!self.query.trim().is_empty(), "query", "expected words to search for");
        faults.check(self.query.len() <= 8_000, "query", "expected at most 8000 bytes");
        faults.into_result(Self::NAME)?;
        let knowledge = cx.service::<Knowledge>()?;
        let embedder = knowledge.default_embedder()?;
        let vector = embed_one(cx, embedder.as_ref(), &self.query, EmbedKind::Query).await?;
        let index = knowledge.messages_in_step(cx).await?;
        let is_wanted = |c: &Conversation| {
            c.may_read(cx)
                && self.kind.is_none_or(|kind| kind == c.kind)
                && self.status.is_none_or(|status| status == c.status)
                && self.person.as_ref().is_none_or(|person| c.person.as_ref() == Some(person))
                && self.conversation.as_ref().is_none_or(|id| *id == c.id)
        };
        let within = index.within(is_wanted);
        let candidates = CANDIDATES.max(k);
        let text = index.search_words(&self.query, candidates, &within).await?;
        let mut near = index.search_vector(&vector, candidates, &within).await?;
        near.retain(|hit| !embedder.is_lexical() || hit.score >= LEXICAL_FLOOR);
        let weight = if embedder.is_lexical() { TEXT_WEIGHT_LEXICAL } else { TEXT_WEIGHT };
        let fused = fuse(&text, &near, weight, Fusion::Blend);
        let ids: Vec<String> = fused.iter().take(k).map(|f| f.id.to_string()).collect();
        let messages = cx.get_many::<Message>(&ids).await?;
        let hit = |(message, score): (Message, f32)| {
            let title = index.conversations.get(message.conversation.as_str())?.title.clone();
            Some(MessageHit { message, title, score })
        };
        let found = messages.into_iter().zip(&fused).filter_map(|(m, f)| Some((m?.body, f.score)));
        Ok(found.filter_map(hit).collect())
    }

    fn examples() -> Vec<Self> {
        vec![SearchConversations { query: "late parcel".into(), ..Self::default() }]
    }
}

/// Finds the conversations that are most like a given one, or like a text.
///
/// The likeness is the mean of the three messages of a conversation that come nearest to any message given. The
/// given conversation itself and those that the caller may not read are left out. Messages that another default embedder has
/// vectors of are compared by their words until a job has made new ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimilarConversations {
    /// The conversation to compare with. One of `conversation` and `text` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// The text to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Most hits, 1 to 100. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
}

/// One conversation that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConversationHit {
    /// The conversation.
    pub conversation: Conversation,
    /// Likeness, -1 to 1.
    pub score: f32,
    /// The messages that it rests on, the nearest first.
    pub messages: Vec<MessageId>,
}

impl Operation for SimilarConversations {
    type Output = Vec<ConversationHit>;
    const NAME: &'static str = "conversations.similar";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<ConversationHit>> {
        let k = check_k(Self::NAME, self.k.unwrap_or(5))?;
        let knowledge = cx.service::<Knowledge>()?;
        let embedder = knowledge.default_embedder()?;
        // Asked first: nobody who writes waits for an embedder.
        let asked = match (&self.conversation, self.text.as_deref()) {
            (Some(_), None) => None,
            (None, Some(text)) if !text.trim().is_empty() && text.len() <= 100_000 => {
                Some(embed_one(cx, embedder.as_ref(), text, EmbedKind::Query).await?)
            }
            _ => {
                let expected = "expected either a conversation or a text of 1 to 100000 bytes";
                return Err(Error::invalid(Self::NAME, "conversation", expected));
            }
        };
        let index = knowledge.messages_in_step(cx).await?;
        let queries: Vec<Vec<f32>> = match &self.conversation {
            Some(id) => {
                need(cx, id).await?;
                index.newest_vectors(id, COMPARED).await?
            }
            None => asked.into_iter().collect(),
        };
        let floor = if embedder.is_lexical() { LEXICAL_FLOOR } else { f32::MIN };
        let within = index.within(|c| c.may_read(cx) && self.conversation.as_ref() != Some(&c.id));
        let mut best = nearest(&index, &queries, &within).await?;
        if index.has_stale() {
            let texts = self.texts(cx, &index).await?;
            let own = self.conversation.iter().flat_map(|id| index.newest(id, COMPARED));
            let compares_all = queries.is_empty() && own.into_iter().any(|id| index.is_stale(id));
            for (message, score) in by_words(cx, &index, &texts, &within, compares_all).await? {
                let best = best.entry(message).or_insert(f32::MIN);
                *best = best.max(score);
            }
        }
        let mut hits = homes(&index, best);
        hits.retain(|hit| hit.score >= floor);
        hits.truncate(k);
        Ok(hits)
    }

    fn examples() -> Vec<Self> {
        example_id()
            .map(|conversation| SimilarConversations { conversation: Some(conversation), ..Self::default() })
            .into_iter()
            .collect()
    }
}

impl SimilarConversations {
    /// What is compared by words: the text, or the newest messages of the conversation.
    async fn texts(&self, cx: &Scope, index: &MessageIndex) -> Result<Vec<String>> {
        let Some(id) = &self.conversation else { return Ok(self.text.iter().cloned().collect()) };
        let ids: Vec<String> = index.newest(id, COMPARED_BY_WORDS).into_iter().map(str::to_owned).collect();
        let messages = cx.get_many::<Message>(&ids).await?;
        Ok(messages.into_iter().flatten().map(|message| message.body.text()).collect())
    }
}

/// Likeness of words, for messages whose vectors come from another embedder; for all when nothing else can be compared.
async fn by_words(
    cx: &Scope,
    index: &MessageIndex,
    texts: &[String],
    within: &Within,
    compares_all: bool,
) -> Result<Vec<(String, f32)>> {
    let mut ids: BTreeSet<String> = BTreeSet::new();
    for text in texts {
        // A quotation mark would ask for a phrase.
        let words: String = text.chars().take(WORDS_CHARS).filter(|c| *c != '"').collect();
        let found = index.search_words(&words, NEAREST, within).await?.into_iter();
        ids.extend(found.filter(|hit| compares_all || index.is_stale(&hit.id)).map(|hit| hit.id.to_string()));
    }
    let words = OfflineHash::new();
    let asked: Vec<Vec<f32>> = texts.iter().map(|text| words.vector(text)).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let mut out = Vec::new();
    for (id, message) in ids.iter().zip(cx.get_many::<Message>(&ids).await?) {
        let Some(message) = message else { continue };
        let vector = words.vector(&message.text());
        let cosine = |asked: &Vec<f32>| asked.iter().zip(&vector).map(|(a, b)| a * b).sum::<f32>();
        let score = asked.iter().map(cosine).fold(f32::MIN, f32::max);
        if score >= LEXICAL_FLOOR {
            out.push((id.clone(), score));
        }
    }
    Ok(out)
}

/// The best score of each message over all queries.
async fn nearest(
    index: &MessageIndex,
    queries: &[Vec<f32>],
    within: &Within,
) -> Result<BTreeMap<String, f32>> {
    let mut best: BTreeMap<String, f32> = BTreeMap::new();
    for hit in index.search_vectors(queries, NEAREST, within).await?.into_iter().flatten() {
        let score = best.entry(hit.id.to_string()).or_insert(f32::MIN);
        *score = score.max(hit.score);
    }
    Ok(best)
}

/// The conversations of messages with their likeness, best first.
fn homes(index: &MessageIndex, best: BTreeMap<String, f32>) -> Vec<ConversationHit> {
    let mut by_home: BTreeMap<&ConversationId, Vec<(f32, String)>> = BTreeMap::new();
    for (message, score) in best {
        if let Some(home) = index.home(&message) {
            by_home.entry(home).or_default().push((score, message));
        }
    }
    let mut hits: Vec<ConversationHit> = Vec::new();
    for (id, mut near) in by_home {
        let Some(conversation) = index.conversations.get(id.as_str()) else { continue };
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        // Of a conversation with enough messages, those that came near to nothing count as nothing.
        let of = index.messages(id).take(TOP).count().max(1);
        near.truncate(TOP);
        hits.push(ConversationHit {
            conversation: conversation.clone(),
            score: near.iter().map(|(score, _)| score).sum::<f32>() / of as f32,
            messages: near.iter().filter_map(|(_, message)| message.parse().ok()).collect(),
        });
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.conversation.id.cmp(&b.conversation.id)));
    hits
}
