//! Every operation of the catalogue, called by whom it does not concern: by the owner of another workspace with
//! the ids of this one, and by a principal without rights.
#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test] functions")]

use std::collections::{BTreeMap, BTreeSet};

use neonhub::op::CallOptions;
use neonhub::{ErrorKind, Hub, ManualClock, PermissionSet, Scope, Timestamp};
use serde_json::{Value, json};

async fn hub() -> Hub {
    // Examples name files; they belong into a folder of their own.
    std::env::set_current_dir(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = ManualClock::at(Timestamp::parse("now", "2026-11-21T15:00:00Z").unwrap());
    neonhub::builder().clock(std::sync::Arc::new(clock)).seed(5).build().await.unwrap()
}

/// Fills a workspace through its own operations: every example that works, ids filled in as they come to be.
async fn fill(cx: &Scope) -> BTreeMap<String, Vec<String>> {
    for (name, input) in [
        ("people.resolve", json!({ "identifiers": [{ "kind": "email", "value": "ada@shop.example" }] })),
        ("spaces.create", json!({ "name": "brand-voice" })),
        ("datasets.create", json!({ "space": "brand-voice", "name": "brand-voice" })),
        (
            "knowledge.ingest_text",
            json!({ "dataset": "brand-voice", "title": "Tea", "text": "# Tea\n\nWe sell tea." }),
        ),
    ] {
        cx.call_by_name(name, input, CallOptions::new()).await.unwrap();
    }
    for round in 0..3 {
        let ids = ids_of(cx).await;
        for entry in cx.hub().operations().filter(|e| !e.internal) {
            // A policy in force would stand in the way of what comes after it.
            if entry.name == "policies.activate" && round < 2 {
                continue;
            }
            for example in (entry.examples)() {
                // What an example lacks to work (a file, a state) is no matter here.
                let _ = cx.call_by_name(entry.name, with_ids(example, &ids), CallOptions::new()).await;
                restore(cx).await;
            }
        }
    }
    ids_of(cx).await
}

/// Some operations suspend or close the workspace; what comes after them is to be walked all the same.
async fn restore(cx: &Scope) {
    cx.call_by_name("workspaces.restore", json!({}), CallOptions::new()).await.unwrap();
}

/// The ids of the workspace's records by prefix, oldest first.
async fn ids_of(cx: &Scope) -> BTreeMap<String, Vec<String>> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in cx.store().changes(0, usize::MAX >> 1).await.unwrap() {
        for change in entry.changes.iter().filter(|_| entry.workspace == *cx.workspace()) {
            if let Some(prefix) = prefix_of(&change.id) {
                let known = ids.entry(prefix.to_owned()).or_default();
                if !known.contains(&change.id) {
                    known.push(change.id.clone());
                }
            }
        }
    }
    ids
}

fn prefix_of(text: &str) -> Option<&str> {
    let (prefix, body) = text.split_once('_')?;
    (prefix.len() == 3 && body.len() == 26).then_some(prefix)
}

/// The example with each id replaced by one that exists.
fn with_ids(value: Value, ids: &BTreeMap<String, Vec<String>>) -> Value {
    match value {
        Value::String(text) => {
            let real = prefix_of(&text).and_then(|p| ids.get(p)).and_then(|known| known.first());
            Value::String(real.cloned().unwrap_or(text))
        }
        Value::Array(items) => items.into_iter().map(|v| with_ids(v, ids)).collect(),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, with_ids(v, ids))).collect(),
        other => other,
    }
}

#[tokio::test]
async fn the_owner_of_another_workspace_sees_and_changes_nothing() {
    let hub = hub().await;
    let ours = hub.workspace("default").await.unwrap();
    let ids = fill(&ours).await;
    assert!(ids.len() >= 8, "the walk needs records of many kinds: {:?}", ids.keys());
    let theirs = hub.create_workspace("other").await.unwrap();
    let before = hub.store().seq().await.unwrap();
    let known: BTreeSet<&String> = ids.values().flatten().collect();
    let mut called = 0;
    for entry in hub.operations() {
        let examples = (entry.examples)();
        assert!(!examples.is_empty() || entry.internal, "{} has no example", entry.name);
        for example in examples {
            called += 1;
            let input = with_ids(example, &ids);
            let asked = input.to_string();
            let answer = theirs.call_by_name(entry.name, input, CallOptions::new()).await;
            restore(&theirs).await;
            let shown = match &answer {
                Ok(output) => output.to_string(),
                Err(error) => {
                    let holder = error.context().find(|(key, _)| *key == "holder").map(|(_, v)| v.to_owned());
                    assert_ne!(error.kind(), ErrorKind::Internal, "{}: {error}", entry.name);
                    holder.unwrap_or_default()
                }
            };
            // What the caller itself gave may come back; nothing else of ours may.
            let leaked = known.iter().find(|id| shown.contains(id.as_str()) && !asked.contains(id.as_str()));
            assert!(leaked.is_none(), "{} showed {leaked:?} of another workspace", entry.name);
        }
    }
    assert!(called > 90, "only {called} calls were made");
    for entry in hub.store().changes(before, 100_000).await.unwrap() {
        assert_ne!(entry.workspace, *ours.workspace(), "the other owner changed {:?}", entry.changes);
    }
}

#[tokio::test]
async fn a_principal_without_rights_is_refused_everywhere() {
    let hub = hub().await;
    let nobody = hub.workspace("default").await.unwrap().for_agent("nobody", "run", PermissionSet::NONE);
    for entry in hub.operations().filter(|e| !e.needs.is_empty()) {
        for example in (entry.examples)() {
            let error = nobody.call_by_name(entry.name, example, CallOptions::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{}: {error}", entry.name);
        }
    }
}

#[tokio::test]
async fn every_example_decodes_strictly() {
    let hub = hub().await;
    let cx = hub.workspace("default").await.unwrap();
    for entry in hub.operations() {
        for example in (entry.examples)() {
            // Decoding is strict: what a schema does not name would be refused as an unknown field.
            let answer = cx.call_by_name(entry.name, example, CallOptions::new()).await;
            if let Err(error) = answer {
                assert!(
                    !error.message().contains("unknown field") && !error.message().contains("missing field"),
                    "{}: {error}",
                    entry.name
                );
            }
        }
    }
}
