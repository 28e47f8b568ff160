//! Hybrid search over the spaces of a workspace.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use neonhub_core::{Error, ErrorKind, Faults, PermissionSet, Result, Role, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedRwLockReadGuard;

use super::cards::{Card, of_space};
use super::hit::{Hit, hits};
use super::knowledge::{Knowledge, Projection};
use super::model::{Dataset, DatasetKind, DocumentId, Space, SpaceState, Trust};
use super::passages::{Passages, Within};
use super::rerank::Reranker;
use crate::embed::{EmbedKind, Embedder, embed_one};
use crate::hybrid::{CANDIDATES, Fused, Fusion, TEXT_WEIGHT, TEXT_WEIGHT_LEXICAL, diversify, fuse};
use crate::index::{FieldBoosts, has_phrase};

/// Name of the search operation, for its faults.
pub(super) const OP: &str = "knowledge.search";

/// Cosine below which a lexical vector says nothing: twice what two unrelated texts reach by chance, which is
/// `1 / sqrt(512)` = 0.044 for hashed features.
pub(crate) const LEXICAL_FLOOR: f32 = 0.09;

/// Most chunks that are taken to hold a phrase of the query.
const MAX_PHRASE_HOLDERS: usize = 10_000;

/// Which lists answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// Words and vectors, joined.
    #[default]
    Hybrid,
    /// Vectors alone.
    Vector,
    /// Words alone.
    Text,
}

/// What a hit must match; what is left out does not matter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchFilters {
    /// Ids or names of datasets; one of them.
    pub datasets: Vec<String>,
    /// Kind of the dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DatasetKind>,
    /// Tags; all of them.
    pub tags: Vec<String>,
    /// ISO 639-1 code of the language of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Ingested at or after this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Ingested before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Trust; one of them.
    pub trust: Vec<Trust>,
    /// Ids of documents; one of them.
    pub documents: Vec<DocumentId>,
    /// What the text is to be used for: datasets that name other purposes are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The consent bases that hold: documents with another basis are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consents: Option<Vec<String>>,
    /// Slug of a brand: documents with tags of other brands (`brand:SLUG`) and none of this one are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Only what a holder of this role may read, such as when the answer is for somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acl: Option<Role>,
}

/// The answer of a search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchResult {
    /// Hits, best first.
    pub hits: Vec<Hit>,
    /// Why there is no hit: `no_documents`, `no_match`, or `below_min_score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A checked request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) query: String,
    pub(super) vector: Option<Vec<f32>>,
    pub(super) spaces: Vec<String>,
    pub(super) k: usize,
    pub(super) mode: SearchMode,
    pub(super) text_weight: Option<f32>,
    pub(super) fusion: Fusion,
    pub(super) filters: SearchFilters,
    pub(super) min_score: Option<f32>,
    pub(super) mmr_lambda: Option<f32>,
    pub(super) boosts: FieldBoosts,
    pub(super) rerank: Option<String>,
}

impl Request {
    /// Checks every field.
    pub(super) fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let is_vector_alone = self.vector.is_some() && self.mode == SearchMode::Vector;
        let has_words = !self.query.trim().is_empty() || is_vector_alone;
        faults.check(has_words, "query", "expected words to search for");
        let can_rerank = self.rerank.is_none() || !self.query.trim().is_empty();
        faults.check(can_rerank, "rerank", "a reranker judges by words: give them in `query`");
        faults.check(self.query.len() <= 8_000, "query", "expected at most 8000 bytes");
        faults.check((1..=100).contains(&self.k), "k", "expected 1 to 100");
        let unit = |v: Option<f32>| v.is_none_or(|v| (0.0..=1.0).contains(&v));
        faults.check(unit(self.text_weight), "text_weight", "expected 0 to 1");
        faults.check(unit(self.mmr_lambda), "mmr_lambda", "expected 0 to 1");
        let FieldBoosts { title, headings, body } = self.boosts;
        let is_boost = [title, headings, body].iter().all(|b| (0.0..=10.0).contains(b));
        faults.check(is_boost && title + headings + body > 0.0, "boosts", "expected 0 to 10, one above 0");
        faults.check(self.min_score.is_none_or(f32::is_finite), "min_score", "expected a finite number");
        if let Fusion::Rrf { k } = self.fusion {
            faults.check((0.0..=1_000.0).contains(&k), "fusion.k", "expected 0 to 1000");
        }
        faults.into_result(OP)
    }
}

/// One hit with the space it comes from.
struct Found {
    fused: Fused,
    index: Arc<Passages>,
}

