//! Merging and taking back, against a real hub on the memory store.

use std::sync::Arc;

use neonhub_core::store::{Kind, Query, Record};
use neonhub_core::{ErrorKind, Hub, ManualClock, Scope, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::consent::model::{Consent, Preference, Suppression};
use crate::consent::ops::{AddSuppression, CheckConsent, RecordConsent, UpdatePreferences};
use crate::consent::suppression::SuppressionReason;
use crate::consent::{Channel, ConsentScope, ProofMethod, Status};
use crate::people::model::{CandidateStatus, Identity, MergeStatus, Person};
use crate::people::normalise::Identifier;
use crate::people::ops::{GetPerson, PersonFields, ResolvePerson, UpdatePerson};
use crate::people::{GateFacts, facts_of};

async fn workspace() -> (Hub, Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap()));
    let builder =
        Hub::builder().store("memory:").clock(Arc::clone(&clock) as Arc<dyn neonhub_core::Clock>).seed(1);
    let hub = crate::consent::install(crate::people::install(builder)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    (hub, cx, clock)
}

async fn resolve(cx: &Scope, identifiers: Vec<Identifier>) -> PersonId {
    cx.call(ResolvePerson { identifiers, ..ResolvePerson::default() }).await.unwrap().person.unwrap()
}

fn user(id: &str) -> Identifier {
    Identifier { kind: crate::people::IdentityKind::UserId, value: id.into(), namespace: None, region: None }
}

fn tick(clock: &ManualClock) {
    clock.advance(std::time::Duration::from_secs(1));
}

/// Every record of a kind as stored bytes: id, revision, body.
async fn bytes<R: Record>(cx: &Scope) -> Vec<(String, u64, String)> {
    let rows =
        cx.store().query(Kind::of::<R>(), cx.workspace(), &Query::by_id().limit(10_000)).await.unwrap();
    rows.into_iter().map(|r| (r.id, r.rev, r.body)).collect()
}

async fn everything(cx: &Scope) -> Vec<Vec<(String, u64, String)>> {
    vec![
        bytes::<Person>(cx).await,
        bytes::<Identity>(cx).await,
        bytes::<Consent>(cx).await,
        bytes::<Suppression>(cx).await,
        bytes::<Preference>(cx).await,
    ]
}

/// Gate facts without the epoch, which only ever rises.
async fn facts(cx: &Scope) -> Vec<GateFacts> {
    let all = cx.query::<GateFacts>(&Query::by_id().limit(1_000)).await.unwrap();
    all.into_iter().map(|f| GateFacts { epoch: 0, ..f.body }).collect()
}

fn merge_of(a: &PersonId, b: &PersonId) -> MergePeople {
    MergePeople { a: a.clone(), b: b.clone(), reason: "test".into(), override_rules: false }
}

#[tokio::test]
async fn merged_people_are_one_and_the_oldest_speaks() {
    let (_hub, cx, clock) = workspace().await;
    let old = resolve(&cx, vec![Identifier::email("a@shop.example")]).await;
    tick(&clock);
    let young = resolve(&cx, vec![Identifier::email("b@shop.example")]).await;
    let entry = cx.call(merge_of(&young, &old)).await.unwrap();
    assert_eq!((entry.survivor, entry.absorbed), (old.clone(), young.clone()));
    let view = cx.call(GetPerson { person: young.clone() }).await.unwrap();
    assert_eq!((view.id, view.alias_of), (old.clone(), Some(young.clone())));
    assert_eq!(view.identities.len(), 2);
    assert_eq!(view.identities.iter().filter(|i| i.is_primary).count(), 1);
    assert_eq!(resolve(&cx, vec![Identifier::email("b@shop.example")]).await, old);
    assert_eq!(cx.call(merge_of(&young, &old)).await.unwrap_err().code(), "already_merged");
}

#[tokio::test]
async fn two_accounts_of_the_host_are_blocked_unless_overridden() {
    let (_hub, cx, _) = workspace().await;
    let a = resolve(&cx, vec![user("u1")]).await;
    let b = resolve(&cx, vec![user("u2")]).await;
    let refused = cx.call(merge_of(&a, &b)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Blocked);
    assert!(refused.to_string().contains("user_ids"), "{refused}");
    assert!(cx.call(MergePeople { override_rules: true, ..merge_of(&a, &b) }).await.is_ok());
}

