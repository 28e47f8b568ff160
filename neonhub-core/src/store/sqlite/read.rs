//! Reads: rows by id, by unique key, in index order; the feed; the walk over all checksums.

use std::ops::Bound;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::failed;
use crate::store::grow::KeysOf;
use crate::store::{Damage, FeedEntry, Key, Kind, Order, Query, Row, compact, cursor_expired};
use crate::tenancy::WorkspaceId;
use crate::{Result, Timestamp};

const HEAD: &str = "id, rev, schema, created_at, updated_at, created_by, body, checksum";

/// The number that stands for a workspace in this file, if it has written anything yet.
pub(super) fn workspace(connection: &Connection, workspace: &WorkspaceId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT ws FROM _workspace WHERE workspace_id = ?1")?
        .query_row([workspace.as_str()], |row| row.get(0))
        .optional()
}

/// What a SELECT for a kind starts with.
pub(super) fn select(kind: Kind) -> String {
    let mut out = format!("SELECT {HEAD}");
    for index in kind.indexes {
        out.push_str(", ix_");
        out.push_str(index.name);
    }
    out.push_str(" FROM \"");
    out.push_str(kind.name);
    out.push_str("\" WHERE ws = ?1");
    out
}

pub(super) fn row(kind: Kind, found: &rusqlite::Row<'_>) -> rusqlite::Result<(Row, u64)> {
    let mut keys = Vec::with_capacity(kind.indexes.len());
    for n in 0..kind.indexes.len() {
        keys.push(found.get::<_, Option<Vec<u8>>>(8 + n)?.map(Key::from_encoded));
    }
    let row = Row {
        id: found.get(0)?,
        rev: found.get::<_, i64>(1)?.cast_unsigned(),
        schema: found.get(2)?,
        created_at: Timestamp::from_millis(found.get(3)?),
        updated_at: Timestamp::from_millis(found.get(4)?),
        created_by: found.get(5)?,
        body: found.get(6)?,
        keys,
    };
    Ok((row, found.get::<_, i64>(7)?.cast_unsigned()))
}

fn verified(kind: Kind, found: Option<(Row, u64)>) -> Result<Option<Row>> {
    found.map(|(row, sum)| row.verify(kind.name, sum).map(|()| row)).transpose()
}

pub(super) fn by_ids(c: &Connection, kind: Kind, ws: &WorkspaceId, ids: &[&str]) -> Result<Vec<Option<Row>>> {
    let sql = |e| failed("store.get", e);
    let Some(ws) = workspace(c, ws).map_err(sql)? else { return Ok(vec![None; ids.len()]) };
    // One transaction for the batch: alone, each statement would take and give back the file's shared lock.
    let _lock = (ids.len() > 1).then(|| c.unchecked_transaction()).transpose().map_err(sql)?;
    let mut statement = c.prepare_cached(&format!("{} AND id = ?2", select(kind))).map_err(sql)?;
    ids.iter()
        .map(|id| {
            let found = statement.query_row((ws, id), |r| row(kind, r)).optional().map_err(sql)?;
            verified(kind, found)
        })
        .collect()
}

pub(super) fn by_keys(
    c: &Connection,
    kind: Kind,
    ws: &WorkspaceId,
    index: &str,
    keys: &[Key],
) -> Result<Vec<Option<Row>>> {
    let sql = |e| failed("store.find", e);
    let Some(ws) = workspace(c, ws).map_err(sql)? else { return Ok(vec![None; keys.len()]) };
    let _lock = (keys.len() > 1).then(|| c.unchecked_transaction()).transpose().map_err(sql)?;
    let mut statement = c.prepare_cached(&format!("{} AND ix_{index} = ?2", select(kind))).map_err(sql)?;
    keys.iter()
        .map(|key| {
            let found =
                statement.query_row((ws, key.as_bytes()), |r| row(kind, r)).optional().map_err(sql)?;
            verified(kind, found)
        })
        .collect()
}

/// The WHERE clause of a query behind `ws = ?1`, and its parameters.
fn range(query: &Query) -> (String, Vec<Value>) {
    let (mut clause, mut values) = (String::new(), Vec::new());
    let mut add = |clause: &mut String, text: String, value: Value| {
        values.push(value);
        clause.push_str(&text.replace('#', &format!("?{}", values.len() + 1)));
    };
    if let Some(name) = query.index {
        let column = format!("ix_{name}");
        match &query.from {
            Bound::Included(k) => {
                add(&mut clause, format!(" AND {column} >= #"), Value::Blob(k.as_bytes().to_vec()))
            }
            Bound::Excluded(k) => {
                add(&mut clause, format!(" AND {column} > #"), Value::Blob(k.as_bytes().to_vec()))
            }
            Bound::Unbounded => clause.push_str(&format!(" AND {column} IS NOT NULL")),
        }
        match &query.to {
            Bound::Included(k) => {
                add(&mut clause, format!(" AND {column} <= #"), Value::Blob(k.as_bytes().to_vec()))
            }
            Bound::Excluded(k) => {
                add(&mut clause, format!(" AND {column} < #"), Value::Blob(k.as_bytes().to_vec()))
            }
            Bound::Unbounded => {}
        }
    }
    if let Some((key, id)) = &query.after {
        let sign = if query.order == Order::Ascending { '>' } else { '<' };
        match query.index {
            Some(name) => {
                let n = values.len() + 2;
                clause.push_str(&format!(" AND (ix_{name}, id) {sign} (?{n}, ?{})", n + 1));
                values.push(Value::Blob(key.as_bytes().to_vec()));
            }
            None => clause.push_str(&format!(" AND id {sign} ?{}", values.len() + 2)),
        }
        values.push(Value::Text(id.clone()));
    }
    (clause, values)
}

