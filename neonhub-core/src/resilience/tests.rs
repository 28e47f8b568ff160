use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::op::CallOptions;
use crate::store::{MemoryStore, SharedStore};
use crate::{Clock, Error, ErrorKind, Hub, ManualClock, Result, Retry, Scope, Timestamp};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)))
}

async fn open(store: SharedStore, clock: &Arc<ManualClock>, profile: LimitProfile) -> Scope {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let hub = Hub::builder().store_backend(store).clock(clock).limits(profile).build().await.unwrap();
    hub.workspace("default").await.unwrap()
}

async fn scope(clock: &Arc<ManualClock>) -> Scope {
    open(Arc::new(MemoryStore::new()), clock, LimitProfile::embedded()).await
}

fn down() -> Error {
    Error::new(ErrorKind::Unavailable, "shop.get", "down").with_retry(Retry::Backoff)
}

/// Fails as often as told, counting its tries.
async fn fails(cx: &Scope, plan: Plan, times: u32, make: fn() -> Error) -> (Result<u32>, u32) {
    let tries = AtomicU32::new(0);
    let call = Call::new(|attempt| {
        tries.fetch_add(1, Ordering::SeqCst);
        async move { if attempt.number() <= times { Err(make()) } else { Ok(attempt.number()) } }
    });
    let done = call.guard(plan).run(cx).await;
    (done, tries.load(Ordering::SeqCst))
}

#[tokio::test]
async fn three_tries_in_all_with_pauses_of_the_clock() {
    let clock = clock();
    let cx = scope(&clock).await;
    let begin = clock.now();
    let (done, tries) = fails(&cx, Plan::new("endpoint:a"), 2, down).await;
    assert_eq!((done.unwrap(), tries), (3, 3));
    let waited = clock.now().as_millis() - begin.as_millis();
    assert!((0..=75 + 150 + 2).contains(&waited), "{waited} ms: full jitter under 75 and 150");
    let (done, tries) = fails(&cx, Plan::new("endpoint:a"), 9, down).await;
    assert_eq!((done.unwrap_err().retry(), tries), (Retry::Exhausted, 3));
}

#[tokio::test]
async fn equal_seeds_wait_equally() {
    let mut waits = Vec::new();
    for _ in 0..2 {
        let clock = clock();
        let hub = Hub::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>).seed(9).build().await.unwrap();
        let cx = hub.workspace("default").await.unwrap();
        fails(&cx, Plan::new("endpoint:a").attempts(8), 7, down).await.0.unwrap();
        waits.push(clock.now());
    }
    assert_eq!(waits[0], waits[1]);
}

#[tokio::test]
async fn only_what_may_help_is_tried_again() {
    let clock = clock();
    let cx = scope(&clock).await;
    let kinds: [fn() -> Error; 4] = [
        || Error::new(ErrorKind::InvalidInput, "x", "no").with_retry(Retry::Backoff),
        || Error::new(ErrorKind::OutcomeUnknown, "x", "no").with_retry(Retry::Backoff),
        || Error::new(ErrorKind::Unavailable, "x", "closed for good"),
        || Error::new(ErrorKind::Blocked, "x", "no").with_retry(Retry::Backoff),
    ];
    for (n, make) in kinds.into_iter().enumerate() {
        let (done, tries) = fails(&cx, Plan::new(format!("endpoint:{n}")), 9, make).await;
        assert_eq!((tries, done.unwrap_err().retry() == Retry::Exhausted), (1, false));
    }
    let (_, tries) = fails(&cx, Plan::new("endpoint:r"), 1, || {
        Error::new(ErrorKind::RateLimited, "x", "slow").with_retry(Retry::After(Duration::from_secs(7)))
    })
    .await;
    assert_eq!(tries, 2);
    assert_eq!(clock.now().as_millis() - 1_800_000_000_000, 7_000, "the named time, not less and not more");
}

#[tokio::test]
async fn a_wait_past_the_deadline_fails_at_once() {
    let clock = clock();
    let cx = scope(&clock).await.until(clock.now().plus(Duration::from_secs(5)));
    let (done, tries) = fails(&cx, Plan::new("endpoint:a"), 1, || {
        Error::new(ErrorKind::RateLimited, "x", "slow").with_retry(Retry::After(Duration::from_secs(6)))
    })
    .await;
    assert_eq!((tries, done.unwrap_err().retry()), (1, Retry::Exhausted));
    assert_eq!(clock.now().as_millis(), 1_800_000_000_000);
}

