//! The operations on the store: backup, restore, export, import, compaction, on every engine.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, outside #[test] functions"
)]

use std::path::Path;
use std::sync::Arc;

use neonhub_core::store::conformance::Note;
use neonhub_core::store::{
    Batch, Expected, Kind, MemoryStore, Query, Record as _, Row, SharedStore, Write, backup_to, export,
    increment_to, restore_backup, restore_increment, sweep_blobs, trim_feed, verify_backup,
};
use neonhub_core::{Clock as _, ErrorKind, Hub, Permission, SystemClock, Timestamp, WorkspaceId};
use serde_json::{Value, json};

const KIND: Kind = Kind::of::<Note>();

fn ws(n: u8) -> WorkspaceId {
    WorkspaceId::hub_sibling(n)
}

async fn put(store: &SharedStore, workspace: u8, id: &str, text: &str) {
    let note = Note { id: id.into(), name: Some(id.into()), size: 3, text: text.into() };
    let mut batch = Batch::new(ws(workspace), Timestamp::from_millis(5));
    let row = Row::of(&note, Timestamp::from_millis(5), "user:test").unwrap();
    batch.writes.push(Write::Put { kind: KIND, row, expected: Expected::Any });
    store.commit(batch).await.unwrap();
}

async fn delete(store: &SharedStore, workspace: u8, id: &str) {
    let mut batch = Batch::new(ws(workspace), Timestamp::from_millis(6));
    batch.writes.push(Write::Delete { kind: KIND, id: id.into(), expected: Expected::Any });
    store.commit(batch).await.unwrap();
}

async fn fill(store: &SharedStore) {
    store.declare(&[KIND]).await.unwrap();
    let blob = store.blob_put(b"a body that a record names").await.unwrap();
    for n in 0..1200_u16 {
        put(store, 1 + u8::from(n % 2 == 1), &format!("n{n:04}"), &format!("text \u{1F600}\u{0}{n}")).await;
    }
    put(store, 1, "named", &blob).await;
    put(store, 1, "n0002", "again").await;
    delete(store, 2, "n0003").await;
}

async fn all(store: &SharedStore) -> Vec<u8> {
    let mut out = Vec::new();
    export(store.as_ref(), None, |_| true, &mut out).await.unwrap();
    out
}

fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

async fn sqlite(path: &Path) -> SharedStore {
    neonhub_core::store::sqlite::open(path).await.unwrap()
}

