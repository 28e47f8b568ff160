//! Leases: redelivery, fencing, stalls, cancelling.

use super::{single, world};
use crate::job::JobState;
use crate::job::ops::CancelJob;
use crate::store::SharedStore;
use crate::{Error, ErrorKind, Result};

/// The slow worker cannot write any more; the job is done once.
pub async fn a_lease_that_ended_is_redelivered_and_the_late_worker_is_fenced(
    store: SharedStore,
) -> Result<()> {
    let (w, other) = (world(&store).await?, world(&store).await?);
    let made = w.put(single("a", "stage")).await?;
    let held = w.work_until_held().await;
    assert_eq!(other.work().await?.done, 0, "its lease holds");
    w.wait(31);
    other.wait(31);
    other.single.go_on.notify_one();
    assert_eq!(other.work().await?.done, 1);
    w.single.go_on.notify_one();
    let late = held.await.map_err(|e| Error::internal("suite", e))??;
    assert_eq!(late.done, 0, "the late outcome is dropped");
    let seen = w.get(&made).await?;
    assert_eq!((seen.state, seen.stalls, seen.attempts), (JobState::Completed, 1, 0));
    assert_eq!(seen.lease.map(|l| l.token), Some(2));
    let staged = w.cx.get::<crate::job::JobNote>("staged-a").await?.map(|n| n.rev);
    assert_eq!(staged, Some(1), "what the late worker staged was dropped as well");
    Ok(())
}

/// A job that loses its worker twice is given up.
pub async fn the_second_stall_is_the_last(store: SharedStore) -> Result<()> {
    let (w, other) = (world(&store).await?, world(&store).await?);
    let made = w.put(single("a", "hold")).await?;
    for side in [&w, &other] {
        let held = side.work_until_held().await;
        held.abort();
        let _ = held.await;
        w.wait(31);
        other.wait(31);
    }
    w.work().await?;
    let seen = w.get(&made).await?;
    assert_eq!((seen.state, seen.stalls), (JobState::Dead, 2));
    assert_eq!(seen.error.map(|e| e.code).as_deref(), Some("stalled"));
    Ok(())
}

/// What a worker lost track of (the store was away while it took or ended it) is free again within seconds, and that is
/// no stall of the job.
pub async fn what_a_worker_lost_track_of_is_soon_free(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(single("a", "hold")).await?;
    let held = w.work_until_held().await;
    held.abort();
    let _ = held.await;
    assert_eq!(w.work().await?.done, 0, "the taking of it may be under way");
    w.wait(6);
    w.single.go_on.notify_one();
    assert_eq!(w.work().await?.done, 1);
    let seen = w.get(&made).await?;
    assert_eq!((seen.state, seen.stalls), (JobState::Completed, 0));
    assert_eq!(seen.lease.map(|l| l.token), Some(2));
    Ok(())
}

/// A worker that reports keeps what it holds.
pub async fn a_report_keeps_a_lease(store: SharedStore) -> Result<()> {
    let (w, other) = (world(&store).await?, world(&store).await?);
    let made = w.put(single("a", "hold")).await?;
    let held = w.work_until_held().await;
    w.wait(25);
    other.wait(25);
    w.cx.hub().room().report(w.cx.hub()).await?;
    w.wait(20);
    other.wait(20);
    assert_eq!(other.work().await?.done, 0, "45 s after it was taken, 20 s after the report");
    w.single.go_on.notify_one();
    held.await.map_err(|e| Error::internal("suite", e))??;
    assert_eq!(w.get(&made).await?.stalls, 0);
    Ok(())
}

fn cancel(id: &str) -> CancelJob {
    CancelJob { id: Some(id.to_owned()), flow: None, reason: "not wanted any more".into() }
}

/// It never runs.
pub async fn a_waiting_job_is_cancelled_at_once(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(single("a", "")).await?;
    assert_eq!(w.cx.call(cancel(&made.id)).await?[0].state, JobState::Cancelled);
    assert_eq!(w.work().await?.done, 0);
    assert_eq!(w.cx.call(cancel(&made.id)).await?[0].state, JobState::Cancelled, "twice is once");
    Ok(())
}

/// The handler is stopped at its next await.
pub async fn an_active_job_is_told_to_stop(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(single("a", "hold")).await?;
    let held = w.work_until_held().await;
    assert_eq!(w.cx.call(cancel(&made.id)).await?[0].state, JobState::Active);
    held.await.map_err(|e| Error::internal("suite", e))??;
    assert_eq!(w.get(&made).await?.state, JobState::Cancelled);
    Ok(())
}

/// The answer names the state of the effect.
pub async fn past_the_point_of_no_return_it_is_too_late(store: SharedStore) -> Result<()> {
    let w = world(&store).await?;
    let made = w.put(single("a", "stage")).await?;
    let held = w.work_until_held().await;
    let error = w.cx.call(cancel(&made.id)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "too_late"));
    assert!(error.context().any(|(k, v)| k == "effect" && v == "dispatching"));
    w.single.go_on.notify_one();
    held.await.map_err(|e| Error::internal("suite", e))??;
    assert_eq!(w.get(&made).await?.state, JobState::Completed);
    Ok(())
}