#[tokio::test]
async fn merge_rule_5_strictest_consent_holds_until_a_newer_row() {
    let (_hub, cx, clock) = workspace().await;
    let a = resolve(&cx, vec![Identifier::email("a@shop.example")]).await;
    tick(&clock);
    let b = resolve(&cx, vec![Identifier::email("b@shop.example")]).await;
    let grant = |person: &PersonId| RecordConsent {
        status: Status::Granted,
        text: Some("I agree".into()),
        ..RecordConsent::revoke(person.clone(), Channel::Email, ProofMethod::Form)
    };
    let check = |person: &PersonId| CheckConsent {
        person: person.clone(),
        channel: None,
        scope: None,
        brand: None,
        identity: None,
        at: None,
        known_at: None,
    };
    cx.call(grant(&a)).await.unwrap();
    cx.call(RecordConsent::revoke(b.clone(), Channel::Email, ProofMethod::Verbal)).await.unwrap();
    tick(&clock);
    let merge = cx.call(merge_of(&a, &b)).await.unwrap();
    assert_eq!(cx.call(check(&a)).await.unwrap().status, Some(Status::Revoked));
    tick(&clock);
    cx.call(grant(&a)).await.unwrap();
    assert_eq!(cx.call(check(&b)).await.unwrap().status, Some(Status::Granted));
    // Undo gives each its own back; the row of the time together stays with the one it was written for.
    cx.call(UnmergePeople { merge: merge.id, reason: "test".into() }).await.unwrap();
    assert_eq!(cx.call(check(&a)).await.unwrap().status, Some(Status::Granted));
    assert_eq!(cx.call(check(&b)).await.unwrap().status, Some(Status::Revoked));
}

#[tokio::test]
async fn a_merge_taken_back_is_not_made_again_by_itself() {
    let (_hub, cx, _) = workspace().await;
    resolve(&cx, vec![Identifier::email("a@shop.example")]).await;
    resolve(&cx, vec![Identifier::phone("+12025550143")]).await;
    let both = vec![Identifier::email("a@shop.example"), Identifier::phone("+12025550143")];
    let merged =
        cx.call(ResolvePerson { identifiers: both.clone(), ..ResolvePerson::default() }).await.unwrap();
    let undone =
        cx.call(UnmergePeople { merge: merged.merge.unwrap(), reason: "test".into() }).await.unwrap();
    assert_ne!(undone.a, undone.b);
    assert_eq!(undone.merge.status, MergeStatus::Undone);
    let again = cx.call(ResolvePerson { identifiers: both, ..ResolvePerson::default() }).await.unwrap();
    assert_eq!(again.merge, None);
    let listed = cx
        .call(ListCandidates { status: CandidateStatus::Rejected, ..ListCandidates::default() })
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1);
    let twice = UnmergePeople { merge: undone.merge.id, reason: "test".into() };
    assert_eq!(cx.call(twice).await.unwrap_err().code(), "already_undone");
}

#[tokio::test]
async fn candidates_are_listed_accepted_and_rejected() {
    let (_hub, cx, _) = workspace().await;
    resolve(&cx, vec![Identifier::email("ann@shop.example"), Identifier::phone("+12025550143")]).await;
    for mail in ["bob@shop.example", "cid@shop.example"] {
        resolve(&cx, vec![Identifier::email(mail), Identifier::phone("+12025550143")]).await;
    }
    let open = cx.call(ListCandidates::default()).await.unwrap().items;
    assert_eq!(open.len(), 2);
    cx.call(AcceptCandidate { candidate: open[0].id.clone(), override_rules: false }).await.unwrap();
    cx.call(RejectCandidate { candidate: open[1].id.clone() }).await.unwrap();
    assert!(cx.call(ListCandidates::default()).await.unwrap().items.is_empty());
    assert_eq!(cx.call(GetPerson { person: open[0].a.clone() }).await.unwrap().members.len(), 2);
}

#[tokio::test]
async fn undo_of_an_inner_merge_leaves_the_others_joined() {
    let (_hub, cx, clock) = workspace().await;
    let mut people = Vec::new();
    for n in 0..4 {
        people.push(resolve(&cx, vec![Identifier::email(format!("p{n}@shop.example"))]).await);
        tick(&clock);
    }
    let mut merges = Vec::new();
    for pair in people.windows(2) {
        merges.push(cx.call(merge_of(&pair[0], &pair[1])).await.unwrap());
        tick(&clock);
    }
    assert_eq!(cx.call(GetPerson { person: people[3].clone() }).await.unwrap().members.len(), 4);
    // Every entry names the speaker of its time, so that the second one joins p0 with p2.
    let undone = cx.call(UnmergePeople { merge: merges[1].id.clone(), reason: "test".into() }).await.unwrap();
    assert_eq!(undone.b, people[2]);
    let members = |p: PersonId| {
        let cx = cx.clone();
        async move { facts_of(&cx, &p).await.unwrap().body.members.len() }
    };
    assert_eq!(members(people[1].clone()).await, 3);
    assert_eq!(members(people[2].clone()).await, 0);
}

