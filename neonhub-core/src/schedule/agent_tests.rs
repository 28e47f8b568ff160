//! Schedules whose target is an agent, fired under a clock that is moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::bus::Event;
use crate::job::{Job, JobState};
use crate::op::{Effect, Entry, Operation, entry};
use crate::permission::{Permission, Role};
use crate::run::{AgentRun, Command, Driver, Machine, Program, RunEvent, RunStatus, SignalRun, WaitOn};
use crate::store::{MemoryStore, Query, SharedStore};
use crate::{Error, ErrorKind, Hub, ManualClock, Result, Retry, Scope, Timestamp};

/// What the outside does to the errands.
#[derive(Debug, Default)]
struct Outside {
    /// Calls that still fail.
    fails: AtomicU32,
    calls: AtomicU32,
    begun: tokio::sync::Notify,
}

/// Fails as often as it is told, or never answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Try {
    #[serde(default)]
    hangs: bool,
}

impl Operation for Try {
    type Output = u32;
    const NAME: &'static str = "errands.try";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = Duration::from_secs(600);
    async fn run(self, cx: &Scope) -> Result<u32> {
        let outside = cx.service::<Outside>()?;
        let calls = outside.calls.fetch_add(1, Ordering::SeqCst) + 1;
        outside.begun.notify_one();
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if outside.fails.load(Ordering::SeqCst) > 0 {
            outside.fails.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Unavailable, Self::NAME, "closed").with_retry(Retry::Backoff));
        }
        Ok(calls)
    }
}

static OPERATIONS: &[Entry] = &[entry::<Try>()];

/// Does what its input says: `wait` for a signal, or call an operation and answer with what it said.
#[derive(Debug)]
struct Errand;

impl Machine for Errand {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let next = match event {
            RunEvent::Started { input, .. } if input["wait"] == true => {
                Command::Wait { wait: "go".into(), on: WaitOn::Signal { name: "go".into() } }
            }
            RunEvent::Started { input, .. } => {
                let tool = input["tool"].as_str().unwrap_or("errands.try").to_owned();
                Command::tool("try", tool, input.get("args").cloned().unwrap_or(json!({})))
            }
            RunEvent::ToolDone { output, .. } => Command::done(json!({ "said": output })),
            RunEvent::Woken { payload, .. } => Command::done(json!({ "heard": payload })),
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![next])
    }
}

impl Program for Errand {
    const AGENT: &'static str = "errand";
    const VERSION: u32 = 1;
    const INTENT: &'static str = "fetch";
}

struct Shop {
    cx: Scope,
    clock: Arc<ManualClock>,
    outside: Arc<Outside>,
}

async fn shop_on(store: SharedStore, outside: Arc<Outside>) -> Shop {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder()
        .store_backend(store)
        .clock(Arc::clone(&clock) as _)
        .root_key(crate::seal::RootKey::from_bytes([1; 32], "test"))
        .operations(OPERATIONS)
        .service(Arc::clone(&outside))
        .agent(Arc::new(Driver::new(Errand)))
        .build()
        .await
        .unwrap();
    Shop { cx: hub.workspace("default").await.unwrap(), clock, outside }
}

async fn shop() -> Shop {
    shop_on(Arc::new(MemoryStore::new()), Arc::default()).await
}

fn errand(input: Value) -> Target {
    Target::Agent { agent: "errand".into(), intent: Some("fetch".into()), input }
}

fn new(input: Value) -> CreateSchedule {
    CreateSchedule::new("errands", errand(input), When::Every { ms: 60_000, anchor: None })
}

impl Shop {
    async fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.cx.work_until_idle().await.unwrap();
    }
    async fn sessions(&self) -> Vec<AgentSession> {
        let mut all: Vec<AgentSession> = self
            .cx
            .query::<AgentSession>(&Query::by_id())
            .await
            .unwrap()
            .into_iter()
            .map(|s| s.body)
            .collect();
        all.sort_by_key(|s| s.planned_at);
        all
    }
    async fn states(&self) -> Vec<SessionState> {
        self.sessions().await.into_iter().map(|s| s.state).collect()
    }
    async fn run_of(&self, session: &AgentSession) -> AgentRun {
        self.cx.need::<AgentRun>(session.run_ids.last().unwrap()).await.unwrap().body
    }
    async fn job_of(&self, session: &AgentSession) -> Job {
        self.cx.need::<Job>(session.job_id.as_ref().unwrap()).await.unwrap().body
    }
    async fn signal(&self, session: &AgentSession) {
        let id = session.run_ids.last().unwrap().clone();
        self.cx.call(SignalRun { id, wait: "go".into(), payload: json!("now") }).await.unwrap();
    }
    async fn told(&self, word: &str) -> Vec<Value> {
        let events = self.cx.query::<Event>(&Query::by_id().limit(500)).await.unwrap();
        events.into_iter().filter(|e| e.kind == word).map(|e| e.body.data).collect()
    }
}

