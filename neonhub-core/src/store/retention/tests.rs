use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::*;
use crate::job::{Job, JobState};
use crate::op::IdempotencyRecord;
use crate::store::{Index, Record, Ref};
use crate::{Clock, Hub, ManualClock};

const DAY: Duration = Duration::from_secs(86_400);

macro_rules! kept_record {
    ($name:ident, $kind:literal, $keep:expr, [$($index:expr),*], $keys:expr, [$($refs:expr),*]) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        struct $name {
            id: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            ends: Option<Timestamp>,
        }
        impl Record for $name {
            const KIND: &'static str = $kind;
            const INDEXES: &'static [Index] = &[$($index),*];
            const REFS: &'static [Ref] = &[$($refs),*];
            fn id(&self) -> &str {
                &self.id
            }
            fn keys(&self) -> Vec<Option<Key>> {
                $keys(self)
            }
            fn retention() -> Keep {
                $keep
            }
            fn personal(&self) -> Vec<String> {
                vec![format!("per_{}", self.id)]
            }
        }
    };
}

kept_record!(Aged, "kept_aged", Keep::Age(30), [], |_: &Aged| Vec::new(), []);
kept_record!(Few, "kept_few", Keep::Count(600), [], |_: &Few| Vec::new(), []);
kept_record!(Ticket, "kept_ticket", Keep::Until("ends"), [Index::on("ends")], ends_key, []);
kept_record!(Walked, "kept_walked", Keep::Until("ends"), [], |_: &Walked| Vec::new(), []);
kept_record!(
    Ever,
    "kept_ever",
    Keep::Forever,
    [Index::on("needs")],
    needs_key,
    [Ref::restrict("kept_aged", "needs")]
);

fn ends_key(ticket: &Ticket) -> Vec<Option<Key>> {
    vec![ticket.ends.map(Key::from)]
}

/// A record needs the other one of its own id.
fn needs_key(ever: &Ever) -> Vec<Option<Key>> {
    vec![Some(Key::text(&ever.id))]
}

static KINDS: &[Kind] =
    &[Kind::of::<Aged>(), Kind::of::<Few>(), Kind::of::<Ticket>(), Kind::of::<Walked>(), Kind::of::<Ever>()];

async fn shop() -> (Arc<ManualClock>, Scope) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>).kinds(KINDS).build().await.unwrap();
    (clock, hub.workspace("default").await.unwrap())
}

async fn put<R: Record>(cx: &Scope, records: Vec<R>) {
    let work = cx.staging("test", R::KIND);
    records.iter().for_each(|record| work.put(record, Expected::Any).unwrap());
    work.flush().await.unwrap();
}

async fn ids<R: Record>(cx: &Scope) -> Vec<String> {
    let found = cx.query::<R>(&Query::by_id().limit(5_000)).await.unwrap();
    found.into_iter().map(|r| r.id().to_owned()).collect()
}

/// Enqueues the daily job and works what is due.
async fn a_day(cx: &Scope) {
    cx.retain_daily().await.unwrap();
    cx.work_until_idle().await.unwrap();
}

async fn retain_jobs(cx: &Scope) -> Vec<JobState> {
    let jobs = cx.query::<Job>(&Query::by_id().limit(100)).await.unwrap();
    jobs.iter().filter(|job| job.name == RETAIN).map(|job| job.state).collect()
}

#[tokio::test]
async fn records_go_when_their_time_is_over_and_not_before() {
    let (clock, cx) = shop().await;
    let ends = |days: u32| Some(cx.now().plus(DAY * days));
    let aged = |id: &str| Aged { id: id.into(), ends: None };
    put(&cx, ["a", "b", "c"].map(aged).into()).await;
    put(&cx, vec![Ever { id: "c".into(), ends: None }]).await;
    let tickets = [("a", ends(1)), ("b", ends(40)), ("c", None)];
    put(&cx, tickets.map(|(id, ends)| Ticket { id: id.into(), ends }).into()).await;
    put(&cx, tickets.map(|(id, ends)| Walked { id: id.into(), ends }).into()).await;
    clock.advance(DAY);
    a_day(&cx).await;
    assert_eq!(
        (ids::<Ticket>(&cx).await, ids::<Walked>(&cx).await),
        (vec!["b".into(), "c".into()], vec!["b".into(), "c".into()])
    );
    clock.advance(DAY * 28);
    put(&cx, vec![aged("b")]).await;
    a_day(&cx).await;
    assert_eq!(ids::<Aged>(&cx).await, ["a", "b", "c"], "29 days old");
    clock.advance(DAY * 2);
    a_day(&cx).await;
    assert_eq!(ids::<Aged>(&cx).await, ["b", "c"], "b was written two days ago, c is still needed");
    assert_eq!(ids::<Ever>(&cx).await, ["c"]);
    clock.advance(DAY * 400);
    a_day(&cx).await;
    assert_eq!((ids::<Ticket>(&cx).await, ids::<Ever>(&cx).await), (vec!["c".into()], vec!["c".into()]));
}

