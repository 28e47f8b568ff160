//! Running a queue: pausing, limits, figures, what is kept.

use std::time::Duration;

use super::{QUEUE, SINGLE, World, job, single, world, world_with};
use crate::job::ops::{EnqueueMany, JobHistory, JobLogs, ListJobs, NewJob, Promote, Reprioritise};
use crate::job::queue_ops::{DrainQueue, ObliterateQueue, PauseQueue, ResumeQueue};
use crate::job::{JobState, Keep};
use crate::store::SharedStore;
use crate::{Error, ErrorKind, Result};

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

/// The words of the jobs that a list finds, page by page of two.
async fn listed(w: &World, list: &ListJobs) -> Result<Vec<String>> {
    let (mut words, mut cursor) = (Vec::new(), None);
    loop {
        let page = w.cx.call(ListJobs { limit: Some(2), cursor, ..list.clone() }).await?;
        assert!(page.items.len() == 2 || page.next.is_none(), "a page is short and not the last");
        words.extend(page.items.iter().map(|j| j.payload["word"].as_str().unwrap_or_default().to_owned()));
        cursor = page.next;
        if cursor.is_none() {
            words.sort();
            return Ok(words);
        }
    }
}

/// `jobs.list`: whatever is given holds.
pub async fn lists_take_filters_in_any_combination(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    for n in 0..3 {
        w.put(job(&format!("dead-{n}"), "blocked")).await?;
        w.put(single(&format!("done-{n}"), "")).await?;
    }
    w.put(single("dead-single", "blocked")).await?;
    w.work().await?;
    for n in 0..3 {
        w.put(NewJob { delay_ms: Some(60_000), ..job(&format!("later-{n}"), "") }).await?;
    }
    w.put(NewJob { delay_ms: Some(60_000), ..single("later-single", "") }).await?;
    let queue = || Some(QUEUE.to_owned());
    let all = ListJobs::default();
    let of =
        |queue: Option<String>, state: Option<JobState>| ListJobs { queue, state, ..ListJobs::default() };
    assert_eq!(listed(&w, &all).await?.len(), 11);
    assert_eq!(
        listed(&w, &of(queue(), None)).await?,
        ["dead-0", "dead-1", "dead-2", "later-0", "later-1", "later-2"]
    );
    let dead = of(None, Some(JobState::Dead));
    assert_eq!(listed(&w, &dead).await?, ["dead-0", "dead-1", "dead-2", "dead-single"]);
    assert_eq!(listed(&w, &of(queue(), dead.state)).await?, ["dead-0", "dead-1", "dead-2"]);
    assert_eq!(listed(&w, &of(None, Some(JobState::Delayed))).await?.len(), 4);
    assert_eq!(listed(&w, &of(queue(), Some(JobState::Waiting))).await?, ["later-0", "later-1", "later-2"]);
    assert!(listed(&w, &of(queue(), Some(JobState::Active))).await?.is_empty());
    let stranger = ListJobs { flow: Some("flow_none".into()), ..of(queue(), dead.state) };
    assert!(listed(&w, &stranger).await?.is_empty());
    let next = w.cx.call(ListJobs { limit: Some(1), ..dead }).await?.next;
    let error = w.cx.call(ListJobs { cursor: next, ..all }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "a cursor serves its own list alone");
    Ok(())
}

/// `jobs.list` of one queue: jobs of others in between leave no page short, and writes between two pages neither skip nor
/// repeat what was there throughout.
pub async fn no_page_of_a_list_is_short_while_jobs_come_and_go(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let delayed = |job: NewJob| NewJob { delay_ms: Some(3_600_000), ..job };
    let mut first = None;
    for n in 0..5 {
        for m in 0..20 {
            w.put(delayed(job(&format!("other-{n}-{m}"), ""))).await?;
        }
        let made = w.put(delayed(single(&format!("own-{n}"), ""))).await?;
        first.get_or_insert(made);
    }
    let (mut seen, mut cursor, mut round) = (Vec::new(), None, 0);
    loop {
        let list = ListJobs { queue: Some(SINGLE.into()), limit: Some(2), cursor, ..ListJobs::default() };
        let page = w.cx.call(list).await?;
        assert!(page.items.len() == 2 || page.next.is_none(), "{} of a page of 2", page.items.len());
        seen.extend(page.items.iter().map(|j| j.payload["word"].as_str().unwrap_or_default().to_owned()));
        // The record a page ended behind, and what stands around it, changes.
        if let Some(made) = first.take() {
            w.cx.call(Reprioritise { id: made.id, priority: 9 }).await?;
        }
        for job in &page.items {
            w.cx.call(Reprioritise { id: job.id.clone(), priority: 5 }).await?;
        }
        round += 1;
        w.wait(1);
        w.put(delayed(job(&format!("more-{round}"), ""))).await?;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ["own-0", "own-1", "own-2", "own-3", "own-4"]);
    Ok(())
}
