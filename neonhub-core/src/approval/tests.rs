use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Approval, ApprovalState};
use crate::op::CallOptions;
use crate::run::{Command, Driver, Machine, NewRun, Program, RunEvent, RunStatus};
use crate::store::{Kind, MemoryStore, SharedStore};
use crate::tool::{CallTool, Tool, ToolInfo};
use crate::{Hub, ManualClock, PermissionSet, Principal, Result, Role, Scope, Timestamp};

/// Pays money back: an act on the outside.
#[derive(Debug)]
struct Refund {
    info: ToolInfo,
    paid: AtomicU32,
}

#[async_trait]
impl Tool for Refund {
    fn info(&self) -> &ToolInfo {
        &self.info
    }
    async fn call(&self, _cx: &Scope, args: Value) -> Result<Value> {
        self.paid.fetch_add(1, Ordering::SeqCst);
        Ok(json!({ "paid": args["amount"] }))
    }
}

struct Place {
    store: SharedStore,
    clock: Arc<ManualClock>,
    refund: Arc<Refund>,
}

impl Place {
    fn new() -> Self {
        Place {
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000))),
            refund: Arc::new(Refund {
                info: ToolInfo::new("shop.refund", "Pays back"),
                paid: AtomicU32::new(0),
            }),
        }
    }

    /// A process of its own on the same store.
    async fn open(&self) -> Scope {
        let hub = Hub::builder()
            .store_backend(Arc::clone(&self.store))
            .clock(Arc::clone(&self.clock) as Arc<dyn crate::Clock>)
            .root_key(crate::seal::RootKey::from_bytes([7; 32], "test"))
            .tool(Arc::clone(&self.refund) as Arc<dyn Tool>);
        hub.build().await.unwrap().workspace("default").await.unwrap()
    }

    fn paid(&self) -> u32 {
        self.refund.paid.load(Ordering::SeqCst)
    }
}

async fn call(cx: &Scope, name: &str, input: Value) -> Result<Value> {
    cx.call_by_name(name, input, CallOptions::new()).await
}

fn agent(cx: &Scope) -> Scope {
    cx.for_agent("helper", "run_1", PermissionSet::all())
}

async fn user(cx: &Scope, id: &str) -> Scope {
    cx.hub().scope("default", Principal::User { id: id.into() }, Role::Owner).await.unwrap()
}

async fn pay(cx: &Scope, amount: u32) -> Result<Value> {
    let args = json!({ "amount": amount });
    cx.call(CallTool { name: "shop.refund".into(), args }).await.map(|done| done.output.unwrap())
}

/// The question that a call asks.
async fn asked(cx: &Scope, amount: u32) -> Value {
    question(&pay(cx, amount).await.unwrap_err())
}

fn question(error: &crate::Error) -> Value {
    assert_eq!(error.code(), "approval_required", "{error}");
    json!(error.context().find(|(key, _)| *key == "approval").unwrap().1)
}

async fn require(cx: &Scope, operations: &str, more: Value) {
    let mut effect = json!({ "do": "require_approval" });
    effect.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let policy = json!({ "name": "eyes", "scope": { "operations": [operations] }, "effect": effect,
        "reason": "two eyes" });
    let put = call(cx, "policies.put", json!({ "policy": policy })).await.unwrap();
    call(cx, "policies.activate", json!({ "id": put["id"] })).await.unwrap();
}

#[tokio::test]
async fn an_agent_asks_once_and_the_yes_is_for_one_call() {
    let place = Place::new();
    let cx = place.open().await;
    let agent = agent(&cx);
    let id = asked(&agent, 5).await;
    assert_eq!(asked(&agent, 5).await, id, "the same call asks once");
    assert_ne!(asked(&agent, 6).await, id, "another call is another question");
    let shown = call(&cx, "approvals.get", json!({ "id": id })).await.unwrap();
    assert_eq!(shown["state"], "pending");
    assert_eq!(shown["operation"], "shop.refund");
    assert_eq!(shown["args"], json!({ "amount": 5 }));
    assert_eq!((&shown["requested_by"], &shown["run_id"]), (&json!("agent:helper"), &json!("run_1")));
    call(&cx, "approvals.approve", json!({ "id": id, "note": "fine" })).await.unwrap();
    let other = cx.for_agent("helper", "run_2", PermissionSet::all());
    assert_ne!(asked(&other, 5).await, id, "another run has no part in it");
    assert_eq!(pay(&agent, 5).await.unwrap(), json!({ "paid": 5 }));
    let again = asked(&agent, 5).await;
    assert_ne!(again, id, "the yes was for one call");
    assert_eq!(place.paid(), 1);
    let shown = call(&cx, "approvals.get", json!({ "id": id })).await.unwrap();
    assert_eq!(shown["decisions"][0]["by"], "user:owner");
    assert!(shown["used_at"].is_number());
    let list = call(&cx, "approvals.list", json!({ "state": "pending" })).await.unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    let log = call(&cx, "audit.query", json!({})).await.unwrap().to_string();
    assert!(log.contains("approvals.ask") && log.contains("approvals.approve"));
}

