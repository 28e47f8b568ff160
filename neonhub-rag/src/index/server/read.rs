//! Searching: the nearest vectors, the best words.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use deadpool_postgres::Transaction;
use neonhub_core::Result;

use super::super::rows::{check, unit};
use super::super::text::FieldBoosts;
use super::super::{IdSet, Scored};
use super::ask::{Asked, ONE_OCCURRENCE};
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
        let is_worth_it = kept.chunks >= self.exact_below && kept.chunks * LEAST_SHARE >= kept.of;
        if self.graph.is_ready.load(Ordering::Acquire) && kept.ids.is_none() && is_worth_it {
            let found = self.walk(&tx, &query, k, kept).await?;
            if found.len() >= most {
                return Ok(best(found, k));
            }
        }
        Ok(best(self.nearest(&tx, &query, k, kept, false).await?, k))
    }

    async fn walk(
        &self,
        tx: &Transaction<'_>,
        query: &HalfVec,
        k: usize,
        kept: &Kept,
    ) -> Result<Vec<Scored>> {
        // Sorting all vectors must not look cheaper than the graph to a planner without figures.
        let text = "SELECT set_config('hnsw.ef_search', $1, true), set_config('hnsw.iterative_scan', 'relaxed_order', true), \
                    set_config('enable_sort', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)";
        let width = (4 * k).clamp(LEAST_WIDTH, MOST_WIDTH).to_string();
        let statement = prepare(tx, text).await?;
        tx.execute(&statement, &[&width]).await.map_err(fault)?;
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
        // A few more, so that equal ones at the end are chosen by id. A graph brings them not quite in order.
        let more = if by_graph { k + 16 } else { 16 };
        let limit = i64::try_from(k + more).unwrap_or(i64::MAX);
        let Kept { documents, ids, .. } = kept;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&self.workspace, &self.space, &self.embedder, query, documents, ids, &limit];
        let rows = tx.query(&statement, &params).await.map_err(fault)?;
        let score = |distance: f64| (1.0 - distance).clamp(-1.0, 1.0) as f32;
        Ok(rows.iter().map(|r| Scored { id: r.get::<_, &str>(0).into(), score: score(r.get(1)) }).collect())
    }

    /// Only with the length in the type does an expression match the graph: without it the answer is exact.
    pub(super) fn nearest_text(&self, by_graph: bool) -> String {
        let vector = quoted(&self.server.vector);
        let length = if by_graph { format!("::{vector}.halfvec({})", self.dims) } else { String::new() };
        let order = if by_graph { "2" } else { "2, id" };
        format!(
            "SELECT id, embedding{length} OPERATOR({vector}.<=>) $4 AS distance FROM _passage \
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
                held.chunks, held.words / greatest(held.chunks, 1), $11, $12, $13) f ORDER BY f.score DESC, f.id";
        let statement = prepare(&tx, text).await?;
        let k = i64::try_from(k).unwrap_or(i64::MAX);
        let Kept { documents, ids, .. } = kept;
        let Asked { mark, required, clauses, forms, clause_of, weights } = &asked;
        let most = MOST_RANKED.max(k);
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 13] = [
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
        ];
        let rows = tx.query(&statement, &params).await.map_err(fault)?;
        let hit = |row: &tokio_postgres::Row| Scored {
            id: row.get::<_, &str>(0).into(),
            score: (row.get::<_, f64>(1) / ONE_OCCURRENCE) as f32,
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

fn best(mut found: Vec<Scored>, k: usize) -> Vec<Scored> {
    Scored::sort(&mut found);
    found.truncate(k);
    found
}
