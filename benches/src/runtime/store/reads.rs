//! Reads of a full store, and what it takes on the disk.

use std::path::Path;
use std::time::Instant;

use neonhub_core::WorkspaceId;
use neonhub_core::store::{Query, Store as _};
use tokio::runtime::Runtime;

use super::{KIND, Person, TABLE, bare, batch, insert, open, person, put};
use crate::medians::Medians;
use crate::{Goal, Result, Row, Runs};

/// Records that opening and the size on the disk are measured over ...
const RECORDS: usize = 200_000;
/// ... and those that reads are.
const MANY: usize = 1_000_000;
/// Reads of one run.
const READS: usize = 50_000;
/// Index queries of one run, and records of each.
const QUERIES: usize = 5_000;
const PAGE: usize = 50;
/// Records of one commit where a store is filled.
const FILL: usize = 1_000;

const OPEN: &str = "open";
const GET: &str = "get";
const QUERY: &str = "query";
const BARE_OPEN: &str = "bare SQLite";
const BARE_GET: &str = "bare SQLite, bodies not decoded";
const BARE_QUERY: &str = "bare SQLite, bodies as they are stored";

/// The rows.
pub(super) fn rows(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let mut rows = rest(runs, runtime)?;
    rows.extend(reads(runs, runtime)?);
    Ok(rows)
}

/// Opening a store, and its file once it is closed.
fn rest(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let (records, folder) = (runs.size(RECORDS), tempfile::tempdir()?);
    let (ours, rival) = (folder.path().join("ours.neon"), folder.path().join("rival.db"));
    // As records come that were made over time: their ids and keys in no order.
    let places: Vec<usize> = (0..records).collect();
    let (written, live) = (fill(runtime, &ours, &places)?, fill_bare(&rival, &places)?);
    let mut taken = Medians::default();
    for _ in 0..runs.count() {
        taken.add(OPEN, opened(runtime, &ours)?);
        taken.add(BARE_OPEN, opened_bare(&rival)?);
    }
    let open = format!("store: open with {}", told(records));
    Ok(vec![
        Row::new(open, taken.of(OPEN)?, "ms", Goal::AtMost(5.0)).against(BARE_OPEN, taken.of(BARE_OPEN)?),
        Row::new("store: disk after close", written, "MB", Goal::RatioAtMost(2.0))
            .against("bodies, ids and index keys", live),
    ])
}

/// Point reads and index queries.
fn reads(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let (records, folder) = (runs.size(MANY), tempfile::tempdir()?);
    let (ours, rival) = (folder.path().join("ours.neon"), folder.path().join("rival.db"));
    // Both are filled in the order of ids, which is several times quicker; they are read in no order.
    let mut places: Vec<usize> = (0..records).collect();
    places.sort_by_cached_key(|n| person(*n).id);
    fill(runtime, &ours, &places)?;
    fill_bare(&rival, &places)?;
    let (gotten, queried) = (runs.size(READS), runs.size(QUERIES));
    let mut taken = Medians::default();
    for _ in 0..runs.count() {
        taken.add(GET, gets(runtime, &ours, records, gotten)?);
        taken.add(BARE_GET, bare_gets(&rival, records, gotten)?);
        taken.add(QUERY, queries(runtime, &ours, queried)?);
        taken.add(BARE_QUERY, bare_queries(&rival, queried)?);
    }
    let row = |name: &str, ours, unit: &str, bound, peer| -> Result<Row> {
        let name = format!("store: {name}, {}", told(records));
        let row = Row::new(name, taken.of(ours)?, unit, Goal::RatioAtLeast(bound));
        Ok(row.against(peer, taken.of(peer)?))
    };
    Ok(vec![
        row("point reads", GET, "reads/s", 0.6, BARE_GET)?,
        row("index query of 50", QUERY, "queries/s", 0.5, BARE_QUERY)?,
    ])
}

/// `200,000 records`.
fn told(records: usize) -> String {
    let (millions, thousands, ones) = (records / 1_000_000, records / 1_000 % 1_000, records % 1_000);
    match (millions, thousands) {
        (0, 0) => format!("{ones} records"),
        (0, _) => format!("{thousands},{ones:03} records"),
        _ => format!("{millions},{thousands:03},{ones:03} records"),
    }
}

/// Megabytes of the store's file once it is closed.
fn fill(runtime: &Runtime, path: &Path, places: &[usize]) -> Result<f64> {
    runtime.block_on(async {
        let store = open(path).await?;
        for page in places.chunks(FILL) {
            let writes = page.iter().map(|n| put(*n)).collect::<Result<Vec<_>>>()?;
            store.commit(batch(writes)).await?;
        }
        store.close().await?;
        Ok(std::fs::metadata(path)?.len() as f64 / 1e6)
    })
}

/// Megabytes of live data: bodies, ids and keys, without any page around them.
fn fill_bare(path: &Path, places: &[usize]) -> Result<f64> {
    let mut connection = bare(path)?;
    connection.execute_batch(TABLE)?;
    let transaction = connection.transaction()?;
    let mut live = 0;
    for n in places {
        live += insert(&transaction, *n)?;
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

/// A page that is not full would be quicker than what is compared.
fn all_there(rows: usize) -> Result<()> {
    if rows == PAGE { Ok(()) } else { Err(format!("an index query gave {rows} of {PAGE} records").into()) }
}

fn queries(runtime: &Runtime, path: &Path, queries: usize) -> Result<f64> {
    runtime.block_on(async {
        let store = open(path).await?;
        let start = Instant::now();
        for n in 0..queries {
            let query = Query::index("seen").from((spread(n, 900_000)) as i64).limit(PAGE);
            let rows = store.query(KIND, &WorkspaceId::hub(), &query).await?;
            all_there(std::hint::black_box(rows).len())?;
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
        let text = "SELECT id, body FROM p WHERE seen >= ?1 ORDER BY seen, id LIMIT ?2";
        let mut statement = connection.prepare_cached(text)?;
        let rows = statement.query_map([spread(n, 900_000) as i64, PAGE as i64], |r| {
            Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?))
        })?;
        all_there(std::hint::black_box(rows.collect::<rusqlite::Result<Vec<_>>>()?).len())?;
    }
    Ok(queries as f64 / start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_in_thousands() {
        assert_eq!(told(1_000_000), "1,000,000 records");
        assert_eq!((told(200_000).as_str(), told(999).as_str()), ("200,000 records", "999 records"));
    }

    #[test]
    fn both_sides_find_what_they_were_filled_with() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (ours, rival) = (folder.path().join("ours.neon"), folder.path().join("rival.db"));
        let places: Vec<usize> = (0..300).collect();
        assert!(fill(&runtime, &ours, &places).unwrap() > fill_bare(&rival, &places).unwrap());
        assert!(gets(&runtime, &ours, 300, 20).unwrap() > 0.0 && bare_gets(&rival, 300, 20).unwrap() > 0.0);
        assert!(gets(&runtime, &ours, 400, 400).is_err());
    }
}
