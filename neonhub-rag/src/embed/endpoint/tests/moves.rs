//! A space that moves to a paid embedder.

use std::collections::BTreeSet;
use std::time::Duration;

use neonhub_core::economy::{GetQuotas, HardLimit, PutQuota, QuotaSubject, QuotaWindow};
use neonhub_core::{ManualClock, Timestamp};

use super::*;
use crate::space::{GetSpace, MigrateSpace, SpaceState};

/// At ten in the morning: the day of a quota has time left.
const START: Timestamp = Timestamp::from_millis(1_790_071_200_000);

async fn at_home(mock: &ProviderMock, documents: usize) -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    let knowledge = Knowledge::new().embedder_added(Arc::new(endpoint(mock, "openai", 2)));
    let builder = Hub::builder().clock(Arc::clone(&clock) as _).seed(1);
    let hub = install_with(builder, knowledge).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    cx.call(CreateSpace { name: "near".into(), ..Default::default() }).await.unwrap();
    cx.call(CreateDataset { space: "near".into(), name: "d".into(), ..Default::default() }).await.unwrap();
    for n in 0..documents {
        // Ids stand in the order of their time.
        clock.advance(Duration::from_millis(1));
        upload(&cx, &format!("{n}.md"), &format!("Box {n}: {}", "tea from the hills ".repeat(12)))
            .await
            .unwrap();
    }
    // One of several chunks.
    clock.advance(Duration::from_millis(1));
    let part =
        |n| format!("## Part {n}\n\n{}\n\n", format!("Rule {n} of the house is told here. ").repeat(60));
    upload(&cx, "rules.md", &(0..5).map(part).collect::<String>()).await.unwrap();
    (cx, clock)
}

fn migrate(dry_run: bool) -> MigrateSpace {
    MigrateSpace { space: "near".into(), embedder: "test-model".into(), dry_run }
}

async fn limit(cx: &Scope, tokens: u64, hard: HardLimit) {
    let quota =
        PutQuota { tokens: Some(tokens), hard, ..PutQuota::of(QuotaSubject::Workspace, QuotaWindow::Day) };
    cx.call(quota).await.unwrap();
}

async fn state(cx: &Scope) -> (SpaceState, String) {
    let space = cx.call(GetSpace { space: "near".into() }).await.unwrap();
    (space.state, space.embedder)
}

fn sent(mock: &ProviderMock) -> Vec<String> {
    let texts = |body: &serde_json::Value| body["input"].as_array().unwrap().clone();
    mock.seen().iter().flat_map(|seen| texts(&seen.body)).map(|text| text.to_string()).collect()
}

#[tokio::test]
async fn a_move_that_the_quotas_do_not_hold_is_refused_before_it_begins() {
    let mock = ProviderMock::start().await.unwrap();
    let (cx, _) = at_home(&mock, 3).await;
    for (hard, code) in [(HardLimit::Pause, "budget_paused"), (HardLimit::Fail, "budget_spent")] {
        limit(&cx, 200, hard).await;
        let error = cx.call(migrate(false)).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::BudgetExceeded, code));
        assert_eq!(error.operation(), "spaces.migrate");
        assert_eq!(state(&cx).await, (SpaceState::Active, "offline-hash-512".into()));
    }
    assert!(cx.call(migrate(true)).await.unwrap().tokens > 200, "a dry run is free");
    cx.work_until_idle().await.unwrap();
    assert!(mock.seen().is_empty(), "nothing was asked");
}

#[tokio::test]
async fn a_move_waits_for_room_and_pays_for_no_text_twice() {
    let mock = ProviderMock::start().await.unwrap();
    let (cx, clock) = at_home(&mock, 12).await;
    let plan = cx.call(migrate(true)).await.unwrap();
    assert!(plan.chunks > 13, "{plan:?}");
    limit(&cx, plan.tokens * 2, HardLimit::Pause).await;
    assert!(cx.call(migrate(false)).await.unwrap().job.is_some());
    // Somebody took the room in the meantime.
    limit(&cx, 700, HardLimit::Pause).await;
    cx.work_until_idle().await.unwrap();
    let before = sent(&mock).len();
    assert!(before > 2 && before < plan.chunks as usize, "{before} of {}", plan.chunks);
    assert_eq!(state(&cx).await, (SpaceState::Migrating, "offline-hash-512".into()));
    assert!(!cx.call(SearchKnowledge::of("tea from the hills")).await.unwrap().hits.is_empty());

    limit(&cx, plan.tokens * 2, HardLimit::Pause).await;
    cx.work_until_idle().await.unwrap();
    assert_eq!(sent(&mock).len(), before, "it waits");
    clock.advance(Duration::from_secs(901));
    cx.work_until_idle().await.unwrap();
    assert_eq!(state(&cx).await, (SpaceState::Active, "openai/test-model/64".into()));
    let all = sent(&mock);
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (plan.chunks as usize, all.len()));
    let quota = cx.call(GetQuotas::default()).await.unwrap().remove(0);
    assert!(quota.used_tokens > 0 && quota.held_tokens == 0, "{quota:?}");
}
