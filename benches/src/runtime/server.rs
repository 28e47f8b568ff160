//! The queue on a PostgreSQL server, beside a table that is worked with `FOR UPDATE SKIP LOCKED` by hand, and beside
//! queues of Node on the same server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use neonhub_core::Scope;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use super::peers;
use super::queue::{CONCURRENCY, from_tasks, in_batches, one_by_one, open_at, work_at};
use crate::medians::Medians;
use crate::{Goal, Result, Row, Runs};

/// Jobs of one run, and jobs worked in one run.
const JOBS: usize = 2_000;
const WORKED: usize = 10_000;

const SINGLE: &str = "our own, one by one";
const TASKS: &str = "from 64 tasks";
const BATCHES: &str = "by 1,000";
const WORK: &str = "worked";
const RAW_SINGLE: &str = "raw INSERT";
const RAW_WORK: &str = "raw SKIP LOCKED, 10 workers";
// What the rivals are asked to do. One job at a time is their default; pg-boss would pause for two seconds after each.
const BY_ONE: &str = "one by one";
const BY_MANY: &str = "by 1,000";
const DEFAULT: &str = "one job at a time, its default";
const AT_ONCE: &str = "10 at once";

/// The rows; none without a server.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let Ok(server) = std::env::var(peers::SERVER) else {
        eprintln!("{} is not set: the queue on a server is left out", peers::SERVER);
        return Ok(Vec::new());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut taken = Medians::default();
    for _ in 0..runs.count() {
        enqueueing(&mut taken, runs, &runtime, &server)?;
        working(&mut taken, runs, &runtime, &server)?;
    }
    let row = |name: &str, ours, bound, peer| -> Result<Row> {
        let row = Row::new(name, taken.of(ours)?, "jobs/s", Goal::RatioAtLeast(bound));
        Ok(row.against(peer, taken.of(peer)?))
    };
    let mut rows = vec![
        row("server queue: enqueue one by one", SINGLE, 0.5, RAW_SINGLE)?,
        row("server queue: enqueue from 64 tasks", TASKS, 5.0, SINGLE)?,
        row("server queue: enqueue by 1,000", BATCHES, 10.0, SINGLE)?,
        row("server queue: process no-op, 10 at once", WORK, 1.0, RAW_WORK)?,
    ];
    for (name, ours, bound, peer, does) in [
        ("server queue: enqueue", SINGLE, 1.0, peers::GRAPHILE, BY_ONE),
        ("server queue: enqueue", SINGLE, 1.0, peers::BOSS, BY_ONE),
        ("server queue: enqueue", BATCHES, 1.0, peers::GRAPHILE, BY_MANY),
        ("server queue: process no-op, 10 at once", WORK, 2.0, peers::GRAPHILE, DEFAULT),
        ("server queue: process no-op, 10 at once", WORK, 2.0, peers::BOSS, DEFAULT),
        ("server queue: process no-op", WORK, 1.0, peers::GRAPHILE, AT_ONCE),
        ("server queue: process no-op", WORK, 1.0, peers::BOSS, AT_ONCE),
    ] {
        rows.extend(taken.beside(name, ours, "jobs/s", Goal::RatioAtLeast(bound), &doing(peer, does))?);
    }
    Ok(rows)
}

fn enqueueing(taken: &mut Medians, runs: Runs, runtime: &Runtime, server: &str) -> Result<()> {
    let jobs = runs.size(JOBS);
    taken.add(SINGLE, fresh(runtime, server, |cx| one_by_one(cx, jobs))?);
    taken.add(RAW_SINGLE, runtime.block_on(raw_enqueue(server, jobs))?);
    add(taken, peers::on_server("enqueue", jobs, 1)?, BY_ONE);
    taken.add(TASKS, fresh(runtime, server, |cx| from_tasks(cx, jobs * 4))?);
    taken.add(BATCHES, fresh(runtime, server, |cx| in_batches(cx, jobs * 4))?);
    add(taken, peers::on_server("batches", jobs * 4, 1)?, BY_MANY);
    Ok(())
}

fn working(taken: &mut Medians, runs: Runs, runtime: &Runtime, server: &str) -> Result<()> {
    let jobs = runs.size(WORKED);
    taken.add(WORK, runtime.block_on(work_at(&store(server), jobs))?);
    taken.add(RAW_WORK, runtime.block_on(raw_work(server, jobs))?);
    add(taken, peers::on_server("work", jobs / 2, 1)?, DEFAULT);
    add(taken, peers::on_server("work", jobs / 2, CONCURRENCY)?, AT_ONCE);
    Ok(())
}

/// How a rival is called where it does something in one of several ways.
fn doing(peer: &str, does: &str) -> String {
    format!("{peer}, {does}")
}

fn add(taken: &mut Medians, values: Vec<(String, f64)>, does: &str) {
    for (peer, value) in values {
        taken.add(doing(&peer, does), value);
    }
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
