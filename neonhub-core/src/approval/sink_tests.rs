use serde_json::{Value, json};

use crate::op::{CallOptions, Effect, Sink};
use crate::{Hub, PermissionSet, Result, Scope};

async fn call(cx: &Scope, name: &str, input: Value) -> Result<Value> {
    cx.call_by_name(name, input, CallOptions::new()).await
}

async fn open() -> (Scope, Scope) {
    let hub = Hub::builder().build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let agent = cx.for_agent("helper", "elsewhere", PermissionSet::all());
    (cx, agent)
}

async fn policy(cx: &Scope, name: &str, when: &str, effect: &str) {
    let policy = json!({ "name": name, "scope": { "operations": ["*.export"] }, "when": when,
        "effect": { "do": effect }, "reason": name });
    let put = call(cx, "policies.put", json!({ "policy": policy })).await.unwrap();
    call(cx, "policies.activate", json!({ "id": put["id"] })).await.unwrap();
}

#[tokio::test]
async fn a_sink_asks_for_agents_alone_and_whatever_policies_allow() {
    let (cx, agent) = open().await;
    let export = || json!({ "limit": 5 });
    call(&cx, "audit.export", export()).await.unwrap();
    assert_eq!(call(&agent, "audit.export", export()).await.unwrap_err().code(), "approval_required");
    policy(&cx, "open", "", "allow").await;
    let asked = call(&agent, "audit.export", export()).await.unwrap_err();
    assert_eq!(asked.code(), "approval_required");
    assert!(asked.message().contains("words from outside may have led to this (export)"), "{asked}");
    call(&cx, "audit.export", export()).await.unwrap();
    // What reads and gives nothing out is no sink.
    call(&agent, "scope.whoami", json!({})).await.unwrap();
}

#[tokio::test]
async fn policies_know_sinks_and_may_refuse_what_would_be_asked() {
    let (cx, agent) = open().await;
    policy(&cx, "closed", "tainted and \"export\" in sinks", "deny").await;
    assert_eq!(call(&agent, "audit.export", json!({})).await.unwrap_err().code(), "policy_denied");
    call(&cx, "audit.export", json!({})).await.unwrap();
}

#[tokio::test]
async fn what_a_dry_run_would_allow_a_sink_asks_all_the_same() {
    let (cx, agent) = open().await;
    policy(&cx, "noted", "", "allow").await;
    call(&agent, "audit.export", json!({})).await.unwrap_err();
    let policy = json!({ "name": "noted", "scope": { "operations": ["*.export"] }, "effect": { "do": "allow" },
        "reason": "again" });
    let tried = call(&cx, "policies.dry_run", json!({ "policy": policy })).await.unwrap();
    assert_eq!((&tried["tried"], &tried["changes"]), (&json!(1), &json!(0)), "{tried}");
}

#[tokio::test]
async fn a_question_about_a_call_tells_what_an_agent_that_had_read_would_be_asked() {
    let (cx, agent) = open().await;
    let told = async |facts: Value| {
        call(&cx, "policies.evaluate", json!({ "operation": "audit.export", "facts": facts })).await.unwrap()
    };
    let clean = told(json!({ "agent": "helper" })).await;
    assert_eq!((&clean["verdict"], &clean["question"]), (&json!("allow"), &Value::Null), "{clean}");
    let read = json!({ "agent": "helper", "tainted": true });
    policy(&cx, "open", "", "allow").await;
    let asked = told(read.clone()).await;
    assert_eq!(asked["verdict"], "require_approval", "{asked}");
    assert!(asked["question"].as_str().unwrap().contains("words from outside"), "{asked}");
    // A person answers for what it has read.
    assert_eq!(told(json!({ "tainted": true })).await["verdict"], "allow");
    policy(&cx, "closed", "tainted and \"export\" in sinks", "deny").await;
    assert_eq!(told(read).await["verdict"], "deny");
    assert_eq!(told(json!({ "agent": "helper" })).await["verdict"], "allow");
    let can = async |cx: &Scope| call(cx, "scope.can", json!({ "operation": "audit.export" })).await.unwrap();
    assert_eq!(
        (&can(&agent).await["verdict"], &can(&cx).await["verdict"]),
        (&json!("deny"), &json!("allow"))
    );
}

#[tokio::test]
async fn the_catalogue_names_the_sinks() {
    let (cx, _) = open().await;
    let told = call(&cx, "catalogue.describe", json!({ "name": "prompts.export" })).await.unwrap();
    assert_eq!(told["sinks"], json!(["export"]));
    for name in ["store.export", "audit.export", "prompts.export"] {
        assert_eq!(cx.hub().operation(name).unwrap().sinks, [Sink::Export], "{name}");
    }
    // Whoever names an operation an export says that it is one.
    for line in cx.hub().operations().filter(|line| line.name.ends_with(".export")) {
        assert!(line.sinks.contains(&Sink::Export) && line.effect == Effect::Read, "{}", line.name);
    }
}
