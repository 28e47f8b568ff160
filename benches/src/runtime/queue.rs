//! The embedded queue: enqueued one by one, each job synced before its id is answered.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use neonhub_core::job::{Handler, Job, JobSpec, Outcome};
use neonhub_core::op::{Effect, Entry, Operation, entry};
use neonhub_core::{Hub, Permission, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Goal, Result, Row, Runs};

/// Jobs of one run.
const JOBS: usize = 10_000;
/// Bytes of one append of the floor: about what one job takes in the log.
const APPEND_BYTES: usize = 512;
const QUEUE: &str = "bench.noop";

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let jobs = runs.size(JOBS);
    let folder = tempfile::tempdir()?;
    let floor = runs.median_of(|| floor(folder.path(), jobs))?;
    let single = runs.median_of(|| {
        let folder = tempfile::tempdir()?;
        runtime.block_on(one_by_one(folder.path(), jobs))
    })?;
    Ok(vec![
        Row::new("queue: enqueue one by one", single, "jobs/s", Goal::RatioAtLeast(0.6))
            .against("append + fdatasync", floor),
    ])
}

/// Plays the other process of a row.
pub(super) fn child(_arguments: &[String]) -> Result<()> {
    Err("no such child of the queue".into())
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

async fn one_by_one(folder: &Path, jobs: usize) -> Result<f64> {
    let hub = Hub::builder()
        .store(folder.join("queue.neon").to_string_lossy())
        .operations(CATALOGUE)
        .handler(std::sync::Arc::new(Noop))
        .build()
        .await?;
    let cx = hub.workspace("default").await?;
    let start = Instant::now();
    for n in 0..jobs {
        cx.call(Enqueue { from: n, count: 1 }).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    hub.close().await?;
    Ok(jobs as f64 / seconds)
}

static CATALOGUE: &[Entry] = &[entry::<Enqueue>()];

/// Enqueues jobs in one commit.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Enqueue {
    /// Number of the first.
    from: usize,
    /// How many.
    count: usize,
}

impl Operation for Enqueue {
    type Output = ();
    const NAME: &'static str = "bench.enqueue_noop";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;

    async fn run(self, cx: &Scope) -> neonhub_core::Result<()> {
        for n in self.from..self.from + self.count {
            cx.enqueue(JobSpec::new(QUEUE, "noop", json!({ "n": n })))?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Noop;

#[async_trait::async_trait]
impl Handler for Noop {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> neonhub_core::Result<Vec<Outcome>> {
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}
