use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::audit::AuditEntry;
use crate::bus::Event;
use crate::job::{Handler, Job, JobSpec, Outcome};
use crate::store::Query;
use crate::{Clock, Error, ErrorKind, Hub, HubBuilder, ManualClock, Retry, Role, Timestamp};

/// Ill for as many looks as it is told; a recipe makes it well after some tries.
#[derive(Debug, Default)]
struct Patient {
    ill: AtomicU32,
}

#[async_trait]
impl Health for Patient {
    fn subject(&self) -> String {
        "model:test".to_owned()
    }
    async fn check(&self, _cx: &Scope) -> Result<Status> {
        match self.ill.load(Ordering::SeqCst) {
            0 => Ok(Status::Healthy),
            99 => panic!("secret panic"),
            _ => Err(Error::new(ErrorKind::Unavailable, "test", "jane@shop.example is away")),
        }
    }
}

#[async_trait]
impl Recipe for Patient {
    fn name(&self) -> &'static str {
        "rest"
    }
    fn fits(&self, subject: &str) -> bool {
        subject == "model:test"
    }
    async fn apply(&self, _cx: &Scope, _subject: &str) -> Result<String> {
        self.ill.fetch_sub(1, Ordering::SeqCst);
        Ok("rested".to_owned())
    }
}

/// Never gets to its jobs.
#[derive(Debug)]
struct Idle;

#[async_trait]
impl Handler for Idle {
    fn queue(&self) -> &'static str {
        "test.idle"
    }
    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)))
}

async fn scope(builder: HubBuilder) -> Scope {
    builder.build().await.unwrap().workspace("default").await.unwrap()
}

struct Ward {
    cx: Scope,
    clock: Arc<ManualClock>,
    patient: Arc<Patient>,
}

async fn ward() -> Ward {
    let (clock, patient) = (clock(), Arc::new(Patient::default()));
    let builder = Hub::builder()
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .health(Arc::clone(&patient) as Arc<dyn Health>)
        .recipe(Arc::clone(&patient) as Arc<dyn Recipe>);
    Ward { cx: scope(builder).await, clock, patient }
}

async fn told(cx: &Scope, word: &str) -> usize {
    let events = cx.query::<Event>(&Query::by_id().limit(500)).await.unwrap();
    events.iter().filter(|e| e.kind == word).count()
}

#[tokio::test]
async fn a_check_names_every_part_and_keeps_detail_for_who_may_see_it() {
    let ward = ward().await;
    ward.patient.ill.store(1, Ordering::SeqCst);
    ward.clock.advance(Duration::from_secs(5));
    let report = ward.cx.call(CheckHealth::default()).await.unwrap();
    assert_eq!((report.status.as_str(), report.uptime_ms), ("unhealthy", 5000));
    let subjects: Vec<&str> = report.checks.iter().map(|c| c.subject.as_str()).collect();
    assert_eq!(subjects, ["store", "vault", "workers", "scheduler", "queue:system", "models", "model:test"]);
    assert_eq!(report.checks[6].detail.as_deref(), Some("unavailable"));
    let viewer = ward.cx.with_role(Role::Viewer).call(CheckHealth::default()).await.unwrap();
    assert!(viewer.checks.iter().all(|c| c.detail.is_none()));
    ward.patient.ill.store(99, Ordering::SeqCst);
    let one = CheckHealth { subject: Some("model:test".into()) };
    let report = ward.cx.call(one).await.unwrap();
    assert_eq!(report.checks[0].detail.as_deref(), Some("the check panicked"));
    let unknown = ward.cx.call(CheckHealth { subject: Some("stor".into()) }).await.unwrap_err();
    assert!(unknown.kind() == ErrorKind::NotFound && unknown.to_string().contains("closest=store"));
}

#[tokio::test]
async fn a_model_in_use_that_goes_away_is_found_with_its_day_and_what_comes_after() {
    for (now, wanted) in [
        ("2026-09-01T00:00:00Z", None),
        ("2026-11-21T00:00:00Z", Some("openai/gpt-5-mini is shut down on 2026-12-11: take gpt-6-luna")),
        ("2026-12-12T00:00:00Z", Some("openai/gpt-5-mini was shut down on 2026-12-11: take gpt-6-luna")),
    ] {
        let route =
            crate::llm::Route::new("default").then("openai", "gpt-5-mini").then("openai", "gpt-6-luna");
        let clock = Arc::new(ManualClock::at(Timestamp::parse("now", now).unwrap()));
        let router = Arc::new(crate::llm::Router::new().route(route));
        let cx = scope(Hub::builder().clock(clock).service(router)).await;
        let report = cx.call(CheckHealth { subject: Some("models".into()) }).await.unwrap();
        assert_eq!(report.checks[0].detail.as_deref(), wanted, "{now}");
    }
}

#[tokio::test]
async fn three_failures_in_a_row_are_told_once_and_make_it_unavailable() {
    let ward = ward().await;
    let cx = &ward.cx;
    ward.patient.ill.store(5, Ordering::SeqCst);
    for round in 1..=5 {
        ward.clock.advance(Duration::from_secs(300));
        cx.check_health().await.unwrap();
        assert_eq!(told(cx, "health.failed").await, usize::from(round >= 3));
        assert_eq!(cx.hub().is_unavailable(cx, "model:test").await.unwrap(), round >= 3);
    }
    let listed =
        cx.call(ListHealth { status: Some("unhealthy".into()), ..ListHealth::default() }).await.unwrap();
    let record = &listed.items[0];
    assert_eq!((record.subject.as_str(), record.checks, record.failures), ("model:test", 5, 5));
    assert_eq!(record.at.since(record.since).as_secs(), 4 * 300);
    ward.patient.ill.store(0, Ordering::SeqCst);
    cx.check_health().await.unwrap();
    assert_eq!(told(cx, "health.restored").await, 1);
    assert!(!cx.hub().is_unavailable(cx, "model:test").await.unwrap());
    let metrics = cx.hub().telemetry().samples("neonhub_health_state");
    assert!(
        metrics
            .as_array()
            .unwrap()
            .iter()
            .any(|m| *m == json!({"labels": {"component": "vault"}, "value": 0.0}))
    );
}

