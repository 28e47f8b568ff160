//! Supervisors and debates: who is asked, what is kept, and what survives a kill.

use std::collections::BTreeSet;

use neonhub_core::llm::{Reply, Scripted};
use neonhub_core::op::CallOptions;
use neonhub_core::run::{ListRuns, RunStatus};
use neonhub_core::store::SharedStore;

use super::mend::doer;
use super::*;
use crate::cut::cut;
use crate::registry::{ExecuteMode, Executed};

fn team(goal: &str, input: Value) -> Supervise {
    Supervise {
        goal: goal.into(),
        team: vec!["ann.work".into(), "bob.work".into()],
        input,
        ..Supervise::default()
    }
}

fn debate(n: u32) -> Debate {
    Debate {
        question: "Which name?".into(),
        drafters: vec!["ann.work".into(), "bob.work".into()],
        input: json!({ "name": "x" }),
        n: Some(n),
        ..Debate::default()
    }
}

fn steps(done: &Executed) -> Vec<(&str, &str)> {
    let steps = done.output["steps"].as_array().unwrap();
    steps.iter().map(|s| (s["address"].as_str().unwrap(), s["state"].as_str().unwrap())).collect()
}

fn said(name: &str) -> Reply {
    Reply::json(&json!({ "name": name, "length": name.len(), "said": null }))
}

fn pick(next: &str, input: &Value) -> Reply {
    Reply::json(&json!({ "is_done": next.is_empty(), "next": next, "input_json": input.to_string(),
        "why": "it is time", "answer": if next.is_empty() { "All named." } else { "" } }))
}

fn play(cx: &Scope, script: Scripted) -> Arc<Scripted> {
    let script = Arc::new(script);
    cx.hub().add_model(Arc::clone(&script) as _);
    script
}

#[tokio::test]
async fn offline_each_of_the_team_is_asked_once_as_soon_as_it_has_what_it_needs() {
    let (cx, diary) = world().await;
    let done = cx.call(team("Name things", json!({ "name": "x", "n": 3 }))).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    assert_eq!(steps(&done), [("ann.work", "done"), ("bob.work", "done")]);
    assert_eq!((&done.output["ended"], done.is_offline), (&json!("done"), true));
    assert!(done.summary.starts_with("offline result"), "{}", done.summary);
    assert_eq!(diary.lines(), ["x", "x"]);
    // Who lacks something is not asked, and nobody makes it up.
    let none = cx.call(team("Name things", json!({ "n": 3 }))).await.unwrap();
    let failure = none.failure.unwrap();
    assert_eq!(failure.code, "nobody_asked");
    assert!(failure.message.contains("ann.work lacks name"), "{}", failure.message);
    let one = Supervise { max_steps: Some(1), ..team("Name things", json!({ "name": "y" })) };
    let one = cx.call(one).await.unwrap();
    assert_eq!((steps(&one).len(), &one.output["ended"]), (1, &json!("max_steps")));
}

