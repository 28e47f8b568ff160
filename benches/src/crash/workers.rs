//! A worker of a file is killed at even steps of its work, and another takes over: what that costs, as numbers.

use std::time::{Duration, Instant};

use neonhub_core::Seed;

use super::Victim;
use super::fleet::{fill, left};
use super::jobber::{self, CONCURRENCY, Place};
use super::settled::{ledger, let_go_within, repeats};
use crate::Result;

/// Seed of the jobs.
const SEED: u64 = 1;
/// A job that is held on so long is waited for no longer.
const HELD: Duration = Duration::from_secs(60);
/// Within this the jobs are worked; what is left then is lost.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// What the kills cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Jobs that were acknowledged and are not done.
    pub(crate) lost: u64,
    /// Jobs whose effect was stored more than once.
    pub(crate) doubled: u64,
    /// How often a handler began a try that had begun before.
    pub(crate) repeats: u64,
    /// The most that may begin again: all that were in work at each kill.
    pub(crate) bound: u64,
    /// How long the longest-held job was held on after its worker's end.
    pub(crate) longest: Duration,
}

/// Fills a queue in a file and kills workers of it, one after the other, while they work.
pub(crate) fn kill_workers(kills: u64, jobs: u64) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    let place = Place::file(folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(kill(&place, kills, jobs))
}

async fn kill(place: &Place, kills: u64, jobs: u64) -> Result<Cost> {
    let hub = jobber::open(place).await?;
    let cx = hub.workspace("default").await?;
    fill(&cx, jobs, &mut Seed::from_number(SEED).rng()).await?;
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    let mut worker = Victim::start(place.worker()?)?;
    for kill in 1..=kills {
        let point = jobs * kill / (kills + 1);
        while jobs.saturating_sub(left(&cx).await?) < point && start.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK).await;
        }
        let (_, status) = worker.kill_after(Duration::ZERO)?;
        if status.code().is_some() {
            return Err(format!("a worker ended by itself with {status} instead of being killed").into());
        }
        let died = Instant::now();
        worker = Victim::start(place.worker()?)?;
        let_go_within(&cx, HELD).await?;
        longest = longest.max(died.elapsed());
    }
    while left(&cx).await? > 0 && start.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
    }
    let done = ledger(&cx).await?;
    let lost = (1..=jobs).filter(|n| !done.contains_key(&n.to_string())).count() as u64;
    let doubled = done.values().filter(|times| **times > 1).count() as u64;
    drop(worker);
    hub.close().await?;
    Ok(Cost { lost, doubled, repeats: repeats(place)?, bound: kills * CONCURRENCY as u64, longest })
}
