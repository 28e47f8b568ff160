//! Tables of the file: those of the engine, and one per record kind.

use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode};

use super::{BUSY, failed};
use crate::store::{Index, Kind, grow};
use crate::{Error, ErrorKind, Result};

/// Marks the file as ours: "NEON" (SQLite `application_id`).
const APPLICATION_ID: i64 = 0x4e45_4f4e;

/// Numbered migrations of the file format, applied in order; the count is the version. Never edited once
/// released: a change is a new entry.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE _workspace (ws INTEGER PRIMARY KEY, workspace_id TEXT NOT NULL UNIQUE);
    CREATE TABLE _kind (name TEXT PRIMARY KEY, schema INTEGER NOT NULL, indexes TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE _feed (seq INTEGER PRIMARY KEY, ws INTEGER NOT NULL, at INTEGER NOT NULL, changes TEXT NOT NULL);
    CREATE TABLE _chain (
        ws INTEGER NOT NULL, chain TEXT NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY (ws, chain)
    ) WITHOUT ROWID;
    CREATE TABLE _blob (hash TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL);
", "
    ALTER TABLE _blob ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
", "
    -- From here on blobs may be compressed, which older builds take for damage.
"];

/// Version of the file's format that this build works with.
pub(super) const BUILD_VERSION: i64 = MIGRATIONS.len() as i64;

/// Sets the engine up and brings the file to this version.
pub(super) fn prepare(connection: &mut Connection) -> Result<()> {
    let sql = |e| failed("hub.open", e);
    // One snapshot for both: another process may be making the file at this moment.
    let seen = connection.transaction().map_err(sql)?;
    let id: i64 = seen.query_row("PRAGMA application_id", [], |r| r.get(0)).map_err(sql)?;
    let tables: i64 = seen.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(sql)?;
    seen.finish().map_err(sql)?;
    if id != APPLICATION_ID && (id != 0 || tables > 0) {
        return Err(Error::new(
            ErrorKind::Corrupted,
            "hub.open",
            "this is another program's database, not a neonhub store: choose another file",
        ));
    }
    write_ahead(connection).map_err(sql)?;
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;
             PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216;",
        )
        .map_err(sql)?;
    apply(connection).map(drop)
}

