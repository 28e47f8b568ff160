//! Taking due jobs: which, in what order, and how many the limits allow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::model::{group_key, rank};
use super::{Job, JobState, Lease, Queue, QueueControl};
use crate::op::Unit;
use crate::scope::Writing;
use crate::store::{Batch, Durability, Key, Kind, Query, Row, Stored};
use crate::{Result, Scope, Timestamp};

/// How long a worker holds a job without reporting.
// Common default of durable queues (30 s, BullMQ 2026); our choice.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// A waiting job gains one step of priority in this time, up to so many steps.
const AGING: (i64, i64) = (60_000, 10);
/// Jobs of one page while the machine's clock is behind.
const LOOKED_THROUGH: usize = 500;
/// Jobs looked at beyond those wanted, when groups are busy.
const PAGES: usize = 8;
/// A queue of so many jobs is looked at as a whole.
// Our choice: what one page of the store holds without being felt.
const SHORT: usize = 32;
/// How often a lost race is tried again before others have their turn.
const TRIES: usize = 4;

/// What was taken.
#[derive(Default)]
pub(super) struct Claimed {
    pub(super) jobs: Vec<Stored<Job>>,
    /// The queue as it was before, when all of it was seen, and when that was.
    seen: Option<(Timestamp, Vec<Stored<Job>>)>,
}

/// Takes up to `want` due jobs of a queue, in one commit.
pub(super) async fn claim(cx: &Scope, queue: &Queue, want: usize) -> Result<Claimed> {
    if cx.hub().is_paused() {
        return Ok(Claimed::default());
    }
    for nth in 0..TRIES {
        match attempt(cx, queue, want, nth == 0).await {
            // Another process took one of them first: look again.
            Err(error) if error.is_lost_race() => {}
            other => return other,
        }
    }
    Ok(Claimed::default())
}

async fn attempt(cx: &Scope, queue: &Queue, want: usize, is_first: bool) -> Result<Claimed> {
    let (now, behind) = cx.hub().clocks();
    let unit = Arc::new(Unit::default());
    let cx = cx.inside("jobs.claim", cx.seed(), Writing::Job(unit), cx.cancel_token().clone());
    let control = cx.get::<QueueControl>(queue.name()).await?;
    if control.as_ref().is_some_and(|c| c.paused) {
        return Ok(Claimed::default());
    }
    let mut want = want;
    if let Some(limit) = queue.per_workspace {
        let active = Query::index("lease_until").prefix(Key::text(queue.name()));
        let active = usize::try_from(cx.count::<Job>(&active).await?).unwrap_or(usize::MAX);
        want = want.min(limit.saturating_sub(active));
    }
    want = want.min(allowed(queue, control.as_ref(), now));
    if want == 0 {
        return Ok(Claimed::default());
    }
    let seen = if want <= SHORT && behind.is_zero() { whole(&cx, queue.name()).await? } else { None };
    let mut jobs = Vec::new();
    // Where groups are due, or another was faster, the next way looks first.
    let taken = if is_first && behind.is_zero() && cx.store().has_claim() {
        let classes = match &seen {
            Some(seen) => classes(seen, now),
            None => priorities(&cx, queue.name()).await?,
        };
        take_unlocked(&cx, queue, want, now, (control.as_ref(), &classes), &mut jobs).await?
    } else {
        None
    };
    if taken.is_none() {
        jobs = match &seen {
            Some(seen) => pick_seen(&cx, queue, want, now, seen).await?,
            None => pick(&cx, queue, want, now, behind).await?,
        };
        if !jobs.is_empty() {
            stage(&cx, queue, control.as_ref(), &mut jobs, now)?;
            cx.flush().await?;
        }
    }
    for job in &mut jobs {
        job.rev += 1;
    }
    Ok(Claimed { jobs, seen: seen.map(|seen| (now, seen)) })
}

