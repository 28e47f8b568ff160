//! Consent, suppression and unsubscribe against a real hub on the memory store.

use std::sync::Arc;
use std::time::Duration;

use neonhub_core::op::Operation;
use neonhub_core::{ErrorKind, Hub, ManualClock, Role, Scope, Timestamp};

use super::*;
use crate::consent::suppression::SuppressionReason;
use crate::consent::{Channel, ConsentScope, ProofMethod, Status};
use crate::people::normalise::Identifier;
use crate::people::ops::{AddIdentity, GetPerson, PersonTimeline, ResolvePerson};
use crate::people::{GateFacts, PersonId, facts_of};

async fn workspace() -> (Hub, Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap()));
    let builder =
        Hub::builder().store("memory:").clock(Arc::clone(&clock) as Arc<dyn neonhub_core::Clock>).seed(1);
    let hub = crate::consent::install(crate::people::install(builder)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    (hub, cx, clock)
}

/// A second workspace in the same store.
async fn other_workspace(hub: &Hub) -> Scope {
    hub.create_workspace("other").await.unwrap()
}

async fn person(cx: &Scope, mail: &str) -> PersonId {
    cx.call(ResolvePerson::email(mail)).await.unwrap().person.unwrap()
}

fn grant(mail: &str) -> RecordConsent {
    RecordConsent { identifier: Some(Identifier::email(mail)), ..RecordConsent::examples().remove(0) }
}

async fn status(cx: &Scope, person: &PersonId, at: Option<Timestamp>) -> Option<Status> {
    let ask = CheckConsent {
        person: person.clone(),
        channel: None,
        scope: None,
        brand: None,
        identity: None,
        at,
        known_at: None,
    };
    cx.call(ask).await.unwrap().status
}

async fn facts(cx: &Scope, person: &PersonId) -> GateFacts {
    facts_of(cx, person).await.unwrap().body
}

async fn token(cx: &Scope, who: &PersonId, list: ConsentScope) -> String {
    let identity = facts(cx, who).await.identity_for(&Channel::Email).unwrap().identity.clone();
    unsubscribe_token(cx, who, &identity, Channel::Email, list, None).await.unwrap()
}

#[tokio::test]
async fn rule_4_past_instants_are_answered() {
    let (_hub, cx, clock) = workspace().await;
    let ann = person(&cx, "ann@shop.example").await;
    let start = cx.now();
    cx.call(grant("ann@shop.example")).await.unwrap();
    clock.advance(Duration::from_secs(60));
    cx.call(RecordConsent::revoke(ann.clone(), Channel::Email, ProofMethod::Verbal)).await.unwrap();
    assert_eq!(status(&cx, &ann, None).await, Some(Status::Revoked));
    assert_eq!(status(&cx, &ann, Some(start)).await, Some(Status::Granted));
    assert_eq!(status(&cx, &ann, Some(start.minus(Duration::from_secs(1)))).await, None);
    assert_eq!(cx.call(ConsentHistory { person: ann, channel: None }).await.unwrap().len(), 2);
}

#[tokio::test]
async fn rule_3_the_same_statement_twice_is_one_row() {
    let (_hub, cx, _) = workspace().await;
    let ann = person(&cx, "ann@shop.example").await;
    let first = cx.call(grant("ann@shop.example")).await.unwrap();
    let second = cx.call(grant("ann@shop.example")).await.unwrap();
    assert_eq!((first.is_new, second.is_new), (true, false));
    assert_eq!(first.row, second.row);
    assert_eq!(cx.call(ConsentHistory { person: ann, channel: None }).await.unwrap().len(), 1);
}

