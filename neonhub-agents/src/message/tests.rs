//! Messages between agents: who gets them, what the logs keep, and what becomes of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use neonhub_core::bus::{Filter, SubscribeEvents};
use neonhub_core::llm::{Reply, Scripted, ToolCall};
use neonhub_core::prompt::Prompt;
use neonhub_core::run::{
    Command, Driver, GetRun, Machine, NewRun, Program, RunDetails, RunEvent, RunStatus, WaitOn,
};
use neonhub_core::tool::{FnTool, ToolInfo};
use neonhub_core::{Error, ErrorKind, Hub, ManualClock, Permission, PermissionSet, Scope, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::cut::cut;
use crate::registry::{ActivateAgent, AgentSpec, ExecuteAgent, ExecuteMode, IntentSpec, PutAgent};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-24T15:00:00Z").unwrap()))
}

fn builder(clock: &Arc<ManualClock>) -> HubBuilder {
    crate::install(neonhub_rag::install(Hub::builder())).clock(Arc::clone(clock) as _).seed(11)
}

async fn scope() -> (Scope, Arc<ManualClock>) {
    let clock = clock();
    (builder(&clock).build().await.unwrap().workspace("default").await.unwrap(), clock)
}

fn to_agent(name: &str) -> Option<MessageTo> {
    Some(MessageTo::Agent { name: name.into() })
}

fn to_run(id: &str) -> Option<MessageTo> {
    Some(MessageTo::Run { id: id.into() })
}

fn request(to: Option<MessageTo>) -> SendMessage {
    SendMessage {
        to,
        topic: Some("returns".into()),
        kind: MessageKind::Request,
        body: json!({ "n": 1 }),
        deadline_ms: Some(60_000),
        ..SendMessage::default()
    }
}

fn reply(id: &str, body: Value) -> SendMessage {
    SendMessage { kind: MessageKind::Reply, in_reply_to: Some(id.into()), body, ..SendMessage::default() }
}

/// The run of an agent, seen from inside.
fn inside(cx: &Scope, agent: &str, run: &str) -> Scope {
    cx.for_agent(agent, run, PermissionSet::of(&[Permission::ExecuteAgents]))
}

async fn receive(cx: &Scope) -> Vec<AgentMessage> {
    cx.call(ReceiveMessages::default()).await.unwrap().items
}

async fn log(cx: &Scope, run: &str) -> RunDetails {
    cx.call(GetRun { id: run.into(), with_log: true }).await.unwrap()
}

/// The messages in the log of a run.
async fn noted(cx: &Scope, run: &str) -> Vec<Value> {
    let log = log(cx, run).await.log;
    let texts = log.iter().filter(|l| l.kind == "note").filter_map(|l| l.data["text"].as_str());
    texts.map(|text| serde_json::from_str(text.strip_prefix("message ").unwrap()).unwrap()).collect()
}

/// Sends what it is given and waits for the answer.
#[derive(Debug)]
struct Asker;

impl Machine for Asker {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let command = match event {
            RunEvent::Started { input, .. } => Command::tool("send", "bus.send", input.clone()),
            RunEvent::ToolDone { output, .. } => {
                let name = format!("message/{}", output["id"].as_str().unwrap_or_default());
                Command::Wait { wait: name.clone(), on: WaitOn::Signal { name } }
            }
            RunEvent::Woken { payload, .. } => Command::done(payload.clone()),
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![command])
    }
}

impl Program for Asker {
    const AGENT: &'static str = "asker";
    const VERSION: u32 = 1;
}

/// An asker that has sent its request to a topic and waits; gives run and request.
async fn asked(cx: &Scope) -> (String, String) {
    let to = Some(MessageTo::Topic { name: "help".into() });
    let input = serde_json::to_value(request(to)).unwrap();
    let run = Driver::new(Asker).execute(cx, NewRun::new(input)).await.unwrap().run;
    assert_eq!(run.status, RunStatus::Waiting, "{run:?}");
    let request = run.wait_reason.unwrap().strip_prefix("signal message/").unwrap().to_owned();
    (run.id, request)
}

fn clerk(handoff: &[&str]) -> AgentSpec {
    AgentSpec {
        name: "clerk".into(),
        version: "1.0.0".into(),
        title: "Clerk".into(),
        purpose: "Asks others.".into(),
        intents: vec![IntentSpec { name: "work".into(), doc: "Asks.".into(), ..IntentSpec::default() }],
        instructions: Some(Prompt::new("clerk", 1, "You are a clerk.")),
        tools: vec!["bus.send".into(), "bus.receive".into(), "test.poke".into()],
        handoff: handoff.iter().map(|h| (*h).to_owned()).collect(),
        permissions: vec![Permission::ExecuteAgents, Permission::ReadContent],
        owner: "ada".into(),
        ..AgentSpec::default()
    }
}

