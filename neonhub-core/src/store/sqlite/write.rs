//! Applying a batch inside an open transaction.

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _};

use super::{failed, read, upkeep};
use crate::store::batch::{next_rev, stale, taken};
use crate::store::{Batch, Change, ChangeOp, Committed, Expected, Kind, Link, Row, Write, compact};
use crate::tenancy::WorkspaceId;
use crate::{Error, Result};

/// Applies a batch; the caller holds the transaction and takes it back on an error.
pub(super) fn apply(c: &Connection, batch: Batch) -> Result<Committed> {
    let ws = number_of(c, &batch.workspace)?;
    for blob in &batch.blobs {
        upkeep::put_blob(c, &blob.hash, &blob.bytes)?;
    }
    let mut changes = Vec::with_capacity(batch.writes.len() + batch.links.len());
    for write in batch.writes {
        changes.extend(one(c, ws, write)?);
    }
    for link in batch.links {
        changes.push(append(c, ws, &link)?);
    }
    if changes.is_empty() {
        return Ok(Committed { seq: 0 });
    }
    c.prepare_cached("INSERT INTO _feed (ws, at, changes) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.insert((ws, batch.at.as_millis(), compact::text(&changes).map_err(to_sql)?)))
        .map(|seq| Committed { seq: seq.cast_unsigned() })
        .map_err(fail)
}

fn fail(cause: rusqlite::Error) -> Error {
    failed("store.commit", cause)
}

fn to_sql(error: Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// The workspace's number in this file; given at its first write.
fn number_of(c: &Connection, workspace: &WorkspaceId) -> Result<i64> {
    if let Some(ws) = read::workspace(c, workspace).map_err(fail)? {
        return Ok(ws);
    }
    c.prepare_cached("INSERT INTO _workspace (workspace_id) VALUES (?1)")
        .and_then(|mut s| s.insert([workspace.as_str()]))
        .map_err(fail)
}

fn one(c: &Connection, ws: i64, write: Write) -> Result<Option<Change>> {
    match write {
        Write::Check { kind, id, expected } => {
            next_rev(kind.name, &id, expected, found(c, kind, ws, &id)?)?;
            Ok(None)
        }
        Write::Delete { kind, id, expected } => {
            let before = found(c, kind, ws, &id)?;
            next_rev(kind.name, &id, expected, before)?;
            if before == 0 {
                return Ok(None);
            }
            c.prepare_cached(&format!("DELETE FROM \"{}\" WHERE ws = ?1 AND id = ?2", kind.name))
                .and_then(|mut s| s.execute((ws, &id)))
                .map_err(fail)?;
            Ok(Some(Change { kind: kind.name.to_owned(), id, before, after: 0, op: ChangeOp::Delete }))
        }
        Write::Put { kind, row, expected: Expected::Absent } => insert(c, kind, ws, row).map(Some),
        Write::Put { kind, row, expected: Expected::Rev(rev) } if rev > 0 => {
            update(c, kind, ws, row, rev).map(Some)
        }
        Write::Put { kind, row, expected } => {
            let before = found(c, kind, ws, &row.id)?;
            next_rev(kind.name, &row.id, expected, before)?;
            if before == 0 { insert(c, kind, ws, row) } else { update(c, kind, ws, row, before) }.map(Some)
        }
    }
}

/// The revision of a record, 0 when there is none.
fn found(c: &Connection, kind: Kind, ws: i64, id: &str) -> Result<u64> {
    let rev: Option<i64> = c
        .prepare_cached(&format!("SELECT rev FROM \"{}\" WHERE ws = ?1 AND id = ?2", kind.name))
        .and_then(|mut s| s.query_row((ws, id), |r| r.get(0)).optional())
        .map_err(fail)?;
    Ok(rev.map_or(0, i64::cast_unsigned))
}

/// A value bound without copying it.
enum Bind<'a> {
    Int(i64),
    Text(&'a str),
    Blob(Option<&'a [u8]>),
}

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Bind::Int(n) => ToSqlOutput::Owned(Value::Integer(*n)),
            Bind::Text(t) => ToSqlOutput::Borrowed(ValueRef::Text(t.as_bytes())),
            Bind::Blob(Some(b)) => ToSqlOutput::Borrowed(ValueRef::Blob(b)),
            Bind::Blob(None) => ToSqlOutput::Owned(Value::Null),
        })
    }
}

fn insert(c: &Connection, kind: Kind, ws: i64, mut row: Row) -> Result<Change> {
    row.rev = 1;
    match insert_as_is(c, kind, ws, &row) {
        Ok(()) => {
            Ok(Change { kind: kind.name.to_owned(), id: row.id, before: 0, after: 1, op: ChangeOp::Create })
        }
        Err(cause) => Err(clash(c, kind, ws, &row, Expected::Absent, cause)),
    }
}

/// Adds a row with the revision and header it has.
pub(super) fn insert_as_is(c: &Connection, kind: Kind, ws: i64, row: &Row) -> rusqlite::Result<()> {
    let mut text = format!(
        "INSERT INTO \"{}\" (ws, id, rev, schema, created_at, updated_at, created_by, body, checksum",
        kind.name
    );
    for index in kind.indexes {
        text.push_str(", ix_");
        text.push_str(index.name);
    }
    text.push_str(") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?");
    text.push_str(&", ?".repeat(kind.indexes.len()));
    text.push(')');
    let mut values = vec![
        Bind::Int(ws),
        Bind::Text(&row.id),
        Bind::Int(row.rev.cast_signed()),
        Bind::Int(i64::from(row.schema)),
        Bind::Int(row.created_at.as_millis()),
        Bind::Int(row.updated_at.as_millis()),
        Bind::Text(&row.created_by),
        Bind::Text(&row.body),
        Bind::Int(row.checksum(kind.name).cast_signed()),
    ];
    values.extend(row.keys.iter().map(|k| Bind::Blob(k.as_ref().map(|k| k.as_bytes()))));
    c.prepare_cached(&text).and_then(|mut s| s.execute(rusqlite::params_from_iter(&values))).map(drop)
}

