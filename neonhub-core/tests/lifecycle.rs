//! Shutting down, pausing, modes, and settings from the environment.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside #[test] functions")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::bus::{StreamSpec, Topic};
use neonhub_core::hub::ops::WhoAmI;
use neonhub_core::hub::{EnvSettings, HubMode};
use neonhub_core::job::{Handler, Job, JobSpec, Outcome};
use neonhub_core::op::{Effect, Entry, Operation, entry};
use neonhub_core::store::{MemoryStore, SharedStore};
use neonhub_core::{ErrorKind, Hub, HubBuilder, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Works for as long as it is told, in ticks of 10 ms.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Slow {
    ticks: u32,
}

impl Operation for Slow {
    type Output = u32;
    const NAME: &'static str = "test.slow";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(3600);
    async fn run(self, _cx: &Scope) -> Result<u32> {
        for _ in 0..self.ticks {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(self.ticks)
    }
}

/// Enqueues one job.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Enqueue {}

impl Operation for Enqueue {
    type Output = String;
    const NAME: &'static str = "test.enqueue";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<String> {
        cx.enqueue(JobSpec::new("test.queue", "work", json!({})))
    }
}

static CATALOGUE: &[Entry] = &[entry::<Slow>(), entry::<Enqueue>()];

/// Hangs while it is told to, then counts.
#[derive(Debug, Default)]
struct Worker {
    hangs: AtomicBool,
    done: AtomicU32,
}

#[async_trait]
impl Handler for Worker {
    fn queue(&self) -> &'static str {
        "test.queue"
    }
    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        while self.hangs.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}

