//! Background workers on a file, with the clock of the machine.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, outside #[test] functions"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::job::ops::{CancelJob, Enqueue, GetJob, NewJob};
use neonhub_core::job::{Handler, Job, JobState, Outcome, Queue};
use neonhub_core::schedule::{AgentSession, CreateSchedule, Overlap, SessionState, Target, When};
use neonhub_core::store::Query;
use neonhub_core::{Hub, Result, Scope};
use serde_json::json;
use tokio::sync::Notify;

/// Counts, and holds the jobs that are named so until it is told to go on.
#[derive(Debug, Default)]
struct Worker {
    done: AtomicUsize,
    begun: Notify,
    go_on: Notify,
}

#[async_trait]
impl Handler for Worker {
    fn queue(&self) -> &'static str {
        "test.work"
    }
    fn batch(&self) -> usize {
        1
    }
    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        for job in jobs {
            if job.name == "hold" {
                self.begun.notify_one();
                self.go_on.notified().await;
            }
            self.done.fetch_add(1, Ordering::SeqCst);
        }
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}

struct Side {
    hub: Hub,
    cx: Scope,
    worker: Arc<Worker>,
}

async fn side(path: &Path) -> Side {
    let worker = Arc::new(Worker::default());
    let queue = Queue::declare("test.work").concurrency(4).handler(Arc::clone(&worker) as _).build();
    let hub = Hub::builder().store(path.to_string_lossy()).queue(queue).build().await.unwrap();
    Side { cx: hub.workspace("default").await.unwrap(), hub, worker }
}

impl Side {
    async fn put(&self, name: &str) -> Job {
        let job =
            NewJob { queue: "test.work".into(), name: name.into(), payload: json!({}), ..NewJob::default() };
        self.cx.call(Enqueue { job }).await.unwrap()
    }

    async fn reaches(&self, job: &Job, state: JobState) -> Job {
        let reached = async {
            loop {
                let seen = self.cx.call(GetJob { id: job.id.clone() }).await.unwrap();
                if seen.state == state {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap()
    }
}

fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workers.neon");
    (folder, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_wakes_the_workers_of_its_process_and_of_others() {
    let (_folder, path) = file();
    let (a, b) = (side(&path).await, side(&path).await);
    b.hub.start_workers(&["test.work"]).await.unwrap();
    for _ in 0..3 {
        let own = b.put("work").await;
        let other = a.put("work").await;
        b.reaches(&own, JobState::Completed).await;
        b.reaches(&other, JobState::Completed).await;
    }
    assert_eq!((a.worker.done.load(Ordering::SeqCst), b.worker.done.load(Ordering::SeqCst)), (0, 6));
    assert!(b.hub.start_workers(&["no.such"]).await.is_err());
    b.hub.close().await.unwrap();
    a.hub.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_waits_its_grace_and_gives_back_what_is_left() {
    let (_folder, path) = file();
    let (a, b) = (side(&path).await, side(&path).await);
    a.hub.start_workers(&[]).await.unwrap();
    let held = a.put("hold").await;
    a.worker.begun.notified().await;
    a.hub.shutdown(Duration::from_millis(50)).await.unwrap();
    let free = b.cx.call(GetJob { id: held.id.clone() }).await.unwrap();
    assert_eq!((free.state, free.stalls, free.attempts), (JobState::Waiting, 0, 0));
    b.worker.go_on.notify_one();
    b.hub.start_workers(&[]).await.unwrap();
    let done = b.reaches(&held, JobState::Completed).await;
    assert_eq!(done.lease.map(|l| l.token), Some(2));
    b.hub.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_cancelled_from_another_process() {
    let (_folder, path) = file();
    let (a, b) = (side(&path).await, side(&path).await);
    a.hub.start_workers(&[]).await.unwrap();
    let held = a.put("hold").await;
    a.worker.begun.notified().await;
    let id = Some(held.id.clone());
    b.cx.call(CancelJob { id, flow: None, reason: "not wanted".into() }).await.unwrap();
    a.reaches(&held, JobState::Cancelled).await;
    assert_eq!(a.worker.done.load(Ordering::SeqCst), 0);
    a.hub.close().await.unwrap();
    b.hub.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_fire_by_themselves_and_once_over_two_processes() {
    let (_folder, path) = file();
    let (a, b) = (side(&path).await, side(&path).await);
    let target = Target::Job { queue: "test.work".into(), name: "work".into(), payload: json!({}) };
    let every = When::Every { ms: 1_000, anchor: None };
    let new = CreateSchedule { overlap: Overlap::Allow, ..CreateSchedule::new("tick", target, every) };
    a.cx.call(new).await.unwrap();
    a.hub.start_workers(&[]).await.unwrap();
    b.hub.start_workers(&[]).await.unwrap();
    let sessions = async || a.cx.query::<AgentSession>(&Query::by_id()).await.unwrap();
    let two = async {
        while sessions().await.iter().filter(|s| s.state == SessionState::Completed).count() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), two).await.unwrap();
    let done = a.worker.done.load(Ordering::SeqCst) + b.worker.done.load(Ordering::SeqCst);
    assert!(done >= 2);
    let planned: std::collections::BTreeSet<_> = sessions().await.iter().map(|s| s.planned_at).collect();
    assert_eq!(planned.len(), sessions().await.len());
    a.hub.close().await.unwrap();
    b.hub.close().await.unwrap();
}
