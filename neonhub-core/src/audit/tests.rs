use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::op::CallOptions;
use crate::store::{Batch, Expected, MemoryStore, Query, SharedStore, Write};
use crate::{Clock, Hub, ManualClock};

struct Place {
    store: SharedStore,
    anchor: Arc<MemoryAnchor>,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        Place { store: Arc::new(MemoryStore::new()), anchor: Arc::default(), clock }
    }

    async fn open(&self) -> Scope {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let builder = Hub::builder().store_backend(Arc::clone(&self.store)).clock(clock).seed(4);
        let hub = builder.anchor(self.anchor.clone()).build().await.unwrap();
        hub.workspace("default").await.unwrap()
    }
}

async fn act(cx: &Scope, times: usize) {
    for n in 0..times {
        let input = json!({ "name": format!("name {n}") });
        cx.call_by_name("workspaces.update", input, CallOptions::new()).await.unwrap();
    }
}

async fn verified(cx: &Scope) -> AuditReport {
    cx.call(VerifyAudit::default()).await.unwrap()
}

async fn rows(cx: &Scope) -> Vec<Row> {
    let kind = Kind::of::<AuditEntry>();
    cx.store().query(kind, cx.workspace(), &Query::by_id().limit(100_000)).await.unwrap()
}

async fn write(cx: &Scope, write: Write) {
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    batch.writes.push(write);
    cx.store().commit(batch).await.unwrap();
}

fn put(row: Row) -> Write {
    Write::Put { kind: Kind::of::<AuditEntry>(), row, expected: Expected::Any }
}

fn delete(id: &str) -> Write {
    Write::Delete { kind: Kind::of::<AuditEntry>(), id: id.to_owned(), expected: Expected::Any }
}

#[tokio::test]
async fn entries_name_who_what_and_what_changed() {
    let cx = Place::new().open().await.from_address("192.0.2.7");
    act(&cx, 2).await;
    let agent = cx.for_agent("helper", "run_7", crate::PermissionSet::all());
    let refused = agent.call_by_name("workspaces.update", json!({}), CallOptions::new()).await;
    assert!(refused.is_err());
    let log =
        cx.call(QueryAudit { action: Some("workspaces.update".into()), ..Default::default() }).await.unwrap();
    let [one, two, three] = &log.items[..] else { panic!("{} entries", log.items.len()) };
    assert_eq!(one.target_kind.as_deref(), Some("workspace"));
    assert_eq!(one.after_hash, two.before_hash, "the state one left is the state two found");
    assert!(one.before_hash.is_some() && one.before_hash != one.after_hash);
    assert_eq!((three.on_behalf_of.as_deref(), three.run_id.as_deref()), (Some("user:owner"), Some("run_7")));
    let hash = one.ip_hash.as_deref().unwrap();
    assert!(hash.len() == 32 && !serde_json::to_string(one).unwrap().contains("192.0.2.7"));
    let by = |q: QueryAudit| async { cx.call(q).await.unwrap().items.len() };
    assert_eq!(by(QueryAudit { actor: Some("agent:helper".into()), ..Default::default() }).await, 1);
    let target = (Some("workspace".to_owned()), one.target_id.clone());
    assert_eq!(by(QueryAudit { target_kind: target.0, target_id: target.1, ..Default::default() }).await, 2);
    assert_eq!(by(QueryAudit { to: Some(Timestamp::from_millis(5)), ..Default::default() }).await, 0);
    let both = |actor: &str| QueryAudit {
        actor: Some(actor.into()),
        action: Some("workspaces.update".into()),
        ..Default::default()
    };
    assert_eq!((by(both("user:owner")).await, by(both("agent:helper")).await), (2, 1));
    let kind = || Some("workspace".to_owned());
    assert_eq!(by(QueryAudit { target_kind: kind(), ..both("agent:helper") }).await, 0);
    assert_eq!(by(QueryAudit { target_kind: kind(), from: Some(one.at), ..Default::default() }).await, 2);
    assert_eq!(
        by(QueryAudit { target_kind: kind(), to: Some(Timestamp::EPOCH), ..Default::default() }).await,
        0
    );
    // Pages of one go past what does not fit.
    let mut page = cx.call(QueryAudit { limit: Some(1), ..both("agent:helper") }).await.unwrap();
    let mut seen = page.items.len();
    while let Some(next) = page.next.take() {
        page =
            cx.call(QueryAudit { limit: Some(1), cursor: Some(next), ..both("agent:helper") }).await.unwrap();
        seen += page.items.len();
    }
    assert_eq!(seen, 1);
    let nameless = QueryAudit { target_id: Some("x".into()), ..Default::default() };
    assert!(cx.call(nameless).await.is_err());
}

