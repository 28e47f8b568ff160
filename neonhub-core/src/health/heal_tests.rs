//! What heals by itself, what is told, and what the watchdog finds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::audit::AuditEntry;
use crate::bus::Event;
use crate::connector::{Channel, Cleared, Connector, Manifest, Receipt};
use crate::job::JobState;
use crate::job::ops::{Enqueue, GetJob, NewJob};
use crate::resilience::{Call, Plan};
use crate::run::{AgentRun, Command, Driver, Machine, NewRun, Program, RunEvent, RunLease, RunStatus};
use crate::schedule::{CreateSchedule, PauseSchedule, Schedule, Target, When};
use crate::store::Query;
use crate::{Clock, Error, ErrorKind, Hub, HubBuilder, ManualClock, Retry, Timestamp};

/// A service that is ill until it has rested or was connected to again often enough.
#[derive(Debug, Default)]
struct Service {
    ill: AtomicU32,
    reconnects: AtomicU32,
    is_stubborn: AtomicBool,
}

static MANIFEST: Manifest = Manifest {
    id: "frail",
    title: "Frail",
    about: "Falls ill and recovers",
    actions: &[],
    source: "test",
    open: |_| Err(Error::new(ErrorKind::Unsupported, "test", "made by the test")),
};

#[async_trait]
impl Connector for Service {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }
    fn channels(&self) -> Vec<Channel> {
        Vec::new()
    }
    async fn deliver(&self, _cleared: Cleared) -> Result<Receipt> {
        Err(Error::new(ErrorKind::Unavailable, "test", "never"))
    }
    async fn reconnect(&self) -> Result<()> {
        self.reconnects.fetch_add(1, Ordering::SeqCst);
        if !self.is_stubborn.load(Ordering::SeqCst) {
            self.ill.store(0, Ordering::SeqCst);
        }
        Ok(())
    }
    async fn health(&self) -> Result<()> {
        if self.ill.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "test", "jane@shop.example is away"))
    }
}

struct Ward {
    cx: Scope,
    clock: Arc<ManualClock>,
    service: Arc<Service>,
}

async fn ward_of(builder: HubBuilder) -> Ward {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let service = Arc::new(Service::default());
    let hub = builder
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .connector(Arc::clone(&service) as Arc<dyn Connector>)
        .build()
        .await
        .unwrap();
    Ward { cx: hub.workspace("default").await.unwrap(), clock, service }
}

async fn ward() -> Ward {
    ward_of(Hub::builder()).await
}

impl Ward {
    async fn round(&self) {
        self.clock.advance(Duration::from_secs(300));
        self.cx.check_health().await.unwrap();
    }
    async fn actions(&self) -> Vec<HealAction> {
        let found = self.cx.query::<HealAction>(&Query::by_id().limit(100)).await.unwrap();
        let mut all: Vec<HealAction> = found.into_iter().map(|a| a.body).collect();
        all.sort_by_key(|a| a.at);
        all
    }
    async fn told(&self, word: &str) -> Vec<String> {
        let events = self.cx.query::<Event>(&Query::by_id().limit(500)).await.unwrap();
        events.into_iter().filter(|e| e.kind == word).map(|e| e.body.subject_id).collect()
    }
    async fn status(&self, subject: &str) -> (String, Option<String>) {
        let check = CheckHealth { subject: Some(subject.into()) };
        let report = self.cx.call(check).await.unwrap();
        (report.status, report.checks[0].detail.clone())
    }
}

