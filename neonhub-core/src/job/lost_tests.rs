//! A lease that was lost: the handler stops as soon as its worker can know.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::ops::{Enqueue, GetJob, NewJob};
use super::{Drained, Handler, Job, JobState, Outcome};
use crate::scope::CancelToken;
use crate::store::{MemoryStore, SharedStore};
use crate::{Hub, ManualClock, Result, Scope, Timestamp};

const DAY_MS: u64 = 86_400_000;

/// Does its work at once where it may, and never ends elsewhere.
#[derive(Debug)]
struct Waits {
    batch: usize,
    may_end: AtomicBool,
    begun: Notify,
    token: Mutex<Option<CancelToken>>,
}

#[async_trait]
impl Handler for Waits {
    fn queue(&self) -> &'static str {
        "suite.waits"
    }
    fn batch(&self) -> usize {
        self.batch
    }
    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        if !self.may_end.load(Ordering::SeqCst) {
            *self.token.lock().unwrap() = Some(cx.cancel_token().clone());
            self.begun.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}

struct Process {
    cx: Scope,
    clock: Arc<ManualClock>,
    handler: Arc<Waits>,
}

async fn process(store: &SharedStore, batch: usize, may_end: bool) -> Process {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let handler =
        Arc::new(Waits { batch, may_end: may_end.into(), begun: Notify::new(), token: Mutex::default() });
    let hub = Hub::builder()
        .store_backend(Arc::clone(store))
        .clock(Arc::clone(&clock) as _)
        .root_key(crate::seal::RootKey::from_bytes([1; 32], "test"))
        .handler(Arc::clone(&handler) as _)
        .build()
        .await
        .unwrap();
    Process { cx: hub.workspace("default").await.unwrap(), clock, handler }
}

/// Two jobs in the work of one process, of which another one takes them over, as its lease has ended.
async fn taken_over(batch: usize) -> (Process, Vec<Job>, JoinHandle<Drained>) {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (slow, other) = (process(&store, batch, false).await, process(&store, batch, true).await);
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let job = NewJob {
            queue: "suite.waits".into(),
            name: "wait".into(),
            payload: json!({}),
            timeout_ms: Some(DAY_MS),
            ..NewJob::default()
        };
        jobs.push(slow.cx.call(Enqueue { job }).await.unwrap());
    }
    let cx = slow.cx.clone();
    let working = tokio::spawn(async move { cx.work_until_idle().await.unwrap() });
    slow.handler.begun.notified().await;
    other.clock.advance(Duration::from_secs(31));
    assert_eq!(other.cx.work_until_idle().await.unwrap().done, 2);
    let token = slow.handler.token.lock().unwrap().clone().unwrap();
    assert!(!token.is_cancelled() && !working.is_finished(), "nobody has told it");
    (slow, jobs, working)
}

/// What both tests expect of the slow process once it stopped.
async fn assert_stopped(slow: &Process, jobs: &[Job], working: JoinHandle<Drained>) {
    assert_eq!(working.await.unwrap(), Drained::default(), "nothing of its own was written");
    assert!(slow.handler.token.lock().unwrap().as_ref().unwrap().is_cancelled());
    assert!(!slow.cx.cancel_token().is_cancelled(), "its caller goes on");
    for job in jobs {
        let seen = slow.cx.call(GetJob { id: job.id.clone() }).await.unwrap();
        assert_eq!((seen.state, seen.lease.map(|l| l.token)), (JobState::Completed, Some(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_lease_was_lost_stops_at_the_next_report() {
    for batch in [1, 8] {
        let (slow, jobs, working) = taken_over(batch).await;
        let began = tokio::time::Instant::now();
        assert_stopped(&slow, &jobs, working).await;
        assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_hears_of_the_commit_stops_the_handler_at_once() {
    for batch in [1, 8] {
        let (slow, jobs, working) = taken_over(batch).await;
        let began = tokio::time::Instant::now();
        super::heed::hear(slow.cx.hub(), &mut 0).await.unwrap();
        assert_stopped(&slow, &jobs, working).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "before any report was due");
    }
}
