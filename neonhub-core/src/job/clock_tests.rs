//! Time and chance of a queue: the same seed waits the same, and a clock set back does no harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::claim::claim;
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
            match job.name.as_str() {
                "good" => return Outcome::Done,
                "later" if job.payload["at"] != json!(job.run_at) => {
                    return Outcome::Later(serde_json::from_value(job.payload["at"].clone()).unwrap());
                }
                "later" => return Outcome::Done,
                _ => {}
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
pub(crate) struct Wall(pub(crate) AtomicI64);

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

const START: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn wall() -> Arc<Wall> {
    Arc::new(Wall(AtomicI64::new(START)))
}

async fn open(store: &Arc<MemoryStore>, wall: &Arc<Wall>) -> Scope {
    let builder = Hub::builder().store_backend(Arc::clone(store) as _).clock(Arc::clone(wall) as _);
    let key = crate::seal::RootKey::from_bytes([1; 32], "test");
    builder
        .root_key(key)
        .handler(Arc::new(Failing))
        .build()
        .await
        .unwrap()
        .workspace("default")
        .await
        .unwrap()
}

#[tokio::test]
async fn a_delay_said_after_the_clock_was_set_back_is_as_long_as_it_was_said() {
    let (store, wall) = (Arc::new(MemoryStore::new()), wall());
    let cx = open(&store, &wall).await;
    let put = async |job: NewJob| cx.call(Enqueue { job }).await.unwrap();
    wall.0.store(START - 24 * HOUR, Ordering::SeqCst);
    let hour = put(NewJob { delay_ms: Some(3_600_000), ..job("good") }).await;
    let failing = put(NewJob { backoff: Some(Backoff::doubling(HOUR_D, HOUR_D)), ..job("bad") }).await;
    let at = START - 23 * HOUR;
    let later = put(NewJob { payload: json!({ "at": at }), ..job("later") }).await;
    let first = cx.work_until_idle().await.unwrap();
    assert_eq!((first.done, first.failed, first.later), (0, 1, 1), "each once, and none early");
    wall.0.store(START - 24 * HOUR + 59 * MINUTE, Ordering::SeqCst);
    assert_eq!(cx.work_until_idle().await.unwrap().done, 0);
    wall.0.store(at, Ordering::SeqCst);
    assert_eq!(cx.work_until_idle().await.unwrap().done, 2, "and none late");
    for made in [&hour, &later] {
        let seen = cx.call(GetJob { id: made.id.clone() }).await.unwrap();
        assert_eq!(seen.state, JobState::Completed);
    }
    let tries = cx.call(GetJob { id: failing.id.clone() }).await.unwrap();
    assert!(tries.attempts >= 1 && tries.run_at <= Timestamp::from_millis(at + HOUR), "{tries:?}");
}

const HOUR_D: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn who_began_after_the_clock_was_set_back_goes_by_the_clock() {
    let (store, wall) = (Arc::new(MemoryStore::new()), wall());
    let before = open(&store, &wall).await;
    wall.0.store(START - 24 * HOUR, Ordering::SeqCst);
    let job = NewJob { delay_ms: Some(3_600_000), ..job("good") };
    before.call(Enqueue { job }).await.unwrap();
    let after = open(&store, &wall).await;
    assert_eq!(after.work_until_idle().await.unwrap().done, 0);
    wall.0.store(START - 23 * HOUR, Ordering::SeqCst);
    assert_eq!(after.work_until_idle().await.unwrap().done, 1, "an hour later, and not a day");
}

#[tokio::test]
async fn a_second_step_back_makes_a_delay_no_longer() {
    let (store, wall) = (Arc::new(MemoryStore::new()), wall());
    let cx = open(&store, &wall).await;
    wall.0.store(START - HOUR, Ordering::SeqCst);
    let job = NewJob { delay_ms: Some(30 * 60_000), ..job("good") };
    let made = cx.call(Enqueue { job }).await.unwrap();
    let hours = |n: u64| Duration::from_secs(n * 3_600);
    let after = |minutes: i64| Timestamp::from_millis(START + minutes * MINUTE + 1_000);
    for behind in [hours(1), hours(41)] {
        assert!(made.due_at(behind) > after(29) && made.due_at(behind) <= after(30), "{behind:?}");
    }
    assert!(made.due_at(Duration::ZERO) <= after(-30), "who knows of no step goes by the clock");
}

#[tokio::test]
async fn what_was_said_before_a_step_back_goes_before_what_was_said_after_it() {
    let wall = wall();
    let cx = open(&Arc::new(MemoryStore::new()), &wall).await;
    let first = cx.call(Enqueue { job: job("good") }).await.unwrap();
    wall.0.store(START - 24 * HOUR, Ordering::SeqCst);
    // The steady clock goes on meanwhile: of one millisecond the ids would tell, which say nothing of a step.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second = cx.call(Enqueue { job: job("good") }).await.unwrap();
    assert!(second.run_at < first.run_at);
    let queue = cx.hub().queue("suite.failing").unwrap();
    let taken = claim(&cx, &queue, 2).await.unwrap().jobs;
    assert_eq!(taken.iter().map(|j| &j.id).collect::<Vec<_>>(), [&first.id, &second.id]);
}

#[tokio::test]
async fn jobs_that_are_not_due_hide_none_that_is() {
    let (store, wall) = (Arc::new(MemoryStore::new()), wall());
    let cx = open(&store, &wall).await;
    let due = cx.call(Enqueue { job: job("good") }).await.unwrap();
    wall.0.store(START - 24 * HOUR, Ordering::SeqCst);
    let delayed = || NewJob { delay_ms: Some(3_600_000), ..job("good") };
    cx.call(super::ops::EnqueueMany { jobs: (0..1_000).map(|_| delayed()).collect() }).await.unwrap();
    assert_eq!(cx.work_until_idle().await.unwrap().done, 1);
    assert_eq!(cx.call(GetJob { id: due.id }).await.unwrap().state, JobState::Completed);
}

#[tokio::test]
async fn a_clock_set_back_frees_no_delayed_job_early_and_holds_no_other_up() {
    let wall = wall();
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