/// In memory, always: time that jumps when nothing is to do must not meet a server.
async fn hub() -> (Hub, Scope) {
    let store = Arc::new(MemoryStore::new());
    let hub = Hub::builder().store_backend(store).operations(CATALOGUE).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    (hub, cx)
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_end_within_the_grace_and_new_ones_are_refused() {
    let (hub, cx) = hub().await;
    let slow = tokio::spawn({
        let cx = cx.clone();
        async move { cx.call(Slow { ticks: 100 }).await }
    });
    tokio::time::sleep(Duration::from_millis(15)).await;
    let closing = tokio::spawn({
        let hub = hub.clone();
        async move { hub.shutdown(Duration::from_secs(30)).await }
    });
    tokio::time::sleep(Duration::from_millis(15)).await;
    assert_eq!(cx.call(WhoAmI {}).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(slow.await.unwrap().unwrap(), 100);
    assert_eq!(closing.await.unwrap().unwrap().cut, 0);
    // Twice is once.
    hub.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn past_the_grace_calls_are_cut() {
    let (hub, cx) = hub().await;
    let slow = tokio::spawn(async move { cx.call(Slow { ticks: 1_000_000 }).await });
    tokio::time::sleep(Duration::from_millis(15)).await;
    assert_eq!(hub.shutdown(Duration::from_secs(1)).await.unwrap().cut, 1);
    assert_eq!(slow.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_job_past_the_grace_goes_back_to_its_queue_and_is_done_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.neon");
    let worker = Arc::new(Worker::default());
    let open = || {
        let builder = Hub::builder().store(path.to_string_lossy()).operations(CATALOGUE);
        builder.handler(Arc::clone(&worker) as Arc<dyn Handler>).build()
    };
    let hub = open().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    cx.call(Enqueue {}).await.unwrap();
    worker.hangs.store(true, Ordering::SeqCst);
    let working = tokio::spawn(async move { cx.work_until_idle().await });
    while hub.workspace("default").await.unwrap().queue_stats("test.queue").await.unwrap().active == 0 {
        tokio::task::yield_now().await;
    }
    let report = hub.shutdown(Duration::from_millis(20)).await.unwrap();
    assert_eq!(report.cut, 1);
    assert!(working.await.unwrap().is_err());
    worker.hangs.store(false, Ordering::SeqCst);
    let next = open().await.unwrap();
    let cx = next.workspace("default").await.unwrap();
    assert_eq!(cx.work_until_idle().await.unwrap().done, 1);
    assert_eq!(worker.done.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn streams_are_told_of_the_shutdown() {
    let (hub, cx) = hub().await;
    let mut stream = cx.open_stream(StreamSpec::topics([Topic::Notifications])).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut kinds = Vec::new();
        while let Some(item) = stream.next().await.unwrap() {
            kinds.push(item.kind);
        }
        kinds
    });
    tokio::task::yield_now().await;
    hub.close().await.unwrap();
    assert_eq!(reading.await.unwrap(), ["shutdown"]);
}

#[tokio::test]
async fn a_hub_that_is_dropped_without_closing_loses_nothing() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let open = || Hub::builder().store_backend(Arc::clone(&store)).operations(CATALOGUE).build();
    let seq = {
        let hub = open().await.unwrap();
        hub.create_workspace("kept").await.unwrap();
        hub.store().seq().await.unwrap()
    };
    let hub = open().await.unwrap();
    assert!(hub.workspace("kept").await.is_ok());
    assert!(hub.store().seq().await.unwrap() >= seq);
}

#[tokio::test]
async fn a_paused_hub_takes_no_jobs_and_answers_calls() {
    let worker = Arc::new(Worker::default());
    let builder = Hub::builder().operations(CATALOGUE).handler(Arc::clone(&worker) as Arc<dyn Handler>);
    let hub = builder.build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    cx.call(Enqueue {}).await.unwrap();
    hub.pause();
    assert!(hub.is_paused());
    assert_eq!(cx.work_until_idle().await.unwrap().done, 0);
    cx.call(WhoAmI {}).await.unwrap();
    hub.resume();
    assert_eq!(cx.work_until_idle().await.unwrap().done, 1);
}

#[tokio::test]
async fn production_refuses_what_loses_or_foretells() {
    let production = || Hub::builder().mode(HubMode::Production);
    let refused = |builder: HubBuilder| async move { builder.build().await.unwrap_err() };
    let memory = refused(production()).await;
    assert!(memory.kind() == ErrorKind::Config && memory.message().contains("allow_memory"), "{memory}");
    assert_eq!(refused(production().allow_memory().seed(1)).await.kind(), ErrorKind::Config);
    let hub = production().allow_memory().build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let mode = hub.workspace_of(&cx).await.unwrap().mode;
    assert_eq!(mode, neonhub_core::tenancy::Mode::Production);
}

fn vars(pairs: &[(&'static str, &'static str)]) -> BTreeMap<&'static str, &'static str> {
    pairs.iter().copied().collect()
}

#[tokio::test]
async fn settings_come_from_the_listed_variables_alone() {
    let vars = vars(&[
        ("DATABASE_URL", "memory:"),
        ("NEONHUB_KEY", "0101010101010101010101010101010101010101010101010101010101010101"),
        ("OPENAI_API_KEY", "sk-planted"),
        ("TWILIO_SID", "AC1"),
        ("CORS_ORIGINS", "https://a.example, https://b.example"),
        ("USE_MOCK_CONNECTORS", "true"),
        ("REDIS_URL", "redis://cache.example"),
        ("RESEND_API_KEY", " "),
    ]);
    let asked = std::cell::RefCell::new(Vec::new());
    let builder = Hub::builder().from_vars(|name| {
        asked.borrow_mut().push(name.to_owned());
        vars.get(name).map(|v| (*v).to_owned())
    });
    let mut asked = asked.into_inner();
    asked.sort();
    assert_eq!(
        asked,
        [
            "ANTHROPIC_API_KEY",
            "CORS_ORIGINS",
            "DATABASE_URL",
            "DIRECT_DATABASE_URL",
            "NEONHUB_KEY",
            "OPENAI_API_KEY",
            "REDIS_URL",
            "RESEND_API_KEY",
            "SENTRY_DSN",
            "STRIPE_SECRET_KEY",
            "STRIPE_WEBHOOK_SECRET",
            "TWILIO_AUTH_TOKEN",
            "TWILIO_SID",
            "USE_MOCK_CONNECTORS",
        ]
    );
    let hub = builder.unwrap().build().await.unwrap();
    let settings = hub.service::<EnvSettings>().unwrap();
    assert_eq!(settings.openai_api_key.as_ref().unwrap().expose(), "sk-planted");
    assert_eq!(settings.cors_origins, ["https://a.example", "https://b.example"]);
    assert!(settings.use_mock_connectors && settings.resend_api_key.is_none());
    assert_eq!(settings.unused, ["REDIS_URL"]);
    assert!(!format!("{settings:?}").contains("planted"));
    let bad = Hub::builder().from_vars(|name| (name == "USE_MOCK_CONNECTORS").then(|| "maybe".into()));
    let error = bad.unwrap_err();
    assert!(
        error.kind() == ErrorKind::Config && error.to_string().contains("USE_MOCK_CONNECTORS"),
        "{error}"
    );
}