async fn hire(cx: &Scope, spec: AgentSpec) {
    // A tool during which a message comes for the run that calls it.
    let is_done = Arc::new(AtomicBool::new(false));
    let info = ToolInfo::new("test.poke", "Pokes").effect(neonhub_core::run::EffectClass::Read);
    let poke = FnTool::new(info, move |cx: Scope, _: Nothing| {
        let is_done = Arc::clone(&is_done);
        async move {
            let neonhub_core::Principal::Agent { run, .. } = cx.principal().clone() else {
                return Err(Error::invalid("test.poke", "run", "expected a run"));
            };
            if !is_done.swap(true, Ordering::SeqCst) {
                let host = cx.hub().workspace("default").await?;
                let note =
                    SendMessage { kind: MessageKind::Inform, deadline_ms: None, ..request(to_run(&run)) };
                host.call(note).await?;
            }
            Ok(json!({}))
        }
    });
    cx.hub().add_tool(poke).unwrap();
    let (name, version) = (spec.name.clone(), Some(spec.version.clone()));
    cx.call(PutAgent { spec }).await.unwrap();
    cx.call(ActivateAgent { name, version }).await.unwrap();
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

fn call(tool: &str, args: Value) -> Reply {
    Reply::Tools(vec![ToolCall { id: "c".into(), name: tool.into(), args }])
}

#[tokio::test]
async fn a_message_for_an_agent_is_taken_by_one_run_and_its_body_fits_its_schema() {
    let (cx, _) = scope().await;
    let schema = json!({ "type": "object", "properties": { "n": { "type": "string" } } });
    let wrong = SendMessage { schema, ..request(to_agent("support")) };
    let error = cx.call(wrong).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "body.n");
    let unknown = cx.call(request(to_agent("nobody"))).await.unwrap_err();
    assert_eq!(unknown.code(), "unknown_agent");
    let sent = cx.call(request(to_agent("support"))).await.unwrap();
    assert_eq!((sent.depth, sent.deadline.is_some()), (0, true));
    let (one, two) = (inside(&cx, "support", "run_1"), inside(&cx, "support", "run_2"));
    assert!(receive(&inside(&cx, "email", "run_3")).await.is_empty());
    let got = receive(&one).await;
    assert_eq!((got[0].id.as_str(), &got[0].body), (sent.id.as_str(), &json!({ "n": 1 })));
    assert!(receive(&two).await.is_empty());
    assert!(receive(&one).await.is_empty());
    // Whom it is not for answers nothing, and sees nothing of what it says.
    let stranger = two.call(reply(&sent.id, json!(2))).await.unwrap_err();
    assert_eq!((stranger.kind(), stranger.code()), (ErrorKind::PermissionDenied, "not_addressable"));
    let eve = neonhub_core::Principal::User { id: "eve".into() };
    let reader = cx.hub().scope("default", eve, neonhub_core::Role::Owner).await.unwrap();
    let reader = reader.with_permissions(PermissionSet::of(&[Permission::ExecuteAgents]));
    let seen = reader.call(ReceiveMessages { to: to_agent("support"), ..Default::default() }).await.unwrap();
    assert_eq!((seen.items.len(), &seen.items[0].body), (1, &Value::Null));
    let answered = one.call(reply(&sent.id, json!({ "n": 2 }))).await.unwrap();
    assert_eq!((answered.depth, &answered.correlation), (1, &sent.correlation));
    let again = one.call(reply(&sent.id, json!({ "n": 3 }))).await.unwrap_err();
    assert_eq!(again.code(), "already_answered");
    let read = ReceiveMessages { reply_to: Some(sent.id), ..Default::default() };
    assert_eq!(cx.call(read).await.unwrap().items[0].body, json!({ "n": 2 }));
}

#[tokio::test]
async fn the_bus_tells_of_a_message_and_not_what_it_says() {
    let (cx, _) = scope().await;
    let subscribe = |cursor| SubscribeEvents {
        filter: Filter::types(["agent.message.*"]),
        cursor,
        ..SubscribeEvents::default()
    };
    let from = cx.call(subscribe(None)).await.unwrap().cursor;
    let secret = SendMessage { body: json!("tango-7731"), ..request(to_agent("support")) };
    let sent = cx.call(secret).await.unwrap();
    let page = cx.call(subscribe(Some(from))).await.unwrap();
    let event = &page.items[0].event;
    assert_eq!((event.kind.as_str(), &event.subject_id), ("agent.message.sent", &sent.id));
    assert_eq!((&event.data["to"], &event.data["message_kind"]), (&json!("support"), &json!("request")));
    assert!(!serde_json::to_string(&page.items).unwrap().contains("tango"));
}

