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

#[tokio::test]
async fn blobs_of_an_older_build_are_read_and_a_damaged_one_is_reported() {
    let (_dir, path) = temp();
    drop(store(&path).await.close().await);
    let text = "a page of words ".repeat(500);
    let hash = crate::store::memory::blob_hash(text.as_bytes());
    let raw = Connection::open(&path).unwrap();
    raw.execute("INSERT INTO _blob (hash, bytes) VALUES (?1, ?2)", (&hash, text.as_bytes())).unwrap();
    let store = store(&path).await;
    assert_eq!(store.blob_get(&hash).await.unwrap().unwrap(), text.as_bytes());
    // It is there: putting it again leaves its form alone.
    assert_eq!(store.blob_put(text.as_bytes()).await.unwrap(), hash);
    assert_eq!(store.figures().await.unwrap().blob_bytes, text.len() as u64);
    let other = store.blob_put(text.repeat(2).as_bytes()).await.unwrap();
    assert_eq!(store.check().await.unwrap(), []);
    raw.execute("UPDATE _blob SET bytes = substr(bytes, 1, length(bytes) - 1) WHERE hash = ?1", [&other])
        .unwrap();
    let found = store.check().await.unwrap();
    assert_eq!(found.iter().map(|d| (d.kind.as_str(), &d.id)).collect::<Vec<_>>(), [("_blob", &other)]);
    assert_eq!(store.blob_get(&other).await.unwrap_err().kind(), ErrorKind::Corrupted);
    // It is in the way of what holds blobs, and of nothing else.
    let backup = crate::store::write_backup(store.as_ref(), &mut Vec::new()).await;
    assert_eq!(backup.unwrap_err().kind(), ErrorKind::Corrupted);
    crate::store::export(store.as_ref(), None, |_| true, &mut Vec::new()).await.unwrap();
    assert_eq!(crate::store::sweep_blobs(store.as_ref(), Timestamp::from_millis(i64::MAX)).await.unwrap(), 2);
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

/// The record of the suite as a newer build declares it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct Newer(Note);

impl crate::store::Record for Newer {
    const KIND: &'static str = Note::KIND;
    const INDEXES: &'static [crate::store::Index] = &[
        crate::store::Index::unique("name"),
        crate::store::Index::on("size"),
        crate::store::Index::on("text"),
    ];
    fn id(&self) -> &str {
        &self.0.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        self.0.keys().into_iter().chain([Some(Key::text(&self.0.text))]).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_an_older_build_is_told_when_a_newer_one_has_changed_the_file() {
    let (_dir, path) = temp();
    let older = store(&path).await;
    put(&older, "a").await.unwrap();
    let newer = open(&path).await.unwrap();
    newer.declare(&[Kind::of::<Newer>()]).await.unwrap();
    let error = put(&older, "b").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "newer_store"), "{error}");
    assert!(error.message().contains("`name! size text`, this process writes `name! size`"), "{error}");
    assert!(older.get(KIND, &ws(), "a").await.unwrap().is_some(), "it still reads");
    assert_eq!(older.seq().await.unwrap(), 1);
    let by_text = newer.count(Kind::of::<Newer>(), &ws(), &Query::index("text")).await.unwrap();
    assert_eq!(by_text, 1, "no record lacks its entry");
    newer.close().await.unwrap();
    let migrated = Connection::open(&path).unwrap();
    migrated.execute_batch("CREATE TABLE _later (x); PRAGMA user_version = 99;").unwrap();
    let error = put(&older, "c").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "newer_store"), "{error}");
    assert!(error.message().contains("file version 99"), "{error}");
    assert!(error.context().any(|(k, _)| k == "build_version"), "{error}");
}

