//! The queue on a PostgreSQL server, beside a table that is worked with `FOR UPDATE SKIP LOCKED` by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use neonhub_core::Scope;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use super::queue::{CONCURRENCY, from_tasks, in_batches, one_by_one, open_at, work_at};
use crate::{Goal, Result, Row, Runs};

/// Where the server is.
const URL: &str = "NEONHUB_TEST_DATABASE_URL";
/// Jobs of one run, and jobs worked in one run.
const JOBS: usize = 2_000;
const WORKED: usize = 10_000;

// What the rivals reached at their defaults on a machine like ours, 2026, one no-op job after the other: graphile-worker
// works 944/s, pg-boss 3 177/s.
const BEST_RIVAL_WORKED: f64 = 3_177.0;

/// The rows; none without a server.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let Ok(server) = std::env::var(URL) else {
        eprintln!("{URL} is not set: the queue on a server is left out");
        return Ok(Vec::new());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (jobs, worked) = (runs.size(JOBS), runs.size(WORKED));
    let single = runs.median_of(|| fresh(&runtime, &server, |cx| one_by_one(cx, jobs)))?;
    let tasks = runs.median_of(|| fresh(&runtime, &server, |cx| from_tasks(cx, jobs * 4)))?;
    let batches = runs.median_of(|| fresh(&runtime, &server, |cx| in_batches(cx, jobs * 4)))?;
    let raw_single = runs.median_of(|| runtime.block_on(raw_enqueue(&server, jobs)))?;
    let work = runs.median_of(|| runtime.block_on(work_at(&store(&server), worked)))?;
    let raw_work = runs.median_of(|| runtime.block_on(raw_work(&server, worked)))?;
    Ok(vec![
        Row::new("server queue: enqueue one by one", single, "jobs/s", Goal::RatioAtLeast(0.5))
            .against("raw INSERT", raw_single),
        Row::new("server queue: enqueue from 64 tasks", tasks, "jobs/s", Goal::RatioAtLeast(5.0))
            .against("our one by one", single),
        Row::new("server queue: enqueue by 1,000", batches, "jobs/s", Goal::RatioAtLeast(10.0))
            .against("our one by one", single),
        Row::new(
            "server queue: process no-op, 10 at once",
            work,
            "jobs/s",
            Goal::AtLeast(2.0 * BEST_RIVAL_WORKED),
        )
        .against("raw SKIP LOCKED, 10 workers", raw_work),
    ])
}

/// URL of a store that nobody used.
fn store(server: &str) -> String {
    format!("{server}?schema={}", name())
}

fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("bench_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs on a fresh store.
fn fresh<F: Future<Output = Result<f64>>>(
    runtime: &Runtime,
    server: &str,
    run: impl FnOnce(Scope) -> F,
) -> Result<f64> {
    runtime.block_on(async {
        let hub = open_at(&store(server), Arc::default()).await?;
        let rate = run(hub.workspace("default").await?).await?;
        hub.close().await?;
        Ok(rate)
    })
}

async fn connect(server: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A table of jobs as one would make it by hand.
async fn table(server: &str) -> Result<(Client, String)> {
    let (client, name) = (connect(server).await?, name());
    client
        .batch_execute(&format!(
            "CREATE TABLE {name} (id bigserial PRIMARY KEY, state text NOT NULL DEFAULT 'waiting', payload jsonb NOT NULL);
             CREATE INDEX ON {name} (id) WHERE state = 'waiting'"
        ))
        .await?;
    Ok((client, name))
}

async fn raw_enqueue(server: &str, jobs: usize) -> Result<f64> {
    let (client, name) = table(server).await?;
    let insert = client.prepare(&format!("INSERT INTO {name} (payload) VALUES ($1::text::jsonb)")).await?;
    let start = Instant::now();
    for n in 0..jobs {
        client.execute(&insert, &[&format!("{{\"n\":{n}}}")]).await?;
    }
    Ok(jobs as f64 / start.elapsed().as_secs_f64())
}

/// Workers that each take a job, do nothing, and mark it done, in one transaction.
async fn raw_work(server: &str, jobs: usize) -> Result<f64> {
    let (client, name) = table(server).await?;
    let fill = format!("INSERT INTO {name} (payload) SELECT '{{}}' FROM generate_series(1, {jobs})");
    client.batch_execute(&format!("{fill}; ANALYZE {name}")).await?;
    let left = Arc::new(AtomicUsize::new(jobs));
    let mut ready = Vec::new();
    for _ in 0..CONCURRENCY {
        let (client, left) = (connect(server).await?, Arc::clone(&left));
        let take = client
            .prepare(&format!(
                "SELECT id FROM {name} WHERE state = 'waiting' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
            ))
            .await?;
        let done = client.prepare(&format!("UPDATE {name} SET state = 'done' WHERE id = $1")).await?;
        ready.push(async move {
            while left.load(Ordering::Relaxed) > 0 {
                client.batch_execute("BEGIN").await?;
                let Some(row) = client.query_opt(&take, &[]).await? else {
                    client.batch_execute("COMMIT").await?;
                    continue;
                };
                client.execute(&done, &[&row.get::<_, i64>(0)]).await?;
                client.batch_execute("COMMIT").await?;
                left.fetch_sub(1, Ordering::Relaxed);
            }
            Ok::<_, tokio_postgres::Error>(())
        });
    }
    let start = Instant::now();
    let mut workers: tokio::task::JoinSet<_> = ready.into_iter().collect();
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(jobs as f64 / start.elapsed().as_secs_f64())
}
