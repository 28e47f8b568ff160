//! Reading everything at one commit, and taking it in again.

use std::collections::VecDeque;

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use tokio_postgres::types::ToSql;

use super::error::failed;
use super::escape::{escape, unescape};
use super::read::{self, EVERYWHERE, FENCE};
use super::session::take;
use super::steps::{Columns, insert_text};
use crate::store::transfer::{feed_item, hash_bytes, kind_of, undeclared};
use crate::store::{Item, Kind, RecordItem, Row, Snapshot, compact, pack};
use crate::tenancy::WorkspaceId;
use crate::{Result, Timestamp};

/// Rows of one page.
const PAGE: i64 = 500;
/// Blobs of one page: they may be large.
const BLOBS: i64 = 8;

#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn sql(cause: tokio_postgres::Error) -> crate::Error {
    failed("store.snapshot", &cause)
}

/// A repeatable-read transaction on a connection of its own.
pub(super) struct PostgresSnapshot {
    client: Option<Object>,
    seq: u64,
    left: VecDeque<Part>,
}

enum Part {
    Kinds,
    /// Kind, last workspace and id read.
    Records(Kind, String, String),
    Chains,
    Blobs(String),
    Feed(i64),
}

impl PostgresSnapshot {
    pub(super) async fn open(pool: &Pool) -> Result<Self> {
        let client = take(pool, "store.snapshot").await?;
        // A backup of a large store takes longer than the pause that ends a forgotten transaction.
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0")
            .await
            .map_err(sql)?;
        client.execute(FENCE, &[&EVERYWHERE]).await.map_err(sql)?;
        let row = client.query_one("SELECT seq FROM _shard WHERE shard = 0", &[]).await.map_err(sql)?;
        let seq = row.get::<_, i64>(0).cast_unsigned();
        let mut left = VecDeque::from([Part::Kinds]);
        for kind in kinds(&client).await? {
            left.push_back(Part::Records(kind, String::new(), String::new()));
        }
        left.extend([Part::Chains, Part::Blobs(String::new()), Part::Feed(0)]);
        Ok(PostgresSnapshot { client: Some(client), seq, left })
    }

    async fn page(&mut self, part: Part) -> Result<Vec<Item>> {
        let Some(client) = &self.client else { return Ok(Vec::new()) };
        match part {
            Part::Kinds => kind_items(client).await,
            Part::Records(kind, ws, id) => {
                let items = records(client, kind, &ws, &id).await?;
                if let Some(Item::Record(last)) = items.last().filter(|_| items.len() as i64 == PAGE) {
                    let (ws, id) = (last.workspace.to_string(), last.id.clone());
                    self.left.push_front(Part::Records(kind, ws, id));
                }
                Ok(items)
            }
            Part::Chains => chains(client).await,
            Part::Blobs(after) => {
                let items = blobs(client, &after).await?;
                if let Some(Item::Blob { hash, .. }) = items.last() {
                    self.left.push_front(Part::Blobs(hash.clone()));
                }
                Ok(items)
            }
            Part::Feed(after) => {
                let text = "SELECT seq, workspace_id, at, changes FROM _feed WHERE shard = 0 AND seq > $1 \
                            ORDER BY seq LIMIT $2";
                let rows = client.query(text, &[&after, &PAGE]).await.map_err(sql)?;
                let entries = read::feed_entries(&rows)?;
                if let Some(last) = entries.last() {
                    self.left.push_front(Part::Feed(last.seq.cast_signed()));
                }
                Ok(entries.iter().map(feed_item).collect())
            }
        }
    }
}

impl Drop for PostgresSnapshot {
    fn drop(&mut self) {
        // Its transaction is open: the connection ends with it.
        drop(self.client.take().map(Object::take));
    }
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    fn seq(&self) -> u64 {
        self.seq
    }

