//! The contract files: what every language must show alike. Rust runs them here, the bindings in their own suites.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, outside #[test] functions"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use neonhub::op::CallOptions;
use neonhub::{Error, ErrorKind, Fault, Hub, ManualClock, Retry, Timestamp};
use serde_json::{Value, json};

fn read(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    cases.iter().map(expanded).collect()
}

/// `{"$repeat": [text, n]}` is the text n times.
fn expanded(value: &Value) -> Value {
    match value {
        Value::Object(map) => match map.get("$repeat") {
            Some(long) => long[0].as_str().unwrap().repeat(long[1].as_u64().unwrap() as usize).into(),
            None => map.iter().map(|(name, value)| (name.clone(), expanded(value))).collect(),
        },
        Value::Array(items) => items.iter().map(expanded).collect(),
        plain => plain.clone(),
    }
}

async fn open() -> Hub {
    // Examples name files; they belong into a folder of their own.
    std::env::set_current_dir(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap());
    neonhub::builder().store("memory:").seed(1).clock(std::sync::Arc::new(clock)).build().await.unwrap()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    value.as_array().into_iter().flatten().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// The error a case describes, made by the core's own means.
fn error_of(case: &Value) -> Error {
    let kind = ErrorKind::from_code(case["kind"].as_str().unwrap()).unwrap();
    let faults: Vec<Fault> =
        pairs(&case["faults"]).into_iter().map(|(field, message)| Fault { field, message }).collect();
    let mut error = if faults.is_empty() {
        Error::new(kind, "test.fail", case["message"].as_str().unwrap().to_owned())
    } else {
        Error::faults("test.fail", faults)
    };
    for (key, value) in pairs(&case["context"]) {
        error = error.with_context(key, value);
    }
    if let Some(code) = case["code"].as_str() {
        error = error.with_code(code.to_owned());
    }
    match (case["retry_after_ms"].as_u64(), case["retryable"] == json!(true)) {
        (Some(ms), _) => error.with_retry(Retry::After(Duration::from_millis(ms))),
        (None, true) => error.with_retry(Retry::Backoff),
        (None, false) => error,
    }
}

#[test]
fn errors_show_what_the_contract_says() {
    let mut seen = BTreeSet::new();
    for case in read(include_str!("contract/errors.json")) {
        let (error, expect) = (error_of(&case["error"]), &case["expect"]);
        seen.insert(error.kind());
        let wait = match error.retry() {
            Retry::After(wait) => json!(u64::try_from(wait.as_millis()).unwrap()),
            _ => Value::Null,
        };
        let shown = json!({
            "kind": error.kind().code(), "code": error.code(), "retryable": error.is_retryable(),
            "retry_after_ms": wait, "line": error.to_string(),
        });
        for (member, value) in shown.as_object().unwrap() {
            assert_eq!(value, &expect[member], "{}: {member}", case["name"]);
        }
        let context: Vec<(String, String)> =
            error.context().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(context, pairs(&expect["context"]), "{}", case["name"]);
        let faults = error.field_faults().iter().map(|fault| (fault.field.clone(), fault.message.clone()));
        assert_eq!(faults.collect::<Vec<_>>(), pairs(&expect["faults"]), "{}", case["name"]);
    }
    assert_eq!(seen, ErrorKind::ALL.iter().copied().collect(), "a kind without a case");
}

#[test]
fn values_survive_json_text() {
    for case in read(include_str!("contract/values.json")) {
        let text = case["value"].to_string();
        let back: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back, case["value"], "{}", case["name"]);
        assert_eq!(back.is_f64(), case["value"].is_f64(), "{}", case["name"]);
    }
}

/// True when every member that `expected` names is in `found` and equal.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| found.get(name).is_some_and(|found| holds(found, value)))
        }
        _ => found == expected,
    }
}

#[tokio::test]
async fn calls_answer_what_the_contract_says() {
    let hub = open().await;
    let cx = hub.workspace("default").await.unwrap();
    for case in read(include_str!("contract/calls.json")) {
        let operation = case["operation"].as_str().unwrap();
        let answer = cx.call_by_name(operation, case["input"].clone(), CallOptions::new()).await;
        match (answer, case.get("error")) {
            (Ok(answer), None) => assert!(holds(&answer, &case["answer"]), "{}: {answer}", case["name"]),
            (Err(error), Some(expected)) => {
                assert_eq!(error.kind().code(), expected["kind"], "{}: {error}", case["name"]);
                let fields: Vec<&str> =
                    error.field_faults().iter().map(|fault| fault.field.as_str()).collect();
                if let Some(code) = expected.get("code") {
                    assert_eq!(error.code(), code, "{}: {error}", case["name"]);
                }
                if let Some(wanted) = expected.get("fields") {
                    assert_eq!(&json!(fields), wanted, "{}: {error}", case["name"]);
                }
            }
            (Ok(answer), Some(_)) => panic!("{} was expected to fail and answered {answer}", case["name"]),
            (Err(error), None) => panic!("{} failed: {error}", case["name"]),
        }
    }
    hub.close().await.unwrap();
}

#[tokio::test]
async fn examples_are_those_of_the_catalogue_and_are_understood() {
    let file: Value = serde_json::from_str(include_str!("contract/examples.json")).unwrap();
    let hub = open().await;
    let mut ours = serde_json::Map::new();
    for entry in hub.operations().filter(|entry| !entry.internal) {
        ours.insert(entry.name.to_owned(), Value::from((entry.examples)()));
    }
    assert_eq!(file["operations"], Value::Object(ours), "run `cargo xtask generate`");
    let cx = hub.workspace("default").await.unwrap();
    for (name, examples) in
        file["operations"].as_object().unwrap().iter().chain(file["made"].as_object().unwrap())
    {
        for example in examples.as_array().unwrap() {
            // What an example names need not exist here; but its members must be those of the operation.
            if let Err(error) = cx.call_by_name(name, example.clone(), CallOptions::new()).await {
                let text = error.to_string();
                let is_misread = ["unknown field", "missing field", "invalid type", "unknown variant"];
                assert!(!is_misread.iter().any(|words| text.contains(words)), "{name}: {text}");
                assert_ne!(error.kind(), ErrorKind::Internal, "{name}: {text}");
            }
        }
    }
    hub.close().await.unwrap();
}
