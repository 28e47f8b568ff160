//! Several processes enqueue, work and schedule on one PostgreSQL server. They are killed one by one at seeded points
//! while the others go on, and so is the server itself.

use std::collections::BTreeSet;
use std::time::Duration;

use neonhub_core::Rng;

use super::jobber::{self, CONCURRENCY, Place};
use super::server::Server;
use super::settled::{acknowledge, all_let_go, repeats, settle};
use super::{Options, Victim};
use crate::Result;

/// Processes at work at once.
const FLEET: usize = 3;
/// One of them is killed after so many more acknowledgements at most ...
const MAX_LINES: u64 = 25;
/// ... and a pause of so many microseconds at most.
const MAX_PAUSE_US: u64 = 20_000;
/// The server is stopped after every so many kills, for so many milliseconds at most.
const STOP_EVERY: u64 = 10;
const MAX_AWAY_MS: u64 = 1_500;
/// Kills between two checks of everything.
const EVERY: u64 = 50;

/// Runs the check.
///
/// # Errors
/// Names the first job that was lost, doubled or stuck; when no server is named.
pub(super) fn check(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::from_env()?;
    let place = Place { store: server.store("crash"), effects: folder.path().join("effects") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut fleet = Fleet::new(place, options);
    let (mut stops, mut slowest) = (0, Duration::ZERO);
    for kill in 0..options.kills {
        fleet.fill()?;
        fleet.kill_one()?;
        if (kill + 1) % STOP_EVERY == 0 {
            fleet.fill()?;
            stops += 1;
            let pause = Duration::from_millis(fleet.rng.below(MAX_AWAY_MS));
            server.crash(pause)?;
        }
        if (kill + 1) % EVERY == 0 || kill + 1 == options.kills {
            let took =
                runtime.block_on(fleet.compare()).map_err(|error| format!("after kill {kill}: {error}"))?;
            slowest = slowest.max(took);
        }
    }
    let repeats = repeats(&fleet.place)?;
    // Every process that was killed repeats what it had begun, and so does every one whose server was.
    let bound = (fleet.killed + stops * FLEET as u64) * CONCURRENCY as u64;
    if repeats > bound {
        return Err(format!("handlers ran {repeats} times too often, {bound} is the bound").into());
    }
    println!(
        "{} kills, {stops} stops of the server: {} jobs acknowledged, each done once; handlers repeated {repeats} of \
         {bound}; no job was held on longer than {} ms",
        fleet.killed,
        fleet.acknowledged.len(),
        slowest.as_millis()
    );
    if options.kills > 0 && (fleet.acknowledged.len() as u64) < options.kills {
        return Err("too few jobs were acknowledged to say anything".into());
    }
    Ok(())
}

/// The processes at work, and what they acknowledged.
#[derive(Debug)]
struct Fleet {
    place: Place,
    rng: Rng,
    seed: u64,
    started: u64,
    killed: u64,
    at_work: Vec<Victim>,
    acknowledged: BTreeSet<u64>,
}

impl Fleet {
    fn new(place: Place, options: &Options) -> Self {
        Self {
            place,
            rng: options.rng(),
            seed: options.seed,
            started: 0,
            killed: 0,
            at_work: Vec::new(),
            acknowledged: BTreeSet::new(),
        }
    }

    /// Starts processes until there are enough.
    fn fill(&mut self) -> Result<()> {
        while self.at_work.len() < FLEET {
            let seed = self.seed.wrapping_mul(1_000).wrapping_add(self.started);
            self.started += 1;
            self.at_work.push(Victim::start(self.place.child(seed)?)?);
        }
        Ok(())
    }

    /// Kills one of them.
    fn kill_one(&mut self) -> Result<()> {
        let nth = self.rng.below(self.at_work.len() as u64) as usize;
        let mut victim = self.at_work.swap_remove(nth);
        victim.wait_for_more(self.rng.below(MAX_LINES) as usize)?;
        let pause = Duration::from_micros(self.rng.below(MAX_PAUSE_US));
        let (lines, status) = victim.kill_after(pause)?;
        if status.code().is_some() {
            return Err(format!("a child ended by itself with {status} instead of being killed").into());
        }
        self.killed += 1;
        acknowledge(&mut self.acknowledged, &lines)
    }

    /// What the dead held must be let go of by those who live; then all are killed, and everything is compared.
    async fn compare(&mut self) -> Result<Duration> {
        let hub = jobber::open(&self.place).await?;
        let took = all_let_go(&hub.workspace("default").await?).await?;
        hub.close().await?;
        while !self.at_work.is_empty() {
            self.kill_one()?;
        }
        Ok(took.max(settle(&self.place, &self.acknowledged).await?))
    }
}