    async fn next(&mut self) -> Result<Vec<Item>> {
        while let Some(part) = self.left.pop_front() {
            let items = self.page(part).await?;
            if !items.is_empty() {
                return Ok(items);
            }
        }
        // Rows that are removed after the last page could not be forgotten while its transaction is open.
        if let Some(client) = self.client.take()
            && client.batch_execute("COMMIT").await.is_err()
        {
            drop(Object::take(client));
        }
        Ok(Vec::new())
    }
}

async fn kind_items(client: &Object) -> Result<Vec<Item>> {
    let rows = client.query("SELECT name, schema, indexes FROM _kind ORDER BY name COLLATE \"C\"", &[]).await;
    let item = |r: &tokio_postgres::Row| Item::Kind {
        name: r.get(0),
        schema: u16::try_from(r.get::<_, i32>(1)).unwrap_or(u16::MAX),
        indexes: r.get::<_, String>(2).split_whitespace().map(str::to_owned).collect(),
    };
    Ok(rows.map_err(sql)?.iter().map(item).collect())
}

/// The kinds that the database has, whatever this build declares.
pub(super) async fn kinds(client: &Object) -> Result<Vec<Kind>> {
    let items = kind_items(client).await?.into_iter().filter_map(|item| match item {
        Item::Kind { name, schema, indexes } => Some(kind_of(&name, schema, &indexes)),
        _ => None,
    });
    Ok(items.collect())
}

async fn records(client: &Object, kind: Kind, ws: &str, id: &str) -> Result<Vec<Item>> {
    let columns: String = kind.indexes.iter().map(|i| format!(", ix_{}", i.name)).collect();
    let text = format!(
        "SELECT {}{columns}, workspace_id FROM \"{}\" WHERE (workspace_id, id) > ($1, $2) \
         ORDER BY workspace_id, id LIMIT $3",
        read::HEAD,
        kind.name
    );
    let id = escape(id);
    let rows = client.query(&text, &[&ws, &id, &PAGE]).await.map_err(sql)?;
    let count = kind.indexes.len();
    rows.iter()
        .map(|found| {
            let (row, sum) = read::row(count, found)?;
            // A backup must not hold what is damaged as if it were sound.
            row.verify(kind.name, sum)?;
            let workspace = WorkspaceId::try_from(found.get::<_, String>(8 + count))?;
            Ok(Item::Record(RecordItem::of(workspace, kind.name, row)))
        })
        .collect()
}

async fn chains(client: &Object) -> Result<Vec<Item>> {
    let text = "SELECT workspace_id, chain, seq, hash FROM _chain ORDER BY workspace_id, chain COLLATE \"C\"";
    let rows = client.query(text, &[]).await.map_err(sql)?;
    rows.iter()
        .map(|r| {
            Ok(Item::Chain {
                workspace: WorkspaceId::try_from(r.get::<_, String>(0))?,
                chain: r.get(1),
                seq: r.get::<_, i64>(2).cast_unsigned(),
                hash: crate::store_hex(r.get::<_, &[u8]>(3)),
            })
        })
        .collect()
}

async fn blobs(client: &Object, after: &str) -> Result<Vec<Item>> {
    let text = "SELECT hash, bytes FROM _blob WHERE hash > $1 ORDER BY hash LIMIT $2";
    let rows = client.query(text, &[&after, &BLOBS]).await.map_err(sql)?;
    Ok(rows.iter().map(|r| Item::Blob { hash: unescape(r.get(0)), bytes: r.get(1) }).collect())
}

/// Takes items in, one transaction for all of them.
pub(super) async fn load(pool: &Pool, items: Vec<Item>) -> Result<()> {
    let client = take(pool, "store.load").await?;
    let declared = kinds(&client).await?;
    let begun = client.batch_execute("BEGIN").await.map_err(|e| failed("store.load", &e));
    begun?;
    let mut done = Ok(());
    for group in groups(items) {
        done = take_in(&client, &declared, group).await;
        if done.is_err() {
            break;
        }
    }
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(|e| failed("store.load", &e));
    done.and(ended)
}

