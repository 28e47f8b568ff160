//! Plans that go another way from a step on.

use neonhub_core::ErrorKind;
use neonhub_core::llm::Scripted;
use neonhub_core::run::{AgentRun, ForkEffects, GetRun, RunStatus, ToolExecutionState, What, load_log};

use super::*;
use crate::registry::Executed;
use crate::runs::{ForkChanges, ForkRun};

/// An agent that changes something.
async fn hire_changer(cx: &Scope) {
    let mut spec = agent("cal");
    spec.tools = vec!["test.change".into()];
    spec.intents = vec![intent("work", EffectClass::Idempotent)];
    if let Some(plan) = &mut spec.offline_plan {
        plan.steps[0].tool = "test.change".into();
    }
    cx.call(PutAgent { spec }).await.unwrap();
    cx.call(ActivateAgent { name: "cal".into(), version: Some("1.0.0".into()) }).await.unwrap();
}

/// Three nodes in a row; the second says what the first is called, the third changes something.
async fn ran(cx: &Scope) -> PlanView {
    hire_changer(cx).await;
    let said = json!({ "name": "b", "say": "{{a.output.name}}" });
    let last = PlanNode { agent: "cal".into(), ..node("c", &["b"]) };
    let nodes = vec![node("a", &[]), PlanNode { input: said, ..node("b", &["a"]) }, last];
    let view = run(cx, nodes).await;
    assert_eq!(view.status, RunStatus::Completed, "{view:?}");
    view
}

/// So many entries of the log until so many turns were over.
async fn after(cx: &Scope, run: &str, turns: usize) -> Option<u32> {
    let log = load_log(cx, run).await.unwrap();
    let done = log.iter().filter(|entry| matches!(entry.what, What::ToolDone { .. }));
    Some(done.map(|entry| entry.seq + 1).nth(turns - 1).unwrap())
}

async fn forked(cx: &Scope, fork: ForkRun) -> (Executed, PlanView) {
    let done = cx.call(fork).await.unwrap();
    let view = cx.call(PlanStatus { run: done.run.clone() }).await.unwrap();
    (done, view)
}

fn fork(run: &str, at: Option<u32>) -> ForkRun {
    ForkRun { id: run.to_owned(), at, ..ForkRun::default() }
}

#[tokio::test]
async fn a_fork_of_a_plan_keeps_what_was_done_and_does_the_rest_anew() {
    let (cx, diary) = world().await;
    let first = ran(&cx).await;
    let mut op = fork(&first.run, after(&cx, &first.run, 1).await);
    op.changes.outputs.insert("a".into(), json!({ "name": "ada", "length": 3 }));
    let (done, view) = forked(&cx, op).await;
    assert_eq!((done.status, &view.nodes[0].run), (RunStatus::Completed, &first.nodes[0].run), "{view:?}");
    assert_eq!(
        (&view.nodes[0].output["name"], &view.nodes[1].output["said"]),
        (&json!("ada"), &json!("ada"))
    );
    assert_ne!(view.nodes[1].run, first.nodes[1].run);
    // The node that was done was not asked again, and what changes something was not called.
    assert_eq!(diary.lines(), ["a", "b", "c", "b"]);
    assert_eq!(view.nodes[2].output, first.nodes[2].output, "it answers what it did in the first run");
    let child = view.nodes[2].run.clone().unwrap();
    let tools = cx.call(GetRun { id: child.clone(), with_log: false }).await.unwrap().tools;
    let held = tools.iter().find(|tool| tool.tool == "test.change").unwrap();
    assert_eq!((held.state, held.attempts), (ToolExecutionState::ServedFromLog, 0));
    let root = cx.need::<AgentRun>(&done.run).await.unwrap();
    assert_eq!(root.forked_from.as_ref().unwrap().run, first.run);
    // All of it was done: nothing is left to do.
    let (whole, _) = forked(&cx, fork(&first.run, None)).await;
    assert_eq!((whole.status, diary.lines().len()), (RunStatus::Completed, 4));
}

#[tokio::test]
async fn a_fork_of_a_plan_changes_something_only_when_it_is_allowed_and_asks_the_model_that_it_names() {
    let (cx, diary) = world().await;
    let first = ran(&cx).await;
    let at = after(&cx, &first.run, 2).await;
    let allowed = ForkRun { effects: ForkEffects::Allow, ..fork(&first.run, at) };
    let (done, _) = forked(&cx, allowed).await;
    assert_eq!(
        (done.status, diary.lines()),
        (RunStatus::Completed, ["a", "b", "c", "c"].map(String::from).to_vec())
    );
    let script = Arc::new(Scripted::new().reply(r#"{ "name": "c", "length": 9 }"#));
    cx.hub().add_model(Arc::clone(&script) as _);
    let changes = ForkChanges { model: Some("scripted/other".into()), ..ForkChanges::default() };
    let (_, view) = forked(&cx, ForkRun { changes, ..fork(&first.run, at) }).await;
    assert_eq!(view.nodes[2].output["length"], 9, "{view:?}");
    assert_eq!(script.requests()[0].model.as_deref(), Some("scripted/other"));
}

#[tokio::test]
async fn a_fork_of_a_plan_is_refused_with_the_cure() {
    let (cx, _) = world().await;
    let first = ran(&cx).await;
    let at = after(&cx, &first.run, 1).await;
    let changed = |changes| ForkRun { changes, ..fork(&first.run, at) };
    let mut outputs = ForkChanges::default();
    outputs.outputs.insert("b".into(), json!({}));
    let prompt = ForkChanges { prompt: Some("Be brief.".into()), ..ForkChanges::default() };
    let input = ForkChanges { input: Some(json!({})), ..ForkChanges::default() };
    for (changes, field) in
        [(outputs, "changes.outputs"), (prompt, "changes.prompt"), (input, "changes.input")]
    {
        let error = cx.call(changed(changes)).await.unwrap_err();
        assert_eq!((error.kind(), error.field_faults()[0].field.as_str()), (ErrorKind::InvalidInput, field));
    }
    let keyed = |at| ForkRun { key: Some("k".into()), ..fork(&first.run, at) };
    let (one, _) = forked(&cx, keyed(at)).await;
    assert_eq!(forked(&cx, keyed(at)).await.0.run, one.run);
    assert_eq!(cx.call(keyed(Some(1))).await.unwrap_err().code(), "idempotency_mismatch");
}
