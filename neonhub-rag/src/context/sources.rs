//! What the workspace itself puts into a context: passages, memories, messages.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use neonhub_core::llm::Taint;
use neonhub_core::{Result, Scope};

use super::build::{Dropped, Item, PartKind};
use crate::conversation::{
    ConversationId, Message, MessageId, message_size, summary_limit, summary_of, tail,
};
use crate::embed::{EmbedKind, embed_one};
use crate::memory::{Memory, MemorySubject, ReadFor, Readable, is_usable};
use crate::space::{Dataset, DatasetKind, Hit, Knowledge, SearchFilters, SearchKnowledge, Trust};

/// Newest messages of a conversation that are looked at.
const MESSAGES: usize = 200;
/// Memories that are looked at, the nearest ones.
const MEMORIES: usize = 50;

/// Who asks, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) purpose: &'a str,
    pub(super) query: &'a str,
    pub(super) brand: Option<&'a str>,
    /// Consent bases that hold now; `None`: not a question of consent.
    pub(super) consents: Option<&'a [String]>,
}

impl Asked<'_> {
    fn allows(&self, purposes: &[String]) -> bool {
        purposes.is_empty() || purposes.iter().any(|p| p == self.purpose)
    }

    fn agrees(&self, basis: Option<&str>) -> bool {
        match (basis, self.consents) {
            (Some(basis), Some(held)) => held.iter().any(|h| h == basis),
            _ => true,
        }
    }
}

fn drop_for(dropped: &mut Vec<Dropped>, part: PartKind, id: &str, reason: &str) {
    dropped.push(Dropped { part, id: id.to_owned(), reason: reason.to_owned() });
}

/// Passages for the query. Those for other purposes, and those whose consent does not hold, are dropped by name, and the
/// next ones that may be used take their places.
pub(super) async fn passages(
    cx: &Scope,
    asked: Asked<'_>,
    spaces: &[String],
    k: u32,
    dropped: &mut Vec<Dropped>,
) -> Result<Vec<Item>> {
    let mut search = SearchKnowledge {
        spaces: spaces.to_vec(),
        k: Some(k),
        filters: SearchFilters { brand: asked.brand.map(str::to_owned), ..SearchFilters::default() },
        ..SearchKnowledge::of(asked.query)
    };
    let hits = crate::space::search_request(cx, search.clone()).await?;
    let before = dropped.len();
    let mut items = Vec::new();
    let mut sets = Sets::default();
    for hit in hits.hits {
        let set = sets.of(cx, &hit).await?;
        if !asked.allows(&set.purposes) {
            drop_for(dropped, PartKind::Retrieved, &hit.chunk, "purpose");
        } else if !asked.agrees(hit.consent_basis.as_deref()) {
            drop_for(dropped, PartKind::Retrieved, &hit.chunk, "consent");
        } else {
            items.push(passage(hit, set.kind));
        }
    }
    if dropped.len() > before {
        search.filters.purpose = Some(asked.purpose.to_owned());
        search.filters.consents = asked.consents.map(<[String]>::to_vec);
        items.clear();
        for hit in crate::space::search_request(cx, search).await?.hits {
            let kind = sets.of(cx, &hit).await?.kind;
            items.push(passage(hit, kind));
        }
    }
    Ok(items)
}

/// The datasets of hits, each read once.
#[derive(Default)]
struct Sets(BTreeMap<String, Dataset>);

impl Sets {
    async fn of(&mut self, cx: &Scope, hit: &Hit) -> Result<&Dataset> {
        Ok(match self.0.entry(hit.dataset.as_str().to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(cx.need::<Dataset>(hit.dataset.as_str()).await?.body),
        })
    }
}