/// Brings into a row what the stored body holds and the type does not know.
fn keep(c: &Connection, kind: Kind, ws: i64, row: &mut Row) -> Result<()> {
    if !kind.keeps() {
        return Ok(());
    }
    let text = format!("SELECT body FROM \"{}\" WHERE ws = ?1 AND id = ?2", kind.name);
    c.prepare_cached(&text)
        .and_then(|mut s| {
            let mut found = s.query((ws, &row.id))?;
            if let Some(old) = found.next()? {
                // A body that is no text is damaged: a read of it says so.
                kind.keep_unknown(old.get_ref(0)?.as_str().unwrap_or_default(), row);
            }
            Ok(())
        })
        .map_err(fail)
}

fn update(c: &Connection, kind: Kind, ws: i64, mut row: Row, before: u64) -> Result<Change> {
    keep(c, kind, ws, &mut row)?;
    row.rev = before + 1;
    let mut text =
        format!("UPDATE \"{}\" SET rev = ?, schema = ?, updated_at = ?, body = ?, checksum = ?", kind.name);
    for index in kind.indexes {
        text.push_str(", ix_");
        text.push_str(index.name);
        text.push_str(" = ?");
    }
    text.push_str(" WHERE ws = ? AND id = ? AND rev = ?");
    let mut values = vec![
        Bind::Int(row.rev.cast_signed()),
        Bind::Int(i64::from(row.schema)),
        Bind::Int(row.updated_at.as_millis()),
        Bind::Text(&row.body),
        Bind::Int(row.checksum(kind.name).cast_signed()),
    ];
    values.extend(row.keys.iter().map(|k| Bind::Blob(k.as_ref().map(|k| k.as_bytes()))));
    values.extend([Bind::Int(ws), Bind::Text(&row.id), Bind::Int(before.cast_signed())]);
    let done = c.prepare_cached(&text).and_then(|mut s| s.execute(rusqlite::params_from_iter(&values)));
    match done {
        Ok(1) => {
            let after = row.rev;
            Ok(Change { kind: kind.name.to_owned(), id: row.id, before, after, op: ChangeOp::Update })
        }
        Ok(_) => Err(stale(kind.name, &row.id, Expected::Rev(before), found(c, kind, ws, &row.id)?)),
        Err(cause) => Err(clash(c, kind, ws, &row, Expected::Rev(before), cause)),
    }
}

/// Which unique value a refused write clashed with.
fn clash(
    c: &Connection,
    kind: Kind,
    ws: i64,
    row: &Row,
    expected: Expected,
    cause: rusqlite::Error,
) -> Error {
    if cause.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) {
        return fail(cause);
    }
    if expected == Expected::Absent {
        match found(c, kind, ws, &row.id) {
            Ok(0) => {}
            Ok(rev) => return stale(kind.name, &row.id, expected, rev),
            Err(error) => return error,
        }
    }
    for (index, key) in kind.indexes.iter().zip(&row.keys).filter(|(i, _)| i.unique) {
        let Some(key) = key else { continue };
        let text = format!("SELECT id FROM \"{}\" WHERE ws = ?1 AND ix_{} = ?2", kind.name, index.name);
        let holder: rusqlite::Result<Option<String>> = c
            .prepare_cached(&text)
            .and_then(|mut s| s.query_row((ws, key.as_bytes()), |r| r.get(0)).optional());
        match holder {
            Ok(Some(holder)) if holder != row.id => return taken(kind.name, index.name, &holder),
            Ok(_) => {}
            Err(cause) => return fail(cause),
        }
    }
    fail(cause)
}

/// Adds an entry to a hash chain: its number and the hash before come from this transaction.
fn append(c: &Connection, ws: i64, link: &Link) -> Result<Change> {
    let head: Option<(i64, Vec<u8>)> = c
        .prepare_cached("SELECT seq, hash FROM _chain WHERE ws = ?1 AND chain = ?2")
        .and_then(|mut s| s.query_row((ws, link.chain), |r| Ok((r.get(0)?, r.get(1)?))).optional())
        .map_err(fail)?;
    let (seq, prev) = match head {
        None => (0, link.genesis),
        Some((seq, hash)) => {
            let hash = <[u8; 32]>::try_from(hash.as_slice()).map_err(|_| {
                Error::new(crate::ErrorKind::Corrupted, "store.commit", "the head of a hash chain is damaged")
                    .with_context("chain", link.chain)
            })?;
            (seq.cast_unsigned(), hash)
        }
    };
    let (row, hash) = (link.forge)(seq + 1, prev)?;
    c.prepare_cached(
        "INSERT INTO _chain (ws, chain, seq, hash) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (ws, chain) DO UPDATE SET seq = ?3, hash = ?4",
    )
    .and_then(|mut s| s.execute((ws, link.chain, (seq + 1).cast_signed(), &hash[..])))
    .map_err(fail)?;
    insert(c, link.kind, ws, row)
}
