use neonhub_core::llm::table::{ModelRow, OverrideModel};
use neonhub_core::llm::{Llm, Reply, Scripted};
use neonhub_core::op::CallOptions;
use neonhub_core::resilience::{Counted, LimitProfile, Rate};
use neonhub_core::run::{GetRun, ListRuns, RunStatus};
use neonhub_core::{Currency, Money};
use tokio::sync::Semaphore;

use super::*;
use crate::registry::ExecuteMode;

/// An agent that acts on the world, so with a person's yes only; counts how often it did.
pub(super) async fn doer(cx: &Scope) -> Arc<AtomicU32> {
    let info = ToolInfo::new("test.act", "Acts").effect(EffectClass::Write);
    let count = Arc::new(AtomicU32::new(0));
    let acted = Arc::clone(&count);
    let act = FnTool::new(info, move |_cx: Scope, ask: super::Ask| {
        acted.fetch_add(1, Ordering::SeqCst);
        async move { Ok(json!({ "name": ask.name, "length": 3 })) }
    });
    cx.hub().add_tool(act).unwrap();
    let mut doer = super::agent("doer");
    doer.tools = vec!["test.act".into()];
    if let Some(plan) = &mut doer.offline_plan {
        plan.steps[0].tool = "test.act".into();
    }
    cx.call(PutAgent { spec: doer }).await.unwrap();
    cx.call(ActivateAgent { name: "doer".into(), version: Some("1.0.0".into()) }).await.unwrap();
    count
}

fn acts(id: &str) -> PlanNode {
    PlanNode { agent: "doer".into(), intent: "act".into(), ..node(id, &[]) }
}

fn ask(id: &str) -> PlanNode {
    PlanNode { failure: NodeFailure::Ask, ..node(id, &[]) }
}

async fn approved(cx: &Scope, plan: AgentPlan) -> PlanView {
    let approved = Some(cx.call(SimulatePlan { plan: plan.clone() }).await.unwrap().hash);
    cx.call(RunPlan { plan, approved, ..RunPlan::default() }).await.unwrap()
}

async fn runs_of(cx: &Scope, agent: &str) -> Vec<neonhub_core::run::AgentRun> {
    let all = ListRuns { agent: Some(agent.into()), limit: Some(500), ..ListRuns::default() };
    cx.call(all).await.unwrap().items
}

#[tokio::test]
async fn a_plan_asks_and_goes_on_as_told() {
    let (cx, diary) = world().await;
    let nodes = || vec![ask("a"), ask("b"), node("c", &["a", "b"])];
    diary.fail("a", 1);
    diary.fail("b", 9);
    let asking = run(&cx, nodes()).await;
    assert_eq!((asking.status, asking.is_asking), (RunStatus::Waiting, true));
    assert_eq!(
        states(&asking),
        [("a", NodeState::Asked), ("b", NodeState::Asked), ("c", NodeState::Pending)]
    );
    let wrong = cx.call(RetryNode { run: asking.run.clone(), node: "c".into() }).await.unwrap_err();
    assert_eq!(wrong.code(), "node_state");
    let wrong = cx.call(RetryNode { run: asking.run.clone(), node: "aa".into() }).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::NotFound);
    let still = cx.call(RetryNode { run: asking.run.clone(), node: "a".into() }).await.unwrap();
    assert_eq!(states(&still)[..2], [("a", NodeState::Done), ("b", NodeState::Asked)]);
    let done = cx.call(SkipNode { run: asking.run, node: "b".into() }).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed);
    assert_eq!(states(&done), [("a", NodeState::Done), ("b", NodeState::Skipped), ("c", NodeState::Done)]);
    assert_eq!(diary.lines()[2..], ["a", "c"]);
}

#[tokio::test]
async fn a_failed_plan_goes_on_in_a_new_run_without_repeating_what_is_done() {
    let (cx, diary) = world().await;
    diary.fail("b", 1);
    let failed = run(&cx, vec![node("a", &[]), node("b", &["a"]), node("c", &["b"])]).await;
    assert_eq!(failed.status, RunStatus::Failed);
    let done = cx.call(RetryNode { run: failed.run.clone(), node: "b".into() }).await.unwrap();
    assert_eq!((done.status, done.run == failed.run), (RunStatus::Completed, false));
    assert_eq!(diary.lines(), ["a", "b failed", "b", "c"]);
    let again = cx.call(RetryNode { run: failed.run, node: "b".into() }).await.unwrap();
    assert_eq!(again.run, done.run);
}

