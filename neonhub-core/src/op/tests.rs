use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::{CallOptions, Effect, Entry, Operation, entry};
use crate::resilience::{Counted, LimitProfile, Rate};
use crate::scope::CancelToken;
use crate::seal::RootKey;
use crate::store::{Kind, MemoryStore, Query, Record, SharedStore};
use crate::telemetry::TraceContext;
use crate::telemetry::tests::heard_from_every_thread;
use crate::{
    Error, ErrorKind, Hub, HubBuilder, ManualClock, Permission, PermissionSet, Result, Role, Scope, Timestamp,
};

/// Something written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Mark {
    id: String,
    address: String,
}

impl Record for Mark {
    const KIND: &'static str = "mark";
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<crate::store::Key>> {
        Vec::new()
    }
}

/// Where bodies of two hubs meet.
#[derive(Debug)]
struct Meeting(Barrier);

/// Writes a mark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Write {
    /// An address, masked in the answer.
    address: String,
    /// What happens then: `meet`, `hang`, `panic`, `sleep`.
    then: String,
    /// A number.
    number: f64,
    /// A list of whatever.
    list: Vec<Value>,
    /// An instant.
    at: Option<Timestamp>,
}

impl Operation for Write {
    type Output = Mark;
    const NAME: &'static str = "marks.write";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<Mark> {
        let mark = Mark { id: cx.new_id("mrk"), address: self.address };
        cx.create(&mark)?;
        match self.then.as_str() {
            "meet" => {
                cx.service::<Meeting>()?.0.wait().await;
            }
            "hang" => std::future::pending().await,
            "panic" => panic!("as asked"),
            "late" => tokio::time::sleep(Duration::from_secs(60)).await,
            _ => {}
        }
        Ok(mark)
    }
    fn mask(output: &mut Mark) {
        output.address = "***".into();
    }
}

/// Calls another operation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Outer {}

impl Operation for Outer {
    type Output = ();
    const NAME: &'static str = "marks.outer";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<()> {
        cx.call(Write::default()).await.map(|_| ())
    }
}

static CATALOGUE: &[Entry] = &[entry::<Write>(), entry::<Outer>()];
static KINDS: &[Kind] = &[Kind::of::<Mark>()];

fn builder(clock: &Arc<ManualClock>) -> HubBuilder {
    let clock = Arc::clone(clock) as Arc<dyn crate::Clock>;
    Hub::builder().clock(clock).operations(CATALOGUE).kinds(KINDS)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)))
}

async fn open() -> Scope {
    builder(&clock()).build().await.unwrap().workspace("default").await.unwrap()
}

async fn marks(cx: &Scope) -> u64 {
    cx.count::<Mark>(&Query::by_id()).await.unwrap()
}

fn keyed(key: &str) -> CallOptions {
    CallOptions::new().idempotency_key(key)
}

/// A process of its own on a store, whose bodies meet those of the other.
async fn process(store: &SharedStore, clock: &Arc<ManualClock>, meeting: &Arc<Meeting>) -> Scope {
    let hub = builder(clock)
        .store_backend(Arc::clone(store))
        .root_key(RootKey::from_bytes([7; 32], "test"))
        .service(Arc::clone(meeting));
    hub.build().await.unwrap().workspace("default").await.unwrap()
}

async fn one_key_in_two_processes(stores: [SharedStore; 2]) {
    let (clock, meeting) = (clock(), Arc::new(Meeting(Barrier::new(2))));
    let one = process(&stores[0], &clock, &meeting).await;
    let two = process(&stores[1], &clock, &meeting).await;
    let write = || Write { then: "meet".into(), ..Write::default() };
    for n in 1..=3 {
        // Both bodies have run before one of the commits: only one of them may count.
        let (first, second) =
            tokio::join!(one.call_with(write(), keyed("k")), two.call_with(write(), keyed("k")));
        assert_eq!(first.unwrap(), second.unwrap(), "round {n}: both callers get the one answer");
        assert_eq!(marks(&one).await, n);
        // An answer is kept for a day; what follows is a call of its own, also then made once.
        clock.advance(Duration::from_secs(25 * 3_600));
    }
}