#[tokio::test]
async fn a_timeout_after_sending_is_unknown_unless_it_may_be_repeated() {
    let clock = clock();
    let cx = scope(&clock).await;
    for (is_idempotent, kind, expected) in
        [(false, ErrorKind::OutcomeUnknown, 1), (true, ErrorKind::Timeout, 3)]
    {
        let plan = Plan::new(format!("endpoint:{is_idempotent}"));
        let plan = if is_idempotent { plan.idempotent() } else { plan };
        let tries = AtomicU32::new(0);
        let call = Call::new(|attempt| {
            tries.fetch_add(1, Ordering::SeqCst);
            async move {
                attempt.sent();
                Err::<(), _>(Error::new(ErrorKind::Timeout, "x", "late").with_retry(Retry::Backoff))
            }
        });
        let error = call.guard(plan).run(&cx).await.unwrap_err();
        assert_eq!((error.kind(), tries.load(Ordering::SeqCst)), (kind, expected));
    }
}

#[tokio::test]
async fn retries_have_a_budget() {
    let clock = clock();
    let cx = scope(&clock).await;
    // 10 per second of the 10 s window: 100 retries without calls to earn more.
    let plan = || Plan::new("endpoint:a").attempts(1_000).backoff(Duration::ZERO, Duration::ZERO);
    let (done, tries) = fails(&cx, plan(), 10_000, down).await;
    assert_eq!(tries, 101);
    let error = done.unwrap_err();
    assert_eq!(error.retry(), Retry::Exhausted);
    assert!(error.context().any(|(k, _)| k == "retry_budget"));
}

#[tokio::test]
async fn an_open_breaker_refuses_without_a_try_and_a_trial_closes_it() {
    let clock = clock();
    let store: SharedStore = Arc::new(MemoryStore::new());
    let cx = open(Arc::clone(&store), &clock, LimitProfile::embedded()).await;
    let once = || Plan::new("model:a").attempts(1);
    for _ in 0..3 {
        assert_eq!(fails(&cx, once(), 9, down).await.1, 1);
    }
    let (done, tries) = fails(&cx, once(), 0, down).await;
    let error = done.unwrap_err();
    assert_eq!((error.code(), tries), ("breaker_open", 0));
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(10)));
    let trips = json!([{ "labels": { "target": "model:a" }, "value": 1.0 }]);
    assert_eq!(cx.hub().telemetry().samples("circuit_breaker_failures_total"), trips, "one per trip");
    // Another process on the store sees it.
    let other = open(store, &clock, LimitProfile::embedded()).await;
    assert_eq!(fails(&other, once(), 0, down).await.0.unwrap_err().code(), "breaker_open");
    clock.advance(Duration::from_secs(10));
    assert_eq!(fails(&cx, once(), 0, down).await.1, 1, "the trial");
    let listed = cx.call_by_name("breakers.list", json!({}), CallOptions::new()).await.unwrap();
    assert_eq!((&listed[0]["state"], &listed[0]["trips"]), (&json!("closed"), &json!(1)));
}

#[tokio::test]
async fn a_breaker_is_closed_by_hand() {
    let clock = clock();
    let cx = scope(&clock).await;
    let once = || Plan::new("model:a").attempts(1);
    let spent = || Error::new(ErrorKind::BudgetExceeded, "x", "spent");
    assert!(fails(&cx, once(), 9, spent).await.0.is_err());
    assert_eq!(fails(&cx, once(), 0, spent).await.1, 0, "a spent account opens it at once");
    let reset = json!({ "target": "model:a" });
    cx.call_by_name("breakers.reset", reset, CallOptions::new()).await.unwrap();
    assert_eq!(fails(&cx, once(), 0, spent).await.1, 1);
    let error = cx.call_by_name("breakers.reset", json!({ "target": "model:b" }), CallOptions::new()).await;
    assert!(error.unwrap_err().to_string().contains("model:a"), "close names are told");
}

