//! A queue in Rust, beside which NeonHub is measured: `neonhub-bench-apalis FOLDER JOBS SYNC NAME` prints its name and the
//! jobs it worked in a second, ten at once, with a handler that does nothing.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use apalis::layers::WorkerBuilderExt as _;
use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use futures_util::stream;

/// Result of a measurement; the error is a sentence for the person at the terminal.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CONCURRENCY: usize = 10;
/// What one look at the store takes: of 10 (its default), 100, 1 000 and 5 000 the fastest.
const BATCH: usize = 100;
/// How often the count of what is done is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// A run that takes longer is broken.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, jobs, sync, name] = words.as_slice() else {
        return Err("expected FOLDER JOBS SYNC NAME".into());
    };
    let pool = open(Path::new(folder), sync).await?;
    println!("{name}\t{}", work(&pool, jobs.parse()?).await?);
    Ok(())
}

/// A fresh store whose commits are in the file when they are acknowledged (`full`), or with the settings that the
/// library's own `setup` makes (`off`), which leaves them to the operating system.
async fn open(folder: &Path, sync: &str) -> Result<SqlitePool> {
    if !["full", "off"].contains(&sync) {
        return Err(format!("there is no setting {sync:?}: choose full or off").into());
    }
    let options = SqliteConnectOptions::new()
        .filename(folder.join("apalis.db"))
        .create_if_missing(true)
        .pragma("journal_mode", "WAL")
        .pragma("synchronous", sync.to_owned());
    let pool = SqlitePoolOptions::new().connect_with(options).await?;
    SqliteStorage::migrations().run(&pool).await?;
    Ok(pool)
}

async fn work(pool: &SqlitePool, jobs: usize) -> Result<f64> {
    let mut backend = SqliteStorage::<u64>::new(pool).with_config(Config::default().batch_size(BATCH));
    let mut numbers = stream::iter(0..jobs as u64);
    backend.push_stream(&mut numbers).await?;
    let worker = WorkerBuilder::new("bench").backend(backend).concurrency(CONCURRENCY).build(nothing);
    let start = Instant::now();
    let running = tokio::spawn(worker.run());
    while done(pool).await? < jobs {
        if running.is_finished() {
            return Err(format!("the worker left its jobs: {:?}", running.await?).into());
        }
        if start.elapsed() > LIMIT {
            return Err("the worker does not end its jobs".into());
        }
        tokio::time::sleep(LOOK).await;
    }
    let rate = jobs as f64 / start.elapsed().as_secs_f64();
    running.abort();
    Ok(rate)
}

async fn nothing(_number: u64) -> Result<()> {
    Ok(())
}

async fn done(pool: &SqlitePool) -> Result<usize> {
    let counted: i64 =
        sqlx::query_scalar("SELECT count(*) FROM Jobs WHERE status = 'Done'").fetch_one(pool).await?;
    Ok(usize::try_from(counted)?)
}
