//! The embedded store beside bare SQLite (WAL, synchronous FULL) doing the same work, and beside the disk itself.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use neonhub_core::store::sqlite::SqliteStore;
use neonhub_core::store::{
    Batch, Expected, Index, Key, Kind, Query, Record, Row as Stored, Store as _, Write,
};
use neonhub_core::{Timestamp, WorkspaceId};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::{Goal, Result, Row, Runs};

/// Commits of one run.
const COMMITS: usize = 5_000;
/// Tasks that commit side by side.
const TASKS: usize = 64;
/// Records that reads are measured over.
const RECORDS: usize = 200_000;
/// Reads of one run.
const READS: usize = 50_000;
/// Index queries of one run, each of 50 records.
const QUERIES: usize = 5_000;
/// Bytes of one append of the floor: about what one record takes in the log.
const APPEND_BYTES: usize = 512;

#[derive(Clone, Serialize, Deserialize)]
struct Person {
    id: String,
    name: String,
    seen: i64,
    note: String,
}

impl Record for Person {
    const KIND: &'static str = "bench_person";
    const INDEXES: &'static [Index] = &[Index::unique("name"), Index::on("seen")];

    fn id(&self) -> &str {
        &self.id
    }

    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.name)), Some(Key::int(self.seen))]
    }
}

const KIND: Kind = Kind::of::<Person>();
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn person(n: usize) -> Person {
    // Scattered, as ids of people are that came at other times than they are read.
    let scattered = n.wrapping_mul(2_654_435_761) % 1_000_000_007;
    Person {
        id: format!("per_{scattered:026}"),
        name: format!("person-{scattered}"),
        seen: (scattered % 1_000_000) as i64,
        note: "A record of about the size that people have: a few fields and a line of text.".repeat(3),
    }
}

fn put(n: usize) -> Result<Write> {
    Ok(Write::Put { kind: KIND, row: Stored::of(&person(n), AT, "bench")?, expected: Expected::Absent })
}

fn batch(writes: Vec<Write>) -> Batch {
    let mut batch = Batch::new(WorkspaceId::hub(), AT);
    batch.writes = writes;
    batch
}

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rows = commits(runs, &runtime)?;
    rows.extend(reads(runs, &runtime)?);
    Ok(rows)
}

fn commits(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let count = runs.size(COMMITS);
    let floor = runs.median_of(|| floor(count))?;
    let bare = runs.median_of(|| bare_commits(count))?;
    let single = runs.median_of(|| one_by_one(runtime, count))?;
    let many = runs.median_of(|| from_tasks(runtime, count * 4))?;
    Ok(vec![
        Row::new("store: synced commits, one by one", single, "commits/s", Goal::RatioAtLeast(0.8))
            .against("append + fdatasync", floor),
        Row::new("store: the same beside SQLite", single, "commits/s", Goal::RatioAtLeast(0.6))
            .against("bare SQLite, WAL, FULL", bare),
        Row::new("store: synced commits, 64 writers", many, "commits/s", Goal::RatioAtLeast(5.0))
            .against("our own, one by one", single),
    ])
}

fn reads(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let (records, folder) = (runs.size(RECORDS), tempfile::tempdir()?);
    let (ours, rival) = (folder.path().join("ours.neon"), folder.path().join("rival.db"));
    let written = fill(runtime, &ours, records)?;
    let live = fill_bare(&rival, records)?;
    let open = runs.median_of(|| opened(runtime, &ours))?;
    let bare_open = runs.median_of(|| opened_bare(&rival))?;
    let get = runs.median_of(|| gets(runtime, &ours, records, runs.size(READS)))?;
    let bare_get = runs.median_of(|| bare_gets(&rival, records, runs.size(READS)))?;
    let query = runs.median_of(|| queries(runtime, &ours, runs.size(QUERIES)))?;
    let bare_query = runs.median_of(|| bare_queries(&rival, runs.size(QUERIES)))?;
    Ok(vec![
        Row::new("store: point reads", get, "reads/s", Goal::RatioAtLeast(0.6))
            .against("bare SQLite", bare_get),
        Row::new("store: index query of 50", query, "queries/s", Goal::RatioAtLeast(0.5))
            .against("bare SQLite", bare_query),
        Row::new("store: open with 200,000 records", open, "ms", Goal::AtMost(5.0))
            .against("bare SQLite", bare_open),
        Row::new("store: disk after close", written, "MB", Goal::RatioAtMost(2.0))
            .against("bodies, ids and index keys", live),
    ])
}