/// A hit as a model reads it: what speaks for the brand is named as that, by what its dataset holds.
fn passage(hit: Hit, kind: DatasetKind) -> Item {
    let lead = match (hit.trust, kind) {
        (Trust::FirstParty, DatasetKind::Documents) => "Brand guidelines",
        (Trust::FirstParty, DatasetKind::Faq) => "Answers of the brand",
        (Trust::FirstParty, DatasetKind::Analytics) => "Figures of the brand",
        (Trust::User | Trust::Web, _) => "Document",
    };
    let context = if hit.context.is_empty() { String::new() } else { format!("{}\n", hit.context) };
    Item {
        text: format!("{lead}, {} [{}]:\n{context}{}", hit.citation, hit.chunk, hit.text),
        id: hit.chunk,
        score: hit.rerank_score.unwrap_or(hit.score),
        taint: if hit.trust == Trust::Web { Taint::Web } else { Taint::Retrieved },
        citation: Some(hit.citation),
        can_be_cut: true,
        leads: false,
    }
}

/// What is remembered about a subject, the nearest to the query first.
pub(super) async fn memories(
    cx: &Scope,
    asked: Asked<'_>,
    subject: &MemorySubject,
    dropped: &mut Vec<Dropped>,
) -> Result<Vec<Item>> {
    let embedder = cx.service::<Knowledge>()?.default_embedder()?;
    let read = ReadFor { purpose: Some(asked.purpose), brand: asked.brand, consents: asked.consents };
    let Readable { shelf, consents, is_allowed } = Readable::open(cx, subject, read).await?;
    let asked = Asked { consents: consents.as_deref(), ..asked };
    let vector = embed_one(cx, embedder.as_ref(), asked.query, EmbedKind::Query).await?;
    let near = shelf.near(asked.query, &vector, embedder.as_ref());
    let mut found: Vec<(f32, &Memory)> = shelf
        .items
        .iter()
        .zip(near)
        .map(|(item, near)| (near.score, &item.memory))
        .filter(|(_, memory)| is_usable(cx, memory, None))
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let mut items = Vec::new();
    for (score, memory) in found.into_iter().take(MEMORIES) {
        if !asked.allows(&memory.purposes) {
            drop_for(dropped, PartKind::Memory, memory.id.as_str(), "purpose");
        } else if !is_allowed || !asked.agrees(memory.consent_basis.as_deref()) {
            drop_for(dropped, PartKind::Memory, memory.id.as_str(), "consent");
        } else {
            items.push(Item {
                id: memory.id.to_string(),
                text: format!("Remembered: {}", memory.text),
                score,
                // A memory holds words of others, whoever confirmed it.
                taint: Taint::Retrieved,
                citation: None,
                can_be_cut: false,
                leads: false,
            });
        }
    }
    Ok(items)
}

/// The newest messages of a conversation or thread. When all of it fills three quarters of `most` tokens, its summary
/// stands for the messages that it covers.
pub(super) async fn talk(
    cx: &Scope,
    id: &ConversationId,
    thread: Option<&MessageId>,
    most: u32,
) -> Result<Vec<Item>> {
    let mut messages = tail(cx, id, thread, MESSAGES).await?;
    let tokens: u64 = messages.iter().map(|m| u64::from(message_size(m))).sum();
    let is_long = messages.len() == MESSAGES || tokens >= u64::from(summary_limit(most));
    let summary = if is_long { summary_of(cx, id, thread).await? } else { None };
    let mut items = Vec::new();
    if let Some(summary) = summary {
        messages.retain(|message| !summary.covers(message));
        items.push(Item {
            id: summary.body.id.to_string(),
            text: format!("Summary of {} earlier messages:\n{}", summary.messages, summary.text),
            score: 1.0,
            taint: summary.taint,
            citation: None,
            can_be_cut: true,
            leads: true,
        });
    }
    let item = |message: Message| Item {
        id: message.id.to_string(),
        text: format!("{}: {}", message.author, message.text()),
        score: 0.0,
        taint: message.taint,
        citation: None,
        can_be_cut: false,
        leads: false,
    };
    items.extend(messages.into_iter().filter(|m| !m.text().trim().is_empty()).map(item));
    Ok(items)
}
