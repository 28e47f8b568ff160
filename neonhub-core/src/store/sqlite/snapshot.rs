//! Reading everything at one commit, and taking it in again.

use std::collections::VecDeque;

use async_trait::async_trait;
use rusqlite::Connection;

use super::{failed, read, schema};
use crate::store::transfer::{hash_bytes, kind_of, undeclared};
use crate::store::{Item, Kind, RecordItem, Snapshot, compact, pack};
use crate::tenancy::WorkspaceId;
use crate::{Error, Result};

const OPERATION: &str = "store.snapshot";
/// Records of one page.
const PAGE: i64 = 500;
/// Blobs of one page: they may be large.
const BLOBS: i64 = 8;

fn sql(cause: rusqlite::Error) -> Error {
    failed(OPERATION, cause)
}

/// A read transaction on a connection of its own: the write-ahead log keeps its view while writers go on.
pub(super) struct SqliteSnapshot {
    connection: Connection,
    seq: u64,
    /// What is still to be read, in order.
    left: VecDeque<Part>,
}

enum Part {
    Kinds,
    /// Kind, number and id of the workspace, last id read.
    Records(Kind, i64, WorkspaceId, String),
    Chains,
    Blobs(String),
    Feed(i64),
}

impl SqliteSnapshot {
    pub(super) fn open(connection: Connection) -> Result<Self> {
        connection.execute_batch("BEGIN").map_err(sql)?;
        // The first read fixes the view.
        let seq = read::seq(&connection)?;
        let mut left = VecDeque::from([Part::Kinds]);
        let workspaces = workspaces(&connection)?;
        for kind in kinds(&connection)? {
            for (ws, id) in &workspaces {
                left.push_back(Part::Records(kind, *ws, id.clone(), String::new()));
            }
        }
        left.extend([Part::Chains, Part::Blobs(String::new()), Part::Feed(0)]);
        Ok(SqliteSnapshot { connection, seq, left })
    }

    fn page(&mut self, part: Part) -> Result<Vec<Item>> {
        let c = &self.connection;
        match part {
            Part::Kinds => kind_items(c),
            Part::Records(kind, ws, workspace, after) => {
                let rows = records(c, kind, ws, &after)?;
                if let Some(last) = rows.last().filter(|_| rows.len() as i64 == PAGE) {
                    self.left.push_front(Part::Records(kind, ws, workspace.clone(), last.id.clone()));
                }
                let item = |row| Item::Record(RecordItem::of(workspace.clone(), kind.name, row));
                Ok(rows.into_iter().map(item).collect())
            }
            Part::Chains => chains(c),
            Part::Blobs(after) => {
                let items = blobs(c, &after)?;
                if let Some(Item::Blob { hash, .. }) = items.last() {
                    self.left.push_front(Part::Blobs(hash.clone()));
                }
                Ok(items)
            }
            Part::Feed(after) => {
                let items = feed(c, after)?;
                if let Some(Item::Feed { seq, .. }) = items.last() {
                    self.left.push_front(Part::Feed(seq.cast_signed()));
                }
                Ok(items)
            }
        }
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    fn seq(&self) -> u64 {
        self.seq
    }

    async fn next(&mut self) -> Result<Vec<Item>> {
        while let Some(part) = self.left.pop_front() {
            let items = self.page(part)?;
            if !items.is_empty() {
                return Ok(items);
            }
        }
        Ok(Vec::new())
    }
}

fn workspaces(c: &Connection) -> Result<Vec<(i64, WorkspaceId)>> {
    let mut statement =
        c.prepare("SELECT ws, workspace_id FROM _workspace ORDER BY workspace_id").map_err(sql)?;
    let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get::<_, String>(1)?))).map_err(sql)?;
    rows.map(|row| {
        let (ws, id) = row.map_err(sql)?;
        Ok((ws, WorkspaceId::try_from(id)?))
    })
    .collect()
}

/// The kinds that the file has, whatever this build declares.
pub(super) fn kinds(c: &Connection) -> Result<Vec<Kind>> {
    let items = kind_items(c)?.into_iter().filter_map(|item| match item {
        Item::Kind { name, schema, indexes } => Some(kind_of(&name, schema, &indexes)),
        _ => None,
    });
    Ok(items.collect())
}

fn kind_items(c: &Connection) -> Result<Vec<Item>> {
    let mut statement = c.prepare("SELECT name, schema, indexes FROM _kind ORDER BY name").map_err(sql)?;
    let rows = statement.query_map([], |r| {
        let indexes: String = r.get(2)?;
        let indexes = indexes.split_whitespace().map(str::to_owned).collect();
        Ok(Item::Kind { name: r.get(0)?, schema: r.get(1)?, indexes })
    });
    rows.and_then(Iterator::collect).map_err(sql)
}

fn records(c: &Connection, kind: Kind, ws: i64, after: &str) -> Result<Vec<crate::store::Row>> {
    let text = format!("{} AND id > ?2 ORDER BY id LIMIT ?3", read::select(kind));
    let mut statement = c.prepare_cached(&text).map_err(sql)?;
    let mut rows = statement.query((ws, after, PAGE)).map_err(sql)?;
    let mut out = Vec::new();
    while let Some(found) = rows.next().map_err(sql)? {
        let (row, sum) = read::row(kind, found).map_err(sql)?;
        // A backup must not hold what is damaged as if it were sound.
        row.verify(kind.name, sum)?;
        out.push(row);
    }
    Ok(out)
}

