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

/// The aging of waiting jobs has a bound.
pub async fn a_long_wait_gains_ten_steps_and_no_more(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    w.put(job("old", "")).await?;
    w.wait(86_400);
    w.put(NewJob { priority: Some(10), ..job("ten", "") }).await?;
    w.put(NewJob { priority: Some(11), ..job("eleven", "") }).await?;
    w.work().await?;
    assert_eq!(w.player.played(), ["eleven", "old", "ten"], "of equals the one that is due longer");
    Ok(())
}

/// Modes `replace` and `extend` change what waits, never what a worker holds.
pub async fn an_active_job_of_the_same_key_stays_as_it_is(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let keyed = |word: &str, how: &str, mode| {
        let dedupe = Some(DedupeInput { key: "k".into(), mode, keep_key_for_ms: None });
        NewJob { dedupe, ..single(word, how) }
    };
    let first = w.put(keyed("a", "hold", DedupeMode::Reject)).await?;
    let held = w.work_until_held().await;
    for mode in [DedupeMode::Replace, DedupeMode::Extend] {
        let seen = w.put(keyed("b", "", mode)).await?;
        assert_eq!((&seen.id, seen.state, &seen.payload), (&first.id, JobState::Active, &first.payload));
    }
    w.single.go_on.notify_one();
    held.await.map_err(|e| crate::Error::internal("suite", e))??;
    assert_eq!((w.single.played(), w.count().await?), (vec!["a".to_owned()], 1));
    Ok(())
}

/// Four lanes are free, and two drains of one process take turns; a job outside the group runs beside it.
pub async fn a_group_keeps_the_order_of_enqueueing(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let grouped = |n: usize| NewJob { group: Some("ada".into()), ..single(&format!("{n:02}"), "linger") };
    w.cx.call(EnqueueMany { jobs: (0..12).map(grouped).collect() }).await?;
    let (one, two) = tokio::join!(w.work(), w.work());
    assert_eq!(one?.done + two?.done, 12);
    let played = w.single.played();
    assert!(played.is_sorted() && played.len() == 12, "{played:?}");
    let most = || w.single.most.swap(0, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(most(), 1, "never two of a group");
    let free = |n: usize| single(&format!("free {n}"), "linger");
    w.cx.call(EnqueueMany { jobs: (0..4).map(free).collect() }).await?;
    w.work().await?;
    assert!(most() > 1, "jobs without a group share the lanes");
    Ok(())
}

/// The program was changed while the job waited: no try can help, and the letter says which field.
pub async fn a_payload_that_fits_no_more_after_an_upgrade_is_dead_at_once(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(job("old", "")).await?;
    w.put(job("new", "")).await?;
    let cx = w.cx.staging("suite", "older version");
    let mut stored = cx.need::<crate::job::Job>(&made.id).await?;
    stored.body.payload = serde_json::json!({ "words": ["old"] });
    cx.save(&stored)?;
    cx.flush().await?;
    w.work().await?;
    assert_eq!(w.player.played(), ["new"], "the handler never sees it, the others of its batch go on");
    let seen = w.get(&made).await?;
    assert_eq!((seen.state, seen.attempts), (JobState::Dead, 1));
    let error = seen.error.unwrap_or_else(|| unreachable!("a dead job says why"));
    assert_eq!((error.code.as_str(), error.retryable), ("invalid_input", false));
    assert!(error.message.contains("payload.words"), "{}", error.message);
    Ok(())
}
