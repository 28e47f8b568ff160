//! Both indexes in the PostgreSQL database of the store: vectors by pgvector, words by `tsvector`.
//!
//! All processes share them. Which documents they hold, and the position of the feed they reflect, stands in the same
//! database and changes in the same transactions as the rows themselves, so neither a crash nor a race leaves them
//! half done: the next process goes on from what is there.

mod ask;
mod graph;
mod read;
mod rows;
mod schema;
mod wire;

use std::sync::Arc;

use deadpool_postgres::{Object, Transaction};
use neonhub_core::store::postgres::PostgresSide;
use neonhub_core::{Error, ErrorKind, Result};
use tokio_postgres::Statement;

use self::graph::Graph;
pub(crate) use self::read::Kept;
pub(crate) use self::rows::{Entry, Passage, Progress, Wanted};

/// Name of the operation in errors.
const OP: &str = "knowledge.index";
/// The first version of pgvector with half-precision vectors and scans that go on until enough is found.
const LEAST_VECTOR: (u32, u32) = (0, 8);

/// The tables of the indexes in one database.
#[derive(Debug)]
pub(crate) struct Server {
    side: PostgresSide,
    /// Schema of pgvector.
    vector: String,
}

impl Server {
    /// Makes the tables where they are missing.
    ///
    /// # Errors
    /// `Config` when the server lacks pgvector 0.8 or this user may not make the tables; `Unavailable` when it cannot
    /// be reached.
    pub(crate) async fn open(side: PostgresSide) -> Result<Arc<Self>> {
        let (vector, version) = side.extension("vector").await?;
        let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or_default());
        let found = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        if found < LEAST_VECTOR {
            let message = "the database has an old pgvector: update it on the server and run ALTER EXTENSION vector UPDATE";
            return Err(Error::new(ErrorKind::Config, OP, message)
                .with_context("found", version)
                .with_context("expected", "0.8"));
        }
        side.declare(schema::NAME, &schema::steps(&side, &vector)).await?;
        Ok(Arc::new(Self { side, vector }))
    }

    /// Removes what belongs to other spaces of a workspace than these.
    pub(crate) async fn keep_only(&self, workspace: &str, spaces: &[String]) -> Result<()> {
        let mut client = self.side.client(OP).await?;
        let tx = begin(&mut client, workspace).await?;
        for table in ["_passage", "_passage_document", "_passage_space"] {
            let text = format!("DELETE FROM {table} WHERE workspace_id = $1 AND space <> ALL ($2)");
            tx.execute(&text, &[&workspace, &spaces]).await.map_err(fault)?;
        }
        tx.commit().await.map_err(fault)
    }
}

/// The indexes of one space.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    server: Arc<Server>,
    workspace: String,
    space: String,
    embedder: String,
    dims: usize,
    /// Vectors up to which a scan is taken, and from which a graph is made.
    exact_below: usize,
    graph: Arc<Graph>,
}

impl Place {
    pub(crate) fn new(
        server: Arc<Server>,
        workspace: impl Into<String>,
        space: impl Into<String>,
        embedder: impl Into<String>,
        dims: usize,
    ) -> Self {
        let (workspace, space, embedder) = (workspace.into(), space.into(), embedder.into());
        Self {
            server,
            workspace,
            space,
            embedder,
            dims,
            exact_below: graph::EXACT_BELOW,
            graph: Arc::default(),
        }
    }

    /// The embedder of its vectors.
    pub(crate) fn embedder(&self) -> &str {
        &self.embedder
    }

    async fn client(&self) -> Result<Object> {
        self.server.side.client(OP).await
    }
}

/// A transaction behind the fence of a workspace. Dropped, it is rolled back.
async fn begin<'c>(client: &'c mut Object, workspace: &str) -> Result<Transaction<'c>> {
    let tx = client.transaction().await.map_err(fault)?;
    let fence = prepare(&tx, "SELECT set_config('neonhub.workspace', $1, true)").await?;
    tx.execute(&fence, &[&workspace]).await.map_err(fault)?;
    Ok(tx)
}

async fn prepare(tx: &Transaction<'_>, text: &str) -> Result<Statement> {
    tx.prepare_cached(text).await.map_err(fault)
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err calls")]
fn fault(cause: tokio_postgres::Error) -> Error {
    PostgresSide::fault(OP, &cause)
}

#[cfg(test)]
mod tests;
