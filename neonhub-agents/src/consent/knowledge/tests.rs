use std::sync::Arc;
use std::time::Duration;

use neonhub_core::op::Operation;
use neonhub_core::{ErrorKind, Hub, ManualClock, Permission, PermissionSet, Scope, Timestamp};
use neonhub_rag::{
    AddMemory, BuildContext, BuiltContext, CreateDataset, CreateSpace, ForgetMemory, MemoriesAsOf,
    MemorySubject, SearchMemory, SourceLabel, StartConversation, UploadDocument,
};

use super::*;
use crate::consent::ProofMethod;
use crate::consent::ops::RecordConsent;
use crate::people::merge::MergePeople;
use crate::people::normalise::Identifier;
use crate::people::ops::ResolvePerson;

async fn open() -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap()));
    let builder = neonhub_rag::install(Hub::builder().clock(Arc::clone(&clock) as _).seed(1));
    let hub = crate::install(builder).build().await.unwrap();
    (hub.workspace("default").await.unwrap(), clock)
}

async fn person(cx: &Scope, mail: &str) -> PersonId {
    cx.call(ResolvePerson::email(mail)).await.unwrap().person.unwrap()
}

async fn say(cx: &Scope, clock: &ManualClock, mail: &str, scope: ConsentScope, status: Status) {
    clock.advance(Duration::from_secs(60));
    let example = RecordConsent::examples().remove(0);
    let identifier = Some(Identifier::email(mail));
    cx.call(RecordConsent { identifier, scope, status, ..example }).await.unwrap();
}

fn likes(person: &PersonId, text: &str) -> AddMemory {
    AddMemory {
        subject: MemorySubject::person(person.as_str()),
        text: text.into(),
        source_label: SourceLabel::FirstParty,
        source_event: text.into(),
        consent_basis: Some("memory".into()),
        ..Default::default()
    }
}

fn about(person: &PersonId) -> BuildContext {
    BuildContext {
        purpose: "email".into(),
        person: Some(person.to_string()),
        query: "tea".into(),
        budget_tokens: 2_000,
        ..Default::default()
    }
}

/// What stands in a context, and what was dropped for its consent.
fn told(built: &BuiltContext) -> (String, usize) {
    let text = built.blocks.iter().map(|block| block.text.as_str()).collect();
    (text, built.dropped.iter().filter(|drop| drop.reason == "consent").count())
}

