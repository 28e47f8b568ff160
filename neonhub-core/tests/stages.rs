//! The stages of the door: their order, the rights that hold now, tenants, calls by name in batches.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, outside #[test] functions"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use neonhub_core::audit::QueryAudit;
use neonhub_core::op::{CallOptions, Effect, Entry, Idempotency, Operation, entry};
use neonhub_core::resilience::{Counted, LimitProfile, Rate};
use neonhub_core::{
    CancelToken, ErrorKind, Hub, HubBuilder, ManualClock, Permission, Principal, Result, Role, Scope,
    Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Counts how often it ran.
#[derive(Debug, Default)]
struct Ran(AtomicU32);

/// Runs and answers with as many bytes as asked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Run {
    /// Size of the answer.
    bytes: usize,
    /// When, for bounds.
    #[serde(default)]
    at: Option<Timestamp>,
}

impl Operation for Run {
    type Output = String;
    const NAME: &'static str = "test.run";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const MAX_INPUT: usize = 500;
    const MAX_OUTPUT: usize = 1_000;
    async fn run(self, cx: &Scope) -> Result<String> {
        cx.service::<Ran>()?.0.fetch_add(1, Ordering::SeqCst);
        if self.bytes == 666 {
            return Err(neonhub_core::Error::invalid(Self::NAME, "bytes", "not this one"));
        }
        cx.emit(neonhub_core::bus::Event::new(cx, "test.ran", "test", "1", json!({})))?;
        Ok("x".repeat(self.bytes))
    }
}

/// Needs a key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keyed {}

impl Operation for Keyed {
    type Output = ();
    const NAME: &'static str = "test.keyed";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const IDEMPOTENCY: Idempotency = Idempotency::Required;
    async fn run(self, _cx: &Scope) -> Result<()> {
        Ok(())
    }
}

static CATALOGUE: &[Entry] = &[entry::<Run>(), entry::<Keyed>()];

fn builder(profile: LimitProfile) -> HubBuilder {
    let clock = ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap());
    let ran = Arc::new(Ran::default());
    Hub::builder().clock(Arc::new(clock)).seed(1).operations(CATALOGUE).service(ran).limits(profile)
}

async fn open() -> Scope {
    builder(LimitProfile::embedded()).build().await.unwrap().workspace("default").await.unwrap()
}

fn ran(cx: &Scope) -> u32 {
    cx.service::<Ran>().unwrap().0.load(Ordering::SeqCst)
}

async fn call(cx: &Scope, name: &str, input: Value) -> Result<Value> {
    cx.call_by_name(name, input, CallOptions::new()).await
}

async fn enact(cx: &Scope, body: Value) {
    let put = call(cx, "policies.put", json!({ "policy": body })).await.unwrap();
    call(cx, "policies.activate", json!({ "id": put["id"] })).await.unwrap();
}

