//! What of the life of a job waits for a sync.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::SqliteStore;
use crate::job::ops::{Enqueue, NewJob};
use crate::job::{Handler, Job, Outcome};
use crate::store::SharedStore;
use crate::{Error, ErrorKind, Hub, Result, Retry, Scope};

/// Does what the name of a job says.
#[derive(Debug)]
struct Told;

#[async_trait]
impl Handler for Told {
    fn queue(&self) -> &'static str {
        "suite.told"
    }
    fn batch(&self) -> usize {
        1
    }
    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let outcome = |job: &Job| match job.name.as_str() {
            "fails" => Ok(Outcome::Failed(Error::new(ErrorKind::InvalidInput, "suite", "no"))),
            "again" => {
                let wait = Retry::After(Duration::from_secs(60));
                Ok(Outcome::Failed(Error::new(ErrorKind::RateLimited, "suite", "later").with_retry(wait)))
            }
            "tells" => {
                cx.emit(crate::bus::Event::new(cx, "suite.told", "job", &job.id, json!({})))?;
                Ok(Outcome::Done)
            }
            _ => Ok(Outcome::Done),
        };
        jobs.iter().map(outcome).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_and_plain_ends_leave_their_sync_to_the_log_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&dir.path().join("test.neon")).await.unwrap());
    let hub = Hub::builder()
        .store_backend(Arc::clone(&store) as SharedStore)
        .root_key(crate::seal::RootKey::from_bytes([1; 32], "test"))
        .handler(Arc::new(Told))
        .build()
        .await
        .unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let mut unsynced = store.committer.unsynced().await.unwrap();
    // Taking is one; a plain end is another; an end that carries an event or counts a try is synced. One that fails for good
    // has an audit row, one that comes again has nothing but its count.
    for (name, more) in [("plain", 2), ("tells", 1), ("fails", 1), ("again", 1)] {
        let job = NewJob { queue: "suite.told".into(), name: name.into(), ..NewJob::default() };
        cx.call(Enqueue { job }).await.unwrap();
        assert_eq!(store.committer.unsynced().await.unwrap(), unsynced, "{name} was enqueued");
        cx.work_until_idle().await.unwrap();
        unsynced += more;
        assert_eq!(store.committer.unsynced().await.unwrap(), unsynced, "{name} was worked");
    }
    hub.close().await.unwrap();
}
