//! A clerk that makes a brand, and what is asked of its run afterwards.

use std::sync::Arc;

use neonhub_core::llm::{Reply, Scripted, ToolCall};
use neonhub_core::op::CallOptions;
use neonhub_core::run::{ForkEffects, GetRun, LogEntry, RunStatus, ToolExecutionState};
use neonhub_core::store::{Batch, Expected, Key, Kind, Query, Row, Write};
use neonhub_core::{Permission, PermissionSet, Scope};
use serde_json::{Value, json};

use super::*;
use crate::brand::ListBrands;
use crate::registry::tests::{activate, ask, builder, clock, modelled, scope};
use crate::registry::{AgentMetrics, ExecuteMode, Executed};

fn make(name: &str) -> Reply {
    Reply::Tools(vec![ToolCall {
        id: "c".into(),
        name: "brands.create".into(),
        args: json!({ "name": name }),
    }])
}

/// A run that made the brand Tea.
async fn made() -> (Scope, Executed) {
    let cx = scope().await;
    activate(&cx, modelled()).await;
    cx.hub().add_model(Arc::new(Scripted::new().reply(make("Tea")).reply("Tea is there.")));
    let done = cx.call(ask("clerk.work", json!({ "ask": "make Tea" }))).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    (cx, done)
}

async fn brands(cx: &Scope) -> usize {
    cx.call(ListBrands::default()).await.unwrap().items.len()
}

async fn policy(cx: &Scope, effect: Value) {
    let rule = json!({ "policy": { "name": "ask", "reason": "people decide", "effect": effect,
        "scope": { "operations": ["brands.create"], "agents": ["clerk"] } } });
    let put = cx.call_by_name("policies.put", rule, CallOptions::new()).await.unwrap();
    cx.call_by_name("policies.activate", json!({ "id": put["id"] }), CallOptions::new()).await.unwrap();
}

/// How the calls of tools by this name ended, and how often they were made.
async fn states(cx: &Scope, run: &str, call: &str) -> Vec<(ToolExecutionState, u32)> {
    let tools = cx.call(GetRun { id: run.to_owned(), with_log: false }).await.unwrap().tools;
    tools.iter().filter(|tool| tool.call == call).map(|tool| (tool.state, tool.attempts)).collect()
}

fn fork(run: &str, changes: ForkChanges) -> ForkRun {
    ForkRun { id: run.to_owned(), changes, ..ForkRun::default() }
}

#[tokio::test]
async fn a_log_told_again_is_the_same_until_it_is_touched() {
    let (cx, done) = made().await;
    let told = cx.call(ReplayRun { id: done.run.clone() }).await.unwrap();
    assert!(told.is_same, "{told:?}");
    assert_eq!((told.output, told.divergence), (done.output, None));
    let last = Key::text(&done.run).and_int(i64::from(told.steps) - 1);
    let mut row = cx.query::<LogEntry>(&Query::index("run").equals(last)).await.unwrap().remove(0);
    row.body.data["output"] = json!({ "text": "Coffee is there." });
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    let row = Row::of(&row.body, cx.now(), "test").unwrap();
    batch.writes.push(Write::Put { kind: Kind::of::<LogEntry>(), row, expected: Expected::Any });
    cx.hub().store().commit(batch).await.unwrap();
    let told = cx.call(ReplayRun { id: done.run }).await.unwrap();
    let divergence = told.divergence.unwrap();
    assert_eq!((told.is_same, divergence.seq), (false, told.steps));
    assert_eq!(divergence.logged["output"]["text"], "Coffee is there.");
    assert_eq!(divergence.told["output"]["text"], "Tea is there.");
}

