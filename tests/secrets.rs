//! Planted secrets and addresses are found nowhere they do not belong: not in log lines, errors, panic texts, metrics,
//! traces, crash reports or events, and not in the files of the store.
#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test] functions")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use neonhub::op::CallOptions;
use neonhub::telemetry::{ErrorReport, ErrorSink, Level, Levels, LogFormat, LogLayer};
use neonhub::{Scope, Secret};
use serde_json::{Value, json};

const ADDRESS: &str = "planted.jane@shop-of-plants.example";
const PHONE: &str = "+12025550188";
const TOKEN: &str = "sk-planted-7Qm2xV9bLw4KcT1z";
const WORD: &str = "planted correct horse";

/// Everything the process says.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn add(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }
}

impl ErrorSink for Heard {
    fn report(&self, report: &ErrorReport) {
        self.add(serde_json::to_string(report).unwrap());
    }
}

/// Makes the runtime talk: what works, what is refused, what fails.
async fn work(cx: &Scope, heard: &Heard) {
    let keyed = || CallOptions::new().idempotency_key("once");
    let people = json!({ "identifiers": [{ "kind": "email", "value": ADDRESS }, { "kind": "phone", "value": PHONE }] });
    let made = cx.call_by_name("people.resolve", people.clone(), keyed()).await.unwrap();
    assert_eq!(
        cx.call_by_name("people.resolve", people, keyed()).await.unwrap(),
        made,
        "the same answer again"
    );
    for (name, value) in [("model.key", TOKEN), ("smtp.password", WORD)] {
        let input = json!({ "name": name, "kind": "api_key", "value": value });
        let once_each = CallOptions::new().idempotency_key(name);
        cx.call_by_name("vault.put", input, once_each).await.unwrap();
        assert_eq!(cx.secret(name).await.unwrap().expose(), value);
    }
    for (name, input) in [
        ("vault.put", json!({ "name": "a b", "kind": "token", "value": TOKEN })),
        ("vault.put", json!({ "name": "a", "kind": TOKEN, "value": WORD })),
        ("vault.delete", json!({ "name": "missing" })),
        ("people.resolve", json!({ "identifiers": [{ "kind": "email", "value": format!("{ADDRESS}@@") }] })),
        ("people.get", json!({ "id": "per_missing" })),
        ("health.check", json!({ "subject": "stor" })),
    ] {
        let error = cx.call_by_name(name, input, CallOptions::new()).await.unwrap_err();
        heard.add(format!("{error} {error:?}"));
    }
    tracing_speaks();
    for (name, input) in [
        ("vault.list", json!({})),
        ("vault.check", json!({})),
        ("vault.rotate_data_key", json!({})),
        ("telemetry.metrics", json!({})),
        ("health.check", json!({})),
        ("audit.query", json!({ "limit": 500 })),
        ("bus.subscribe", json!({})),
    ] {
        let answer = cx.call_by_name(name, input, CallOptions::new()).await.unwrap();
        heard.add(answer.to_string());
    }
    let mut events = cx.subscribe(0, None).unwrap();
    let all = cx.count::<neonhub::bus::Event>(&neonhub::store::Query::by_id()).await.unwrap();
    for _ in 0..all {
        heard.add(serde_json::to_string(&events.next().await.unwrap()).unwrap());
    }
}

/// A careless host logs what it should not.
fn tracing_speaks() {
    let secret = Secret::new(WORD);
    tracing::error!(password = WORD, secret = %secret, "careless: {TOKEN} {ADDRESS} {PHONE}");
}

fn files(folder: &Path, out: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => files(&path, out),
            path => out.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
}

fn assert_absent(place: &str, text: &[u8]) {
    for planted in [ADDRESS, PHONE, TOKEN, WORD, "planted.jane"] {
        let found = text.windows(planted.len()).any(|w| w == planted.as_bytes());
        assert!(!found, "{planted} stands in {place}");
    }
}

#[tokio::test]
async fn planted_secrets_and_addresses_are_found_nowhere() {
    let heard = Heard::default();
    let lines = heard.clone();
    Levels::global().set_default(Level::Trace);
    LogLayer::new(LogFormat::Json, move |line: &str| lines.add(line)).install().unwrap();
    let panics = heard.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        panics.add(panic.to_string());
        before(panic);
    }));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scan.neon");
    let hub = neonhub::builder()
        .store(path.to_string_lossy())
        .error_sink(Arc::new(heard.clone()) as Arc<dyn ErrorSink>)
        .build()
        .await
        .unwrap();
    let cx = hub.workspace("default").await.unwrap();
    work(&cx, &heard).await;
    let mut stored = Vec::new();
    files(dir.path(), &mut stored);
    hub.close().await.unwrap();
    files(dir.path(), &mut stored);
    let _ = std::panic::take_hook();
    let heard = heard.0.lock().unwrap().clone();
    assert!(heard.iter().any(|l| l.contains("careless")) && heard.len() > 20, "{}", heard.len());
    let line = heard.iter().find(|l| l.contains("careless")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["msg"], "careless: [redacted:key] [redacted:email] [redacted:phone]");
    for text in &heard {
        assert_absent(text, text.as_bytes());
    }
    assert!(stored.iter().any(|(name, bytes)| name.ends_with("scan.neon") && !bytes.is_empty()));
    for (name, bytes) in &stored {
        assert_absent(name, bytes);
    }
}
