//! What every call goes through, whatever it does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside #[test] functions")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use neonhub_core::audit::AuditEntry;
use neonhub_core::hub::ops::{QueryAudit, UpdateWorkspace, VerifyAudit, WhoAmI};
use neonhub_core::op::{CallOptions, Effect, Entry, Operation, entry};
use neonhub_core::store::{Expected, Index, Key, Kind, Query, Record};
use neonhub_core::tenancy::Mode;
use neonhub_core::{
    CancelToken, ErrorKind, Hub, ManualClock, Permission, Principal, Result, Role, Scope, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A thing with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Thing {
    id: String,
    name: String,
    count: u32,
}

impl Record for Thing {
    const KIND: &'static str = "thing";
    const INDEXES: &'static [Index] = &[Index::unique("name")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.name))]
    }
}

/// Makes a thing, or counts it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Touch {
    /// Its name.
    name: String,
}

impl Operation for Touch {
    type Output = Thing;
    const NAME: &'static str = "things.touch";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 50;
    async fn run(self, cx: &Scope) -> Result<Thing> {
        if let Some(mut found) = cx.find::<Thing>("name", self.name.as_str()).await? {
            found.body.count += 1;
            cx.save(&found)?;
            return Ok(found.body);
        }
        let thing = Thing { id: cx.new_id("thg"), name: self.name, count: 1 };
        cx.create(&thing)?;
        Ok(thing)
    }
}

/// Misbehaves.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Misbehave {
    /// How: panic, hang, fail.
    how: String,
}

impl Operation for Misbehave {
    type Output = ();
    const NAME: &'static str = "things.misbehave";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<()> {
        cx.create(&Thing { id: cx.new_id("thg"), name: self.how.clone(), count: 1 })?;
        match self.how.as_str() {
            "panic" => panic!("as asked"),
            "hang" => std::future::pending().await,
            _ => Err(neonhub_core::Error::invalid(Self::NAME, "how", "expected panic or hang")),
        }
    }
}

/// Touches two things in one commit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Both {
    /// Fails after the first when true.
    fail: bool,
}

impl Operation for Both {
    type Output = ();
    const NAME: &'static str = "things.both";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<()> {
        let first = cx.call(Touch { name: "left".into() }).await?;
        let again = cx.call(Touch { name: "left".into() }).await?;
        assert_eq!(
            (first.count, again.count, &first.id),
            (1, 2, &again.id),
            "a joined call sees what is staged"
        );
        if self.fail {
            return Err(neonhub_core::Error::invalid(Self::NAME, "fail", "as asked"));
        }
        cx.call(Touch { name: "right".into() }).await.map(|_| ())
    }
}

static CATALOGUE: &[Entry] = &[entry::<Touch>(), entry::<Misbehave>(), entry::<Both>()];
static KINDS: &[Kind] = &[Kind::of::<Thing>()];

async fn hub() -> Hub {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap()));
    Hub::builder().clock(clock).seed(1).operations(CATALOGUE).kinds(KINDS).build().await.unwrap()
}

async fn scope() -> Scope {
    hub().await.workspace("default").await.unwrap()
}

fn touch(name: &str) -> Touch {
    Touch { name: name.into() }
}

async fn audit(cx: &Scope) -> Vec<AuditEntry> {
    cx.call(QueryAudit::default()).await.unwrap().items
}

async fn things(cx: &Scope) -> u64 {
    cx.count::<Thing>(&Query::by_id()).await.unwrap()
}

#[tokio::test]
async fn a_change_and_its_audit_row_are_one_commit() {
    let cx = scope().await;
    let before = cx.store().seq().await.unwrap();
    let thing = cx.call(touch("a")).await.unwrap();
    assert_eq!(cx.store().seq().await.unwrap(), before + 1);
    assert_eq!(cx.need::<Thing>(&thing.id).await.unwrap().body, thing);
    let rows = audit(&cx).await;
    assert_eq!(rows.last().map(|r| r.action.as_str()), Some("things.touch"));
    assert!(cx.call(VerifyAudit::default()).await.unwrap().ok);
}

