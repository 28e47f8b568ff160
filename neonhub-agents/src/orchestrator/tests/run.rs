use neonhub_core::PermissionSet;
use neonhub_core::llm::{Reply, Scripted, ToolCall};
use neonhub_core::run::{GetRun, ListRuns, RunStatus};

use super::*;
use crate::registry::ExecuteAgent;

fn undo(name: &str) -> Option<Undo> {
    Some(Undo { agent: "bob".into(), intent: "work".into(), input: json!({ "name": name }) })
}

/// The events of a run in the order of its log.
async fn events(cx: &Scope, run: &str) -> Vec<String> {
    let log = cx.call(GetRun { id: run.to_owned(), with_log: true }).await.unwrap().log;
    let told = log.iter().filter(|line| line.kind == "emitted");
    told.map(|line| {
        let node = line.data["data"]["node"].as_str().unwrap_or_default();
        format!("{} {node}", line.data["event"].as_str().unwrap())
    })
    .collect()
}

#[tokio::test]
async fn nodes_run_when_what_they_need_is_there_and_results_stand_in_order() {
    let (cx, diary) = world().await;
    let say = json!({ "name": "d", "say": ["{{b.output.length}}", "{{ c.output.name }}!"] });
    let nodes =
        vec![PlanNode { input: say, ..node("d", &[]) }, node("b", &["a"]), node("c", &["a"]), node("a", &[])];
    let view = run(&cx, nodes).await;
    assert_eq!(view.status, RunStatus::Completed, "{:?}", view.failure);
    let lines = diary.lines();
    assert_eq!((lines.len(), lines[0].as_str(), lines[3].as_str()), (4, "a", "d"), "{lines:?}");
    assert_eq!(view.nodes[0].output["said"], json!([1, "c!"]));
    assert_eq!(view.nodes.iter().map(|n| n.id.as_str()).collect::<Vec<_>>(), ["d", "b", "c", "a"]);
    let run = cx.call(GetRun { id: view.run.clone(), with_log: false }).await.unwrap();
    assert_eq!(run.output["nodes"][0]["output"], view.nodes[0].output);
    assert_eq!(cx.call(PlanStatus { run: view.run.clone() }).await.unwrap(), view);
    let told = events(&cx, &view.run).await;
    assert_eq!(told[..2], ["plan.node.started a", "plan.node.completed a"]);
    assert_eq!(told.len(), 8, "{told:?}");
}

#[tokio::test]
async fn at_most_eight_run_side_by_side() {
    let (cx, diary) = world().await;
    let view = run(&cx, (0..20).map(|i| node(&format!("n{i:02}"), &[])).collect()).await;
    assert!(view.nodes.iter().all(|n| n.state == NodeState::Done));
    let most = diary.most_at_once.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most}");
}