#[tokio::test]
async fn an_agent_writes_to_those_it_may_hand_work_to_and_its_message_stands_in_both_logs() {
    let (cx, _) = scope().await;
    hire(&cx, clerk(&["support.suggest_reply"])).await;
    let send = |to: &str| {
        call("bus.send", json!({ "for": { "to": "agent", "name": to }, "topic": "t", "body": to }))
    };
    let script = Scripted::new().reply(send("campaign")).reply(send("support")).reply("done");
    cx.hub().add_model(Arc::new(script));
    let done = cx.call(ExecuteAgent::new("clerk.work", json!({}))).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    let lines = log(&cx, &done.run).await.log;
    let sent: Vec<&Value> = lines
        .iter()
        .filter(|l| l.kind == "tool_done" && l.data["call"].as_str().is_some_and(|c| c.starts_with("turn/")))
        .map(|l| &l.data)
        .collect();
    assert_eq!(sent[0]["failure"]["code"], "not_addressable", "{sent:?}");
    assert_eq!(sent[1]["state"], "landed");
    // The other run has it as the outcome of its own call.
    let other = clerk(&[]);
    hire_other(&cx, AgentSpec { name: "other".into(), ..other }).await;
    let to_other = SendMessage { kind: MessageKind::Inform, deadline_ms: None, ..request(to_agent("other")) };
    let message = cx.call(to_other).await.unwrap();
    cx.hub().add_model(Arc::new(Scripted::new().reply(call("bus.receive", json!({}))).reply("done")));
    let done = cx.call(ExecuteAgent::new("other.work", json!({}))).await.unwrap();
    assert!(serde_json::to_string(&log(&cx, &done.run).await.log).unwrap().contains(&message.id));
}

async fn hire_other(cx: &Scope, spec: AgentSpec) {
    let (name, version) = (spec.name.clone(), Some(spec.version.clone()));
    cx.call(PutAgent { spec }).await.unwrap();
    cx.call(ActivateAgent { name, version }).await.unwrap();
}

#[tokio::test]
async fn a_message_for_a_run_comes_into_its_log_once_whatever_the_run_does() {
    let (cx, _) = scope().await;
    hire(&cx, clerk(&[])).await;
    let script = Scripted::new().reply(call("test.poke", json!({}))).reply(call("bus.receive", json!({})));
    cx.hub().add_model(Arc::new(script.reply("done")));
    let start = ExecuteAgent { mode: ExecuteMode::Start, ..ExecuteAgent::new("clerk.work", json!({})) };
    let run = cx.call(start).await.unwrap().run;
    // One before it begins, one while a tool works.
    let early = cx.call(request(to_run(&run))).await.unwrap();
    cx.work_until_idle().await.unwrap();
    let ended = log(&cx, &run).await;
    assert_eq!(ended.run.status, RunStatus::Completed, "{:?}", ended.run);
    let noted = noted(&cx, &run).await;
    assert_eq!(noted.len(), 2, "{noted:?}");
    assert_eq!((&noted[0]["id"], &noted[0]["body"]), (&json!(early.id), &json!({ "n": 1 })));
    assert_eq!(noted[1]["kind"], "inform");
    // The model was given both.
    let taken: Vec<_> = ended.log.iter().filter(|l| l.data["output"]["items"].is_array()).collect();
    assert_eq!(taken[0].data["output"]["items"].as_array().unwrap().len(), 2);
    let late = cx.call(request(to_run(&run))).await.unwrap_err();
    assert_eq!(late.code(), "run_finished");
}

#[tokio::test]
async fn a_run_writes_to_runs_of_its_own_work_only() {
    let (cx, _) = scope().await;
    let (one, _) = asked(&cx).await;
    let (two, _) = asked(&cx).await;
    let from = inside(&cx, "asker", &one);
    assert_eq!(from.call(request(to_run(&two))).await.unwrap_err().code(), "not_addressable");
    assert_eq!(from.call(request(to_run(&one))).await.unwrap_err().code(), "not_addressable");
    let child =
        Driver::new(Asker).start(&cx, NewRun::new(json!({ "child": 1 })).child_of(&one, 1)).await.unwrap();
    from.call(request(to_run(&child.id))).await.unwrap();
    inside(&cx, "asker", &child.id).call(request(to_run(&one))).await.unwrap();
}