/// What the disk itself gives: appends of a record's size, each synced.
fn floor(count: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("floor"))?;
    let bytes = [7_u8; APPEND_BYTES];
    let start = Instant::now();
    for _ in 0..count {
        file.write_all(&bytes)?;
        file.sync_data()?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

async fn open(path: &Path) -> Result<SqliteStore> {
    let store = SqliteStore::open(path).await?;
    store.declare(&[KIND]).await?;
    Ok(store)
}

fn one_by_one(runtime: &Runtime, count: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    runtime.block_on(async {
        let store = open(&folder.path().join("s.neon")).await?;
        let start = Instant::now();
        for n in 0..count {
            store.commit(batch(vec![put(n)?])).await?;
        }
        let rate = count as f64 / start.elapsed().as_secs_f64();
        store.close().await?;
        Ok(rate)
    })
}

fn from_tasks(runtime: &Runtime, count: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    runtime.block_on(async {
        let store = Arc::new(open(&folder.path().join("s.neon")).await?);
        let start = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for n in (task..count).step_by(TASKS) {
                        store.commit(batch(vec![put(n)?])).await?;
                    }
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let rate = count as f64 / start.elapsed().as_secs_f64();
        store.close().await?;
        Ok(rate)
    })
}

const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;";
const TABLE: &str =
    "CREATE TABLE p (id TEXT PRIMARY KEY, name TEXT NOT NULL, seen INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE UNIQUE INDEX p_name ON p (name); CREATE INDEX p_seen ON p (seen, id);";
const INSERT: &str = "INSERT INTO p (id, name, seen, body) VALUES (?1, ?2, ?3, ?4)";

fn bare(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

/// The same body and index entries; the rival keeps no feed, no checksum and no header.
fn insert(connection: &Connection, n: usize) -> Result<usize> {
    let person = person(n);
    let body = serde_json::to_string(&person)?;
    let size = body.len() + 2 * person.id.len() + 2 * person.name.len() + 16;
    connection.prepare_cached(INSERT)?.execute((&person.id, &person.name, person.seen, &body))?;
    Ok(size)
}

fn bare_commits(count: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let connection = bare(&folder.path().join("bare.db"))?;
    connection.execute_batch(TABLE)?;
    let start = Instant::now();
    for n in 0..count {
        insert(&connection, n)?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Megabytes of the folder's files once the store is closed.
fn fill(runtime: &Runtime, path: &Path, records: usize) -> Result<f64> {
    runtime.block_on(async {
        let store = open(path).await?;
        for first in (0..records).step_by(1000) {
            let writes = (first..(first + 1000).min(records)).map(put).collect::<Result<Vec<_>>>()?;
            store.commit(batch(writes)).await?;
        }
        store.close().await?;
        Ok(std::fs::metadata(path)?.len() as f64 / 1e6)
    })
}

/// Megabytes of live data: bodies, ids and keys, without any page around them.
fn fill_bare(path: &Path, records: usize) -> Result<f64> {
    let mut connection = bare(path)?;
    connection.execute_batch(TABLE)?;
    let transaction = connection.transaction()?;
    let mut live = 0;
    for n in 0..records {
        live += insert(&transaction, n)?;
    }
    transaction.commit()?;
    Ok(live as f64 / 1e6)
}

fn opened(runtime: &Runtime, path: &Path) -> Result<f64> {
    runtime.block_on(async {
        let start = Instant::now();
        let store = open(path).await?;
        let found = store.get(KIND, &WorkspaceId::hub(), &person(0).id).await?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        store.close().await?;
        found.map(|_| took).ok_or_else(|| "the first record is missing".into())
    })
}

fn opened_bare(path: &Path) -> Result<f64> {
    let start = Instant::now();
    let connection = bare(path)?;
    let _: String =
        connection.query_row("SELECT body FROM p WHERE id = ?1", [&person(0).id], |r| r.get(0))?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Places of the reads, spread over all records.
fn spread(n: usize, records: usize) -> usize {
    n.wrapping_mul(7_919) % records
}

fn gets(runtime: &Runtime, path: &Path, records: usize, reads: usize) -> Result<f64> {
    runtime.block_on(async {
        let store = open(path).await?;
        let ids: Vec<String> = (0..reads).map(|n| person(spread(n, records)).id).collect();
        let start = Instant::now();
        for id in &ids {
            let row = store.get(KIND, &WorkspaceId::hub(), id).await?.ok_or("a record is missing")?;
            let person: Person = serde_json::from_str(&row.body)?;
            std::hint::black_box(person);
        }
        let rate = reads as f64 / start.elapsed().as_secs_f64();
        store.close().await?;
        Ok(rate)
    })
}

fn bare_gets(path: &Path, records: usize, reads: usize) -> Result<f64> {
    let connection = bare(path)?;
    let ids: Vec<String> = (0..reads).map(|n| person(spread(n, records)).id).collect();
    let start = Instant::now();
    for id in &ids {
        let mut statement = connection.prepare_cached("SELECT body FROM p WHERE id = ?1")?;
        let body: String = statement.query_row([id], |r| r.get(0))?;
        std::hint::black_box(body);
    }
    Ok(reads as f64 / start.elapsed().as_secs_f64())
}

fn queries(runtime: &Runtime, path: &Path, queries: usize) -> Result<f64> {
    runtime.block_on(async {
        let store = open(path).await?;
        let start = Instant::now();
        for n in 0..queries {
            let query = Query::index("seen").from((spread(n, 900_000)) as i64).limit(50);
            std::hint::black_box(store.query(KIND, &WorkspaceId::hub(), &query).await?);
        }
        let rate = queries as f64 / start.elapsed().as_secs_f64();
        store.close().await?;
        Ok(rate)
    })
}

fn bare_queries(path: &Path, queries: usize) -> Result<f64> {
    let connection = bare(path)?;
    let start = Instant::now();
    for n in 0..queries {
        let text = "SELECT id, body FROM p WHERE seen >= ?1 ORDER BY seen, id LIMIT 50";
        let mut statement = connection.prepare_cached(text)?;
        let rows = statement.query_map([spread(n, 900_000) as i64], |r| {
            Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?))
        })?;
        std::hint::black_box(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(queries as f64 / start.elapsed().as_secs_f64())
}