#[tokio::test]
async fn the_input_is_sealed_and_hidden_without_the_right_to_personal_data() {
    let place = Place::new();
    let cx = place.open().await;
    require(&cx, "workspaces.update", json!({})).await;
    let error = call(&cx, "workspaces.update", json!({ "name": "ada@secret.example" })).await.unwrap_err();
    let id = question(&error);
    let row = place.store.get(Kind::of::<Approval>(), cx.workspace(), id.as_str().unwrap()).await.unwrap();
    assert!(!row.unwrap().body.contains("secret.example"));
    let blind = cx.with_permissions(PermissionSet::of(&[crate::Permission::ApproveEffects]));
    let shown = call(&blind, "approvals.get", json!({ "id": id })).await.unwrap();
    assert!(shown["args"].is_null() && !shown.to_string().contains("sealed"));
    let listed = call(&blind, "approvals.list", json!({})).await.unwrap();
    assert!(!listed.to_string().contains("secret.example"));
}

#[tokio::test]
async fn who_asks_is_not_the_only_one_who_agrees() {
    let place = Place::new();
    let cx = place.open().await;
    require(&cx, "workspaces.update", json!({})).await;
    let mut members = Vec::new();
    for name in ["ada", "ben"] {
        call(&cx, "members.invite", json!({ "user": name, "role": "admin" })).await.unwrap();
        let member = cx.hub().member("default", name).await.unwrap();
        // The first call makes the member an active one.
        call(&member, "scope.whoami", json!({})).await.unwrap();
        members.push(member);
    }
    let [ada, ben] = &members[..] else { panic!("two members") };
    let rename = || call(ada, "workspaces.update", json!({ "name": "Tea" }));
    let id = question(&rename().await.unwrap_err());
    let own = call(ada, "approvals.approve", json!({ "id": id })).await.unwrap_err();
    assert_eq!(own.code(), "own_request");
    call(ben, "approvals.approve", json!({ "id": id })).await.unwrap();
    rename().await.unwrap();
    let log = call(&cx, "audit.query", json!({ "action": "workspaces.update" })).await.unwrap();
    assert!(log["items"].as_array().unwrap().iter().any(|row| row["approval_id"] == id), "{log}");
}

#[tokio::test]
async fn as_many_as_asked_for_must_agree_and_only_those_who_are_named() {
    let place = Place::new();
    let cx = place.open().await;
    require(&cx, "shop.*", json!({ "quorum": 2, "approvers": ["user:ada", "user:ben", "user:eve"] })).await;
    let id = asked(&agent(&cx), 5).await;
    let yes = json!({ "id": id });
    let stranger = call(&cx, "approvals.approve", yes.clone()).await.unwrap_err();
    assert_eq!(stranger.code(), "not_an_approver");
    let (ada, ben) = (user(&cx, "ada").await, user(&cx, "ben").await);
    assert_eq!(call(&ada, "approvals.approve", yes.clone()).await.unwrap()["state"], "pending");
    let twice = call(&ada, "approvals.approve", yes.clone()).await.unwrap_err();
    assert_eq!(twice.code(), "already_decided");
    assert_eq!(asked(&agent(&cx), 5).await, id, "one yes of two is none");
    let list = json!({ "id": id, "to": ["user:zoe"] });
    call(&ben, "approvals.delegate", list).await.unwrap();
    assert_eq!(call(&ben, "approvals.approve", yes.clone()).await.unwrap_err().code(), "not_an_approver");
    let zoe = user(&cx, "zoe").await;
    assert_eq!(call(&zoe, "approvals.approve", yes.clone()).await.unwrap()["state"], "approved");
    assert_eq!(call(&zoe, "approvals.deny", yes).await.unwrap_err().code(), "approval_ended");
    pay(&agent(&cx), 5).await.unwrap();
}

#[tokio::test]
async fn of_two_decisions_at_once_one_wins() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    let yes = json!({ "id": asked(&agent(&one), 5).await });
    let done = tokio::join!(
        call(&one, "approvals.approve", yes.clone()),
        call(&two, "approvals.deny", yes.clone()),
    );
    let errors: Vec<_> = [done.0, done.1].into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].kind(), crate::ErrorKind::Conflict);
}

