//! Jobs that wait for jobs.

use super::{World, job, world};
use crate::bus::Event;
use crate::job::ops::{EnqueueFlow, Flow, NewJob, NewNode, RetryJobs};
use crate::job::{JobState, OnChildFailure};
use crate::store::{Query, SharedStore};
use crate::{ErrorKind, Result};

fn node(key: &str, how: &str, after: &[&str]) -> NewNode {
    let after = after.iter().map(|w| (*w).to_owned()).collect();
    NewNode { key: key.into(), job: job(key, how), after }
}

async fn flow(w: &World, nodes: Vec<NewNode>) -> Result<Flow> {
    w.cx.call(EnqueueFlow { nodes }).await
}

/// Blocked until the last child ends.
pub async fn a_parent_starts_after_its_children_and_reads_their_results(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let nodes = vec![node("top", "", &["a", "b"]), node("a", "answer", &[]), node("b", "later", &[])];
    let made = flow(&w, nodes).await?;
    w.work().await?;
    assert_eq!(w.get(&made.jobs[0]).await?.state, JobState::Blocked);
    w.wait(60);
    w.work().await?;
    assert_eq!(w.player.played(), ["a", "b", "b", "top"]);
    let children = w.cx.job_children(&made.jobs[0].id, 10).await?;
    let results: Vec<_> = children.iter().filter_map(|c| c.result.clone()).collect();
    assert_eq!(results, [serde_json::json!({ "word": "a" })]);
    Ok(())
}

/// The three ways of `on_child_failure`.
pub async fn a_failed_child_fails_is_ignored_or_continued(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    for (way, top, sibling) in [
        (OnChildFailure::Fail, JobState::Failed, JobState::Cancelled),
        (OnChildFailure::Ignore, JobState::Blocked, JobState::Delayed),
        (OnChildFailure::Continue, JobState::Completed, JobState::Delayed),
    ] {
        let mut parent = node("top", "", &["bad", "slow"]);
        parent.job.on_child_failure = Some(way);
        let mut slow = node("slow", "", &[]);
        slow.job = NewJob { delay_ms: Some(60_000), ..slow.job };
        let grand = node("grand", "", &["top"]);
        let made = flow(&w, vec![grand, parent, node("bad", "blocked", &[]), slow]).await?;
        w.work().await?;
        let seen = [w.get(&made.jobs[1]).await?.state, w.get(&made.jobs[3]).await?.state];
        assert_eq!(seen, [top, sibling], "{way:?}");
        let grand = w.get(&made.jobs[0]).await?.state;
        let expected = if top == JobState::Blocked { JobState::Blocked } else { grand };
        assert!(grand == expected && (top != JobState::Failed || grand == JobState::Failed), "{way:?}");
        w.wait(60);
        w.work().await?;
        let top = w.get(&made.jobs[1]).await?.state;
        assert_eq!(top == JobState::Failed, way == OnChildFailure::Fail, "{way:?}");
    }
    Ok(())
}

/// A cycle, an unknown word, a doubled word.
pub async fn a_flow_with_a_cycle_is_refused_by_name(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let cycle = vec![node("a", "", &["b"]), node("b", "", &["c"]), node("c", "", &["a"])];
    let error = flow(&w, cycle).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.field_faults()[0].message.contains("a -> b -> c -> a"), "{error}");
    let unknown = flow(&w, vec![node("a", "", &["x"])]).await.unwrap_err();
    assert_eq!(unknown.field_faults()[0].field, "nodes[0].after");
    let doubled = flow(&w, vec![node("a", "", &[]), node("a", "", &[])]).await.unwrap_err();
    assert_eq!(doubled.field_faults()[0].field, "nodes[1].key");
    let deep: Vec<NewNode> = (0..17)
        .map(|n| {
            let after = if n == 0 { Vec::new() } else { vec![format!("n{}", n - 1)] };
            NewNode { key: format!("n{n}"), job: job("x", ""), after }
        })
        .collect();
    assert!(flow(&w, deep).await.unwrap_err().to_string().contains("16"));
    assert_eq!(w.count().await?, 0);
    Ok(())
}

