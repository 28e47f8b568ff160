//! Agents that are away, the room for runs, and tries before anything was changed.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use neonhub_core::bus::Event;
use neonhub_core::llm::{Reply, Scripted, ToolCall};
use neonhub_core::resilience::BreakerState;
use neonhub_core::run::{EffectClass, GetRun, ListRuns, RunStatus};
use neonhub_core::store::{MemoryStore, Query, SharedStore};
use neonhub_core::tool::{FnTool, ToolInfo};
use neonhub_core::{Error, ErrorKind, Retry};
use tokio::sync::Semaphore;

use super::*;

fn down(retry: Retry) -> Reply {
    Reply::Fail(Error::new(ErrorKind::Unavailable, "llm.call", "down").with_retry(retry))
}

fn model(cx: &Scope, replies: Vec<Reply>) -> Arc<Scripted> {
    let script = Arc::new(replies.into_iter().fold(Scripted::new(), Scripted::reply));
    cx.hub().add_model(Arc::clone(&script) as _);
    script
}

fn work() -> ExecuteAgent {
    ask("clerk.work", json!({ "ask": "x" }))
}

async fn told(cx: &Scope) -> Vec<String> {
    let all = cx.query::<Event>(&Query::by_id().limit(500)).await.unwrap();
    let mut all: Vec<Event> = all.into_iter().map(|e| e.body).collect();
    all.sort_by_key(|e| e.at);
    all.into_iter()
        .filter(|e| e.kind == "agent.unavailable" || e.kind == "agent.recovered")
        .map(|e| format!("{} {}", e.subject_id, e.kind))
        .collect()
}

async fn line_of(cx: &Scope, agent: &str) -> AgentLine {
    let all = cx.call(ListAgents::default()).await.unwrap();
    all.into_iter().find(|line| line.name == agent).unwrap()
}

#[tokio::test]
async fn three_failed_runs_shut_an_agent_out_until_a_trial_ends_well() {
    let clock = clock();
    let cx = builder(&clock).build().await.unwrap().workspace("default").await.unwrap();
    activate(&cx, modelled()).await;
    model(&cx, vec![down(Retry::Never), down(Retry::Never), down(Retry::Never), "well".into()]);
    for _ in 0..3 {
        assert_eq!(cx.call(work()).await.unwrap().status, RunStatus::Failed);
    }
    let refused = cx.call(work()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unavailable, "breaker_open"));
    assert_eq!(refused.retry(), Retry::After(Duration::from_secs(10)));
    let runs = ListRuns { agent: Some("clerk".into()), ..ListRuns::default() };
    assert_eq!(cx.call(runs).await.unwrap().items.len(), 3, "a refusal makes no run");
    let line = line_of(&cx, "clerk").await;
    assert!(line.is_unavailable && line.breaker == BreakerState::Open, "{line:?}");
    assert!(!line_of(&cx, "support").await.is_unavailable);
    clock.advance(Duration::from_secs(10));
    assert_eq!(cx.call(work()).await.unwrap().status, RunStatus::Completed);
    assert_eq!(line_of(&cx, "clerk").await.breaker, BreakerState::Closed);
    assert_eq!(told(&cx).await, ["clerk agent.unavailable", "clerk agent.recovered"]);
}

#[tokio::test]
async fn faults_of_callers_and_budgets_shut_nobody_out() {
    let cx = scope().await;
    activate(&cx, modelled()).await;
    let fail = |kind| Reply::Fail(Error::new(kind, "llm.call", "no"));
    let kinds = [ErrorKind::InvalidInput, ErrorKind::BudgetExceeded, ErrorKind::Unauthenticated];
    model(&cx, kinds.iter().cycle().take(9).map(|kind| fail(*kind)).collect());
    for _ in 0..9 {
        assert_eq!(cx.call(work()).await.unwrap().status, RunStatus::Failed);
    }
    assert!(!line_of(&cx, "clerk").await.is_unavailable);
}