/// Makes the file write ahead. Here SQLite itself does not wait for others that do the same: it holds a read lock then, and
/// two that wait so for each other would never end.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let until = Instant::now() + BUSY;
    loop {
        match connection.execute_batch("PRAGMA journal_mode = WAL;") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

/// Applies the migrations that the file lacks; their numbers.
pub(super) fn apply(connection: &mut Connection) -> Result<Vec<u32>> {
    migrate(connection, MIGRATIONS)
}

/// Version of the file, and of this build.
pub(super) fn version(connection: &Connection) -> Result<(u32, u32)> {
    let found = connection.query_row("PRAGMA user_version", [], |r| r.get(0));
    let ours = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    Ok((found.map_err(|e| failed("store.migrate", e))?, ours))
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<Vec<u32>> {
    let sql = |e| failed("store.migrate", e);
    let ours = migrations.len();
    let mut applied = Vec::new();
    loop {
        // Taken before the version is read, so that two processes never run one migration twice.
        let tx =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(sql)?;
        let found: i64 = tx.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(sql)?;
        let found = usize::try_from(found).unwrap_or(usize::MAX);
        if found > ours {
            return Err(Error::new(
                ErrorKind::Config,
                "hub.open",
                format!(
                    "the store has file version {found}, this build reads up to {ours}: use a newer neonhub"
                ),
            )
            .with_context("file_version", found)
            .with_context("build_version", ours));
        }
        let Some(next) = migrations.get(found) else { return Ok(applied) };
        tx.execute_batch(next).map_err(sql)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql)?;
        tx.pragma_update(None, "user_version", i64::try_from(found + 1).unwrap_or(i64::MAX)).map_err(sql)?;
        tx.commit().map_err(sql)?;
        applied.push(u32::try_from(found + 1).unwrap_or(u32::MAX));
    }
}

/// Makes the tables of kinds that the file does not have yet.
pub(super) fn declare(connection: &mut Connection, kinds: &[Kind]) -> Result<()> {
    let sql = |e| failed("store.declare", e);
    let missing: Vec<&Kind> = kinds.iter().filter(|k| !is_declared(connection, k).unwrap_or(false)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(sql)?;
    for kind in missing {
        check_name(kind)?;
        let found: Option<String> = indexes_of(&tx, kind)?;
        match found {
            Some(found) if found == index_list(kind) => continue,
            Some(found) => {
                add_indexes(&tx, kind, &found)?;
                continue;
            }
            None => {}
        }
        tx.execute_batch(&ddl(kind)).map_err(sql)?;
        tx.execute(
            "INSERT INTO _kind (name, schema, indexes) VALUES (?1, ?2, ?3)",
            (kind.name, i64::from(kind.schema), index_list(kind)),
        )
        .map_err(sql)?;
    }
    tx.commit().map_err(sql)
}

/// Records of one page while indexes are added.
const PAGE: i64 = 500;

/// Adds the indexes that the file lacks, with the keys of the records that are there.
///
/// # Errors
/// `Config` when the file has others than this build declares.
fn add_indexes(c: &Connection, kind: &Kind, found: &str) -> Result<()> {
    let sql = |e| failed("store.migrate", e);
    let new = grow::added(kind, found.split_whitespace()).ok_or_else(|| drifted(kind, found))?;
    let table = kind.name;
    let mut sets = Vec::with_capacity(new.len());
    for (n, index) in new.iter().enumerate() {
        c.execute_batch(&format!("ALTER TABLE \"{table}\" ADD COLUMN ix_{} BLOB", index.name))
            .map_err(sql)?;
        sets.push(format!("ix_{} = ?{}", index.name, n + 2));
    }
    let read = format!("SELECT rowid, id, body FROM \"{table}\" WHERE rowid > ?1 ORDER BY rowid LIMIT ?2");
    let mut read = c.prepare(&read).map_err(sql)?;
    let write = format!("UPDATE \"{table}\" SET {} WHERE rowid = ?1", sets.join(", "));
    let mut write = c.prepare(&write).map_err(sql)?;
    let mut last = 0;
    loop {
        let page: Vec<(i64, String, String)> = read
            .query_map((last, PAGE), |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .and_then(Iterator::collect)
            .map_err(sql)?;
        let Some((end, ..)) = page.last() else { break };
        last = *end;
        for (rowid, id, body) in &page {
            let keys = grow::keys(kind, id, body);
            let values = keys.iter().skip(kind.indexes.len() - new.len());
            let values =
                values.map(|key| key.as_ref().map_or(Value::Null, |k| Value::Blob(k.as_bytes().to_vec())));
            let values = std::iter::once(Value::Integer(*rowid)).chain(values);
            write.execute(rusqlite::params_from_iter(values)).map_err(sql)?;
        }
    }
    for index in new {
        if let Err(cause) = c.execute_batch(&index_ddl(table, index)) {
            return Err(twins(c, kind, index).unwrap_or_else(|| sql(cause)));
        }
    }
    c.execute(
        "UPDATE _kind SET schema = ?2, indexes = ?3 WHERE name = ?1",
        (kind.name, i64::from(kind.schema), index_list(kind)),
    )
    .map(drop)
    .map_err(sql)
}

/// Two records that share a value of an index that is to be unique.
fn twins(c: &Connection, kind: &Kind, index: &Index) -> Option<Error> {
    let text = format!(
        "SELECT min(id), max(id) FROM \"{0}\" WHERE ix_{1} IS NOT NULL GROUP BY ws, ix_{1} HAVING count(*) > 1 LIMIT 1",
        kind.name, index.name
    );
    let found: rusqlite::Result<(String, String)> = c.query_row(&text, [], |r| Ok((r.get(0)?, r.get(1)?)));
    found.ok().filter(|_| index.unique).map(|(one, other)| grow::shared_value(kind, index.name, &one, &other))
}

fn indexes_of(connection: &Connection, kind: &Kind) -> Result<Option<String>> {
    use rusqlite::OptionalExtension as _;
    connection
        .prepare_cached("SELECT indexes FROM _kind WHERE name = ?1")
        .and_then(|mut s| s.query_row([kind.name], |r| r.get(0)).optional())
        .map_err(|e| failed("store.declare", e))
}

fn is_declared(connection: &Connection, kind: &Kind) -> Result<bool> {
    Ok(indexes_of(connection, kind)?.is_some_and(|found| found == index_list(kind)))
}

fn drifted(kind: &Kind, found: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        "store.declare",
        "the file has other indexes for this kind than this build declares",
    )
    .with_context("kind", kind.name)
    .with_context("file", found)
    .with_context("build", index_list(kind))
}

fn check_name(kind: &Kind) -> Result<()> {
    let word = |w: &str| {
        (1..=40).contains(&w.len())
            && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
    };
    if word(kind.name) && kind.indexes.iter().all(|i| word(i.name)) && !kind.name.starts_with('_') {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Internal,
        "store.declare",
        "kinds and indexes are snake_case words of 1..40 characters",
    )
    .with_context("kind", kind.name))
}

fn index_list(kind: &Kind) -> String {
    let words = kind.indexes.iter().map(|i| format!("{}{}", i.name, if i.unique { "!" } else { "" }));
    words.collect::<Vec<_>>().join(" ")
}

/// One table per kind with the body as JSON, a column per declared index, and real indexes over them, so
/// that any SQLite tool can read it.
pub(super) fn ddl(kind: &Kind) -> String {
    let table = kind.name;
    let mut out = format!(
        "CREATE TABLE \"{table}\" (ws INTEGER NOT NULL, id TEXT NOT NULL, rev INTEGER NOT NULL, \
         schema INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, \
         created_by TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL"
    );
    for index in kind.indexes {
        out.push_str(&format!(", ix_{} BLOB", index.name));
    }
    out.push_str(", PRIMARY KEY (ws, id));");
    for index in kind.indexes {
        out.push_str(&index_ddl(table, index));
    }
    out
}

fn index_ddl(table: &str, index: &Index) -> String {
    let name = index.name;
    let (unique, tail) = if index.unique { ("UNIQUE ", "") } else { ("", ", id") };
    format!(
        "CREATE {unique}INDEX \"{table}__{name}\" ON \"{table}\" (ws, ix_{name}{tail}) WHERE ix_{name} IS NOT NULL;"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_file_is_refused_with_both_versions_named() {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&mut connection).unwrap();
        let newer = [MIGRATIONS, &["CREATE TABLE _later (x);"]].concat();
        migrate(&mut connection, &newer).unwrap();
        let error = prepare(&mut connection).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let (file, build) = (MIGRATIONS.len() + 1, MIGRATIONS.len());
        assert!(
            error.message().contains(&format!("file version {file}, this build reads up to {build}")),
            "{error}"
        );
    }

    #[test]
    fn an_older_file_is_brought_to_this_version() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(migrate(&mut connection, MIGRATIONS.get(..1).unwrap()).unwrap(), [1]);
        connection.execute("INSERT INTO _blob (hash, bytes) VALUES ('00', x'01')", []).unwrap();
        let rest: Vec<u32> = (2..).take(MIGRATIONS.len() - 1).collect();
        assert_eq!(apply(&mut connection).unwrap(), rest, "what this call applied, and no more");
        assert!(apply(&mut connection).unwrap().is_empty());
        prepare(&mut connection).unwrap();
        let version: i64 = connection.query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
        assert_eq!(version as usize, MIGRATIONS.len());
        let kept: i64 =
            connection.query_row("SELECT count(*) FROM _blob WHERE at = 0", [], |r| r.get(0)).unwrap();
        assert_eq!(kept, 1);
    }

    #[test]
    fn a_migration_that_fails_is_repeated_whole() {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&mut connection).unwrap();
        let broken = [MIGRATIONS, &["CREATE TABLE _half (x); CREATE TABLE _half (x);"]].concat();
        assert!(migrate(&mut connection, &broken).is_err());
        let sound = [MIGRATIONS, &["CREATE TABLE _half (x); CREATE TABLE _other (x);"]].concat();
        migrate(&mut connection, &sound).unwrap();
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE photos (x)").unwrap();
        assert_eq!(prepare(&mut connection).unwrap_err().kind(), ErrorKind::Corrupted);
    }
}