#[tokio::test]
async fn a_refused_call_changes_nothing_and_is_audited() {
    let cx = scope().await;
    let viewer = cx.with_role(Role::Viewer);
    let error = viewer.call(touch("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("write:content"));
    assert_eq!(things(&cx).await, 0);
    let rows = audit(&cx).await;
    assert_eq!(rows.last().unwrap().outcome, neonhub_core::audit::Outcome::Denied);
}

#[tokio::test]
async fn an_agent_never_holds_more_than_its_principal() {
    let cx = scope().await.with_role(Role::Viewer);
    let agent = cx.for_agent("campaign", "run_1", neonhub_core::PermissionSet::all());
    assert_eq!(agent.call(touch("a")).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let owner = scope().await.for_agent("campaign", "run_1", neonhub_core::PermissionSet::all());
    assert!(!owner.permissions().has(Permission::ManageTeam), "no agent manages a team, whoever it acts for");
    let who = owner.call(WhoAmI {}).await.unwrap();
    assert!(matches!(who.principal, Principal::Agent { acts_for, .. } if acts_for == "user:owner"));
}

#[tokio::test]
async fn a_failed_body_leaves_nothing() {
    let cx = scope().await;
    for how in ["panic", "fail"] {
        let kind = cx.call(Misbehave { how: how.into() }).await.unwrap_err().kind();
        assert_eq!(kind, if how == "panic" { ErrorKind::Internal } else { ErrorKind::InvalidInput });
    }
    let slow = CallOptions::new().deadline(Duration::from_millis(20));
    let error = cx.call_with(Misbehave { how: "hang".into() }, slow).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let token = CancelToken::new();
    let stopped = cx.call_with(Misbehave { how: "hang".into() }, CallOptions::new().cancel(token.clone()));
    let (result, ()) = tokio::join!(stopped, async { token.cancel() });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(things(&cx).await, 0);
}

#[tokio::test]
async fn joined_calls_are_one_commit_or_none() {
    let cx = scope().await;
    let before = cx.store().seq().await.unwrap();
    assert!(cx.call(Both { fail: true }).await.is_err());
    assert_eq!((things(&cx).await, cx.store().seq().await.unwrap()), (0, before));
    cx.call(Both { fail: false }).await.unwrap();
    assert_eq!((things(&cx).await, cx.store().seq().await.unwrap()), (2, before + 1));
}

#[tokio::test]
async fn the_same_key_gives_the_first_answer() {
    let cx = scope().await;
    let keyed = || CallOptions::new().idempotency_key("k1");
    let first = cx.call_with(touch("a"), keyed()).await.unwrap();
    let again = cx.call_with(touch("a"), keyed()).await.unwrap();
    assert_eq!(first, again);
    let error = cx.call_with(touch("b"), keyed()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "idempotency_mismatch"));
    let other = cx.with_role(Role::Admin).fork(&["x"]);
    assert_eq!(
        other.call_with(touch("a"), keyed()).await.unwrap(),
        first,
        "the key belongs to the principal"
    );
    assert_eq!(cx.call(touch("a")).await.unwrap().count, 2);
    assert!(cx.call_with(touch("a"), CallOptions::new().idempotency_key("")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_with_one_key_run_once() {
    let cx = scope().await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let cx = cx.clone();
            tokio::spawn(
                async move { cx.call_with(touch("a"), CallOptions::new().idempotency_key("k")).await },
            )
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().count, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_race_runs_again() {
    let cx = scope().await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let cx = cx.clone();
            tokio::spawn(async move { cx.call(touch("a")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let thing = cx.find::<Thing>("name", "a").await.unwrap().unwrap();
    assert_eq!((thing.count, things(&cx).await), (16, 1));
}

#[tokio::test]
async fn ids_hang_on_the_seed_and_the_input_not_on_the_order() {
    let (one, two) = (scope().await, scope().await);
    let mut first = Vec::new();
    for name in ["a", "b", "c"] {
        first.push(one.call(touch(name)).await.unwrap().id);
    }
    let mut second = Vec::new();
    for name in ["c", "b", "a"] {
        second.push(two.call(touch(name)).await.unwrap().id);
    }
    second.reverse();
    // The workspace id is drawn from the seed as well, so equal hubs are equal all through.
    assert_eq!(first, second);
}

#[tokio::test]
async fn calls_by_name_are_strict_and_name_the_fault() {
    let cx = scope().await;
    let call = |name: &'static str, input| cx.call_by_name(name, input, CallOptions::new());
    let made = call("things.touch", json!({ "name": "a" })).await.unwrap();
    assert_eq!(made["count"], 1);
    let error = call("things.tuch", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("things.touch"), "{error}");
    for (input, field) in [
        (json!({ "name": "a", "nmae": 1 }), "nmae"),
        (json!({ "name": 5 }), "name"),
        (json!({}), "name"),
        (json!({ "name": "a\0b" }), "name"),
    ] {
        let error = call("things.touch", input).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.field_faults()[0].field.as_str()),
            (ErrorKind::InvalidInput, field),
            "{error}"
        );
    }
    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    assert!(call("things.touch", json!({ "name": deep })).await.is_err());
    assert!(call("things.touch", json!({ "name": "x".repeat(2 << 20) })).await.is_err());
}

#[tokio::test]
async fn a_closed_hub_refuses_and_waits_for_what_runs() {
    let hub = hub().await;
    let cx = hub.workspace("default").await.unwrap();
    let done = Arc::new(AtomicU32::new(0));
    let slow = {
        let (cx, done) = (cx.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let limit = CallOptions::new().deadline(Duration::from_millis(50));
            let _ = cx.call_with(Misbehave { how: "hang".into() }, limit).await;
            done.store(1, Ordering::SeqCst);
        })
    };
    tokio::task::yield_now().await;
    hub.close().await.unwrap();
    slow.await.unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 1);
    assert_eq!(cx.call(touch("a")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    hub.close().await.unwrap();
}

#[tokio::test]
async fn workspace_settings_are_checked_and_changes_raise_the_revision() {
    let cx = scope().await;
    let bad = UpdateWorkspace {
        timezone: Some("Mars/Olympus".into()),
        name: Some(String::new()),
        ..Default::default()
    };
    let error = cx.call(bad).await.unwrap_err();
    let fields: Vec<_> = error.field_faults().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["name", "timezone"]);
    let live = UpdateWorkspace { mode: Some(Mode::Production), ..Default::default() };
    assert_eq!(cx.call(live).await.unwrap().mode, Mode::Production);
    assert_eq!(cx.hub().workspace_of(&cx).await.unwrap().rev, 2);
}

#[tokio::test]
async fn a_changed_audit_row_is_found() {
    let cx = scope().await;
    for name in ["a", "b", "c"] {
        cx.call(touch(name)).await.unwrap();
    }
    let mut rows = cx.query::<AuditEntry>(&Query::by_id()).await.unwrap();
    rows[1].body.action = "things.untouched".into();
    let mut batch = neonhub_core::store::Batch::new(cx.workspace().clone(), cx.now());
    batch.writes.push(neonhub_core::store::Write::Put {
        kind: Kind::of::<AuditEntry>(),
        row: neonhub_core::store::Row::of(&rows[1].body, cx.now(), "user:eve").unwrap(),
        expected: Expected::Any,
    });
    cx.store().commit(batch).await.unwrap();
    let report = cx.call(VerifyAudit::default()).await.unwrap();
    assert_eq!((report.ok, report.first_bad), (false, Some(2)));
}

#[tokio::test]
async fn pages_go_on_where_they_ended_and_cursors_are_bound() {
    let cx = scope().await;
    for n in 0..7 {
        cx.call(touch(&format!("t{n}"))).await.unwrap();
    }
    let mut names = Vec::new();
    let mut cursor = None;
    loop {
        let page = cx.page::<Thing>(Query::index("name").limit(3), cursor.as_deref()).await.unwrap();
        names.extend(page.items.iter().map(|t| t.name.clone()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(names, ["t0", "t1", "t2", "t3", "t4", "t5", "t6"]);
    let first = cx.page::<Thing>(Query::index("name").limit(3), None).await.unwrap().next.unwrap();
    let other = cx.page::<Thing>(Query::by_id().limit(3), Some(&first)).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::InvalidInput);
    let mut broken = first.into_bytes();
    broken[3] ^= 1;
    let broken = String::from_utf8(broken).unwrap();
    assert!(cx.page::<Thing>(Query::index("name").limit(3), Some(&broken)).await.is_err());
}

#[tokio::test]
async fn scopes_of_one_seed_never_draw_the_same() {
    let cx = scope().await;
    let ids = [
        cx.new_id("thg"),
        cx.outside().new_id("thg"),
        cx.with_role(Role::Admin).new_id("thg"),
        cx.new_id("thg"),
    ];
    assert_eq!(std::collections::BTreeSet::from(ids.clone()).len(), 4, "{ids:?}");
}