#[tokio::test]
async fn another_agent_stands_in_and_a_key_stays_one_run() {
    let clock = clock();
    let cx = builder(&clock).build().await.unwrap().workspace("default").await.unwrap();
    activate(&cx, AgentSpec { name: "deputy".into(), ..modelled() }).await;
    activate(&cx, AgentSpec { fallback: Some("deputy".into()), ..modelled() }).await;
    let mut replies: Vec<Reply> = (0..3).map(|_| down(Retry::Never)).collect();
    replies.extend(["from the deputy".into(), "from the clerk".into()]);
    model(&cx, replies);
    for _ in 0..3 {
        cx.call(work()).await.unwrap();
    }
    let keyed = ExecuteAgent { key: Some("k".into()), ..work() };
    let done = cx.call(keyed.clone()).await.unwrap();
    assert_eq!((done.agent.as_str(), done.status), ("deputy", RunStatus::Completed), "{done:?}");
    let routed = crate::orchestrator::RouteIntent { intent: Some("clerk.work".into()), ..Default::default() };
    let routed = cx.call(routed).await.unwrap();
    assert_eq!((routed.agent.as_str(), routed.instead_of.as_deref()), ("deputy", Some("clerk")));
    clock.advance(Duration::from_secs(10));
    assert_eq!(cx.call(work()).await.unwrap().agent, "clerk", "the trial");
    assert_eq!(cx.call(keyed.clone()).await.unwrap().run, done.run);
    let other = ExecuteAgent { input: json!({ "ask": "y" }), ..keyed };
    assert_eq!(cx.call(other).await.unwrap_err().code(), "idempotency_mismatch");
}

#[tokio::test]
async fn nobody_stands_in_who_does_more_or_is_not_there() {
    let cx = scope().await;
    let lost = AgentSpec { fallback: Some("nobody".into()), ..modelled() };
    cx.call(PutAgent { spec: lost }).await.unwrap();
    let op = ActivateAgent { name: "clerk".into(), version: Some("1.0.0".into()) };
    assert_eq!(cx.call(op).await.unwrap_err().field_faults()[0].field, "fallback");
    let own = AgentSpec { fallback: Some("clerk".into()), ..modelled() };
    assert_eq!(cx.call(PutAgent { spec: own }).await.unwrap_err().field_faults()[0].field, "fallback");
    let mut strong = AgentSpec { name: "strong".into(), ..modelled() };
    strong.intents[0].effect_max = EffectClass::Write;
    activate(&cx, strong).await;
    activate(&cx, AgentSpec { fallback: Some("strong".into()), ..modelled() }).await;
    model(&cx, (0..3).map(|_| down(Retry::Never)).collect());
    for _ in 0..3 {
        cx.call(work()).await.unwrap();
    }
    let refused = cx.call(work()).await.unwrap_err();
    assert_eq!(refused.code(), "breaker_open");
    assert!(refused.to_string().contains("does more to the world"), "{refused}");
}

/// What to count.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Sku {
    sku: String,
}

#[tokio::test]
async fn an_agent_that_failed_three_checks_is_not_started_until_it_is_well() {
    let clock = clock();
    let cx = builder(&clock).build().await.unwrap().workspace("default").await.unwrap();
    let stock = || {
        let info = ToolInfo::new("shop.stock", "Counts").effect(EffectClass::Read);
        FnTool::new(info, |_cx, ask: Sku| async move { Ok(ask.sku.len()) })
    };
    cx.hub().add_tool(stock()).unwrap();
    let mut own = cx.call(GetAgent { name: "support".into(), version: None }).await.unwrap();
    own.version = "1.1.0".into();
    own.tools.push("shop.stock".into());
    activate(&cx, own).await;
    let clerk = AgentSpec { tools: vec!["shop.stock".into()], ..modelled() };
    activate(&cx, clerk).await;
    cx.hub().remove_tool("shop.stock");
    let reply = || ask("support.suggest_reply", json!({ "message": "hello" }));
    for _ in 0..3 {
        cx.call(reply()).await.unwrap();
        clock.advance(Duration::from_secs(300));
        cx.check_health().await.unwrap();
    }
    // A built-in one and one of the workspace's own.
    for op in [reply(), work()] {
        assert_eq!(cx.call(op).await.unwrap_err().code(), "agent_unavailable");
    }
    let line = line_of(&cx, "support").await;
    assert_eq!((line.is_unavailable, line.health.as_deref()), (true, Some("unhealthy")));
    cx.hub().add_tool(stock()).unwrap();
    clock.advance(Duration::from_secs(300));
    cx.check_health().await.unwrap();
    cx.call(reply()).await.unwrap();
    let mut all = told(&cx).await;
    all.sort();
    let expected = [
        "clerk agent.recovered",
        "clerk agent.unavailable",
        "support agent.recovered",
        "support agent.unavailable",
    ];
    assert_eq!(all, expected);
}