#[tokio::test]
async fn rule_5_grant_without_text_is_refused() {
    let (_hub, cx, _) = workspace().await;
    person(&cx, "ann@shop.example").await;
    let refused = cx.call(RecordConsent { text: None, ..grant("ann@shop.example") }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(refused.field_faults()[0].field, "text");
}

#[tokio::test]
async fn two_statements_of_one_instant_keep_their_order() {
    let (_hub, cx, _) = workspace().await;
    let ann = person(&cx, "ann@shop.example").await;
    cx.call(RecordConsent { identifier: None, person: Some(ann.clone()), ..grant("x") }).await.unwrap();
    cx.call(RecordConsent::revoke(ann.clone(), Channel::Email, ProofMethod::Verbal)).await.unwrap();
    assert_eq!(status(&cx, &ann, None).await, Some(Status::Revoked));
    assert_eq!(status(&cx, &ann, Some(cx.now())).await, Some(Status::Revoked));
}

#[tokio::test]
async fn rule_6_stop_writes_row_and_suppression_and_raises_the_epoch() {
    let (_hub, cx, _) = workspace().await;
    let ann = person(&cx, "ann@shop.example").await;
    cx.call(grant("ann@shop.example")).await.unwrap();
    let before = facts(&cx, &ann).await.epoch;
    let stop =
        RecordConsent { status: Status::Revoked, method: ProofMethod::Reply, ..grant("ann@shop.example") };
    let done = cx.call(stop).await.unwrap();
    assert!(done.suppression.is_some());
    let after = facts(&cx, &ann).await;
    assert!(after.epoch > before);
    let identity = after.identities[0].identity.clone();
    assert_eq!(after.suppressed(&Channel::Email, None, Some(&identity), cx.now()).len(), 1);
    let check = CheckSuppression {
        identifier: Identifier::email("ANN@shop.example"),
        channel: Some(Channel::Email),
        brand: None,
    };
    assert!(cx.call(check).await.unwrap().is_suppressed);
}

#[tokio::test]
async fn unsubscribe_acts_at_once_and_twice_is_once() {
    let (_hub, cx, clock) = workspace().await;
    let ann = person(&cx, "ann@shop.example").await;
    cx.call(grant("ann@shop.example")).await.unwrap();
    let token = token(&cx, &ann, ConsentScope::Marketing).await;
    clock.advance(Duration::from_secs(400 * 86_400));
    let first = cx.call(Unsubscribe { token: token.clone() }).await.unwrap();
    assert!(!first.was_done);
    let state = facts(&cx, &ann).await;
    assert_eq!(status(&cx, &ann, None).await, Some(Status::Revoked));
    assert_eq!(state.suppressions.len(), 1);
    clock.advance(Duration::from_secs(60));
    assert!(cx.call(Unsubscribe { token }).await.unwrap().was_done);
    assert_eq!(facts(&cx, &ann).await, state);
}

#[tokio::test]
async fn unsubscribe_needs_no_rights_but_the_right_token_and_workspace() {
    let (hub, cx, _) = workspace().await;
    let ann = person(&cx, "ann@shop.example").await;
    let token = token(&cx, &ann, ConsentScope::Marketing).await;
    let other = other_workspace(&hub).await;
    let foreign = other.call(Unsubscribe { token: token.clone() }).await.unwrap_err();
    assert_eq!(foreign.code(), "bad_token");
    let forged = cx.call(Unsubscribe { token: format!("{token}A") }).await.unwrap_err();
    assert_eq!(forged.code(), "bad_token");
    assert!(cx.with_role(Role::Viewer).call(Unsubscribe { token }).await.is_ok());
}

#[tokio::test]
async fn leaving_a_topic_leaves_the_others() {
    let (_hub, cx, _) = workspace().await;
    let ann = person(&cx, "ann@shop.example").await;
    cx.call(grant("ann@shop.example")).await.unwrap();
    let topic: ConsentScope = "marketing.offers".parse().unwrap();
    let token = token(&cx, &ann, topic.clone()).await;
    cx.call(Unsubscribe { token }).await.unwrap();
    assert_eq!(status(&cx, &ann, None).await, Some(Status::Granted));
    let state = facts(&cx, &ann).await;
    let identity = state.identities[0].identity.clone();
    assert!(!state.consent(&Channel::Email, &topic, None, Some(&identity), cx.now()).is_granted());
    assert!(state.suppressions.is_empty());
}

#[tokio::test]
async fn rule_10_suppression_before_the_person_and_lift() {
    let (_hub, cx, _) = workspace().await;
    let row = cx.call(AddSuppression::examples().remove(0)).await.unwrap();
    let left = person(&cx, "Left@shop.example").await;
    assert_eq!(facts(&cx, &left).await.suppressions.len(), 1);
    assert!(
        cx.with_role(Role::Member)
            .call(LiftSuppression { suppression: row.id.clone(), why: "x".into() })
            .await
            .is_err()
    );
    cx.call(LiftSuppression { suppression: row.id.clone(), why: "typed wrong".into() }).await.unwrap();
    assert!(facts(&cx, &left).await.suppressions.is_empty());
    let check =
        CheckSuppression { identifier: Identifier::email("left@shop.example"), channel: None, brand: None };
    assert!(!cx.call(check).await.unwrap().is_suppressed);
    // It can be made again.
    cx.call(AddSuppression::examples().remove(0)).await.unwrap();
    assert_eq!(facts(&cx, &left).await.suppressions.len(), 1);
}

#[tokio::test]
async fn rule_10_domain_and_person_and_complaint() {
    let (_hub, cx, _) = workspace().await;
    let (ann, bob) = (person(&cx, "ann@gone.example").await, person(&cx, "bob@shop.example").await);
    let base = AddSuppression { identifier: None, channel: None, ..AddSuppression::examples().remove(0) };
    cx.call(AddSuppression { domain: Some("GONE.example".into()), ..base.clone() }).await.unwrap();
    assert_eq!(facts(&cx, &ann).await.suppressions.len(), 1);
    let row = cx
        .call(AddSuppression {
            person: Some(bob.clone()),
            reason: SuppressionReason::Complaint,
            ..base.clone()
        })
        .await
        .unwrap();
    assert_eq!(facts(&cx, &bob).await.suppressions.len(), 1);
    let lift = cx.call(LiftSuppression { suppression: row.id, why: "asked".into() }).await.unwrap_err();
    assert_eq!(lift.code(), "needs_opt_in");
    assert_eq!(cx.call(ListSuppressions::default()).await.unwrap().items.len(), 2);
    assert!(cx.call(base).await.is_err());
}

#[tokio::test]
async fn people_rule_6_proof_moves_an_unproved_identity() {
    let (_hub, cx, _) = workspace().await;
    let (ann, bob) = (person(&cx, "ann@shop.example").await, person(&cx, "bob@shop.example").await);
    let claim = |person: &PersonId, proved| AddIdentity {
        person: person.clone(),
        identifier: Identifier::email("bob@shop.example"),
        proved_by: proved,
        evidence: None,
        source: None,
    };
    assert_eq!(cx.call(claim(&ann, None)).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let proof = Some(crate::people::model::VerificationMethod::Otp);
    assert!(cx.call(claim(&ann, proof)).await.unwrap().verified);
    assert!(facts(&cx, &bob).await.identities.is_empty());
    assert_eq!(person(&cx, "bob@shop.example").await, ann);
    assert_eq!(cx.call(claim(&bob, proof)).await.unwrap_err().code(), "both_verified");
}

#[tokio::test]
async fn contact_values_are_sealed_at_rest_and_masked_without_the_right() {
    let (_hub, cx, _) = workspace().await;
    let ann = person(&cx, "ann@secret-shop.example").await;
    let query = neonhub_core::store::Query::by_id();
    for kind in crate::people::KINDS.iter().chain(crate::consent::KINDS) {
        for row in cx.store().query(*kind, cx.workspace(), &query).await.unwrap() {
            assert!(!row.body.contains("secret-shop"), "{}", kind.name);
        }
    }
    let seen = cx.with_role(Role::Viewer).call(GetPerson { person: ann.clone() }).await.unwrap();
    assert_eq!(seen.identities[0].value, "a***@s***.example");
    assert_eq!(
        cx.call(GetPerson { person: ann }).await.unwrap().identities[0].value,
        "ann@secret-shop.example"
    );
}

#[tokio::test]
async fn timeline_pages_newest_first_without_doubles() {
    let (_hub, cx, clock) = workspace().await;
    let ann = person(&cx, "ann@shop.example").await;
    for _ in 0..3 {
        clock.advance(Duration::from_secs(5));
        cx.call(grant("ann@shop.example")).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let ask = PersonTimeline {
            person: ann.clone(),
            kinds: vec![],
            since: None,
            until: None,
            limit: Some(2),
            cursor,
        };
        let page = cx.call(ask).await.unwrap();
        seen.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let kinds: Vec<_> = seen.iter().map(|e| e.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["consent.granted", "consent.granted", "consent.granted", "person.created", "identity.added"]
    );
}

#[tokio::test]
async fn strangers_find_nothing() {
    let (hub, cx, _) = workspace().await;
    let ann = person(&cx, "ann@shop.example").await;
    let other = other_workspace(&hub).await;
    assert_eq!(other.call(GetPerson { person: ann.clone() }).await.unwrap_err().kind(), ErrorKind::NotFound);
    let revoke = RecordConsent::revoke(ann.clone(), Channel::Email, ProofMethod::Api);
    assert_eq!(other.call(revoke).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_ne!(person(&other, "ann@shop.example").await, ann);
}