/// All that stands in a queue, when that is little.
async fn whole(cx: &Scope, queue: &str) -> Result<Option<Vec<Stored<Job>>>> {
    let query = Query::index("due").prefix(Key::text(queue)).limit(SHORT + 1);
    let seen = cx.query::<Job>(&query).await?;
    Ok((seen.len() <= SHORT).then_some(seen))
}

/// The priorities that are due.
fn classes(seen: &[Stored<Job>], now: Timestamp) -> Vec<i16> {
    let due: BTreeSet<i16> = seen.iter().filter(|j| j.run_at <= now).map(|j| j.priority).collect();
    due.into_iter().rev().collect()
}

/// As [`pick`], of a queue that is known.
async fn pick_seen(
    cx: &Scope,
    queue: &Queue,
    want: usize,
    now: Timestamp,
    seen: &[Stored<Job>],
) -> Result<Vec<Stored<Job>>> {
    let mut found: Vec<Stored<Job>> = seen.iter().filter(|j| j.run_at <= now).cloned().collect();
    found.sort_by_cached_key(|j| order(&j.body, now, Duration::ZERO));
    let mut groups = Groups::default();
    groups.look(cx, queue, &found).await?;
    found.retain_mut(|job| groups.admit(queue, &mut job.body));
    found.truncate(want);
    Ok(found)
}

/// The engine's own way to take rows that nobody else is taking, where it has one. Not for jobs of groups: who skips rows
/// that another is taking could give a later job of a group the place of an earlier one.
async fn take_unlocked(
    cx: &Scope,
    queue: &Queue,
    want: usize,
    now: Timestamp,
    (control, classes): (Option<&Stored<QueueControl>>, &[i16]),
    jobs: &mut Vec<Stored<Job>>,
) -> Result<Option<()>> {
    let query = |priority: &i16| due_query(queue.name(), *priority, now, want, None);
    let queries: Vec<Query> = classes.iter().map(query).collect();
    if queries.is_empty() {
        return Ok(Some(()));
    }
    let mut has_group = false;
    let make = Box::new(|rows: Vec<Row>| {
        let mut found = rows.iter().map(Stored::<Job>::from_row).collect::<Result<Vec<_>>>()?;
        found.sort_by_cached_key(|j| order(&j.body, now, Duration::ZERO));
        has_group = found.iter().any(|job| job.group_key.is_some());
        if !has_group {
            jobs.extend(found.into_iter().take(want));
        }
        if !jobs.is_empty() {
            stage(cx, queue, control, jobs, now)?;
        }
        let Writing::Job(unit) = &cx.0.writing else { return Ok(Batch::new(cx.workspace().clone(), now)) };
        unit.staged().drain(cx.workspace(), now)
    });
    match cx.store().claim(Kind::of::<Job>(), cx.workspace(), &queries, make).await {
        None => Ok(None),
        Some(done) => done.map(|_| (!has_group).then_some(())),
    }
}

/// Stages the leases, and what the rate counts.
fn stage(
    cx: &Scope,
    queue: &Queue,
    control: Option<&Stored<QueueControl>>,
    jobs: &mut [Stored<Job>],
    now: Timestamp,
) -> Result<()> {
    for job in jobs.iter_mut() {
        let token = job.lease.as_ref().map_or(0, |l| l.token) + 1;
        let owner = cx.hub().worker_name().to_owned();
        job.body.lease = Some(Lease { owner, token, until: now.plus(LEASE) });
        job.body.state = JobState::Active;
        job.body.started_at = job.body.started_at.or(Some(now));
        cx.save(job)?;
    }
    if let Writing::Job(unit) = &cx.0.writing {
        unit.staged().durability = Durability::LEASES;
    }
    let Some(rate) = queue.rate else { return Ok(()) };
    let mut state = control.cloned().unwrap_or_else(|| fresh(queue.name(), now));
    let per = rate.per.as_secs_f64() * 1_000.0;
    let start = state.rate_at_ms.max(now.as_millis() as f64 - per);
    state.body.rate_at_ms = start + per / f64::from(rate.n) * jobs.len() as f64;
    if state.rev == 0 { cx.create(&state.body) } else { cx.save(&state) }
}

