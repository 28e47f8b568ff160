//! Opening, keys, and what a dead process leaves behind.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside #[test] functions")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use neonhub_core::hub::ops::UpdateWorkspace;
use neonhub_core::job::{Handler, Job, JobSpec, Outcome};
use neonhub_core::op::{Effect, Entry, Operation, entry};
use neonhub_core::seal::RootKey;
use neonhub_core::tenancy::Mode;
use neonhub_core::{ErrorKind, Hub, HubBuilder, Permission, Result, Role, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

fn builder(path: &Path) -> HubBuilder {
    Hub::builder().store(path.to_string_lossy())
}

#[tokio::test]
async fn a_new_store_makes_its_key_and_opens_again_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.neon");
    let hub = builder(&path).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let sealed = cx.sealer().seal("note", "text", "hello").unwrap();
    hub.close().await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(dir.path().join("a.neon.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let cx = builder(&path).build().await.unwrap().workspace("default").await.unwrap();
    assert_eq!(cx.sealer().open("note", "text", &sealed).unwrap().expose(), "hello");
}

#[tokio::test]
async fn a_file_is_kept_once_under_its_hash_by_those_who_may_write() {
    let hub = Hub::builder().build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let hash = cx.put_blob(b"hello").await.unwrap();
    assert_eq!(hash, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!(cx.put_blob(b"hello").await.unwrap(), hash);
    assert_eq!(cx.store().blob_get(&hash).await.unwrap().unwrap(), b"hello");
    assert_eq!(cx.put_blob(b"").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let viewer = cx.with_role(Role::Viewer);
    assert_eq!(viewer.put_blob(b"hello").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    hub.close().await.unwrap();
    assert_eq!(cx.put_blob(b"hello").await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn with_another_key_records_open_and_sealed_values_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.neon");
    let hub = builder(&path).root_key(RootKey::from_bytes([1; 32], "first")).build().await.unwrap();
    let sealed = hub.workspace("default").await.unwrap().sealer().seal("note", "text", "hello").unwrap();
    hub.close().await.unwrap();
    let hub = builder(&path).root_key(RootKey::from_bytes([2; 32], "second")).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let error = cx.sealer().open("note", "text", &sealed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("key=second"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.neon");
    builder(&path).build().await.unwrap().close().await.unwrap();
    let key = dir.path().join("a.neon.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = builder(&path).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_fixed_seed_is_for_sandboxes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.neon");
    let hub = builder(&path).seed(1).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    cx.call(UpdateWorkspace { mode: Some(Mode::Production), ..UpdateWorkspace::default() }).await.unwrap();
    hub.close().await.unwrap();
    assert_eq!(builder(&path).seed(1).build().await.unwrap_err().kind(), ErrorKind::Config);
    builder(&path).build().await.unwrap();
}

#[tokio::test]
async fn store_urls_that_cannot_work_are_named() {
    let open = |url: &str| Hub::builder().store(url).build();
    assert_eq!(open("").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(open("redis://localhost").await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(open("/no/such/folder/x.neon").await.unwrap_err().kind(), ErrorKind::Config);
}

/// Enqueues one job.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Plan {}

impl Operation for Plan {
    type Output = String;
    const NAME: &'static str = "work.plan";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<String> {
        cx.enqueue(JobSpec::new("test.work", "work", json!({})))
    }
}

static CATALOGUE: &[Entry] = &[entry::<Plan>()];

/// Hangs at the first job and does the ones after.
#[derive(Debug, Default)]
struct Worker(AtomicU32);

#[async_trait]
impl Handler for Worker {
    fn queue(&self) -> &'static str {
        "test.work"
    }
    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            std::future::pending::<()>().await;
        }
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}

#[tokio::test]
async fn a_dead_workers_job_is_taken_at_once_and_the_dead_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.neon");
    let worker = Arc::new(Worker::default());
    let open = || builder(&path).operations(CATALOGUE).handler(Arc::clone(&worker) as _).build();
    let first = open().await.unwrap();
    let cx = first.workspace("default").await.unwrap();
    cx.call(Plan {}).await.unwrap();
    let stuck = tokio::spawn(async move { cx.work_until_idle().await });
    while worker.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let second = open().await.unwrap();
    let other = second.workspace("default").await.unwrap();
    assert_eq!(other.work_until_idle().await.unwrap().done, 0, "a living worker keeps its job");
    stuck.abort();
    let _ = stuck.await;
    drop(first);
    assert_eq!(other.work_until_idle().await.unwrap().done, 1, "a dead one does not");
}
