//! The embedded store beside bare SQLite (WAL, synchronous FULL) doing the same work, and beside the disk itself.

mod reads;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use neonhub_core::store::sqlite::SqliteStore;
use neonhub_core::store::{Batch, Expected, Index, Key, Kind, Record, Row as Stored, Store as _, Write};
use neonhub_core::{Timestamp, WorkspaceId};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::medians::Medians;
use crate::{Goal, Result, Row, Runs};

/// Commits of one run.
const COMMITS: usize = 5_000;
/// Tasks that commit side by side.
const TASKS: usize = 64;
/// Bytes of one append of the floor: about what one record takes in the log.
const APPEND_BYTES: usize = 512;

const FLOOR: &str = "append + fdatasync";
const SINGLE: &str = "our own, one by one";
const BARE: &str = "bare SQLite, WAL, FULL";
const MANY: &str = "64 writers";
const BARE_MANY: &str = "bare SQLite, one writer, 64 records a commit";

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
    rows.extend(reads::rows(runs, &runtime)?);
    Ok(rows)
}

fn commits(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let count = runs.size(COMMITS);
    let mut taken = Medians::default();
    for _ in 0..runs.count() {
        taken.add(FLOOR, floor(count)?);
        taken.add(SINGLE, one_by_one(runtime, count)?);
        taken.add(BARE, bare_commits(count)?);
        taken.add(MANY, from_tasks(runtime, count * 4)?);
        taken.add(BARE_MANY, bare_batches(count * 4)?);
    }
    let row = |name: &str, ours, bound, peer| -> Result<Row> {
        let row = Row::new(name, taken.of(ours)?, "commits/s", Goal::RatioAtLeast(bound));
        Ok(row.against(peer, taken.of(peer)?))
    };
    Ok(vec![
        row("store: synced commits, one by one", SINGLE, 0.8, FLOOR)?,
        row("store: the same beside SQLite", SINGLE, 0.6, BARE)?,
        row("store: synced commits, 64 writers", MANY, 5.0, SINGLE)?,
        row("store: the same beside SQLite by 64", MANY, 0.5, BARE_MANY)?,
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

/// What one writer can do who is handed the records of all the others at once.
fn bare_batches(count: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut connection = bare(&folder.path().join("bare.db"))?;
    connection.execute_batch(TABLE)?;
    let start = Instant::now();
    for first in (0..count).step_by(TASKS) {
        let transaction = connection.transaction()?;
        for n in first..count.min(first + TASKS) {
            insert(&transaction, n)?;
        }
        transaction.commit()?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