/// Runs a search.
pub(super) async fn search(cx: &Scope, knowledge: &Knowledge, request: &Request) -> Result<SearchResult> {
    request.check()?;
    let mut projection = in_step(cx, knowledge, request).await?;
    let questions = match remote(cx, knowledge, &projection, request)? {
        remote if remote.is_empty() => BTreeMap::new(),
        remote => {
            // Nobody who writes waits for a network.
            drop(projection);
            let questions = ask(cx, remote, &request.query).await?;
            projection = in_step(cx, knowledge, request).await?;
            questions
        }
    };
    let mut found: Vec<Found> = Vec::new();
    let mut has_documents = false;
    for space in spaces(&projection, &request.spaces)? {
        let Some(index) = projection.indexes.get(space.id.as_str()) else { continue };
        let within = match seen(cx, &projection, space, &request.filters) {
            Seen::All if index.is_empty() => continue,
            Seen::All => None,
            Seen::These(documents) if documents.is_empty() => continue,
            Seen::These(documents) => Some(index.within(documents.into_iter())),
        };
        has_documents = true;
        let embedder = knowledge.embedder(&space.embedder)?;
        let question = match (&request.vector, questions.get(&space.embedder)) {
            (Some(given), _) => Cow::Borrowed(given),
            (None, Some(made)) => Cow::Borrowed(made),
            _ if request.mode == SearchMode::Text => Cow::Owned(Vec::new()),
            _ => Cow::Owned(embed_one(cx, embedder.as_ref(), &request.query, EmbedKind::Query).await?),
        };
        let fused = in_space(request, embedder.as_ref(), &question, index, within.as_ref()).await?;
        found.extend(fused.into_iter().map(|fused| Found { fused, index: Arc::clone(index) }));
    }
    if found.is_empty() {
        return Ok(none(if has_documents { "no_match" } else { "no_documents" }));
    }
    let chosen = choose(found, request).await?;
    if chosen.is_empty() {
        return Ok(none("below_min_score"));
    }
    let Some(rerank) = &request.rerank else {
        let hits = hits(cx, &projection, chosen, request.k).await?;
        return Ok(SearchResult { hits, reason: None });
    };
    let mut hits = hits(cx, &projection, chosen, CANDIDATES.max(request.k)).await?;
    rerank_hits(knowledge.reranker(rerank)?.as_ref(), &request.query, &mut hits).await?;
    hits.truncate(request.k);
    Ok(SearchResult { hits, reason: None })
}

/// Orders the hits by what a reranker gives them; equal ones stay in the order of the joined score.
async fn rerank_hits(reranker: &dyn Reranker, query: &str, hits: &mut [Hit]) -> Result<()> {
    let texts: Vec<&str> = hits.iter().map(|h| h.text.as_str()).collect();
    let scores = reranker.rerank(query, &texts).await?;
    if scores.len() != hits.len() || scores.iter().any(|s| !s.is_finite()) {
        return Err(Error::internal(OP, "the reranker must answer one finite score per text"));
    }
    for (hit, score) in hits.iter_mut().zip(scores) {
        hit.rerank_score = Some(score);
    }
    hits.sort_by(|a, b| {
        let score = |h: &Hit| h.rerank_score.unwrap_or(f32::MIN);
        score(b).total_cmp(&score(a))
    });
    Ok(())
}

fn none(reason: &str) -> SearchResult {
    SearchResult { hits: Vec::new(), reason: Some(reason.to_owned()) }
}

/// The spaces asked for, or all that answer.
fn spaces<'p>(projection: &'p Projection, asked: &[String]) -> Result<Vec<&'p Space>> {
    if asked.is_empty() {
        return Ok(projection.spaces.values().filter(|s| s.state != SpaceState::Retired).collect());
    }
    let mut out: Vec<&Space> = Vec::new();
    for word in asked {
        let space =
            projection.spaces.values().find(|s| s.id.as_str() == word || s.name == *word).ok_or_else(
                || {
                    Error::new(ErrorKind::NotFound, OP, "there is no such space in this workspace")
                        .with_context("space", word)
                },
            )?;
        if !out.iter().any(|s| s.id == space.id) {
            out.push(space);
        }
    }
    Ok(out)
}

/// The indexes, with the documents where they must be looked at one by one.
async fn in_step(
    cx: &Scope,
    knowledge: &Knowledge,
    request: &Request,
) -> Result<OwnedRwLockReadGuard<Projection>> {
    let projection = knowledge.in_step(cx).await?;
    let mut asked = spaces(&projection, &request.spaces)?.into_iter();
    if projection.documents.is_some() || asked.all(|space| sees_all(cx, &projection, space, &request.filters))
    {
        return Ok(projection);
    }
    drop(projection);
    knowledge.with_documents(cx).await
}