/// Something that happens to a person before a merge.
#[derive(Clone, Debug)]
enum Act {
    Consent(Channel, Status, Option<&'static str>),
    Suppress(SuppressionReason),
    SuppressPerson,
    Prefer,
    Name(&'static str),
    Phone(u8),
}

async fn act(cx: &Scope, who: usize, person: &PersonId, act: &Act) {
    let mail = format!("p{who}@shop{who}.example");
    match act.clone() {
        Act::Consent(channel, status, brand) => {
            let row = RecordConsent {
                status,
                brand: brand.map(str::to_owned),
                scope: if brand.is_some() { ConsentScope::Marketing } else { ConsentScope::All },
                text: Some("I agree".into()),
                ..RecordConsent::revoke(person.clone(), channel, ProofMethod::Form)
            };
            cx.call(row).await.unwrap();
        }
        Act::Suppress(reason) => {
            let mut add = <AddSuppression as neonhub_core::op::Operation>::examples().remove(0);
            add.reason = reason;
            if reason == SuppressionReason::Legal {
                add.identifier = None;
                add.domain = Some(format!("shop{who}.example"));
            } else {
                add.identifier = Some(Identifier::email(mail));
            }
            cx.call(add).await.unwrap();
        }
        Act::SuppressPerson => {
            let mut add = <AddSuppression as neonhub_core::op::Operation>::examples().remove(0);
            add.identifier = None;
            add.person = Some(person.clone());
            cx.call(add).await.unwrap();
        }
        Act::Prefer => {
            let mut wants = <UpdatePreferences as neonhub_core::op::Operation>::examples().remove(0);
            wants.person = person.clone();
            cx.call(wants).await.unwrap();
        }
        Act::Name(name) => {
            let fields = PersonFields {
                first_name: Some(name.into()),
                timezone: Some("Europe/Vienna".into()),
                ..PersonFields::default()
            };
            cx.call(UpdatePerson {
                person: person.clone(),
                fields,
                lifecycle: None,
                remove_tags: vec![],
                source: None,
            })
            .await
            .unwrap();
        }
        Act::Phone(n) => {
            let phone = Identifier::phone(format!("+1202555010{n}"));
            let _ = cx
                .call(ResolvePerson {
                    identifiers: vec![Identifier::email(mail), phone],
                    ..ResolvePerson::default()
                })
                .await
                .unwrap();
        }
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    let status =
        prop::sample::select(vec![Status::Granted, Status::Revoked, Status::Pending, Status::Denied]);
    let channel = prop::sample::select(vec![Channel::Email, Channel::Sms]);
    prop_oneof![
        4 => (channel, status, prop::option::of(Just("acme"))).prop_map(|(c, s, b)| Act::Consent(c, s, b)),
        1 => prop::sample::select(vec![SuppressionReason::Manual, SuppressionReason::Legal]).prop_map(Act::Suppress),
        1 => Just(Act::SuppressPerson),
        1 => Just(Act::Prefer),
        1 => prop::sample::select(vec!["Ann", "Bob"]).prop_map(Act::Name),
        1 => (0_u8..4).prop_map(Act::Phone),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cut::cases(48), ..ProptestConfig::default() })]

    #[test]
    fn rule_2_merge_then_unmerge_restores_both_byte_for_byte(
        acts in prop::collection::vec((0_usize..2, any_act()), 0..10), ticks in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_hub, cx, clock) = workspace().await;
            let mut people = Vec::new();
            for n in 0..2 {
                people.push(resolve(&cx, vec![Identifier::email(format!("p{n}@shop{n}.example"))]).await);
                tick(&clock);
            }
            for (who, what) in &acts {
                act(&cx, *who, &people[*who], what).await;
                if ticks {
                    tick(&clock);
                }
            }
            let (records, before) = (everything(&cx).await, facts(&cx).await);
            let merge = cx.call(merge_of(&people[0], &people[1])).await.unwrap();
            assert_eq!(everything(&cx).await, records, "a merge touches no record of a person");
            assert_eq!(facts_of(&cx, &people[1]).await.unwrap().person, people[0]);
            cx.call(UnmergePeople { merge: merge.id, reason: "test".into() }).await.unwrap();
            assert_eq!(everything(&cx).await, records);
            assert_eq!(facts(&cx).await, before);
        });
    }
}