#[tokio::test]
async fn removing_inserting_and_swapping_are_found() {
    for how in 0..4 {
        let cx = Place::new().open().await;
        act(&cx, 6).await;
        let all = rows(&cx).await;
        match how {
            0 => write(&cx, delete(&all[2].id)).await,
            1 => write(&cx, delete(&all[0].id)).await,
            2 => {
                let (mut a, mut b) = (all[2].clone(), all[3].clone());
                std::mem::swap(&mut a.body, &mut b.body);
                write(&cx, put(a)).await;
                write(&cx, put(b)).await;
            }
            _ => {
                // An entry made up with a right hash of its own, behind the last.
                let mut entry = entry_at(&all[5]);
                (entry.seq, entry.id) = (8, id_of(8));
                let body = Row::of(&entry, cx.now(), "x").unwrap();
                write(&cx, put(body)).await;
            }
        }
        let report = verified(&cx).await;
        assert!(!report.ok, "{how}: {report:?}");
        assert_eq!(report.first_bad, Some([3, 1, 3, 7][how]), "{report:?}");
    }
}

fn entry_at(row: &Row) -> AuditEntry {
    serde_json::from_str(&row.body).unwrap()
}

#[tokio::test]
async fn a_cut_off_end_is_found_through_the_anchor() {
    let place = Place::new();
    let cx = place.open().await;
    act(&cx, 5).await;
    cx.hub().close().await.unwrap();
    assert_eq!(place.anchor.all(cx.workspace()).await.unwrap().last().unwrap().seq, 5);
}

#[tokio::test]
async fn the_end_is_anchored_every_thousand_entries_and_every_day() {
    let place = Place::new();
    let cx = place.open().await;
    act(&cx, 999).await;
    assert!(place.anchor.all(cx.workspace()).await.unwrap().is_empty());
    act(&cx, 3).await;
    let anchored = place.anchor.all(cx.workspace()).await.unwrap();
    assert_eq!((anchored.len(), anchored[0].from, anchored[0].seq), (1, 1, 1_000));
    place.clock.advance(Duration::from_secs(24 * 3_600));
    act(&cx, 1).await;
    let anchored = place.anchor.all(cx.workspace()).await.unwrap();
    assert_eq!((anchored.len(), anchored[1].from, anchored[1].seq), (2, 1_001, 1_003));
    assert_eq!(verified(&cx).await, AuditReport::good(1_003, 2));
    let all = rows(&cx).await;
    // Truncation after an anchored entry.
    for row in &all[1_002..] {
        write(&cx, delete(&row.id)).await;
    }
    let report = verified(&cx).await;
    assert_eq!((report.ok, report.first_bad), (false, Some(1_003)), "{report:?}");
    let part = VerifyAudit { from: Some(500), to: Some(600) };
    assert_eq!(cx.call(part).await.unwrap(), AuditReport::good(101, 0), "a part is verified by itself");
}

#[tokio::test]
async fn a_chain_that_was_rewritten_whole_is_not_the_anchored_one() {
    let place = Place::new();
    let cx = place.open().await;
    act(&cx, 1_000).await;
    let mut prev = genesis(cx.workspace());
    for row in rows(&cx).await {
        let mut entry = entry_at(&row);
        entry.action = "nothing.happened".into();
        entry.prev_hash = crate::store_hex(&prev);
        prev = hash_of(&prev, &entry).unwrap();
        entry.hash = crate::store_hex(&prev);
        write(&cx, put(Row::of(&entry, entry.at, "x").unwrap())).await;
    }
    let report = verified(&cx).await;
    assert_eq!((report.ok, report.first_bad), (false, Some(1_000)));
    assert!(report.problem.unwrap().contains("rewritten"));
}

