use std::sync::Arc;

use neonhub_core::op::{CallOptions, Operation};
use neonhub_core::{ErrorKind, Hub, ManualClock, Principal, Role, Scope, Timestamp};

use super::super::example;
use super::super::*;

async fn hub() -> (Hub, Scope) {
    let clock = ManualClock::at(Timestamp::parse("now", "2026-11-24T10:00:00Z").unwrap());
    let builder = Hub::builder().store("memory:").clock(Arc::new(clock)).seed(7);
    let hub = install(builder).kinds(crate::brand::KINDS).kinds(crate::people::KINDS).build().await.unwrap();
    let owner = hub.workspace("default").await.unwrap();
    (hub, owner)
}

fn create() -> CreateCampaign {
    CreateCampaign { brief: example::brief(), name: None }
}

#[tokio::test]
async fn same_brief_is_the_same_campaign() {
    let (_hub, cx) = hub().await;
    let first = cx.call(create()).await.unwrap();
    let again = cx.call(create()).await.unwrap();
    assert_eq!(first, again);
    let mut other = create();
    other.brief.budget.minor += 1;
    let second = cx.call(other).await.unwrap();
    assert_ne!(first.id, second.id);
    assert_ne!(first.name, second.name);
    let page = cx.call(ListCampaigns::default()).await.unwrap();
    assert_eq!(page.items, [first, second]);
}

#[tokio::test]
async fn brief_with_faults_is_refused_with_all_of_them() {
    let (_hub, cx) = hub().await;
    let mut bad = create();
    bad.brief.goal.clear();
    bad.brief.channels.clear();
    let err = cx.call(bad).await.unwrap_err();
    assert_eq!(err.operation(), "campaign.create");
    assert_eq!(err.field_faults().len(), 2);
}

#[tokio::test]
async fn two_briefs_with_one_name_are_refused() {
    let (_hub, cx) = hub().await;
    let named = |minor| {
        let mut op = CreateCampaign { name: Some("Refill".into()), ..create() };
        op.brief.budget.minor = minor;
        op
    };
    cx.call(named(1)).await.unwrap();
    assert_eq!(cx.call(named(2)).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn plan_is_made_once_and_again_on_request() {
    let (_hub, cx) = hub().await;
    let campaign = cx.call(create()).await.unwrap();
    let plan = |again| PlanCampaign { id: campaign.id.clone(), again };
    let first = cx.call(plan(false)).await.unwrap();
    assert_eq!(first.version, 1);
    assert_eq!(cx.call(plan(false)).await.unwrap(), first);
    assert_eq!(cx.call(plan(true)).await.unwrap().version, 2);
    let now = cx.call(GetCampaign { id: campaign.id.clone() }).await.unwrap();
    assert_eq!((now.status, now.plan_version), (CampaignStatus::Planned, 2));
}

#[tokio::test]
async fn release_needs_the_plan_in_force_and_every_text() {
    let (_hub, cx) = hub().await;
    let campaign = cx.call(create()).await.unwrap();
    let approve = |plan_version| ApproveCampaign { id: campaign.id.clone(), plan_version, note: None };
    assert_eq!(cx.call(approve(1)).await.unwrap_err().kind(), ErrorKind::Conflict);
    let agent = cx.for_agent("campaign", "run_1", neonhub_core::PermissionSet::all());
    assert_eq!(agent.call(approve(1)).await.unwrap_err().code(), "not_a_person");
    cx.call(PlanCampaign { id: campaign.id.clone(), again: false }).await.unwrap();
    assert!(cx.call(approve(2)).await.unwrap_err().message().contains("the plan changed"));
    assert!(cx.call(approve(1)).await.unwrap_err().message().contains("asset.email.1"));
}

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let (hub, cx) = hub().await;
    let campaign = cx.call(create()).await.unwrap();
    let viewer = hub.scope("default", Principal::User { id: "eve".into() }, Role::Viewer).await.unwrap();
    assert!(viewer.call(GetCampaign { id: campaign.id.clone() }).await.is_ok());
    for name in [CreateCampaign::NAME, PlanCampaign::NAME, ApproveCampaign::NAME] {
        let entry = hub.operation(name).unwrap();
        let input = (entry.examples)().remove(0);
        let err = viewer.call_by_name(name, input, CallOptions::new()).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::PermissionDenied, "{name}");
    }
}

#[test]
fn every_operation_has_an_example_that_its_own_type_reads() {
    for entry in CATALOGUE {
        assert!(!(entry.examples)().is_empty(), "{}", entry.name);
        assert!(entry.name.starts_with("campaign."));
    }
}
