//! Plans and runs beside each other: the room they share, runs that another process works on, runs whose process is gone.

use std::time::Duration;

use futures_util::future::join_all;
use neonhub_core::bus::Event;
use neonhub_core::llm::{Reply, Scripted, ToolCall};
use neonhub_core::run::{AgentRun, ListRuns, RunStatus};
use neonhub_core::store::{MemoryStore, Query, SharedStore};

use super::*;
use crate::registry::{ExecuteAgent, RunRoom};

async fn runs(cx: &Scope) -> Vec<AgentRun> {
    cx.call(ListRuns { limit: Some(500), ..ListRuns::default() }).await.unwrap().items
}

#[tokio::test]
async fn a_hundred_runs_at_once_wait_and_eight_work() {
    let (cx, diary) = world().await;
    let all = (0..100).map(|i| cx.call(ExecuteAgent::new("ann.work", json!({ "name": format!("n{i}") }))));
    let done = join_all(all).await;
    assert!(done.iter().all(|d| d.as_ref().is_ok_and(|d| d.status == RunStatus::Completed)), "{done:?}");
    assert_eq!(diary.lines().len(), 100);
    let most = diary.most_at_once.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most}");
}

#[tokio::test]
async fn plans_side_by_side_share_the_eight_places() {
    let (cx, diary) = world().await;
    let wide = |name: &str| RunPlan {
        plan: plan((0..12).map(|i| node(&format!("{name}{i:02}"), &[])).collect()),
        ..RunPlan::default()
    };
    let done = join_all(["a", "b", "c"].map(|name| cx.call(wide(name)))).await;
    assert!(done.iter().all(|view| view.as_ref().unwrap().status == RunStatus::Completed));
    assert!(diary.most_at_once.load(Ordering::SeqCst) <= 8);
}

#[tokio::test]
async fn a_run_that_another_one_waits_for_needs_no_place_of_its_own() {
    let room = RunRoom::default().at_once(1).queue(0, Duration::from_secs(1));
    let (cx, diary) = open(Hub::builder().clock(clock()).seed(3).service(Arc::new(room))).await;
    hire(&cx).await;
    let mut boss = super::agent("boss");
    boss.handoff = vec!["ann.work".into()];
    boss.offline_plan = None;
    cx.call(PutAgent { spec: boss }).await.unwrap();
    cx.call(ActivateAgent { name: "boss".into(), version: Some("1.0.0".into()) }).await.unwrap();
    let call = |name: &str, args| Reply::Tools(vec![ToolCall { id: "c".into(), name: name.into(), args }]);
    let end = || Reply::json(&json!({ "name": "all", "length": 3 }));
    let script = Scripted::new()
        .reply(call("agents.hand_off", json!({ "to": "ann.work", "input": { "name": "part" } })))
        .reply(call("test.work", json!({ "name": "part" })))
        .reply(end())
        .reply(end());
    cx.hub().add_model(Arc::new(script));
    let done = cx.call(ExecuteAgent::new("boss.work", json!({ "name": "x" }))).await.unwrap();
    assert_eq!((done.status, diary.lines()), (RunStatus::Completed, vec!["part".to_owned()]), "{done:?}");
}

#[tokio::test]
async fn a_plan_that_another_process_drives_is_cancelled_with_every_run_it_just_began() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let time = clock();
    let builder = || Hub::builder().store_backend(Arc::clone(&store)).clock(time.clone());
    let (one, diary) = open(builder().seed(3)).await;
    let (two, _) = open(builder().seed(4)).await;
    hire(&one).await;
    let nodes: Vec<PlanNode> = (0..8).map(|i| node(&format!("n{i}"), &[])).collect();
    // Most of them have just begun when the first one hangs.
    (0..8).for_each(|i| diary.hang(&format!("n{i}")));
    let op = RunPlan { plan: plan(nodes), ..RunPlan::default() };
    let cancel = async {
        while diary.lines().is_empty() {
            tokio::task::yield_now().await;
        }
        let all = runs(&two).await;
        let run = all.iter().find(|run| run.agent == "orchestrator").unwrap().id.clone();
        two.call(CancelPlan { run }).await.unwrap()
    };
    let (gone, view) = tokio::join!(one.call(op), cancel);
    assert_eq!((gone.unwrap().status, view.status), (RunStatus::Cancelled, RunStatus::Cancelled));
    let left: Vec<_> = runs(&two).await.into_iter().filter(|run| !run.status.is_final()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Calls, and goes away in the middle of the work.
async fn killed(diary: &Diary, op: impl Future<Output = ()>) {
    let hangs = async {
        while !diary.lines().iter().any(|line| line.ends_with("hangs")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = op => panic!("it did not hang"),
        () = hangs => {}
    }
}

#[tokio::test]
async fn a_run_without_a_key_goes_on_after_its_process_died() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let time = clock();
    let builder = || Hub::builder().store_backend(Arc::clone(&store)).clock(time.clone());
    let (one, before) = open(builder().seed(3)).await;
    hire(&one).await;
    before.hang("single");
    let work = one.call(ExecuteAgent::new("ann.work", json!({ "name": "single" })));
    killed(&before, async { drop(work.await) }).await;
    before.lines.lock().unwrap().clear();
    before.hang("node");
    let planned = one.call(RunPlan { plan: plan(vec![node("node", &[])]), ..RunPlan::default() });
    killed(&before, async { drop(planned.await) }).await;
    drop(one);
    time.advance(Duration::from_secs(61));
    let (two, after) = open(builder().seed(4)).await;
    assert!(runs(&two).await.iter().all(|run| run.status == RunStatus::Interrupted));
    // The first round finds them, the second hands them over.
    for _ in 0..2 {
        two.check_health().await.unwrap();
        time.advance(Duration::from_secs(300));
    }
    two.work_until_idle().await.unwrap();
    let ended = runs(&two).await;
    assert_eq!(ended.len(), 3, "the node is found by its key: {ended:?}");
    assert!(ended.iter().all(|run| run.status == RunStatus::Completed), "{ended:?}");
    let mut lines = after.lines();
    lines.sort();
    assert_eq!(lines, ["node", "single"]);
    let told = two.query::<Event>(&Query::by_id().limit(500)).await.unwrap();
    assert_eq!(told.iter().filter(|e| e.kind == "run.interrupted").count(), 2, "the run and the plan");
}
