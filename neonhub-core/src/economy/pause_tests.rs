//! Runs that a quota holds up: they wait for a person, and go on when more is allowed.

use serde_json::Value;

use super::*;
use crate::approval::{Approval, ApprovalState, Approve, ApproveEdited, Deny, ListApprovals};
use crate::run::{GetRun, RunView};

/// Has an operation write a text.
#[derive(Debug)]
struct Writer;

impl Machine for Writer {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let command = match event {
            RunEvent::Started { .. } => {
                let args = json!({ "prompt": "How are you?", "max_output_tokens": 100 });
                Command::tool("text", "ai.generate_text", args)
            }
            RunEvent::ToolDone { output, .. } => Command::done(output["text"].clone()),
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![command])
    }
}

impl Program for Writer {
    const AGENT: &'static str = "writer";
    const VERSION: u32 = 1;
}

async fn questions(cx: &Scope) -> Vec<Approval> {
    let open = ListApprovals { state: Some(ApprovalState::Pending), ..ListApprovals::default() };
    cx.call(open).await.unwrap().items
}

async fn yes(cx: &Scope, question: &Approval) {
    cx.call(Approve { id: question.id.clone(), note: None, always: None }).await.unwrap();
}

fn waits(view: &RunView) -> bool {
    view.run.status == RunStatus::Waiting && view.run.wait_reason.as_deref() == Some("approval")
}

async fn kinds(cx: &Scope, run: &str) -> Vec<String> {
    let log = cx.call(GetRun { id: run.to_owned(), with_log: true }).await.unwrap().log;
    log.into_iter().map(|line| line.kind).collect()
}

#[tokio::test]
async fn a_run_that_a_quota_holds_up_waits_until_a_person_allows_more() {
    let (_hub, cx, _) = world(GOOD).await;
    priced(&cx).await;
    cx.call(PutQuota { money: usd(0), tokens: Some(0), ..day(QuotaSubject::Workspace) }).await.unwrap();
    let driver = Driver::new(Asker);
    let held = driver.execute(&cx, NewRun::new(json!(1))).await.unwrap();
    assert!(waits(&held), "{held:?}");
    let [question] = <[Approval; 1]>::try_from(questions(&cx).await).unwrap();
    assert_eq!(question.operation, AllowMore::NAME);
    assert!(
        question.summary.contains("workspace per day") && question.summary.contains("0 are left"),
        "{question:?}"
    );
    // Nobody has answered: it waits on, and asks nothing more.
    assert!(waits(&driver.drive(&cx, &held.run.id).await.unwrap()));
    assert_eq!(questions(&cx).await.len(), 1);
    yes(&cx, &question).await;
    let done = driver.drive(&cx, &held.run.id).await.unwrap();
    assert_eq!(done.run.status, RunStatus::Completed, "{done:?}");
    assert_eq!(done.run.used.model_calls, 1, "the same call goes on");
    let called = [
        "started",
        "model_planned",
        "model_called",
        "wait",
        "woken",
        "model_called",
        "model_done",
        "finished",
    ];
    assert_eq!(kinds(&cx, &held.run.id).await, called);
    assert!(driver.replay(&cx, &held.run.id).await.unwrap().is_same);
    // What was allowed is for this window, and no more than the worst case of the call.
    let state = cx.call(GetQuotas::default()).await.unwrap().remove(0);
    assert_eq!((state.used_micros, state.more_micros, state.more_tokens), (108, 2_009, 1_009));
    let again = driver.execute(&cx, NewRun::new(json!(2))).await.unwrap();
    assert!(waits(&again), "{again:?}");
    let audit = cx.query::<crate::audit::AuditEntry>(&Query::by_id().limit(500)).await.unwrap();
    assert_eq!(audit.iter().filter(|row| row.action == AllowMore::NAME).count(), 1);
}

