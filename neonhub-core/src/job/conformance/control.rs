//! Running a queue: pausing, limits, figures, what is kept.

use std::time::Duration;

use super::{QUEUE, SINGLE, job, single, world, world_with};
use crate::job::ops::{EnqueueMany, JobHistory, JobLogs, ListJobs, NewJob, Promote, Reprioritise};
use crate::job::queue_ops::{DrainQueue, ObliterateQueue, PauseQueue, ResumeQueue};
use crate::job::{JobState, Keep};
use crate::store::SharedStore;
use crate::{Error, Result};

/// In every process; what is in work ends.
pub async fn a_paused_queue_gives_nothing_until_it_is_resumed(store: SharedStore) -> Result<()> {
    let (w, other) = (world(&store).await?, world(&store).await?);
    w.put(job("a", "")).await?;
    let stats = w.cx.call(PauseQueue { queue: QUEUE.into() }).await?;
    assert!(stats.paused && stats.waiting == 1);
    assert_eq!((w.work().await?.done, other.work().await?.done), (0, 0));
    w.cx.call(ResumeQueue { queue: QUEUE.into() }).await?;
    assert_eq!(other.work().await?.done, 1);
    Ok(())
}

/// Drain waits for active jobs; obliterate wants the name typed out.
pub async fn a_drained_queue_may_be_obliterated(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    w.put(single("a", "hold")).await?;
    let held = w.work_until_held().await;
    w.put(single("b", "")).await?;
    let drain = |ms| DrainQueue { queue: SINGLE.into(), timeout_ms: Some(ms) };
    let gone = |confirm: &str| ObliterateQueue { queue: SINGLE.into(), confirm: confirm.into() };
    assert_eq!(w.cx.call(drain(1)).await.unwrap_err().code(), "timeout");
    assert_eq!(w.cx.call(gone(SINGLE)).await.unwrap_err().code(), "not_drained");
    w.single.go_on.notify_one();
    let stats = w.cx.call(drain(20_000)).await?;
    assert_eq!((stats.active, stats.waiting, stats.completed), (0, 1, 1));
    held.await.map_err(|e| Error::internal("suite", e))??;
    assert_eq!(w.cx.call(gone("yes")).await.unwrap_err().field_faults()[0].field, "confirm");
    assert_eq!(w.cx.call(gone(SINGLE)).await?.count, 2);
    assert_eq!(w.count().await?, 0);
    Ok(())
}

/// Two at a time in the workspace over all processes; three per minute.
pub async fn limits_of_workspace_and_rate_hold(store: SharedStore) -> Result<()> {
    let w = world_with(&store, |queue| queue.per_workspace(1)).await?;
    let other = world_with(&store, |queue| queue.per_workspace(1)).await?;
    w.put(single("a", "hold")).await?;
    w.put(single("b", "")).await?;
    let held = w.work_until_held().await;
    assert_eq!(other.work().await?.done, 0);
    w.single.go_on.notify_one();
    held.await.map_err(|e| Error::internal("suite", e))??;
    let rated = world_with(&store, |queue| queue.rate(3, Duration::from_secs(60))).await?;
    let jobs = (0..8).map(|n| single(&n.to_string(), "")).collect();
    rated.cx.call(EnqueueMany { jobs }).await?;
    assert_eq!(rated.work().await?.done, 3);
    assert_eq!(rated.work().await?.done, 0);
    rated.wait(20);
    assert_eq!(rated.work().await?.done, 1);
    rated.wait(60);
    assert_eq!(rated.work().await?.done, 3);
    Ok(())
}

/// They survive the end of the job.
pub async fn progress_log_and_history_are_kept(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(single("a", "report")).await?;
    let flaky = w.put(job("b", "flaky")).await?;
    w.work().await?;
    let seen = w.get(&made).await?;
    assert_eq!((seen.state, seen.progress), (JobState::Completed, Some(40)));
    assert_eq!(w.cx.call(JobLogs { id: made.id }).await?[0].text, "almost half");
    let history = w.cx.call(JobHistory { id: flaky.id }).await?;
    let reasons: Vec<&str> = history.iter().map(|l| l.reason.as_str()).collect();
    assert_eq!(reasons, ["enqueued", "taken", "unavailable"]);
    Ok(())
}

/// The newest stay.
pub async fn ended_jobs_beyond_the_kept_ones_are_dropped(store: SharedStore) -> Result<()> {
    let keep = Keep { completed: 20, ..Keep::default() };
    let w = world_with(&store, |queue| queue.keep(keep)).await?;
    for page in 0..10 {
        let jobs = (0..120).map(|n| single(&format!("{page}-{n}"), "")).collect();
        w.cx.call(EnqueueMany { jobs }).await?;
        w.wait(1);
        w.work().await?;
    }
    let kept = w.cx.queue_stats(SINGLE).await?.completed;
    assert!((20..=1_000).contains(&kept), "{kept}");
    let list =
        ListJobs { queue: Some(SINGLE.into()), state: Some(JobState::Completed), ..ListJobs::default() };
    let page = w.cx.call(list).await?;
    assert!(
        page.items
            .iter()
            .all(|j| j.finished_at > page.items[0].started_at.map(|t| t.minus(Duration::from_millis(1))))
    );
    Ok(())
}

/// `jobs.promote` and `jobs.reprioritise`.
pub async fn promoted_and_reprioritised_jobs_go_earlier(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let later = w.put(NewJob { delay_ms: Some(60_000), ..job("later", "") }).await?;
    w.put(job("first", "")).await?;
    let last = w.put(job("last", "")).await?;
    w.cx.call(Promote { id: later.id.clone() }).await?;
    w.cx.call(Reprioritise { id: last.id, priority: 3 }).await?;
    w.work().await?;
    assert_eq!(w.player.played()[0], "last");
    assert_eq!(w.cx.call(Promote { id: later.id }).await.unwrap_err().code(), "not_queued");
    Ok(())
}

/// `queues.stats`.
pub async fn figures_of_a_queue_count_every_state(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    w.put(job("dead", "blocked")).await?;
    w.put(job("done", "")).await?;
    w.work().await?;
    w.put(NewJob { delay_ms: Some(60_000), ..job("delayed", "") }).await?;
    w.put(NewJob { priority: Some(2), ..job("waiting", "") }).await?;
    w.wait(5);
    let stats = w.cx.queue_stats(QUEUE).await?;
    assert_eq!((stats.waiting, stats.delayed, stats.completed, stats.dead, stats.active), (1, 1, 1, 1, 0));
    assert_eq!(stats.oldest_ms, 5_000);
    Ok(())
}