#[tokio::test]
async fn who_finds_no_room_is_told_the_setting_and_leaves_no_run() {
    let room = RunRoom::default().at_once(2).queue(1, Duration::from_secs(60));
    let hub = builder(&clock()).service(Arc::new(room)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    activate(&cx, modelled()).await;
    let answers = Arc::new(Semaphore::new(0));
    model(&cx, (0..3).map(|_| Reply::Held(Arc::clone(&answers), Box::new("late".into()))).collect());
    let mut all: FuturesUnordered<_> = (0..5).map(|_| cx.call(work())).collect();
    for _ in 0..2 {
        let error = all.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "no_place"));
        assert!(error.message().contains("`at_once`") && error.is_retryable(), "{error}");
    }
    answers.add_permits(3);
    while all.next().await.is_some() {}
    let runs = cx.call(ListRuns { agent: Some("clerk".into()), ..ListRuns::default() }).await.unwrap().items;
    assert!(runs.len() == 3 && runs.iter().all(|run| run.status == RunStatus::Completed), "{runs:?}");
    assert!(!line_of(&cx, "clerk").await.is_unavailable);
}

#[tokio::test]
async fn what_failed_before_anything_was_changed_is_tried_three_times_in_one_run() {
    let cx = scope().await;
    activate(&cx, modelled()).await;
    model(&cx, vec![down(Retry::Backoff), down(Retry::Backoff), "well".into()]);
    let done = cx.call(work()).await.unwrap();
    assert_eq!((done.status, &done.output["text"]), (RunStatus::Completed, &json!("well")), "{done:?}");
    let log = cx.call(GetRun { id: done.run, with_log: true }).await.unwrap().log;
    let tools: Vec<_> =
        log.iter().filter(|l| l.kind == "tool_planned").map(|l| l.data["tool"].clone()).collect();
    assert_eq!(tools, ["agents.prepare", "agents.pause", "agents.pause"]);
    let script = model(&cx, (0..3).map(|_| down(Retry::Backoff)).collect());
    let failed = cx.call(work()).await.unwrap();
    assert_eq!((failed.status, script.requests().len()), (RunStatus::Failed, 3));
    // One that says that another try is of no use is not tried again.
    let script = model(&cx, vec![down(Retry::Exhausted)]);
    cx.call(work()).await.unwrap();
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test]
async fn what_failed_after_a_change_is_not_tried_again() {
    let cx = scope().await;
    activate(&cx, modelled()).await;
    let call = |name: &str, args| Reply::Tools(vec![ToolCall { id: "c".into(), name: name.into(), args }]);
    let create = call("brands.create", json!({ "name": "Ours" }));
    let script = model(&cx, vec![create, down(Retry::Backoff)]);
    let failed = cx.call(work()).await.unwrap();
    assert_eq!((failed.status, script.requests().len()), (RunStatus::Failed, 2), "{failed:?}");
    // A look changes nothing.
    let script = model(&cx, vec![call("brands.list", json!({})), down(Retry::Backoff), "well".into()]);
    let done = cx.call(work()).await.unwrap();
    assert_eq!((done.status, script.requests().len()), (RunStatus::Completed, 3), "{done:?}");
}

#[tokio::test]
async fn runs_of_a_day_are_never_passed_by_starts_side_by_side() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let clock = clock();
    let open = || builder(&clock).store_backend(Arc::clone(&store));
    let one = open().build().await.unwrap().workspace("default").await.unwrap();
    let two = open().seed(12).build().await.unwrap().workspace("default").await.unwrap();
    let mut own = one.call(GetAgent { name: "support".into(), version: None }).await.unwrap();
    own.version = "1.1.0".into();
    activate(&one, own.clone()).await;
    let call = |cx: &Scope| {
        let cx = cx.clone();
        let start = ExecuteAgent {
            mode: ExecuteMode::Start,
            ..ask("support.suggest_reply", json!({ "message": "hello" }))
        };
        tokio::spawn(async move { cx.call(start).await })
    };
    // These are counted as well once there is a bound.
    call(&one).await.unwrap().unwrap();
    call(&two).await.unwrap().unwrap();
    own.version = "1.2.0".into();
    own.quotas.runs_per_day = Some(7);
    activate(&one, own).await;
    let calls: Vec<_> = (0..30).map(|i| call(if i % 2 == 0 { &one } else { &two })).collect();
    let mut began = 0;
    for done in join_all(calls).await {
        match done.unwrap() {
            Ok(_) => began += 1,
            Err(error) => assert_eq!(error.code(), "agent_quota", "{error}"),
        }
    }
    assert_eq!(began, 5);
}