#[tokio::test]
async fn a_person_may_allow_more_than_was_asked_for_or_nothing() {
    let (_hub, cx, _) = world(GOOD).await;
    cx.call(PutQuota { tokens: Some(100), ..day(QuotaSubject::Workspace) }).await.unwrap();
    let driver = Driver::new(Asker);
    let first = driver.execute(&cx, NewRun::new(json!(1))).await.unwrap();
    let [question] = <[Approval; 1]>::try_from(questions(&cx).await).unwrap();
    let mut args = question.args.clone().unwrap();
    args["tokens"] = json!(100_000);
    let wrong = ApproveEdited { id: question.id.clone(), args: json!({ "tokens": -5 }), note: None };
    assert_eq!(cx.call(wrong).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    cx.call(ApproveEdited { id: question.id, args, note: None }).await.unwrap();
    assert_eq!(driver.drive(&cx, &first.run.id).await.unwrap().run.status, RunStatus::Completed);
    let second = driver.execute(&cx, NewRun::new(json!(2))).await.unwrap();
    assert_eq!(second.run.status, RunStatus::Completed, "there is room for the next ones");
    let mine = QuotaSubject::Agent { name: "asker".into() };
    cx.call(PutQuota { tokens: Some(0), ..day(mine) }).await.unwrap();
    let third = driver.execute(&cx, NewRun::new(json!(3))).await.unwrap();
    let [question] = <[Approval; 1]>::try_from(questions(&cx).await).unwrap();
    cx.call(Deny { id: question.id, note: Some("not today".into()) }).await.unwrap();
    let failed = driver.drive(&cx, &third.run.id).await.unwrap().run.failure.unwrap();
    assert_eq!((failed.kind.as_str(), failed.code.as_str()), ("budget_exceeded", "budget_paused"));
    assert!(failed.message.contains("not today"), "{failed:?}");
}

#[tokio::test]
async fn a_quota_that_fails_asks_nobody() {
    let (_hub, cx, _) = world(GOOD).await;
    cx.call(PutQuota { tokens: Some(0), hard: HardLimit::Fail, ..day(QuotaSubject::Workspace) })
        .await
        .unwrap();
    let failed = Driver::new(Asker).execute(&cx, NewRun::new(json!(1))).await.unwrap().run;
    assert_eq!((failed.status, failed.failure.unwrap().code.as_str()), (RunStatus::Failed, "budget_spent"));
    assert!(questions(&cx).await.is_empty());
}

#[tokio::test]
async fn an_operation_of_a_run_goes_on_as_well_and_its_cost_and_version_are_told() {
    let (_hub, cx, _) = world(GOOD).await;
    priced(&cx).await;
    cx.call(PutQuota { money: usd(0), ..day(QuotaSubject::Workspace) }).await.unwrap();
    let driver = Driver::new(Writer);
    let held = driver.execute(&cx, NewRun::new(json!(1))).await.unwrap();
    assert!(waits(&held), "{held:?}");
    let [question] = <[Approval; 1]>::try_from(questions(&cx).await).unwrap();
    let tool =
        async || cx.call(GetRun { id: held.run.id.clone(), with_log: false }).await.unwrap().tools.remove(0);
    assert_eq!((tool().await.version, tool().await.cost), (None, None));
    yes(&cx, &question).await;
    let done = driver.drive(&cx, &held.run.id).await.unwrap();
    assert_eq!((done.run.status, &done.output), (RunStatus::Completed, &Value::from("hi")), "{done:?}");
    let tool = tool().await;
    let cost = tool.cost.unwrap();
    assert_eq!((tool.version, cost.micros["USD"], cost.unpriced), (Some(1), 108, 0));
    let run = cx.call(GetRun { id: held.run.id.clone(), with_log: false }).await.unwrap();
    assert_eq!(run.cost, Some(cost));
}

#[tokio::test]
async fn a_question_of_a_run_is_answered_by_those_who_may_decide_and_by_no_signal() {
    use crate::run::SignalRun;
    let (_hub, cx, _) = world(GOOD).await;
    cx.call(PutQuota { tokens: Some(0), ..day(QuotaSubject::Workspace) }).await.unwrap();
    let driver = Driver::new(Asker);
    let held = driver.execute(&cx, NewRun::new(json!(1))).await.unwrap();
    let [question] = <[Approval; 1]>::try_from(questions(&cx).await).unwrap();
    let say = |wait: String| SignalRun {
        id: held.run.id.clone(),
        wait,
        payload: json!({ "approved": true, "landed": true }),
    };
    let refused = cx.call(say(format!("?approval/{}", question.id))).await.unwrap_err();
    assert_eq!(refused.field_faults()[0].field, "wait", "{refused}");
    assert!(waits(&driver.drive(&cx, &held.run.id).await.unwrap()));
    let agent = cx.for_agent("helper", &held.run.id, crate::PermissionSet::all());
    assert_eq!(agent.call(say("?landed/ask".into())).await.unwrap_err().code(), "not_a_person");
}
