//! The child of the store check: writers that commit without end and print what was acknowledged.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use neonhub_core::store::sqlite::SqliteStore;
use neonhub_core::store::{Batch, Expected, Index, Key, Kind, Record, Row, Store, Stored, Write};
use neonhub_core::{Seed, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::Result;

/// How many writers commit side by side, so that commits are grouped.
pub(super) const WRITERS: u64 = 3;

/// Most records of one batch beside the tally.
const MAX_PARTS: u64 = 5;

/// Largest filler of a record in bytes: several SQLite pages.
const MAX_FILLER: u64 = 9_000;

/// One record of a batch. A batch is whole when all `of` parts are there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    id: String,
    pub(super) writer: u64,
    pub(super) batch: u64,
    pub(super) of: u64,
    filler: String,
}

impl Record for Part {
    const KIND: &'static str = "crash_part";
    const INDEXES: &'static [Index] = &[Index::on("batch"), Index::unique("name")];

    fn id(&self) -> &str {
        &self.id
    }

    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(batch_key(self.writer, self.batch)), Some(Key::text(&self.id))]
    }
}

/// How many batches a writer has committed: written in the same commit as the last of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tally {
    id: String,
    pub(super) batches: u64,
}

impl Record for Tally {
    const KIND: &'static str = "crash_tally";

    fn id(&self) -> &str {
        &self.id
    }
}

/// The kinds of both sides.
pub(super) const KINDS: [Kind; 2] = [Kind::of::<Part>(), Kind::of::<Tally>()];

/// Key of the index `batch`: all parts of one batch.
pub(super) fn batch_key(writer: u64, batch: u64) -> Key {
    Key::int(writer as i64).and_int(batch as i64)
}

/// Opens the store with the kinds of this check.
pub(super) async fn open(path: &Path) -> Result<Arc<SqliteStore>> {
    let store = SqliteStore::open(path).await?;
    store.declare(&KINDS).await?;
    Ok(Arc::new(store))
}

/// The tally of a writer with its revision; 0 batches before its first commit.
pub(super) async fn tally(store: &dyn Store, writer: u64) -> Result<(u64, Expected)> {
    let row = store.get(Kind::of::<Tally>(), &WorkspaceId::hub(), &tally_id(writer)).await?;
    let Some(row) = row else { return Ok((0, Expected::Absent)) };
    let stored = Stored::<Tally>::from_row(&row)?;
    Ok((stored.body.batches, Expected::Rev(stored.rev)))
}

fn tally_id(writer: u64) -> String {
    format!("tally-{writer}")
}

/// Plays the child: arguments are the path of the store and a seed. Never returns unless an error ends it.
///
/// # Errors
/// Whatever the store answers: none is expected.
pub(super) fn play(arguments: &[String]) -> Result<()> {
    let [path, seed] = arguments else { return Err("the writer needs a path and a seed".into()) };
    let seed = Seed::from_number(seed.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let store = open(Path::new(path)).await?;
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            tasks.spawn(write_forever(Arc::clone(&store), writer, seed));
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    })
}

async fn write_forever(store: Arc<SqliteStore>, writer: u64, seed: Seed) -> Result<()> {
    let mut rng = seed.split(&[&writer.to_le_bytes()]).rng();
    loop {
        let (done, expected) = tally(store.as_ref(), writer).await?;
        let number = done + 1;
        let at = Timestamp::from_millis(number as i64);
        let mut batch = Batch::new(WorkspaceId::hub(), at);
        let of = 1 + rng.below(MAX_PARTS);
        for part in 0..of {
            let filler = "x".repeat(rng.below(MAX_FILLER) as usize);
            let record = Part { id: format!("{writer}-{number}-{part}"), writer, batch: number, of, filler };
            batch.writes.push(put(&record, at, Expected::Absent)?);
        }
        batch.writes.push(put(&Tally { id: tally_id(writer), batches: number }, at, expected)?);
        store.commit(batch).await?;
        // One write for the whole line: the check counts complete lines only.
        std::io::stdout().lock().write_all(format!("{writer} {number}\n").as_bytes())?;
    }
}

fn put<R: Record>(record: &R, at: Timestamp, expected: Expected) -> Result<Write> {
    Ok(Write::Put { kind: Kind::of::<R>(), row: Row::of(record, at, "crash")?, expected })
}
