//! The schedules that a new store suggests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::job::clock_tests::Wall;
use crate::op::Page;
use crate::permission::Role;
use crate::store::MemoryStore;
use crate::{ErrorKind, Hub, ManualClock, Scope};

const DAY: Duration = Duration::from_secs(86_400);

async fn open(store: &Arc<MemoryStore>) -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-21T09:30:00Z").unwrap()));
    let key = crate::seal::RootKey::from_bytes([1; 32], "test");
    let builder = Hub::builder().store_backend(Arc::clone(store) as _).clock(Arc::clone(&clock) as _);
    let hub = builder.root_key(key).build().await.unwrap();
    (hub.workspace("default").await.unwrap(), clock)
}

async fn listed(cx: &Scope) -> Vec<Schedule> {
    let Page { items, .. } = cx.call(ListSchedules::default()).await.unwrap();
    items
}

async fn named(cx: &Scope, name: &str) -> Schedule {
    listed(cx).await.into_iter().find(|s| s.name == name).unwrap()
}

fn resume(schedule: &Schedule, input: Option<serde_json::Value>) -> ResumeSchedule {
    ResumeSchedule { id: schedule.id.clone(), input }
}

#[tokio::test]
async fn a_new_store_suggests_a_backup_and_a_look_for_drift_and_fires_neither() {
    let store = Arc::new(MemoryStore::new());
    let (cx, clock) = open(&store).await;
    let all = listed(&cx).await;
    let seen: Vec<_> = all.iter().map(|s| (s.name.as_str(), s.target.label(), s.enabled)).collect();
    assert_eq!(
        seen,
        [("daily backup", "hub.backup".into(), false), ("drift check", "store.drift".into(), false)]
    );
    assert!(all.iter().all(|s| s.paused_reason.as_deref() == Some("suggested") && s.next_at.is_none()));
    clock.advance(DAY * 3);
    assert_eq!(cx.fire_due().await.unwrap(), 0);
    let trigger = TriggerNow { id: all[1].id.clone(), input: None };
    assert_eq!(cx.call(trigger).await.unwrap_err().code(), "only_suggested");
    // Once removed they stay away, and a second workspace has none: they are about the whole store.
    cx.call(DeleteSchedule { id: all[0].id.clone() }).await.unwrap();
    assert_eq!(listed(&open(&store).await.0).await.len(), 1);
    assert!(listed(&cx.hub().create_workspace("other").await.unwrap()).await.is_empty());
}

#[tokio::test]
async fn the_look_for_drift_works_with_the_rights_of_who_resumes_it() {
    let (cx, clock) = open(&Arc::new(MemoryStore::new())).await;
    let drift = named(&cx, "drift check").await;
    let member = cx.with_role(Role::Member).call(resume(&drift, None)).await.unwrap_err();
    assert_eq!(member.kind(), ErrorKind::PermissionDenied, "it needs read:audit");
    let on = cx.call(resume(&drift, None)).await.unwrap();
    assert_eq!((on.enabled, on.principal.as_str()), (true, cx.label()));
    for _ in 0..4 {
        clock.advance(DAY / 4);
        cx.work_until_idle().await.unwrap();
    }
    let sessions =
        cx.call(ListSessions { schedule: Some(drift.id), ..ListSessions::default() }).await.unwrap();
    let ended: Vec<_> = sessions.items.iter().map(|s| (s.state, s.summary.as_str())).collect();
    assert_eq!(ended, [(SessionState::Completed, "[]"); 4], "every six hours");
}

