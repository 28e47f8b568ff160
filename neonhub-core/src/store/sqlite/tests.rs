use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::Timestamp;
use crate::store::conformance::Note;
use crate::store::{Expected, Record as _, SharedStore, Write};

fn temp() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.neon");
    (dir, path)
}

mod suite {
    async fn open() -> crate::Result<crate::store::SharedStore> {
        let (dir, path) = super::temp();
        // The folder outlives the test in the temporary folder of the system, which the process does not need again.
        std::mem::forget(dir);
        super::super::open(&path).await
    }
    crate::store_conformance!(open);
}

const KIND: Kind = Kind::of::<Note>();

fn ws() -> WorkspaceId {
    WorkspaceId::hub_sibling(1)
}

async fn put(store: &SharedStore, id: &str) -> Result<Committed> {
    let note = Note { id: id.into(), name: None, size: 1, text: "some text to find in the file".into() };
    let mut batch = Batch::new(ws(), Timestamp::EPOCH);
    batch.writes.push(Write::Put {
        kind: KIND,
        row: Row::of(&note, Timestamp::EPOCH, "t")?,
        expected: Expected::Absent,
    });
    store.commit(batch).await
}

async fn store(path: &Path) -> SharedStore {
    let store = open(path).await.unwrap();
    store.declare(&[KIND]).await.unwrap();
    store
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let (_dir, path) = temp();
    let first = store(&path).await;
    put(&first, "a").await.unwrap();
    let blob = first.blob_put(b"body").await.unwrap();
    first.close().await.unwrap();
    let second = store(&path).await;
    assert!(second.get(KIND, &ws(), "a").await.unwrap().is_some());
    assert_eq!(second.blob_get(&blob).await.unwrap().unwrap(), b"body");
    assert_eq!(second.seq().await.unwrap(), 1);
}

#[tokio::test]
async fn a_flipped_bit_in_a_record_is_reported() {
    let (_dir, path) = temp();
    let first = store(&path).await;
    put(&first, "a").await.unwrap();
    put(&first, "b").await.unwrap();
    first.close().await.unwrap();
    drop(first);
    let mut bytes = std::fs::read(&path).unwrap();
    let needle = b"some text to find";
    let at = bytes.windows(needle.len()).position(|w| w == needle).unwrap();
    bytes[at] ^= 0x04;
    std::fs::write(&path, bytes).unwrap();
    let second = store(&path).await;
    let reads = [second.get(KIND, &ws(), "a").await, second.get(KIND, &ws(), "b").await];
    assert_eq!(
        reads.iter().filter(|r| r.as_ref().is_err_and(|e| e.kind() == ErrorKind::Corrupted)).count(),
        1
    );
    assert_eq!(second.check().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_openers_take_turns_and_see_each_other() {
    let (_dir, path) = temp();
    let (a, b) = (store(&path).await, store(&path).await);
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let s = Arc::clone(if n % 2 == 0 { &a } else { &b });
            tokio::spawn(async move { put(&s, &format!("n{n}")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(a.seq().await.unwrap(), 40);
    assert_eq!(b.count(KIND, &ws(), &Query::by_id()).await.unwrap(), 40);
    let mut watch = a.watch();
    put(&b, "late").await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(5), watch.wait_for(|n| *n == 41))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_worker_that_left_is_known_to_be_gone() {
    let (_dir, path) = temp();
    let (a, b) = (store(&path).await, store(&path).await);
    a.register_worker("one").unwrap();
    assert!(b.is_worker_alive("one"));
    a.close().await.unwrap();
    assert!(!b.is_worker_alive("one"));
    assert!(!b.is_worker_alive("never seen"));
}

#[tokio::test]
async fn openings_that_cannot_work_name_the_cure() {
    let (dir, path) = temp();
    let missing = SqliteStore::open(&dir.path().join("no/such/x.neon")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Config);
    assert!(missing.message().contains("create it"));
    std::fs::write(&path, b"this is not a database at all, just a text file of some length").unwrap();
    assert_eq!(SqliteStore::open(&path).await.unwrap_err().kind(), ErrorKind::Corrupted);
}

#[tokio::test]
async fn any_sqlite_tool_reads_the_records() {
    let (_dir, path) = temp();
    let first = store(&path).await;
    put(&first, "a").await.unwrap();
    let plain = Connection::open(&path).unwrap();
    let sql = format!("SELECT json_extract(body, '$.size') FROM {} WHERE id = 'a'", Note::KIND);
    assert_eq!(plain.query_row(&sql, [], |r| r.get::<_, i64>(0)).unwrap(), 1);
}

/// Commits until the store refuses; what was acknowledged stays readable, and nothing else is there.
async fn refuses_and_stays_readable(
    path: &std::path::Path,
    limit: &'static str,
    lift: &'static str,
    cure: &str,
) {
    let first = SqliteStore::open(path).await.unwrap();
    first.declare(&[KIND]).await.unwrap();
    first.committer.run(move |c| c.execute_batch(limit).map_err(|e| failed("test", e))).await.unwrap();
    let shared: SharedStore = Arc::new(first);
    let mut kept = 0;
    let error = loop {
        match put_sized(&shared, &format!("n{kept:05}"), 4000).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 10_000, "the limit did not hold");
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains(cure), "{error}");
    let all = Query::by_id().limit(20_000);
    assert_eq!(shared.query(KIND, &ws(), &all).await.unwrap().len(), kept);
    assert_eq!(shared.seq().await.unwrap(), kept as u64);
    assert_eq!(shared.check().await.unwrap(), []);
    drop(shared);
    let again = SqliteStore::open(path).await.unwrap();
    again.committer.run(move |c| c.execute_batch(lift).map_err(|e| failed("test", e))).await.unwrap();
    let shared: SharedStore = Arc::new(again);
    assert_eq!(shared.count(KIND, &ws(), &Query::by_id()).await.unwrap(), kept as u64);
    put_sized(&shared, "after", 4000).await.unwrap();
}

async fn put_sized(store: &SharedStore, id: &str, size: usize) -> Result<Committed> {
    let note = Note { id: id.into(), name: None, size: 1, text: "x".repeat(size) };
    let mut batch = Batch::new(ws(), Timestamp::EPOCH);
    let row = Row::of(&note, Timestamp::EPOCH, "t")?;
    batch.writes.push(Write::Put { kind: KIND, row, expected: Expected::Absent });
    store.commit(batch).await
}

#[tokio::test]
async fn a_full_disk_is_told_and_costs_nothing_that_was_acknowledged() {
    let (_dir, path) = temp();
    // SQLite answers a page that cannot be had as it answers a full disk.
    let (limit, lift) = ("PRAGMA max_page_count = 80", "PRAGMA max_page_count = 1000000");
    refuses_and_stays_readable(&path, limit, lift, "free space").await;
}

#[tokio::test]
async fn a_file_that_became_read_only_stays_readable() {
    let (_dir, path) = temp();
    refuses_and_stays_readable(&path, "PRAGMA query_only = ON", "PRAGMA query_only = OFF", "rights").await;
}
