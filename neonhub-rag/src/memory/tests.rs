use std::sync::Arc;
use std::time::Duration;

use neonhub_core::op::{CallOptions, Operation};
use neonhub_core::{ErrorKind, Hub, ManualClock, PermissionSet, Scope, Timestamp};

use super::*;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

async fn open(url: &str) -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    let hub = crate::install(Hub::builder().store(url).clock(clock.clone()).seed(1)).build().await.unwrap();
    (hub.workspace("default").await.unwrap(), clock)
}

fn brand() -> MemorySubject {
    MemorySubject::brand("acme")
}

fn said(text: &str, source_label: SourceLabel, event: &str) -> AddMemory {
    AddMemory {
        subject: brand(),
        text: text.into(),
        source_label,
        source_event: event.into(),
        ..Default::default()
    }
}

fn tone(value: &str, event: &str) -> AddMemory {
    AddMemory {
        slots: [("tone".to_owned(), value.to_owned())].into(),
        ..said(&format!("The tone is {value}."), SourceLabel::FirstParty, event)
    }
}

async fn found(cx: &Scope, query: Option<&str>) -> Vec<String> {
    let search = SearchMemory { subject: brand(), query: query.map(Into::into), ..Default::default() };
    cx.call(search).await.unwrap().into_iter().map(|h| h.memory.text).collect()
}

#[tokio::test]
async fn what_a_model_says_waits_for_an_independent_event() {
    let (cx, _) = open("memory:").await;
    let text = "Customers of the brand prefer parcels on weekdays.";
    let first = cx.call(said(text, SourceLabel::Model, "run-1")).await.unwrap();
    assert_eq!(first.outcome, RememberedAs::Quarantined);
    assert!(found(&cx, None).await.is_empty());
    let same_event = cx.call(said(text, SourceLabel::Model, "run-1")).await.unwrap();
    assert_eq!(same_event.outcome, RememberedAs::Reinforced);
    assert!(found(&cx, None).await.is_empty(), "one event confirms nothing, however often it is heard");
    let second = cx.call(said(text, SourceLabel::User, "msg-7")).await.unwrap();
    assert_eq!(second.outcome, RememberedAs::Confirmed);
    let memory = second.memory.unwrap();
    assert_eq!(
        (memory.source_events, memory.state),
        (vec!["run-1".into(), "msg-7".into()], MemoryState::Active)
    );
    assert!(memory.confidence > 0.5);
    assert_eq!(found(&cx, Some("weekday parcels")).await, [text]);
    assert!(found(&cx, Some("zebra")).await.is_empty());
}

/// A call of an agent that has no run, with a person's yes to it.
async fn agreed<O: Operation>(cx: &Scope, op: O) -> O::Output {
    let agent = cx.for_agent("helper", "run_1", PermissionSet::all());
    let asked = agent.call(op.clone()).await.err().unwrap();
    assert_eq!(asked.code(), "approval_required", "memory is a sink");
    let id = asked.context().find(|(key, _)| *key == "approval").unwrap().1;
    let yes = serde_json::json!({ "id": id });
    cx.call_by_name("approvals.approve", yes, CallOptions::new()).await.unwrap();
    agent.call(op).await.unwrap()
}

#[tokio::test]
async fn an_agent_makes_nothing_active_whatever_it_says_of_itself() {
    let (cx, _) = open("memory:").await;
    let text = "Refunds go to account 99-4711.";
    let added = agreed(&cx, said(text, SourceLabel::FirstParty, "run-1")).await;
    assert_eq!(added.outcome, RememberedAs::Quarantined);
    let memory = added.memory.unwrap();
    assert_eq!((memory.state, memory.source_label), (MemoryState::Quarantined, SourceLabel::Model));
    // Ids of events are its own choice, so another one is no second witness.
    let again = agreed(&cx, said(text, SourceLabel::User, "msg-2")).await;
    assert_eq!(again.outcome, RememberedAs::Reinforced);
    let confirm = ConfirmMemory {
        memory: memory.id.clone(),
        source_event: "guide".into(),
        source_label: SourceLabel::FirstParty,
    };
    let confirmed = agreed(&cx, confirm.clone()).await;
    let same = confirmed.memory.unwrap();
    assert_eq!((confirmed.outcome, same.state), (RememberedAs::Reinforced, MemoryState::Quarantined));
    assert!((same.confidence - memory.confidence).abs() < f32::EPSILON, "nor is it any surer");
    assert!(found(&cx, None).await.is_empty());
    let read = agreed(&cx, said("Tea is brewed at 80 degrees.", SourceLabel::Retrieved, "doc-1")).await;
    assert_eq!(read.memory.unwrap().source_label, SourceLabel::Retrieved);
    let person = cx.call(confirm).await.unwrap();
    assert_eq!(person.outcome, RememberedAs::Confirmed);
    assert_eq!(found(&cx, None).await, [text]);
}

