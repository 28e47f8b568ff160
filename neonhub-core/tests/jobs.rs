//! Durable jobs and the event stream.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, outside #[test] functions"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::bus::{Event, Item};
use neonhub_core::job::{Handler, Job, JobSpec, JobState, Outcome};
use neonhub_core::op::{Effect, Entry, Operation, entry};
use neonhub_core::store::Query;
use neonhub_core::{Error, ErrorKind, Hub, ManualClock, Permission, Result, Retry, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Enqueues jobs, all or none.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Plan {
    /// Payloads.
    work: Vec<String>,
    /// Priority of each.
    priority: Vec<i16>,
    /// Seconds from now.
    delay_s: u64,
    /// Dedupe key of all.
    key: Option<String>,
    /// Fails after enqueueing.
    fail: bool,
}

impl Operation for Plan {
    type Output = ();
    const NAME: &'static str = "work.plan";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<()> {
        for (n, work) in self.work.iter().enumerate() {
            let mut spec = JobSpec::new("test.work", "work", json!({ "work": work }))
                .priority(self.priority.get(n).copied().unwrap_or(0))
                .run_at(cx.now().plus(Duration::from_secs(self.delay_s)))
                .max_attempts(3);
            if let Some(key) = &self.key {
                spec = spec.dedupe(key);
            }
            cx.enqueue(spec)?;
            cx.emit(Event::new(cx, "work.planned", "job", work, json!({ "n": n })))?;
        }
        if self.fail { Err(Error::invalid(Self::NAME, "fail", "as asked")) } else { Ok(()) }
    }
}

static CATALOGUE: &[Entry] = &[entry::<Plan>()];

#[derive(Debug, Default)]
struct Worker(Mutex<Vec<String>>);

#[async_trait]
impl Handler for Worker {
    fn queue(&self) -> &'static str {
        "test.work"
    }
    fn batch(&self) -> usize {
        2
    }
    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        Ok(jobs
            .iter()
            .map(|job| {
                let work = job.payload["work"].as_str().unwrap().to_owned();
                self.0.lock().unwrap().push(work.clone());
                match work.as_str() {
                    "later" if job.run_at <= cx.now().minus(Duration::from_secs(60)) => Outcome::Done,
                    "later" => Outcome::Later(cx.now().plus(Duration::from_secs(60))),
                    "flaky" => Outcome::Failed(
                        Error::new(ErrorKind::Unavailable, "test", "not now").with_retry(Retry::Backoff),
                    ),
                    "broken" => Outcome::Failed(Error::new(ErrorKind::Blocked, "test", "never")),
                    _ => Outcome::Done,
                }
            })
            .collect())
    }
}

struct Set {
    cx: Scope,
    clock: Arc<ManualClock>,
    worker: Arc<Worker>,
}

async fn set() -> Set {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap()));
    let worker = Arc::new(Worker::default());
    let hub = Hub::builder()
        .clock(Arc::clone(&clock) as _)
        .seed(1)
        .operations(CATALOGUE)
        .handler(Arc::clone(&worker) as _)
        .build()
        .await
        .unwrap();
    Set { cx: hub.workspace("default").await.unwrap(), clock, worker }
}

impl Set {
    async fn plan(&self, work: &[&str]) {
        self.cx
            .call(Plan { work: work.iter().map(|w| (*w).into()).collect(), ..Plan::default() })
            .await
            .unwrap();
    }
    fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.worker.0.lock().unwrap())
    }
    async fn jobs(&self) -> Vec<Job> {
        self.cx.query::<Job>(&Query::by_id()).await.unwrap().into_iter().map(|j| j.body).collect()
    }
}

#[tokio::test]
async fn jobs_exist_when_and_only_when_their_commit_does() {
    let set = set().await;
    assert!(set.cx.call(Plan { work: vec!["a".into()], fail: true, ..Plan::default() }).await.is_err());
    assert_eq!(set.cx.work_until_idle().await.unwrap().done, 0);
    set.plan(&["a", "b", "c"]).await;
    assert_eq!(set.cx.work_until_idle().await.unwrap().done, 3);
    let mut done = set.done();
    done.sort();
    assert_eq!(done, ["a", "b", "c"]);
    assert_eq!(set.cx.work_until_idle().await.unwrap().done, 0);
}

