//! The embedded queue: enqueueing, working and waking, each job synced before it is acknowledged.

mod latency;
mod memory;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use neonhub_core::job::ops::{Enqueue, EnqueueMany, NewJob};
use neonhub_core::job::{Handler, Job, Outcome, Queue};
use neonhub_core::vault::RootKey;
use neonhub_core::{Hub, Scope};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::peers;
use super::redis::Fsync;
use crate::medians::Medians;
use crate::{Goal, Result, Row, Runs};

/// Jobs of one run.
const JOBS: usize = 10_000;
/// Jobs worked in one run.
const WORKED: usize = 20_000;
/// Jobs of one commit where batches are measured.
const BATCH: usize = 1_000;
/// Tasks that enqueue side by side.
const TASKS: usize = 64;
/// A rival that syncs each job by itself gets a part of the jobs: its rate is the same, and the run is shorter.
const SLOWER: usize = 5;
/// Jobs enqueued before the clock starts.
const WARM: usize = 100;
/// Jobs in work at once.
pub(super) const CONCURRENCY: usize = 10;
/// Bytes of one append of the floor: about what one job takes in the log.
const APPEND_BYTES: usize = 512;
const QUEUE: &str = "bench.noop";

// What another version of apalis-sqlite worked on 2 cores, at a disk that appends and syncs 6 500 times a second (2026).
const APALIS_WORKED: f64 = 19_606.0;
/// The queue of Rust gets this part of the jobs: each costs it more, the more it has worked before.
const FALLING: usize = 10;

const FLOOR: &str = "append + fdatasync";
const SINGLE: &str = "our own, one by one";
const TASKS_RATE: &str = "from 64 tasks";
const BATCHES: &str = "by 1,000";
const OURS: &str = "worked";

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rows = enqueueing(runs, &runtime)?;
    rows.extend(working(runs, &runtime)?);
    rows.extend(latency::rows(runs, &runtime)?);
    rows.extend(memory::rows(runs)?);
    Ok(rows)
}

/// Plays the other process of a row.
pub(super) fn child(arguments: &[String]) -> Result<()> {
    match arguments {
        [part, rest @ ..] if part == "enqueue" => latency::child(rest),
        [part, rest @ ..] if part == "memory" => memory::child(rest),
        _ => Err("no such child of the queue".into()),
    }
}

fn enqueueing(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let jobs = runs.size(JOBS);
    let folder = tempfile::tempdir()?;
    let mut taken = Medians::default();
    for _ in 0..runs.count() {
        taken.add(FLOOR, floor(folder.path(), jobs)?);
        taken.add(SINGLE, fresh(runtime, |cx| one_by_one(cx, jobs))?);
        taken.add_all(peers::python("enqueue", jobs)?);
        peers::add_bullmq(&mut taken, "enqueue", jobs / SLOWER, Fsync::Always)?;
        peers::add_bullmq(&mut taken, "enqueue", jobs, Fsync::EverySecond)?;
        taken.add(TASKS_RATE, fresh(runtime, |cx| from_tasks(cx, jobs * 4))?);
        taken.add(BATCHES, fresh(runtime, |cx| in_batches(cx, jobs * 4))?);
        taken.add_all(peers::on_server("batches", jobs * 4, 1)?);
    }
    let row = |name: &str, ours, bound, peer| -> Result<Row> {
        let row = Row::new(name, taken.of(ours)?, "jobs/s", Goal::RatioAtLeast(bound));
        Ok(row.against(peer, taken.of(peer)?))
    };
    let mut rows = vec![
        row("queue: enqueue one by one", SINGLE, 0.6, FLOOR)?,
        row("queue: enqueue from 64 tasks", TASKS_RATE, 10.0, SINGLE)?,
    ];
    let mut beside = |name: &str, ours, bound, peer| -> Result<()> {
        rows.extend(taken.beside(name, ours, "jobs/s", Goal::RatioAtLeast(bound), peer)?);
        Ok(())
    };
    beside("queue: enqueue by 1,000, beside a server", BATCHES, 1.5, peers::GRAPHILE)?;
    for peer in [peers::PERSIST, peers::HUEY, peers::bullmq_name(Fsync::Always)] {
        beside("queue: enqueue", SINGLE, 1.0, peer)?;
    }
    // The rival may lose a second of what it acknowledged, and we nothing: to keep up with half of it is enough.
    beside("queue: enqueue", SINGLE, 0.5, peers::bullmq_name(Fsync::EverySecond))?;
    Ok(rows)
}

fn working(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let jobs = runs.size(WORKED);
    let mut taken = Medians::default();
    for _ in 0..runs.count() {
        taken.add(OURS, runtime.block_on(work(jobs))?);
        taken.add_all(peers::rust(jobs / FALLING)?);
        taken.add_all(peers::python("work", jobs / SLOWER)?);
        peers::add_bullmq(&mut taken, "work", jobs / SLOWER, Fsync::Always)?;
        peers::add_bullmq(&mut taken, "work", jobs, Fsync::EverySecond)?;
    }
    let name = "queue: process no-op, 10 at once (bound: another apalis-sqlite, measured elsewhere)";
    let mut rows = vec![Row::new(name, taken.of(OURS)?, "jobs/s", Goal::AtLeast(APALIS_WORKED))];
    for (bound, peer) in [
        (1.0, peers::APALIS[0].1),
        (1.0, peers::APALIS[1].1),
        (4.0, peers::bullmq_name(Fsync::EverySecond)),
        (4.0, peers::bullmq_name(Fsync::Always)),
        (1.0, peers::PERSIST),
        (1.0, peers::HUEY),
    ] {
        let goal = Goal::RatioAtLeast(bound);
        rows.extend(taken.beside("queue: process no-op", OURS, "jobs/s", goal, peer)?);
    }
    Ok(rows)
}

