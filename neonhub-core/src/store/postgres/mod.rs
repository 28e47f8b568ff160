//! The PostgreSQL engine: one database for a fleet of processes.
//!
//! A table per kind with the body as `jsonb`, real indexes, and a fence around each workspace (row-level security)
//! behind the one in the queries. Commits that wait for one workspace share a transaction; the change feed is gapless
//! because the row that counts it is taken last and held until the commit.

mod cascade;
mod claim;
mod committer;
mod config;
mod error;
mod escape;
mod fate;
mod grow;
mod listen;
mod read;
mod replica;
mod schema;
mod session;
mod side;
mod snapshot;
mod steps;
mod upkeep;
mod write;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use deadpool_postgres::Pool;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_postgres_rustls::MakeRustlsConnect;

pub use self::config::PostgresOptions;
pub use self::side::PostgresSide;

use self::committer::{Committer, Families};
use self::error::{closed, failed};
use self::listen::{Listener, Presence};
use self::replica::Replica;
use super::transfer::kind_of;
use super::{
    Batch, Claim, Committed, Damage, FeedEntry, Figures, Item, Key, Kind, Query, Row, Snapshot, Store,
    StoreCaps, memory, pack,
};
use crate::tenancy::WorkspaceId;
use crate::{Result, Timestamp};

/// A read of the standby where it may answer and does, and of the server otherwise.
macro_rules! reading {
    ($store:expr, $pool:ident => $read:expr) => {{
        let mut found = None;
        if let Some(replica) = &$store.replica
            && let Some($pool) = replica.may_answer().await
        {
            found = replica.kept($read.await);
        }
        match found {
            Some(found) => Ok(found),
            None => {
                let $pool = $store.open_pool()?;
                $read.await
            }
        }
    }};
}

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    options: PostgresOptions,
    tls: MakeRustlsConnect,
    pool: Pool,
    replica: Option<Replica>,
    committer: Committer,
    family: Families,
    seq: Arc<watch::Sender<u64>>,
    others: Arc<watch::Sender<u64>>,
    presence: Arc<Presence>,
    wake: Arc<Notify>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("options", &self.options).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects, and brings the schema to this version where the user may.
    ///
    /// # Errors
    /// `InvalidInput` for a URL that cannot be read; `Unavailable` when the server cannot be reached; `Config` for a
    /// refused user, a missing database, a store of a newer version, or pending migrations under a user that may not
    /// change tables.
    pub async fn open(url: &str) -> Result<Self> {
        Self::with_options(PostgresOptions::from_url(url)?).await
    }

    /// The same with typed settings.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn with_options(options: PostgresOptions) -> Result<Self> {
        let tls = session::tls(&options)?;
        let mut client = migrating(&options, &tls).await?;
        schema::prepare(&mut client, &options.schema).await?;
        drop(client);
        let setup = schema::session_setup(&options.schema, options.statement_timeout.as_millis());
        let pool = session::pool(&options.server, &options, tls.clone(), setup.clone())?;
        let replica = match &options.replica {
            Some(standby) => {
                Some(Replica::new(session::pool(standby, &options, tls.clone(), setup.clone())?))
            }
            None => None,
        };
        let seq = Arc::new(watch::channel(read::seq(&pool).await?).0);
        let others = Arc::new(watch::channel(*seq.borrow()).0);
        let (wake, presence) = (Arc::new(Notify::new()), Arc::new(Presence::default()));
        let listener = Listener {
            server: options.server.clone(),
            tls: tls.clone(),
            setup,
            schema: options.schema.clone(),
            seq: Arc::clone(&seq),
            others: Arc::clone(&others),
            wake: Arc::clone(&wake),
            presence: Arc::clone(&presence),
        };
        let family = Families::default();
        let committer =
            Committer::start(pool.clone(), Arc::clone(&seq), Arc::clone(&wake), Arc::clone(&family));
        Ok(PostgresStore {
            committer,
            family,
            listener: Mutex::new(Some(listener.start())),
            options,
            tls,
            pool,
            replica,
            seq,
            others,
            presence,
            wake,
        })
    }

    fn open_pool(&self) -> Result<&Pool> {
        if self.pool.is_closed() { Err(closed()) } else { Ok(&self.pool) }
    }

    /// A connection that owns the tables where the user may.
    async fn owner(&self) -> Result<tokio_postgres::Client> {
        let client = migrating(&self.options, &self.tls).await?;
        schema::act_as_owner_for_session(&client).await?;
        Ok(client)
    }

    fn stop_listening(&self) {
        if let Some(task) = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.stop_listening();
    }
}

/// A connection with the rights of the user itself.
async fn migrating(options: &PostgresOptions, tls: &MakeRustlsConnect) -> Result<tokio_postgres::Client> {
    let config = options.migrate.as_ref().unwrap_or(&options.server);
    session::connect(config, tls.clone()).await
}

#[async_trait]
impl Store for PostgresStore {
    fn caps(&self) -> StoreCaps {
        StoreCaps { durable: true, shared: true, engine: "postgres" }
    }

    async fn declare(&self, kinds: &[Kind]) -> Result<()> {
        self.open_pool()?;
        let mut client = migrating(&self.options, &self.tls).await?;
        schema::declare(&mut client, &self.options.schema, kinds).await?;
        Arc::make_mut(&mut self.family.lock().unwrap_or_else(PoisonError::into_inner)).learn(kinds);
        Ok(())
    }

    async fn get(&self, kind: Kind, workspace: &WorkspaceId, id: &str) -> Result<Option<Row>> {
        let rows: Result<_> = reading!(self, pool => read::by_ids(pool, kind, workspace, &[id]));
        Ok(rows?.pop().flatten())
    }

