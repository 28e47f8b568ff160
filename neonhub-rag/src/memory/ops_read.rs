//! Operations that read memory.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Faults, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{ReadFor, Readable};
use super::model::{Memory, MemoryKind, MemorySubject};
use super::rules::held_at;
use super::shelf::{Near, agrees, fits_purpose, is_usable};
use crate::embed::{EmbedKind, embed_one};
use crate::space::Knowledge;

/// Searches what is remembered about a subject.
///
/// Only what holds now is given: not what waits in quarantine, was taken back, closed or has expired, nor what may
/// not be used for the purpose. Nothing of a person that did not agree to be remembered. What another default embedder has
/// vectors of is found by its words until a job has made new ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchMemory {
    /// Who or what it is about.
    pub subject: MemorySubject,
    /// What to search for; left out, the newest come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Kinds; one of them. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<MemoryKind>,
    /// What it is to be used for: items that name other purposes are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The consent bases that hold now. When given, items with another basis are left out. Of a person, those that the
    /// consent ledger knows are taken from there, and items with a basis that does not hold are always left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consents: Option<Vec<String>>,
    /// Most hits, 1 to 100. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
}

/// One memory that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryHit {
    /// The memory. Its text is marked as recalled: it must not be learned again.
    pub memory: Memory,
    /// Cosine to the query, -1 to 1; 0 without a query. While a memory waits for a vector of the hub's default embedder,
    /// the likeness of its words.
    pub score: f32,
    /// Always true: give it back with `memory.add` when a text holds recalled words.
    pub recalled: bool,
}

impl Operation for SearchMemory {
    type Output = Vec<MemoryHit>;
    const NAME: &'static str = "memory.search";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<MemoryHit>> {
        let k = self.k.unwrap_or(10) as usize;
        let mut faults = Faults::new();
        faults.check((1..=100).contains(&k), "k", "expected 1 to 100");
        let query = self.query.as_deref();
        faults.check(query.is_none_or(|q| !q.trim().is_empty()), "query", "expected words to search for");
        faults.into_result(Self::NAME)?;
        let read =
            ReadFor { purpose: self.purpose.as_deref(), brand: None, consents: self.consents.as_deref() };
        let Readable { shelf, consents, is_allowed } = Readable::open(cx, &self.subject, read).await?;
        if !is_allowed {
            return Ok(Vec::new());
        }
        let near = match query {
            None => vec![Near::default(); shelf.items.len()],
            Some(query) => {
                let embedder = cx.service::<Knowledge>()?.default_embedder()?;
                let vector = embed_one(cx, embedder.as_ref(), query, EmbedKind::Query).await?;
                shelf.near(query, &vector, embedder.as_ref())
            }
        };
        let mut hits: Vec<MemoryHit> = shelf
            .items
            .into_iter()
            .zip(near)
            .filter(|(item, near)| {
                near.is_hit()
                    && (self.kinds.is_empty() || self.kinds.contains(&item.memory.kind))
                    && is_usable(cx, &item.memory, self.purpose.as_deref())
                    && agrees(&item.memory, consents.as_deref())
            })
            .map(|(item, near)| MemoryHit { memory: item.memory, score: near.score, recalled: true })
            .collect();
        hits.sort_by(|a, b| {
            let newest_first = || b.memory.created_at.cmp(&a.memory.created_at);
            b.score.total_cmp(&a.score).then_with(newest_first).then_with(|| a.memory.id.cmp(&b.memory.id))
        });
        hits.truncate(k);
        Ok(hits)
    }

    fn examples() -> Vec<Self> {
        vec![SearchMemory {
            subject: MemorySubject::brand("acme"),
            query: Some("tone of voice".into()),
            ..Self::default()
        }]
    }
}

/// Answers what was known about a subject at an instant: what held then, also when it was closed or taken back
/// later. What was forgotten stays forgotten.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoriesAsOf {
    /// Who or what it is about.
    pub subject: MemorySubject,
    /// The instant.
    pub at: Timestamp,
    /// What it is to be used for: items that name other purposes are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The consent bases that hold now, as in `memory.search`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consents: Option<Vec<String>>,
}

impl Operation for MemoriesAsOf {
    type Output = Vec<Memory>;
    const NAME: &'static str = "memory.as_of";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<Memory>> {
        let read =
            ReadFor { purpose: self.purpose.as_deref(), brand: None, consents: self.consents.as_deref() };
        let Readable { shelf, consents, is_allowed } = Readable::open(cx, &self.subject, read).await?;
        // What was known then is read now: today's purpose and consent decide.
        let may_be_read = |memory: &Memory| {
            is_allowed
                && held_at(memory, self.at)
                && fits_purpose(memory, self.purpose.as_deref())
                && agrees(memory, consents.as_deref())
        };
        Ok(shelf.items.into_iter().map(|i| i.memory).filter(may_be_read).collect())
    }

    fn examples() -> Vec<Self> {
        vec![MemoriesAsOf {
            subject: MemorySubject::brand("acme"),
            at: Timestamp::from_millis(1_790_000_000_000),
            ..Self::default()
        }]
    }
}