/// Appends to a file with a sync after each: the most that any log on this disk can do.
fn floor(folder: &Path, appends: usize) -> Result<f64> {
    let mut file = File::create(folder.join("floor"))?;
    let bytes = [b'x'; APPEND_BYTES];
    let start = Instant::now();
    for _ in 0..appends {
        file.write_all(&bytes)?;
        file.sync_data()?;
    }
    Ok(appends as f64 / start.elapsed().as_secs_f64())
}

/// A hub in this folder whose queue does nothing, and counts it.
async fn open(folder: &Path, done: Arc<Noop>) -> Result<Hub> {
    open_at(&folder.join("queue.neon").to_string_lossy(), done).await
}

/// The same at the URL of a store.
pub(super) async fn open_at(url: &str, done: Arc<Noop>) -> Result<Hub> {
    let queue = Queue::declare(QUEUE).concurrency(CONCURRENCY).handler(done).build();
    let key = RootKey::from_bytes([0x5a; 32], "bench");
    Ok(Hub::builder().store(url).root_key(key).queue(queue).build().await?)
}

/// Runs on a fresh store.
fn fresh<F: Future<Output = Result<f64>>>(runtime: &Runtime, run: impl FnOnce(Scope) -> F) -> Result<f64> {
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let hub = open(folder.path(), Arc::default()).await?;
        let rate = run(hub.workspace("default").await?).await?;
        hub.close().await?;
        Ok(rate)
    })
}

fn job(payload: Value) -> NewJob {
    NewJob { queue: QUEUE.into(), name: "noop".into(), payload, ..NewJob::default() }
}

pub(super) async fn one_by_one(cx: Scope, jobs: usize) -> Result<f64> {
    for n in 0..WARM {
        cx.call(Enqueue { job: job(json!({ "n": n })) }).await?;
    }
    let start = Instant::now();
    for n in 0..jobs {
        cx.call(Enqueue { job: job(json!({ "n": n })) }).await?;
    }
    Ok(jobs as f64 / start.elapsed().as_secs_f64())
}

pub(super) async fn from_tasks(cx: Scope, jobs: usize) -> Result<f64> {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let cx = cx.clone();
        tasks.spawn(async move {
            for n in 0..jobs / TASKS {
                cx.call(Enqueue { job: job(json!({ "n": n, "task": task })) }).await?;
            }
            Ok::<_, neonhub_core::Error>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok((jobs / TASKS * TASKS) as f64 / start.elapsed().as_secs_f64())
}

pub(super) async fn in_batches(cx: Scope, jobs: usize) -> Result<f64> {
    let start = Instant::now();
    fill(&cx, jobs).await?;
    Ok(jobs as f64 / start.elapsed().as_secs_f64())
}

async fn fill(cx: &Scope, jobs: usize) -> Result<()> {
    for from in (0..jobs).step_by(BATCH) {
        let batch = (from..jobs.min(from + BATCH)).map(|n| job(json!({ "n": n }))).collect();
        cx.call(EnqueueMany { jobs: batch }).await?;
    }
    Ok(())
}

/// Works a full queue to its end, which is when the last outcome is stored.
async fn work(jobs: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    work_at(&folder.path().join("queue.neon").to_string_lossy(), jobs).await
}

/// The same at the URL of a fresh store.
pub(super) async fn work_at(url: &str, jobs: usize) -> Result<f64> {
    let done = Arc::<Noop>::default();
    let hub = open_at(url, Arc::clone(&done)).await?;
    let cx = hub.workspace("default").await?;
    fill(&cx, jobs).await?;
    done.left.store(jobs, Ordering::SeqCst);
    let start = Instant::now();
    hub.start_workers(&[QUEUE]).await?;
    done.all.notified().await;
    loop {
        let stats = cx.queue_stats(QUEUE).await?;
        if stats.active + stats.waiting == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    hub.close().await?;
    Ok(jobs as f64 / seconds)
}

/// Does nothing, one job at a time, and tells when all are through.
#[derive(Debug, Default)]
pub(super) struct Noop {
    left: AtomicUsize,
    all: Notify,
}

#[async_trait::async_trait]
impl Handler for Noop {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    fn batch(&self) -> usize {
        1
    }

    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> neonhub_core::Result<Vec<Outcome>> {
        if self.left.fetch_sub(jobs.len(), Ordering::SeqCst) == jobs.len() {
            self.all.notify_one();
        }
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_job_is_worked_once() {
        assert!(work(300).await.unwrap() > 0.0);
    }
}
