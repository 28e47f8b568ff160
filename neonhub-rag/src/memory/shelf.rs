//! The memories about one subject, opened.

use neonhub_core::store::{Query, Record, Stored};
use neonhub_core::{Error, Result, Scope};

use super::model::{Content, Memory, MemoryId, MemoryRecord, MemoryState, MemorySubject};
use super::rules::held_at;
use crate::embed::{Embedder, OfflineHash};
use crate::space::LEXICAL_FLOOR;
use crate::vector::{decode, encode};

/// Most memories about one subject that are looked at, newest first.
pub(super) const MAX_PER_SUBJECT: usize = 5_000;
const PAGE: usize = 500;

/// A memory with its vector and the revision of its record.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) memory: Memory,
    vector: Vec<f32>,
    pub(super) embedder: String,
    pub(super) rev: u64,
}

/// The memories about one subject, oldest first.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) items: Vec<Item>,
}

impl Shelf {
    pub(crate) async fn open(cx: &Scope, subject: &MemorySubject) -> Result<Self> {
        let records = newest(cx, subject, MAX_PER_SUBJECT).await?;
        let items = records.iter().rev().map(|stored| open_item(cx, stored)).collect::<Result<_>>()?;
        Ok(Self { items })
    }

    /// One memory by id.
    pub(super) async fn one(cx: &Scope, id: &str) -> Result<Item> {
        open_item(cx, &cx.need::<MemoryRecord>(id).await?)
    }

    /// What holds or waits for confirmation.
    pub(super) fn open_items(&self, cx: &Scope) -> Vec<&Memory> {
        let now = cx.now();
        let is_open = |m: &&Memory| {
            m.state != MemoryState::Retracted
                && m.valid_to.is_none_or(|end| now < end)
                && m.expires_at.is_none_or(|end| now < end)
        };
        self.items.iter().map(|i| &i.memory).filter(is_open).collect()
    }

    /// How near each item is to a text with this vector. An item whose vector comes from another embedder is compared
    /// by its words.
    pub(crate) fn near(&self, text: &str, vector: &[f32], embedder: &dyn Embedder) -> Vec<Near> {
        let words = OfflineHash::new();
        let mut asked: Option<Vec<f32>> = None;
        let near = |item: &Item| {
            if item.embedder == embedder.id() && item.vector.len() == vector.len() {
                return Near { score: dot(&item.vector, vector), by_words: embedder.is_lexical() };
            }
            let asked = asked.get_or_insert_with(|| words.vector(text));
            Near { score: dot(&words.vector(&item.memory.text), asked), by_words: true }
        };
        self.items.iter().map(near).collect()
    }
}

/// How near an item is to a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Near {
    pub(crate) score: f32,
    by_words: bool,
}

impl Near {
    /// False for what hardly shares a word with the text, where words are all there is to compare.
    pub(crate) fn is_hit(self) -> bool {
        !self.by_words || self.score >= LEXICAL_FLOOR
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The ids of all that is kept about a subject, however much it is.
pub(super) async fn all_ids(cx: &Scope, subject: &MemorySubject) -> Result<Vec<MemoryId>> {
    let records = newest(cx, subject, usize::MAX).await?;
    Ok(records.into_iter().map(|stored| stored.body.memory.id).collect())
}

/// The newest records about a subject, up to about `most`.
async fn newest(cx: &Scope, subject: &MemorySubject, most: usize) -> Result<Vec<Stored<MemoryRecord>>> {
    let mut out = Vec::new();
    let mut query = Query::index("subject").prefix(subject.key()).descending().limit(PAGE);
    while out.len() < most {
        let page = cx.query::<MemoryRecord>(&query).await?;
        let is_last = page.len() < PAGE;
        out.extend(page);
        let Some(last) = out.last().filter(|_| !is_last) else { break };
        let key = last.body.keys().into_iter().next().flatten();
        query = query.after(key.unwrap_or_default(), last.body.id());
    }
    Ok(out)
}

/// True when a memory may be used now for a purpose.
pub(crate) fn is_usable(cx: &Scope, memory: &Memory, purpose: Option<&str>) -> bool {
    memory.state == MemoryState::Active && fits_purpose(memory, purpose) && held_at(memory, cx.now())
}

/// True when a memory may be used for a purpose; any will do without one.
pub(super) fn fits_purpose(memory: &Memory, purpose: Option<&str>) -> bool {
    purpose.is_none_or(|p| memory.purposes.is_empty() || memory.purposes.iter().any(|m| m == p))
}

/// True when the basis of a memory is among those that hold; `None`: not a question of consent.
pub(super) fn agrees(memory: &Memory, consents: Option<&[String]>) -> bool {
    match (&memory.consent_basis, consents) {
        (Some(basis), Some(held)) => held.contains(basis),
        _ => true,
    }
}

pub(super) fn open_item(cx: &Scope, stored: &Stored<MemoryRecord>) -> Result<Item> {
    let plain = cx.sealer().open("memory", "content", &stored.body.content)?;
    let content: Content =
        serde_json::from_str(plain.expose()).map_err(|e| Error::internal("memory.open", e))?;
    let mut memory = stored.body.memory.clone();
    (memory.text, memory.slots) = (content.text, content.slots);
    Ok(Item { memory, vector: decode(&content.vector)?, embedder: content.embedder, rev: stored.rev })
}

/// The record of a memory.
pub(super) fn close(cx: &Scope, memory: &Memory, vector: &[f32], embedder: &str) -> Result<MemoryRecord> {
    let mut memory = memory.clone();
    let content = Content {
        text: std::mem::take(&mut memory.text),
        slots: std::mem::take(&mut memory.slots),
        embedder: embedder.to_owned(),
        vector: encode(vector),
    };
    let plain = serde_json::to_string(&content).map_err(|e| Error::internal("memory.close", e))?;
    Ok(MemoryRecord { memory, content: cx.sealer().seal("memory", "content", &plain)? })
}

impl Item {
    /// The record of the changed item.
    pub(super) fn to_record(&self, cx: &Scope) -> Result<MemoryRecord> {
        close(cx, &self.memory, &self.vector, &self.embedder)
    }
}
