//! Rights as they are now: what a host says of the principals it vouches for, and what open streams make of a change.
#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test] functions")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use neonhub_core::bus::{StreamSpec, Topic};
use neonhub_core::op::CallOptions;
use neonhub_core::store::MemoryStore;
use neonhub_core::tenancy::Rights;
use neonhub_core::{ErrorKind, Hub, PermissionSet, Principal, Result, Role, Scope};
use serde_json::{Value, json};

/// A host with users of its own: one role for all of them.
#[derive(Debug)]
struct Directory(Mutex<Role>);

#[async_trait]
impl Rights for Directory {
    async fn current(&self, _cx: &Scope) -> Result<PermissionSet> {
        Ok(self.0.lock().unwrap().permissions())
    }
}

async fn call(cx: &Scope, name: &str, input: Value) -> Result<Value> {
    cx.call_by_name(name, input, CallOptions::new()).await
}

#[tokio::test]
async fn what_a_host_says_holds_for_the_next_call_and_never_widens() {
    let directory = Arc::new(Directory(Mutex::new(Role::Owner)));
    let hub = Hub::builder().rights(Arc::clone(&directory) as Arc<dyn Rights>).build().await.unwrap();
    let ada = Principal::User { id: "ada".into() };
    let admin = hub.scope("default", ada.clone(), Role::Admin).await.unwrap();
    let agent = admin.for_agent("helper", "run_1", PermissionSet::all());
    let rename = || json!({ "name": "Shop" });
    call(&admin, "workspaces.update", rename()).await.unwrap();
    *directory.0.lock().unwrap() = Role::Viewer;
    for scope in [&admin, &agent] {
        let error = call(scope, "workspaces.update", rename()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    call(&admin, "workspaces.get", json!({})).await.unwrap();
    // An owner in the eyes of the host gets no more than the scope was made with.
    *directory.0.lock().unwrap() = Role::Owner;
    let viewer = hub.scope("default", ada, Role::Viewer).await.unwrap();
    let error = call(&viewer, "workspaces.update", rename()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    call(&admin, "workspaces.update", rename()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_the_membership_that_opened_it() {
    // Time that jumps when nothing is to do must not meet a server.
    let hub = Hub::builder().store_backend(Arc::new(MemoryStore::new())).build().await.unwrap();
    let owner = hub.workspace("default").await.unwrap();
    for user in ["ada", "ben"] {
        call(&owner, "members.invite", json!({ "user": user, "role": "admin" })).await.unwrap();
    }
    let ada = hub.member("default", "ada").await.unwrap();
    let mut stream = ada.open_stream(StreamSpec::topics([Topic::Notifications])).await.unwrap();
    let begun = tokio::time::Instant::now();
    call(&owner, "members.remove", json!({ "user": "ada" })).await.unwrap();
    let mut last = None;
    while let Some(item) = stream.next().await.unwrap() {
        last = Some(item);
    }
    let last = last.unwrap();
    assert_eq!((last.kind.as_str(), &last.data["reason"]), ("ended", &json!("permission_denied")));
    // The event of the removal makes it look, not the next minute.
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_joins_and_who_is_turned_away_is_in_the_audit_log() {
    let hub = Hub::builder().store_backend(Arc::new(MemoryStore::new())).build().await.unwrap();
    let owner = hub.workspace("default").await.unwrap();
    let made = call(&owner, "members.invite", json!({ "user": "ada", "role": "admin" })).await.unwrap();
    for _ in 0..2 {
        hub.member("default", "ada").await.unwrap();
    }
    assert!(hub.member("default", "eve").await.is_err());
    let key = call(&owner, "api_keys.create", json!({ "name": "shop", "permissions": ["read:content"] }))
        .await
        .unwrap();
    let mut wrong = key["secret"].as_str().unwrap().to_owned();
    hub.api_key(&wrong).await.unwrap();
    let last = if wrong.ends_with('a') { "b" } else { "a" };
    wrong.replace_range(wrong.len() - 1.., last);
    assert!(hub.api_key(&wrong).await.is_err());
    for (action, who) in [("hub.member", json!("eve")), ("hub.api_key", key["key"]["id"].clone())] {
        let found = call(&owner, "audit.query", json!({ "action": action })).await.unwrap();
        let rows = found["items"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{action}");
        assert_eq!((&rows[0]["outcome"], &rows[0]["actor"]["id"]), (&json!("denied"), &who), "{action}");
    }
    let found = call(&owner, "audit.query", json!({ "action": "members.join" })).await.unwrap();
    let rows = found["items"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["target_id"], &rows[0]["actor"]["id"]), (&made["id"], &json!("ada")));
}