#[tokio::test]
async fn messages_follow_from_each_other_eight_deep() {
    let (cx, _) = scope().await;
    let (run, request_id) = asked(&cx).await;
    let (ann, bob) = (inside(&cx, "asker", &run), inside(&cx, "support", "run_b"));
    let mut last = request_id;
    let mut by = &bob;
    for depth in 1..=8 {
        let objection = SendMessage {
            kind: MessageKind::Objection,
            to: Some(MessageTo::Topic { name: "help".into() }),
            in_reply_to: Some(last.clone()),
            ..SendMessage::default()
        };
        let sent = by.call(objection).await.unwrap();
        assert_eq!(sent.depth, depth);
        last = sent.id;
        by = if depth % 2 == 0 { &bob } else { &ann };
    }
    let deeper = SendMessage {
        kind: MessageKind::Objection,
        in_reply_to: Some(last),
        to: Some(MessageTo::Topic { name: "help".into() }),
        ..SendMessage::default()
    };
    let error = by.call(deeper).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Blocked, "too_deep"));
}

#[tokio::test]
async fn a_new_thread_does_not_shorten_the_chain() {
    let (cx, _) = scope().await;
    let bob = inside(&cx, "support", "run_b");
    cx.call(request(to_agent("support"))).await.unwrap();
    assert_eq!(receive(&bob).await.len(), 1);
    let to = Some(MessageTo::Topic { name: "x".into() });
    let fresh = SendMessage { kind: MessageKind::Inform, deadline_ms: None, ..request(to) };
    assert_eq!(bob.call(fresh).await.unwrap().depth, 1);
}

#[tokio::test]
async fn a_reply_wakes_the_run_that_asked_and_stands_in_its_log() {
    let (cx, _) = scope().await;
    let (run, request) = asked(&cx).await;
    let bob = inside(&cx, "support", "run_b");
    bob.call(reply(&request, json!({ "days": 30 }))).await.unwrap();
    let done = Driver::new(Asker).drive(&cx, &run).await.unwrap();
    assert_eq!(done.run.status, RunStatus::Completed);
    assert_eq!(done.output["reply"]["body"], json!({ "days": 30 }));
    let noted = noted(&cx, &run).await;
    assert_eq!((noted.len(), &noted[0]["in_reply_to"]), (1, &json!(request)));
}

#[tokio::test]
async fn a_request_that_nobody_answers_times_out_with_a_typed_error() {
    let (cx, clock) = scope().await;
    let (run, request) = asked(&cx).await;
    let read = || ReceiveMessages { reply_to: Some(request.clone()), ..Default::default() };
    assert!(cx.call(read()).await.unwrap().items.is_empty());
    clock.advance(Duration::from_secs(61));
    let error = cx.call(read()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, "reply_timeout"));
    let late = inside(&cx, "support", "run_b").call(reply(&request, json!(1))).await.unwrap_err();
    assert_eq!(late.code(), "reply_late");
    cx.work_until_idle().await.unwrap();
    let done = Driver::new(Asker).drive(&cx, &run).await.unwrap();
    assert_eq!(done.output["failure"]["code"], "reply_timeout", "{done:?}");
    assert_eq!(noted(&cx, &run).await[0]["failure"]["kind"], "timeout");
    // One that was answered is left alone.
    let (run, request) = asked(&cx).await;
    inside(&cx, "support", "run_b").call(reply(&request, json!(1))).await.unwrap();
    clock.advance(Duration::from_secs(61));
    cx.work_until_idle().await.unwrap();
    let done = Driver::new(Asker).drive(&cx, &run).await.unwrap();
    assert_eq!(done.output["reply"]["body"], 1);
}

#[tokio::test]
async fn a_run_that_is_killed_anywhere_has_sent_its_request_once() {
    for commits in 1.. {
        // A store that answers later: work is cut between its commits.
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.neon").display());
        let time = clock();
        let open = async || {
            let hub = builder(&time).store(url.as_str()).build().await.unwrap();
            hub.workspace("default").await.unwrap()
        };
        let cx = open().await;
        let to = Some(MessageTo::Topic { name: "help".into() });
        let input = serde_json::to_value(request(to.clone())).unwrap();
        let new = || NewRun::new(input.clone()).key("k");
        let was_cut = cut(&cx, commits, Driver::new(Asker).execute(&cx, new())).await;
        time.advance(Duration::from_secs(31));
        let cx = open().await;
        let run = Driver::new(Asker).execute(&cx, new()).await.unwrap().run;
        assert_eq!(run.status, RunStatus::Waiting, "{commits}");
        let sent = cx.call(ReceiveMessages { to, ..Default::default() }).await.unwrap().items;
        assert_eq!(sent.len(), 1, "{commits}");
        if !was_cut {
            assert!(commits > 3, "only {commits} places to cut");
            return;
        }
    }
}
