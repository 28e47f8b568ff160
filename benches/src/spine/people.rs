//! A hundred thousand contacts: imported, judged by the gate, and there again when the store is opened.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use neonhub::people::GateFacts;
use neonhub::people::import::ImportStart;
use neonhub::store::Query;
use neonhub::{Hub, ManualClock, Scope, Timestamp};

use super::rival::Script;
use super::{contacts, gate, sends};
use crate::measure::median;
use crate::{Goal, Result, Row, Runs};

/// Rows of the contacts file.
const CONTACTS: usize = 100_000;

/// The rows of import, gate and cold open: they share the store that the last import filled.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("contacts.csv");
    let contacts = runs.size(CONTACTS);
    let people = contacts::write(&file, contacts)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut store = PathBuf::new();
    for run in 0..runs.count() {
        store = folder.path().join(format!("ours-{run}.neon"));
        let (seconds, before) = runtime.block_on(import(&store, &file, contacts, people))?;
        let (rate, script) = (contacts as f64 / seconds, Script::read(&store, i64::try_from(before)?)?);
        let bare_rate = contacts as f64 / replay(&script, &folder.path().join(format!("bare-{run}.db")))?;
        let (rows, batches) = (script.rows(), script.batches());
        eprintln!("import {rate:.0}, bare {bare_rate:.0} contacts/s ({rows} rows in {batches} batches)");
        ours.push(rate);
        bare.push(bare_rate);
    }
    let row = Row::new(
        format!("import and resolve, {contacts} contacts"),
        median(&ours).ok_or("no run was made")?,
        "rows/s",
        Goal::RatioAtLeast(0.5),
    );
    let mut rows = vec![row.against("bare SQLite, same rows", median(&bare).ok_or("no run was made")?)];
    rows.extend(runtime.block_on(gate::rows(runs, &store, people))?);
    rows.push(cold_open(runs, &store, people)?);
    rows.push(runtime.block_on(sends::row(runs, &store))?);
    Ok(rows)
}

/// Imports the file into a new store; gives the seconds and the feed position before it.
async fn import(store: &Path, file: &Path, contacts: usize, people: usize) -> Result<(f64, u64)> {
    let hub = open(store).await?;
    let scope = hub.workspace("default").await?;
    let before = scope.store().seq().await?;
    let start = Instant::now();
    let path = Some(file.to_string_lossy().into_owned());
    let job = scope.call(ImportStart { path, ..ImportStart::default() }).await?;
    let seconds = start.elapsed().as_secs_f64();
    if (job.imported as usize, job.people as usize) != (contacts, people) {
        return Err(format!("{contacts} rows of {people} people, but the import says {job:?}").into());
    }
    hub.close().await?;
    Ok((seconds, before))
}

/// Writes the same into a bare database; gives the seconds.
fn replay(script: &Script, database: &Path) -> Result<f64> {
    let mut connection = script.prepare(database)?;
    let start = Instant::now();
    script.replay(&mut connection)?;
    let seconds = start.elapsed().as_secs_f64();
    drop(connection);
    std::fs::remove_file(database)?;
    Ok(seconds)
}

/// A weekday noon in New York, where everybody in the file lives: no quiet hour puts a send off.
pub(super) const NOON: &str = "2026-03-04T17:00:00Z";

/// The store with every layer installed, as an app opens it, at [`NOON`].
pub(super) async fn open(store: &Path) -> Result<Hub> {
    let clock = ManualClock::at(Timestamp::parse("now", NOON)?);
    Ok(neonhub::builder().store(store.to_string_lossy()).clock(Arc::new(clock)).build().await?)
}

/// Opens the store in a new process until the first record is read: nothing of ours is warm, the disk cache is.
fn cold_open(runs: Runs, store: &Path, people: usize) -> Result<Row> {
    let milliseconds = runs.median_of(|| {
        let output = Command::new(std::env::current_exe()?).args(["--child", "open"]).arg(store).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    })?;
    Ok(Row::new(format!("cold open, {people} people"), milliseconds, "ms", Goal::AtMost(100.0)))
}

/// The child of [`cold_open`]: prints the milliseconds from its start to the first record.
pub(super) fn child(started: Instant, store: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let hub = open(store).await?;
        let scope = hub.workspace("default").await?;
        first_person(&scope).await?;
        println!("{}", started.elapsed().as_secs_f64() * 1e3);
        hub.close().await?;
        Ok(())
    })
}

async fn first_person(scope: &Scope) -> Result<()> {
    let first = scope.query::<GateFacts>(&Query::by_id().limit(1)).await?;
    if first.len() == 1 { Ok(()) } else { Err("the store has no people".into()) }
}