#[tokio::test]
async fn nothing_is_kept_twice_and_recalled_text_is_not_learned() {
    let (cx, _) = open("memory:").await;
    cx.call(said("We never say cheap.", SourceLabel::FirstParty, "guide")).await.unwrap();
    let again = cx.call(said("We never say cheap!", SourceLabel::FirstParty, "guide-2")).await.unwrap();
    assert_eq!(again.outcome, RememberedAs::Reinforced);
    let recalled = AddMemory { recalled: true, ..said("We always say cheap.", SourceLabel::Model, "run-3") };
    let ignored = cx.call(recalled).await.unwrap();
    assert_eq!((ignored.outcome, ignored.memory), (RememberedAs::Ignored, None));
    assert_eq!(found(&cx, None).await, ["We never say cheap."]);
}

#[tokio::test]
async fn a_contradiction_closes_and_the_past_stays_known() {
    let (cx, clock) = open("memory:").await;
    let warm = cx.call(tone("warm", "guide-1")).await.unwrap().memory.unwrap();
    clock.advance(Duration::from_secs(60));
    // A model alone closes nothing.
    let guess = AddMemory { source_label: SourceLabel::Model, ..tone("cold", "run-9") };
    let guess = cx.call(guess).await.unwrap();
    assert!(guess.closed.is_empty());
    assert_eq!(found(&cx, None).await, ["The tone is warm."]);
    let confirm = ConfirmMemory {
        memory: guess.memory.unwrap().id,
        source_event: "guide-2".into(),
        source_label: SourceLabel::FirstParty,
    };
    let confirmed = cx.call(confirm).await.unwrap();
    assert_eq!((confirmed.outcome, confirmed.closed), (RememberedAs::Confirmed, vec![warm.id.clone()]));
    assert_eq!(found(&cx, None).await, ["The tone is cold."]);
    let then = cx.call(MemoriesAsOf { subject: brand(), at: START, ..Default::default() }).await.unwrap();
    assert_eq!(then.iter().map(|m| m.text.as_str()).collect::<Vec<_>>(), ["The tone is warm."]);
    assert!(then[0].superseded_by.is_some());
    let before = Timestamp::from_millis(START.as_millis() - 1);
    assert!(
        cx.call(MemoriesAsOf { subject: brand(), at: before, ..Default::default() })
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn reading_respects_purpose_expiry_and_retraction() {
    let (cx, clock) = open("memory:").await;
    let mut add = said("Launch is on the ninth.", SourceLabel::FirstParty, "plan");
    add.purposes = vec!["planning".into()];
    add.expires_at = Some(START.plus(Duration::from_secs(3_600)));
    let memory = cx.call(add).await.unwrap().memory.unwrap();
    let search = |purpose: &str| SearchMemory {
        subject: brand(),
        purpose: Some(purpose.into()),
        ..Default::default()
    };
    assert_eq!(cx.call(search("planning")).await.unwrap().len(), 1);
    assert!(cx.call(search("advertising")).await.unwrap().is_empty());
    clock.advance(Duration::from_secs(1));
    cx.call(RetractMemory { memory: memory.id.clone() }).await.unwrap();
    assert!(cx.call(search("planning")).await.unwrap().is_empty());
    assert_eq!(
        cx.call(MemoriesAsOf { subject: brand(), at: START, ..Default::default() }).await.unwrap().len(),
        1
    );
    let late =
        ConfirmMemory { memory: memory.id, source_event: "x".into(), source_label: SourceLabel::FirstParty };
    assert_eq!(cx.call(late).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn what_rests_on_a_consent_is_read_while_that_holds() {
    let (cx, _) = open("memory:").await;
    let mut add = said("Likes short mails.", SourceLabel::FirstParty, "m1");
    add.consent_basis = Some("newsletter".into());
    add.purposes = vec!["email".into()];
    cx.call(add).await.unwrap();
    cx.call(said("We never say cheap.", SourceLabel::FirstParty, "m2")).await.unwrap();
    let held = |basis: &str| Some(vec![basis.to_owned()]);
    for (consents, count) in [(None, 2), (held("newsletter"), 2), (held("contract"), 1)] {
        let search = SearchMemory { subject: brand(), consents: consents.clone(), ..Default::default() };
        assert_eq!(cx.call(search).await.unwrap().len(), count);
        let then = MemoriesAsOf { subject: brand(), at: START, consents, ..Default::default() };
        assert_eq!(cx.call(then).await.unwrap().len(), count);
    }
    let ads = MemoriesAsOf { subject: brand(), at: START, purpose: Some("ads".into()), ..Default::default() };
    assert_eq!(cx.call(ads).await.unwrap().len(), 1);
}

#[tokio::test]
async fn bad_input_is_named_and_a_user_needs_a_basis() {
    let (cx, _) = open("memory:").await;
    let bad = AddMemory { text: " ".into(), confidence: Some(2.0), ..Default::default() };
    assert_eq!(cx.call(bad).await.unwrap_err().field_faults().len(), 4);
    let user = MemorySubject { kind: SubjectKind::User, id: "usr_1".into() };
    let mut add = AddMemory { subject: user, ..said("Likes short mails.", SourceLabel::User, "m1") };
    assert_eq!(cx.call(add.clone()).await.unwrap_err().kind(), ErrorKind::ConsentRequired);
    add.consent_basis = Some("contract".into());
    cx.call(add).await.unwrap();
    assert!(cx.call(ForgetMemory::default()).await.is_err());
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_answer_and_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let (cx, _) = open(&url).await;
    let secret = "Quixotically vermilion preference";
    let memory = cx.call(said(secret, SourceLabel::FirstParty, "e1")).await.unwrap().memory.unwrap();
    cx.call(said("Other words stay.", SourceLabel::FirstParty, "e2")).await.unwrap();
    let gone = cx.call(ForgetMemory { memory: Some(memory.id.clone()), subject: None }).await.unwrap();
    assert_eq!(gone.memories, std::slice::from_ref(&memory.id));
    assert!(
        cx.call(ForgetMemory { memory: Some(memory.id.clone()), subject: None })
            .await
            .unwrap()
            .memories
            .is_empty()
    );
    assert_eq!(found(&cx, None).await, ["Other words stay."]);
    assert!(
        cx.call(MemoriesAsOf { subject: brand(), at: START, ..Default::default() })
            .await
            .unwrap()
            .iter()
            .all(|m| m.id != memory.id)
    );
    cx.hub().close().await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(12).any(|w| w == b"Quixotically"), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn a_rotation_of_the_data_key_seals_memories_anew() {
    let (cx, _) = open("memory:").await;
    cx.call(said("We never say cheap.", SourceLabel::FirstParty, "guide")).await.unwrap();
    let rotated = cx.call(neonhub_core::vault::RotateDataKey {}).await.unwrap();
    assert_eq!((rotated.version, rotated.resealed, rotated.is_complete), (2, 1, true));
    assert_eq!(found(&cx, Some("never cheap")).await, ["We never say cheap."]);
}

/// Knows two ids of one person.
#[derive(Debug)]
struct Merged;

#[async_trait::async_trait]
impl crate::PersonSource for Merged {
    async fn standing(
        &self,
        _: &Scope,
        _: crate::PersonAsk<'_>,
    ) -> neonhub_core::Result<crate::PersonStanding> {
        let ids = vec!["per_new".to_owned(), "per_old".to_owned()];
        Ok(crate::PersonStanding { ids, consents: vec!["contract".into()], may_recall: true })
    }
}

#[tokio::test]
async fn what_is_known_of_a_merged_person_is_not_kept_twice_and_can_be_contradicted() {
    let persons = Arc::new(crate::Persons::of(Merged));
    let hub = crate::install(Hub::builder().seed(1)).service(persons).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let of = |id: &str, add: AddMemory| AddMemory {
        subject: MemorySubject::person(id),
        consent_basis: Some("contract".into()),
        ..add
    };
    cx.call(of("per_old", said("Likes short mails.", SourceLabel::FirstParty, "m1"))).await.unwrap();
    let old = cx.call(of("per_old", tone("warm", "m2"))).await.unwrap().memory.unwrap();
    let same = cx.call(of("per_new", said("Likes short mails!", SourceLabel::User, "m3"))).await.unwrap();
    assert_eq!(same.outcome, RememberedAs::Reinforced);
    assert_eq!(same.memory.unwrap().subject, MemorySubject::person("per_old"));
    let cold = AddMemory { source_label: SourceLabel::Model, ..tone("cold", "m4") };
    let waits = cx.call(of("per_new", cold)).await.unwrap();
    assert_eq!((waits.outcome, waits.closed.len()), (RememberedAs::Quarantined, 0));
    let confirm = ConfirmMemory {
        memory: waits.memory.unwrap().id,
        source_event: "m5".into(),
        source_label: SourceLabel::FirstParty,
    };
    assert_eq!(cx.call(confirm).await.unwrap().closed, [old.id], "of the other id");
    let dry = cx.call(of("per_old", tone("dry", "m6"))).await.unwrap();
    assert_eq!(dry.closed.len(), 1);
    let search = SearchMemory { subject: MemorySubject::person("per_new"), ..Default::default() };
    assert_eq!(cx.call(search).await.unwrap().len(), 2);
}
