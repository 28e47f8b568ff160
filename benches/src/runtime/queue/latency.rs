//! From the call that enqueues to the start of the handler, at a low rate: in one process, and across two.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use neonhub_core::job::ops::Enqueue;
use neonhub_core::job::{Handler, Job, Outcome, Queue};
use neonhub_core::{Hub, Scope};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{QUEUE, job};
use crate::{Goal, Result, Row, Runs};

/// Jobs of one run: ten seconds at 25 a second.
const JOBS: usize = 250;
const PAUSE: Duration = Duration::from_millis(40);

pub(super) fn rows(runs: Runs, runtime: &Runtime) -> Result<Vec<Row>> {
    let jobs = runs.size(JOBS);
    let own = runtime.block_on(alone(jobs))?;
    let two = runtime.block_on(across(jobs))?;
    let row = |name: &str, times: &[f64], part: f64, goal: f64| {
        Row::new(name, at(times, part), "ms", Goal::AtMost(goal))
    };
    Ok(vec![
        row("queue: end to end, p50", &own, 0.5, 1.0),
        row("queue: end to end, p99", &own, 0.99, 5.0),
        row("queue: across processes, p50", &two, 0.5, 20.0),
        row("queue: across processes, p99", &two, 0.99, 60.0),
    ])
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
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        times.sort_by(f64::total_cmp);
        times
    }
}

async fn open(path: &Path, watch: Arc<Watch>) -> Result<Hub> {
    let queue = Queue::declare(QUEUE).concurrency(10).handler(watch).build();
    Ok(Hub::builder().store(path.to_string_lossy()).queue(queue).build().await?)
}

async fn send(cx: &Scope, jobs: usize) -> Result<()> {
    for _ in 0..jobs {
        tokio::time::sleep(PAUSE).await;
        cx.call(Enqueue { job: job(json!({ "at": now_us() })) }).await?;
    }
    Ok(())
}

async fn wait(watch: &Watch, jobs: usize) -> Result<Vec<f64>> {
    let all = async {
        while watch.seen() < jobs {
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
