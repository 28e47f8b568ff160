//! Policies at the door: in force, asked, told of, tried.

use serde_json::{Value, json};

use super::tests::at;
use super::*;
use crate::{Hub, Scope};

async fn scope() -> Scope {
    let clock = std::sync::Arc::new(crate::ManualClock::at(at()));
    let hub = Hub::builder().clock(clock).seed(3).build().await.unwrap();
    hub.workspace("default").await.unwrap()
}

async fn call(cx: &Scope, name: &str, input: Value) -> crate::Result<Value> {
    cx.call_by_name(name, input, crate::op::CallOptions::new()).await
}

async fn enact(cx: &Scope, body: Value, dry_run: bool) -> Value {
    let put = call(cx, "policies.put", json!({ "policy": body })).await.unwrap();
    call(cx, "policies.activate", json!({ "id": put["id"], "dry_run": dry_run })).await.unwrap()
}

#[tokio::test]
async fn versions_follow_each_other_and_one_is_in_force() {
    let cx = scope().await;
    let body = |reason: &str| {
        json!({ "name": "p", "effect": { "do": "deny" }, "reason": reason,
        "scope": { "operations": ["no.such"] } })
    };
    let one = enact(&cx, body("first"), false).await;
    let same = call(&cx, "policies.put", json!({ "policy": body("first") })).await.unwrap();
    assert_eq!(same["id"], one["id"], "the same words are the same version");
    let two = enact(&cx, body("second"), false).await;
    assert_eq!(two["version"], 2);
    let history = call(&cx, "policies.history", json!({ "name": "p" })).await.unwrap();
    let states: Vec<&str> =
        history.as_array().unwrap().iter().map(|p| p["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["retired", "active"]);
    let listed = call(&cx, "policies.list", json!({ "state": "active" })).await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    call(&cx, "policies.retire", json!({ "id": two["id"] })).await.unwrap();
    assert!(call(&cx, "policies.history", json!({ "name": "q" })).await.is_err());
}

#[derive(Debug)]
struct Idle;

#[async_trait::async_trait]
impl crate::job::Handler for Idle {
    fn queue(&self) -> &'static str {
        "suite.idle"
    }
    async fn work(&self, _cx: &Scope, jobs: &[crate::job::Job]) -> crate::Result<Vec<crate::job::Outcome>> {
        Ok(jobs.iter().map(|_| crate::job::Outcome::Done).collect())
    }
}

/// A job says itself who enqueued it: no audit entry repeats it, unless policies had something to say.
#[tokio::test]
async fn an_enqueued_job_is_audited_when_a_policy_spoke() {
    let hub = Hub::builder().seed(3).handler(std::sync::Arc::new(Idle)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let enqueue = async || {
        let job = json!({ "queue": "suite.idle", "name": "rest" });
        call(&cx, "jobs.enqueue", json!({ "job": job })).await.unwrap();
        let log = call(&cx, "audit.query", json!({ "action": "jobs.enqueue" })).await.unwrap();
        log["items"].as_array().unwrap().len()
    };
    assert_eq!(enqueue().await, 0);
    let note = json!({ "name": "p", "effect": { "do": "allow" }, "reason": "x",
        "scope": { "operations": ["jobs.*"] } });
    enact(&cx, note, false).await;
    assert_eq!(enqueue().await, 1);
    let decisions = cx.query::<PolicyDecision>(&crate::store::Query::by_id()).await.unwrap();
    assert!(decisions.iter().any(|d| d.operation == "jobs.enqueue"));
}

#[tokio::test]
async fn a_condition_that_does_not_read_is_refused_with_its_position() {
    let cx = scope().await;
    let body = json!({ "name": "p", "effect": { "do": "deny" }, "reason": "x", "when": "operation == 5" });
    let error = call(&cx, "policies.put", json!({ "policy": body })).await.unwrap_err();
    let fault = &error.field_faults()[0];
    assert_eq!(fault.field, "when");
    assert!(fault.message.contains("at character 11"), "{}", fault.message);
}

#[tokio::test]
async fn the_door_asks_and_forgets_at_once() {
    let cx = scope().await;
    let deny = json!({ "name": "no-updates", "scope": { "operations": ["workspaces.update"] },
        "when": "not (\"admin\" in roles) and has(input.name)", "effect": { "do": "deny" }, "reason": "frozen names" });
    let policy = enact(&cx, deny, false).await;
    let rename = json!({ "name": "New" });
    let error = call(&cx, "workspaces.update", rename.clone()).await.unwrap_err();
    assert_eq!(error.code(), "policy_denied");
    assert!(
        error.to_string().contains("frozen names") && error.to_string().contains("no-updates@1"),
        "{error}"
    );
    call(&cx, "workspaces.update", json!({ "timezone": "Europe/Vienna" })).await.unwrap();
    call(&cx.with_role(crate::Role::Admin), "workspaces.update", rename.clone()).await.unwrap();
    let can =
        call(&cx, "scope.can", json!({ "operation": "workspaces.update", "target": rename })).await.unwrap();
    assert_eq!((can["allowed"].as_bool(), &can["policies"][0]), (Some(false), &json!("no-updates@1")));
    let log = call(&cx, "audit.query", json!({ "action": "workspaces.update" })).await.unwrap();
    let denied = &log["items"][0];
    assert_eq!(
        (&denied["outcome"], &denied["policy_versions"]),
        (&json!("denied"), &json!(["no-updates@1"]))
    );
    let decisions = cx.query::<PolicyDecision>(&crate::store::Query::by_id()).await.unwrap();
    assert_eq!(decisions.len(), 3, "one decision beside each audit row");
    assert!(
        decisions.iter().all(|d| d.facts_hash.len() == 64 && d.facts["operation"] == "workspaces.update")
    );
    call(&cx, "policies.retire", json!({ "id": policy["id"] })).await.unwrap();
    call(&cx, "workspaces.update", json!({ "name": "New" })).await.unwrap();
}

#[tokio::test]
async fn a_policy_that_cannot_be_judged_refuses_and_raises_an_alarm() {
    let cx = scope().await;
    let body = json!({ "name": "odd", "scope": { "operations": ["workspaces.update"] }, "effect": { "do": "allow" },
        "when": "input.name > 5", "reason": "compares a name with a number" });
    enact(&cx, body, false).await;
    let rename = json!({ "name": "planted@shop.example" });
    let error = call(&cx, "workspaces.update", rename).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (crate::ErrorKind::Blocked, "policy_failed"));
    let events = cx.query::<crate::bus::Event>(&crate::store::Query::by_id()).await.unwrap();
    let alarm = events.iter().find(|e| e.kind == "policy.failed").unwrap();
    assert_eq!(alarm.data, json!({ "policy": "odd@1", "operation": "workspaces.update" }));
    let log = call(&cx, "audit.query", json!({ "action": "workspaces.update" })).await.unwrap();
    assert_eq!(
        (&log["items"][0]["outcome"], &log["items"][0]["reason"]),
        (&json!("denied"), &json!("policy_failed"))
    );
    call(&cx, "workspaces.update", json!({ "timezone": "Europe/Vienna" })).await.unwrap();
}

#[tokio::test]
async fn answers_are_redacted_and_calls_limited_by_policies() {
    let cx = scope().await;
    let redact = json!({ "name": "hide", "scope": { "operations": ["workspaces.get"] },
        "effect": { "do": "redact", "fields": ["timezone"] }, "reason": "not for all" });
    enact(&cx, redact, false).await;
    let got = call(&cx, "workspaces.get", json!({})).await.unwrap();
    assert_eq!((&got["timezone"], &got["slug"]), (&json!("***"), &json!("default")));
    let typed = cx.call(crate::tenancy::GetWorkspace {}).await.unwrap();
    assert_eq!(typed.timezone, "***", "typed callers see no more");
    let limit = json!({ "name": "slow", "scope": { "operations": ["scope.whoami"] },
        "effect": { "do": "limit", "bucket": "who", "max": 2, "per_ms": 60_000 }, "reason": "slowly" });
    enact(&cx, limit, false).await;
    for _ in 0..2 {
        call(&cx, "scope.whoami", json!({})).await.unwrap();
    }
    let error = call(&cx, "scope.whoami", json!({})).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (crate::ErrorKind::RateLimited, crate::Retry::After(std::time::Duration::from_secs(30)),)
    );
}