#[tokio::test]
async fn a_fork_goes_another_way_and_changes_nothing() {
    let (cx, done) = made().await;
    let script = Arc::new(Scripted::new().reply("There was no Tea."));
    cx.hub().add_model(Arc::clone(&script) as _);
    let mut changes = ForkChanges::default();
    changes.outputs.insert("turn/1/0".into(), json!({ "id": "brd_none" }));
    let other = cx.call(fork(&done.run, changes)).await.unwrap();
    assert_eq!(
        (other.status, &other.output),
        (RunStatus::Completed, &json!({ "text": "There was no Tea." }))
    );
    let asked = script.requests();
    assert!(asked.len() == 1 && format!("{asked:?}").contains("brd_none"), "{asked:?}");
    let run = cx.call(GetRun { id: other.run.clone(), with_log: false }).await.unwrap().run;
    assert_eq!(run.forked_from.map(|fork| fork.run), Some(done.run.clone()));
    // The brand of the first run, and no other: the fork called nothing for it.
    assert_eq!(brands(&cx).await, 1);
    assert_eq!(states(&cx, &done.run, "turn/1/0").await, [(ToolExecutionState::Landed, 1)]);
    assert_eq!(states(&cx, &other.run, "turn/1/0").await, [(ToolExecutionState::ServedFromLog, 0)]);
    let told = cx.call(ExplainRun { id: other.run.clone() }).await.unwrap();
    let lines: Vec<&str> = told.steps.iter().flat_map(|step| &step.because).map(String::as_str).collect();
    assert!(lines.contains(&"taken over from the run that this one was forked from"), "{lines:?}");
    let diff = cx.call(DiffRuns { a: done.run.clone(), b: other.run.clone() }).await.unwrap();
    let parts = diff.first_difference.unwrap();
    assert_eq!((parts.a["kind"].as_str(), parts.seq), (Some("tool_done"), 7));
    assert!(!diff.same_output);
    let itself = cx.call(DiffRuns { a: done.run.clone(), b: done.run }).await.unwrap();
    assert_eq!((itself.first_difference, itself.same_output), (None, true));
    // A fork can be told again as well.
    assert!(cx.call(ReplayRun { id: other.run }).await.unwrap().is_same);
}

#[tokio::test]
async fn other_instructions_are_read_from_the_first_question_on() {
    let (cx, done) = made().await;
    let script = Arc::new(Scripted::new().reply("I would rather ask."));
    cx.hub().add_model(Arc::clone(&script) as _);
    let changes = ForkChanges { prompt: Some("You are careful.".into()), ..ForkChanges::default() };
    let other = cx.call(fork(&done.run, changes)).await.unwrap();
    assert_eq!(other.output, json!({ "text": "I would rather ask." }), "{other:?}");
    let asked = script.requests();
    assert!(asked.len() == 1 && format!("{asked:?}").contains("You are careful."), "{asked:?}");
}

#[tokio::test]
async fn tools_of_a_fork_are_called_only_when_it_is_allowed() {
    let (cx, done) = made().await;
    for (effects, expected) in [(ForkEffects::Simulate, 1), (ForkEffects::Allow, 2)] {
        cx.hub().add_model(Arc::new(Scripted::new().reply(make("Coffee")).reply("Both are there.")));
        let input = Some(json!({ "ask": "make Coffee" }));
        let changes = ForkChanges { input, model: Some("scripted/other".into()), ..ForkChanges::default() };
        let other = ForkRun { effects, at: Some(3), ..fork(&done.run, changes) };
        let other = cx.call(other).await.unwrap();
        assert_eq!(other.output, json!({ "text": "Both are there." }), "{effects:?} {other:?}");
        assert_eq!(brands(&cx).await, expected, "{effects:?}");
        let run = other.run;
        let log = cx.call(GetRun { id: run.clone(), with_log: true }).await.unwrap().log;
        let made = log.iter().find(|l| l.kind == "tool_done" && l.data["call"] == "turn/1/0").unwrap();
        assert_eq!(made.data["output"]["simulated"] == true, effects == ForkEffects::Simulate);
        let simulates = effects == ForkEffects::Simulate;
        let state = if simulates { ToolExecutionState::NotLanded } else { ToolExecutionState::Landed };
        assert_eq!(states(&cx, &run, "turn/1/0").await, [(state, u32::from(!simulates))]);
    }
}

