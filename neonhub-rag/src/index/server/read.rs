//! Searching: the nearest vectors, the best words.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use deadpool_postgres::Transaction;
use neonhub_core::Result;

use super::super::rows::{check, unit};
use super::super::text::FieldBoosts;
use super::super::{IdSet, Scored};
use super::ask::Asked;
use super::schema::quoted;
use super::wire::HalfVec;
use super::{Place, begin, fault, prepare};

/// Chunks with a word from which it does not choose the chunks any more while rarer ones do.
// Ranking a chunk takes 20 to 30 us on the server, so a search of five rare words stays within 100 ms (2026).
const RARE: i64 = 1_000;
/// Most chunks that are ranked for one search.
const MOST_RANKED: i64 = 20_000;
/// Share of the chunks below which they are scanned however many they are: one in so many.
// Measured with 8 400 vectors (2026): a walk has a recall of 1.0 when it keeps one in ten, of .957 at one in a hundred.
const LEAST_SHARE: usize = 20;
/// Nearest neighbours that a walk of the graph keeps. pgvector takes up to 1 000.
const LEAST_WIDTH: usize = 200;
const MOST_WIDTH: usize = 1_000;

/// Which chunks may be hits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// Those of these documents; of all when absent.
    pub(crate) documents: Option<Vec<String>>,
    /// Those with these ids; all when absent.
    pub(crate) ids: Option<Vec<String>>,
    /// How many they are.
    pub(crate) chunks: usize,
    /// How many there are in all.
    pub(crate) of: usize,
}

impl Kept {
    /// These chunks and no others.
    pub(crate) fn chunks(ids: &IdSet) -> Self {
        Self {
            documents: None,
            ids: Some(ids.iter().map(|id| id.to_string()).collect()),
            chunks: ids.len(),
            of: ids.len(),
        }
    }
}

impl Place {
    /// The `k` nearest by cosine, best first, equal ones by id.
    ///
    /// Few vectors are scanned exactly; among many the graph is walked, on and on until enough are found that may be
    /// hits. When it ends too early all the same, the scan answers.
    pub(crate) async fn search_vector(&self, query: &[f32], k: usize, kept: &Kept) -> Result<Vec<Scored>> {
        check("index.search", query, self.dims)?;
        let query = unit(query);
        let most = k.min(kept.chunks);
        if most == 0 || query.iter().all(|v| *v == 0.0) {
            return Ok(Vec::new());
        }
        let query = HalfVec::of(&query);
        let mut client = self.client().await?;
        let tx = begin(&mut client, &self.workspace).await?;
        if self.may_walk(kept) {
            let found = self.walk(&tx, &query, k, kept).await?;
            if found.len() >= most {
                return Ok(best(found, k));
            }
        }
        Ok(best(self.nearest(&tx, &query, k, kept, false).await?, k))
    }

    /// [`search_vector`](Self::search_vector) of several queries in one round trip, each with its own answer, in order.
    pub(crate) async fn search_vectors(
        &self,
        queries: &[Vec<f32>],
        k: usize,
        kept: &Kept,
    ) -> Result<Vec<Vec<Scored>>> {
        let mut out = vec![Vec::new(); queries.len()];
        let (mut places, mut asked) = (Vec::new(), Vec::new());
        for (place, query) in queries.iter().enumerate() {
            check("index.search", query, self.dims)?;
            let query = unit(query);
            if query.iter().any(|v| *v != 0.0) {
                places.push(place);
                asked.push(HalfVec::of(&query));
            }
        }
        let most = k.min(kept.chunks);
        if most == 0 || asked.is_empty() {
            return Ok(out);
        }
        let mut client = self.client().await?;
        let tx = begin(&mut client, &self.workspace).await?;
        let mut found = None;
        if self.may_walk(kept) {
            set_walk(&tx, k).await?;
            let walked = self.nearest_each(&tx, &asked, k, kept, true).await?;
            found = Some(walked).filter(|lists| lists.iter().all(|list| list.len() >= most));
        }
        let found = match found {
            Some(found) => found,
            None => self.nearest_each(&tx, &asked, k, kept, false).await?,
        };
        for (place, list) in places.into_iter().zip(found) {
            if let Some(slot) = out.get_mut(place) {
                *slot = best(list, k);
            }
        }
        Ok(out)
    }

