//! A process that enqueues, works and schedules is killed again and again: every acknowledged job is done exactly
//! once by the ledger of its handler, none is lost, none stays stuck, and schedules fire once for each instant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use neonhub_core::job::{Job, JobState};
use neonhub_core::schedule::{AgentSession, SessionState};
use neonhub_core::store::Query;
use neonhub_core::{Hub, Scope};

use super::jobber::{self, CONCURRENCY, Ledger};
use super::{Options, Victim};
use crate::Result;

/// A child is killed after so many acknowledgements at most ...
const MAX_LINES: u64 = 25;
/// ... and a pause of so many microseconds at most, which puts the kill anywhere in enqueueing, taking and ending.
const MAX_PAUSE_US: u64 = 12_000;
/// A lease and the second in which it must be noticed.
const STUCK: Duration = Duration::from_secs(31);
/// Kills between two checks of everything.
const EVERY: u64 = 20;
/// Records read at once.
const PAGE: usize = 500;

/// Runs the check.
///
/// # Errors
/// Names the first job that was lost, doubled or stuck.
pub(super) fn check(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("runtime.neon");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rng = options.rng();
    let mut acknowledged = BTreeSet::new();
    let mut slowest = Duration::ZERO;
    for kill in 0..options.kills {
        let mut victim = Victim::start(child(&path, options.seed.wrapping_mul(1_000).wrapping_add(kill))?)?;
        victim.wait_for_lines(rng.below(MAX_LINES) as usize)?;
        let (lines, status) = victim.kill_after(Duration::from_micros(rng.below(MAX_PAUSE_US)))?;
        if status.code().is_some() {
            return Err(format!("child {kill} ended by itself with {status} instead of being killed").into());
        }
        for line in &lines {
            acknowledged
                .extend(line.split(' ').map(str::parse::<u64>).collect::<std::result::Result<Vec<_>, _>>()?);
        }
        if (kill + 1) % EVERY == 0 || kill + 1 == options.kills {
            let took = runtime
                .block_on(settle(&path, &acknowledged))
                .map_err(|error| format!("after kill {kill}: {error}"))?;
            slowest = slowest.max(took);
        }
    }
    let repeats = repeats(&path)?;
    let bound = options.kills * CONCURRENCY as u64;
    if repeats > bound {
        return Err(format!("handlers ran {repeats} times too often, {bound} is the bound").into());
    }
    println!(
        "{} kills: {} jobs acknowledged, each done once; handlers repeated {repeats} of {bound}; the slowest \
         recovery took {} ms",
        options.kills,
        acknowledged.len(),
        slowest.as_millis()
    );
    // With nothing acknowledged nothing could be lost, and the check would say nothing.
    if options.kills > 0 && (acknowledged.len() as u64) < options.kills {
        return Err("too few jobs were acknowledged to say anything".into());
    }
    Ok(())
}

fn child(path: &Path, seed: u64) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--child", "runtime-jobber"]).arg(path).arg(seed.to_string());
    Ok(command)
}

/// Opens the store as the next process would, works until nothing is left, and compares with what was acknowledged.
async fn settle(path: &Path, acknowledged: &BTreeSet<u64>) -> Result<Duration> {
    let hub = jobber::open(path).await?;
    let cx = hub.workspace("default").await?;
    let start = Instant::now();
    let mut took = Duration::ZERO;
    // The schedule may fire between two looks: only with the workers stopped nothing moves.
    while took == Duration::ZERO || open_jobs(&cx).await? > 0 {
        hub.start_workers(&[]).await?;
        while open_jobs(&cx).await? > 0 {
            if start.elapsed() > STUCK {
                let stuck = stuck(&cx).await?;
                return Err(format!("after a lease and a second, still not at their end: {stuck}").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if took == Duration::ZERO {
            took = start.elapsed();
        }
        hub.stop_workers(Duration::from_secs(5)).await;
    }
    compare(&hub, &cx, acknowledged).await?;
    hub.close().await?;
    Ok(took)
}

async fn open_jobs(cx: &Scope) -> Result<u64> {
    let mut open = 0;
    for queue in cx.hub().queues() {
        let stats = cx.queue_stats(queue.name()).await?;
        open += stats.waiting + stats.delayed + stats.active + stats.blocked;
    }
    Ok(open)
}

async fn stuck(cx: &Scope) -> Result<String> {
    let jobs = all::<Job>(cx).await?;
    let open = jobs.iter().filter(|j| !j.state.is_ended()).take(5);
    Ok(open
        .map(|j| format!("{} {} {:?} run_at {}", j.queue, j.payload, j.state, j.run_at))
        .collect::<Vec<_>>()
        .join("; "))
}

async fn all<R: neonhub_core::store::Record>(cx: &Scope) -> Result<Vec<R>> {
    let mut found = Vec::new();
    let mut query = Query::by_id().limit(PAGE);
    loop {
        let page = cx.query::<R>(&query).await?;
        let Some(last) = page.last() else { return Ok(found) };
        query = query.after(neonhub_core::store::Key::new(), last.body.id());
        found.extend(page.into_iter().map(|r| r.body));
    }
}

async fn compare(hub: &Hub, cx: &Scope, acknowledged: &BTreeSet<u64>) -> Result<()> {
    let ledger: BTreeMap<String, u64> =
        all::<Ledger>(cx).await?.into_iter().map(|l| (l.id, l.times)).collect();
    if let Some((id, times)) = ledger.iter().find(|(_, times)| **times != 1) {
        return Err(format!("job {id} was done {times} times").into());
    }
    if let Some(lost) = acknowledged.iter().find(|n| !ledger.contains_key(&n.to_string())) {
        return Err(format!("job {lost} was acknowledged and is not done").into());
    }
    for job in all::<Job>(cx).await? {
        if !matches!(job.state, JobState::Completed) {
            return Err(format!("a job ended as {:?}: {:?}", job.state, job.error).into());
        }
    }
    let sessions = all::<AgentSession>(cx).await?;
    let fired: Vec<&AgentSession> = sessions.iter().filter(|s| s.state != SessionState::Skipped).collect();
    let instants: BTreeSet<_> = fired.iter().map(|s| s.planned_at).collect();
    if instants.len() != fired.len() {
        return Err("an instant of the schedule fired twice".into());
    }
    if let Some(bad) = fired.iter().find(|s| s.state != SessionState::Completed) {
        return Err(format!("the session of {} is {:?}: {:?}", bad.planned_at, bad.state, bad.reason).into());
    }
    let damage = hub.store().check().await?;
    match damage.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} {}: {}", first.kind, first.id, first.problem).into()),
    }
}

/// How often a handler began a try that had begun before.
fn repeats(path: &Path) -> Result<u64> {
    let mut begun: BTreeMap<String, u64> = BTreeMap::new();
    for line in std::fs::read_to_string(jobber::effects(path))?.lines() {
        *begun.entry(line.to_owned()).or_default() += 1;
    }
    Ok(begun.values().map(|times| times - 1).sum())
}