/// Two jobs wait for the same one, and one job for both.
pub async fn a_diamond_is_worked_from_the_bottom(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let nodes = vec![
        node("top", "", &["left", "right"]),
        node("left", "", &["base"]),
        node("right", "", &["base"]),
        node("base", "", &[]),
    ];
    flow(&w, nodes).await?;
    assert_eq!(w.work().await?.done, 4);
    let played = w.player.played();
    assert_eq!((played[0].as_str(), played[3].as_str()), ("base", "top"));
    Ok(())
}

/// Way `ignore`: the failed child counts as done, and says why.
pub async fn an_ignored_failure_is_readable_by_its_parent(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let mut top = node("top", "", &["bad", "good"]);
    top.job.on_child_failure = Some(OnChildFailure::Ignore);
    let made = flow(&w, vec![top, node("bad", "blocked", &[]), node("good", "answer", &[])]).await?;
    w.work().await?;
    assert_eq!(w.get(&made.jobs[0]).await?.state, JobState::Completed);
    let children = w.cx.job_children(&made.jobs[0].id, 10).await?;
    let seen: Vec<_> =
        children.iter().map(|c| (c.state, c.error.as_ref().map(|e| e.code.as_str()))).collect();
    assert_eq!(seen, [(JobState::Dead, Some("blocked")), (JobState::Completed, None)]);
    assert_eq!(w.player.played().last().map(String::as_str), Some("top"));
    Ok(())
}

/// Way `fail`, four levels: in the commit of the failing child, before anything else is worked.
pub async fn a_failure_reaches_every_level_at_once(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let nodes = vec![
        node("top", "", &["upper"]),
        node("upper", "", &["lower", "side"]),
        node("lower", "", &["bad"]),
        node("bad", "blocked", &[]),
        node("side", "", &["late"]),
        NewNode { job: NewJob { delay_ms: Some(60_000), ..job("late", "") }, ..node("late", "", &[]) },
    ];
    let made = flow(&w, nodes).await?;
    w.work().await?;
    let mut states = Vec::new();
    for job in &made.jobs {
        states.push(w.get(job).await?.state);
    }
    use JobState as S;
    assert_eq!(states, [S::Failed, S::Failed, S::Failed, S::Dead, S::Cancelled, S::Cancelled]);
    let top = w.get(&made.jobs[0]).await?.error.map(|e| e.code);
    assert_eq!((top.as_deref(), w.player.played()), (Some("child_failed"), vec!["bad".to_owned()]));
    let told = w.cx.query::<Event>(&Query::by_id().limit(100)).await?;
    let told = |word: &str| told.iter().filter(|e| e.kind == word).count();
    assert_eq!((told("job.cancelled"), told("job.failed"), told("job.dead")), (2, 3, 1));
    w.wait(120);
    assert_eq!(w.work().await?.done, 0);
    Ok(())
}

/// A dead child that someone has run again is one more to wait for.
pub async fn a_child_that_is_tried_again_is_waited_for(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let mut top = node("top", "", &["bad", "slow"]);
    top.job.on_child_failure = Some(OnChildFailure::Ignore);
    let slow = NewNode { job: NewJob { delay_ms: Some(60_000), ..job("slow", "") }, ..node("slow", "", &[]) };
    let made = flow(&w, vec![top, node("bad", "blocked", &[]), slow]).await?;
    w.work().await?;
    // Ids hang on the instant: what happens to one job twice happens at two of them.
    w.wait(1);
    w.cx.call(RetryJobs { ids: vec![made.jobs[1].id.clone()] }).await?;
    w.work().await?;
    let seen = w.get(&made.jobs[0]).await?;
    assert_eq!((seen.state, seen.open_children), (JobState::Blocked, 1), "the slow one is still to come");
    w.wait(60);
    w.work().await?;
    assert_eq!(w.get(&made.jobs[0]).await?.state, JobState::Completed);
    assert_eq!(w.player.played(), ["bad", "bad", "slow", "top"]);
    Ok(())
}