#[tokio::test]
async fn an_agent_runs_at_its_instants_and_each_session_names_its_run() {
    let shop = shop().await;
    let made = shop.cx.call(new(json!({}))).await.unwrap();
    for _ in 0..3 {
        shop.wait(60).await;
    }
    let all = shop.sessions().await;
    assert_eq!(shop.states().await, [SessionState::Completed; 3]);
    let mut runs: Vec<&String> = all.iter().flat_map(|s| &s.run_ids).collect();
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), 3, "one run for each firing");
    assert_eq!((all[1].agent.as_str(), all[1].summary.as_str()), ("errand.fetch", r#"{"said":2}"#));
    assert_eq!(shop.run_of(&all[2]).await.status, RunStatus::Completed);
    assert_eq!(shop.told("session.started").await[0]["run"], json!(all[0].run_ids[0]));
    // Asked for now, with another input; the only intent needs no name.
    let input = Some(json!({ "args": { "hangs": false } }));
    shop.cx.call(TriggerNow { id: made.id, input }).await.unwrap();
    shop.wait(0).await;
    assert_eq!(shop.states().await.len(), 4);
}

#[tokio::test]
async fn a_run_that_waits_keeps_its_session_open_and_uses_no_try() {
    let shop = shop().await;
    shop.cx.call(CreateSchedule { retries: Some(0), ..new(json!({ "wait": true })) }).await.unwrap();
    shop.wait(60).await;
    let first = shop.sessions().await.remove(0);
    assert_eq!((first.state, first.reason.as_deref()), (SessionState::Running, Some("signal go")));
    let job = shop.job_of(&first).await;
    assert_eq!((job.state, job.attempts), (JobState::Delayed, 0));
    shop.wait(60).await;
    assert_eq!(shop.states().await, [SessionState::Running, SessionState::Skipped]);
    assert_eq!(shop.told("session.progress").await.len(), 1, "told when it changes, not at every look");
    shop.signal(&first).await;
    shop.wait(30).await;
    let first = shop.sessions().await.remove(0);
    assert_eq!((first.state, first.run_ids.len(), first.attempt), (SessionState::Completed, 1, 1));
    assert_eq!(first.summary, r#"{"heard":"now"}"#);
}

#[tokio::test]
async fn overlap_policies_hold_for_runs_that_wait() {
    use SessionState as S;
    for (policy, expected) in [
        (Overlap::QueueOne, vec![S::Running, S::Pending, S::Skipped]),
        (Overlap::QueueAll, vec![S::Running, S::Pending, S::Pending]),
        (Overlap::Allow, vec![S::Running, S::Running, S::Skipped]),
        (Overlap::CancelPrevious, vec![S::Cancelled, S::Cancelled, S::Running]),
    ] {
        let shop = shop().await;
        let new = CreateSchedule { overlap: policy, concurrency: Some(2), ..new(json!({ "wait": true })) };
        let made = shop.cx.call(new).await.unwrap();
        for _ in 0..3 {
            shop.wait(60).await;
        }
        assert_eq!(shop.states().await, expected, "{policy:?}");
        let all = shop.sessions().await;
        if policy == Overlap::CancelPrevious {
            assert_eq!(shop.run_of(&all[0]).await.status, RunStatus::Cancelled);
            assert_eq!(shop.run_of(&all[2]).await.status, RunStatus::Waiting);
        }
        if policy == Overlap::QueueAll {
            let pause = PauseSchedule { id: made.id, reason: "enough".into() };
            shop.cx.call(pause).await.unwrap();
            shop.signal(&all[0]).await;
            shop.wait(30).await;
            shop.wait(30).await;
            assert_eq!(shop.states().await, [S::Completed, S::Running, S::Pending], "in their order");
        }
    }
}

#[tokio::test]
async fn a_failed_run_is_followed_by_a_new_one_while_tries_last() {
    for (fails, expected, runs) in [(2, SessionState::Completed, 3), (9, SessionState::Failed, 3)] {
        let shop = shop().await;
        shop.outside.fails.store(fails, Ordering::SeqCst);
        let new = CreateSchedule { retries: Some(2), overlap: Overlap::Skip, ..new(json!({})) };
        let made = shop.cx.call(new).await.unwrap();
        shop.wait(60).await;
        shop.cx.call(PauseSchedule { id: made.id.clone(), reason: "once".into() }).await.unwrap();
        for _ in 0..4 {
            shop.wait(600).await;
        }
        let session = shop.sessions().await.remove(0);
        assert_eq!((session.state, session.run_ids.len()), (expected, runs));
        let seen = shop.cx.call(GetSchedule { id: made.id }).await.unwrap();
        assert_eq!(seen.failures, u32::from(expected == SessionState::Failed));
        if expected == SessionState::Failed {
            assert_eq!(session.reason.as_deref(), Some("unavailable"));
            assert_eq!(shop.told("schedule.failed").await.len(), 1);
        }
    }
}

/// Works until the operation of the run was begun.
async fn work_until_begun(shop: &Shop) -> tokio::task::JoinHandle<()> {
    shop.clock.advance(Duration::from_secs(60));
    let cx = shop.cx.clone();
    let task = tokio::spawn(async move { drop(cx.work_until_idle().await) });
    shop.outside.begun.notified().await;
    task
}

#[tokio::test]
async fn a_session_that_is_cancelled_ends_its_run_also_in_the_middle_of_a_call() {
    let shop = shop().await;
    shop.cx.call(new(json!({ "args": { "hangs": true } }))).await.unwrap();
    let working = work_until_begun(&shop).await;
    let session = shop.sessions().await.remove(0);
    let cancel = CancelSession { id: session.id.clone(), reason: "not wanted".into() };
    assert_eq!(shop.cx.call(cancel).await.unwrap().state, SessionState::Cancelled);
    working.await.unwrap();
    assert_eq!(shop.run_of(&session).await.status, RunStatus::Cancelled);
    assert_eq!(shop.job_of(&session).await.state, JobState::Completed, "nothing is left to be done");
    // One that waits for its instant, or whose run waits, needs no worker.
    let waiting = shop_on(Arc::new(MemoryStore::new()), Arc::default()).await;
    waiting.cx.call(new(json!({ "wait": true }))).await.unwrap();
    waiting.wait(60).await;
    let session = waiting.sessions().await.remove(0);
    waiting.cx.call(CancelSession { id: session.id.clone(), reason: "no".into() }).await.unwrap();
    assert_eq!(waiting.run_of(&session).await.status, RunStatus::Cancelled);
    assert_eq!(waiting.job_of(&session).await.state, JobState::Cancelled);
}

#[tokio::test]
async fn another_process_goes_on_with_the_run_of_one_that_is_gone() {
    let (store, outside): (SharedStore, Arc<Outside>) = (Arc::new(MemoryStore::new()), Arc::default());
    let gone = shop_on(Arc::clone(&store), Arc::clone(&outside)).await;
    gone.cx.call(new(json!({ "args": { "hangs": true } }))).await.unwrap();
    let working = work_until_begun(&gone).await;
    working.abort();
    drop(working.await);
    let begun = gone.sessions().await.remove(0);
    assert_eq!(
        (begun.state, begun.run_ids.len()),
        (SessionState::Running, 1),
        "noted before anything was done"
    );
    let other = shop_on(store, outside).await;
    // Past the instants of the leases: the first process reports no more.
    let task = {
        other.clock.advance(Duration::from_secs(95));
        let cx = other.cx.clone();
        tokio::spawn(async move { drop(cx.work_until_idle().await) })
    };
    other.outside.begun.notified().await;
    let session = other.sessions().await.remove(0);
    assert_eq!((&session.run_ids, session.attempt), (&begun.run_ids, 1), "the same run, the same try");
    assert!(other.run_of(&session).await.lease.unwrap().token > 1, "under a new lease");
    other.cx.call(CancelSession { id: session.id, reason: "seen enough".into() }).await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn agents_and_intents_must_exist_and_work_with_the_rights_of_who_asked() {
    let shop = shop().await;
    let ask = |agent: &str, intent: Option<&str>| {
        let target = Target::Agent {
            agent: agent.into(),
            intent: intent.map(str::to_owned),
            input: json!({ "tool": "audit.verify" }),
        };
        CreateSchedule::new("asked", target, When::Every { ms: 60_000, anchor: None })
    };
    let unknown = shop.cx.call(ask("erand", None)).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(unknown.to_string().contains("closest=errand"), "{unknown}");
    let unknown = shop.cx.call(ask("errand", Some("fetsch"))).await.unwrap_err();
    assert!(unknown.to_string().contains("closest=fetch"), "{unknown}");
    let viewer = shop.cx.with_role(Role::Viewer).call(ask("errand", None)).await.unwrap_err();
    assert_eq!(viewer.kind(), ErrorKind::PermissionDenied);
    // A member may start agents and may not read the audit log: neither may the run.
    shop.cx.with_role(Role::Member).call(ask("errand", None)).await.unwrap();
    shop.wait(60).await;
    let session = shop.sessions().await.remove(0);
    assert_eq!((session.state, session.reason.as_deref()), (SessionState::Failed, Some("permission_denied")));
    let twice = Hub::builder().agent(Arc::new(Driver::new(Errand))).agent(Arc::new(Driver::new(Errand)));
    assert_eq!(twice.build().await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn an_operation_has_its_own_deadline_and_later_firings_wait_for_its_next_try() {
    let shop = shop().await;
    shop.outside.fails.store(1, Ordering::SeqCst);
    let target = Target::Operation { operation: "errands.try".into(), input: json!({}) };
    let every = When::Every { ms: 1_000, anchor: None };
    let new = CreateSchedule { overlap: Overlap::QueueAll, ..CreateSchedule::new("try", target, every) };
    let made = shop.cx.call(new).await.unwrap();
    shop.wait(1).await;
    let first = shop.sessions().await.remove(0);
    let job = shop.job_of(&first).await;
    assert_eq!((job.timeout_ms, job.state), (Some(605_000), JobState::Delayed));
    // The second firing comes while the first waits for its next try.
    shop.cx.call(PauseSchedule { id: made.id.clone(), reason: "two are enough".into() }).await.unwrap();
    let input = None;
    shop.cx.call(TriggerNow { id: made.id, input }).await.unwrap();
    shop.cx.work_until_idle().await.unwrap();
    let second = shop.sessions().await.remove(1);
    assert_eq!((second.state, shop.outside.calls.load(Ordering::SeqCst)), (SessionState::Pending, 1));
    shop.wait(600).await;
    shop.wait(600).await;
    assert_eq!(shop.states().await, [SessionState::Completed; 2]);
    let ends: Vec<_> = shop.sessions().await.into_iter().map(|s| s.summary).collect();
    assert_eq!(ends, ["2", "3"], "one after the other");
}

/// An agent that can fall ill.
#[derive(Debug)]
struct Frail {
    driver: Driver<Errand>,
    is_ill: std::sync::atomic::AtomicBool,
}

#[async_trait::async_trait]
impl crate::run::Agent for Frail {
    fn name(&self) -> &str {
        "frail"
    }
    fn intents(&self) -> Vec<&str> {
        vec!["fetch", "carry"]
    }
    fn check(&self, intent: &str, input: &Value) -> Result<()> {
        if intent == "carry" && input["what"].is_null() {
            return Err(Error::invalid("agents.check", "input.what", "expected what to carry"));
        }
        Ok(())
    }
    async fn health(&self, _cx: &Scope) -> Result<crate::health::Status> {
        if self.is_ill.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "test", "ill"));
        }
        Ok(crate::health::Status::Healthy)
    }
    async fn start(&self, cx: &Scope, _intent: &str, new: crate::run::NewRun) -> Result<AgentRun> {
        self.driver.start(cx, new).await
    }
    async fn drive(&self, cx: &Scope, run: &str) -> Result<crate::run::RunView> {
        self.driver.drive(cx, run).await
    }
}

#[tokio::test]
async fn an_agent_that_failed_its_checks_is_started_again_once_it_is_well() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let frail = Arc::new(Frail { driver: Driver::new(Errand), is_ill: true.into() });
    let outside = Arc::new(Outside::default());
    let hub = Hub::builder()
        .clock(Arc::clone(&clock) as _)
        .operations(OPERATIONS)
        .service(Arc::clone(&outside))
        .agent(Arc::clone(&frail) as _)
        .build()
        .await
        .unwrap();
    let shop = Shop { cx: hub.workspace("default").await.unwrap(), clock, outside };
    let target = |intent: Option<&str>, input| Target::Agent {
        agent: "frail".into(),
        intent: intent.map(str::to_owned),
        input,
    };
    let every = || When::Every { ms: 3_600_000, anchor: None };
    let new = |intent, input| CreateSchedule {
        retries: Some(0),
        ..CreateSchedule::new("frail", target(intent, input), every())
    };
    let several = shop.cx.call(new(None, json!({}))).await.unwrap_err();
    assert!(several.field_faults()[0].message.contains("fetch, carry"), "{several}");
    let wrong = shop.cx.call(new(Some("carry"), json!({}))).await.unwrap_err();
    assert_eq!(wrong.field_faults()[0].field, "input.what", "the agent itself says what it takes");
    shop.cx.call(new(Some("fetch"), json!({}))).await.unwrap();
    for _ in 0..3 {
        shop.cx.check_health().await.unwrap();
    }
    shop.wait(3_600).await;
    let session = shop.sessions().await.remove(0);
    assert_eq!((session.state, session.reason.as_deref()), (SessionState::Failed, Some("agent_unavailable")));
    assert!(session.run_ids.is_empty());
    frail.is_ill.store(false, Ordering::SeqCst);
    shop.cx.check_health().await.unwrap();
    shop.wait(3_600).await;
    assert_eq!(shop.states().await, [SessionState::Failed, SessionState::Completed]);
}
