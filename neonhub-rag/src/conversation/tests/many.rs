//! Very long talk, replies that are waited for, lists and events.

use neonhub_core::bus::{Event, Filter, SubscribeEvents};
use neonhub_core::store::{Batch, Expected, Kind, Row, Write};

use super::*;

/// Puts copies of a message into its conversation, at the store.
async fn copies(cx: &Scope, of: &Message, count: usize) {
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    for _ in 0..count {
        let copy = Message { id: MessageId::new(cx), ..of.clone() };
        let row = Row::of(&copy, cx.now(), cx.label()).unwrap();
        batch.writes.push(Write::Put { kind: Kind::of::<Message>(), row, expected: Expected::Absent });
    }
    cx.store().commit(batch).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_messages_are_marked_merged_and_parted_in_one_go() {
    let (cx, clock) = open().await;
    let (one, two) = (start(&cx, "one").await, start(&cx, "two").await);
    let first = say(&cx, &clock, &one, "hello").await;
    copies(&cx, &first, 5_000).await;
    let last = say(&cx, &clock, &one, "bye").await;
    let read = MarkRead { conversation: one.clone(), user: "otto".into(), up_to: Some(last.id.clone()) };
    assert_eq!(cx.call(read.clone()).await.unwrap(), 5_002);
    assert_eq!(cx.call(read).await.unwrap(), 0);
    let other = say(&cx, &clock, &two, "there").await;
    copies(&cx, &other, 5_100).await;
    let foreign = MarkRead { conversation: one.clone(), user: "otto".into(), up_to: Some(other.id) };
    assert_eq!(cx.call(foreign).await.unwrap_err().field_faults()[0].field, "up_to");
    let merged = cx.call(MergeConversations { into: one.clone(), from: two.clone() }).await.unwrap();
    assert_eq!(merged.messages, 2 + 5_101, "copies at the store are not counted, those that move are");
    let parted = cx.call(UnmergeConversations { from: two.clone() }).await.unwrap();
    assert_eq!(parted.messages, 5_101);
    let read = MarkRead { conversation: two, user: "otto".into(), up_to: None };
    assert_eq!(cx.call(read).await.unwrap(), 5_101);
}

#[tokio::test]
async fn a_question_makes_a_conversation_wait_until_the_next_message() {
    let (cx, clock) = open().await;
    let id = start(&cx, "Order").await;
    let status = async |cx: &Scope| {
        let list = ListConversations { status: Some(ConversationStatus::Pending), ..Default::default() };
        cx.call(list).await.unwrap().items.len()
    };
    let ask = AppendMessage { awaits_reply: true, ..AppendMessage::of(id.clone(), "mila", "Where is it?") };
    cx.call(ask).await.unwrap();
    assert_eq!(status(&cx).await, 1);
    say(&cx, &clock, &id, "Here.").await;
    assert_eq!(status(&cx).await, 0);
}

#[tokio::test]
async fn lists_hold_what_their_filters_say_newest_first() {
    let (cx, clock) = open().await;
    let mut ids = Vec::new();
    for (title, kind, person) in [
        ("a", ConversationKind::Support, Some("per_1")),
        ("b", ConversationKind::Planning, None),
        ("c", ConversationKind::Support, None),
        ("d", ConversationKind::AdHoc, Some("per_1")),
    ] {
        clock.advance(Duration::from_millis(10));
        let begin = StartConversation {
            kind,
            title: title.into(),
            person: person.map(Into::into),
            ..Default::default()
        };
        ids.push(cx.call(begin).await.unwrap().id);
    }
    say(&cx, &clock, &ids[0], "again").await;
    cx.call(CloseConversation { conversation: ids[2].clone() }).await.unwrap();
    let titles = async |list: ListConversations| {
        let page = cx.call(list).await.unwrap();
        (page.items.iter().map(|c| c.title.as_str()).collect::<String>(), page.next)
    };
    let all = ListConversations::default;
    assert_eq!(titles(all()).await.0, "adcb");
    let support = ListConversations { kind: Some(ConversationKind::Support), ..all() };
    assert_eq!(titles(support.clone()).await.0, "ac");
    assert_eq!(titles(ListConversations { person: Some("per_1".into()), ..all() }).await.0, "ad");
    let closed = Some(ConversationStatus::Closed);
    assert_eq!(titles(ListConversations { status: closed, ..support.clone() }).await.0, "c");
    let (first, next) = titles(ListConversations { limit: Some(3), ..all() }).await;
    assert_eq!(first, "adc");
    assert_eq!(titles(ListConversations { limit: Some(3), cursor: next, ..all() }).await, ("b".into(), None));
    let both = ListConversations { person: Some("per_1".into()), ..support };
    assert_eq!(cx.call(both).await.unwrap_err().field_faults()[0].field, "person");
}

/// The events of these types, with what they are about and say.
async fn told(cx: &Scope, kinds: &[&str], cursor: Option<String>) -> (Vec<Event>, String) {
    let filter = Filter::types(kinds.iter().map(|kind| (*kind).to_owned()));
    let page = cx.call(SubscribeEvents { filter, cursor, ..Default::default() }).await.unwrap();
    (page.items.into_iter().map(|item| item.event).collect(), page.cursor)
}

#[tokio::test]
async fn talk_and_memory_tell_what_happened_without_its_words() {
    use crate::{AddMemory, ConfirmMemory, ForgetMemory, MemorySubject, RetractMemory, SourceLabel};
    let (cx, clock) = open().await;
    let kinds = [
        "conversation.started",
        "conversation.closed",
        "message.added",
        "memory.added",
        "memory.confirmed",
        "memory.retracted",
        "memory.forgotten",
    ];
    let (_, cursor) = told(&cx, &kinds, None).await;
    let id = start(&cx, "A secret title").await;
    let message = say(&cx, &clock, &id, "Secret words").await;
    cx.call(CloseConversation { conversation: id.clone() }).await.unwrap();
    cx.call(CloseConversation { conversation: id.clone() }).await.unwrap();
    let add = AddMemory {
        subject: MemorySubject::brand("acme"),
        text: "A secret fact".into(),
        source_event: "run-1".into(),
        ..Default::default()
    };
    let memory = cx.call(add).await.unwrap().memory.unwrap().id;
    let confirm = ConfirmMemory {
        memory: memory.clone(),
        source_event: "run-2".into(),
        source_label: SourceLabel::FirstParty,
    };
    cx.call(confirm).await.unwrap();
    cx.call(RetractMemory { memory: memory.clone() }).await.unwrap();
    cx.call(ForgetMemory { memory: Some(memory.clone()), subject: None }).await.unwrap();
    let (events, _) = told(&cx, &kinds, Some(cursor)).await;
    let of = |state: &str| serde_json::json!({ "subject_kind": "brand", "kind": "fact", "state": state });
    let expected = [
        ("conversation.started", id.as_str(), serde_json::json!({ "kind": "ad_hoc", "status": "open" })),
        ("message.added", message.id.as_str(), serde_json::json!({ "conversation": id, "role": "user" })),
        ("conversation.closed", id.as_str(), serde_json::json!({ "kind": "ad_hoc", "status": "closed" })),
        ("memory.added", memory.as_str(), of("quarantined")),
        ("memory.confirmed", memory.as_str(), of("active")),
        ("memory.retracted", memory.as_str(), of("retracted")),
        ("memory.forgotten", memory.as_str(), serde_json::json!({})),
    ];
    assert_eq!(events.len(), expected.len(), "{events:?}");
    for (event, (kind, about, data)) in events.iter().zip(expected) {
        assert_eq!((event.kind.as_str(), event.subject_id.as_str(), &event.data), (kind, about, &data));
    }
}