#[tokio::test]
async fn the_stricter_of_table_and_headers_holds() {
    let clock = clock();
    let cx = scope(&clock).await;
    let plan = || Plan::new("connection:a").rate(Rate::new(1_000, Duration::from_secs(1)));
    fails(&cx, plan(), 0, down).await.0.unwrap();
    cx.quota_used_up("connection:a", clock.now().plus(Duration::from_secs(9)));
    let error = fails(&cx, plan(), 0, down).await.0.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(9)));
    let hits = json!([{ "labels": { "bucket": "target" }, "value": 1.0 }]);
    assert_eq!(cx.hub().telemetry().samples("rate_limit_hits_total"), hits);
    clock.advance(Duration::from_secs(9));
    fails(&cx, plan(), 0, down).await.0.unwrap();
}

async fn who(cx: &Scope) -> Result<serde_json::Value> {
    cx.call_by_name("scope.whoami", json!({}), CallOptions::new()).await
}

#[tokio::test]
async fn hosted_calls_are_counted_by_principal_and_survive_a_restart() {
    let clock = clock();
    let store: SharedStore = Arc::new(MemoryStore::new());
    let cx = open(Arc::clone(&store), &clock, LimitProfile::hosted()).await;
    for left in (0..60).rev() {
        assert_eq!(who(&cx).await.unwrap()["calls_left"], left);
    }
    let error = who(&cx).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(1))));
    let hits = json!([{ "labels": { "bucket": "principal" }, "value": 1.0 }]);
    assert_eq!(cx.hub().telemetry().samples("rate_limit_hits_total"), hits);
    let bob = crate::Principal::User { id: "bob".into() };
    let bob = cx.hub().scope("default", bob, crate::Role::Member).await.unwrap();
    assert_eq!(who(&bob).await.unwrap()["calls_left"], 59, "each principal has its own");
    let again = open(store, &clock, LimitProfile::hosted()).await;
    assert_eq!(who(&again).await.unwrap_err().kind(), ErrorKind::RateLimited, "a restart gives nothing back");
    clock.advance(Duration::from_secs(1));
    who(&again).await.unwrap();
}

#[tokio::test]
async fn overrides_hold_until_their_end() {
    let clock = clock();
    let cx = open(Arc::new(MemoryStore::new()), &clock, LimitProfile::hosted()).await;
    let until = clock.now().plus(Duration::from_secs(3_600)).as_millis();
    let set = json!({ "bucket": "principal|user:owner", "rate": { "max": 2, "per_ms": 60_000 }, "until": until,
        "reason": "a test" });
    cx.call_by_name("limits.override", set, CallOptions::new()).await.unwrap();
    who(&cx).await.unwrap();
    assert_eq!(who(&cx).await.unwrap_err().kind(), ErrorKind::RateLimited);
    clock.advance(Duration::from_secs(3_600));
    let rows = cx.call_by_name("limits.list", json!({}), CallOptions::new()).await.unwrap();
    assert!(rows.as_array().unwrap().iter().all(|r| r["from"] == "hosted"), "{rows}");
    for _ in 0..20 {
        who(&cx).await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_refusal_names_the_instant_that_admits_also_after_restarts(
        max in 1_u32..80, steps in prop::collection::vec((0_u64..3_000, prop::bool::weighted(0.05)), 1..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clock = clock();
            let store: SharedStore = Arc::new(MemoryStore::new());
            let profile = LimitProfile::embedded().with(Counted::Principal, Rate::new(max, Duration::from_secs(30)));
            let mut cx = open(Arc::clone(&store), &clock, profile.clone()).await;
            let mut admitted = Vec::new();
            for (gap, restart) in steps {
                clock.advance(Duration::from_millis(gap));
                if restart {
                    cx = open(Arc::clone(&store), &clock, profile.clone()).await;
                }
                if let Err(error) = who(&cx).await {
                    let Retry::After(wait) = error.retry() else { panic!("no instant in {error}") };
                    clock.advance(wait);
                    prop_assert!(who(&cx).await.is_ok(), "the named instant admits");
                }
                admitted.push(clock.now().as_millis());
            }
            for start in &admitted {
                let inside = admitted.iter().filter(|at| (*start..start + 30_000).contains(at)).count();
                prop_assert!(inside <= 2 * max as usize, "a restart gives nothing back");
            }
            Ok(())
        })?;
    }
}
