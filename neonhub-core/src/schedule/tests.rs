use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::job::conformance::{Lab, lab};
use crate::op::Operation as _;
use crate::permission::Role;
use crate::store::{MemoryStore, Query, SharedStore};
use crate::{ErrorKind, Scope};

fn memory() -> SharedStore {
    Arc::new(MemoryStore::new())
}

fn operation(name: &str, input: serde_json::Value) -> Target {
    Target::Operation { operation: name.into(), input }
}

fn every(seconds: u64) -> When {
    When::Every { ms: seconds * 1_000, anchor: None }
}

fn new(name: &str, target: Target, when: When) -> CreateSchedule {
    CreateSchedule::new(name, target, when)
}

fn verify(name: &str, when: When) -> CreateSchedule {
    new(name, operation("audit.verify", json!({})), when)
}

/// A job that is held by its handler until told to go on.
fn holding() -> Target {
    Target::Job {
        queue: "suite.single".into(),
        name: "play".into(),
        payload: json!({ "word": "w", "how": "hold" }),
    }
}

async fn sessions(cx: &Scope) -> Vec<AgentSession> {
    cx.query::<AgentSession>(&Query::by_id()).await.unwrap().into_iter().map(|s| s.body).collect()
}

async fn states(cx: &Scope) -> Vec<SessionState> {
    sessions(cx).await.into_iter().map(|s| s.state).collect()
}

#[tokio::test]
async fn an_operation_runs_at_its_instants_with_a_session_for_each() {
    let w: Lab = lab(&memory()).await.unwrap();
    let made = w.cx.call(verify("check", every(60))).await.unwrap();
    assert_eq!(made.next_at, Some(w.cx.now().plus(Duration::from_secs(60))));
    w.work().await.unwrap();
    assert!(sessions(&w.cx).await.is_empty());
    for _ in 0..3 {
        w.wait(60);
        w.work().await.unwrap();
    }
    let all = sessions(&w.cx).await;
    assert_eq!(all.iter().map(|s| s.state).collect::<Vec<_>>(), [SessionState::Completed; 3]);
    assert!(all[0].summary.contains("entries") || !all[0].summary.is_empty(), "{:?}", all[0].summary);
    assert_eq!(w.cx.call(GetSchedule { id: made.id }).await.unwrap().fired, 3);
}