/// What a search may answer from.
enum Seen<'p> {
    All,
    These(Vec<&'p Card>),
}

/// True when a search may answer from all documents of a space.
fn sees_all(cx: &Scope, projection: &Projection, space: &Space, filters: &SearchFilters) -> bool {
    let mut own = projection.datasets.values().filter(|dataset| dataset.space == space.id);
    !filters.is_about_documents() && own.all(|dataset| is_open(cx, dataset, filters))
}

/// The documents of a space that a search may answer from. They are looked at one by one only where some of them may not.
fn seen<'p>(cx: &Scope, projection: &'p Projection, space: &Space, filters: &SearchFilters) -> Seen<'p> {
    if sees_all(cx, projection, space, filters) {
        return Seen::All;
    }
    let own = projection.datasets.values().filter(|dataset| dataset.space == space.id);
    let open: BTreeSet<&str> =
        own.filter(|dataset| is_open(cx, dataset, filters)).map(|dataset| dataset.id.as_str()).collect();
    let documents = projection.documents.iter().flat_map(|all| of_space(all, space.id.as_str()));
    Seen::These(documents.filter(|d| open.contains(&*d.dataset) && filters.admit(d)).collect())
}

/// True when documents of a dataset may answer.
fn is_open(cx: &Scope, dataset: &Dataset, filters: &SearchFilters) -> bool {
    let is_named = filters.datasets.is_empty()
        || filters.datasets.iter().any(|d| *d == dataset.name || d == dataset.id.as_str());
    let fits_purpose =
        filters.purpose.as_ref().is_none_or(|p| dataset.purposes.is_empty() || dataset.purposes.contains(p));
    may_read(cx, dataset)
        && filters.acl.is_none_or(|role| admits(dataset, &role.permissions()))
        && is_named
        && fits_purpose
        && filters.kind.is_none_or(|k| k == dataset.kind)
}

impl SearchFilters {
    /// True when documents of one dataset may differ in whether they match.
    fn is_about_documents(&self) -> bool {
        let of_datasets = Self {
            datasets: self.datasets.clone(),
            kind: self.kind,
            purpose: self.purpose.clone(),
            acl: self.acl,
            ..Self::default()
        };
        *self != of_datasets
    }

    /// True when a document of a dataset that may answer matches.
    fn admit(&self, document: &Card) -> bool {
        let rests_on = |held: &Vec<String>| {
            document.consent_basis.as_deref().is_none_or(|basis| held.iter().any(|held| held == basis))
        };
        self.consents.as_ref().is_none_or(rests_on)
            && self.brand.as_ref().is_none_or(|brand| is_of_brand(document, brand))
            && self.tags.iter().all(|tag| document.tags.iter().any(|own| **own == **tag))
            && self.language.as_ref().is_none_or(|language| document.language.as_deref() == Some(language))
            && self.since.is_none_or(|at| document.ingested_at >= at)
            && self.until.is_none_or(|at| document.ingested_at < at)
            && (self.trust.is_empty() || self.trust.contains(&document.trust))
            && (self.documents.is_empty() || self.documents.contains(&document.id))
    }
}

/// What begins the tags that give a document to a brand.
const BRAND_TAG: &str = "brand:";

/// True for a document of a brand, and for one of none.
fn is_of_brand(document: &Card, brand: &str) -> bool {
    let mut brands = document.tags.iter().filter_map(|tag| tag.strip_prefix(BRAND_TAG)).peekable();
    brands.peek().is_none() || brands.any(|of| of == brand)
}

/// True when the principal holds all rights of a role that the dataset admits.
pub(super) fn may_read(cx: &Scope, dataset: &Dataset) -> bool {
    admits(dataset, cx.permissions())
}

/// Rights of a host's own say nothing about documents: they are not asked for.
fn admits(dataset: &Dataset, held: &PermissionSet) -> bool {
    dataset.acl.is_empty()
        || dataset.acl.iter().any(|role| role.permissions().iter().all(|word| held.has(word)))
}