#[tokio::test]
async fn a_plan_is_cancelled_with_its_children_and_started_in_the_background() {
    let (cx, diary) = world().await;
    let op = RunPlan { plan: plan(vec![node("a", &[])]), mode: ExecuteMode::Start, ..RunPlan::default() };
    let begun = cx.call(op.clone()).await.unwrap();
    assert!(!begun.status.is_final());
    let gone = cx.call(CancelPlan { run: begun.run.clone() }).await.unwrap();
    assert_eq!(gone.status, RunStatus::Cancelled);
    cx.work_until_idle().await.unwrap();
    assert!(diary.lines().is_empty());
    let begun = cx.call(op).await.unwrap();
    cx.work_until_idle().await.unwrap();
    assert_eq!(cx.call(PlanStatus { run: begun.run }).await.unwrap().status, RunStatus::Completed);
    let other = cx.hub().create_workspace("other").await.unwrap();
    let foreign = other.call(PlanStatus { run: gone.run }).await.unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_child_that_waits_holds_up_only_what_needs_it() {
    let (cx, diary) = world().await;
    let count = doer(&cx).await;
    let whole = plan(vec![acts("act"), node("free", &[]), node("end", &["act", "free"])]);
    let waits = approved(&cx, whole).await;
    assert_eq!(
        states(&waits),
        [("act", NodeState::Waiting), ("free", NodeState::Done), ("end", NodeState::Pending)],
        "{waits:?}"
    );
    assert_eq!((waits.status, waits.is_asking, count.load(Ordering::SeqCst)), (RunStatus::Waiting, false, 0));
    let call = |name: &'static str, input| cx.call_by_name(name, input, CallOptions::new());
    let open = call("approvals.list", json!({ "state": "pending" })).await.unwrap();
    assert_eq!(open["items"].as_array().unwrap().len(), 1, "{open}");
    call("approvals.approve", json!({ "id": open["items"][0]["id"] })).await.unwrap();
    // The queue that follows the plan takes the answer up by itself.
    cx.work_until_idle().await.unwrap();
    let after = cx.call(PlanStatus { run: waits.run.clone() }).await.unwrap();
    let after = if after.status.is_final() {
        after
    } else {
        drive_any(&cx, &waits.run).await.unwrap();
        cx.call(PlanStatus { run: waits.run }).await.unwrap()
    };
    assert_eq!(after.status, RunStatus::Completed, "{after:?}");
    assert_eq!((count.load(Ordering::SeqCst), diary.lines()), (1, vec!["free".to_owned(), "end".to_owned()]));
}

#[tokio::test]
async fn what_two_people_say_at_once_is_done_both() {
    let (cx, diary) = world().await;
    diary.fail("a", 9);
    diary.fail("b", 9);
    let asking = run(&cx, vec![ask("a"), ask("b"), node("c", &["a", "b"])]).await;
    let wait = cx.call(GetRun { id: asking.run.clone(), with_log: false }).await.unwrap().run.wait_reason;
    let wait = wait.unwrap().strip_prefix("signal ").unwrap().to_owned();
    for node in ["a", "b"] {
        let command = PlanCommand::Skip { node: node.into() };
        cx.call(TellPlan { run: asking.run.clone(), wait: wait.clone(), command }).await.unwrap();
    }
    assert_eq!(drive_any(&cx, &asking.run).await.unwrap().run.status, RunStatus::Completed);
    let late = TellPlan { run: asking.run, wait, command: PlanCommand::Skip { node: "c".into() } };
    assert_eq!(cx.call(late).await.unwrap_err().code(), "node_state");
}

#[tokio::test]
async fn of_many_nodes_that_wait_the_last_one_moves_alone() {
    let (cx, _) = world().await;
    let count = doer(&cx).await;
    let waits = approved(&cx, plan((0..10).map(|i| acts(&format!("n{i}"))).collect())).await;
    let of = |view: &PlanView, state: NodeState| view.nodes.iter().filter(|n| n.state == state).count();
    assert_eq!(of(&waits, NodeState::Waiting), 10, "{:?}", states(&waits));
    let call = |name: &'static str, input| cx.call_by_name(name, input, CallOptions::new());
    let open = call("approvals.list", json!({ "state": "pending" })).await.unwrap();
    let last = waits.nodes[9].run.clone().unwrap();
    let its = open["items"].as_array().unwrap().iter().find(|a| a["run_id"] == json!(last)).unwrap();
    call("approvals.approve", json!({ "id": its["id"] })).await.unwrap();
    drive_any(&cx, &waits.run).await.unwrap();
    let after = cx.call(PlanStatus { run: waits.run }).await.unwrap();
    assert_eq!((of(&after, NodeState::Waiting), after.nodes[9].state), (9, NodeState::Done));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_plan_goes_on_with_the_agents_it_was_checked_with() {
    let (cx, diary) = world().await;
    diary.fail("a", 1);
    let asking = run(&cx, vec![ask("a"), node("b", &["a"])]).await;
    let mut newer = super::agent("ann");
    newer.version = "2.0.0".into();
    cx.call(PutAgent { spec: newer }).await.unwrap();
    cx.call(ActivateAgent { name: "ann".into(), version: Some("2.0.0".into()) }).await.unwrap();
    let done = cx.call(RetryNode { run: asking.run, node: "a".into() }).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    let runs = runs_of(&cx, "ann").await;
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run.spec.as_ref().unwrap().version == "1.0.0"), "{runs:?}");
    run(&cx, vec![node("a", &[])]).await;
    let all = runs_of(&cx, "ann").await;
    let newer: Vec<_> = all.iter().filter(|now| runs.iter().all(|run| run.id != now.id)).collect();
    assert!(newer.len() == 1 && newer[0].spec.as_ref().unwrap().version == "2.0.0", "{newer:?}");
}

