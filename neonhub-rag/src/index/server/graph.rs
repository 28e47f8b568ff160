//! The graph over the vectors of a space: a partial HNSW index, made in the background while writers go on.

use std::sync::atomic::{AtomicBool, Ordering};

use neonhub_core::Result;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use xxhash_rust::xxh3::xxh3_64;

use super::schema::{literal, quoted};
use super::{Place, fault};

/// Vectors up to which a scan is taken, and from which a graph is made.
pub(super) const EXACT_BELOW: usize = 10_000;
/// Longest half-precision vectors that pgvector takes into a graph (README of 0.8).
const MOST_DIMS: usize = 4_000;

/// Whether the graph can be walked, and the task that makes it.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) is_ready: AtomicBool,
    task: Mutex<Option<JoinHandle<bool>>>,
}

impl Place {
    /// Makes the graph in the background when so many vectors call for one. Until it is there searches scan.
    pub(crate) async fn grow(&self, vectors: usize) {
        let is_worth_it = vectors >= self.exact_below && (1..=MOST_DIMS).contains(&self.dims);
        if !is_worth_it || self.graph.is_ready.load(Ordering::Acquire) {
            return;
        }
        let mut task = self.graph.task.lock().await;
        // One that another process was making is looked for again; one that this user may not make is not.
        let may_begin = match task.as_mut() {
            None => true,
            Some(running) if !running.is_finished() => false,
            Some(ended) => ended.await.unwrap_or_default(),
        };
        if may_begin {
            let place = self.clone();
            *task = Some(tokio::spawn(async move { place.make_graph().await }));
        }
    }

    /// Waits for the graph that is being made.
    pub(crate) async fn settle(&self) {
        let mut task = self.graph.task.lock().await;
        if let Some(running) = task.as_mut() {
            let may_try_again = running.await.unwrap_or_default();
            *task = Some(tokio::spawn(async move { may_try_again }));
        }
    }

    /// True when it is worth another try later.
    async fn make_graph(&self) -> bool {
        match self.find_or_build().await {
            Ok(is_there) => {
                self.graph.is_ready.store(is_there, Ordering::Release);
                !is_there
            }
            Err(cause) => {
                tracing::warn!(error = %cause, space = self.space, "no graph over the vectors: searches scan them");
                false
            }
        }
    }

    /// False when another process is at it.
    async fn find_or_build(&self) -> Result<bool> {
        let owner = self.server.side.owner().await?;
        let name = self.graph_name();
        // Held until the connection ends. Waiting for it would hold up the other process, which waits for all
        // transactions that began before its index.
        let lock = "SELECT pg_try_advisory_lock(hashtextextended('neonhub.graph.' || $1 || '.' || $2, 0))";
        let schema = self.server.side.schema();
        let is_ours: bool = owner.query_one(lock, &[&schema, &name]).await.map_err(fault)?.get(0);
        if !is_ours {
            return Ok(false);
        }
        self.drop_others(&owner, &name).await?;
        if is_valid(&owner, schema, &name).await? == Some(true) {
            return Ok(true);
        }
        let (s, vector) = (quoted(schema), quoted(&self.server.vector));
        // What a process left behind that died while it made one.
        let text = format!("DROP INDEX CONCURRENTLY IF EXISTS {s}.{}", quoted(&name));
        owner.batch_execute(&text).await.map_err(fault)?;
        owner.batch_execute("SET maintenance_work_mem = '128MB'").await.map_err(fault)?;
        let text = format!(
            "CREATE INDEX CONCURRENTLY {} ON {s}._passage USING hnsw \
             ((embedding::{vector}.halfvec({})) {vector}.halfvec_cosine_ops) WITH (m = 16, ef_construction = 200) \
             WHERE space = {} AND embedder = {}",
            quoted(&name),
            self.dims,
            literal(&self.space),
            literal(&self.embedder)
        );
        owner.batch_execute(&text).await.map_err(fault)?;
        Ok(true)
    }

    fn graph_name(&self) -> String {
        format!("{}{:016x}", self.graph_prefix(), xxh3_64(self.embedder.as_bytes()))
    }

    fn graph_prefix(&self) -> String {
        // Names of the server have up to 63 bytes.
        format!("_graph_{:016x}_", xxh3_64(self.space.as_bytes()))
    }

    /// The graph of an earlier embedder has no vectors left.
    async fn drop_others(&self, owner: &Client, name: &str) -> Result<()> {
        let text = "SELECT indexname::text FROM pg_indexes WHERE schemaname = $1 AND starts_with(indexname::text, $2)";
        let schema = self.server.side.schema();
        for row in owner.query(text, &[&schema, &self.graph_prefix()]).await.map_err(fault)? {
            let found: String = row.get(0);
            if found != name {
                let text = format!("DROP INDEX CONCURRENTLY IF EXISTS {}.{}", quoted(schema), quoted(&found));
                owner.batch_execute(&text).await.map_err(fault)?;
            }
        }
        Ok(())
    }
}

/// Whether an index is there and whole.
async fn is_valid(owner: &Client, schema: &str, name: &str) -> Result<Option<bool>> {
    let text = "SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass($1)";
    let name = format!("{}.{}", quoted(schema), quoted(name));
    Ok(owner.query_opt(text, &[&name]).await.map_err(fault)?.map(|row| row.get(0)))
}