#[tokio::test]
async fn a_person_is_remembered_as_long_as_it_agrees() {
    let (cx, clock) = open().await;
    let jane = person(&cx, "jane@example.org").await;
    let refused = cx.call(likes(&jane, "Likes green tea.")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConsentRequired);
    say(&cx, &clock, "jane@example.org", ConsentScope::Memory, Status::Granted).await;
    cx.call(likes(&jane, "Likes green tea.")).await.unwrap();
    let (text, dropped) = told(&cx.call(about(&jane)).await.unwrap());
    assert!(text.contains("Likes green tea.") && dropped == 0, "{text}");
    let subject = || MemorySubject::person(jane.as_str());
    let search = || SearchMemory { subject: subject(), ..Default::default() };
    assert_eq!(cx.call(search()).await.unwrap().len(), 1);

    // Who may not read about people is told nothing.
    let agent = cx.for_agent("helper", "run_1", PermissionSet::of(&[Permission::ReadContent]));
    assert_eq!(agent.call(search()).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(agent.call(about(&jane)).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let around = BuildContext { person: None, subjects: vec![subject()], ..about(&jane) };
    assert_eq!(agent.call(around).await.unwrap_err().kind(), ErrorKind::PermissionDenied);

    // A no is heard at the next reading, of what was kept before as well.
    say(&cx, &clock, "jane@example.org", ConsentScope::Memory, Status::Revoked).await;
    let (text, dropped) = told(&cx.call(about(&jane)).await.unwrap());
    assert!(!text.contains("green tea") && dropped == 1, "{text}");
    assert!(cx.call(search()).await.unwrap().is_empty());
    let then = MemoriesAsOf { subject: subject(), at: cx.now(), ..Default::default() };
    assert!(cx.call(then).await.unwrap().is_empty());
    let unknown = BuildContext { person: Some("per_01kaf3w0000000000000000000".into()), ..about(&jane) };
    assert_eq!(cx.call(unknown).await.unwrap_err().kind(), ErrorKind::NotFound);
    let wrong = BuildContext { person: Some("jane".into()), ..about(&jane) };
    assert_eq!(cx.call(wrong).await.unwrap_err().field_faults()[0].field, "person");
}

#[tokio::test]
async fn what_rests_on_a_consent_is_used_as_the_ledger_says() {
    let (cx, clock) = open().await;
    let jane = person(&cx, "jane@example.org").await;
    cx.call(CreateSpace { name: "s".into(), ..Default::default() }).await.unwrap();
    let set = CreateDataset { space: "s".into(), name: "tea".into(), ..Default::default() };
    cx.call(set).await.unwrap();
    for (name, basis) in [("offer", "marketing.offers"), ("order", "contract")] {
        let text = format!("Tea of the {name}.");
        let upload = UploadDocument {
            consent_basis: Some(basis.into()),
            ..UploadDocument::of("tea", format!("{name}.md"), text.as_bytes())
        };
        cx.call(upload).await.unwrap();
    }
    let (text, dropped) = told(&cx.call(about(&jane)).await.unwrap());
    assert!(!text.contains("Tea of") && dropped == 2, "{text}");
    // The ledger does not know a contract; what it knows, nobody can claim past it.
    let claimed = Some(vec!["contract".to_owned(), "marketing.offers".to_owned()]);
    let claim = BuildContext { consents: claimed, ..about(&jane) };
    let (text, dropped) = told(&cx.call(claim.clone()).await.unwrap());
    assert!(text.contains("Tea of the order.") && dropped == 1, "{text}");
    say(&cx, &clock, "jane@example.org", ConsentScope::Marketing, Status::Granted).await;
    let (text, dropped) = told(&cx.call(claim.clone()).await.unwrap());
    assert!(text.contains("Tea of the offer.") && dropped == 0, "{text}");
    // A grant for mail is none for text messages.
    let sms = BuildContext { purpose: "sms".into(), ..claim };
    assert!(!told(&cx.call(sms).await.unwrap()).0.contains("offer"));
    let revoke = RecordConsent::revoke(jane.clone(), Channel::Email, ProofMethod::Api);
    clock.advance(Duration::from_secs(60));
    cx.call(revoke).await.unwrap();
    let support = BuildContext { purpose: "support".into(), ..about(&jane) };
    assert!(!told(&cx.call(support).await.unwrap()).0.contains("offer"));
}

#[tokio::test]
async fn merged_people_are_one_and_talk_with_another_stays_out() {
    let (cx, clock) = open().await;
    let (jane, anna) = (person(&cx, "jane@example.org").await, person(&cx, "anna@example.org").await);
    for (who, mail) in [(&jane, "jane@example.org"), (&anna, "anna@example.org")] {
        say(&cx, &clock, mail, ConsentScope::Memory, Status::Granted).await;
        cx.call(likes(who, &format!("Tea for {mail}."))).await.unwrap();
    }
    let start =
        StartConversation { title: "Order".into(), person: Some(anna.to_string()), ..Default::default() };
    let talk = cx.call(start).await.unwrap().id;
    let build = BuildContext { conversation: Some(talk), ..about(&jane) };
    let refused = cx.call(build.clone()).await.unwrap_err();
    assert_eq!(refused.field_faults()[0].field, "conversation");
    let (text, _) = told(&cx.call(about(&jane)).await.unwrap());
    assert!(text.contains("jane@") && !text.contains("anna@"), "{text}");
    clock.advance(Duration::from_secs(60));
    cx.call(MergePeople { a: jane.clone(), b: anna, reason: "test".into(), override_rules: false })
        .await
        .unwrap();
    say(&cx, &clock, "jane@example.org", ConsentScope::Memory, Status::Granted).await;
    let (text, _) = told(&cx.call(build).await.unwrap());
    assert!(text.contains("jane@") && text.contains("anna@"), "{text}");
    let subject = || MemorySubject::person(jane.as_str());
    let forget = ForgetMemory { memory: None, subject: Some(subject()) };
    assert_eq!(cx.call(forget).await.unwrap().memories.len(), 2, "under both ids");
    assert!(cx.call(SearchMemory { subject: subject(), ..Default::default() }).await.unwrap().is_empty());
}