#[tokio::test]
async fn a_no_stands_until_its_time_is_over_and_a_yes_too() {
    let place = Place::new();
    let cx = place.open().await;
    let agent = agent(&cx);
    let no = asked(&agent, 5).await;
    call(&cx, "approvals.deny", json!({ "id": no, "note": "too much" })).await.unwrap();
    assert_eq!(pay(&agent, 5).await.unwrap_err().code(), "approval_denied");
    let yes = asked(&agent, 6).await;
    call(&cx, "approvals.approve", json!({ "id": yes })).await.unwrap();
    let open = asked(&agent, 7).await;
    place.clock.advance(Duration::from_secs(72 * 3_600));
    let late = call(&cx, "approvals.approve", json!({ "id": open })).await.unwrap_err();
    assert_eq!(late.code(), "approval_ended");
    assert_ne!(asked(&agent, 6).await, yes, "a yes ends with its time");
    assert_ne!(asked(&agent, 5).await, no, "and so does a no");
    call(&cx, "jobs.work", json!({})).await.unwrap();
    for (id, state) in [(&no, "denied"), (&yes, "expired"), (&open, "expired")] {
        let shown = call(&cx, "approvals.get", json!({ "id": id })).await.unwrap();
        assert_eq!((&shown["state"], &shown["live"]), (&json!(state), &json!(false)));
    }
    assert_eq!(place.paid(), 0);
}

#[tokio::test]
async fn an_edit_is_a_yes_to_another_call() {
    let place = Place::new();
    let cx = place.open().await;
    require(&cx, "workspaces.update", json!({ "quorum": 2 })).await;
    let (ada, ben) = (user(&cx, "ada").await, user(&cx, "ben").await);
    let rename = |name: &str| call(&cx, "workspaces.update", json!({ "name": name }));
    let id = question(&rename("Tea").await.unwrap_err());
    call(&ada, "approvals.approve", json!({ "id": id })).await.unwrap();
    let edit = |args: Value| json!({ "id": id, "args": args });
    let wrong =
        call(&ben, "approvals.edit_and_approve", edit(json!({ "nome": "Coffee" }))).await.unwrap_err();
    assert_eq!(wrong.kind(), crate::ErrorKind::InvalidInput);
    let shown = call(&ben, "approvals.edit_and_approve", edit(json!({ "name": "Coffee" }))).await.unwrap();
    assert_eq!((&shown["state"], &shown["args"]["name"]), (&json!("pending"), &json!("Coffee")));
    call(&ada, "approvals.approve", json!({ "id": id })).await.unwrap();
    assert_ne!(question(&rename("Tea").await.unwrap_err()), id);
    rename("Coffee").await.unwrap();
}

#[tokio::test]
async fn always_makes_a_policy_and_a_policy_is_not_overruled() {
    let place = Place::new();
    let cx = place.open().await;
    let agent = agent(&cx);
    let id = asked(&agent, 5).await;
    let always = json!({ "days": 30, "when": "input.amount <= 10" });
    let shown = call(&cx, "approvals.approve", json!({ "id": id, "always": always })).await.unwrap();
    assert_eq!(shown["sticky_rule"], "always-helper-shop.refund@1");
    for _ in 0..3 {
        pay(&agent, 7).await.unwrap();
    }
    let large = asked(&agent, 11).await;
    place.clock.advance(Duration::from_secs(31 * 24 * 3_600));
    asked(&agent, 7).await;
    require(&cx, "shop.*", json!({})).await;
    let ruled = asked(&agent, 11).await;
    assert_ne!(ruled, large, "other reasons are another question");
    let refused = json!({ "id": ruled, "always": { "days": 1 } });
    let error = call(&cx, "approvals.approve", refused).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "always");
}

#[tokio::test]
async fn a_rule_for_everything_does_not_lock_the_answers_away() {
    let place = Place::new();
    let cx = place.open().await;
    require(&cx, "*", json!({})).await;
    let id = question(&call(&cx, "workspaces.update", json!({ "name": "Tea" })).await.unwrap_err());
    let many = json!({ "ids": [id, "apr_01kaf3w0000000000000000000"], "approve": true });
    let lines = call(&cx, "approvals.bulk", many).await.unwrap();
    assert_eq!((&lines[0]["state"], &lines[1]["refused"]), (&json!("approved"), &json!("not_found")));
    call(&cx, "workspaces.update", json!({ "name": "Tea" })).await.unwrap();
}