/// Neighbours that go into one statement: records of one kind and workspace.
fn groups(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut out: Vec<Vec<Item>> = Vec::new();
    for item in items {
        let joins = match (out.last().and_then(|g| g.first()), &item) {
            (Some(Item::Record(a)), Item::Record(b)) => a.kind == b.kind && a.workspace == b.workspace,
            _ => false,
        };
        match out.last_mut().filter(|_| joins) {
            Some(group) => group.push(item),
            None => out.push(vec![item]),
        }
    }
    out
}

async fn take_in(client: &Object, declared: &[Kind], group: Vec<Item>) -> Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    let mut place = None;
    for item in group {
        match item {
            Item::Record(record) => {
                let kind = declared.iter().find(|k| k.name == record.kind);
                let kind = *kind.ok_or_else(|| undeclared(&record.kind))?;
                place = Some((kind, record.workspace.clone()));
                rows.push(record.into_row()?);
            }
            other => take_one(client, declared, other).await?,
        }
    }
    let Some((kind, workspace)) = place else { return Ok(()) };
    let columns = Columns::of(kind, &rows);
    let ws = workspace.as_str();
    run(client, FENCE, &[&ws]).await?;
    run(client, &insert_text(kind), &columns.params(&ws)).await
}

async fn run(client: &Object, text: &str, params: &[&(dyn ToSql + Sync)]) -> Result<()> {
    let statement = super::session::prepare(client, text, "store.load").await?;
    client.query(&statement, params).await.map(drop).map_err(|e| failed("store.load", &e))
}

async fn take_one(client: &Object, declared: &[Kind], item: Item) -> Result<()> {
    match item {
        Item::Kind { .. } | Item::Record(_) => Ok(()),
        Item::Gone { workspace, kind, id } => {
            let (ws, id) = (workspace.as_str(), escape(&id));
            let kind = declared.iter().find(|k| k.name == kind).ok_or_else(|| undeclared(&kind))?;
            run(client, FENCE, &[&ws]).await?;
            let text = format!("DELETE FROM \"{}\" WHERE workspace_id = $1 AND id = $2", kind.name);
            run(client, &text, &[&ws, &id]).await
        }
        Item::Chain { workspace, chain, seq, hash } => {
            let (ws, hash) = (workspace.as_str(), hash_bytes(&hash)?);
            run(client, FENCE, &[&ws]).await?;
            let text = "INSERT INTO _chain (workspace_id, chain, seq, hash) VALUES ($1, $2, $3, $4) \
                        ON CONFLICT (workspace_id, chain) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
            run(client, text, &[&ws, &chain, &seq.cast_signed(), &&hash[..]]).await
        }
        Item::Blob { hash, bytes } => {
            let kept = pack::pack_aside(pack::unpack(&hash, bytes)?).await?;
            super::upkeep::put_blob(client, &hash, &kept).await
        }
        Item::Feed { seq, workspace, at, changes } => feed(client, seq, workspace, at, changes).await,
    }
}

async fn feed(
    client: &Object,
    seq: u64,
    workspace: WorkspaceId,
    at: Timestamp,
    changes: Vec<(String, String, u64, u64)>,
) -> Result<()> {
    let entry = crate::store::transfer::feed_entry(seq, workspace, at, changes);
    let (ws, text) = (entry.workspace.as_str(), compact::text(&entry.changes)?);
    let insert =
        "INSERT INTO _feed (shard, seq, workspace_id, at, changes, xid) VALUES (0, $1, $2, $3, $4, 0)";
    run(client, insert, &[&seq.cast_signed(), &ws, &at.as_millis(), &text]).await?;
    run(client, "UPDATE _shard SET seq = greatest(seq, $1) WHERE shard = 0", &[&seq.cast_signed()]).await
}
