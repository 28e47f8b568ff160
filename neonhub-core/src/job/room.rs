//! What the workers of one process share: bells that wake them, their report, and the jobs they hold.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast};

use super::claim::LEASE;
use super::crew::Crew;
use super::{JobState, JobWorker};
use crate::scope::CancelToken;
use crate::store::{Batch, Expected, Kind, Row, Write};
use crate::tenancy::WorkspaceId;
use crate::{Hub, Result, Timestamp};

/// The report is renewed when less than this is left of it: every 10 s of a lease of 30 s.
const RENEW_LEFT: Duration = Duration::from_secs(20);
/// How many turns of jobs a slow listener may lag.
const LIVE_BUFFER: usize = 1024;

/// A turn of a job, as it happens in this process. May be dropped when a listener is slow; what must not be missed
/// is in the event stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobTurn {
    /// Workspace of the job.
    pub workspace: WorkspaceId,
    /// Its queue.
    pub queue: String,
    /// Its id.
    pub job: String,
    /// The state it came to.
    pub state: JobState,
    /// How far it is, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
}

/// Wakes the workers of one queue.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    wake: Notify,
    marks: Mutex<BTreeSet<WorkspaceId>>,
}

impl Bell {
    pub(super) fn ring(&self, workspace: &WorkspaceId) {
        lock(&self.marks).insert(workspace.clone());
        self.wake.notify_one();
    }

    pub(super) fn take(&self) -> BTreeSet<WorkspaceId> {
        std::mem::take(&mut *lock(&self.marks))
    }

    pub(super) async fn rung(&self) {
        self.wake.notified().await;
    }
}

/// A clock that never goes back: a step of the machine's clock neither frees delayed jobs early nor holds others up.
#[derive(Debug)]
struct Steady(Mutex<Option<(Timestamp, Instant)>>);

impl Steady {
    fn now(&self, wall: Timestamp, is_virtual: bool) -> Timestamp {
        let mut last = lock(&self.0);
        let moved = match *last {
            Some((at, since)) if !is_virtual => at.plus(since.elapsed()),
            Some((at, _)) => at,
            None => wall,
        };
        let now = wall.max(moved);
        // Kept from the last true reading on, so that rounding to milliseconds does not add up.
        if last.is_none() || wall >= moved {
            *last = Some((wall, Instant::now()));
        }
        now
    }
}

/// How a job is held whose handler runs here.
#[derive(Clone, Debug)]
pub(super) struct Grip {
    /// The revision that the taking of it left: any later one means that it was taken away.
    pub(super) rev: u64,
    /// Tells its handler to stop; none for a job of a batch, which stops for no single one.
    pub(super) stop: Option<CancelToken>,
    /// Cancelled once the lease is lost.
    pub(super) lost: CancelToken,
}