#[tokio::test]
async fn a_call_that_a_fork_holds_back_answers_what_it_did_in_the_first_run() {
    let (cx, done) = made().await;
    let answer = async |run: String| {
        let log = cx.call(GetRun { id: run, with_log: true }).await.unwrap().log;
        log.iter().find(|l| l.kind == "tool_done" && l.data["call"] == "turn/1/0").unwrap().data["output"]
            .clone()
    };
    cx.hub().add_model(Arc::new(Scripted::new().reply(make("Tea")).reply("Tea, again.")));
    let other = ForkRun { at: Some(3), ..fork(&done.run, ForkChanges::default()) };
    let other = cx.call(other).await.unwrap();
    assert_eq!(other.output, json!({ "text": "Tea, again." }), "{other:?}");
    assert_eq!(states(&cx, &other.run, "turn/1/0").await, [(ToolExecutionState::ServedFromLog, 0)]);
    assert_eq!(answer(other.run).await, answer(done.run).await);
    assert_eq!(brands(&cx).await, 1);
}

#[tokio::test]
async fn a_fork_waits_for_no_answer_to_the_question_of_another_run() {
    let cx = scope().await;
    activate(&cx, modelled()).await;
    policy(&cx, json!({ "do": "require_approval", "quorum": 1 })).await;
    cx.hub().add_model(Arc::new(Scripted::new().reply(make("Tea")).reply("As if it were there.")));
    let waits = cx.call(ask("clerk.work", json!({ "ask": "make Tea" }))).await.unwrap();
    assert_eq!(waits.status, RunStatus::Waiting);
    let other = cx.call(fork(&waits.run, ForkChanges::default())).await.unwrap();
    assert_eq!(other.output, json!({ "text": "As if it were there." }), "{other:?}");
    assert_eq!(brands(&cx).await, 0);
}

#[tokio::test]
async fn a_fork_is_refused_with_the_cure() {
    let (cx, done) = made().await;
    let refused = async |fork: ForkRun| cx.call(fork).await.unwrap_err();
    let mut changes = ForkChanges::default();
    changes.outputs.insert("turn/1/9".into(), json!({}));
    let error = refused(fork(&done.run, changes)).await;
    assert!(
        error.to_string().contains("changes.outputs") && error.to_string().contains("turn/1/0"),
        "{error}"
    );
    let input = ForkChanges { input: Some(json!({ "ask": 5 })), ..ForkChanges::default() };
    assert!(refused(fork(&done.run, input)).await.to_string().contains("input.ask"));
    let prompt = ForkChanges { prompt: Some("Be brief.".into()), ..ForkChanges::default() };
    let error = refused(ForkRun { at: Some(1), ..fork(&done.run, prompt) }).await;
    assert!(error.to_string().contains("changes.prompt"), "{error}");
    let version = ForkChanges { version: Some("9.0.0".into()), ..ForkChanges::default() };
    assert!(refused(fork(&done.run, version)).await.to_string().contains("no such version"));
    let agent = cx.for_agent("clerk", &done.run, PermissionSet::all());
    let error = agent.call(fork(&done.run, ForkChanges::default())).await.unwrap_err();
    assert!(error.to_string().contains("forked by people"), "{error}");
    // The same key is the same fork, and no other.
    let keyed = |at| ForkRun {
        at: Some(at),
        mode: ExecuteMode::Start,
        key: Some("k".into()),
        ..fork(&done.run, ForkChanges::default())
    };
    let first = cx.call(keyed(3)).await.unwrap();
    assert_eq!(cx.call(keyed(3)).await.unwrap().run, first.run);
    assert_eq!(refused(keyed(1)).await.code(), "idempotency_mismatch");
}