#[tokio::test]
async fn the_backup_wants_a_folder_and_keeps_the_newest() {
    let (cx, clock) = open(&Arc::new(MemoryStore::new())).await;
    let backup = named(&cx, "daily backup").await;
    let error = cx.call(resume(&backup, None)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.field_faults()[0].field.as_str()),
        (ErrorKind::InvalidInput, "target.input.folder")
    );
    assert!(!named(&cx, "daily backup").await.enabled);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("neonhub-19990101.neonbackup"), "somebody else's").unwrap();
    let input = json!({ "folder": folder.path(), "keep": 2 });
    cx.call(resume(&backup, Some(input))).await.unwrap();
    for _ in 0..4 {
        clock.advance(DAY);
        cx.work_until_idle().await.unwrap();
    }
    let sessions =
        cx.call(ListSessions { schedule: Some(backup.id), ..ListSessions::default() }).await.unwrap();
    assert_eq!(sessions.items.len(), 4);
    assert!(sessions.items.iter().all(|s| s.state == SessionState::Completed), "{:?}", sessions.items);
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "neonhub-19990101.neonbackup",
            "neonhub-20261124T093000000Z.neonbackup",
            "neonhub-20261125T093000000Z.neonbackup"
        ]
    );
    let whole = crate::store::verify_backup(&path(&names[2])).unwrap();
    assert!(whole.records > 0);
    // Of a clock that was ahead: the new one stays all the same.
    std::fs::write(path("neonhub-20991231T000000000Z.neonbackup"), "later").unwrap();
    clock.advance(DAY);
    let folder = folder.path().display().to_string();
    let made = cx.call(crate::hub::ops::RotateBackup { folder, keep: Some(1) }).await.unwrap();
    assert_eq!(made.removed, 3);
    assert_eq!(crate::store::verify_backup(made.path.as_ref()).unwrap(), made.manifest);
}

#[tokio::test]
async fn an_input_that_its_operation_does_not_take_is_refused_before_anything_fires() {
    let (cx, _) = open(&Arc::new(MemoryStore::new())).await;
    let when = When::Every { ms: 60_000, anchor: None };
    let target = |input| Target::Operation { operation: "store.drift".into(), input };
    let bad = CreateSchedule::new("d", target(json!({ "deep": true })), when.clone());
    let error = cx.call(bad).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "target.input.deep");
    let none = cx.call(CreateSchedule::new("d", target(json!(null)), when)).await.unwrap();
    assert_eq!(none.target, target(json!({})), "nothing is the empty input");
}

