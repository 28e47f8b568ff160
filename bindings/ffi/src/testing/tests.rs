use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{CallSettings, FfiHub, OpenOptions};

async fn memory() -> FfiHub {
    FfiHub::open(OpenOptions::for_tests()).await.unwrap()
}

async fn generate(hub: &FfiHub, prompt: &str) -> FfiResult<Value> {
    hub.call("ai.generate_text", json!({ "prompt": prompt }), CallSettings::default(), None).await
}

#[tokio::test]
async fn a_script_answers_line_by_line() {
    let hub = memory().await;
    let script = json!([
        "first",
        { "when": "weather", "chunks": ["sun", "ny"] },
        { "error": { "kind": "rate_limited", "retry_after_ms": 1500 } },
        { "refuse": "not that" },
        { "chunks": ["half"], "error": { "kind": "unavailable", "code": "truncated" } },
    ]);
    let model = ScriptedModel::new(script).unwrap();
    hub.add_scripted(&model).unwrap();
    assert_eq!(generate(&hub, "the weather?").await.unwrap()["text"], "first");
    assert_eq!(generate(&hub, "the weather?").await.unwrap()["text"], "sunny");
    let error = generate(&hub, "x").await.unwrap_err();
    assert_eq!((error.kind, error.retry_after_ms), ("rate_limited", Some(1500)));
    assert_eq!(generate(&hub, "x").await.unwrap_err().kind, "blocked");
    assert_eq!(model.left().len(), 1);
    assert_eq!(generate(&hub, "x").await.unwrap_err().code, "truncated");
    assert_eq!(generate(&hub, "x").await.unwrap_err().code, "unscripted");
    assert_eq!(model.requests().as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_cassette_plays_what_a_hub_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.json");
    let hub = memory().await;
    hub.add_scripted(&ScriptedModel::new(json!(["live"])).unwrap()).unwrap();
    hub.insert_cassette(Some(&Cassette::open(&path, "auto").unwrap())).unwrap();
    for _ in 0..2 {
        assert_eq!(generate(&hub, "x").await.unwrap()["text"], "live", "asked once, then played");
    }
    hub.insert_cassette(None).unwrap();
    assert_eq!(generate(&hub, "x").await.unwrap_err().code, "unscripted");

    let other = memory().await;
    other.insert_cassette(Some(&Cassette::open(&path, "replay").unwrap())).unwrap();
    assert_eq!(generate(&other, "x").await.unwrap()["text"], "live");
    assert_eq!(generate(&other, "y").await.unwrap_err().code, "cassette_miss");

    let kind = |path: &std::path::Path, mode| Cassette::open(path, mode).unwrap_err().kind;
    assert_eq!(kind(&path, "loop"), "invalid_input");
    assert_eq!(kind(&folder.path().join("none.json"), "replay"), "config");
}

#[test]
fn a_faulty_script_names_its_line() {
    for (script, field) in [
        (json!(["a", { "text": "b", "json": 1 }]), "script[1]"),
        (json!([{ "words": "b" }]), "script[0]"),
        (json!({ "text": "b" }), "script"),
    ] {
        assert_eq!(ScriptedModel::new(script).unwrap_err().faults[0].field, field);
    }
}

#[tokio::test]
async fn faults_befall_calls_of_a_hub() {
    let hub = memory().await;
    let faults = Faults::new();
    hub.inject_faults(Some(&faults)).unwrap();
    faults.add(json!({ "on": "tool", "nth": 1, "error": { "kind": "unavailable" } })).unwrap();
    let ask = || hub.call("tools.call", json!({ "name": "scope.whoami" }), CallSettings::default(), None);
    assert_eq!(ask().await.unwrap_err().kind, "unavailable");
    assert!(ask().await.is_ok());
    assert_eq!(faults.seen()[0], json!({ "on": "tool", "name": "scope.whoami", "faulty": true }));
    assert_eq!(faults.add(json!({ "on": "tools" })).unwrap_err().kind, "invalid_input");
}

#[tokio::test]
async fn a_call_that_hangs_ends_at_its_deadline() {
    let hub = memory().await;
    let faults = Faults::new();
    hub.inject_faults(Some(&faults)).unwrap();
    faults.add(json!({ "on": "model", "hang": true })).unwrap();
    let settings = CallSettings { timeout: Some(Duration::from_millis(20)), ..CallSettings::default() };
    let error = hub.call("ai.generate_text", json!({ "prompt": "x" }), settings, None).await.unwrap_err();
    assert_eq!(error.kind, "timeout");
}

#[tokio::test]
async fn the_clock_moves_by_hand() {
    let hub = memory().await;
    let clock = hub.clock().unwrap();
    let start = clock.now_ms();
    clock.advance(Duration::from_secs(3600));
    assert_eq!(clock.now_ms() - start, 3_600_000);
    clock.set("2026-02-01T00:00:00Z").unwrap();
    assert_eq!(hub.clock().unwrap().now_ms(), 1_769_904_000_000);
    assert_eq!(clock.set("tomorrow").unwrap_err().kind, "invalid_input");
    let real = FfiHub::open(OpenOptions::default()).await.unwrap();
    assert!(real.clock().is_none());
}