#[tokio::test]
async fn higher_priority_goes_first_and_later_jobs_wait() {
    let set = set().await;
    let work: Vec<String> = ["low", "high", "mid"].map(String::from).to_vec();
    set.cx.call(Plan { work, priority: vec![-1, 9, 0], ..Plan::default() }).await.unwrap();
    set.cx
        .call(Plan { work: vec!["tomorrow".into()], delay_s: 86_400, priority: vec![99], ..Plan::default() })
        .await
        .unwrap();
    set.cx.work_until_idle().await.unwrap();
    assert_eq!(set.done(), ["high", "mid", "low"]);
    set.clock.advance(Duration::from_secs(86_400));
    set.cx.work_until_idle().await.unwrap();
    assert_eq!(set.done(), ["tomorrow"]);
}

#[tokio::test]
async fn a_deferral_costs_no_try_and_failures_back_off_until_dead() {
    let set = set().await;
    set.plan(&["later", "flaky", "broken"]).await;
    set.cx.work_until_idle().await.unwrap();
    let jobs = set.jobs().await;
    let of = |name: &str| jobs.iter().find(|j| j.payload["work"] == name).unwrap();
    assert_eq!((of("later").state, of("later").attempts), (JobState::Delayed, 0));
    assert_eq!((of("flaky").state, of("flaky").attempts), (JobState::Delayed, 1));
    assert!(of("flaky").run_at > set.cx.now());
    assert_eq!(
        (of("broken").state, of("broken").error.as_ref().map(|e| e.code.as_str())),
        (JobState::Dead, Some("blocked"))
    );
    for _ in 0..3 {
        set.clock.advance(Duration::from_secs(600));
        set.cx.work_until_idle().await.unwrap();
    }
    let jobs = set.jobs().await;
    let flaky = jobs.iter().find(|j| j.payload["work"] == "flaky").unwrap();
    assert_eq!((flaky.state, flaky.attempts), (JobState::Dead, 3));
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_nobody_wait_in_a_circle() {
    let set = set().await;
    let start = set.cx.now();
    set.clock.set(start.minus(Duration::from_secs(7_200)));
    set.plan(&["later", "flaky"]).await;
    // Two hours back, a minute ahead of the clock is long past for the steady one: it waits its minute all the same.
    assert_eq!(set.cx.work_until_idle().await.unwrap().later, 1);
    assert_eq!(set.done().len(), 2);
    let jobs = set.jobs().await;
    assert!(jobs.iter().all(|job| job.state == JobState::Delayed && job.run_at > set.cx.now()), "{jobs:?}");
    set.clock.set(start.plus(Duration::from_secs(120)));
    set.cx.work_until_idle().await.unwrap();
    let of = |jobs: &[Job], work: &str| jobs.iter().find(|j| j.payload["work"] == work).unwrap().state;
    assert_eq!(of(&set.jobs().await, "later"), JobState::Completed);
}

#[tokio::test]
async fn one_live_job_per_key() {
    let set = set().await;
    let plan = || Plan { work: vec!["a".into()], key: Some("k".into()), ..Plan::default() };
    set.cx.call(plan()).await.unwrap();
    assert_eq!(set.cx.call(plan()).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    set.cx.work_until_idle().await.unwrap();
    set.cx.call(plan()).await.unwrap();
}

#[tokio::test]
async fn a_queue_without_a_handler_takes_nothing() {
    let hub = Hub::builder().operations(CATALOGUE).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let error = cx.call(Plan { work: vec!["a".into()], ..Plan::default() }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn events_arrive_once_in_order_and_go_on_after_a_cursor() {
    let set = set().await;
    set.plan(&["a", "b"]).await;
    set.plan(&["c"]).await;
    let mut stream = set.cx.subscribe(0, Some("work.*")).unwrap();
    let mut seen = Vec::new();
    let mut cursors = Vec::new();
    for _ in 0..3 {
        let Some(Item::Event { cursor, event }) = stream.next().await.unwrap() else {
            panic!("expected an event")
        };
        seen.push(event.subject_id);
        cursors.push(cursor);
    }
    assert_eq!(seen, ["a", "b", "c"]);
    let mut again = set.cx.subscribe(cursors[1], None).unwrap();
    let Some(Item::Event { event, .. }) = again.next().await.unwrap() else { panic!("expected an event") };
    assert_eq!(event.subject_id, "c");
    let live = tokio::spawn(async move { again.next().await });
    tokio::task::yield_now().await;
    set.plan(&["d"]).await;
    let Some(Item::Event { event, .. }) = live.await.unwrap().unwrap() else { panic!("expected an event") };
    assert_eq!(event.subject_id, "d");
}

#[tokio::test]
async fn a_stream_ends_when_the_hub_closes() {
    let set = set().await;
    let mut stream = set.cx.subscribe(0, None).unwrap();
    let waiting = tokio::spawn(async move { while stream.next().await.unwrap().is_some() {} });
    tokio::task::yield_now().await;
    set.cx.hub().close().await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
}
