//! What killed processes left: worked to its end by the next process, and compared with what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use neonhub_core::job::{Job, JobState};
use neonhub_core::schedule::{AgentSession, SessionState};
use neonhub_core::store::{Key, Query, Record};
use neonhub_core::{Hub, Scope};

use super::jobber::{self, Ledger, Place};
use crate::Result;

/// A lease and the second in which it must be noticed.
pub(crate) const STUCK: Duration = Duration::from_secs(31);
/// Within this the rest of the work is done, which is no matter of leases.
const BACKLOG: Duration = Duration::from_secs(300);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Records read at once.
const PAGE: usize = 500;

/// Adds what the lines of a child acknowledge.
pub(super) fn acknowledge(acknowledged: &mut BTreeSet<u64>, lines: &[String]) -> Result<()> {
    for number in lines.iter().flat_map(|line| line.split(' ')) {
        acknowledged.insert(number.parse()?);
    }
    Ok(())
}

/// Opens the store as the next process would, works until nothing is left, and compares with what was acknowledged.
/// Gives how long the longest-held job was held on.
pub(super) async fn settle(place: &Place, acknowledged: &BTreeSet<u64>) -> Result<Duration> {
    let hub = jobber::open(place).await?;
    let cx = hub.workspace("default").await?;
    let start = Instant::now();
    hub.start_workers(&[]).await?;
    let took = all_let_go(&cx).await?;
    // The schedule may fire between two looks: only with the workers stopped nothing moves.
    loop {
        while open_jobs(&cx).await? > 0 {
            if start.elapsed() > BACKLOG {
                return Err(format!("still not at their end: {}", open(&cx).await?).into());
            }
            tokio::time::sleep(LOOK).await;
        }
        hub.stop_workers(Duration::from_secs(5)).await;
        if open_jobs(&cx).await? == 0 {
            break;
        }
        hub.start_workers(&[]).await?;
    }
    compare(&hub, &cx, acknowledged).await?;
    hub.close().await?;
    Ok(took)
}

/// Waits until every job that is held now was let go of: ended, or taken anew. Gives how long that took.
///
/// # Errors
/// Names jobs that are held by the same lease after a lease and a second.
pub(super) async fn all_let_go(cx: &Scope) -> Result<Duration> {
    let (took, held) = let_go_within(cx, STUCK).await?;
    if held.is_empty() {
        return Ok(took);
    }
    let jobs: Vec<&String> = held.iter().take(5).collect();
    Err(format!("held on after a lease and a second: {} jobs, such as {jobs:?}", held.len()).into())
}

/// Waits until every job that is held now was let go of, but no longer than the bound. Gives how long that took, and the
/// jobs that are still held by the same lease.
pub(super) async fn let_go_within(cx: &Scope, bound: Duration) -> Result<(Duration, Vec<String>)> {
    let start = Instant::now();
    let mut held = held(cx).await?;
    while !held.is_empty() && start.elapsed() <= bound {
        tokio::time::sleep(LOOK).await;
        let now = self::held(cx).await?;
        held.retain(|id, token| now.get(id) == Some(token));
    }
    Ok((start.elapsed(), held.into_keys().collect()))
}

/// The jobs that are held, with the token of their lease.
async fn held(cx: &Scope) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for queue in cx.hub().queues() {
        let query = Query::index("lease_until").prefix(Key::text(queue.name())).limit(10_000);
        for job in cx.query::<Job>(&query).await? {
            found.insert(job.id.clone(), job.lease.as_ref().map_or(0, |lease| lease.token));
        }
    }
    Ok(found)
}

async fn open_jobs(cx: &Scope) -> Result<u64> {
    let mut open = 0;
    for queue in cx.hub().queues() {
        let stats = cx.queue_stats(queue.name()).await?;
        open += stats.waiting + stats.delayed + stats.active + stats.blocked;
    }
    Ok(open)
}

/// A few of the jobs that are not at their end.
async fn open(cx: &Scope) -> Result<String> {
    let jobs = all::<Job>(cx).await?;
    let open = jobs.iter().filter(|j| !j.state.is_ended()).take(5);
    Ok(open
        .map(|j| format!("{} {} {:?} run_at {}", j.queue, j.payload, j.state, j.run_at))
        .collect::<Vec<_>>()
        .join("; "))
}

async fn all<R: Record>(cx: &Scope) -> Result<Vec<R>> {
    let mut found = Vec::new();
    let mut query = Query::by_id().limit(PAGE);
    loop {
        let page = cx.query::<R>(&query).await?;
        let Some(last) = page.last() else { return Ok(found) };
        query = query.after(Key::new(), last.body.id());
        found.extend(page.into_iter().map(|r| r.body));
    }
}

/// How often each job was done, by its id.
pub(super) async fn ledger(cx: &Scope) -> Result<BTreeMap<String, u64>> {
    Ok(all::<Ledger>(cx).await?.into_iter().map(|l| (l.id, l.times)).collect())
}

async fn compare(hub: &Hub, cx: &Scope, acknowledged: &BTreeSet<u64>) -> Result<()> {
    let ledger = ledger(cx).await?;
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

/// How often, over all jobs, a handler began a try that had begun before.
pub(super) fn repeats(place: &Place) -> Result<u64> {
    let mut begun: BTreeMap<String, u64> = BTreeMap::new();
    for line in std::fs::read_to_string(&place.effects)?.lines() {
        *begun.entry(line.to_owned()).or_default() += 1;
    }
    Ok(begun.values().map(|times| times - 1).sum())
}