#[tokio::test]
async fn a_part_is_healed_at_most_three_times_an_hour_with_growing_pauses() {
    let ward = ward().await;
    ward.patient.ill.store(3, Ordering::SeqCst);
    let recover = || ward.cx.call(Recover { subject: "model:test".into(), recipe: None });
    let first = recover().await.unwrap();
    assert_eq!((first.recipe.as_str(), first.result), ("rest", HealResult::Unchanged));
    let wait = |error: Error| match error.retry() {
        Retry::After(wait) => wait,
        other => panic!("{other:?}"),
    };
    let soon = wait(recover().await.unwrap_err());
    assert_eq!(soon, Duration::from_secs(60));
    ward.clock.advance(soon);
    recover().await.unwrap();
    ward.clock.advance(wait(recover().await.unwrap_err()));
    let third = recover().await.unwrap();
    assert_eq!(
        (third.before.as_str(), third.after.as_str(), third.result),
        ("unhealthy", "healthy", HealResult::Healed)
    );
    let later = wait(recover().await.unwrap_err());
    assert_eq!(later, Duration::from_secs(3600 - 180));
    ward.clock.advance(later);
    recover().await.unwrap();
    let rows = ward.cx.query::<AuditEntry>(&Query::by_id().limit(100)).await.unwrap();
    assert!(rows.iter().filter(|r| r.action == "health.recover").count() >= 4);
    assert_eq!(told(&ward.cx, "health.recovered").await, 4);
    let none = Recover { subject: "store".into(), recipe: None };
    assert_eq!(ward.cx.call(none).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_queue_nobody_works_is_found_stuck_until_it_moves() {
    let clock = clock();
    let builder = Hub::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>).handler(Arc::new(Idle));
    let cx = scope(builder).await;
    let staging = cx.staging("test", "enqueue");
    staging.enqueue(JobSpec::new("test.idle", "work", json!({}))).unwrap();
    staging.flush().await.unwrap();
    clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(cx.find_stuck().await.unwrap(), []);
    clock.advance(Duration::from_millis(1));
    let stuck = cx.find_stuck().await.unwrap();
    assert_eq!(stuck[0].subject, "queue:test.idle");
    assert_eq!(told(&cx, "watchdog.stuck").await, 1);
    let report = cx.call(CheckHealth { subject: Some("queue:test.idle".into()) }).await.unwrap();
    assert_eq!(report.status, "degraded");
    cx.work_until_idle().await.unwrap();
    assert_eq!(cx.find_stuck().await.unwrap(), []);
    let report = cx.call(CheckHealth { subject: Some("queue:test.idle".into()) }).await.unwrap();
    assert_eq!(report.status, "healthy");
}

/// Like [`Idle`], for messages.
#[derive(Debug)]
struct Sender;

#[async_trait]
impl Handler for Sender {
    fn queue(&self) -> &'static str {
        "email.send"
    }
    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}

#[tokio::test]
async fn messages_are_found_stuck_sooner() {
    let clock = clock();
    let builder = Hub::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>).handler(Arc::new(Sender));
    let cx = scope(builder).await;
    let staging = cx.staging("test", "enqueue");
    staging.enqueue(JobSpec::new("email.send", "send-email", json!({}))).unwrap();
    staging.flush().await.unwrap();
    clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(cx.find_stuck().await.unwrap(), []);
    clock.advance(Duration::from_millis(1));
    assert_eq!(cx.find_stuck().await.unwrap()[0].subject, "queue:email.send");
}

#[tokio::test]
async fn a_wrong_root_key_is_seen_by_the_check_of_the_vault() {
    let store: crate::store::SharedStore = Arc::new(crate::store::MemoryStore::new());
    let open = |byte| {
        let key = crate::seal::RootKey::from_bytes([byte; 32], "test");
        scope(Hub::builder().store_backend(Arc::clone(&store)).root_key(key))
    };
    open(1).await;
    let report = open(2).await.call(CheckHealth { subject: Some("vault".into()) }).await.unwrap();
    assert_eq!(report.status, "unhealthy");
}

#[tokio::test(start_paused = true)]
async fn a_process_with_workers_looks_after_its_health() {
    // Time that jumps when nothing is to do must not meet a server.
    let store = Arc::new(crate::store::MemoryStore::new());
    let hub = Hub::builder().store_backend(store).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let looked = async || cx.count::<HealthRecord>(&Query::by_id()).await.unwrap();
    hub.start_workers(&[]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4 * 60)).await;
    assert_eq!(looked().await, 0);
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    assert!(looked().await > 3);
    hub.kill_loop("health");
    tokio::task::yield_now().await;
    assert_eq!(hub.restart_dead_loops().await.unwrap(), ["health"]);
    hub.close().await.unwrap();
}

#[tokio::test]
async fn a_round_is_one_commit_per_workspace() {
    let ward = ward().await;
    let cx = &ward.cx;
    let before = cx.store().seq().await.unwrap();
    cx.check_health().await.unwrap();
    let commits = cx.store().changes(before, 100).await.unwrap();
    assert_eq!(commits.len(), 1, "{commits:?}");
    assert_eq!(commits[0].changes.len(), 7, "one record per part");
}