#[tokio::test]
async fn a_model_picks_and_is_held_to_the_team() {
    let (cx, _) = world().await;
    let b = json!({ "name": "b" });
    let script = Scripted::new()
        .reply(pick("bob.work", &b))
        .reply(said("b"))
        .reply(pick("bob.work", &b))
        .reply(pick("ann.work", &json!({ "name": 7 })))
        .reply(pick("ann.work", &json!({ "name": "a" })))
        .reply(said("a"))
        .reply(pick("", &json!({})));
    let script = play(&cx, script);
    let done = cx.call(team("Name things", json!({}))).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    assert_eq!(steps(&done), [("bob.work", "done"), ("ann.work", "done")]);
    // Outputs are copied; the words of the model stand apart.
    assert_eq!(done.output["steps"][0]["output"]["name"], "b");
    assert_eq!((&done.output["answer"], done.is_offline), (&json!("All named."), false));
    let refused: Vec<&str> =
        done.output["refused"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(refused[0].contains("same") && refused[1].contains("name"), "{refused:?}");
    script.finish();
    let wrong = || pick("cleo.work", &json!({}));
    play(&cx, Scripted::new().reply(wrong()).reply(wrong()).reply(wrong()).lenient());
    let lost = cx.call(team("Name things", json!({}))).await.unwrap();
    assert_eq!(lost.failure.unwrap().code, "invalid_decision");
}

#[tokio::test]
async fn a_team_is_checked_before_it_begins() {
    let (cx, _) = world().await;
    let fields = async |op: Supervise| {
        let error = cx.call(op).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        error.field_faults().iter().map(|f| f.field.clone()).collect::<Vec<_>>()
    };
    let unknown = Supervise { team: vec!["ann.work".into(), "bob.wrk".into()], ..team("x", json!({})) };
    assert_eq!(fields(unknown).await, ["team[1]"]);
    // What acts on the world is not asked unless that was said.
    let acting = Supervise { team: vec!["ann.act".into()], ..team("x", json!({})) };
    assert_eq!(fields(acting).await, ["team[0]"]);
    assert_eq!(
        fields(Supervise { max_steps: Some(0), ..team("", json!([])) }).await,
        ["goal", "input", "max_steps"]
    );
    let error = cx.call(Debate { input: json!({ "name": 3 }), ..debate(2) }).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "input.name");
    assert!(cx.call(ListRuns::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn an_errand_that_waits_for_a_person_holds_up_the_supervisor() {
    let (cx, diary) = world().await;
    let count = doer(&cx).await;
    let op = Supervise {
        team: vec!["doer.act".into(), "bob.work".into()],
        effect_max: Some(EffectClass::Write),
        ..team("Act", json!({ "name": "x" }))
    };
    let waits = cx.call(op).await.unwrap();
    assert_eq!((waits.status, count.load(Ordering::SeqCst)), (RunStatus::Waiting, 0), "{waits:?}");
    let call = |name: &'static str, input| cx.call_by_name(name, input, CallOptions::new());
    let open = call("approvals.list", json!({ "state": "pending" })).await.unwrap();
    call("approvals.approve", json!({ "id": open["items"][0]["id"] })).await.unwrap();
    let done = drive_any(&cx, &waits.run).await.unwrap();
    assert_eq!(done.run.status, RunStatus::Completed, "{done:?}");
    assert_eq!((count.load(Ordering::SeqCst), diary.lines()), (1, vec!["x".to_owned()]));
}

/// Runs `work` cut after every commit, each time in a world of its own, and gives what came of it in a second process.
async fn survives<O>(op: O, runs: [usize; 2], calls: usize)
where
    O: neonhub_core::op::Operation<Output = Executed> + Clone,
{
    let mut cuts = 0;
    for commits in 1.. {
        let store: SharedStore = Arc::new(neonhub_core::store::MemoryStore::new());
        let time = clock();
        let builder = || Hub::builder().store_backend(Arc::clone(&store)).clock(time.clone()).seed(3);
        let (cx, before) = open(builder()).await;
        hire(&cx).await;
        let was_cut = cut(&cx, commits, cx.call(op.clone())).await;
        time.advance(std::time::Duration::from_secs(31));
        let (cx, after) = open(builder()).await;
        let done = cx.call(op.clone()).await.unwrap();
        assert_eq!(done.status, RunStatus::Completed, "{commits}: {done:?}");
        for (agent, wanted) in ["ann", "bob"].into_iter().zip(runs) {
            let list = ListRuns { agent: Some(agent.into()), ..ListRuns::default() };
            let found = cx.call(list).await.unwrap().items;
            assert_eq!(found.len(), wanted, "{commits} {agent}");
            assert!(found.iter().all(|run| run.used.tool_calls == 2), "{commits}");
        }
        // A tool whose answer was written down is not called again; at most what was under way is.
        let made = before.lines().len() + after.lines().len();
        let under_way = if was_cut { runs.iter().max().copied().unwrap_or_default() * 2 } else { 0 };
        assert!((calls..=calls + under_way).contains(&made), "{commits}: {made}");
        if !was_cut {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 10, "only {cuts} places to cut");
}

#[tokio::test]
async fn a_supervisor_goes_on_after_a_kill_at_any_commit_and_repeats_no_finished_errand() {
    survives(Supervise { key: Some("k".into()), ..team("Name", json!({ "name": "x" })) }, [1, 1], 2).await;
}

#[tokio::test]
async fn a_debate_goes_on_after_a_kill_at_any_commit_and_repeats_no_finished_draft() {
    survives(Debate { key: Some("k".into()), ..debate(3) }, [2, 1], 3).await;
}

#[tokio::test]
async fn offline_rules_judge_and_a_failed_draft_is_left_out() {
    let (cx, diary) = world().await;
    let done = cx.call(debate(3)).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    assert_eq!((&done.output["critic"], &done.output["judge"]), (&json!("rules"), &json!("rules")));
    assert_eq!((&done.output["winner"], &done.output["is_unanimous"]), (&json!("draft_1"), &json!(true)));
    assert_eq!(done.output["output"]["name"], "x");
    assert!(done.output["dissent"].as_array().unwrap().is_empty());
    assert!(done.is_offline);
    // Ten failures: more than three drafts may have.
    diary.fail("x", 10);
    let none = cx.call(debate(3)).await.unwrap();
    assert_eq!(none.status, RunStatus::Failed, "{none:?}");
    assert!(none.failure.is_some());
}

#[tokio::test]
async fn dissent_is_kept_whole_with_what_speaks_for_it() {
    let (cx, _) = world().await;
    let critic = json!({ "critiques": [{ "draft": 0, "score": 0.9, "flaws": [] },
        { "draft": 1, "score": 0.4, "flaws": ["too short"] }] });
    let judge =
        json!({ "winner": 1, "why": "short is good", "dissent": [{ "draft": 0, "point": "it is clear" }] });
    let script = Scripted::new().reply(said("alpha")).reply(said("b")).reply(Reply::json(&critic));
    let script = play(&cx, script.reply(Reply::json(&judge)));
    let done = cx.call(debate(2)).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    let out = &done.output;
    assert_eq!(
        (&out["critic"], &out["judge"], &out["winner"]),
        (&json!("model"), &json!("model"), &json!("draft_2"))
    );
    let dissent = &out["dissent"][0];
    assert_eq!((&dissent["draft"], &dissent["points"]), (&json!("draft_1"), &json!(["it is clear"])));
    assert_eq!((&dissent["score"], &out["is_unanimous"]), (&json!(0.9), &json!(false)));
    let names: BTreeSet<&str> =
        [&out["output"], &dissent["output"]].into_iter().filter_map(|o| o["name"].as_str()).collect();
    assert_eq!(names, ["alpha", "b"].into());
    script.finish();
}

#[tokio::test]
async fn a_critic_and_a_judge_that_fail_are_replaced_by_rules_and_that_is_said() {
    let (cx, _) = world().await;
    let judge = json!({ "winner": 9, "why": "?", "dissent": [] });
    let script = Scripted::new().reply(said("alpha")).reply(said("b")).reply(Reply::Refuse("no".into()));
    play(&cx, script.reply(Reply::json(&judge)));
    let done = cx.call(debate(2)).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    assert_eq!((&done.output["critic"], &done.output["judge"]), (&json!("rules"), &json!("rules")));
    assert_eq!(done.output["dissent"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_key_is_the_same_run_also_in_the_background() {
    let (cx, diary) = world().await;
    let op =
        Supervise { key: Some("k".into()), mode: ExecuteMode::Start, ..team("Name", json!({ "name": "x" })) };
    let begun = cx.call(op.clone()).await.unwrap();
    assert!(!begun.status.is_final());
    cx.work_until_idle().await.unwrap();
    let done = cx.call(op).await.unwrap();
    assert_eq!((done.status, done.run), (RunStatus::Completed, begun.run));
    assert_eq!(diary.lines().len(), 2);
    let other = Supervise { key: Some("k".into()), ..team("Other", json!({ "name": "x" })) };
    assert_eq!(cx.call(other).await.unwrap_err().code(), "idempotency_mismatch");
}