#[tokio::test]
async fn of_a_number_the_newest_stay() {
    let (clock, cx) = shop().await;
    // Ids against the order of time.
    for n in 0..4 {
        let page = (0..300).map(|m| Few { id: format!("{}-{m:03}", 9 - n), ends: None });
        put(&cx, page.collect()).await;
        clock.advance(Duration::from_secs(60));
    }
    put(&cx, vec![Few { id: "9-000".into(), ends: None }]).await;
    a_day(&cx).await;
    let left = ids::<Few>(&cx).await;
    assert_eq!(left.len(), 600);
    assert!(left.iter().all(|id| id.starts_with('6') || id.starts_with('7')), "{left:?}");
}

#[tokio::test]
async fn the_job_is_enqueued_once_a_day() {
    let (clock, cx) = shop().await;
    for _ in 0..3 {
        a_day(&cx).await;
    }
    assert_eq!(retain_jobs(&cx).await, [JobState::Completed]);
    clock.advance(DAY + Duration::from_secs(1));
    cx.retain_daily().await.unwrap();
    cx.retain_daily().await.unwrap();
    assert_eq!(retain_jobs(&cx).await.iter().filter(|s| **s == JobState::Waiting).count(), 1);
}

#[tokio::test]
async fn kept_answers_of_calls_go_after_their_day() {
    let (clock, cx) = shop().await;
    let call = crate::op::CallOptions::new().idempotency_key("k");
    let new = serde_json::json!({ "name": "tea", "target": { "kind": "operation", "operation": "scope.whoami" },
        "when": { "kind": "at", "instant": 1_900_000_000_000_i64 } });
    cx.call_by_name("schedules.create", new, call).await.unwrap();
    a_day(&cx).await;
    assert_eq!(ids::<IdempotencyRecord>(&cx).await.len(), 1);
    clock.advance(DAY + Duration::from_secs(1));
    a_day(&cx).await;
    assert!(ids::<IdempotencyRecord>(&cx).await.is_empty());
}

#[tokio::test]
async fn a_stored_record_names_the_persons_it_is_about() {
    let (_, cx) = shop().await;
    put(&cx, vec![Aged { id: "a".into(), ends: None }]).await;
    let kind = Kind::of::<Aged>();
    let mut row = cx.store().get(kind, cx.workspace(), "a").await.unwrap().unwrap();
    assert_eq!(kind.personal(&row).unwrap(), ["per_a"]);
    assert_eq!(
        (kind.retention(), Kind::of::<super::super::Tombstone>().retention()),
        (Keep::Age(30), Keep::Forever)
    );
    row.body = "[]".into();
    let error = kind.personal(&row).unwrap_err();
    assert!(error.context().any(|(k, v)| k == "id" && v == "a"), "{error}");
}

#[tokio::test]
async fn a_program_that_only_works_when_asked_removes_what_is_old_as_well() {
    let (clock, cx) = shop().await;
    put(&cx, vec![Aged { id: "a".into(), ends: None }]).await;
    cx.work_until_idle().await.unwrap();
    assert!(retain_jobs(&cx).await.is_empty(), "a young workspace has nothing old");
    clock.advance(DAY * 31);
    for _ in 0..3 {
        cx.work_until_idle().await.unwrap();
    }
    assert!(ids::<Aged>(&cx).await.is_empty());
    assert_eq!(retain_jobs(&cx).await, [JobState::Completed]);
    clock.advance(DAY / 2);
    cx.work_until_idle().await.unwrap();
    assert_eq!(retain_jobs(&cx).await.len(), 1, "once a day");
    clock.advance(DAY);
    cx.work_until_idle().await.unwrap();
    assert_eq!(retain_jobs(&cx).await.len(), 2);
}

