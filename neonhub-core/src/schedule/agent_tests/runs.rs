//! Runs of sessions: begun, waited for, tried again, cancelled, taken over.

use super::*;

#[tokio::test]
async fn an_agent_runs_at_its_instants_and_each_session_names_its_run() {
    let shop = shop().await;
    let made = shop.cx.call(new(json!({}))).await.unwrap();
    for _ in 0..3 {
        shop.wait(60).await;
    }
    let all = shop.sessions().await;
    assert_eq!(shop.states().await, [SessionState::Completed; 3]);
    let mut runs: Vec<&String> = all.iter().flat_map(|s| &s.run_ids).collect();
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), 3, "one run for each firing");
    assert_eq!((all[1].agent.as_str(), all[1].summary.as_str()), ("errand.fetch", r#"{"said":2}"#));
    assert_eq!(shop.run_of(&all[2]).await.status, RunStatus::Completed);
    assert_eq!(shop.told("session.started").await[0]["run"], json!(all[0].run_ids[0]));
    // Asked for now, with another input; the only intent needs no name.
    let input = Some(json!({ "args": { "hangs": false } }));
    shop.cx.call(TriggerNow { id: made.id, input }).await.unwrap();
    shop.wait(0).await;
    assert_eq!(shop.states().await.len(), 4);
}

#[tokio::test]
async fn a_run_that_waits_keeps_its_session_open_and_uses_no_try() {
    let shop = shop().await;
    shop.cx.call(CreateSchedule { retries: Some(0), ..new(json!({ "wait": true })) }).await.unwrap();
    shop.wait(60).await;
    let first = shop.sessions().await.remove(0);
    assert_eq!((first.state, first.reason.as_deref()), (SessionState::Running, Some("signal go")));
    let job = shop.job_of(&first).await;
    assert_eq!((job.state, job.attempts), (JobState::Delayed, 0));
    shop.wait(60).await;
    assert_eq!(shop.states().await, [SessionState::Running, SessionState::Skipped]);
    assert_eq!(shop.told("session.progress").await.len(), 1, "told when it changes, not at every look");
    shop.signal(&first).await;
    shop.wait(30).await;
    let first = shop.sessions().await.remove(0);
    assert_eq!((first.state, first.run_ids.len(), first.attempt), (SessionState::Completed, 1, 1));
    assert_eq!(first.summary, r#"{"heard":"now"}"#);
}

#[tokio::test]
async fn overlap_policies_hold_for_runs_that_wait() {
    use SessionState as S;
    for (policy, expected) in [
        (Overlap::QueueOne, vec![S::Running, S::Pending, S::Skipped]),
        (Overlap::QueueAll, vec![S::Running, S::Pending, S::Pending]),
        (Overlap::Allow, vec![S::Running, S::Running, S::Skipped]),
        (Overlap::CancelPrevious, vec![S::Cancelled, S::Cancelled, S::Running]),
    ] {
        let shop = shop().await;
        let new = CreateSchedule { overlap: policy, concurrency: Some(2), ..new(json!({ "wait": true })) };
        let made = shop.cx.call(new).await.unwrap();
        for _ in 0..3 {
            shop.wait(60).await;
        }
        assert_eq!(shop.states().await, expected, "{policy:?}");
        let all = shop.sessions().await;
        if policy == Overlap::CancelPrevious {
            assert_eq!(shop.run_of(&all[0]).await.status, RunStatus::Cancelled);
            assert_eq!(shop.run_of(&all[2]).await.status, RunStatus::Waiting);
        }
        if policy == Overlap::QueueAll {
            let pause = PauseSchedule { id: made.id, reason: "enough".into() };
            shop.cx.call(pause).await.unwrap();
            shop.signal(&all[0]).await;
            shop.wait(30).await;
            shop.wait(30).await;
            assert_eq!(shop.states().await, [S::Completed, S::Running, S::Pending], "in their order");
        }
    }
}

#[tokio::test]
async fn a_failed_run_is_followed_by_a_new_one_while_tries_last() {
    for (fails, expected, runs) in [(2, SessionState::Completed, 3), (9, SessionState::Failed, 3)] {
        let shop = shop().await;
        shop.outside.fails.store(fails, Ordering::SeqCst);
        let new = CreateSchedule { retries: Some(2), overlap: Overlap::Skip, ..new(json!({})) };
        let made = shop.cx.call(new).await.unwrap();
        shop.wait(60).await;
        shop.cx.call(PauseSchedule { id: made.id.clone(), reason: "once".into() }).await.unwrap();
        for _ in 0..4 {
            shop.wait(600).await;
        }
        let session = shop.sessions().await.remove(0);
        assert_eq!((session.state, session.run_ids.len()), (expected, runs));
        let seen = shop.cx.call(GetSchedule { id: made.id }).await.unwrap();
        assert_eq!(seen.failures, u32::from(expected == SessionState::Failed));
        if expected == SessionState::Failed {
            assert_eq!(session.reason.as_deref(), Some("unavailable"));
            assert_eq!(shop.told("schedule.failed").await.len(), 1);
        }
    }
}

/// Works until the operation of the run was begun.
async fn work_until_begun(shop: &Shop) -> tokio::task::JoinHandle<()> {
    shop.clock.advance(Duration::from_secs(60));
    let cx = shop.cx.clone();
    let task = tokio::spawn(async move { drop(cx.work_until_idle().await) });
    shop.outside.begun.notified().await;
    task
}

#[tokio::test]
async fn a_session_that_is_cancelled_ends_its_run_also_in_the_middle_of_a_call() {
    let shop = shop().await;
    shop.cx.call(new(json!({ "args": { "hangs": true } }))).await.unwrap();
    let working = work_until_begun(&shop).await;
    let session = shop.sessions().await.remove(0);
    let cancel = CancelSession { id: session.id.clone(), reason: "not wanted".into() };
    assert_eq!(shop.cx.call(cancel).await.unwrap().state, SessionState::Cancelled);
    working.await.unwrap();
    assert_eq!(shop.run_of(&session).await.status, RunStatus::Cancelled);
    assert_eq!(shop.job_of(&session).await.state, JobState::Completed, "nothing is left to be done");
    // One that waits for its instant, or whose run waits, needs no worker.
    let waiting = shop_on(Arc::new(MemoryStore::new()), Arc::default()).await;
    waiting.cx.call(new(json!({ "wait": true }))).await.unwrap();
    waiting.wait(60).await;
    let session = waiting.sessions().await.remove(0);
    waiting.cx.call(CancelSession { id: session.id.clone(), reason: "no".into() }).await.unwrap();
    assert_eq!(waiting.run_of(&session).await.status, RunStatus::Cancelled);
    assert_eq!(waiting.job_of(&session).await.state, JobState::Cancelled);
}

#[tokio::test]
async fn another_process_goes_on_with_the_run_of_one_that_is_gone() {
    let (store, outside): (SharedStore, Arc<Outside>) = (Arc::new(MemoryStore::new()), Arc::default());
    let gone = shop_on(Arc::clone(&store), Arc::clone(&outside)).await;
    gone.cx.call(new(json!({ "args": { "hangs": true } }))).await.unwrap();
    let working = work_until_begun(&gone).await;
    working.abort();
    drop(working.await);
    let begun = gone.sessions().await.remove(0);
    assert_eq!(
        (begun.state, begun.run_ids.len()),
        (SessionState::Running, 1),
        "noted before anything was done"
    );
    let other = shop_on(store, outside).await;
    // Past the instants of the leases: the first process reports no more.
    let task = {
        other.clock.advance(Duration::from_secs(95));
        let cx = other.cx.clone();
        tokio::spawn(async move { drop(cx.work_until_idle().await) })
    };
    other.outside.begun.notified().await;
    let session = other.sessions().await.remove(0);
    assert_eq!((&session.run_ids, session.attempt), (&begun.run_ids, 1), "the same run, the same try");
    assert!(other.run_of(&session).await.lease.unwrap().token > 1, "under a new lease");
    other.cx.call(CancelSession { id: session.id, reason: "seen enough".into() }).await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn an_operation_has_its_own_deadline_and_later_firings_wait_for_its_next_try() {
    let shop = shop().await;
    shop.outside.fails.store(1, Ordering::SeqCst);
    let target = Target::Operation { operation: "errands.try".into(), input: json!({}) };
    let every = When::Every { ms: 1_000, anchor: None };
    let new = CreateSchedule { overlap: Overlap::QueueAll, ..CreateSchedule::new("try", target, every) };
    let made = shop.cx.call(new).await.unwrap();
    shop.wait(1).await;
    let first = shop.sessions().await.remove(0);
    let job = shop.job_of(&first).await;
    assert_eq!((job.timeout_ms, job.state), (Some(605_000), JobState::Delayed));
    // The second firing comes while the first waits for its next try.
    shop.cx.call(PauseSchedule { id: made.id.clone(), reason: "two are enough".into() }).await.unwrap();
    let input = None;
    shop.cx.call(TriggerNow { id: made.id, input }).await.unwrap();
    shop.cx.work_until_idle().await.unwrap();
    let second = shop.sessions().await.remove(1);
    assert_eq!((second.state, shop.outside.calls.load(Ordering::SeqCst)), (SessionState::Pending, 1));
    shop.wait(600).await;
    shop.wait(600).await;
    assert_eq!(shop.states().await, [SessionState::Completed; 2]);
    let ends: Vec<_> = shop.sessions().await.into_iter().map(|s| s.summary).collect();
    assert_eq!(ends, ["2", "3"], "one after the other");
}