#[tokio::test]
async fn a_repeated_call_gets_its_answer_and_asks_nobody_again() {
    let place = Place::new();
    let (cx, other) = (place.open().await, place.open().await);
    require(&cx, "workspaces.update", json!({})).await;
    let keyed = |cx: &Scope, key: &str, name: &str| {
        let (cx, options) = (cx.clone(), CallOptions::new().idempotency_key(key));
        let input = json!({ "name": name });
        async move { cx.call_by_name("workspaces.update", input, options).await }
    };
    let id = question(&keyed(&cx, "k", "Tea").await.unwrap_err());
    call(&cx, "approvals.approve", json!({ "id": id })).await.unwrap();
    let first = keyed(&cx, "k", "Tea").await.unwrap();
    assert_eq!(keyed(&cx, "k", "Tea").await.unwrap(), first);
    assert_eq!(keyed(&other, "k", "Tea").await.unwrap(), first, "in another process as well");
    let mismatch = keyed(&cx, "k", "Coffee").await.unwrap_err();
    assert_eq!(mismatch.code(), "idempotency_mismatch", "nobody is asked about a call that cannot be made");
    let list = call(&cx, "approvals.list", json!({})).await.unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let fresh = question(&keyed(&cx, "k2", "Tea").await.unwrap_err());
    assert_ne!(fresh, id, "the same words under another key are another call");
    place.clock.advance(Duration::from_secs(25 * 3_600));
    question(&keyed(&cx, "k", "Tea").await.unwrap_err());
}

/// Pays back what its input says and answers with what came of it.
#[derive(Debug)]
struct Payer;

impl Machine for Payer {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let then = match event {
            RunEvent::Started { input, .. } => Command::tool("pay", "shop.refund", input.clone()),
            RunEvent::ToolDone { output, .. } => Command::done(output.clone()),
            other => Command::done(json!(other.failure().code)),
        };
        ((), vec![then])
    }
}

impl Program for Payer {
    const AGENT: &'static str = "payer";
    const VERSION: u32 = 1;
}

/// The question that a run waits with.
async fn of_run(cx: &Scope, run: &str) -> Value {
    let list = call(cx, "approvals.list", json!({ "run": run })).await.unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    list["items"][0]["id"].clone()
}

#[tokio::test]
async fn a_run_waits_in_no_process_and_goes_on_with_the_answer() {
    let place = Place::new();
    let driver = Driver::new(Payer);
    let cases = [
        ("approvals.approve", json!({}), json!({ "paid": 5 }), 1),
        ("approvals.edit_and_approve", json!({ "args": { "amount": 4 } }), json!({ "paid": 4 }), 2),
        ("approvals.deny", json!({}), json!("approval_denied"), 2),
    ];
    for (answer, more, output, paid) in cases {
        let one = place.open().await;
        let waiting = driver.execute(&one, NewRun::new(json!({ "amount": 5 }))).await.unwrap().run;
        assert_eq!((waiting.status, waiting.wait_reason.as_deref()), (RunStatus::Waiting, Some("approval")));
        drop(one);
        let two = place.open().await;
        let mut input = json!({ "id": of_run(&two, &waiting.id).await });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call(&two, answer, input).await.unwrap();
        let done = driver.drive(&place.open().await, &waiting.id).await.unwrap();
        assert_eq!((done.run.status, &done.output), (RunStatus::Completed, &output), "{answer}");
        assert_eq!(place.paid(), paid);
    }
}

#[tokio::test]
async fn a_question_that_nobody_answers_is_a_no_for_the_run() {
    let place = Place::new();
    let cx = place.open().await;
    let driver = Driver::new(Payer);
    let run = driver.execute(&cx, NewRun::new(json!({ "amount": 5 }))).await.unwrap().run;
    place.clock.advance(Duration::from_secs(72 * 3_600));
    call(&cx, "jobs.work", json!({})).await.unwrap();
    let done = driver.drive(&cx, &run.id).await.unwrap();
    assert_eq!(done.output, json!("approval_expired"));
    let id = of_run(&cx, &run.id).await;
    let shown = call(&cx, "approvals.get", json!({ "id": id })).await.unwrap();
    assert_eq!(shown["state"], json!(ApprovalState::Expired));
    let rows = call(&cx, "audit.query", json!({ "action": "approvals.expire" })).await.unwrap();
    let about: Vec<_> = rows["items"].as_array().unwrap().iter().map(|row| &row["target_id"]).collect();
    assert_eq!(about, [&json!(id)]);
}