#[tokio::test]
async fn a_plan_that_is_cancelled_at_work_leaves_no_run_behind() {
    let (cx, diary) = world().await;
    diary.hang("a");
    let op = RunPlan { plan: plan(vec![node("a", &[]), node("b", &[])]), ..RunPlan::default() };
    let cancel = async {
        while !diary.lines().contains(&"a hangs".to_owned()) {
            tokio::task::yield_now().await;
        }
        let run = runs_of(&cx, "orchestrator").await[0].id.clone();
        cx.call(CancelPlan { run }).await.unwrap()
    };
    let (gone, view) = tokio::join!(cx.call(op), cancel);
    assert_eq!((gone.unwrap().status, view.status), (RunStatus::Cancelled, RunStatus::Cancelled));
    let left = runs_of(&cx, "ann").await;
    assert!(left.len() == 2 && left.iter().all(|run| run.status.is_final()), "{left:?}");
}

#[tokio::test]
async fn the_nodes_of_a_plan_live_from_one_budget() {
    let (cx, _) = world().await;
    let row: ModelRow = serde_json::from_value(json!({
        "provider": "scripted", "model": "scripted-1", "kinds": ["text"], "source": "the test",
        "prices": { "currency": "USD", "input": 0, "output": 1_000_000 },
    }))
    .unwrap();
    let price = OverrideModel { provider: "scripted".into(), model: "scripted-1".into(), row: Some(row) };
    cx.call(price).await.unwrap();
    let cents = |minor| Money::new(minor, Currency::parse("c", "USD").unwrap()).unwrap();
    // A call may take 100 000 tokens, ten cents; no answer comes before both calls were let through or refused.
    for (budget, ends) in [(15, 1), (20, 2), (9, 0)] {
        let answers = Arc::new(Semaphore::new(0));
        let answer = || {
            let text = Reply::json(&json!({ "name": "n", "length": 1 }));
            Reply::Held(Arc::clone(&answers), Box::new(text))
        };
        let model = Arc::new(Scripted::new().reply(answer()).reply(answer()).lenient());
        cx.hub().add_model(Arc::clone(&model) as Arc<dyn Llm>);
        let skip = |id: &str| PlanNode { failure: NodeFailure::Skip, ..node(id, &[]) };
        let plan = AgentPlan { budget: Some(cents(budget)), ..plan(vec![skip("a"), skip("b")]) };
        let before = failed_runs(&cx).await;
        let let_go = async {
            while model.requests().len() + failed_runs(&cx).await - before < 2 {
                tokio::task::yield_now().await;
            }
            answers.add_permits(2);
        };
        let (view, ()) = tokio::join!(cx.call(RunPlan { plan, ..RunPlan::default() }), let_go);
        let view = view.unwrap();
        let done = view.nodes.iter().filter(|n| n.state == NodeState::Done).count();
        assert_eq!(done, ends, "{budget}: {view:?}");
        let codes = view.nodes.iter().filter_map(|n| n.failure.as_ref()).map(|f| f.code.as_str());
        assert!(codes.clone().count() == 2 - ends && codes.clone().all(|c| c == "budget_spent"), "{view:?}");
    }
}

/// How many runs of the plans' agent have failed.
async fn failed_runs(cx: &Scope) -> usize {
    runs_of(cx, "ann").await.iter().filter(|run| run.status == RunStatus::Failed).count()
}

#[tokio::test]
async fn more_nodes_of_one_agent_than_a_minute_admits_take_longer() {
    let minute = std::time::Duration::from_secs(60);
    let limits = LimitProfile::embedded().with(Counted::Agent, Rate::new(60, minute));
    let (cx, diary) = open(Hub::builder().clock(clock()).seed(3).limits(limits)).await;
    hire(&cx).await;
    let began = cx.now();
    let view = run(&cx, (0..70).map(|i| node(&format!("n{i:02}"), &[])).collect()).await;
    assert_eq!((view.status, diary.lines().len()), (RunStatus::Completed, 70), "{:?}", view.failure);
    assert!(cx.now() > began);
}
