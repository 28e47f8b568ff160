//! Enqueueing: order, keys, groups, payloads.

use super::{QUEUE, START, World, job, single, world};
use crate::job::ops::{DedupeInput, Enqueue, EnqueueMany, NewJob};
use crate::job::{DedupeMode, JobState};
use crate::permission::Role;
use crate::store::SharedStore;
use crate::{ErrorKind, Result};

/// Priority, then the instant, then the order of enqueueing.
pub async fn higher_priority_goes_first_and_later_jobs_wait(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    for (word, priority, delay) in
        [("low", -1, 0), ("high", 9, 0), ("mid", 0, 0), ("tomorrow", 99, 86_400_000)]
    {
        let delay_ms = Some(delay);
        w.put(NewJob { priority: Some(priority), delay_ms, ..job(word, "") }).await?;
    }
    w.work().await?;
    assert_eq!(w.player.played(), ["high", "mid", "low"]);
    w.wait(86_400);
    w.work().await?;
    assert_eq!(w.player.played(), ["tomorrow"]);
    Ok(())
}

/// One step of priority per minute, up to ten.
pub async fn a_job_that_waits_long_overtakes_higher_priorities(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    w.put(job("old", "")).await?;
    w.wait(600);
    w.put(NewJob { priority: Some(9), ..job("nine", "") }).await?;
    w.put(NewJob { priority: Some(11), ..job("eleven", "") }).await?;
    w.wait(1);
    w.work().await?;
    assert_eq!(w.player.played(), ["eleven", "old", "nine"]);
    Ok(())
}

fn keyed(word: &str, mode: DedupeMode, keep: Option<u64>) -> NewJob {
    let dedupe = Some(DedupeInput { key: "k".into(), mode, keep_key_for_ms: keep });
    NewJob { dedupe, delay_ms: Some(60_000), ..job(word, "") }
}

/// Mode `reject`.
pub async fn a_live_job_of_the_same_key_is_the_answer(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let first = w.put(keyed("a", DedupeMode::Reject, None)).await?;
    let second = w.put(keyed("b", DedupeMode::Reject, None)).await?;
    assert_eq!((second.id.as_str(), w.count().await?), (first.id.as_str(), 1));
    w.wait(60);
    w.work().await?;
    assert_eq!(w.player.played(), ["a"]);
    let third = w.put(keyed("c", DedupeMode::Reject, None)).await?;
    assert_ne!(third.id, first.id, "an ended job frees its key");
    Ok(())
}

/// Modes `replace` and `extend`.
pub async fn a_waiting_job_of_the_same_key_is_replaced_or_put_off(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let first = w.put(keyed("a", DedupeMode::Reject, None)).await?;
    w.wait(30);
    let replaced = w.put(keyed("b", DedupeMode::Replace, None)).await?;
    assert_eq!((&replaced.id, replaced.run_at), (&first.id, first.run_at));
    let extended = w.put(keyed("c", DedupeMode::Extend, None)).await?;
    assert_eq!(extended.run_at.as_millis(), START.as_millis() + 90_000);
    w.wait(30);
    assert_eq!(w.work().await?.done, 0);
    w.wait(30);
    w.work().await?;
    assert_eq!(w.player.played(), ["c"]);
    Ok(())
}

/// `keep_key_for` throttles.
pub async fn a_key_may_be_held_after_the_end(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let first = w.put(keyed("a", DedupeMode::Reject, Some(600_000))).await?;
    w.wait(60);
    w.work().await?;
    let again = w.put(keyed("b", DedupeMode::Reject, Some(600_000))).await?;
    assert_eq!((again.id, again.state), (first.id, JobState::Completed));
    w.wait(601);
    w.put(keyed("c", DedupeMode::Reject, None)).await?;
    w.wait(60);
    w.work().await?;
    assert_eq!(w.player.played(), ["a", "c"]);
    Ok(())
}

/// Also when another process has a worker free.
pub async fn a_group_is_worked_one_after_the_other(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let other: World = world(&store).await?;
    let grouped = |word: &str, how: &str| NewJob { group: Some("ada".into()), ..single(word, how) };
    w.put(grouped("one", "hold")).await?;
    w.put(grouped("two", "")).await?;
    w.put(single("free", "")).await?;
    let held = w.work_until_held().await;
    assert!(other.work().await?.done <= 1);
    assert!(!other.single.played().contains(&"two".to_owned()), "its group is busy");
    w.single.go_on.notify_one();
    held.await.map_err(|e| crate::Error::internal("suite", e))??;
    other.work().await?;
    let mut played = w.single.played();
    played.extend(other.single.played());
    assert!(played.contains(&"two".to_owned()) || w.count().await? == 3, "{played:?}");
    Ok(())
}

/// Name and payload are checked against what the handler declares.
pub async fn a_payload_that_does_not_fit_is_refused_by_field(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let refuse = async |job: NewJob| w.put(job).await.map(|_| ()).unwrap_err();
    let wrong = NewJob { payload: serde_json::json!({ "word": 7 }), ..job("", "") };
    assert_eq!(refuse(wrong).await.field_faults()[0].field, "payload.word");
    let unknown = refuse(NewJob { name: "pla".into(), ..job("a", "") }).await;
    assert!(unknown.field_faults()[0].message.contains("play"), "{unknown}");
    let nowhere = refuse(NewJob { queue: "suite.wrk".into(), ..job("a", "") }).await;
    assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    assert!(nowhere.context().any(|(k, v)| k == "closest" && v.contains(QUEUE)));
    for (field, bad) in [
        ("attempts", NewJob { attempts: Some(0), ..job("a", "") }),
        ("timeout_ms", NewJob { timeout_ms: Some(0), ..job("a", "") }),
        ("group", NewJob { group: Some(String::new()), ..job("a", "") }),
        ("delay_ms", NewJob { delay_ms: Some(1), run_at: Some(START), ..job("a", "") }),
    ] {
        assert_eq!(refuse(bad).await.field_faults()[0].field, field);
    }
    assert_eq!(w.count().await?, 0);
    Ok(())
}

/// One bad job refuses the whole call.
pub async fn many_jobs_are_all_or_none(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let bad = NewJob { name: "other".into(), ..job("b", "") };
    assert!(w.cx.call(EnqueueMany { jobs: vec![job("a", ""), bad] }).await.is_err());
    assert_eq!(w.count().await?, 0);
    let jobs: Vec<NewJob> = (0..100).map(|n| job(&format!("{n:03}"), "")).collect();
    w.cx.call(EnqueueMany { jobs }).await?;
    assert_eq!(w.work().await?.done, 100);
    let played = w.player.played();
    assert!(played.is_sorted() && played.len() == 100, "in the order of enqueueing");
    Ok(())
}

/// `send:messages` for a sending queue, `execute:agents` for a plain one.
pub async fn enqueueing_needs_the_right_of_the_queue(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let refused = w.cx.with_role(Role::Viewer).call(Enqueue { job: job("a", "") }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    w.cx.with_role(Role::Member).call(Enqueue { job: job("a", "") }).await?;
    Ok(())
}