/// Each call fails at two neighbouring stages; the earlier one must be the one that speaks.
#[tokio::test]
async fn the_stages_come_in_their_order() {
    let profile = LimitProfile::embedded().with(Counted::Principal, Rate::new(1, Duration::from_secs(60)));
    let hub = builder(profile).build().await.unwrap();
    let admin = hub.workspace("default").await.unwrap();
    let user = |id: &str| Principal::User { id: id.into() };
    let limits =
        json!({ "bucket": "principal|user:owner", "until": 1_795_300_000_000_i64, "reason": "set up" });
    call(&admin, "limits.override", limits).await.unwrap();
    let good = json!({ "bytes": 5 });
    let bad = json!({ "bytes": "five" });

    // 2 before 3: a cancelled call is not even read.
    let token = CancelToken::new();
    token.cancel();
    let options = CallOptions::new().cancel(token);
    let error = admin.call_by_name("test.run", bad.clone(), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);

    // 3 before 4: what cannot be read is said so, whoever calls.
    let viewer = hub.scope("default", user("vic"), Role::Viewer).await.unwrap();
    assert_eq!(call(&viewer, "test.run", bad).await.unwrap_err().kind(), ErrorKind::InvalidInput);

    // 4 before 5: rights before policies, and a policy is no way to learn of them.
    enact(
        &admin,
        json!({ "name": "no", "scope": { "operations": ["test.run"], "roles": ["viewer", "member"] },
        "effect": { "do": "deny" }, "reason": "not now" }),
    )
    .await;
    assert_eq!(
        call(&viewer, "test.run", good.clone()).await.unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );

    // 5 before 6: a refused call takes nothing from the bucket.
    let mia = hub.scope("default", user("mia"), Role::Member).await.unwrap();
    for _ in 0..3 {
        assert_eq!(call(&mia, "test.run", good.clone()).await.unwrap_err().code(), "policy_denied");
    }
    call(&mia, "scope.whoami", json!({})).await.unwrap();

    // 6 before 7: a repeated call is counted like any other.
    let ben = hub.scope("default", user("ben"), Role::Admin).await.unwrap();
    let keyed = || CallOptions::new().idempotency_key("k");
    ben.call_by_name("test.run", good.clone(), keyed()).await.unwrap();
    let error = ben.call_by_name("test.run", good.clone(), keyed()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);

    // 7 before 8: a repeated call does not run.
    admin.call_by_name("test.run", good.clone(), keyed()).await.unwrap();
    let before = ran(&admin);
    admin.call_by_name("test.run", good, keyed()).await.unwrap();
    assert_eq!(ran(&admin), before);

    // 8 before 9, 9 before 10: an answer that is too large is refused after the body, and nothing is committed.
    assert_eq!(
        call(&admin, "test.run", json!({ "bytes": 666 })).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let seq = admin.store().seq().await.unwrap();
    let error = call(&admin, "test.run", json!({ "bytes": 1_000 })).await.unwrap_err();
    assert_eq!((error.code(), ran(&admin)), ("answer_too_large", before + 2));
    assert_eq!(admin.store().seq().await.unwrap(), seq);
}

#[tokio::test]
async fn inputs_keep_to_their_bounds() {
    let cx = open().await;
    let too_large = json!({ "bytes": 1, "x": "y".repeat(600) });
    let error = call(&cx, "test.run", too_large).await.unwrap_err();
    assert!(error.to_string().contains("500 bytes"), "{error}");
    for (input, field) in [
        (json!({ "bytes": 1, "at": -1 }), "at"),
        (json!({ "bytes": 1, "at": 253_402_300_800_000_i64 }), "at"),
        (json!({ "bytes": 1, "at": 1e300 }), "at"),
        (json!({ "bytes": 1, "a\u{0}": 1 }), "a\u{0}"),
    ] {
        let error = call(&cx, "test.run", input).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let found = &error.field_faults()[0].field;
        assert!(found == field || error.message().contains("NUL"), "{error}");
    }
    let error = call(&cx, "test.keyed", json!({})).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "idempotency_key");
    cx.call_by_name("test.keyed", json!({}), CallOptions::new().idempotency_key("k")).await.unwrap();
    let error = call(&cx, "scope.whoam", json!({})).await.unwrap_err();
    let close = error.context().find(|(k, _)| *k == "closest").unwrap().1.to_owned();
    assert_eq!(close.split(", ").count(), 3);
    assert!(close.starts_with("scope.whoami"));
}