    /// Whether the graph is there, and enough of what it leads to may be a hit.
    fn may_walk(&self, kept: &Kept) -> bool {
        let is_worth_it = kept.chunks >= self.exact_below && kept.chunks * LEAST_SHARE >= kept.of;
        self.graph.is_ready.load(Ordering::Acquire) && kept.ids.is_none() && is_worth_it
    }

    async fn nearest_each(
        &self,
        tx: &Transaction<'_>,
        queries: &[HalfVec],
        k: usize,
        kept: &Kept,
        by_graph: bool,
    ) -> Result<Vec<Vec<Scored>>> {
        let statement = prepare(tx, &self.each_text(by_graph)).await?;
        let limit = limit(k, by_graph);
        let Kept { documents, ids, .. } = kept;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&self.workspace, &self.space, &self.embedder, &queries, documents, ids, &limit];
        let mut out = vec![Vec::new(); queries.len()];
        for row in tx.query(&statement, &params).await.map_err(fault)? {
            // Numbers of queries begin at 1.
            let place = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
            if let Some(list) = out.get_mut(place) {
                list.push(Scored { id: row.get::<_, &str>(1).into(), score: score(row.get(2)) });
            }
        }
        Ok(out)
    }

    async fn walk(
        &self,
        tx: &Transaction<'_>,
        query: &HalfVec,
        k: usize,
        kept: &Kept,
    ) -> Result<Vec<Scored>> {
        set_walk(tx, k).await?;
        self.nearest(tx, query, k, kept, true).await
    }

    async fn nearest(
        &self,
        tx: &Transaction<'_>,
        query: &HalfVec,
        k: usize,
        kept: &Kept,
        by_graph: bool,
    ) -> Result<Vec<Scored>> {
        let statement = prepare(tx, &self.nearest_text(by_graph)).await?;
        let limit = limit(k, by_graph);
        let Kept { documents, ids, .. } = kept;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&self.workspace, &self.space, &self.embedder, query, documents, ids, &limit];
        let rows = tx.query(&statement, &params).await.map_err(fault)?;
        Ok(rows.iter().map(|r| Scored { id: r.get::<_, &str>(0).into(), score: score(r.get(1)) }).collect())
    }

    pub(super) fn each_text(&self, by_graph: bool) -> String {
        let vector = quoted(&self.server.vector);
        let nearest = self.nearest_of("q.v", by_graph);
        format!(
            "SELECT q.n, near.id, near.distance \
             FROM unnest($4::{vector}.halfvec[]) WITH ORDINALITY AS q(v, n), LATERAL ({nearest}) near"
        )
    }

    pub(super) fn nearest_text(&self, by_graph: bool) -> String {
        self.nearest_of("$4", by_graph)
    }

    /// Only with the length in the type does an expression match the graph: without it the answer is exact.
    fn nearest_of(&self, query: &str, by_graph: bool) -> String {
        let vector = quoted(&self.server.vector);
        let length = if by_graph { format!("::{vector}.halfvec({})", self.dims) } else { String::new() };
        let order = if by_graph { "2" } else { "2, id" };
        format!(
            "SELECT id, embedding{length} OPERATOR({vector}.<=>) {query} AS distance FROM _passage \
             WHERE workspace_id = $1 AND space = $2 AND embedder = $3 AND embedding IS NOT NULL \
             AND ($5::text[] IS NULL OR document = ANY ($5)) AND ($6::text[] IS NULL OR id = ANY ($6)) \
             ORDER BY {order} LIMIT $7"
        )
    }

    /// The `k` best by words, best first, equal ones by id. `languages` are those of the chunks.
    pub(crate) async fn search_words(
        &self,
        query: &str,
        languages: &BTreeSet<String>,
        k: usize,
        kept: &Kept,
        boosts: FieldBoosts,
    ) -> Result<Vec<Scored>> {
        let Some(asked) = Asked::of(query, languages, &self.space, boosts) else { return Ok(Vec::new()) };
        if k == 0 || kept.chunks == 0 {
            return Ok(Vec::new());
        }
        let mut client = self.client().await?;
        let tx = begin(&mut client, &self.workspace).await?;
        let text = "WITH held AS ( \
                SELECT coalesce(sum(chunks), 0)::float8 AS chunks, coalesce(sum(words), 0)::float8 AS words \
                FROM _passage_document \
                WHERE workspace_id = $1 AND space = $2 AND ($9::text[] IS NULL OR document = ANY ($9))) \
            SELECT f.id, f.score FROM held, LATERAL _passage_words( \
                $3::text::tsquery, $4::text::tsquery, $5::text[]::tsquery[], $6::text[]::tsquery[], $7, $8, $9, $10, \
                least(held.chunks, $14), held.words / greatest(held.chunks, 1), $11, $12, $13) f ORDER BY f.score DESC, f.id";
        let statement = prepare(&tx, text).await?;
        let k = i64::try_from(k).unwrap_or(i64::MAX);
        let Kept { documents, ids, .. } = kept;
        let Asked { mark, required, clauses, forms, clause_of, weights } = &asked;
        let most = MOST_RANKED.max(k);
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 14] = [
            &self.workspace,
            &self.space,
            mark,
            required,
            clauses,
            forms,
            clause_of,
            weights,
            documents,
            ids,
            &RARE,
            &most,
            &k,
            &(kept.chunks as f64),
        ];
        let rows = tx.query(&statement, &params).await.map_err(fault)?;
        let hit = |row: &tokio_postgres::Row| Scored {
            id: row.get::<_, &str>(0).into(),
            score: row.get::<_, f64>(1) as f32,
        };
        Ok(rows.iter().map(hit).collect())
    }

    /// The vectors of chunks, as far as they have one.
    pub(crate) async fn vectors(&self, ids: &[&str]) -> Result<HashMap<Arc<str>, Vec<f32>>> {
        let mut client = self.client().await?;
        let tx = begin(&mut client, &self.workspace).await?;
        let text = "SELECT id, embedding FROM _passage WHERE workspace_id = $1 AND space = $2 AND embedder = $3 \
                    AND id = ANY ($4) AND embedding IS NOT NULL";
        let statement = prepare(&tx, text).await?;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&self.workspace, &self.space, &self.embedder, &ids];
        let rows = tx.query(&statement, &params).await.map_err(fault)?;
        Ok(rows.iter().map(|r| (r.get::<_, &str>(0).into(), r.get::<_, HalfVec>(1).to_vec())).collect())
    }
}

/// How many are asked for: a few more, so that equal ones at the end are chosen by id. A graph brings them not quite in
/// order.
fn limit(k: usize, by_graph: bool) -> i64 {
    let more = if by_graph { k + 16 } else { 16 };
    i64::try_from(k + more).unwrap_or(i64::MAX)
}

fn score(distance: f64) -> f32 {
    (1.0 - distance).clamp(-1.0, 1.0) as f32
}

/// Lets the graph be walked in this transaction until enough is found.
async fn set_walk(tx: &Transaction<'_>, k: usize) -> Result<()> {
    // Sorting all vectors must not look cheaper than the graph to a planner without figures.
    let text = "SELECT set_config('hnsw.ef_search', $1, true), set_config('hnsw.iterative_scan', 'relaxed_order', true), \
                set_config('enable_sort', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)";
    let width = (4 * k).clamp(LEAST_WIDTH, MOST_WIDTH).to_string();
    let statement = prepare(tx, text).await?;
    tx.execute(&statement, &[&width]).await.map_err(fault)?;
    Ok(())
}

fn best(mut found: Vec<Scored>, k: usize) -> Vec<Scored> {
    Scored::sort(&mut found);
    found.truncate(k);
    found
}
