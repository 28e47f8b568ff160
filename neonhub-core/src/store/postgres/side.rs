//! Tables beside those of the records, for indexes that live in the same database.

use deadpool_postgres::{Object, Pool};
use futures_util::future::BoxFuture;
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::PostgresOptions;
use super::error::failed;
use super::{migrating, schema, session};
use crate::{Error, ErrorKind, Result};

/// The way to tables of one's own in the database of a store.
///
/// Their names begin with `_`, which keeps them apart from records: backups, exports and checks pass them over, so they
/// hold only what can be built again from records. `store.compact` writes them anew with the others.
#[derive(Clone)]
pub struct PostgresSide {
    pub(super) pool: Pool,
    pub(super) options: PostgresOptions,
    pub(super) tls: MakeRustlsConnect,
}

impl std::fmt::Debug for PostgresSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSide").field("schema", &self.options.schema).finish_non_exhaustive()
    }
}

impl PostgresSide {
    /// Boxed, as the other future here that opens a connection: what stands on many layers of futures would otherwise be
    /// too deep a type for the compiler to check.
    fn connected(&self) -> BoxFuture<'_, Result<Client>> {
        Box::pin(migrating(&self.options, &self.tls))
    }

    /// Schema of the tables. Connections find what is in it without naming it.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.options.schema
    }

    /// A connection of the pool, with the rights of the app role where there is one.
    ///
    /// Row-level security shows the rows of the workspace that the transaction names: `neonhub.workspace` must be set
    /// first (`set_config('neonhub.workspace', $1, true)`).
    ///
    /// # Errors
    /// `Unavailable` when the store is closed, the server cannot be reached, or no connection comes free in time.
    pub async fn client(&self, operation: &'static str) -> Result<Object> {
        let taken: BoxFuture<'_, Result<Object>> = Box::pin(session::take(&self.pool, operation));
        taken.await
    }

    /// A connection of its own that may change tables where the user may, without a statement timeout.
    ///
    /// # Errors
    /// `Unavailable` when the server cannot be reached.
    pub async fn owner(&self) -> Result<Client> {
        let client = self.connected().await?;
        schema::act_as_owner_for_session(&client).await?;
        Ok(client)
    }

    /// An error of the server in the words of the store. It quotes no values.
    #[must_use]
    pub fn fault(operation: &'static str, cause: &tokio_postgres::Error) -> Error {
        failed(operation, cause)
    }

    /// The schema and the version of an extension, which is created when the server has it and the user may.
    ///
    /// # Errors
    /// `Config` when the server lacks it or the user may not create it.
    pub async fn extension(&self, name: &'static str) -> Result<(String, String)> {
        let client = self.connected().await?;
        let find = "SELECT n.nspname::text, e.extversion FROM pg_extension e \
                    JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = $1";
        let fail = |e| failed("store.extension", &e);
        if let Some(row) = client.query_opt(find, &[&name]).await.map_err(fail)? {
            return Ok((row.get(0), row.get(1)));
        }
        // Two processes that create it at once: one of them finds it there.
        let made = client.batch_execute(&format!("CREATE EXTENSION IF NOT EXISTS \"{name}\"")).await;
        match (client.query_opt(find, &[&name]).await.map_err(fail)?, made) {
            (Some(row), _) => Ok((row.get(0), row.get(1))),
            (None, made) => {
                let message = "the database lacks an extension: install it on the server, and create it as a user that may";
                let error =
                    Error::new(ErrorKind::Config, "store.extension", message).with_context("extension", name);
                Err(match made {
                    Err(cause) => error.with_source(failed("store.extension", &cause)),
                    Ok(()) => error,
                })
            }
        }
    }

    /// Statements that put the fence of a workspace around a table with a column `workspace_id`, and let the app role
    /// read and write it.
    #[must_use]
    pub fn fence(&self, table: &str) -> String {
        schema::fence(&self.options.schema, table)
    }

    /// Brings side tables to their newest form: runs the numbered steps that the database has not seen, each once, as
    /// the owner of the tables. A released step is never edited.
    ///
    /// # Errors
    /// `Config` when this user may not change tables, or the database has more steps than are given.
    pub async fn declare(&self, name: &'static str, steps: &[String]) -> Result<()> {
        let schema = &self.options.schema;
        let mut client = self.connected().await?;
        if steps_done(&client, schema, name).await? == Some(steps.len()) {
            return Ok(());
        }
        let tx = client.transaction().await.map_err(|e| failed("store.declare", &e))?;
        schema::lock(&tx, schema).await?;
        schema::act_as_owner(&tx).await?;
        let done = steps_done(&tx, schema, name).await?.unwrap_or_default();
        if done > steps.len() {
            return Err(schema::newer(done, steps.len()).with_context("tables", name));
        }
        let list = format!(
            "CREATE TABLE IF NOT EXISTS \"{schema}\"._side (name text PRIMARY KEY, version integer NOT NULL); {}",
            schema::grant(schema, "_side")
        );
        let mark = format!(
            "INSERT INTO \"{schema}\"._side VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET version = excluded.version"
        );
        let run = async {
            tx.batch_execute(&list).await?;
            for step in steps.iter().skip(done) {
                tx.batch_execute(step).await?;
            }
            let version = i32::try_from(steps.len()).unwrap_or(i32::MAX);
            tx.execute(&mark, &[&name, &version]).await
        };
        run.await.map_err(|cause| schema::refused(name, &cause))?;
        tx.commit().await.map_err(|e| failed("store.declare", &e))
    }
}

/// Steps that the database has seen; `None` before any side table.
async fn steps_done(
    client: &impl tokio_postgres::GenericClient,
    schema: &str,
    name: &str,
) -> Result<Option<usize>> {
    let fail = |e| failed("store.declare", &e);
    let table = format!("\"{schema}\"._side");
    let there = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await.map_err(fail)?;
    if !there.get::<_, bool>(0) {
        return Ok(None);
    }
    let text = format!("SELECT version FROM {table} WHERE name = $1");
    let row = client.query_opt(&text, &[&name]).await.map_err(fail)?;
    Ok(row.map(|r| usize::try_from(r.get::<_, i32>(0)).unwrap_or_default()))
}