#[tokio::test]
async fn the_books_of_the_hub_are_swept_with_the_default_workspace_and_with_no_other() {
    let (clock, cx) = shop().await;
    let other = cx.hub().create_workspace("other").await.unwrap();
    let root = cx.hub().hub_scope();
    let worker = |id: &str| crate::job::JobWorker { id: id.into(), until: cx.now() };
    put(&root, vec![worker("gone"), worker("at_work")]).await;
    clock.advance(DAY + Duration::from_secs(1));
    a_day(&other).await;
    let named = |all: Vec<String>| all.into_iter().filter(|id| id.len() < 10).collect::<Vec<_>>();
    assert_eq!(named(ids::<crate::job::JobWorker>(&root).await), ["at_work", "gone"]);
    put(&root, vec![worker("at_work")]).await;
    a_day(&cx).await;
    assert_eq!(named(ids::<crate::job::JobWorker>(&root).await), ["at_work"]);
}

#[tokio::test]
async fn ended_jobs_beyond_the_kept_ones_go_however_few_a_process_works() {
    let (clock, cx) = shop().await;
    let work = cx.staging("test", "jobs");
    for n in 0..230 {
        let nobody = serde_json::json!({ "approval": format!("apr_{n:026}") });
        work.enqueue(JobSpec::new(SYSTEM, crate::approval::EXPIRE, nobody)).unwrap();
    }
    work.flush().await.unwrap();
    cx.work_until_idle().await.unwrap();
    let count = async || cx.count::<Job>(&Query::by_id()).await.unwrap();
    assert_eq!(count().await, 230);
    clock.advance(DAY + Duration::from_secs(1));
    cx.work_until_idle().await.unwrap();
    let left = count().await;
    assert!((200..=202).contains(&left), "{left}");
}

#[tokio::test]
async fn the_old_end_of_the_change_feed_goes() {
    let (clock, cx) = shop().await;
    put(&cx, vec![Aged { id: "a".into(), ends: None }]).await;
    let early = cx.store().seq().await.unwrap();
    clock.advance(DAY * 6);
    a_day(&cx).await;
    assert!(cx.store().changes(0, 10).await.is_ok());
    clock.advance(DAY * 2);
    a_day(&cx).await;
    assert_eq!(cx.store().changes(early - 1, 10).await.unwrap_err().code(), "cursor_expired");
}

#[tokio::test]
async fn a_limit_that_is_over_goes_and_buckets_stay_longer_than_any_window() {
    let (clock, cx) = shop().await;
    let ends = cx.now().plus(DAY * 2).as_millis();
    let limit = serde_json::json!({ "bucket": "principal", "until": ends, "reason": "import" });
    cx.call_by_name("limits.override", limit, crate::op::CallOptions::new()).await.unwrap();
    clock.advance(DAY);
    a_day(&cx).await;
    assert_eq!(ids::<crate::resilience::LimitOverride>(&cx).await, ["principal"]);
    clock.advance(DAY * 2);
    a_day(&cx).await;
    assert!(ids::<crate::resilience::LimitOverride>(&cx).await.is_empty());
    assert_eq!(Kind::of::<crate::resilience::Bucket>().retention(), Keep::Age(32));
}

async fn rename(cx: &Scope, times: usize) {
    for n in 0..times {
        let input = json!({ "name": format!("name {n}") });
        cx.call_by_name("workspaces.update", input, crate::op::CallOptions::new()).await.unwrap();
    }
}

async fn entries(cx: &Scope) -> Vec<u64> {
    let query = Query::by_id().limit(500);
    cx.query::<crate::audit::AuditEntry>(&query).await.unwrap().iter().map(|entry| entry.seq).collect()
}

/// Says that a case is open since an instant.
#[derive(Debug)]
struct Case(Timestamp);

#[async_trait::async_trait]
impl crate::audit::AuditHold for Case {
    async fn open_since(&self, _cx: &Scope) -> Result<Option<Timestamp>> {
        Ok(Some(self.0))
    }
}

