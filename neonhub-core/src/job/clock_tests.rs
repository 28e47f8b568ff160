//! Time and chance of a queue: the same seed waits the same, and a clock set back does no harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::ops::{Enqueue, GetJob, NewJob};
use super::{Backoff, Handler, Job, JobState, Outcome};
use crate::store::MemoryStore;
use crate::{Clock, Error, ErrorKind, Hub, ManualClock, Result, Retry, Scope, Timestamp};

#[derive(Debug)]
struct Failing;

#[async_trait]
impl Handler for Failing {
    fn queue(&self) -> &'static str {
        "suite.failing"
    }
    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let one = |job: &Job| {
            if job.name == "good" {
                return Outcome::Done;
            }
            Outcome::Failed(Error::new(ErrorKind::Unavailable, "suite", "no").with_retry(Retry::Backoff))
        };
        Ok(jobs.iter().map(one).collect())
    }
}

fn job(name: &str) -> NewJob {
    NewJob { queue: "suite.failing".into(), name: name.into(), payload: json!({}), ..NewJob::default() }
}

async fn pauses(seed: u64) -> Vec<i64> {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder()
        .store_backend(Arc::new(MemoryStore::new()))
        .clock(Arc::clone(&clock) as _)
        .seed(seed)
        .handler(Arc::new(Failing))
        .build()
        .await
        .unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let backoff = Some(Backoff::doubling(Duration::from_secs(60), Duration::from_secs(3_600)));
    let made = cx.call(Enqueue { job: NewJob { backoff, attempts: Some(9), ..job("bad") } }).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..5 {
        cx.work_until_idle().await.unwrap();
        let seen = cx.call(GetJob { id: made.id.clone() }).await.unwrap();
        found.push(seen.run_at.as_millis() - cx.now().as_millis());
        clock.set(seen.run_at);
    }
    found
}

#[tokio::test]
async fn the_same_seed_waits_the_same_and_another_one_does_not() {
    let first = pauses(7).await;
    assert_eq!(first, pauses(7).await);
    assert_ne!(first, pauses(8).await);
}

/// The clock of a machine, which someone sets.
#[derive(Debug)]
struct Wall(AtomicI64);

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_clock_set_back_frees_no_delayed_job_early_and_holds_no_other_up() {
    const START: i64 = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;
    let wall = Arc::new(Wall(AtomicI64::new(START)));
    let hub = Hub::builder().clock(Arc::clone(&wall) as _).handler(Arc::new(Failing)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let put = async |job: NewJob| cx.call(Enqueue { job }).await.unwrap();
    let state = async |job: &Job| cx.call(GetJob { id: job.id.clone() }).await.unwrap().state;
    let delayed = put(NewJob { delay_ms: Some(3_600_000), ..job("good") }).await;
    let waiting = put(job("good")).await;
    // What the process knows of the time, it knows from before the step.
    assert!(cx.hub().steady_now() >= Timestamp::from_millis(START));
    wall.0.store(START - 24 * HOUR, Ordering::SeqCst);
    let late = put(job("good")).await;
    assert_eq!(cx.work_until_idle().await.unwrap().done, 2, "neither waits for yesterday to pass again");
    assert_eq!((state(&waiting).await, state(&late).await), (JobState::Completed, JobState::Completed));
    assert_eq!(state(&delayed).await, JobState::Delayed);
    wall.0.store(START + HOUR, Ordering::SeqCst);
    assert_eq!(cx.work_until_idle().await.unwrap().done, 1);
    assert_eq!(state(&delayed).await, JobState::Completed);
}