#[tokio::test]
async fn exports_are_checked_without_the_store() {
    let place = Place::new();
    let cx = place.open().await;
    act(&cx, 1_005).await;
    let (mut text, mut checkpoints, mut cursor) = (String::new(), Vec::new(), None);
    loop {
        let page = cx.call(ExportAudit { limit: Some(400), cursor, ..Default::default() }).await.unwrap();
        text.push_str(&page.text);
        checkpoints.extend(page.checkpoints);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(check_export(&text, &checkpoints), AuditReport::good(1_005, 1));
    let forged = text.replacen("name", "nome", 1);
    let forged =
        if forged == text { text.replacen("workspaces.update", "workspaces.upgrade", 1) } else { forged };
    assert!(!check_export(&forged, &checkpoints).ok);
    checkpoints[0].root = "0".repeat(64);
    assert!(!check_export(&text, &checkpoints).ok);
    let csv = ExportAudit { format: ExportFormat::Csv, to: Some(3), ..Default::default() };
    let table = cx.call(csv).await.unwrap();
    assert_eq!(table.text.lines().count(), 4);
    assert!(table.text.starts_with("seq,at,actor,"));
    assert!(table.text.lines().all(|l| l.split(',').count() == 18));
}

#[tokio::test]
async fn old_entries_go_at_a_checkpoint_unless_a_case_is_open() {
    let place = Place::new();
    let cx = place.open().await;
    act(&cx, 1_002).await;
    let year = Duration::from_secs(366 * 86_400);
    place.clock.advance(year * KEEP_YEARS + Duration::from_secs(1));
    act(&cx, 2).await;
    assert_eq!(cx.prune_audit(Some(Timestamp::from_millis(1_700_000_000_000))).await.unwrap(), 0);
    assert_eq!(cx.prune_audit(None).await.unwrap(), 1_000);
    let report = verified(&cx).await;
    assert!(report.ok, "{report:?}");
    assert_eq!(rows(&cx).await[0].id, id_of(1_001));
    let viewer = cx.with_role(crate::Role::Admin);
    assert!(viewer.prune_audit(None).await.is_err());
    // Without an anchor that knows the floor, a removed beginning is a removed beginning.
    let forgetful = Place { anchor: Arc::default(), ..place };
    assert!(!verified(&forgetful.open().await).await.ok);
}

#[tokio::test]
async fn the_file_anchor_survives_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.anchor");
    let anchor = FileAnchor::new(&path);
    let checkpoint = |seq| Checkpoint {
        workspace: WorkspaceId::hub(),
        from: 1,
        seq,
        head: "a".repeat(64),
        root: "b".repeat(64),
        at: Timestamp::from_millis(1),
    };
    assert!(anchor.all(&WorkspaceId::hub()).await.unwrap().is_empty());
    anchor.put(&checkpoint(1)).await.unwrap();
    anchor.put(&checkpoint(2)).await.unwrap();
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.truncate(text.len() - 5);
    std::fs::write(&path, &text).unwrap();
    assert_eq!(anchor.all(&WorkspaceId::hub()).await.unwrap(), [checkpoint(1)]);
    anchor.put(&checkpoint(3)).await.unwrap();
    assert_eq!(anchor.all(&WorkspaceId::hub()).await.unwrap(), [checkpoint(1), checkpoint(3)]);
    assert!(anchor.all(&WorkspaceId::hub_sibling(1)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_beside_each_other_never_fork_the_chain() {
    let cx = Place::new().open().await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let cx = cx.fork(&[&n.to_string()]);
            tokio::spawn(async move {
                for m in 0..10 {
                    let input = json!({ "name": format!("p{n}-{m}"), "permissions": [] });
                    cx.call_by_name("roles.put", input, CallOptions::new()).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(verified(&cx).await.entries, 80);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn one_flipped_byte_at_any_offset_is_found(entry in 0_usize..5, place in any::<prop::sample::Index>(), flip in 1_u8..=127) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cx = Place::new().open().await;
            act(&cx, 5).await;
            let mut row = rows(&cx).await.swap_remove(entry);
            let mut bytes = row.body.clone().into_bytes();
            let at = place.index(bytes.len());
            bytes[at] ^= flip;
            // Entries are ASCII, and stay so: the checksum of an engine is not what finds this.
            row.body = String::from_utf8(bytes).unwrap();
            write(&cx, put(row)).await;
            let report = verified(&cx).await;
            prop_assert_eq!((report.ok, report.first_bad), (false, Some(entry as u64 + 1)));
            Ok(())
        })?;
    }
}

/// A file in the shape of builds that knew two indexes of the log: without the columns, the indexes and their names.
#[cfg(feature = "sqlite")]
fn without_later_indexes(file: &std::path::Path) {
    let c = rusqlite::Connection::open(file).unwrap();
    for name in ["target", "actor"] {
        c.execute_batch(&format!(
            "DROP INDEX audit_entry__{name}; ALTER TABLE audit_entry DROP COLUMN ix_{name};"
        ))
        .unwrap();
    }
    let changed = c.execute("UPDATE _kind SET indexes = 'at action' WHERE name = 'audit_entry'", []).unwrap();
    assert_eq!(changed, 1);
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_an_older_build_is_found_by_actor_and_target() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.neon");
    let open = || async {
        let hub = Hub::builder().store(file.to_str().unwrap()).seed(4).build().await.unwrap();
        hub.workspace("default").await.unwrap()
    };
    let cx = open().await;
    act(&cx, 3).await;
    cx.hub().close().await.unwrap();
    drop(cx);
    without_later_indexes(&file);
    let cx = open().await;
    let found = async |input: serde_json::Value| {
        let page = cx.call_by_name("audit.query", input, CallOptions::new()).await.unwrap();
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(found(json!({ "actor": "user:owner" })).await, 3);
    let target = json!({ "target_kind": "workspace", "target_id": cx.workspace() });
    assert_eq!(found(target).await, 3);
    assert!(verified(&cx).await.ok);
    assert_eq!(cx.store().drift().await.unwrap(), Vec::<String>::new());
    act(&cx, 1).await;
    assert_eq!(found(json!({ "actor": "user:owner" })).await, 4);
}
