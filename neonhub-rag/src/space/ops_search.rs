//! The search operation.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::knowledge::Knowledge;
use super::search::{OP, Request, SearchFilters, SearchMode, SearchResult, search as run};
use crate::hybrid::Fusion;
use crate::index::FieldBoosts;

/// Searches knowledge by words and by vectors.
///
/// Chunks that the caller may not read change neither hits nor scores. Nothing is made up: without a match, or
/// with none at or above `min_score`, the list is empty and `reason` says why.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchKnowledge {
    /// What to search for, in words. `"words in quotes"` must stand in a hit in this order; `start*` finds the
    /// words that begin so. Empty when `vector` alone is searched for, in mode `vector`.
    pub query: String,
    /// The query as a vector of the spaces' embedder, packed as `knowledge.embed` packs it, in the place of the one
    /// made from `query`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<String>,
    /// Ids or names of spaces; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spaces: Vec<String>,
    /// Most hits, 1 to 100. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
    /// Which lists answer. Default: `hybrid`.
    #[serde(default)]
    pub mode: SearchMode,
    /// Share of the words in the joined score, 0 to 1. Default: 0.5, or 0.85 beside a lexical embedder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_weight: Option<f32>,
    /// How the lists are joined. Default: `blend`.
    #[serde(default)]
    pub fusion: Fusion,
    /// What a hit must match.
    #[serde(default)]
    pub filters: SearchFilters,
    /// Least joined score of a hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f32>,
    /// Spreads the hits: 1 keeps the order by score, 0 wants only difference. Default: no spreading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmr_lambda: Option<f32>,
    /// What a word counts in title, headings and text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boosts: Option<FieldBoosts>,
    /// Id of a reranker that decides the order of the best 50. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerank: Option<String>,
}

impl SearchKnowledge {
    /// A search with the defaults.
    #[must_use]
    pub fn of(query: impl Into<String>) -> Self {
        Self { query: query.into(), ..Self::default() }
    }
}

impl Operation for SearchKnowledge {
    type Output = SearchResult;
    const NAME: &'static str = OP;
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<SearchResult> {
        search_request(cx, self).await
    }

    fn examples() -> Vec<Self> {
        vec![SearchKnowledge {
            spaces: vec!["brand-voice".into()],
            ..SearchKnowledge::of("how do we say hello")
        }]
    }
}

/// Runs a search inside another operation.
pub(crate) async fn search_request(cx: &Scope, search: SearchKnowledge) -> Result<SearchResult> {
    let request = Request {
        query: search.query,
        vector: search.vector.as_deref().map(|packed| super::ops_embed::unpack(OP, packed)).transpose()?,
        spaces: search.spaces,
        k: search.k.unwrap_or(5) as usize,
        mode: search.mode,
        text_weight: search.text_weight,
        fusion: search.fusion,
        filters: search.filters,
        min_score: search.min_score,
        mmr_lambda: search.mmr_lambda,
        boosts: search.boosts.unwrap_or_default(),
        rerank: search.rerank,
    };
    run(cx, &*cx.service::<Knowledge>()?, &request).await
}