#[tokio::test]
async fn a_demotion_holds_for_the_next_call_also_of_a_running_agent() {
    let cx = open().await;
    call(&cx, "members.invite", json!({ "user": "ada", "role": "admin" })).await.unwrap();
    let ada = cx.hub().member("default", "ada").await.unwrap();
    let agent = ada.for_agent("helper", "run_1", neonhub_core::PermissionSet::all());
    let rename = || json!({ "bytes": 1 });
    call(&ada, "test.run", rename()).await.unwrap();
    call(&agent, "test.run", rename()).await.unwrap();
    call(&cx, "members.set_role", json!({ "user": "ada", "role": "viewer" })).await.unwrap();
    for scope in [&ada, &agent] {
        let error = call(scope, "test.run", rename()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    let who = call(&ada, "scope.whoami", json!({})).await.unwrap();
    assert_eq!(who["roles"], json!(["viewer"]));
    call(&cx, "members.remove", json!({ "user": "ada" })).await.unwrap();
    assert_eq!(call(&ada, "scope.whoami", json!({})).await.unwrap_err().code(), "not_a_member");
    assert_eq!(cx.hub().member("default", "ada").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn nobody_grants_what_it_does_not_hold_and_an_owner_stays() {
    let cx = open().await;
    for (user, role) in [("olga", "owner"), ("max", "admin")] {
        call(&cx, "members.invite", json!({ "user": user, "role": role })).await.unwrap();
        cx.hub().member("default", user).await.unwrap();
    }
    let max = cx.hub().member("default", "max").await.unwrap();
    for (name, input) in [
        ("members.invite", json!({ "user": "x", "role": "owner" })),
        ("members.set_role", json!({ "user": "max", "role": "owner" })),
        ("members.set_role", json!({ "user": "olga", "role": "viewer" })),
        ("members.remove", json!({ "user": "olga" })),
        ("roles.put", json!({ "name": "boss", "permissions": ["own:organization"] })),
        ("api_keys.create", json!({ "name": "k", "permissions": ["own:organization"] })),
    ] {
        let error = call(&max, name, input).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{name}: {error}");
    }
    for (name, input) in [
        ("members.set_role", json!({ "user": "olga", "role": "admin" })),
        ("members.remove", json!({ "user": "olga" })),
    ] {
        assert_eq!(call(&cx, name, input).await.unwrap_err().code(), "last_owner");
    }
    let error = call(&cx, "members.invite", json!({ "user": "y", "role": "chief" })).await.unwrap_err();
    assert!(error.to_string().contains("owner, admin, member, viewer"), "{error}");
    call(&cx, "roles.put", json!({ "name": "reader", "permissions": ["read:content"] })).await.unwrap();
    call(&cx, "members.invite", json!({ "user": "rae", "role": "reader" })).await.unwrap();
    let rae = cx.hub().member("default", "rae").await.unwrap();
    let who = call(&rae, "scope.whoami", json!({})).await.unwrap();
    assert_eq!((&who["permissions"], &who["roles"]), (&json!(["read:content"]), &json!(["reader"])));
}

#[tokio::test]
async fn keys_are_shown_once_and_end_when_they_are_told_to() {
    let cx = open().await;
    let made = call(&cx, "api_keys.create", json!({ "name": "shop", "permissions": ["write:content"] }))
        .await
        .unwrap();
    let secret = made["secret"].as_str().unwrap();
    let key = cx.hub().api_key(secret).await.unwrap();
    call(&key, "test.run", json!({ "bytes": 1 })).await.unwrap();
    assert!(call(&key, "members.list", json!({})).await.is_err());
    let listed = call(&cx, "api_keys.list", json!({})).await.unwrap();
    assert!(!listed.to_string().contains(secret) && listed["items"][0].get("key_hash").is_none());
    let mut wrong = secret.to_owned();
    wrong.pop();
    for text in [wrong.clone(), wrong + "0", "nhk_00000000_x".into(), String::new()] {
        let Err(error) = cx.hub().api_key(&text).await else { continue };
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
    let rotate = json!({ "id": made["key"]["id"], "overlap_ms": 0 });
    let next = call(&cx, "api_keys.rotate", rotate).await.unwrap();
    assert_eq!(
        call(&key, "test.run", json!({ "bytes": 1 })).await.unwrap_err().kind(),
        ErrorKind::Unauthenticated
    );
    let next_key = cx.hub().api_key(next["secret"].as_str().unwrap()).await.unwrap();
    call(&next_key, "test.run", json!({ "bytes": 1 })).await.unwrap();
    call(&cx, "api_keys.revoke", json!({ "id": next["key"]["id"] })).await.unwrap();
    let error = call(&next_key, "scope.whoami", json!({})).await.unwrap_err();
    assert_eq!(error.code(), "key_invalid");
    let log =
        cx.call(QueryAudit { action: Some("scope.whoami".into()), ..Default::default() }).await.unwrap();
    assert_eq!(log.items.last().unwrap().reason.as_deref(), Some("key_invalid"));
}

#[tokio::test]
async fn a_suspended_workspace_answers_reads_until_it_is_restored() {
    let cx = open().await;
    call(&cx, "workspaces.suspend", json!({ "reason": "unpaid" })).await.unwrap();
    assert_eq!(call(&cx, "test.run", json!({ "bytes": 1 })).await.unwrap_err().code(), "workspace_suspended");
    assert_eq!(call(&cx, "workspaces.get", json!({})).await.unwrap()["status"], "suspended");
    let can = call(&cx, "scope.can", json!({ "operation": "test.run" })).await.unwrap();
    assert_eq!((&can["allowed"], &can["workspace"]), (&json!(false), &json!("suspended")));
    let admin = cx.with_role(Role::Admin);
    assert_eq!(
        call(&admin, "workspaces.restore", json!({})).await.unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    call(&cx, "workspaces.restore", json!({})).await.unwrap();
    call(&cx, "test.run", json!({ "bytes": 1 })).await.unwrap();
    call(&cx, "workspaces.close", json!({ "reason": "sold" })).await.unwrap();
    assert_eq!(call(&cx, "test.run", json!({ "bytes": 1 })).await.unwrap_err().code(), "workspace_closed");
}

#[tokio::test]
async fn a_region_refuses_targets_elsewhere() {
    let cx = open().await;
    cx.check_residency("shop", None).await.unwrap();
    call(&cx, "workspaces.update", json!({ "region_tag": "eu" })).await.unwrap();
    assert_eq!(cx.check_residency("shop", None).await.unwrap_err().code(), "residency");
    assert_eq!(cx.check_residency("shop", Some("us")).await.unwrap_err().code(), "residency");
    cx.check_residency("shop", Some("eu")).await.unwrap();
    call(&cx, "workspaces.update", json!({ "residency_any": true })).await.unwrap();
    cx.check_residency("shop", None).await.unwrap();
}

#[tokio::test]
async fn workspaces_of_strangers_are_not_told_of() {
    let cx = open().await;
    let stranger = cx.hub().create_workspace("other").await.unwrap();
    call(&cx, "workspaces.create", json!({ "slug": "second" })).await.unwrap();
    let twice = call(&cx, "workspaces.create", json!({ "slug": "second" })).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::AlreadyExists);
    let theirs = call(&stranger, "workspaces.create", json!({ "slug": "second" })).await.unwrap();
    let slug = theirs["slug"].as_str().unwrap();
    assert!(slug.starts_with("second-") && slug.len() == 15, "{slug}");
    let slugs = |list: Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|w| w["slug"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(slugs(call(&cx, "workspaces.list", json!({})).await.unwrap()), ["default", "second"]);
    assert_eq!(slugs(call(&stranger, "workspaces.list", json!({})).await.unwrap()), ["other", slug]);
    call(&cx, "members.invite", json!({ "user": "ada", "role": "viewer" })).await.unwrap();
    let ada = cx.hub().member("default", "ada").await.unwrap();
    assert_eq!(slugs(call(&ada, "workspaces.list", json!({})).await.unwrap()), ["default"]);
    // Page by page, with lines of strangers in between.
    for n in 0..4 {
        cx.hub().create_workspace(&format!("near-{n}")).await.unwrap();
        call(&cx, "workspaces.create", json!({ "slug": format!("shop-{n}") })).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let input = json!({ "limit": 2, "cursor": cursor });
        let page = call(&cx, "workspaces.list", input).await.unwrap();
        cursor = page["next"].clone();
        let page = slugs(page);
        assert_eq!(page.len(), 2, "no page is short");
        seen.extend(page);
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["default", "second", "shop-0", "shop-1", "shop-2", "shop-3"]);
    let next = call(&cx, "workspaces.list", json!({ "limit": 1 })).await.unwrap()["next"].clone();
    let error = call(&stranger, "workspaces.list", json!({ "cursor": next })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "a cursor serves its own workspace alone");
}

#[tokio::test]
async fn calls_in_a_batch_stand_for_themselves() {
    let cx = open().await;
    let calls = json!([
        { "name": "test.run", "input": { "bytes": 1 } },
        { "name": "test.run", "input": { "bytes": 666 } },
        { "name": "catalogue.batch", "input": {} },
        { "name": "test.run", "input": { "bytes": 2 } },
    ]);
    let ends = call(&cx, "catalogue.batch", json!({ "calls": calls })).await.unwrap();
    let ok: Vec<_> = ends.as_array().unwrap().iter().map(|e| e["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [true, false, false, true]);
    assert_eq!((&ends[1]["error"]["kind"], &ends[3]["output"]), (&json!("invalid_input"), &json!("xx")));
    let ends = call(&cx, "catalogue.batch", json!({ "calls": calls, "stop_on_error": true })).await.unwrap();
    assert_eq!(ends.as_array().unwrap().len(), 2);
    assert!(call(&cx, "catalogue.batch", json!({ "calls": [] })).await.is_err());
    let viewer = cx.with_role(Role::Viewer);
    let one = json!({ "name": "test.run", "input": { "bytes": 1 } });
    assert_eq!(call(&viewer, "catalogue.call", one).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let key = json!({ "name": "test.run", "input": { "bytes": 1 }, "idempotency_key": "k" });
    let before = ran(&cx);
    call(&cx, "catalogue.call", key.clone()).await.unwrap();
    call(&cx, "catalogue.call", key).await.unwrap();
    assert_eq!(ran(&cx), before + 1);
}

#[tokio::test]
async fn a_batch_is_counted_call_by_call() {
    let profile = LimitProfile::embedded().with(Counted::Principal, Rate::new(3, Duration::from_secs(60)));
    let cx = builder(profile).build().await.unwrap().workspace("default").await.unwrap();
    let calls: Vec<Value> = (0..5).map(|_| json!({ "name": "scope.whoami" })).collect();
    let ends = call(&cx, "catalogue.batch", json!({ "calls": calls })).await.unwrap();
    let ok = ends.as_array().unwrap().iter().filter(|e| e["ok"] == true).count();
    assert_eq!((ok, &ends[4]["error"]["retry_after_ms"]), (3, &json!(20_000)));
}

#[tokio::test]
async fn the_catalogue_tells_all_of_every_operation() {
    let cx = open().await;
    let list = call(&cx, "catalogue.list", json!({})).await.unwrap();
    for line in list.as_array().unwrap() {
        let name = line["name"].as_str().unwrap();
        let told = call(&cx, "catalogue.describe", json!({ "name": name })).await.unwrap();
        assert!(!line["about"].as_str().unwrap().is_empty(), "{name} says nothing of itself");
        assert_eq!(told["input_schema"]["type"], "object", "{name}");
        assert!(told["deadline_ms"].as_u64().unwrap() > 0 && told["since"].is_string());
    }
    let one = call(&cx, "catalogue.describe", json!({ "name": "test.keyed" })).await.unwrap();
    assert_eq!((&one["idempotency"], &one["audit"]), (&json!("required"), &json!("business")));
    let words = call(&cx, "scope.list_permissions", json!({})).await.unwrap();
    assert_eq!(words.as_array().unwrap().len(), Permission::ALL.len());
    assert!(words.as_array().unwrap().iter().all(|w| !w["meaning"].as_str().unwrap().is_empty()));
}