fn fresh(queue: &str, now: Timestamp) -> Stored<QueueControl> {
    let body = QueueControl { queue: queue.to_owned(), ..QueueControl::default() };
    Stored { body, rev: 0, created_at: now, updated_at: now, created_by: String::new() }
}

/// How many jobs the rate lets start now: a bucket of `n` that fills in `per` (GCRA, ITU-T I.371, 1993).
fn allowed(queue: &Queue, control: Option<&Stored<QueueControl>>, now: Timestamp) -> usize {
    let Some(rate) = queue.rate else { return usize::MAX };
    let per = rate.per.as_secs_f64() * 1_000.0;
    let at = control.map_or(0.0, |c| c.rate_at_ms).max(now.as_millis() as f64 - per);
    let free = (now.as_millis() as f64 - at) / (per / f64::from(rate.n));
    // A hair below a whole number is that number: the sums are of fractions.
    (free + 1e-6).floor().max(0.0) as usize
}

/// When the rate lets the next job start.
pub(super) fn rate_opens(queue: &Queue, control: Option<&QueueControl>) -> Option<Timestamp> {
    let rate = queue.rate?;
    let per = rate.per.as_secs_f64() * 1_000.0;
    let at = control?.rate_at_ms - per + per / f64::from(rate.n);
    Some(Timestamp::from_millis(at.ceil() as i64))
}

/// The due jobs that go first, without those whose group is busy. After the machine's clock was set back some that
/// look due by the steady clock are not: then all of them are looked at.
async fn pick(
    cx: &Scope,
    queue: &Queue,
    want: usize,
    now: Timestamp,
    behind: Duration,
) -> Result<Vec<Stored<Job>>> {
    let (size, pages) = if behind.is_zero() { (want, PAGES) } else { (want.max(LOOKED_THROUGH), usize::MAX) };
    let mut classes = Vec::new();
    for priority in priorities(cx, queue.name()).await? {
        let first = due(cx, queue.name(), priority, now, size, None).await?;
        let is_full = first.len() == size;
        classes.push((priority, first, is_full));
    }
    let mut picked: Vec<Stored<Job>> = Vec::new();
    let mut groups = Groups::default();
    for page in 0..pages {
        let mut found = Vec::new();
        let mut is_more = false;
        for (priority, jobs, is_full) in &mut classes {
            if page > 0 {
                let Some(last) = jobs.last().filter(|_| *is_full) else { continue };
                *jobs = due(cx, queue.name(), *priority, now, size, Some(last)).await?;
                *is_full = jobs.len() == size;
            }
            is_more |= *is_full;
            found.extend(jobs.iter().filter(|j| j.due_at(behind) <= now).cloned());
        }
        found.sort_by_cached_key(|j| order(&j.body, now, behind));
        groups.look(cx, queue, &found).await?;
        for mut job in found {
            if picked.len() == want {
                break;
            }
            if groups.admit(queue, &mut job.body) {
                picked.push(job);
            }
        }
        if picked.len() == want || !is_more {
            break;
        }
    }
    Ok(picked)
}

/// Highest effective priority first, then the instant, then the id.
fn order(job: &Job, now: Timestamp, behind: Duration) -> (i64, Timestamp, String) {
    let due_at = job.due_at(behind);
    let waited = now.as_millis().saturating_sub(due_at.as_millis()).max(0) / AGING.0;
    (-(i64::from(job.priority) + waited.min(AGING.1)), due_at, job.id.clone())
}

/// The priorities that stand in a queue: one step through the index for each.
pub(super) async fn priorities(cx: &Scope, queue: &str) -> Result<Vec<i16>> {
    let mut found = Vec::new();
    let mut query = Query::index("due").prefix(Key::text(queue)).limit(1);
    loop {
        let Some(job) = cx.query::<Job>(&query).await?.pop() else { return Ok(found) };
        found.push(job.priority);
        let Some(next) = Key::text(queue).and_int(rank(job.priority)).after_prefix() else {
            return Ok(found);
        };
        let to = Key::text(queue).after_prefix().unwrap_or_default();
        query = Query::index("due").from(next).limit(1);
        query.to = std::ops::Bound::Excluded(to);
    }
}