#[tokio::test]
async fn an_unknown_schedule_is_answered_with_the_closest() {
    let (cx, _) = open(&Arc::new(MemoryStore::new())).await;
    let known = named(&cx, "drift check").await;
    let mut wrong = known.id.to_string();
    let last = if wrong.ends_with('0') { "1" } else { "0" };
    wrong.replace_range(wrong.len() - 1.., last);
    let id = ScheduleId::try_from(wrong).unwrap();
    let error = cx.call(GetSchedule { id }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let close = error.context().find(|(k, _)| *k == "closest").map(|(_, v)| v.to_owned()).unwrap();
    assert!(close.starts_with(&format!("{} (drift check)", known.id)), "{close}");
    let queue = cx.hub().start_workers(&["systems"]).await.unwrap_err();
    assert!(queue.to_string().contains("closest=system"), "{queue}");
}

#[tokio::test]
async fn a_schedule_made_after_the_clock_was_set_back_fires_no_earlier() {
    const START: i64 = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;
    let wall = Arc::new(Wall(START.into()));
    let set = |at: i64| wall.0.store(at, Ordering::SeqCst);
    let cx = Hub::builder()
        .clock(Arc::clone(&wall) as _)
        .build()
        .await
        .unwrap()
        .workspace("default")
        .await
        .unwrap();
    assert_eq!(cx.fire_due().await.unwrap(), 0);
    set(START - 24 * HOUR);
    let target = Target::Operation { operation: "audit.verify".into(), input: json!({}) };
    let hourly = When::Every { ms: HOUR.unsigned_abs(), anchor: None };
    let made = cx.call(CreateSchedule::new("hourly", target, hourly)).await.unwrap();
    assert_eq!(cx.fire_due().await.unwrap(), 0, "its first instant lies an hour ahead");
    set(START - 23 * HOUR + 1_000);
    assert_eq!(cx.work_until_idle().await.unwrap().done, 1, "and so does its job");
    let seen = cx.call(GetSchedule { id: made.id }).await.unwrap();
    assert_eq!((seen.fired, seen.last_at), (1, Some(Timestamp::from_millis(START - 23 * HOUR))));
}

#[tokio::test]
async fn an_instant_that_comes_a_second_time_holds_no_schedule_up() {
    const START: i64 = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;
    let wall = Arc::new(Wall(START.into()));
    let set = |at: i64| wall.0.store(at, Ordering::SeqCst);
    let hub = Hub::builder().clock(Arc::clone(&wall) as _).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let target = Target::Operation { operation: "audit.verify".into(), input: json!({}) };
    let hourly = When::Every { ms: HOUR.unsigned_abs(), anchor: None };
    let made = cx.call(CreateSchedule::new("hourly", target, hourly)).await.unwrap();
    set(START + HOUR);
    assert_eq!(cx.fire_due().await.unwrap(), 1);
    cx.call(PauseSchedule { id: made.id.clone(), reason: "the clock is wrong".into() }).await.unwrap();
    set(START);
    let again = cx.call(resume(&made, None)).await.unwrap();
    assert_eq!(again.next_at, Some(Timestamp::from_millis(START + HOUR)));
    set(START + HOUR);
    cx.fire_due().await.unwrap();
    let seen = cx.call(GetSchedule { id: made.id }).await.unwrap();
    assert_eq!((seen.fired, seen.next_at), (1, Some(Timestamp::from_millis(START + 2 * HOUR))));
}

/// The marks of a store as builds of before left it: none, or one of an earlier layout.
async fn set_mark(cx: &Scope, body: Option<&str>) {
    use crate::hub::StoreMark;
    let work = cx.staging("test", "mark");
    match body {
        Some(body) => {
            let mark: StoreMark = serde_json::from_str(body).unwrap();
            work.put(&mark, crate::store::Expected::Any).unwrap();
        }
        None => work.delete::<StoreMark>("store", crate::store::Expected::Any).unwrap(),
    }
    work.flush().await.unwrap();
}

#[tokio::test]
async fn a_store_of_before_gets_the_suggestions_once() {
    let store = Arc::new(MemoryStore::new());
    let (cx, _) = open(&store).await;
    for schedule in listed(&cx).await {
        cx.call(DeleteSchedule { id: schedule.id }).await.unwrap();
    }
    let target = Target::Operation { operation: "audit.verify".into(), input: json!({}) };
    let own = CreateSchedule::new("daily backup", target, When::Every { ms: 60_000, anchor: None });
    cx.call(own).await.unwrap();
    set_mark(&cx, None).await;
    let (cx, _) = open(&store).await;
    let all = listed(&cx).await;
    let mut seen: Vec<_> = all.iter().map(|s| (s.name.as_str(), s.target.label(), s.enabled)).collect();
    seen.sort();
    assert_eq!(
        seen,
        [("daily backup", "audit.verify".into(), true), ("drift check", "store.drift".into(), false)]
    );
    let drift = all.iter().find(|s| !s.enabled).unwrap();
    assert_eq!(drift.paused_reason.as_deref(), Some("suggested"));
    cx.call(DeleteSchedule { id: drift.id.clone() }).await.unwrap();
    assert_eq!(listed(&open(&store).await.0).await.len(), 1, "who removes them is rid of them");
}

#[tokio::test]
async fn a_store_that_came_to_another_layout_says_so_in_the_audit_log() {
    let store = Arc::new(MemoryStore::new());
    let (cx, _) = open(&store).await;
    let told = async |cx: &Scope| {
        let query = json!({ "action": "store.migrate" });
        let found = cx.call_by_name("audit.query", query, crate::op::CallOptions::new()).await.unwrap();
        found["items"].as_array().unwrap().clone()
    };
    assert!(told(&cx).await.is_empty());
    set_mark(&cx, Some(r#"{ "id": "store", "version": 0 }"#)).await;
    for _ in 0..2 {
        let rows = told(&open(&store).await.0).await;
        assert_eq!(rows.len(), 1, "once");
        assert_eq!((&rows[0]["target_id"], &rows[0]["outcome"]), (&json!("version 0 to 1"), &json!("ok")));
    }
}