#[tokio::test]
async fn a_field_that_cannot_be_hidden_refuses_the_call() {
    let cx = scope().await;
    let redact = json!({ "name": "hide", "scope": { "operations": ["workspaces.get"] },
        "effect": { "do": "redact", "fields": ["allow_offline_output"] }, "reason": "x" });
    enact(&cx, redact, false).await;
    let error = call(&cx, "workspaces.get", json!({})).await.unwrap_err();
    assert_eq!(error.code(), "redaction_impossible");
}

#[derive(Debug, Default)]
struct Yes(std::sync::Mutex<Vec<Ask>>);

#[async_trait::async_trait]
impl Approvals for Yes {
    async fn granted(&self, _: &Scope, ask: &Ask) -> crate::Result<Option<String>> {
        let asked = self.0.lock().unwrap();
        Ok(asked.iter().any(|a| a.args_hash == ask.args_hash).then(|| "apr_1".into()))
    }
    async fn ask(&self, _: &Scope, ask: &Ask) -> crate::Result<String> {
        self.0.lock().unwrap().push(ask.clone());
        Ok("apr_1".into())
    }
    async fn spend(&self, _: &Scope, _: &str) -> crate::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn agents_act_on_the_outside_with_a_persons_yes_for_exactly_this_call() {
    let plain = scope().await;
    let agent = plain.for_agent("helper", "run_1", crate::PermissionSet::all());
    // No rule speaks: the catalogue's default does. `jobs.work` acts on the outside, but agents never hold its right,
    // so the question is put to the engine itself.
    let line = plain.hub().operation("jobs.work").unwrap();
    let control = agent.control().await.unwrap();
    let said = async |cx| preview(line, cx, &control, serde_json::Map::new()).await.unwrap().verdict;
    assert_eq!(said(&agent).await, Verdict::RequireApproval);
    assert_eq!(said(&plain).await, Verdict::Allow);

    let yes = std::sync::Arc::new(Yes::default());
    let hub = Hub::builder().seed(3).approvals(yes.clone()).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let ask = json!({ "name": "two-eyes", "scope": { "operations": ["workspaces.update"] },
        "effect": { "do": "require_approval", "quorum": 2, "approvers": ["admin"] }, "reason": "two eyes" });
    enact(&cx, ask, false).await;
    let error = call(&cx, "workspaces.update", json!({ "name": "A" })).await.unwrap_err();
    assert_eq!(error.code(), "approval_required");
    assert!(error.context().any(|(k, v)| k == "approval" && v == "apr_1"));
    let asked = yes.0.lock().unwrap()[0].clone();
    assert_eq!((asked.quorum, asked.operation.as_str()), (2, "workspaces.update"));
    call(&cx, "workspaces.update", json!({ "name": "A" })).await.unwrap();
    let other = call(&cx, "workspaces.update", json!({ "name": "B" })).await.unwrap_err();
    assert_eq!(other.code(), "approval_required", "the yes was for another name");
    let log = call(&cx, "audit.query", json!({ "action": "workspaces.update" })).await.unwrap();
    assert_eq!(log["items"][1]["approval_id"], "apr_1");
}

#[tokio::test]
async fn a_delivery_asks_nobody_since_a_yes_would_be_for_the_whole_channel() {
    let cx = scope().await;
    let ask = json!({ "name": "eyes", "scope": { "operations": ["connector.deliver"] },
        "effect": { "do": "require_approval" }, "reason": "two eyes" });
    enact(&cx, ask, false).await;
    for _ in 0..2 {
        let error = rule_effect("connector.deliver", "email", &cx).await.unwrap_err();
        assert_eq!(error.code(), "approval_required");
        assert!(error.context().all(|(key, _)| key != "approval"), "{error:?}");
    }
    assert_eq!(call(&cx, "approvals.list", json!({})).await.unwrap()["items"], json!([]));
    let kept = cx.query::<PolicyDecision>(&crate::store::Query::by_id()).await.unwrap();
    assert_eq!(kept.iter().filter(|d| d.operation == "connector.deliver").count(), 2);
}

#[tokio::test]
async fn a_dry_run_shows_what_would_have_changed() {
    let cx = scope().await;
    let watch = json!({ "name": "watch", "scope": { "operations": ["workspaces.update"] },
        "effect": { "do": "deny" }, "when": "input.mode == \"production\"", "reason": "x" });
    enact(&cx, watch, true).await;
    for mode in ["sandbox", "production"] {
        call(&cx, "workspaces.update", json!({ "mode": mode })).await.unwrap();
    }
    let decisions = cx.query::<PolicyDecision>(&crate::store::Query::by_id()).await.unwrap();
    let dry: Vec<_> = decisions.iter().map(|d| (d.verdict, d.dry_run)).collect();
    assert_eq!(dry, [(Verdict::Allow, Some(Verdict::Allow)), (Verdict::Allow, Some(Verdict::Deny))]);
    let tried = json!({ "name": "new", "effect": { "do": "deny" }, "when": "input.mode == \"sandbox\"", "reason": "x" });
    let report = call(&cx, "policies.dry_run", json!({ "policy": tried })).await.unwrap();
    assert_eq!((report["tried"].as_u64(), report["changes"].as_u64()), (Some(2), Some(1)));
    assert_eq!(
        (&report["changed"][0]["was"], &report["changed"][0]["would_be"]),
        (&json!("allow"), &json!("deny"))
    );
    let asked = json!({ "operation": "workspaces.update", "facts": { "input": { "mode": "production" } } });
    let decision = call(&cx, "policies.evaluate", asked).await.unwrap();
    assert_eq!(decision["verdict"], "allow", "a dry run decides nothing");
}