async fn due(
    cx: &Scope,
    queue: &str,
    priority: i16,
    now: Timestamp,
    limit: usize,
    after: Option<&Stored<Job>>,
) -> Result<Vec<Stored<Job>>> {
    cx.query(&due_query(queue, priority, now, limit, after)).await
}

fn due_query(queue: &str, priority: i16, now: Timestamp, limit: usize, after: Option<&Stored<Job>>) -> Query {
    let class = Key::text(queue).and_int(rank(priority));
    let query = Query::index("due").from(class.clone()).up_to(class.clone().and_time(now)).limit(limit);
    match after {
        Some(last) => query.after(class.and_time(last.run_at), last.id.clone()),
        None => query,
    }
}

/// Which places of which groups are taken.
#[derive(Default)]
struct Groups {
    taken: BTreeMap<String, BTreeSet<u16>>,
    known: BTreeSet<String>,
}

impl Groups {
    /// Reads the busy places of the groups that are new here.
    async fn look(&mut self, cx: &Scope, queue: &Queue, jobs: &[Stored<Job>]) -> Result<()> {
        let new: BTreeSet<&String> =
            jobs.iter().filter_map(|j| j.group_key.as_ref()).filter(|g| !self.known.contains(*g)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let places: Vec<(&String, u16)> =
            new.iter().flat_map(|g| (0..queue.per_group).map(move |slot| (*g, slot))).collect();
        let keys: Vec<Key> = places.iter().map(|(g, slot)| group_key(queue.name(), g, *slot)).collect();
        for ((group, slot), holder) in places.into_iter().zip(cx.find_many::<Job>("group_slot", &keys).await?)
        {
            if holder.is_some() {
                self.taken.entry(group.clone()).or_default().insert(slot);
            }
        }
        self.known.extend(new.into_iter().cloned());
        Ok(())
    }

    /// Gives a job a place in its group, if one is free. Jobs come in queue order, so the first of a group gets it.
    fn admit(&mut self, queue: &Queue, job: &mut Job) -> bool {
        let Some(group) = &job.group_key else { return true };
        let taken = self.taken.entry(group.clone()).or_default();
        let Some(free) = (0..queue.per_group).find(|slot| !taken.contains(slot)) else { return false };
        taken.insert(free);
        job.group_slot = Some(free);
        true
    }
}

/// True when jobs stand before `now`. After a step back of the machine's clock some of them may still be to come.
pub(super) async fn stand_before(cx: &Scope, queue: &Queue, now: Timestamp) -> Result<bool> {
    for priority in priorities(cx, queue.name()).await? {
        if !due(cx, queue.name(), priority, now, 1, None).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// When the queue is to be looked at again without being rung: its next delayed job.
pub(super) async fn next_due(
    cx: &Scope,
    queue: &Queue,
    now: Timestamp,
    claimed: &Claimed,
) -> Result<Option<Timestamp>> {
    if let Some((then, seen)) = &claimed.seen {
        return Ok(seen.iter().map(|j| j.run_at).filter(|at| at > then).min());
    }
    let mut next: Option<Timestamp> = None;
    for priority in priorities(cx, queue.name()).await? {
        let class = Key::text(queue.name()).and_int(rank(priority));
        let to = class.after_prefix().unwrap_or_default();
        let mut query = Query::index("due").from(class.and_time(now.plus(Duration::from_millis(1)))).limit(1);
        query.to = std::ops::Bound::Excluded(to);
        if let Some(job) = cx.query::<Job>(&query).await?.pop() {
            next = Some(next.map_or(job.run_at, |n| n.min(job.run_at)));
        }
    }
    Ok(next)
}