#[tokio::test]
async fn the_same_key_is_the_same_run() {
    let (cx, diary) = world().await;
    let op = RunPlan { plan: plan(vec![node("a", &[])]), key: Some("k".into()), ..RunPlan::default() };
    let (one, two) = (cx.call(op.clone()).await.unwrap(), cx.call(op.clone()).await.unwrap());
    assert_eq!(one, two);
    assert_eq!(diary.lines(), ["a"]);
    let other = RunPlan { plan: plan(vec![node("b", &[])]), ..op };
    assert_eq!(cx.call(other).await.unwrap_err().code(), "idempotency_mismatch");
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_three_times_and_no_more() {
    let (cx, diary) = world().await;
    // The model of the agent tells of the failure; the run fails, having changed nothing.
    diary.fail("a", 2);
    let view = run(&cx, vec![node("a", &[])]).await;
    assert_eq!((view.nodes[0].state, view.nodes[0].tries), (NodeState::Failed, 1), "{view:?}");
    let model = |times: usize| {
        let broken =
            || neonhub_core::Error::new(ErrorKind::Unavailable, "llm", "down").with_retry(Retry::Backoff);
        (0..times).fold(Scripted::new(), |script, _| script.reply(Reply::Fail(broken())))
    };
    let good = Reply::json(&json!({ "name": "a", "length": 1 }));
    cx.hub().add_model(Arc::new(model(2).reply(good)));
    let view = run(&cx, vec![node("a", &[])]).await;
    assert_eq!((view.nodes[0].state, view.nodes[0].tries), (NodeState::Done, 3));
    cx.hub().add_model(Arc::new(model(3)));
    let view = run(&cx, vec![PlanNode { input: json!({ "name": "x" }), ..node("a", &[]) }]).await;
    assert_eq!((view.status, view.nodes[0].tries), (RunStatus::Failed, 3));
    assert_eq!(view.failure.unwrap().kind, "unavailable");
}

#[tokio::test]
async fn each_node_fails_as_it_was_told_to() {
    let (cx, diary) = world().await;
    for name in ["skip", "optional", "other", "fail"] {
        diary.fail(name, 99);
    }
    let fallback = NodeFailure::Fallback { agent: "bob".into(), intent: "work".into() };
    let nodes = vec![
        PlanNode { failure: NodeFailure::Skip, ..node("skip", &[]) },
        PlanNode { optional: true, ..node("optional", &[]) },
        node("after", &["skip", "optional"]),
        PlanNode { failure: fallback, ..node("other", &[]) },
    ];
    let view = run(&cx, nodes).await;
    assert_eq!(
        states(&view)[..3],
        [("skip", NodeState::Skipped), ("optional", NodeState::Skipped), ("after", NodeState::Done)]
    );
    // The other agent fails as well: one fallback, no circle.
    assert_eq!((view.nodes[3].state, view.nodes[3].tries), (NodeState::Failed, 2));
    assert_eq!(view.status, RunStatus::Failed);
    assert!(view.nodes[0].failure.is_some());
}

#[tokio::test]
async fn what_ended_well_is_taken_back_last_first() {
    let (cx, diary) = world().await;
    diary.fail("c", 99);
    let nodes = vec![
        PlanNode { undo: undo("no {{a.output.name}}"), ..node("a", &[]) },
        PlanNode { undo: undo("no b"), ..node("b", &["a"]) },
        node("plain", &["b"]),
        node("c", &["plain"]),
        node("never", &["c"]),
    ];
    let view = run(&cx, nodes).await;
    assert_eq!(view.status, RunStatus::Failed);
    assert_eq!(diary.lines(), ["a", "b", "plain", "c failed", "no b", "no a"]);
    assert_eq!(
        states(&view),
        [
            ("a", NodeState::Undone),
            ("b", NodeState::Undone),
            ("plain", NodeState::Done),
            ("c", NodeState::Failed),
            ("never", NodeState::Pending)
        ]
    );
}

#[tokio::test]
async fn joins_hold_by_what_ended_well() {
    let (cx, diary) = world().await;
    diary.fail("x", 99);
    let parts = || {
        let skip = |id: &str| PlanNode { failure: NodeFailure::Skip, ..node(id, &[]) };
        vec![skip("x"), skip("y"), skip("z")]
    };
    let with = |when| {
        let mut nodes = parts();
        nodes.push(PlanNode { when, ..node("end", &["x", "y", "z"]) });
        nodes
    };
    for (when, ends) in [
        (NodeJoin::All, true),
        (NodeJoin::Any, true),
        (NodeJoin::FirstOk, true),
        (NodeJoin::Quorum { n: 2 }, true),
        (NodeJoin::Quorum { n: 3 }, false),
    ] {
        let view = run(&cx, with(when)).await;
        assert_eq!(view.status == RunStatus::Completed, ends, "{when:?} {:?}", states(&view));
        if !ends {
            assert_eq!(view.failure.unwrap().code, "join_unmet");
        }
    }
}

#[tokio::test]
async fn children_have_the_rights_of_the_caller_at_most() {
    let (cx, _) = world().await;
    let weak = cx.with_permissions(PermissionSet::of(&[Permission::ExecuteAgents]));
    let create = PlanNode {
        agent: "campaign".into(),
        intent: "pause".into(),
        input: json!({ "id": "cmp_01kaf3w0000000000000000000" }),
        ..node("a", &[])
    };
    let view = run(&weak, vec![create]).await;
    assert_eq!(view.failure.unwrap().kind, "permission_denied");
}

#[tokio::test]
async fn an_agent_hands_over_within_its_list_and_never_to_itself() {
    let (cx, diary) = world().await;
    let mut boss = super::agent("boss");
    boss.handoff = vec!["ann.work".into()];
    boss.offline_plan = None;
    cx.call(PutAgent { spec: boss }).await.unwrap();
    cx.call(ActivateAgent { name: "boss".into(), version: Some("1.0.0".into()) }).await.unwrap();
    let call = |to: &str| {
        let args = json!({ "to": to, "input": { "name": "part" } });
        Reply::Tools(vec![ToolCall { id: "h".into(), name: "agents.hand_off".into(), args }])
    };
    let work = Reply::Tools(vec![ToolCall {
        id: "w".into(),
        name: "test.work".into(),
        args: json!({ "name": "part" }),
    }]);
    let end = |name: &str| Reply::json(&json!({ "name": name, "length": 4 }));
    let script = Scripted::new()
        .reply(call("bob.work"))
        .reply(call("ann.work"))
        .reply(work)
        .reply(end("part"))
        .reply(end("all"));
    cx.hub().add_model(Arc::new(script));
    let done = cx.call(ExecuteAgent::new("boss.work", json!({ "name": "x" }))).await.unwrap();
    assert_eq!((done.status, &done.output["name"]), (RunStatus::Completed, &json!("all")), "{done:?}");
    assert_eq!(diary.lines(), ["part"]);
    let runs = cx.call(ListRuns { agent: Some("ann".into()), ..ListRuns::default() }).await.unwrap().items;
    assert_eq!((runs.len(), runs[0].parent_run.as_deref(), runs[0].depth), (1, Some(done.run.as_str()), 1));
    // An intent that reads has nobody act for it, whatever the list says.
    let inside = cx.for_agent("boss", &done.run, PermissionSet::all());
    let far = HandOff { to: "ann.act".into(), input: json!({ "name": "far" }) };
    assert_eq!(inside.call(far).await.unwrap_err().code(), "effect_max");
    let outside = HandOff { to: "ann.work".into(), input: json!({ "name": "x" }) };
    assert_eq!(cx.call(outside).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}