async fn put_batched(store: &SqliteStore, id: &str, durability: crate::store::Durability) {
    let note = Note { id: id.into(), name: Some(id.into()), size: 1, text: "x".repeat(300) };
    let mut batch = Batch::new(ws(), Timestamp::EPOCH);
    batch.durability = durability;
    let row = Row::of(&note, Timestamp::EPOCH, "t").unwrap();
    batch.writes.push(Write::Put { kind: KIND, row, expected: Expected::Absent });
    store.commit(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn batched_commits_are_synced_by_their_window_or_by_the_next_synced_commit() {
    use crate::store::Durability::{Batched, Sync};
    let (_dir, path) = temp();
    let first = SqliteStore::open(&path).await.unwrap();
    first.declare(&[KIND]).await.unwrap();
    put_batched(&first, "a", Batched(3_600_000)).await;
    assert!(!first.committer.is_safe().await.unwrap(), "its hour is not over");
    put_batched(&first, "b", Sync).await;
    assert!(first.committer.is_safe().await.unwrap(), "the sync of the later one took it along");
    put_batched(&first, "c", Batched(3_600_000)).await;
    put_batched(&first, "d", Batched(1)).await;
    // The shorter window counts for both.
    while !first.committer.is_safe().await.unwrap() {
        tokio::task::yield_now().await;
    }
    first.close().await.unwrap();
}

/// A power cut loses the end of the log that was not synced: what is left is the beginning of what was committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_end_of_the_log_loses_the_newest_commits_and_never_one_before_another() {
    use crate::store::Durability::{Batched, Sync};
    let (dir, path) = temp();
    let first = SqliteStore::open(&path).await.unwrap();
    first.declare(&[KIND]).await.unwrap();
    put_batched(&first, "n00", Sync).await;
    let wal = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    let synced = std::fs::metadata(wal(&path)).unwrap().len() as usize;
    for n in 1..12 {
        put_batched(&first, &format!("n{n:02}"), Batched(3_600_000)).await;
    }
    let (data, log) = (std::fs::read(&path).unwrap(), std::fs::read(wal(&path)).unwrap());
    assert!(log.len() > synced);
    let mut lengths = Vec::new();
    for cut in (synced..=log.len()).step_by(1_313).chain([log.len()]) {
        let copy = dir.path().join(format!("cut{cut}.neon"));
        std::fs::write(&copy, &data).unwrap();
        std::fs::write(wal(&copy), &log[..cut]).unwrap();
        let store = store(&copy).await;
        let rows = store.query(KIND, &ws(), &Query::by_id().limit(100)).await.unwrap();
        let ids: Vec<_> = rows.into_iter().map(|r| r.id).collect();
        let expected: Vec<_> = (0..ids.len()).map(|n| format!("n{n:02}")).collect();
        assert_eq!(ids, expected, "cut at {cut}");
        assert!(!ids.is_empty(), "the synced one is there");
        assert_eq!(store.changes(0, 100).await.unwrap().len(), ids.len());
        assert_eq!(store.check().await.unwrap(), []);
        lengths.push(ids.len());
        store.close().await.unwrap();
    }
    assert_eq!((lengths.first(), lengths.last()), (Some(&1), Some(&12)));
    assert!(lengths.is_sorted());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_migrates_tells_what_it_applied() {
    use crate::op::CallOptions;
    use serde_json::json;
    let (_dir, path) = temp();
    let hub = crate::Hub::builder().store(path.to_str().unwrap()).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let call = async |dry_run: bool| {
        let input = json!({ "dry_run": dry_run });
        let told = cx.call_by_name("store.migrate", input, CallOptions::new()).await.unwrap();
        (told["applied"].clone(), told["pending"].clone())
    };
    let none = || json!([]);
    assert_eq!(call(false).await, (none(), none()), "opening did it");
    let last = schema::BUILD_VERSION;
    let behind = format!("PRAGMA user_version = {};", last - 1);
    Connection::open(&path).unwrap().execute_batch(&behind).unwrap();
    assert_eq!(call(true).await, (none(), json!([last])), "a dry run only tells");
    assert_eq!(call(false).await, (json!([last]), none()));
    assert_eq!(call(false).await, (none(), none()));
}

#[test]
fn many_may_make_one_file_at_once() {
    const AT_ONCE: usize = 6;
    let folder = tempfile::tempdir().unwrap();
    for n in 0..40 {
        let path = folder.path().join(format!("{n}.neon"));
        let start = std::sync::Barrier::new(AT_ONCE);
        std::thread::scope(|threads| {
            for _ in 0..AT_ONCE {
                threads.spawn(|| {
                    let mut connection = connect(&path).unwrap();
                    start.wait();
                    schema::prepare(&mut connection).unwrap();
                });
            }
        });
    }
}