#[tokio::test]
async fn one_key_in_two_processes_at_once_is_one_call() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    one_key_in_two_processes([Arc::clone(&store), store]).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn one_key_in_two_processes_on_one_file_is_one_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.neon");
    let open =
        || async { Arc::new(crate::store::sqlite::SqliteStore::open(&path).await.unwrap()) as SharedStore };
    one_key_in_two_processes([open().await, open().await]).await;
}

#[tokio::test]
async fn a_repeated_call_shows_what_its_caller_may_see_now() {
    let cx = open().await;
    let write = || Write { address: "ada@shop.example".into(), ..Write::default() };
    let first = cx.call_with(write(), keyed("k")).await.unwrap();
    assert_eq!(first.address, "ada@shop.example");
    // The same principal, who has lost the right to personal data since.
    let blind = cx.with_permissions(PermissionSet::of(&[Permission::WriteContent]));
    let again = blind.call_with(write(), keyed("k")).await.unwrap();
    assert_eq!((again.id, again.address.as_str()), (first.id, "***"));
    assert_eq!(marks(&cx).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_ends_after_its_deadline_writes_nothing_at_all() {
    let cx = open().await;
    let seq = cx.store().seq().await.unwrap();
    let late = || Write { then: "late".into(), ..Write::default() };
    let error = cx.call(late()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "30 s unless an operation says otherwise");
    let in_time = CallOptions::new().deadline(Duration::from_secs(3_600));
    let error = cx.call_with(late(), in_time).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "a caller makes a deadline shorter, never longer");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!((marks(&cx).await, cx.store().seq().await.unwrap()), (0, seq));
    cx.call_with(late(), keyed("k")).await.unwrap_err();
    cx.call_with(Write::default(), keyed("k")).await.unwrap();
    assert_eq!(marks(&cx).await, 1, "a call that failed keeps no answer under its key");
}

#[tokio::test]
async fn rights_that_were_given_up_do_not_come_back_at_the_door() {
    let cx = open().await;
    let ada = json!({ "user": "ada", "role": "admin" });
    cx.call_by_name("members.invite", ada, CallOptions::new()).await.unwrap();
    // The rights of a member are looked up at every call; what the scope gave up stays given up.
    let ada = cx.hub().member("default", "ada").await.unwrap();
    let less = ada.with_permissions(PermissionSet::of(&[Permission::ReadContent]));
    for scope in [less.clone(), less.with_role(Role::Owner), less.fork(&["x"])] {
        let error = scope.call(Write::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    ada.call(Write::default()).await.unwrap();
}

#[tokio::test]
async fn a_cursor_is_for_its_list_and_its_workspace() {
    let cx = open().await;
    for _ in 0..3 {
        cx.call(Write::default()).await.unwrap();
    }
    let list = || Query::by_id().limit(1);
    let cursor = cx.page::<Mark>(list(), None).await.unwrap().next.unwrap();
    assert!(cursor.len() <= 256);
    cx.page::<Mark>(list(), Some(&cursor)).await.unwrap();
    let stranger = cx.hub().create_workspace("other").await.unwrap();
    let error = stranger.page::<Mark>(list(), Some(&cursor)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    for n in 0..cursor.len() {
        let mut changed = cursor.clone().into_bytes();
        changed[n] = if changed[n] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let error = cx.page::<Mark>(list(), Some(&changed)).await.unwrap_err();
        // The first eight bytes say whose it is: a change there reads as another workspace's.
        let is_start = n < 11 && error.kind() == ErrorKind::PermissionDenied;
        assert!(is_start || error.kind() == ErrorKind::InvalidInput, "character {n}: {error}");
    }
}

/// Spans of calls, with what was recorded on each.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

struct Place(usize);

struct Put<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Put<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() != "operation" {
            return;
        }
        let mut all = self.0.lock().unwrap();
        let mut fields = BTreeMap::new();
        attributes.record(&mut Put(&mut fields));
        context.span(id).unwrap().extensions_mut().insert(Place(all.len()));
        all.push(fields);
    }
    fn on_record(&self, id: &Id, values: &SpanRecord<'_>, context: Context<'_, S>) {
        if let Some(Place(n)) = context.span(id).unwrap().extensions().get::<Place>() {
            values.record(&mut Put(&mut self.0.lock().unwrap()[*n]));
        }
    }
}

impl Spans {
    /// Name and outcome of each span since the last look.
    fn take(&self) -> Vec<(String, String)> {
        let spans = std::mem::take(&mut *self.0.lock().unwrap());
        spans
            .into_iter()
            .map(|s| (s["name"].clone(), s.get("outcome").cloned().unwrap_or_default()))
            .collect()
    }
}

#[tokio::test]
async fn every_call_is_one_span_also_a_refused_one() {
    let spans = Spans::default();
    heard_from_every_thread();
    let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let profile =
        LimitProfile::embedded().with(Counted::Principal, Rate::new(1_000, Duration::from_secs(60)));
    let hub = builder(&clock()).limits(profile).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let deny = json!({ "name": "no", "scope": { "operations": ["marks.write"], "roles": ["member"] },
        "effect": { "do": "deny" }, "reason": "no" });
    let put = cx.call_by_name("policies.put", json!({ "policy": deny }), CallOptions::new()).await.unwrap();
    cx.call_by_name("policies.activate", json!({ "id": put["id"] }), CallOptions::new()).await.unwrap();
    let limit = json!({ "name": "slow", "scope": { "operations": ["marks.write"], "roles": ["admin"] },
        "effect": { "do": "limit", "bucket": "b", "max": 1, "per_ms": 60_000 }, "reason": "slowly" });
    let put = cx.call_by_name("policies.put", json!({ "policy": limit }), CallOptions::new()).await.unwrap();
    cx.call_by_name("policies.activate", json!({ "id": put["id"] }), CallOptions::new()).await.unwrap();
    let admin = cx.with_role(Role::Admin);
    admin.call(Write::default()).await.unwrap();
    let stopped = CancelToken::new();
    stopped.cancel();
    let by_name = |cx: &Scope, name: &'static str, input: Value, options: CallOptions| {
        let cx = cx.clone();
        async move { cx.call_by_name(name, input, options).await }
    };
    let member = cx.with_role(Role::Member);
    let viewer = cx.with_role(Role::Viewer);
    let soon = CallOptions::new().deadline(Duration::from_millis(10));
    cx.call_with(Write::default(), keyed("k")).await.unwrap();
    for (who, input, options, outcome) in [
        (&cx, json!({}), CallOptions::new(), "ok"),
        (&cx, json!({}), keyed("k"), "ok"),
        (&cx, json!({ "nmae": 1 }), CallOptions::new(), "invalid_input"),
        (&viewer, json!({}), CallOptions::new(), "permission_denied"),
        (&member, json!({}), CallOptions::new(), "policy_denied"),
        (&admin, json!({}), CallOptions::new(), "rate_limited"),
        (&cx, json!({}), CallOptions::new().cancel(stopped), "cancelled"),
        (&cx, json!({ "then": "hang" }), soon, "timeout"),
        (&cx, json!({ "then": "panic" }), CallOptions::new(), "internal"),
        (&cx, json!({ "then": "x" }), keyed("k"), "idempotency_mismatch"),
    ] {
        spans.take();
        let code =
            by_name(who, "marks.write", input.clone(), options).await.err().map(|e| e.code().to_owned());
        assert_eq!(code.as_deref().unwrap_or("ok"), outcome, "{input}");
        assert_eq!(spans.take(), [("marks.write".to_owned(), outcome.to_owned())], "{input}");
    }
    by_name(&cx, "marks.unwritten", json!({}), CallOptions::new()).await.unwrap_err();
    assert_eq!(spans.take(), [("unknown".to_owned(), "not_found".to_owned())]);
    cx.call(Outer {}).await.unwrap();
    assert_eq!(spans.take().len(), 2, "a call within a call is a call");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = CallOptions::new().trace(TraceContext::parse(parent, None).unwrap());
    cx.call_with(Write::default(), traced).await.unwrap();
    assert_eq!(spans.0.lock().unwrap()[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    hub.close().await.unwrap();
    spans.take();
    by_name(&cx, "marks.write", json!({}), CallOptions::new()).await.unwrap_err();
    assert_eq!(spans.take().len(), 1, "also at a closed door");
}

mod app_rights;
mod bounds;