#[tokio::test]
async fn a_run_that_waits_is_gone_on_with_and_one_that_ended_is_not() {
    let cx = scope().await;
    activate(&cx, modelled()).await;
    policy(&cx, json!({ "do": "require_approval", "quorum": 1 })).await;
    cx.hub().add_model(Arc::new(Scripted::new().reply(make("Tea")).reply("Tea is there.")));
    let waits = cx.call(ask("clerk.work", json!({ "ask": "make Tea" }))).await.unwrap();
    let id = waits.run;
    let still = cx.call(ResumeRun { id: id.clone(), ..ResumeRun::default() }).await.unwrap();
    assert_eq!((still.status, brands(&cx).await), (RunStatus::Waiting, 0));
    let answered =
        ResumeRun { id: id.clone(), payload: Some(json!({ "approved": true })), ..ResumeRun::default() };
    assert_eq!(cx.call(answered).await.unwrap_err().code(), "not_waiting", "a question is answered as such");
    let question = super::explain::approvals(&cx, &id).await.unwrap().remove(0);
    cx.call_by_name("approvals.approve", json!({ "id": question.id, "note": "fine" }), CallOptions::new())
        .await
        .unwrap();
    let done = cx.call(ResumeRun { id: id.clone(), ..ResumeRun::default() }).await.unwrap();
    assert_eq!((done.status, brands(&cx).await), (RunStatus::Completed, 1));
    let again = cx.call(ResumeRun { id: id.clone(), ..ResumeRun::default() }).await.unwrap_err();
    assert_eq!(again.code(), "run_finished");
    assert!(cx.call(ReplayRun { id: id.clone() }).await.unwrap().is_same);

    let told = cx.call(ExplainRun { id: id.clone() }).await.unwrap();
    let lines: Vec<String> =
        told.steps.iter().map(|s| format!("{} <- {}", s.what, s.because.join("; "))).collect();
    let text = lines.join("\n");
    for expected in [
        "clerk.work began <- user:owner asked for it; version 1.0.0 of the agent",
        "it had read from outside: the user",
        "answered and wants brands.create",
        "brands.create was called (idempotent) <- the model asked for it",
        "it asked a person <- a person must approve this first: people decide; by the policies ask@1",
        "the answer was yes <- user:owner: yes",
        "it ended: completed",
    ] {
        assert!(text.contains(expected), "{expected:?} in\n{text}");
    }
    assert!(told.steps.iter().any(|step| step.words.as_deref() == Some("Tea is there.")));
    let rights = [Permission::ExecuteAgents, Permission::ReadAudit, Permission::ApproveEffects];
    let blind = cx.with_permissions(PermissionSet::of(&rights));
    let masked = blind.call(ExplainRun { id: id.clone() }).await.unwrap();
    assert!(masked.steps.iter().all(|step| step.words.is_none()) && masked.approvals[0].args.is_none());

    let asker = cx.with_permissions(PermissionSet::of(&[Permission::ExecuteAgents]));
    let told = asker.call(ExplainRun { id: id.clone() }).await.unwrap();
    assert!(
        told.approvals.is_empty() && told.steps.len() == masked.steps.len(),
        "approvals.list is not theirs"
    );

    let bundle = cx.call(ExportRun { id: id.clone() }).await.unwrap();
    let [run] = bundle.runs.as_slice() else { panic!("{} runs", bundle.runs.len()) };
    assert_eq!(run.details.log.len() as u32, run.details.run.used.steps);
    assert_eq!((run.agent.as_ref().unwrap().version.as_str(), run.approvals.len()), ("1.0.0", 1));
    let hidden = blind.call(ExportRun { id }).await.unwrap();
    assert!(hidden.runs[0].details.log.iter().all(|line| line.data.is_null()));
}

#[tokio::test]
async fn an_explanation_names_the_models_that_were_passed_over() {
    use neonhub_core::llm::{Route, Router};
    let script = Arc::new(Scripted::new().reply("Here you are."));
    let route = Route::new("default").then("gone", "m0").then("scripted", "m1").offline_last();
    let router = Router::new().model(script).route(route);
    let cx = builder(&clock()).service(Arc::new(router)).build().await.unwrap();
    let cx = cx.workspace("default").await.unwrap();
    activate(&cx, modelled()).await;
    let done = cx.call(ask("clerk.work", json!({ "ask": "what now?" }))).await.unwrap();
    assert_eq!(done.output, json!({ "text": "Here you are." }), "{done:?}");
    let told = cx.call(ExplainRun { id: done.run }).await.unwrap();
    let answered = told.steps.iter().find(|step| step.what.starts_with("scripted/")).unwrap();
    let because = answered.because.join("\n");
    assert!(because.contains("the route default goes by gone/m0, scripted/m1, offline"), "{because}");
    assert!(because.contains("gone/m0 was left out: no such provider is set up"), "{because}");
}