/// The embedders behind a network that the question must be sent to: those of spaces where something may be found.
fn remote(
    cx: &Scope,
    knowledge: &Knowledge,
    projection: &Projection,
    request: &Request,
) -> Result<Vec<Arc<dyn Embedder>>> {
    if request.mode == SearchMode::Text || request.vector.is_some() {
        return Ok(Vec::new());
    }
    let is_seen = |space: &&Space| match seen(cx, projection, space, &request.filters) {
        Seen::All => projection.indexes.get(space.id.as_str()).is_some_and(|index| !index.is_empty()),
        Seen::These(documents) => !documents.is_empty(),
    };
    let wanted = spaces(projection, &request.spaces)?.into_iter().filter(is_seen);
    let ids: BTreeSet<&str> = wanted.map(|space| space.embedder.as_str()).collect();
    let all: Result<Vec<_>> = ids.into_iter().map(|id| knowledge.embedder(id)).collect();
    Ok(all?.into_iter().filter(|embedder| embedder.is_remote()).collect())
}

/// The question as a vector of each embedder.
async fn ask(
    cx: &Scope,
    embedders: Vec<Arc<dyn Embedder>>,
    query: &str,
) -> Result<BTreeMap<String, Vec<f32>>> {
    let mut out = BTreeMap::new();
    for embedder in embedders {
        let question = embed_one(cx, embedder.as_ref(), query, EmbedKind::Query).await?;
        out.insert(embedder.id().to_owned(), question);
    }
    Ok(out)
}

async fn in_space(
    request: &Request,
    embedder: &dyn Embedder,
    question: &[f32],
    index: &Passages,
    within: Option<&Within>,
) -> Result<Vec<Fused>> {
    let candidates = CANDIDATES.max(request.k);
    // What stands in quotes must stand in every hit, also in those that vectors find.
    let holders = match request.mode {
        SearchMode::Hybrid if has_phrase(&request.query) => {
            let all = index.search_text(&request.query, MAX_PHRASE_HOLDERS, within, request.boosts).await?;
            Some(Within::Chunks(Arc::new(all.into_iter().map(|h| h.id).collect())))
        }
        _ => None,
    };
    let within = holders.as_ref().or(within);
    let text = match request.mode {
        SearchMode::Vector => Vec::new(),
        _ => index.search_text(&request.query, candidates, within, request.boosts).await?,
    };
    let vector = match request.mode {
        SearchMode::Text => Vec::new(),
        _ => {
            let mut hits = index.search_vector(question, candidates, within).await?;
            // Without a floor every document would be a hit of every query.
            hits.retain(|h| !embedder.is_lexical() || h.score >= LEXICAL_FLOOR);
            hits
        }
    };
    let default = if embedder.is_lexical() { TEXT_WEIGHT_LEXICAL } else { TEXT_WEIGHT };
    let weight = match request.mode {
        SearchMode::Hybrid => request.text_weight.unwrap_or(default),
        SearchMode::Text => 1.0,
        SearchMode::Vector => 0.0,
    };
    Ok(fuse(&text, &vector, weight, request.fusion))
}

/// Orders, cuts at the least score, and spreads.
async fn choose(found: Vec<Found>, request: &Request) -> Result<Vec<Fused>> {
    let mut by_index: Vec<(Arc<Passages>, Vec<Arc<str>>)> = Vec::new();
    for hit in &found {
        match by_index.iter_mut().find(|(index, _)| Arc::ptr_eq(index, &hit.index)) {
            Some((_, ids)) => ids.push(Arc::clone(&hit.fused.id)),
            None => by_index.push((Arc::clone(&hit.index), vec![Arc::clone(&hit.fused.id)])),
        }
    }
    let mut all: Vec<Fused> = found.into_iter().map(|f| f.fused).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    if let Some(least) = request.min_score {
        all.retain(|f| f.score >= least);
    }
    let Some(lambda) = request.mmr_lambda else { return Ok(all) };
    // With the embedder of each: vectors of two are not compared.
    let mut vectors: HashMap<Arc<str>, (Arc<str>, Vec<f32>)> = HashMap::new();
    for (index, ids) in by_index {
        let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
        let embedder: Arc<str> = index.embedder().into();
        let found = index.vectors(&ids).await?.into_iter();
        vectors.extend(found.map(|(id, vector)| (id, (Arc::clone(&embedder), vector))));
    }
    let similarity = |a: &str, b: &str| match (vectors.get(a), vectors.get(b)) {
        (Some((of_a, a)), Some((of_b, b))) if of_a == of_b => a.iter().zip(b).map(|(x, y)| x * y).sum(),
        _ => 0.0,
    };
    // Some of the chosen may be gone from the store by now; a few more are at hand.
    Ok(diversify(all, request.k + 8, lambda, similarity))
}
