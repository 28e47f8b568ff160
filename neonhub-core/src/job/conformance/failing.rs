//! Tries that fail.

use std::time::Duration;

use super::{job, single, world};
use crate::audit::QueryAudit;
use crate::job::ops::{DiscardDead, NewJob, RetryDead};
use crate::job::{Backoff, JobState};
use crate::store::SharedStore;
use crate::{Error, Result};

/// Full jitter below the doubling cap, from the chance of the hub.
pub async fn pauses_grow_under_their_cap_and_are_the_same_for_one_seed(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let backoff = Some(Backoff::doubling(Duration::from_secs(5), Duration::from_secs(900)));
    let made = w.put(NewJob { backoff, attempts: Some(8), ..job("a", "flaky") }).await?;
    for nth in 1..=5_u32 {
        w.work().await?;
        let seen = w.get(&made).await?;
        let pause = seen.run_at.as_millis() - w.cx.now().as_millis();
        assert_eq!((seen.state, u32::from(seen.attempts)), (JobState::Delayed, nth));
        assert!(pause >= 1 && pause <= 5_000 * 2_i64.pow(nth - 1), "{pause} after failure {nth}");
        w.wait(900);
    }
    let fixed = Some(Backoff::fixed(Duration::from_secs(7)));
    let made = w.put(NewJob { backoff: fixed, ..job("b", "flaky") }).await?;
    w.work().await?;
    assert_eq!(w.get(&made).await?.run_at, w.cx.now().plus(Duration::from_secs(7)));
    Ok(())
}

/// `Retry-After` is kept to, with a tenth of jitter; refusals are never tried again.
pub async fn advice_is_kept_and_final_errors_are_final(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let told = w.put(job("told", "told")).await?;
    let blocked = w.put(job("blocked", "blocked")).await?;
    w.work().await?;
    let pause = w.get(&told).await?.run_at.as_millis() - w.cx.now().as_millis();
    assert!((60_000..=66_000).contains(&pause), "{pause}");
    let dead = w.get(&blocked).await?;
    assert_eq!((dead.state, dead.attempts), (JobState::Dead, 1));
    assert_eq!(dead.error.map(|e| e.code).as_deref(), Some("blocked"));
    Ok(())
}

/// Only failures count.
pub async fn a_deferral_costs_no_try(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(NewJob { attempts: Some(1), ..job("a", "later") }).await?;
    w.work().await?;
    let seen = w.get(&made).await?;
    assert_eq!((seen.state, seen.attempts), (JobState::Delayed, 0));
    w.wait(60);
    w.work().await?;
    assert_eq!(w.get(&made).await?.state, JobState::Completed);
    Ok(())
}

/// Dead letters wait for someone to act.
pub async fn tries_end_as_dead_and_may_be_begun_again(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(NewJob { attempts: Some(2), ..job("a", "flaky") }).await?;
    for _ in 0..3 {
        w.work().await?;
        w.wait(600);
    }
    let seen = w.get(&made).await?;
    assert_eq!((seen.state, seen.attempts), (JobState::Dead, 2));
    let given_up = QueryAudit { action: Some("jobs.dead_letter".into()), ..QueryAudit::default() };
    let rows = w.cx.call(given_up).await?.items;
    let told: Vec<_> = rows.iter().map(|r| (r.target_id.as_deref(), r.reason.as_deref())).collect();
    assert_eq!(told, [(Some(made.id.as_str()), Some("unavailable"))], "the audit log tells of it");
    let queue = || made.queue.clone();
    let none = w.cx.call(RetryDead { queue: queue(), error: Some("blocked".into()) }).await?;
    let one = w.cx.call(RetryDead { queue: queue(), error: Some("unavailable".into()) }).await?;
    assert_eq!((none.count, one.count), (0, 1));
    for _ in 0..3 {
        w.work().await?;
        w.wait(600);
    }
    assert_eq!(w.player.played().len(), 4);
    assert_eq!(w.cx.call(DiscardDead { queue: queue(), error: None }).await?.count, 1);
    assert_eq!(w.count().await?, 0);
    Ok(())
}

/// The time for one try is a bound; what it staged is gone.
pub async fn a_handler_that_takes_too_long_has_failed(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(NewJob { timeout_ms: Some(20), ..single("a", "sleep") }).await?;
    w.work().await?;
    let seen = w.get(&made).await?;
    assert_eq!((seen.state, seen.attempts), (JobState::Delayed, 1));
    assert_eq!(seen.error.map(|e| e.code).as_deref(), Some("timeout"));
    Ok(())
}

/// What a handler stages last is in the commit of the outcome; when that loses a race, the try failed.
pub async fn a_lost_race_of_the_handler_is_tried_again(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(single("a", "stage")).await?;
    let held = w.work_until_held().await;
    w.single.go_on.notify_one();
    held.await.map_err(|e| Error::internal("suite", e))??;
    assert_eq!(w.get(&made).await?.state, JobState::Completed);
    let staged = w.cx.get::<crate::job::JobNote>("staged-a").await?;
    assert!(staged.is_some(), "what was staged was committed with the outcome");
    Ok(())
}

/// It may have happened: only a handler that asks the provider comes back to it.
pub async fn an_unknown_outcome_is_not_repeated_unless_its_handler_probes(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let unknown = w.put(job("a", "unknown")).await?;
    let probes = w.put(job("b", "probe")).await?;
    w.work().await?;
    let dead = w.get(&unknown).await?;
    assert_eq!((dead.state, dead.attempts), (JobState::Dead, 1));
    assert_eq!(w.get(&probes).await?.state, JobState::Delayed);
    w.wait(3_600);
    w.work().await?;
    assert_eq!(w.player.played(), ["a", "b", "b"]);
    Ok(())
}
