//! Rows and their index entries: reads, and the one batch of a commit.

use sled_db::{Batch as Writes, Db, IVec};

use super::entry::{self, Stored, index_entry, record_key, record_prefix};
use super::failed;
use crate::Result;
use crate::store::plan::{Facts, Needs, Plan, work_out};
use crate::store::transfer::feed_item;
use crate::store::{Batch, Committed, Family, FeedEntry, Key, Kind, Order, Query, Row};
use crate::tenancy::WorkspaceId;

pub(super) fn last_seq(db: &Db) -> Result<u64> {
    let last = db.scan_prefix(b"f").next_back().transpose().map_err(|e| failed("store.seq", e))?;
    Ok(last.map_or(0, |(key, _)| entry::seq_of(&key)))
}

pub(super) fn read_row(db: &Db, kind: Kind, ws: &WorkspaceId, id: &str) -> Result<Option<Row>> {
    let found = db.get(record_key(kind.name, ws, id)).map_err(|e| failed("store.get", e))?;
    found.map(|bytes| Stored::read(kind.name, id, &bytes)?.verified(kind.name)).transpose()
}

fn facts(db: &Db, ws: &WorkspaceId, needs: &Needs) -> Result<Facts> {
    let mut facts = Facts::default();
    for (name, (kind, ids)) in &needs.records {
        for id in ids {
            if let Some(row) = read_row(db, *kind, ws, id)? {
                facts.revs.insert((name, id.clone()), row.rev);
                if needs.bodies.contains(name) {
                    facts.bodies.insert((name, id.clone()), row.body);
                }
            }
        }
    }
    for ((name, n), (_, keys)) in &needs.keys {
        for key in keys {
            if let Some(id) = holder(db, name, *n, ws, key)? {
                facts.holders.insert((name, *n, key.clone()), id);
            }
        }
    }
    for chain in &needs.chains {
        let head = db.get(entry::chain_key(ws, chain)).map_err(|e| failed("store.commit", e))?;
        if let Some(head) = head {
            facts.heads.insert(chain, entry::read_head(&head)?);
        }
    }
    Ok(facts)
}

/// The record that holds a key of an index: the first one by id.
pub(super) fn holder(db: &Db, kind: &str, n: usize, ws: &WorkspaceId, key: &Key) -> Result<Option<String>> {
    let (from, to) = (entry::at(kind, n, ws, key), entry::behind(kind, n, ws, key));
    let found = db.range(from..to).next().transpose().map_err(|e| failed("store.find", e))?;
    found.map(|(_, id)| entry::text(&id)).transpose()
}

/// Turns a plan into the one batch that sled applies whole or not at all.
fn lay_out(db: &Db, ws: &WorkspaceId, plan: &Plan, at: u64, writes: &mut Writes) -> Result<()> {
    for (name, (kind, table)) in &plan.tables {
        for id in &table.deletes {
            remove(db, *kind, ws, id, writes)?;
        }
        for row in &table.updates {
            let old = remove(db, *kind, ws, &row.id, writes)?;
            let mut row = row.clone();
            if let Some(old) = old {
                row.created_at = old.created_at;
                row.created_by = old.created_by;
            }
            insert(name, ws, row, writes)?;
        }
        for row in &table.inserts {
            insert(name, ws, row.clone(), writes)?;
        }
    }
    for (chain, head) in &plan.heads {
        writes.insert(entry::chain_key(ws, chain), entry::head(head));
    }
    for (n, (when, changes)) in plan.feed.iter().enumerate() {
        let seq = at + 1 + n as u64;
        let line = FeedEntry { seq, workspace: ws.clone(), at: *when, changes: changes.clone() };
        writes.insert(entry::feed_key(seq), entry::json(&feed_item(&line))?);
    }
    Ok(())
}

pub(super) fn remove(
    db: &Db,
    kind: Kind,
    ws: &WorkspaceId,
    id: &str,
    writes: &mut Writes,
) -> Result<Option<Row>> {
    let Some(old) = read_row(db, kind, ws, id)? else { return Ok(None) };
    for (n, key) in old.keys.iter().enumerate() {
        if let Some(key) = key {
            writes.remove(index_entry(kind.name, n, ws, key, id));
        }
    }
    writes.remove(record_key(kind.name, ws, id));
    Ok(Some(old))
}

pub(super) fn insert(kind: &str, ws: &WorkspaceId, row: Row, writes: &mut Writes) -> Result<()> {
    for (n, key) in row.keys.iter().enumerate() {
        if let Some(key) = key {
            writes.insert(index_entry(kind, n, ws, key, &row.id), row.id.as_bytes());
        }
    }
    let key = record_key(kind, ws, &row.id);
    writes.insert(key, Stored::of(kind, ws, row).write()?);
    Ok(())
}

pub(super) fn commit(db: &Db, family: &Family, mut batch: Batch) -> Result<Committed> {
    let ws = batch.workspace.clone();
    family.complete(&mut batch, |kind, found| query(db, kind, &ws, found))?;
    let batches = [batch];
    let facts = facts(db, &ws, &Needs::of(&batches))?;
    let mut plan = work_out(&batches, &facts);
    let answer = plan.answers.pop().unwrap_or(Ok(None))?;
    if answer.is_none() {
        return Ok(Committed { seq: 0 });
    }
    let last = last_seq(db)?;
    let mut writes = Writes::default();
    lay_out(db, &ws, &plan, last, &mut writes)?;
    db.apply_batch(writes).map_err(|e| failed("store.commit", e))?;
    Ok(Committed { seq: last + 1 })
}

/// The ids of a query in its order, without its limit.
pub(super) fn matching(
    db: &Db,
    kind: Kind,
    ws: &WorkspaceId,
    query: &Query,
) -> Result<Box<dyn Iterator<Item = Result<String>>>> {
    let (from, to) = match query.index {
        None => entry::id_range(kind.name, ws, query),
        Some(name) => entry::index_range(kind.name, kind.index(name)?, ws, query),
    };
    let skip = match query.index {
        None => Some(record_prefix(kind.name, ws).len()),
        Some(_) => None,
    };
    let id = move |found: sled_db::Result<(IVec, IVec)>| -> Result<String> {
        let (key, value) = found.map_err(|e| failed("store.query", e))?;
        match skip {
            Some(n) => entry::text(key.get(n..).unwrap_or_default()),
            None => entry::text(&value),
        }
    };
    if from >= to {
        return Ok(Box::new(std::iter::empty()));
    }
    let range = db.range(from..to);
    Ok(match query.order {
        Order::Ascending => Box::new(range.map(id)),
        Order::Descending => Box::new(range.rev().map(id)),
    })
}

pub(super) fn query(db: &Db, kind: Kind, ws: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
    let mut out = Vec::new();
    for id in matching(db, kind, ws, query)? {
        if out.len() >= query.limit {
            break;
        }
        // A record that was removed since its entry was read is not there any more.
        out.extend(read_row(db, kind, ws, &id?)?);
    }
    Ok(out)
}
