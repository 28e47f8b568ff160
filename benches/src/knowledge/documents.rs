//! Documents through the whole of NeonHub beside a full-text table of SQLite: both durable, both searchable.

use std::path::Path;
use std::time::Instant;

use neonhub::Scope;
use neonhub::knowledge::{CreateDataset, CreateSpace, DeleteDocument, SearchKnowledge, UploadDocument};
use rusqlite::Connection;

use super::{packages, peers, texts};
use crate::measure::median;
use crate::{Goal, Result, Row, Runs};

const DOCUMENTS: usize = 2_000;
const QUERIES: usize = 100;
const PLACE: &str = "bench";
const PEER: &str = "SQLite FTS5";
/// A store of vectors that Python programs pick. It is given its vectors, and its documents in batches of 500.
const CHROMA: &str = "Chroma";
/// Documents that are added and deleted one by one.
const EXTRA: usize = 5;

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let count = runs.size(DOCUMENTS);
    let peer = Peer::fill(&folder.path().join("peer.db"), count)?;
    packages::write(&made(count + EXTRA), folder.path())?;
    let store = peers::store(folder.path())?;
    let own = folder.path().join("ours");
    std::fs::create_dir(&own)?;
    let ours = runtime.block_on(measure(&own.join("ours.neon"), count))?;
    let beside = |name: &str, value, unit: &str, goal, figure| {
        store.beside(Row::new(name, value, unit, goal), CHROMA, figure)
    };
    Ok(vec![
        Row::new(format!("ingest, {count} documents"), ours.ingest, "docs/s", Goal::RatioAtLeast(0.25))
            .against(PEER, peer.ingest),
        beside("the same, ours one by one", ours.ingest, "docs/s", Goal::RatioAtLeast(1.0), "ingest"),
        Row::new("hybrid query p50", ours.query, "us", Goal::AtMost(20_000.0)).against(PEER, peer.query),
        Row::new("known item in the first 10", ours.hit, "", Goal::AtLeast(0.99)).against(PEER, peer.hit),
        beside("one document added, found by the next query", ours.add, "ms", Goal::AtMost(3.0), "add"),
        beside(
            "one document deleted, gone from the next query",
            ours.delete,
            "ms",
            Goal::AtMost(3.0),
            "delete",
        ),
        beside("size of all files", ours.disk, "MB", Goal::RatioAtMost(0.6), "disk"),
        Row::new("open to the first answer", ours.open, "ms", Goal::AtMost(50.0)),
    ])
}

#[derive(Debug)]
struct Measured {
    ingest: f64,
    query: f64,
    hit: f64,
    add: f64,
    delete: f64,
    disk: f64,
    open: f64,
}

/// The made documents as the peers read them.
fn made(count: usize) -> Vec<packages::Item> {
    let item = |number| {
        let (text, query) = texts::document(number);
        packages::Item { name: format!("{number}.txt"), query, text, asked: false }
    };
    (0..count).map(item).collect()
}

/// Megabytes of all files below a folder.
fn megabytes(folder: &Path) -> Result<f64> {
    let mut sum = 0.0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        sum += if kind.is_dir() { megabytes(&entry.path())? } else { kind.len() as f64 / 1e6 };
    }
    Ok(sum)
}

async fn open(path: &Path) -> Result<Scope> {
    Ok(neonhub::builder().store(path.to_string_lossy()).build().await?.workspace("default").await?)
}

async fn upload(scope: &Scope, number: usize) -> Result<neonhub::knowledge::Document> {
    let upload = UploadDocument::of(PLACE, format!("{number}.txt"), texts::document(number).0.as_bytes());
    Ok(scope.call(upload).await?)
}

async fn measure(path: &Path, count: usize) -> Result<Measured> {
    let scope = open(path).await?;
    scope.call(CreateSpace { name: PLACE.into(), ..CreateSpace::default() }).await?;
    let dataset = CreateDataset { space: PLACE.into(), name: PLACE.into(), ..CreateDataset::default() };
    scope.call(dataset).await?;
    let start = Instant::now();
    for number in 0..count {
        upload(&scope, number).await?;
    }
    scope.call(SearchKnowledge::of(texts::document(0).1)).await?;
    let ingest = count as f64 / start.elapsed().as_secs_f64();
    let (mut times, mut hits) = (Vec::new(), 0);
    let step = (count / QUERIES).max(1);
    for number in (0..count).step_by(step) {
        let search = SearchKnowledge { k: Some(10), ..SearchKnowledge::of(texts::document(number).1) };
        let start = Instant::now();
        let found = scope.call(search).await?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        hits += usize::from(found.hits.iter().any(|hit| hit.name == format!("{number}.txt")));
    }
    let hit = hits as f64 / times.len() as f64;
    let disk = megabytes(path.parent().ok_or("the store has no folder")?)?;
    let (mut adds, mut deletes) = (Vec::new(), Vec::new());
    for number in count..count + EXTRA {
        let query = SearchKnowledge::of(texts::document(number).1);
        let start = Instant::now();
        let document = upload(&scope, number).await?;
        scope.call(query.clone()).await?;
        adds.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        scope.call(DeleteDocument { document: document.id }).await?;
        scope.call(query).await?;
        deletes.push(start.elapsed().as_secs_f64() * 1e3);
    }
    scope.hub().close().await?;
    let start = Instant::now();
    let scope = open(path).await?;
    scope.call(SearchKnowledge::of(texts::document(1).1)).await?;
    let open = start.elapsed().as_secs_f64() * 1e3;
    scope.hub().close().await?;
    let middle = |values: &[f64]| median(values).ok_or("nothing was measured");
    Ok(Measured {
        ingest,
        query: middle(&times)?,
        hit,
        add: middle(&adds)?,
        delete: middle(&deletes)?,
        disk,
        open,
    })
}

/// The same with a full-text table, one durable transaction per document.
struct Peer {
    ingest: f64,
    query: f64,
    hit: f64,
}

impl Peer {
    fn fill(path: &Path, count: usize) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE VIRTUAL TABLE doc USING fts5(name UNINDEXED, body, tokenize = 'porter unicode61');",
        )?;
        let start = Instant::now();
        for number in 0..count {
            let (text, _) = texts::document(number);
            connection.execute("INSERT INTO doc VALUES (?1, ?2)", (format!("{number}.txt"), text))?;
        }
        let ingest = count as f64 / start.elapsed().as_secs_f64();
        let (mut times, mut hits) = (Vec::new(), 0);
        let step = (count / QUERIES).max(1);
        for number in (0..count).step_by(step) {
            let query = texts::document(number).1.replace(' ', " OR ");
            let start = Instant::now();
            let mut statement = connection
                .prepare_cached("SELECT name FROM doc WHERE doc MATCH ?1 ORDER BY bm25(doc) LIMIT 10")?;
            let names = statement.query_map([query], |row| row.get::<_, String>(0))?;
            let names = names.collect::<std::result::Result<Vec<_>, _>>()?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
            hits += usize::from(names.contains(&format!("{number}.txt")));
        }
        let query = median(&times).ok_or("nothing was measured")?;
        Ok(Self { ingest, query, hit: hits as f64 / times.len() as f64 })
    }
}