#[tokio::test]
async fn a_round_heals_what_is_ill_and_writes_down_what_it_did() {
    let ward = ward().await;
    ward.service.ill.store(1, Ordering::SeqCst);
    ward.round().await;
    let action = ward.actions().await.remove(0);
    assert_eq!((action.subject.as_str(), action.recipe.as_str()), ("connector:frail", "reconnect"));
    assert_eq!((action.before.as_str(), action.after.as_str()), ("unhealthy", "healthy"));
    assert_eq!(action.result, HealResult::Healed);
    let rows = ward.cx.query::<AuditEntry>(&Query::by_id().limit(100)).await.unwrap();
    assert_eq!(rows.iter().filter(|r| r.action == "health.recover").count(), 1);
    ward.round().await;
    assert_eq!(ward.actions().await.len(), 1, "what is well is left alone");
    assert_eq!(ward.service.reconnects.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn three_tries_in_an_hour_and_then_a_person_is_asked_once() {
    let ward = ward().await;
    ward.service.ill.store(1, Ordering::SeqCst);
    ward.service.is_stubborn.store(true, Ordering::SeqCst);
    for _ in 0..12 {
        ward.round().await;
    }
    let recipes: Vec<String> = ward.actions().await.into_iter().map(|a| a.recipe).collect();
    assert_eq!(recipes, ["reconnect", "reset_breaker", "reconnect"], "what did not help is not tried next");
    assert_eq!(ward.told("health.help_needed").await, ["connector:frail"]);
    assert_eq!(ward.told("health.failed").await, ["connector:frail"]);
    ward.round().await;
    assert_eq!(ward.actions().await.len(), 4, "an hour after the first one");
}

#[tokio::test]
async fn a_breaker_is_closed_once_its_service_answers_a_look() {
    let ward = ward().await;
    let spent = Call::new(|_| async { Err::<(), _>(Error::new(ErrorKind::BudgetExceeded, "test", "spent")) });
    spent.guard(Plan::new("connection:frail")).run(&ward.cx).await.unwrap_err();
    let (status, why) = ward.status("connector:frail").await;
    assert_eq!(status, "degraded");
    assert!(why.unwrap().contains("breaker"));
    ward.round().await;
    assert_eq!(ward.actions().await.len(), 0, "it has until the next round to mend by itself");
    ward.round().await;
    ward.round().await;
    let done: Vec<(String, HealResult)> =
        ward.actions().await.into_iter().map(|a| (a.recipe, a.result)).collect();
    assert_eq!(
        done,
        [("reconnect".to_owned(), HealResult::Unchanged), ("reset_breaker".to_owned(), HealResult::Healed)]
    );
    let call = Call::new(|_| async { Ok(()) }).guard(Plan::new("connection:frail"));
    call.run(&ward.cx).await.unwrap();
    assert_eq!(ward.status("connector:frail").await.0, "healthy");
}

#[tokio::test]
async fn an_open_breaker_of_an_ill_service_stays_open() {
    let ward = ward().await;
    ward.service.ill.store(1, Ordering::SeqCst);
    ward.service.is_stubborn.store(true, Ordering::SeqCst);
    let spent = Call::new(|_| async { Err::<(), _>(Error::new(ErrorKind::BudgetExceeded, "test", "spent")) });
    spent.guard(Plan::new("connection:frail")).run(&ward.cx).await.unwrap_err();
    let recover = Recover { subject: "connector:frail".into(), recipe: Some("reset_breaker".into()) };
    let action = ward.cx.call(recover).await.unwrap();
    assert_eq!((action.result, action.detail.as_str()), (HealResult::Failed, "unavailable"));
    let call = Call::new(|_| async { Ok(()) }).guard(Plan::new("connection:frail"));
    assert_eq!(call.run(&ward.cx).await.unwrap_err().code(), "breaker_open");
}

#[derive(Debug)]
struct Cook;

#[async_trait]
impl crate::job::Handler for Cook {
    fn queue(&self) -> &'static str {
        "test.cook"
    }
    async fn work(&self, _cx: &Scope, jobs: &[crate::job::Job]) -> Result<Vec<crate::job::Outcome>> {
        Ok(jobs.iter().map(|_| crate::job::Outcome::Done).collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_died_is_begun_anew_and_works() {
    let ward = ward_of(Hub::builder().handler(Arc::new(Cook))).await;
    let hub = ward.cx.hub().clone();
    hub.start_workers(&[]).await.unwrap();
    assert_eq!(ward.status("workers").await.0, "healthy");
    hub.kill_loop("test.cook");
    while hub.dead_loops().is_empty() {
        tokio::task::yield_now().await;
    }
    let (status, why) = ward.status("workers").await;
    assert_eq!((status.as_str(), why.as_deref()), ("unhealthy", Some("loops that ended: test.cook")));
    let job = NewJob { queue: "test.cook".into(), name: "soup".into(), ..NewJob::default() };
    let job = ward.cx.call(Enqueue { job }).await.unwrap();
    ward.round().await;
    let action = ward.actions().await.remove(0);
    assert_eq!((action.recipe.as_str(), action.result), ("restart_loops", HealResult::Healed));
    assert!(action.detail.contains("test.cook"), "{}", action.detail);
    while ward.cx.call(GetJob { id: job.id.clone() }).await.unwrap().state != JobState::Completed {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    hub.close().await.unwrap();
    assert!(hub.dead_loops().is_empty(), "stopped on purpose is not dead");
}

#[tokio::test]
async fn late_schedules_and_zones_that_are_gone_are_findings() {
    let ward = ward().await;
    let target = Target::Operation { operation: "audit.verify".into(), input: json!({}) };
    let when = When::LocalDaily { time: "06:00".into(), zone: "Europe/Vienna".into() };
    let made = ward.cx.call(CreateSchedule::new("daily", target, when)).await.unwrap();
    assert_eq!(ward.status("scheduler").await, ("healthy".to_owned(), None));
    // The tables of another machine may lack a zone that was there when the schedule was made.
    let cx = ward.cx.staging("test", "zone");
    let mut stored = cx.need::<Schedule>(made.id.as_str()).await.unwrap();
    stored.body.when = When::LocalDaily { time: "06:00".into(), zone: "Mars/Olympus".into() };
    cx.save(&stored).unwrap();
    cx.flush().await.unwrap();
    let (status, why) = ward.status("scheduler").await;
    assert!(status == "degraded" && why.as_ref().unwrap().ends_with(": daily"), "{why:?}");
    ward.clock.advance(Duration::from_secs(2 * 86_400));
    ward.cx.fire_due().await.unwrap();
    let fired = ward.cx.need::<Schedule>(made.id.as_str()).await.unwrap();
    assert!(fired.enabled && fired.next_at > Some(ward.cx.now()), "the workspace's zone stands in");
    ward.clock.set(fired.next_at.unwrap().plus(Duration::from_secs(901)));
    assert!(ward.status("scheduler").await.1.unwrap().contains("start workers"));
    ward.cx.call(PauseSchedule { id: made.id, reason: "done".into() }).await.unwrap();
    assert_eq!(ward.status("scheduler").await.0, "healthy");
}

/// Ends at once.
#[derive(Debug)]
struct Brief;

impl Machine for Brief {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let next = match event {
            RunEvent::Started { .. } => Command::tool("who", "scope.whoami", json!({})),
            _ => Command::done(json!({})),
        };
        ((), vec![next])
    }
}

impl Program for Brief {
    const AGENT: &'static str = "brief";
    const VERSION: u32 = 1;
}

#[tokio::test]
async fn a_run_whose_process_is_gone_is_found_stuck_until_it_is_taken_over() {
    let ward = ward().await;
    let run = Driver::new(Brief).start(&ward.cx, NewRun::new(json!({}))).await.unwrap();
    let cx = ward.cx.staging("test", "crash");
    let mut stored = cx.need::<AgentRun>(&run.id).await.unwrap();
    let until = ward.cx.now().plus(Duration::from_secs(30));
    stored.body.status = RunStatus::Running;
    stored.body.lease = Some(RunLease { owner: "w0000".into(), token: 1, until });
    cx.save(&stored).unwrap();
    cx.flush().await.unwrap();
    ward.clock.set(until.plus(Duration::from_secs(15 * 60)));
    assert_eq!(ward.cx.find_stuck().await.unwrap(), []);
    ward.clock.advance(Duration::from_millis(1));
    let stuck = Stuck { subject: format!("run:{}", run.id), since: until };
    assert_eq!(ward.cx.find_stuck().await.unwrap(), [stuck]);
    assert_eq!(ward.told("watchdog.stuck").await, [format!("run:{}", run.id)]);
    Driver::new(Brief).drive(&ward.cx, &run.id).await.unwrap();
    assert_eq!(ward.cx.find_stuck().await.unwrap(), []);
}

#[tokio::test]
async fn a_failed_look_of_a_recipe_is_bounded_like_any_try() {
    let ward = ward().await;
    ward.service.ill.store(1, Ordering::SeqCst);
    ward.service.is_stubborn.store(true, Ordering::SeqCst);
    let recover = || ward.cx.call(Recover { subject: "connector:frail".into(), recipe: None });
    for pause in [60, 120] {
        recover().await.unwrap();
        let error = recover().await.unwrap_err();
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(pause)));
        ward.clock.advance(Duration::from_secs(pause));
    }
    recover().await.unwrap();
    assert_eq!(recover().await.unwrap_err().retry(), Retry::After(Duration::from_secs(3_600 - 180)));
    assert_eq!(ward.told("health.recovered").await.len(), 3);
}