    async fn get_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        ids: &[String],
    ) -> Result<Vec<Option<Row>>> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        reading!(self, pool => read::by_ids(pool, kind, workspace, &ids))
    }

    async fn find_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        index: &str,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>> {
        reading!(self, pool => read::by_keys(pool, kind, workspace, index, keys))
    }

    async fn query(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
        reading!(self, pool => read::query(pool, kind, workspace, query))
    }

    async fn count(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<u64> {
        reading!(self, pool => read::count(pool, kind, workspace, query))
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        if batch.is_empty() {
            return Ok(Committed { seq: 0 });
        }
        self.committer.commit(batch).await
    }

    fn has_claim(&self) -> bool {
        true
    }

    async fn claim(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        queries: &[Query],
        make: Claim<'_>,
    ) -> Option<Result<Committed>> {
        let pool = match self.open_pool() {
            Ok(pool) => pool,
            Err(error) => return Some(Err(error)),
        };
        let done = claim::claim(pool, kind, workspace, queries, make).await;
        if let Ok(Committed { seq: last }) = done
            && last > 0
        {
            self.seq.send_if_modified(|known| std::mem::replace(known, last.max(*known)) < last);
            self.wake.notify_one();
        }
        Some(done)
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
        read::changes(self.open_pool()?, after, limit).await
    }

    async fn seq(&self) -> Result<u64> {
        read::seq(self.open_pool()?).await
    }

    async fn blob_put(&self, bytes: &[u8]) -> Result<String> {
        let hash = memory::blob_hash(bytes);
        let client = session::take(self.open_pool()?, "store.blob_put").await?;
        if !upkeep::touch_blob(&client, &hash).await? {
            upkeep::put_blob(&client, &hash, &pack::pack_aside(bytes.to_vec()).await?).await?;
        }
        Ok(hash)
    }

    async fn blob_get(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        let name = &escape::escape(hash);
        let read = move |client: deadpool_postgres::Object| async move {
            let text = "SELECT bytes FROM _blob WHERE hash = $1";
            let statement = session::prepare(&client, text, "store.blob_get").await?;
            client.query_opt(&statement, &[name]).await.map_err(|e| failed("store.blob_get", &e))
        };
        let found = session::reading(self.open_pool()?, "store.blob_get", read).await?;
        found.map(|row| pack::unpack(hash, row.get(0))).transpose()
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.seq.subscribe()
    }

    fn watch_others(&self) -> watch::Receiver<u64> {
        self.others.subscribe()
    }

    fn register_worker(&self, name: &str) -> Result<()> {
        self.presence.register(name);
        // The listener takes the lock the next time it turns around.
        self.wake.notify_one();
        Ok(())
    }

    fn is_worker_alive(&self, name: &str) -> bool {
        self.presence.is_alive(name)
    }

    async fn check(&self) -> Result<Vec<Damage>> {
        read::check(self.open_pool()?).await
    }

    async fn version(&self) -> Result<(u32, u32)> {
        let read = |client: deadpool_postgres::Object| async move {
            let text = "SELECT max(version) FROM _migration";
            client.query_one(text, &[]).await.map_err(|e| failed("store.migrate", &e))
        };
        let row = session::reading(self.open_pool()?, "store.migrate", read).await?;
        Ok((row.get::<_, Option<i32>>(0).unwrap_or_default().cast_unsigned(), schema::VERSION))
    }

    async fn migrate(&self) -> Result<Vec<u32>> {
        self.open_pool()?;
        let mut client = migrating(&self.options, &self.tls).await?;
        schema::prepare(&mut client, &self.options.schema).await
    }

    async fn drift(&self) -> Result<Vec<String>> {
        upkeep::drift(self.open_pool()?, &self.options.schema).await
    }

    async fn repair(&self) -> Result<Vec<String>> {
        self.open_pool()?;
        upkeep::repair(&self.owner().await?, &self.options.schema).await
    }

    async fn figures(&self) -> Result<Figures> {
        upkeep::figures(self.open_pool()?, &self.options.schema).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(snapshot::PostgresSnapshot::open(self.open_pool()?).await?))
    }

    async fn load(&self, items: Vec<Item>) -> Result<()> {
        for item in &items {
            if let Item::Kind { name, schema, indexes } = item {
                self.declare(&[kind_of(name, *schema, indexes)]).await?;
            }
        }
        snapshot::load(self.open_pool()?, items).await?;
        let seq = read::seq(&self.pool).await?;
        self.seq.send_replace(seq);
        Ok(())
    }

    async fn trim_feed(&self, through: u64) -> Result<u64> {
        upkeep::trim_feed(self.open_pool()?, through).await
    }

    async fn blob_delete(&self, hashes: &[String], before: Timestamp) -> Result<u64> {
        upkeep::delete_blobs(self.open_pool()?, hashes, before).await
    }

    fn side(&self) -> Option<PostgresSide> {
        let (pool, options, tls) = (self.pool.clone(), self.options.clone(), self.tls.clone());
        Some(PostgresSide { pool, options, tls })
    }

    async fn compact(&self) -> Result<(u64, u64)> {
        self.open_pool()?;
        upkeep::compact(&self.owner().await?, &self.options.schema).await
    }

    async fn close(&self) -> Result<()> {
        self.committer.stop().await;
        self.stop_listening();
        if let Some(replica) = &self.replica {
            replica.close();
        }
        self.pool.close();
        Ok(())
    }
}

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod replica_tests;
#[cfg(test)]
mod tests;
