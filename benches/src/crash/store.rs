//! A writing child is killed again and again: no acknowledged commit is lost, and no half commit is ever seen.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use neonhub_core::WorkspaceId;
use neonhub_core::store::{Kind, Query, Store, Stored};

use super::writer::{self, Part, WRITERS};
use super::{Options, Victim};
use crate::Result;

/// A child is killed after so many acknowledgements at most ...
const MAX_LINES: u64 = 30;

/// ... and a pause of so many microseconds at most, which puts the kill anywhere inside a commit.
const MAX_PAUSE_US: u64 = 4_000;

/// Entries of the change feed that are read at once.
const PAGE: usize = 500;

/// Runs the check.
///
/// # Errors
/// Names the first thing that was lost, halved or damaged.
pub(super) fn check(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("crash.neon");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rng = options.rng();
    let mut book = Book::default();
    for kill in 0..options.kills {
        let mut victim = Victim::start(child(&path, options.seed.wrapping_add(kill))?)?;
        victim.wait_for_lines(rng.below(MAX_LINES) as usize)?;
        let (lines, status) = victim.kill_after(Duration::from_micros(rng.below(MAX_PAUSE_US)))?;
        if status.code().is_some() {
            return Err(format!("child {kill} ended by itself with {status} instead of being killed").into());
        }
        book.acknowledge(&lines)?;
        runtime.block_on(book.compare(&path)).map_err(|error| format!("after kill {kill}: {error}"))?;
    }
    runtime.block_on(is_undamaged(&path))?;
    book.print(options.kills)
}

fn child(path: &Path, seed: u64) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--child", "store-writer"]).arg(path).arg(seed.to_string());
    Ok(command)
}

/// What the children acknowledged, and how far the store was compared with it.
#[derive(Debug, Default)]
struct Book {
    /// Last acknowledged batch per writer.
    acknowledged: BTreeMap<u64, u64>,
    /// Batches per writer that were found whole.
    whole: BTreeMap<u64, u64>,
    feed: u64,
    lines: u64,
}

impl Book {
    fn acknowledge(&mut self, lines: &[String]) -> Result<()> {
        for line in lines {
            let (writer, batch) =
                line.split_once(' ').ok_or_else(|| format!("odd line of the child: {line}"))?;
            let last = self.acknowledged.entry(writer.parse()?).or_default();
            *last = batch.parse::<u64>()?.max(*last);
            self.lines += 1;
        }
        Ok(())
    }

    /// Opens the store as the next process would, and compares it with the book.
    async fn compare(&mut self, path: &Path) -> Result<()> {
        let store = writer::open(path).await?;
        for writer in 0..WRITERS {
            let (batches, _) = writer::tally(store.as_ref(), writer).await?;
            let acknowledged = self.acknowledged.get(&writer).copied().unwrap_or_default();
            if batches < acknowledged {
                return Err(format!("writer {writer}: {acknowledged} acknowledged, {batches} kept").into());
            }
            let whole = self.whole.entry(writer).or_default();
            for batch in *whole + 1..=batches {
                is_whole(store.as_ref(), writer, batch).await?;
            }
            *whole = batches;
            if !parts(store.as_ref(), writer, batches + 1).await?.is_empty() {
                return Err(
                    format!("writer {writer}: records of batch {} without its tally", batches + 1).into()
                );
            }
        }
        self.follow(store.as_ref()).await?;
        store.close().await?;
        Ok(())
    }

    /// Walks the feed on from where the last walk ended: every position once, one entry per batch.
    async fn follow(&mut self, store: &dyn Store) -> Result<()> {
        loop {
            let entries = store.changes(self.feed, PAGE).await?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                if entry.seq != self.feed + 1 {
                    return Err(format!("the feed jumps from {} to {}", self.feed, entry.seq).into());
                }
                self.feed = entry.seq;
            }
        }
        let batches: u64 = self.whole.values().sum();
        if self.feed != batches || store.seq().await? != batches {
            return Err(format!("{batches} batches are kept, the feed shows {}", self.feed).into());
        }
        Ok(())
    }

    fn print(&self, kills: u64) -> Result<()> {
        let kept: u64 = self.whole.values().sum();
        println!("{kills} kills: {} commits acknowledged, {kept} kept whole, none lost", self.lines);
        // With nothing acknowledged nothing could be lost, and the check would say nothing.
        if kills > 0 && self.lines < kills {
            Err("too few commits were acknowledged to say anything".into())
        } else {
            Ok(())
        }
    }
}

async fn parts(store: &dyn Store, writer: u64, batch: u64) -> Result<Vec<Part>> {
    let query = Query::index("batch").equals(writer::batch_key(writer, batch));
    let rows = store.query(Kind::of::<Part>(), &WorkspaceId::hub(), &query).await?;
    rows.iter().map(|row| Ok(Stored::<Part>::from_row(row)?.body)).collect()
}

async fn is_whole(store: &dyn Store, writer: u64, batch: u64) -> Result<()> {
    let parts = parts(store, writer, batch).await?;
    let of = parts.first().map_or(1, |part| part.of);
    let fits = parts.iter().all(|part| part.writer == writer && part.batch == batch && part.of == of);
    if parts.len() as u64 == of && fits {
        return Ok(());
    }
    Err(format!("writer {writer}, batch {batch}: {} of {of} records", parts.len()).into())
}

async fn is_undamaged(path: &Path) -> Result<()> {
    let store = writer::open(path).await?;
    let damage = store.check().await?;
    store.close().await?;
    match damage.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} damaged records, first {} {}: {}",
            damage.len(),
            first.kind,
            first.id,
            first.problem
        )
        .into()),
    }
}