#[tokio::test]
async fn a_job_of_a_queue_is_followed_to_its_end() {
    let w = lab(&memory()).await.unwrap();
    let target = |how: &str| Target::Job {
        queue: "suite.work".into(),
        name: "play".into(),
        payload: json!({ "word": how, "how": how }),
    };
    w.cx.call(new("good", target("answer"), every(60))).await.unwrap();
    w.cx.call(new("bad", target("blocked"), every(60))).await.unwrap();
    w.wait(60);
    w.work().await.unwrap();
    let mut all = sessions(&w.cx).await;
    all.sort_by_key(|s| s.state.word());
    assert_eq!((all[0].state, all[0].summary.as_str()), (SessionState::Completed, r#"{"word":"answer"}"#));
    assert_eq!((all[1].state, all[1].reason.as_deref()), (SessionState::Failed, Some("blocked")));
}

#[tokio::test]
async fn two_hubs_with_clocks_half_a_minute_apart_fire_once() {
    let store = memory();
    let (a, b) = (lab(&store).await.unwrap(), lab(&store).await.unwrap());
    a.cx.call(verify("check", every(60))).await.unwrap();
    b.wait(30);
    for _ in 0..20 {
        a.wait(60);
        b.wait(60);
        let (one, two) = tokio::join!(a.cx.fire_due(), b.cx.fire_due());
        assert!(one.unwrap() + two.unwrap() <= 1);
        let (one, two) = tokio::join!(a.work(), b.work());
        one.unwrap();
        two.unwrap();
    }
    let all = sessions(&a.cx).await;
    let planned: std::collections::BTreeSet<_> = all.iter().map(|s| s.planned_at).collect();
    assert_eq!((all.len(), planned.len()), (20, 20), "each instant once");
}

#[tokio::test]
async fn missed_instants_follow_their_policy() {
    for (policy, fired) in [(Missed::Skip, 0), (Missed::Latest, 1), (Missed::All, 5)] {
        let w = lab(&memory()).await.unwrap();
        let new =
            CreateSchedule { missed: policy, overlap: Overlap::QueueAll, ..verify("check", every(3_600)) };
        w.cx.call(new).await.unwrap();
        w.wait(5 * 3_600 + 600);
        w.work().await.unwrap();
        let all = sessions(&w.cx).await;
        assert_eq!(all.len(), fired, "{policy:?}");
        if policy == Missed::Latest {
            assert_eq!(all[0].missed_count, 4);
            assert_eq!(all[0].planned_at, w.cx.now().minus(Duration::from_secs(600)));
        }
        w.wait(3_000);
        w.work().await.unwrap();
        assert_eq!(sessions(&w.cx).await.len(), fired + 1, "{policy:?}: the next one is on time");
    }
    let w = lab(&memory()).await.unwrap();
    w.cx.call(verify("check", every(3_600))).await.unwrap();
    w.wait(3 * 86_400);
    w.cx.call(verify("old", When::At { instant: w.cx.now().plus(Duration::from_secs(60)) })).await.unwrap();
    w.wait(2 * 86_400);
    w.work().await.unwrap();
    let names: Vec<u32> = sessions(&w.cx).await.iter().map(|s| s.missed_count).collect();
    assert_eq!(names.len(), 1, "what is older than the window of 24 h is left out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_firings_follow_their_policy() {
    use SessionState as S;
    for (policy, expected) in [
        (Overlap::Skip, vec![S::Pending, S::Skipped, S::Skipped]),
        (Overlap::QueueOne, vec![S::Pending, S::Pending, S::Skipped]),
        (Overlap::QueueAll, vec![S::Pending, S::Pending, S::Pending]),
        (Overlap::Allow, vec![S::Pending, S::Pending, S::Skipped]),
        (Overlap::CancelPrevious, vec![S::Cancelled, S::Cancelled, S::Pending]),
    ] {
        let w = lab(&memory()).await.unwrap();
        let new =
            CreateSchedule { overlap: policy, concurrency: Some(2), ..new("hold", holding(), every(60)) };
        w.cx.call(new).await.unwrap();
        for _ in 0..3 {
            w.wait(60);
            w.cx.fire_due().await.unwrap();
        }
        assert_eq!(states(&w.cx).await, expected, "{policy:?}");
    }
}

#[tokio::test]
async fn too_many_failures_in_a_row_pause_and_resume_fires_from_now() {
    let w = lab(&memory()).await.unwrap();
    let target = operation("workspaces.update", json!({ "timezone": "Mars/Olympus" }));
    let new = CreateSchedule { pause_after_failures: Some(2), ..new("bad", target, every(60)) };
    let made = w.cx.call(new).await.unwrap();
    for _ in 0..4 {
        w.wait(60);
        w.work().await.unwrap();
    }
    let seen = w.cx.call(GetSchedule { id: made.id.clone() }).await.unwrap();
    assert_eq!((seen.enabled, seen.paused_reason.as_deref()), (false, Some("too_many_failures")));
    assert_eq!(states(&w.cx).await, [SessionState::Failed; 2]);
    let again = w.cx.call(ResumeSchedule { id: made.id, input: None }).await.unwrap();
    assert!(again.enabled && again.next_at > Some(w.cx.now()) && again.failures == 0);
}

#[tokio::test]
async fn ends_after_its_runs_and_its_last_instant() {
    let w = lab(&memory()).await.unwrap();
    let twice = CreateSchedule { max_runs: Some(2), ..verify("twice", every(60)) };
    let until = CreateSchedule {
        ends_at: Some(w.cx.now().plus(Duration::from_secs(90))),
        ..verify("until", every(60))
    };
    let ids = [w.cx.call(twice).await.unwrap().id, w.cx.call(until).await.unwrap().id];
    for _ in 0..5 {
        w.wait(60);
        w.work().await.unwrap();
    }
    let mut seen = Vec::new();
    for id in ids {
        let schedule = w.cx.call(GetSchedule { id }).await.unwrap();
        seen.push((schedule.fired, schedule.paused_reason.unwrap()));
    }
    assert_eq!(seen, [(2, "max_runs".to_owned()), (1, "ended".to_owned())]);
}

#[tokio::test]
async fn jitter_is_the_same_for_one_instant_and_stays_in_its_bound() {
    let w = lab(&memory()).await.unwrap();
    let new = CreateSchedule { jitter_ms: Some(30_000), ..verify("spread", every(3_600)) };
    w.cx.call(new).await.unwrap();
    let mut delays = Vec::new();
    for _ in 0..5 {
        w.wait(3_600);
        w.cx.fire_due().await.unwrap();
        let session = sessions(&w.cx).await.pop().unwrap();
        let job = w.cx.need::<crate::job::Job>(&session.job_id.unwrap()).await.unwrap();
        delays.push(job.run_at.as_millis() - session.planned_at.as_millis());
        w.wait(31);
        w.work().await.unwrap();
    }
    assert!(delays.iter().all(|d| (0..=30_000).contains(d)), "{delays:?}");
    delays.dedup();
    assert!(delays.len() > 1, "different instants differ");
}

#[tokio::test]
async fn a_schedule_has_the_rights_of_who_made_it() {
    let w = lab(&memory()).await.unwrap();
    let member = w.cx.with_role(Role::Member);
    let refused = member.call(verify("check", every(60))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "audit.verify needs read:audit");
    let refused = member.call(new("hold", holding(), every(60))).await.unwrap_err();
    assert!(refused.context().any(|(_, v)| v == "manage:jobs"));
    let whoami = new("who", operation("scope.whoami", json!({})), every(60));
    member.call(whoami).await.unwrap();
    w.wait(60);
    w.work().await.unwrap();
    let summary = sessions(&w.cx).await[0].summary.clone();
    assert!(summary.contains("send:messages") && !summary.contains("manage:jobs"), "{summary}");
}

#[tokio::test]
async fn triggers_backfills_updates_and_removals() {
    let w = lab(&memory()).await.unwrap();
    let made = w.cx.call(verify("check", every(3_600))).await.unwrap();
    let id = || made.id.clone();
    w.cx.call(TriggerNow { id: id(), input: None }).await.unwrap();
    w.work().await.unwrap();
    w.wait(10);
    let (from, to) = (made.anchor.minus(Duration::from_secs(4 * 3_600)), made.anchor);
    let fill = || Backfill { id: id(), from, to, overlap: None };
    assert_eq!(w.cx.call(fill()).await.unwrap().len(), 0, "an interval does not reach before its anchor");
    let changed = CreateSchedule {
        when: When::Every { ms: 1_800_000, anchor: Some(from) },
        ..verify("check", every(1))
    };
    let updated = w.cx.call(UpdateSchedule { id: id(), schedule: changed }).await.unwrap();
    assert!(updated.next_at > Some(w.cx.now()), "an update never fires the past");
    assert_eq!(w.cx.call(fill()).await.unwrap().len(), 8, "the ninth instant has the session of the trigger");
    w.work().await.unwrap();
    assert_eq!(w.cx.call(fill()).await.unwrap().len(), 0, "twice is once");
    assert_eq!(states(&w.cx).await, [SessionState::Completed; 9]);
    assert_eq!(w.cx.call(verify("check", every(60))).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    w.cx.call(PauseSchedule { id: id(), reason: "holidays".into() }).await.unwrap();
    w.wait(7_200);
    w.work().await.unwrap();
    assert_eq!(sessions(&w.cx).await.len(), 9);
    w.cx.call(DeleteSchedule { id: id() }).await.unwrap();
    assert_eq!(w.cx.call(GetSchedule { id: id() }).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_session_is_cancelled_with_its_job() {
    let w = lab(&memory()).await.unwrap();
    w.cx.call(new("hold", holding(), every(60))).await.unwrap();
    w.wait(60);
    w.cx.fire_due().await.unwrap();
    let session = sessions(&w.cx).await.pop().unwrap();
    let cancelled = w.cx.call(CancelSession { id: session.id, reason: "no".into() }).await.unwrap();
    assert_eq!(cancelled.state, SessionState::Cancelled);
    assert_eq!(w.work().await.unwrap().done, 0, "its job is gone from the queue");
}

#[tokio::test]
async fn previews_tell_what_clocks_do() {
    let w = lab(&memory()).await.unwrap();
    let when = When::LocalDaily { time: "02:30".into(), zone: "Europe/Berlin".into() };
    let from = Some(crate::Timestamp::parse("from", "2026-03-28T00:00:00Z").unwrap());
    let seen = w.cx.call(Preview { when, calendar: None, from, n: Some(3) }).await.unwrap();
    let local: Vec<(&str, &str)> = seen.iter().map(|i| (i.local.as_str(), i.offset.as_str())).collect();
    assert_eq!(
        local,
        [
            ("2026-03-28T02:30:00", "+01:00"),
            ("2026-03-29T03:00:00", "+02:00"),
            ("2026-03-30T02:30:00", "+02:00")
        ]
    );
    assert!(seen[1].note.as_ref().unwrap().contains("skipped"));
    assert_eq!(Preview::NAME, "schedules.preview");
}

#[tokio::test]
async fn an_input_of_ones_own_needs_the_rights_that_the_schedule_works_with() {
    let w = lab(&memory()).await.unwrap();
    let whoami = operation("scope.whoami", json!({}));
    let made = w.cx.call(new("owners", whoami, every(60))).await.unwrap();
    let member = w.cx.with_role(Role::Member);
    let trigger = |input| TriggerNow { id: made.id.clone(), input };
    let denied = member.call(trigger(Some(json!({})))).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "it would run with the rights of the owner");
    member.call(trigger(None)).await.unwrap();
    w.cx.call(trigger(Some(json!({})))).await.unwrap();
}

#[tokio::test]
async fn who_watches_hears_where_a_firing_stands() {
    let w = lab(&memory()).await.unwrap();
    for name in ["a", "b"] {
        w.cx.call(verify(name, every(60))).await.unwrap();
    }
    w.wait(60);
    assert_eq!(w.cx.fire_due().await.unwrap(), 2);
    let urgent = CreateSchedule { priority: Some(5), ..verify("c", every(60)) };
    let urgent = w.cx.call(urgent).await.unwrap();
    w.cx.call(TriggerNow { id: urgent.id, input: None }).await.unwrap();
    let mut told = Vec::new();
    for event in w.cx.query::<crate::bus::Event>(&Query::by_id()).await.unwrap() {
        if event.kind == "schedule.fired" {
            told.push((event.data["priority"].clone(), event.data["queue_position"].clone()));
        }
    }
    told.sort_by_key(|(priority, place)| (priority.as_i64(), place.as_u64()));
    assert_eq!(told, [(json!(0), json!(1)), (json!(0), json!(2)), (json!(5), json!(1))]);
}

#[tokio::test]
async fn sessions_are_listed_by_schedule_and_state_together_or_alone() {
    let w = lab(&memory()).await.unwrap();
    let target = |how: &str| Target::Job {
        queue: "suite.work".into(),
        name: "play".into(),
        payload: json!({ "word": how, "how": how }),
    };
    let good = w.cx.call(new("good", target("answer"), every(60))).await.unwrap().id;
    let bad = w.cx.call(new("bad", target("blocked"), every(60))).await.unwrap().id;
    for _ in 0..3 {
        w.wait(60);
        w.work().await.unwrap();
    }
    let list = async |schedule: Option<&ScheduleId>, state: Option<SessionState>| {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let schedule = schedule.cloned();
            let page = w.cx.call(ListSessions { schedule, state, limit: Some(2), cursor }).await.unwrap();
            assert!(page.items.len() == 2 || page.next.is_none(), "a page is short and not the last");
            all.extend(page.items.into_iter().map(|s| (s.schedule_id.unwrap(), s.state)));
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    };
    let (failed, completed) = (Some(SessionState::Failed), Some(SessionState::Completed));
    assert_eq!(list(None, None).await.len(), 6);
    assert_eq!(list(None, failed).await, vec![(bad.clone(), SessionState::Failed); 3]);
    assert_eq!(list(None, completed).await, vec![(good.clone(), SessionState::Completed); 3]);
    assert_eq!(list(Some(&good), None).await.len(), 3);
    assert_eq!((list(Some(&good), completed).await.len(), list(Some(&good), failed).await.len()), (3, 0));
}