fn chains(c: &Connection) -> Result<Vec<Item>> {
    let text = "SELECT w.workspace_id, c.chain, c.seq, c.hash FROM _chain c JOIN _workspace w ON w.ws = c.ws \
                ORDER BY w.workspace_id, c.chain";
    let mut statement = c.prepare(text).map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    let mut out = Vec::new();
    while let Some(r) = rows.next().map_err(sql)? {
        out.push(Item::Chain {
            workspace: WorkspaceId::try_from(r.get::<_, String>(0).map_err(sql)?)?,
            chain: r.get(1).map_err(sql)?,
            seq: r.get::<_, i64>(2).map_err(sql)?.cast_unsigned(),
            hash: crate::store_hex(&r.get::<_, Vec<u8>>(3).map_err(sql)?),
        });
    }
    Ok(out)
}

fn blobs(c: &Connection, after: &str) -> Result<Vec<Item>> {
    let text = "SELECT hash, bytes FROM _blob WHERE hash > ?1 ORDER BY hash LIMIT ?2";
    let mut statement = c.prepare_cached(text).map_err(sql)?;
    let rows = statement.query_map((after, BLOBS), |r| Ok((r.get(0)?, r.get(1)?))).map_err(sql)?;
    rows.map(|row| {
        let (hash, bytes) = row.map_err(sql)?;
        Ok(Item::Blob { hash, bytes })
    })
    .collect()
}

fn feed(c: &Connection, after: i64) -> Result<Vec<Item>> {
    let page = read::feed_page(c, after, PAGE)?;
    Ok(page.iter().map(crate::store::transfer::feed_item).collect())
}

/// Takes items in, one transaction for all of them.
pub(super) fn load(connection: &mut Connection, items: Vec<Item>) -> Result<()> {
    let fail = |e| failed("store.load", e);
    for item in &items {
        if let Item::Kind { name, schema, indexes } = item {
            schema::declare(connection, &[kind_of(name, *schema, indexes)])?;
        }
    }
    let declared = kinds(connection)?;
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fail)?;
    for item in items {
        take(&tx, &declared, item)?;
    }
    tx.commit().map_err(fail)
}

fn take(c: &Connection, declared: &[Kind], item: Item) -> Result<()> {
    let fail = |e| failed("store.load", e);
    match item {
        Item::Kind { .. } => Ok(()),
        Item::Gone { workspace, kind, id } => {
            let ws = number_of(c, &workspace)?;
            let kind = declared.iter().find(|k| k.name == kind).ok_or_else(|| undeclared(&kind))?;
            c.prepare_cached(&format!("DELETE FROM \"{}\" WHERE ws = ?1 AND id = ?2", kind.name))
                .and_then(|mut s| s.execute((ws, id)))
                .map(drop)
                .map_err(fail)
        }
        Item::Record(record) => {
            let ws = number_of(c, &record.workspace)?;
            let kind = declared.iter().find(|k| k.name == record.kind);
            let kind = *kind.ok_or_else(|| undeclared(&record.kind))?;
            super::write::insert_as_is(c, kind, ws, &record.into_row()?).map_err(fail)
        }
        Item::Chain { workspace, chain, seq, hash } => {
            let ws = number_of(c, &workspace)?;
            let hash = hash_bytes(&hash)?;
            let text = "INSERT INTO _chain (ws, chain, seq, hash) VALUES (?1, ?2, ?3, ?4) \
                        ON CONFLICT (ws, chain) DO UPDATE SET seq = ?3, hash = ?4";
            c.prepare_cached(text)
                .and_then(|mut s| s.execute((ws, chain, seq.cast_signed(), &hash[..])))
                .map(drop)
                .map_err(fail)
        }
        Item::Blob { hash, bytes } => {
            let kept = pack::pack(pack::unpack(&hash, bytes)?);
            super::upkeep::put_blob(c, &hash, &kept)
        }
        Item::Feed { seq, workspace, at, changes } => {
            let ws = number_of(c, &workspace)?;
            let entry = crate::store::transfer::feed_entry(seq, workspace, at, changes);
            c.prepare_cached("INSERT INTO _feed (seq, ws, at, changes) VALUES (?1, ?2, ?3, ?4)")
                .and_then(|mut s| {
                    let text = compact::text(&entry.changes)
                        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
                    s.execute((seq.cast_signed(), ws, at.as_millis(), text))
                })
                .map(drop)
                .map_err(fail)
        }
    }
}

fn number_of(c: &Connection, workspace: &WorkspaceId) -> Result<i64> {
    let fail = |e| failed("store.load", e);
    if let Some(ws) = read::workspace(c, workspace).map_err(fail)? {
        return Ok(ws);
    }
    c.prepare_cached("INSERT INTO _workspace (workspace_id) VALUES (?1)")
        .and_then(|mut s| s.insert([workspace.as_str()]))
        .map_err(fail)
}