#[tokio::test]
async fn the_audit_log_is_kept_for_seven_years_and_its_rest_still_verifies() {
    let (clock, cx) = shop().await;
    let begin = cx.now();
    rename(&cx, 3).await;
    clock.advance(DAY * 2);
    // A day is over: the checkpoint is behind the fourth.
    rename(&cx, 2).await;
    clock.advance(DAY * 365 * 3);
    rename(&cx, 2).await;
    let years = DAY * 366 * crate::audit::KEEP_YEARS;
    let later = begin.plus(years + DAY);
    clock.advance(later.since(cx.now()));
    a_day(&cx).await;
    assert_eq!(entries(&cx).await.first(), Some(&1), "the checkpoint behind them is younger");
    clock.advance(DAY * 2);
    a_day(&cx).await;
    let left = entries(&cx).await;
    assert_eq!(left.first(), Some(&5), "nothing younger goes: {left:?}");
    let report = cx.call(crate::audit::VerifyAudit::default()).await.unwrap();
    assert!(report.ok, "{report:?}");
    assert_eq!(report.entries, left.len() as u64);
    let seq = cx.store().seq().await.unwrap();
    assert_eq!(crate::audit::prune_daily(&cx).await.unwrap(), 0);
    assert_eq!(cx.store().seq().await.unwrap(), seq, "where nothing is to go, nothing is written");
}

#[tokio::test]
async fn an_open_case_keeps_the_audit_log_of_its_time() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let case = Arc::new(Case(clock.now().plus(DAY)));
    let hub = Hub::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>).audit_hold(case);
    let cx = hub.build().await.unwrap().workspace("default").await.unwrap();
    rename(&cx, 3).await;
    clock.advance(DAY * 2);
    rename(&cx, 2).await;
    clock.advance(DAY * 366 * (crate::audit::KEEP_YEARS + 1));
    a_day(&cx).await;
    assert_eq!(entries(&cx).await.first(), Some(&1));
}

/// Takes no event while it is told so.
#[derive(Debug, Default)]
struct Slow(std::sync::atomic::AtomicBool);

#[async_trait::async_trait]
impl crate::bus::Subscriber for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }
    fn filter(&self) -> crate::bus::Filter {
        crate::bus::Filter::types(["app.*"])
    }
    async fn handle(&self, _cx: &Scope, _event: &crate::bus::BusEvent) -> Result<()> {
        match self.0.load(std::sync::atomic::Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "test", "not now")),
            false => Ok(()),
        }
    }
}

async fn publish(cx: &Scope, word: &str) {
    let input = json!({ "type": format!("app.{word}") });
    cx.call_by_name("bus.publish", input, crate::op::CallOptions::new()).await.unwrap();
}

async fn published(cx: &Scope) -> Vec<String> {
    let found = cx.query::<Event>(&Query::by_id().limit(500)).await.unwrap();
    found.iter().filter(|e| e.kind.starts_with("app.")).map(|e| e.kind.clone()).collect()
}

#[tokio::test]
async fn events_go_with_the_feed_that_tells_of_them() {
    let slow = Arc::new(Slow::default());
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder()
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .subscriber(Arc::clone(&slow) as Arc<dyn crate::bus::Subscriber>);
    let cx = hub.build().await.unwrap().workspace("default").await.unwrap();
    cx.deliver_events().await.unwrap();
    publish(&cx, "old").await;
    clock.advance(DAY / 2);
    publish(&cx, "mid").await;
    assert_eq!(cx.deliver_events().await.unwrap().done, 2);
    slow.0.store(true, std::sync::atomic::Ordering::SeqCst);
    clock.advance(DAY * 6);
    publish(&cx, "young").await;
    a_day(&cx).await;
    assert_eq!(published(&cx).await, ["app.old", "app.mid", "app.young"], "six and a half days old");
    clock.advance(DAY * 2);
    a_day(&cx).await;
    // What it has still to take holds the feed from where it stands on.
    assert_eq!(published(&cx).await, ["app.mid", "app.young"], "eight and a half days old, and taken");
    clock.advance(DAY * 5 + DAY / 4);
    a_day(&cx).await;
    assert_eq!(published(&cx).await, ["app.mid", "app.young"], "older than seven days, and not taken yet");
    slow.0.store(false, std::sync::atomic::Ordering::SeqCst);
    clock.advance(DAY / 24);
    assert_eq!(cx.deliver_events().await.unwrap().done, 1, "and it is still to be had");
    clock.advance(DAY * 2);
    publish(&cx, "last").await;
    cx.deliver_events().await.unwrap();
    a_day(&cx).await;
    assert_eq!(published(&cx).await, ["app.last"]);
}