#[tokio::test]
async fn a_run_that_a_quota_held_up_says_so_and_goes_on() {
    let cx = scope().await;
    activate(&cx, modelled()).await;
    cx.hub().add_model(Arc::new(Scripted::new().reply("Tea is there.")));
    let quota = json!({ "subject": { "kind": "workspace" }, "window": "day", "tokens": 0 });
    cx.call_by_name("economy.put_quota", quota, CallOptions::new()).await.unwrap();
    let held = cx.call(ask("clerk.work", json!({ "ask": "is there Tea?" }))).await.unwrap();
    assert_eq!(held.status, RunStatus::Waiting, "{held:?}");
    let question = super::explain::approvals(&cx, &held.run).await.unwrap().remove(0);
    cx.call_by_name("approvals.approve", json!({ "id": question.id }), CallOptions::new()).await.unwrap();
    let done = cx.call(ResumeRun { id: held.run.clone(), ..ResumeRun::default() }).await.unwrap();
    assert_eq!((done.status, &done.output), (RunStatus::Completed, &json!({ "text": "Tea is there." })));
    let told = cx.call(ExplainRun { id: held.run }).await.unwrap();
    let lines: Vec<String> =
        told.steps.iter().map(|s| format!("{} <- {}", s.what, s.because.join("; "))).collect();
    let text = lines.join("\n");
    for expected in [
        "it asked a person <- more may be used than the quota of workspace per day allows",
        "was asked again, for the 2. time <- more was allowed than the quota does",
    ] {
        assert!(text.contains(expected), "{expected:?} in\n{text}");
    }
}

#[tokio::test]
async fn what_people_say_of_a_run_is_checked_kept_and_counted() {
    let (cx, done) = made().await;
    let say = |kind, value| JudgeRun { id: done.run.clone(), kind, value, ..JudgeRun::default() };
    for (wrong, field) in [
        (say(FeedbackKind::Thumbs, Some(0.0)), "value"),
        (say(FeedbackKind::Rating, Some(6.0)), "value"),
        (say(FeedbackKind::Rating, Some(2.5)), "value"),
        (say(FeedbackKind::Correction, None), "corrected_text"),
        (say(FeedbackKind::Preference, None), "text"),
        (say(FeedbackKind::Report, None), "text"),
        (JudgeRun { step: Some(99), ..say(FeedbackKind::Thumbs, Some(1.0)) }, "step"),
        (
            JudgeRun { span: Some(FeedbackSpan { from: 3, to: 3 }), ..say(FeedbackKind::Thumbs, Some(1.0)) },
            "span",
        ),
    ] {
        let error = cx.call(wrong).await.unwrap_err();
        assert!(error.to_string().contains(field), "{field}: {error}");
    }
    cx.call(say(FeedbackKind::Thumbs, Some(1.0))).await.unwrap();
    cx.call(say(FeedbackKind::Thumbs, Some(-1.0))).await.unwrap();
    cx.call(JudgeRun { step: Some(2), ..say(FeedbackKind::Rating, Some(5.0)) }).await.unwrap();
    let better = Some("Tea is on the shelf.".to_owned());
    cx.call(JudgeRun { corrected_text: better.clone(), ..say(FeedbackKind::Correction, None) })
        .await
        .unwrap();
    let kept = feedback_of(&cx, &done.run).await.unwrap();
    assert_eq!((kept.len(), kept[3].corrected_text.clone()), (4, better));
    let metric =
        cx.call(AgentMetrics { agent: "clerk".into(), ..AgentMetrics::default() }).await.unwrap().remove(0);
    assert_eq!((metric.feedback_up, metric.feedback_down), (2, 1));
    let diff = cx.call(DiffRuns { a: done.run.clone(), b: done.run }).await.unwrap();
    assert_eq!((diff.a.score["thumbs"], diff.b.score["rating"]), (0.0, 5.0));
}

#[tokio::test]
async fn remarks_beyond_one_page_count_too() {
    let (cx, done) = made().await;
    let up = || cx.call(JudgeRun { id: done.run.clone(), value: Some(1.0), ..JudgeRun::default() });
    for said in futures_util::future::join_all((0..501).map(|_| up())).await {
        said.unwrap();
    }
    let told = cx.call(ExplainRun { id: done.run.clone() }).await.unwrap();
    assert_eq!(told.feedback.len(), 501);
    let metrics = cx.call(AgentMetrics { agent: "clerk".into(), ..AgentMetrics::default() }).await.unwrap();
    assert_eq!(metrics[0].feedback_up, 501);
}
