//! From the call that enqueues to the start of the handler, at a low rate: in one process, and across two.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use neonhub_core::job::ops::Enqueue;
use neonhub_core::job::{Handler, Job, Outcome, Queue};
use neonhub_core::{Hub, Scope};
use serde_json::json;
use tokio::runtime::Runtime;

use super::super::peers;
use super::super::redis::Fsync;
use super::{QUEUE, job};
use crate::{Goal, Result, Row, Runs};

/// Jobs of one run: ten seconds at 25 a second.
const JOBS: usize = 250;
const PAUSE: Duration = Duration::from_millis(40);

/// The first jobs are not counted: files, statements and code are cold.
const COLD: usize = 10;

/// Parts of the sorted times that are told, with their names.
const TOLD: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];

pub(super) fn rows(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let jobs = runs.size(JOBS);
    let own = runtime.block_on(alone(jobs))?;
    let mut rows = beside("queue: end to end", &own, [1.0, 5.0], "latency", jobs)?;
    let two = runtime.block_on(across(jobs))?;
    rows.extend(beside("queue: end to end across processes", &two, [20.0, 60.0], "across", jobs)?);
    Ok(rows)
}

/// Our times under the bounds of p50 and p99, beside BullMQ where it is installed.
fn beside(name: &str, times: &[f64], bounds: [f64; 2], part: &str, jobs: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for fsync in [Fsync::Always, Fsync::EverySecond] {
        let values: BTreeMap<String, f64> = peers::bullmq(part, jobs, fsync)?.into_iter().collect();
        for ((told, part), bound) in TOLD.into_iter().zip(bounds) {
            let row = |name: String| Row::new(name, at(times, part), "ms", Goal::AtMost(bound));
            let peer = peers::bullmq_name(fsync);
            rows.extend(match (values.get(told), fsync) {
                (Some(value), Fsync::Always) => Some(row(format!("{name}, {told}")).against(peer, *value)),
                (Some(value), _) => Some(row(format!("{name}, {told}, beside {peer}")).against(peer, *value)),
                (None, Fsync::Always) => Some(row(format!("{name}, {told}"))),
                (None, _) => None,
            });
        }
    }
    Ok(rows)
}

/// The value that a part of the sorted times stays under.
fn at(sorted: &[f64], part: f64) -> f64 {
    let place = (sorted.len() as f64 * part) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Microseconds of the clock that both processes read.
fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

#[derive(Debug, Default)]
struct Watch(Mutex<Vec<f64>>);

#[async_trait::async_trait]
impl Handler for Watch {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    fn batch(&self) -> usize {
        1
    }

    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> neonhub_core::Result<Vec<Outcome>> {
        let now = now_us();
        let sent = jobs.iter().filter_map(|j| j.payload.get("at").and_then(serde_json::Value::as_u64));
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(sent.map(|at| now.saturating_sub(at) as f64 / 1_000.0));
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}

impl Watch {
    fn seen(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn sorted(&self) -> Vec<f64> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times: Vec<f64> = seen.iter().skip(COLD).copied().collect();
        times.sort_by(f64::total_cmp);
        times
    }
}

async fn open(path: &Path, watch: Arc<Watch>) -> Result<Hub> {
    let queue = Queue::declare(QUEUE).concurrency(10).handler(watch).build();
    Ok(Hub::builder().store(path.to_string_lossy()).queue(queue).build().await?)
}

async fn send(cx: &Scope, jobs: usize) -> Result<()> {
    for _ in 0..jobs + COLD {
        tokio::time::sleep(PAUSE).await;
        cx.call(Enqueue { job: job(json!({ "at": now_us() })) }).await?;
    }
    Ok(())
}

async fn wait(watch: &Watch, jobs: usize) -> Result<Vec<f64>> {
    let all = async {
        while watch.seen() < jobs + COLD {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.map_err(|_| "jobs were not worked")?;
    Ok(watch.sorted())
}

async fn alone(jobs: usize) -> Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let watch = Arc::<Watch>::default();
    let hub = open(&folder.path().join("queue.neon"), Arc::clone(&watch)).await?;
    hub.start_workers(&[]).await?;
    send(&hub.workspace("default").await?, jobs).await?;
    let times = wait(&watch, jobs).await?;
    hub.close().await?;
    Ok(times)
}

/// This process works what another one enqueues into the same file.
async fn across(jobs: usize) -> Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("queue.neon");
    let watch = Arc::<Watch>::default();
    let hub = open(&path, Arc::clone(&watch)).await?;
    hub.start_workers(&[]).await?;
    let mut other = Command::new(std::env::current_exe()?)
        .args(["--child", "runtime-queue", "enqueue"])
        .arg(&path)
        .arg(jobs.to_string())
        .stdin(Stdio::null())
        .spawn()?;
    let times = wait(&watch, jobs).await;
    let ended = other.wait()?;
    hub.close().await?;
    if !ended.success() {
        return Err("the other process failed".into());
    }
    times
}

/// Plays the process that enqueues.
pub(super) fn child(arguments: &[String]) -> Result<()> {
    let [path, jobs] = arguments else { return Err("the child needs a path and a count".into()) };
    let jobs = jobs.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let hub = open(Path::new(path), Arc::default()).await?;
        send(&hub.workspace("default").await?, jobs).await?;
        Ok(hub.close().await?)
    })
}