/// From and to one engine: a backup, restored, exports the same bytes and goes on counting where the first stood.
async fn travels(from: SharedStore, to: SharedStore) {
    let dir = tempdir();
    let file = dir.path().join("it.neonbackup");
    fill(&from).await;
    let made = backup_to(from.as_ref(), &file).await.unwrap();
    assert_eq!((made.records, made.seq), (1200, 1203));
    assert_eq!(verify_backup(&file).unwrap(), made);
    assert_eq!(restore_backup(&file, to.as_ref()).await.unwrap(), made);
    assert_eq!(all(&to).await, all(&from).await);
    assert_eq!(to.check().await.unwrap(), []);
    assert_eq!(to.changes(1199, 10).await.unwrap(), from.changes(1199, 10).await.unwrap());
    put(&to, 1, "new", "after").await;
    assert_eq!(to.seq().await.unwrap(), 1204);
    let again = restore_backup(&file, to.as_ref()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
}

/// A backup and two increments, restored in order, are the store; out of order they are refused.
async fn grows(from: SharedStore, to: SharedStore, other: SharedStore) {
    let dir = tempdir();
    let file = |name: &str| dir.path().join(name);
    fill(&from).await;
    backup_to(from.as_ref(), &file("full")).await.unwrap();
    // One made, one changed, one removed, one made and removed, and two that swap a unique name.
    let late = from.blob_put(b"a late body").await.unwrap();
    put(&from, 1, "late", &late).await;
    put(&from, 1, "n0004", "changed").await;
    delete(&from, 2, "n0005").await;
    put(&from, 1, "short", "x").await;
    delete(&from, 1, "short").await;
    let swap = |id: &str, name: &str| {
        let note = Note { id: id.into(), name: Some(name.into()), size: 9, text: String::new() };
        let row = Row::of(&note, Timestamp::from_millis(7), "user:test").unwrap();
        Write::Put { kind: KIND, row, expected: Expected::Any }
    };
    let mut batch = Batch::new(ws(1), Timestamp::from_millis(7));
    batch.writes = vec![swap("n0006", "between"), swap("n0008", "n0006"), swap("n0006", "n0008")];
    from.commit(batch).await.unwrap();
    let one = increment_to(from.as_ref(), 1203, &file("one")).await.unwrap();
    assert_eq!((one.since_seq, one.seq, one.records), (Some(1203), 1209, 4));
    assert_eq!(verify_backup(&file("one")).unwrap(), one);
    put(&from, 2, "last", "x").await;
    let two = increment_to(from.as_ref(), one.seq, &file("two")).await.unwrap();
    let none = increment_to(from.as_ref(), two.seq, &file("none")).await.unwrap();
    assert_eq!((none.records, none.seq), (0, two.seq));

    let refused = async |name: &str, why: &str| {
        let error = restore_increment(&file(name), to.as_ref()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Conflict, "backup_out_of_order"),
            "{why}: {error}"
        );
    };
    let alone = restore_backup(&file("one"), to.as_ref()).await.unwrap_err();
    assert_eq!(alone.code(), "backup_out_of_order");
    assert_eq!(to.seq().await.unwrap(), 0);
    restore_backup(&file("full"), to.as_ref()).await.unwrap();
    refused("two", "the first is missing").await;
    refused("full", "a full one on top").await;
    restore_increment(&file("one"), to.as_ref()).await.unwrap();
    refused("one", "twice").await;
    restore_increment(&file("two"), to.as_ref()).await.unwrap();
    restore_increment(&file("none"), to.as_ref()).await.unwrap();
    assert_eq!(all(&to).await, all(&from).await);
    assert_eq!(to.check().await.unwrap(), []);
    assert_eq!(to.blob_get(&late).await.unwrap().as_deref(), Some(&b"a late body"[..]));
    assert_eq!(to.changes(1200, 50).await.unwrap(), from.changes(1200, 50).await.unwrap());
    put(&to, 1, "goes on", "x").await;
    assert_eq!(to.seq().await.unwrap(), two.seq + 1);
    // Another store that has as many commits is not the one it goes on from.
    other.declare(&[KIND]).await.unwrap();
    for n in 0..1203 {
        put(&other, 1, "only", &n.to_string()).await;
    }
    assert_eq!(other.seq().await.unwrap(), 1203);
    let strange = restore_increment(&file("one"), other.as_ref()).await.unwrap_err();
    assert_eq!(strange.code(), "backup_out_of_order");
    // What the feed no longer tells, an increment cannot hold.
    from.trim_feed(1205).await.unwrap();
    let gone = increment_to(from.as_ref(), 1203, &file("gone")).await.unwrap_err();
    assert_eq!(gone.code(), "cursor_expired");
    let ahead = increment_to(from.as_ref(), 9999, &file("gone")).await.unwrap_err();
    assert_eq!(ahead.kind(), ErrorKind::InvalidInput);
    assert!(!file("gone").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn increments_restore_on_top_of_a_backup_between_file_and_memory() {
    let dir = tempdir();
    let memory = || -> SharedStore { Arc::new(MemoryStore::new()) };
    grows(sqlite(&dir.path().join("a.neon")).await, memory(), memory()).await;
    grows(memory(), sqlite(&dir.path().join("b.neon")).await, memory()).await;
}

#[cfg(feature = "sled")]
#[tokio::test(flavor = "multi_thread")]
async fn increments_restore_on_top_of_a_backup_in_sled() {
    use neonhub_core::store::sled::SledStore;
    let dir = tempdir();
    let one: SharedStore = Arc::new(SledStore::open(&dir.path().join("one")).await.unwrap());
    let two: SharedStore = Arc::new(SledStore::open(&dir.path().join("two")).await.unwrap());
    grows(one, two, Arc::new(MemoryStore::new())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn increments_restore_on_top_of_a_backup_in_postgres() {
    use neonhub_core::store::conformance::postgres::database;
    use neonhub_core::store::postgres::PostgresStore;
    let one: SharedStore = Arc::new(PostgresStore::open(&database("grows").await).await.unwrap());
    let two: SharedStore = Arc::new(PostgresStore::open(&database("grows").await).await.unwrap());
    grows(one, two, Arc::new(MemoryStore::new())).await;
}

#[tokio::test]
async fn a_cut_or_changed_increment_is_refused_before_anything_is_written() {
    let dir = tempdir();
    let store: SharedStore = Arc::new(MemoryStore::new());
    store.declare(&[KIND]).await.unwrap();
    put(&store, 1, "a", "one").await;
    let (full, file) = (dir.path().join("full"), dir.path().join("b"));
    backup_to(store.as_ref(), &full).await.unwrap();
    put(&store, 1, "a", "two").await;
    increment_to(store.as_ref(), 1, &file).await.unwrap();
    let sound = std::fs::read(&file).unwrap();
    let target = MemoryStore::new();
    restore_backup(&full, &target).await.unwrap();
    let target: SharedStore = Arc::new(target);
    let before = all(&target).await;
    for at in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        for bytes in [&sound[..at], &flipped] {
            std::fs::write(&file, bytes).unwrap();
            let error = restore_increment(&file, target.as_ref()).await.expect_err("damage");
            assert!(matches!(error.kind(), ErrorKind::Corrupted | ErrorKind::Config), "{at}: {error}");
        }
    }
    assert_eq!((all(&target).await, target.seq().await.unwrap()), (before, 1));
    std::fs::write(&file, &sound).unwrap();
    restore_increment(&file, target.as_ref()).await.unwrap();
    assert_eq!(all(&target).await, all(&store).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_travels_between_file_and_memory() {
    let dir = tempdir();
    travels(sqlite(&dir.path().join("a.neon")).await, Arc::new(MemoryStore::new())).await;
    travels(Arc::new(MemoryStore::new()), sqlite(&dir.path().join("b.neon")).await).await;
}

#[cfg(feature = "sled")]
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_travels_between_sled_and_sqlite() {
    use neonhub_core::store::sled::SledStore;
    let dir = tempdir();
    let sled = |name: &str| dir.path().join(name);
    let one: SharedStore = Arc::new(SledStore::open(&sled("one")).await.unwrap());
    travels(one, sqlite(&dir.path().join("a.neon")).await).await;
    let two: SharedStore = Arc::new(SledStore::open(&sled("two")).await.unwrap());
    travels(sqlite(&dir.path().join("b.neon")).await, two).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_backup_travels_between_postgres_and_sqlite() {
    use neonhub_core::store::conformance::postgres::database;
    use neonhub_core::store::postgres::PostgresStore;
    let dir = tempdir();
    let one: SharedStore = Arc::new(PostgresStore::open(&database("travel").await).await.unwrap());
    travels(Arc::clone(&one), sqlite(&dir.path().join("a.neon")).await).await;
    let two: SharedStore = Arc::new(PostgresStore::open(&database("travel").await).await.unwrap());
    travels(sqlite(&dir.path().join("b.neon")).await, two).await;
    assert_eq!(one.drift().await.unwrap(), Vec::<String>::new());
    assert_eq!(one.repair().await.unwrap().len(), 1);
    let (before, after) = one.compact().await.unwrap();
    assert!(before > 0 && after > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_moment_while_writers_go_on() {
    let dir = tempdir();
    let store = sqlite(&dir.path().join("a.neon")).await;
    fill(&store).await;
    let writer = Arc::clone(&store);
    let writing = tokio::spawn(async move {
        for n in 0..300 {
            put(&writer, 1, &format!("later{n}"), "x").await;
        }
    });
    let made = backup_to(store.as_ref(), &dir.path().join("b")).await.unwrap();
    writing.await.unwrap();
    let copy: SharedStore = Arc::new(MemoryStore::new());
    restore_backup(&dir.path().join("b"), copy.as_ref()).await.unwrap();
    // As many records as the feed of the same moment accounts for.
    let later = made.seq - 1203;
    assert_eq!(made.records, 1200 + later);
    assert_eq!(copy.seq().await.unwrap(), made.seq);
}

#[tokio::test]
async fn a_cut_or_changed_backup_is_refused_before_anything_is_written() {
    let dir = tempdir();
    let store: SharedStore = Arc::new(MemoryStore::new());
    store.declare(&[KIND]).await.unwrap();
    for n in 0..5 {
        put(&store, 1, &format!("n{n}"), "some text").await;
    }
    store.blob_put(b"blob").await.unwrap();
    let file = dir.path().join("b");
    backup_to(store.as_ref(), &file).await.unwrap();
    let sound = std::fs::read(&file).unwrap();
    let refused = async |bytes: &[u8], what: &str| {
        std::fs::write(&file, bytes).unwrap();
        let target = MemoryStore::new();
        let error = restore_backup(&file, &target).await.expect_err(what);
        assert!(matches!(error.kind(), ErrorKind::Corrupted | ErrorKind::Config), "{what}: {error}");
        let target: SharedStore = Arc::new(target);
        assert_eq!(target.seq().await.unwrap(), 0, "{what}");
        assert!(target.figures().await.unwrap().kinds.is_empty(), "{what}");
    };
    for at in 0..sound.len() {
        refused(&sound[..at], &format!("cut at {at}")).await;
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        refused(&flipped, &format!("flipped at {at}")).await;
    }
    refused(&[sound.as_slice(), b"{}\n"].concat(), "lengthened").await;
}

#[tokio::test]
async fn what_was_removed_is_gone_from_the_files_after_compaction() {
    let dir = tempdir();
    let path = dir.path().join("a.neon");
    let store = sqlite(&path).await;
    store.declare(&[KIND]).await.unwrap();
    let marker = "PLANTED-MARKER-7f3a";
    let blob = store.blob_put(format!("blob {marker}").as_bytes()).await.unwrap();
    let shared = store.blob_put(b"a blob that another record names").await.unwrap();
    put(&store, 1, "person", &format!("{marker} {blob} {shared}")).await;
    put(&store, 1, "other", &shared).await;
    let files = || {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let found = entry.unwrap().path();
            if found.is_file() {
                bytes.extend(std::fs::read(found).unwrap());
            }
        }
        bytes.windows(marker.len()).any(|w| w == marker.as_bytes())
    };
    assert!(files(), "the marker is planted");
    delete(&store, 1, "person").await;
    let late = SystemClock.now().plus(std::time::Duration::from_secs(1));
    assert_eq!(
        sweep_blobs(store.as_ref(), SystemClock.now().minus(std::time::Duration::from_secs(60)))
            .await
            .unwrap(),
        0
    );
    assert_eq!(sweep_blobs(store.as_ref(), late).await.unwrap(), 1);
    store.compact().await.unwrap();
    assert!(!files(), "the marker is still in a file");
    assert!(store.blob_get(&shared).await.unwrap().is_some());
    assert!(store.blob_get(&blob).await.unwrap().is_none());
}

static KINDS: &[Kind] = &[KIND];

async fn hub(url: &str) -> (Hub, neonhub_core::Scope) {
    let hub = Hub::builder().kinds(KINDS).store(url).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    (hub, cx)
}

async fn call(cx: &neonhub_core::Scope, name: &str, input: Value) -> neonhub_core::Result<Value> {
    cx.call_by_name(name, input, neonhub_core::op::CallOptions::default()).await
}

/// Makes a call that a person must approve, with their yes.
async fn approved(cx: &neonhub_core::Scope, name: &str, input: Value) -> neonhub_core::Result<Value> {
    let error = call(cx, name, input.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Blocked, "approval_required"), "{error}");
    let approval = error.context().find(|(k, _)| *k == "approval").map(|(_, v)| v.to_owned()).unwrap();
    call(cx, "approvals.approve", json!({ "id": approval })).await.unwrap();
    call(cx, name, input).await
}

#[tokio::test]
async fn a_restore_waits_for_a_second_person_and_takes_increments() {
    let dir = tempdir();
    let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (hub, cx) = hub(&at("a.neon")).await;
    let full = call(&cx, "store.backup", json!({ "target": at("full") })).await.unwrap();
    let note = Note { id: "n".into(), name: None, size: 1, text: "x".into() };
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    let row = Row::of(&note, cx.now(), "t").unwrap();
    batch.writes.push(Write::Put { kind: KIND, row, expected: Expected::Absent });
    cx.store().commit(batch).await.unwrap();
    let since = json!({ "target": at("inc"), "since_seq": full["seq"] });
    call(&cx, "store.backup", since).await.unwrap();
    let person = |id: &str| {
        let principal = neonhub_core::Principal::User { id: id.into() };
        hub.scope("default", principal, neonhub_core::Role::Owner)
    };
    let (ada, ben) = (person("ada").await.unwrap(), person("ben").await.unwrap());
    let wish = json!({ "source": at("full"), "increments": [at("inc")], "into": at("copy.neon") });
    // Damage and a wrong order are told before anybody is asked.
    let swapped = json!({ "source": at("inc"), "increments": [at("full")], "into": at("copy.neon") });
    assert_eq!(call(&ada, "store.restore", swapped).await.unwrap_err().code(), "backup_out_of_order");
    let error = call(&ada, "store.restore", wish.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Blocked, "approval_required"), "{error}");
    assert!(!Path::new(&at("copy.neon")).exists(), "nothing is made before the yes");
    let approval = error.context().find(|(k, _)| *k == "approval").map(|(_, v)| v.to_owned()).unwrap();
    let again = call(&ada, "store.restore", wish.clone()).await.unwrap_err();
    assert!(again.context().any(|(k, v)| k == "approval" && v == approval), "one question");
    call(&ben, "approvals.approve", json!({ "id": approval })).await.unwrap();
    let other = json!({ "source": at("full"), "into": at("copy.neon") });
    assert_eq!(call(&ada, "store.restore", other).await.unwrap_err().code(), "approval_required");
    let done = call(&ada, "store.restore", wish.clone()).await.unwrap();
    assert_eq!(done["since_seq"], full["seq"]);
    std::fs::copy(at("a.neon.key"), at("copy.neon.key")).unwrap();
    let (copy, there) = self::hub(&at("copy.neon")).await;
    assert!(there.store().get(KIND, cx.workspace(), "n").await.unwrap().is_some());
    copy.close().await.unwrap();
    // The yes was for one restore.
    assert_eq!(call(&ada, "store.restore", wish).await.unwrap_err().code(), "approval_required");
    hub.close().await.unwrap();
}

#[tokio::test]
async fn the_feed_is_kept_for_whoever_still_reads_it() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    store.declare(&[KIND]).await.unwrap();
    for n in 0..10 {
        put(&store, 1, &format!("n{n}"), "x").await;
    }
    let late = Timestamp::from_millis(1_000);
    assert_eq!(trim_feed(store.as_ref(), late, Some(4)).await.unwrap(), 4);
    assert_eq!(store.changes(4, 50).await.unwrap().len(), 6);
    assert_eq!(trim_feed(store.as_ref(), Timestamp::EPOCH, None).await.unwrap(), 0);
    assert_eq!(trim_feed(store.as_ref(), late, None).await.unwrap(), 5);
}

#[tokio::test]
async fn the_operations_work_by_name_and_ask_for_their_rights() {
    let dir = tempdir();
    let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (hub, cx) = hub(&at("a.neon")).await;
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    for n in 0..3 {
        let note = Note { id: format!("n{n}"), name: None, size: n, text: "x".into() };
        let row = Row::of(&note, cx.now(), "t").unwrap();
        batch.writes.push(Write::Put { kind: KIND, row, expected: Expected::Absent });
    }
    cx.store().commit(batch).await.unwrap();
    assert_eq!(call(&cx, "store.check", json!({})).await.unwrap(), json!([]));
    assert_eq!(call(&cx, "store.drift", json!({})).await.unwrap(), json!([]));
    let stats = call(&cx, "store.stats", json!({})).await.unwrap();
    assert_eq!(stats["engine"], "sqlite");
    let notes = stats["kinds"].as_array().unwrap().iter().find(|k| k["kind"] == Note::KIND).unwrap();
    assert_eq!(notes["records"], 3);
    let made = call(&cx, "store.backup", json!({ "target": at("b") })).await.unwrap();
    assert_eq!(
        call(&cx, "store.verify_backup", json!({ "source": at("b") })).await.unwrap()["manifest"],
        made
    );
    let restore = json!({ "source": at("b"), "into": at("copy.neon") });
    approved(&cx, "store.restore", restore).await.unwrap();
    std::fs::copy(at("a.neon.key"), at("copy.neon.key")).unwrap();
    let (copy, there) = self::hub(&at("copy.neon")).await;
    assert_eq!(there.store().count(KIND, cx.workspace(), &Query::by_id()).await.unwrap(), 3);
    copy.close().await.unwrap();

    let done = call(&cx, "store.export", json!({ "target": at("x"), "kinds": [Note::KIND] })).await.unwrap();
    assert_eq!(done["records"], 3);
    let other = hub.create_workspace("other").await.unwrap();
    let plan = json!({ "source": at("x"), "dry_run": true });
    assert_eq!(call(&other, "store.import", plan).await.unwrap()["written"], 3);
    assert_eq!(other.store().count(KIND, other.workspace(), &Query::by_id()).await.unwrap(), 0);
    let done = call(&other, "store.import", json!({ "source": at("x") })).await.unwrap();
    assert_eq!((&done["written"], &done["refused"]), (&json!(3), &json!(0)));
    let again =
        call(&other, "store.import", json!({ "source": at("x"), "on_conflict": "skip" })).await.unwrap();
    assert_eq!((&again["written"], &again["skipped"]), (&json!(0), &json!(3)));
    std::fs::write(at("y"), "{\"kind\":\"audit_entry\"}\nnot json\n").unwrap();
    let wrong = call(&other, "store.import", json!({ "source": at("y") })).await.unwrap();
    assert_eq!((&wrong["refused"], &wrong["faults"][1]["line"]), (&json!(2), &json!(2)));

    let compacted = call(&cx, "store.compact", json!({})).await.unwrap();
    assert!(compacted["after_bytes"].as_u64().unwrap() > 0);
    let told = call(&cx, "store.migrate", json!({})).await.unwrap();
    assert_eq!((&told["applied"], &told["pending"]), (&json!([]), &json!([])));
    assert_eq!(call(&cx, "store.repair", json!({})).await.unwrap()["left"], json!([]));
    let viewer = cx.with_role(neonhub_core::Role::Viewer);
    assert!(!viewer.permissions().has(Permission::OwnOrganization));
    for (name, input) in [
        ("store.backup", json!({ "target": at("v") })),
        ("store.restore", json!({ "source": at("b"), "into": at("v") })),
        ("store.compact", json!({})),
        ("store.export", json!({ "target": at("v") })),
        ("store.import", json!({ "source": at("x") })),
        ("store.check", json!({})),
    ] {
        let error = call(&viewer, name, input).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{name}");
    }
    assert!(!Path::new(&at("v")).exists());
    for (name, rows) in [
        ("store.backup", 1),
        ("store.restore", 1),
        ("store.migrate", 1),
        ("store.repair", 1),
        ("store.export", 1),
        ("store.check", 0),
    ] {
        let found = call(&cx, "audit.query", json!({ "action": name })).await.unwrap();
        let done = found["items"].as_array().unwrap().iter().filter(|row| row["outcome"] == "ok").count();
        assert_eq!(done, rows, "{name}");
    }
    let found = call(&other, "audit.query", json!({ "action": "store.import" })).await.unwrap();
    assert!(found["items"].as_array().unwrap().len() >= 3);
    // Files of the machine by their names are for the host alone, whatever the rights.
    let agent =
        neonhub_core::Principal::Agent { name: "a".into(), run: "r".into(), acts_for: "user:owner".into() };
    let agent = hub.scope("other", agent, neonhub_core::Role::Owner).await.unwrap();
    let import = json!({ "source": at("x"), "dry_run": true });
    assert_eq!(call(&agent, "store.import", import).await.unwrap_err().code(), "host_only");
    hub.close().await.unwrap();
}

#[tokio::test]
async fn a_cursor_older_than_the_feed_is_told_where_to_start() {
    let dir = tempdir();
    let engines: [SharedStore; 2] = [Arc::new(MemoryStore::new()), sqlite(&dir.path().join("a.neon")).await];
    for store in engines {
        store.declare(&[KIND]).await.unwrap();
        for n in 0..10 {
            put(&store, 1, &format!("n{n}"), "x").await;
        }
        assert_eq!(store.trim_feed(6).await.unwrap(), 6);
        let error = store.changes(3, 10).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "cursor_expired"));
        assert!(error.context().any(|(k, v)| k == "rebuild_from" && v == "6"), "{error}");
        assert_eq!(store.changes(6, 10).await.unwrap().len(), 4);
        assert_eq!(store.trim_feed(100).await.unwrap(), 3, "the last entry stays");
        put(&store, 1, "more", "x").await;
        assert_eq!(store.seq().await.unwrap(), 11);
        assert_eq!(store.check().await.unwrap(), []);
    }
}