#[derive(Debug)]
pub(crate) struct Room {
    bells: BTreeMap<&'static str, Arc<Bell>>,
    /// Wakes who fires schedules: they ring for the queue of built-in work.
    clock: Arc<Bell>,
    is_working: AtomicBool,
    pub(super) crew: Mutex<Option<Crew>>,
    held: Mutex<HashMap<String, Grip>>,
    /// Jobs that were taken here and have not ended.
    taken: Mutex<HashSet<String>>,
    report: tokio::sync::Mutex<Option<Timestamp>>,
    steady: Steady,
    live: broadcast::Sender<Arc<JobTurn>>,
    ended: Mutex<HashMap<(WorkspaceId, &'static str), u64>>,
    /// When it was last looked whether old records are to go.
    tidied: Mutex<HashMap<WorkspaceId, Timestamp>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    pub(crate) fn new(queues: impl Iterator<Item = &'static str>) -> Self {
        Room {
            bells: queues.map(|q| (q, Arc::default())).collect(),
            clock: Arc::default(),
            is_working: AtomicBool::new(false),
            crew: Mutex::new(None),
            held: Mutex::default(),
            taken: Mutex::default(),
            report: tokio::sync::Mutex::new(None),
            steady: Steady(Mutex::new(None)),
            live: broadcast::channel(LIVE_BUFFER).0,
            ended: Mutex::default(),
            tidied: Mutex::default(),
        }
    }

    pub(super) fn bell(&self, queue: &str) -> Option<Arc<Bell>> {
        self.bells.get(queue).map(Arc::clone)
    }

    pub(super) fn set_working(&self, is: bool) {
        self.is_working.store(is, Ordering::SeqCst);
    }

    /// Wakes the workers of these queues, if there are any.
    pub(crate) fn ring(&self, workspace: &WorkspaceId, queues: &[String]) {
        if self.is_working.load(Ordering::SeqCst) {
            for bell in queues.iter().filter_map(|q| self.bells.get(q.as_str())) {
                bell.ring(workspace);
            }
            if queues.iter().any(|q| q == crate::schedule::SYSTEM) {
                self.clock.ring(workspace);
            }
        }
    }

    pub(crate) fn ring_all(&self, workspace: &WorkspaceId) {
        self.bells.values().for_each(|bell| bell.ring(workspace));
    }

    pub(super) fn clock(&self) -> Arc<Bell> {
        Arc::clone(&self.clock)
    }

    pub(crate) fn steady_now(&self, wall: Timestamp, is_virtual: bool) -> Timestamp {
        self.steady.now(wall, is_virtual)
    }

    pub(super) fn hold(&self, job: &str, grip: Grip) {
        lock(&self.held).insert(job.to_owned(), grip);
    }

    pub(super) fn let_go(&self, job: &str) {
        lock(&self.held).remove(job);
    }

    /// True while this process works a job or is about to.
    pub(super) fn has_taken(&self, job: &str) -> bool {
        lock(&self.taken).contains(job)
    }

    /// Tells the handler of a job to stop, if it runs here by itself.
    pub(super) fn stop(&self, job: &str) -> bool {
        let found = lock(&self.held).get(job).and_then(|grip| grip.stop.clone());
        found.inspect(CancelToken::cancel).is_some()
    }

    /// Hears that the record of a job came to a revision, 0 when it is gone. The handler of one that was taken away
    /// stops: nothing that it does now can be committed.
    pub(super) fn moved(&self, job: &str, rev: u64) {
        let lost =
            lock(&self.held).get(job).filter(|grip| rev == 0 || rev > grip.rev).map(|g| g.lost.clone());
        if let Some(lost) = lost {
            tracing::warn!(job, "a lease was lost while its job was in work: the handler is stopped");
            lost.cancel();
        }
    }

    pub(super) fn holds(&self, job: &str) -> bool {
        lock(&self.held).contains_key(job)
    }

    /// Counts ended jobs; true when it is time to look after what is kept.
    pub(super) fn count_ended(
        &self,
        workspace: &WorkspaceId,
        queue: &'static str,
        jobs: u64,
        every: u64,
    ) -> bool {
        let mut ended = lock(&self.ended);
        let count = ended.entry((workspace.clone(), queue)).or_default();
        *count += jobs;
        let is_time = *count >= every;
        if is_time {
            *count = 0;
        }
        is_time
    }

    /// True when it was not looked for so long whether old records of a workspace are to go.
    pub(crate) fn is_time_to_tidy(&self, workspace: &WorkspaceId, now: Timestamp, every: Duration) -> bool {
        let mut tidied = lock(&self.tidied);
        if tidied.get(workspace).is_some_and(|last| *last <= now && last.plus(every) > now) {
            return false;
        }
        tidied.insert(workspace.clone(), now);
        true
    }

    pub(super) fn tell(&self, turn: impl FnOnce() -> JobTurn) {
        if self.live.receiver_count() > 0 {
            // Nobody listening any more is no fault.
            let _ = self.live.send(Arc::new(turn()));
        }
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<JobTurn>> {
        self.live.subscribe()
    }

    /// Says that this worker is alive, when that was long enough ago.
    pub(super) async fn report(&self, hub: &Hub) -> Result<()> {
        let mut until = self.report.lock().await;
        let now = hub.steady_now();
        if until.is_some_and(|u| u > now.plus(RENEW_LEFT)) {
            return Ok(());
        }
        let next = now.plus(LEASE);
        let worker = JobWorker { id: hub.worker_name().to_owned(), until: next };
        let row = Row::of(&worker, now, "system:jobs")?;
        let mut batch = Batch::new(WorkspaceId::hub(), now);
        batch.writes.push(Write::Put { kind: Kind::of::<JobWorker>(), row, expected: Expected::Any });
        hub.store().commit(batch).await?;
        *until = Some(next);
        Ok(())
    }
}

/// A job that this process works or is about to: what it took and does not know of any more is freed with its lease.
#[derive(Debug)]
pub(super) struct Taken {
    hub: Hub,
    job: String,
}

impl Taken {
    pub(super) fn new(hub: &Hub, job: &str) -> Self {
        lock(&hub.room().taken).insert(job.to_owned());
        Taken { hub: hub.clone(), job: job.to_owned() }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        lock(&self.hub.room().taken).remove(&self.job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_does_not_go_back_and_a_clock_set_forward_counts() {
        let steady = Steady(Mutex::new(None));
        let at = Timestamp::from_millis;
        assert_eq!(steady.now(at(1_000_000), false), at(1_000_000));
        let back = steady.now(at(400_000), false);
        assert!(back >= at(1_000_000) && back < at(1_060_000), "{back}");
        assert_eq!(steady.now(at(9_000_000), false), at(9_000_000));
    }
}
