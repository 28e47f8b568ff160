//! Eight processes work one queue on a PostgreSQL server; two of them are killed on the way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use neonhub_core::job::ops::{EnqueueMany, NewJob};
use neonhub_core::{Rng, Scope};
use serde_json::json;

use super::jobber::{self, CONCURRENCY, Place, QUEUE};
use super::server::Server;
use super::settled::{all_let_go, repeats, settle};
use super::{Options, Victim};
use crate::Result;

/// Processes at work.
const WORKERS: u64 = 8;
/// Jobs of one commit.
const BATCH: u64 = 1_000;
/// Within this all jobs are done, on any machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs the check.
///
/// # Errors
/// Names the first job that was lost, doubled or stuck; when no server is named.
pub(super) fn check(options: &Options) -> Result<()> {
    let kills = options.kills.min(WORKERS - 1);
    let folder = tempfile::tempdir()?;
    let server = Server::from_env()?;
    let place = Place { store: server.store("fleet"), effects: folder.path().join("effects") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rng = options.rng();
    let (worked, held) = runtime.block_on(work(&place, options.jobs, kills, &mut rng))?;
    let all: BTreeSet<u64> = (1..=options.jobs).collect();
    let held = held.max(runtime.block_on(settle(&place, &all))?);
    let (repeats, bound) = (repeats(&place)?, kills * CONCURRENCY as u64);
    if repeats > bound {
        return Err(format!("handlers ran {repeats} times too often, {bound} is the bound").into());
    }
    println!(
        "{WORKERS} processes, {kills} of them killed: {} jobs, each done once, in {:.1} s; handlers repeated {repeats} \
         of {bound}; no job was held on longer than {} ms",
        options.jobs,
        worked.as_secs_f64(),
        held.as_millis()
    );
    Ok(())
}

/// Fills the queue, starts the processes and kills some of them. Gives how long the work took, and how long the longest
/// held job was held on.
async fn work(place: &Place, jobs: u64, kills: u64, rng: &mut Rng) -> Result<(Duration, Duration)> {
    let hub = jobber::open(place).await?;
    let cx = hub.workspace("default").await?;
    fill(&cx, jobs, rng).await?;
    jobber::schedule(&cx).await?;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(Victim::start(place.worker()?)?);
    }
    for worker in &mut workers {
        worker.wait_for_lines(1)?;
    }
    let start = Instant::now();
    for kill in 0..kills {
        // Somewhere in its share of the work.
        let point = jobs * (kill * 100 + 10 + rng.below(80)) / (kills * 100);
        while jobs.saturating_sub(left(&cx).await?) < point {
            be_patient(start)?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let nth = rng.below(workers.len() as u64) as usize;
        let (_, status) = workers.swap_remove(nth).kill_after(Duration::from_micros(rng.below(5_000)))?;
        if status.code().is_some() {
            return Err(format!("a worker ended by itself with {status} instead of being killed").into());
        }
    }
    // The living take over from the dead.
    let held = all_let_go(&cx).await?;
    while left(&cx).await? > 0 {
        be_patient(start)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let worked = start.elapsed();
    for mut worker in workers {
        if !worker.is_running()? {
            return Err("a worker ended by itself".into());
        }
    }
    hub.close().await?;
    Ok((worked, held))
}

fn be_patient(start: Instant) -> Result<()> {
    if start.elapsed() > PATIENCE { Err("the jobs are not done in time".into()) } else { Ok(()) }
}

/// Enqueues jobs that are numbered from 1 on; one in ten fails once.
pub(super) async fn fill(cx: &Scope, jobs: u64, rng: &mut Rng) -> Result<()> {
    for from in (1..=jobs).step_by(BATCH as usize) {
        let batch = (from..=jobs.min(from + BATCH - 1)).map(|n| {
            let payload = json!({ "n": n, "us": rng.below(500), "flaky": u64::from(rng.below(10) == 0) });
            NewJob { queue: QUEUE.into(), name: "work".into(), payload, ..NewJob::default() }
        });
        let jobs = batch.collect();
        cx.call(EnqueueMany { jobs }).await?;
    }
    Ok(())
}

/// Jobs that are not at their end.
pub(super) async fn left(cx: &Scope) -> Result<u64> {
    let stats = cx.queue_stats(QUEUE).await?;
    Ok(stats.waiting + stats.delayed + stats.active)
}
