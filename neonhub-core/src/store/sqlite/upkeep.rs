//! Keeping the file in shape: figures, feed retention, blobs that nobody names, compaction, indexes, drift.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use super::{failed, schema, snapshot};
use crate::store::{Damage, Figures, KindFigures, pack};
use crate::{Clock as _, Result, SystemClock, Timestamp};

/// True when a blob is there.
pub(super) fn has_blob(c: &Connection, hash: &str) -> Result<bool> {
    c.prepare_cached("SELECT 1 FROM _blob WHERE hash = ?1")
        .and_then(|mut s| s.exists([hash]))
        .map_err(|e| failed("store.blob_put", e))
}

/// Notes that a blob was put again; false when it is not there.
pub(super) fn touch_blob(c: &Connection, hash: &str) -> Result<bool> {
    c.prepare_cached("UPDATE _blob SET at = ?2 WHERE hash = ?1")
        .and_then(|mut s| s.execute((hash, SystemClock.now().as_millis())))
        .map(|rows| rows > 0)
        .map_err(|e| failed("store.blob_put", e))
}

/// Keeps a blob in its packed form, or notes that it was put again.
pub(super) fn put_blob(c: &Connection, hash: &str, bytes: &[u8]) -> Result<()> {
    let now = SystemClock.now().as_millis();
    c.prepare_cached(
        "INSERT INTO _blob (hash, bytes, at) VALUES (?1, ?2, ?3) ON CONFLICT (hash) DO UPDATE SET at = ?3",
    )
    .and_then(|mut s| s.execute((hash, bytes, now)))
    .map(drop)
    .map_err(|e| failed("store.blob_put", e))
}

pub(super) fn delete_blobs(c: &mut Connection, hashes: &[String], before: Timestamp) -> Result<u64> {
    let fail = |e| failed("store.blob_delete", e);
    let tx = c.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fail)?;
    let mut gone = 0;
    for hash in hashes {
        let done = tx
            .prepare_cached("DELETE FROM _blob WHERE hash = ?1 AND at < ?2")
            .and_then(|mut s| s.execute((hash, before.as_millis())));
        gone += done.map_err(fail)? as u64;
    }
    tx.commit().map_err(fail)?;
    Ok(gone)
}

pub(super) fn trim_feed(c: &Connection, through: u64) -> Result<u64> {
    let through = i64::try_from(through).unwrap_or(i64::MAX);
    // The last entry stays: it is what the next position counts from.
    let done =
        c.execute("DELETE FROM _feed WHERE seq <= ?1 AND seq < (SELECT max(seq) FROM _feed)", [through]);
    done.map(|n| n as u64).map_err(|e| failed("store.trim_feed", e))
}

pub(super) fn size(c: &Connection) -> rusqlite::Result<u64> {
    let pages: i64 = c.query_row("PRAGMA page_count", [], |r| r.get(0))?;
    let page: i64 = c.query_row("PRAGMA page_size", [], |r| r.get(0))?;
    Ok((pages * page).cast_unsigned())
}

/// Writes the file anew without what was removed, and empties the log.
pub(super) fn compact(c: &Connection) -> Result<(u64, u64)> {
    let fail = |e| failed("store.compact", e);
    let before = size(c).map_err(fail)?;
    c.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").map_err(fail)?;
    Ok((before, size(c).map_err(fail)?))
}

pub(super) fn figures(c: &Connection) -> Result<Figures> {
    let fail = |e| failed("store.stats", e);
    let mut out = Figures { disk_bytes: size(c).map_err(fail)?, ..Figures::default() };
    for kind in snapshot::kinds(c)? {
        let text = format!("SELECT count(*), coalesce(sum(octet_length(body)), 0) FROM \"{}\"", kind.name);
        let (records, bytes): (i64, i64) =
            c.query_row(&text, [], |r| Ok((r.get(0)?, r.get(1)?))).map_err(fail)?;
        out.kinds.push(KindFigures {
            kind: kind.name.to_owned(),
            records: records.cast_unsigned(),
            bytes: bytes.cast_unsigned(),
        });
    }
    let two = |text: &str| {
        c.query_row(text, [], |r| {
            Ok((r.get::<_, i64>(0)?.cast_unsigned(), r.get::<_, i64>(1)?.cast_unsigned()))
        })
        .map_err(fail)
    };
    (out.feed_length, out.feed_oldest) = two("SELECT count(*), coalesce(min(seq), 0) FROM _feed")?;
    (out.blobs, out.blob_bytes) = two("SELECT count(*), coalesce(sum(length(bytes)), 0) FROM _blob")?;
    Ok(out)
}

/// What the walk over checksums does not see: holes in the feed, blobs that do not match their hash.
pub(super) fn check(c: &Connection, damage: &mut Vec<Damage>) -> Result<()> {
    let fail = |e| failed("store.check", e);
    let mut found = |kind: &str, id: String, problem: &str| {
        damage.push(Damage { kind: kind.into(), id, problem: problem.into() });
    };
    let gap: Option<i64> = c
        .query_row(
            "SELECT f.seq FROM _feed f WHERE f.seq > (SELECT min(seq) FROM _feed) \
             AND NOT EXISTS (SELECT 1 FROM _feed p WHERE p.seq = f.seq - 1) ORDER BY f.seq LIMIT 1",
            [],
            |r| r.get(0),
        )
        .optional()
        .map_err(fail)?;
    if let Some(seq) = gap {
        found("_feed", seq.to_string(), "the feed has a gap before this position");
    }
    let mut statement = c.prepare("SELECT hash, bytes FROM _blob").map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    while let Some(row) = rows.next().map_err(fail)? {
        let (hash, bytes): (String, Vec<u8>) = (row.get(0).map_err(fail)?, row.get(1).map_err(fail)?);
        if let Err(error) = pack::unpack(&hash, bytes) {
            found("_blob", hash, error.message());
        }
    }
    Ok(())
}

pub(super) fn repair(c: &Connection) -> Result<Vec<String>> {
    c.execute_batch("REINDEX;").map_err(|e| failed("store.repair", e))?;
    Ok(vec!["all indexes were rebuilt from the records".into()])
}

/// Tables and indexes that are there against those that the kinds of the file call for.
pub(super) fn drift(c: &Connection) -> Result<Vec<String>> {
    let fail = |e| failed("store.drift", e);
    let wanted = Connection::open_in_memory().map_err(fail)?;
    for kind in snapshot::kinds(c)? {
        wanted.execute_batch(&schema::ddl(&kind)).map_err(fail)?;
    }
    let (mut there, wanted) = (objects(c).map_err(fail)?, objects(&wanted).map_err(fail)?);
    let mut out = Vec::new();
    for (name, sql) in wanted {
        match there.remove(&name) {
            None => out.push(format!("{name} is missing")),
            Some(found) if found != sql => out.push(format!("{name} is not as declared")),
            Some(_) => {}
        }
    }
    out.extend(there.into_keys().map(|name| format!("{name} is not declared")));
    Ok(out)
}

/// Tables and indexes of kinds with their definitions; those of the engine begin with `_`.
fn objects(c: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let text = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND substr(name, 1, 1) <> '_' \
                AND name NOT LIKE 'sqlite_%'";
    c.prepare(text)?.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
}