pub(super) fn query(c: &Connection, kind: Kind, ws: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
    let sql = |e| failed("store.query", e);
    if let Some(name) = query.index {
        kind.index(name)?;
    }
    let Some(ws) = workspace(c, ws).map_err(sql)? else { return Ok(Vec::new()) };
    let (clause, values) = range(query);
    let direction = if query.order == Order::Ascending { "" } else { " DESC" };
    let by = query.index.map_or(String::new(), |name| format!("ix_{name}{direction}, "));
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let text = format!("{}{clause} ORDER BY {by}id{direction} LIMIT {limit}", select(kind));
    let mut statement = c.prepare_cached(&text).map_err(sql)?;
    let values = std::iter::once(Value::Integer(ws)).chain(values);
    let mut rows = statement.query(params_from_iter(values)).map_err(sql)?;
    let mut out = Vec::new();
    while let Some(found) = rows.next().map_err(sql)? {
        out.extend(verified(kind, Some(row(kind, found).map_err(sql)?))?);
    }
    Ok(out)
}

pub(super) fn count(c: &Connection, kind: Kind, ws: &WorkspaceId, query: &Query) -> Result<u64> {
    let sql = |e| failed("store.count", e);
    if let Some(name) = query.index {
        kind.index(name)?;
    }
    let Some(ws) = workspace(c, ws).map_err(sql)? else { return Ok(0) };
    let (clause, values) = range(query);
    let text = format!("SELECT count(*) FROM \"{}\" WHERE ws = ?1{clause}", kind.name);
    let values = std::iter::once(Value::Integer(ws)).chain(values);
    let n: i64 = c
        .prepare_cached(&text)
        .and_then(|mut s| s.query_row(params_from_iter(values), |r| r.get(0)))
        .map_err(sql)?;
    Ok(n.cast_unsigned())
}

pub(super) fn seq(c: &Connection) -> Result<u64> {
    let n: i64 = c
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM _feed")
        .and_then(|mut s| s.query_row([], |r| r.get(0)))
        .map_err(|e| failed("store.seq", e))?;
    Ok(n.cast_unsigned())
}

pub(super) fn changes(c: &Connection, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let page = feed_page(c, i64::try_from(after).unwrap_or(i64::MAX), limit)?;
    match page.first() {
        Some(first) if first.seq > after.saturating_add(1) => Err(cursor_expired(after, first.seq)),
        _ => Ok(page),
    }
}

/// Entries after a position, whatever is missing before them.
pub(super) fn feed_page(c: &Connection, after: i64, limit: i64) -> Result<Vec<FeedEntry>> {
    let sql = |e| failed("store.changes", e);
    let mut statement = c
        .prepare_cached(
            "SELECT f.seq, w.workspace_id, f.at, f.changes FROM _feed f JOIN _workspace w ON w.ws = f.ws \
             WHERE f.seq > ?1 ORDER BY f.seq LIMIT ?2",
        )
        .map_err(sql)?;
    let mut rows = statement.query((after, limit)).map_err(sql)?;
    let mut out = Vec::new();
    while let Some(r) = rows.next().map_err(sql)? {
        let seq: i64 = r.get(0).map_err(sql)?;
        let json: String = r.get(3).map_err(sql)?;
        out.push(compact::entry(seq.cast_unsigned(), r.get(1).map_err(sql)?, r.get(2).map_err(sql)?, &json)?);
    }
    Ok(out)
}

/// Reads every record of every kind and compares checksums; asks SQLite about its own pages.
pub(super) fn check(c: &Connection) -> Result<Vec<Damage>> {
    let sql = |e| failed("store.check", e);
    let mut damage = Vec::new();
    let mut statement = c.prepare("PRAGMA integrity_check(100)").map_err(sql)?;
    let findings = statement.query_map([], |r| r.get::<_, String>(0)).map_err(sql)?;
    for finding in findings {
        match finding {
            Ok(text) if text == "ok" => {}
            Ok(problem) => damage.push(Damage { kind: "_file".into(), id: String::new(), problem }),
            Err(cause) => {
                damage.push(Damage { kind: "_file".into(), id: String::new(), problem: cause.to_string() })
            }
        }
    }
    let mut kinds = c.prepare("SELECT name FROM _kind ORDER BY name").map_err(sql)?;
    let kinds: Vec<String> = kinds.query_map([], |r| r.get(0)).and_then(Iterator::collect).map_err(sql)?;
    for kind in kinds {
        check_kind(c, &kind, &mut damage)?;
    }
    super::upkeep::check(c, &mut damage)?;
    Ok(damage)
}

fn check_kind(c: &Connection, kind: &str, damage: &mut Vec<Damage>) -> Result<()> {
    let sql = |e| failed("store.check", e);
    let bare = Kind { name: "", schema: 0, indexes: &[], refs: &[], keys: KeysOf::UNKNOWN };
    let mut statement = c.prepare(&format!("SELECT {HEAD} FROM \"{kind}\"")).map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    loop {
        match rows.next() {
            Ok(None) => return Ok(()),
            Ok(Some(found)) => match row(bare, found) {
                Ok((row, sum)) if row.checksum(kind) == sum => {}
                Ok((row, _)) => damage.push(Damage {
                    kind: kind.into(),
                    id: row.id,
                    problem: "the record does not match its checksum".into(),
                }),
                Err(cause) => {
                    damage.push(Damage { kind: kind.into(), id: String::new(), problem: cause.to_string() })
                }
            },
            Err(cause) => {
                damage.push(Damage { kind: kind.into(), id: String::new(), problem: cause.to_string() });
                return Ok(());
            }
        }
    }
}
