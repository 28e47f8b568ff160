use std::sync::Arc;
use std::time::Duration;

use neonhub_core::{ErrorKind, Hub, ManualClock, Permission, PermissionSet, Scope, Timestamp};

use super::*;

mod many;
mod personal;
#[cfg(feature = "postgres")]
mod server;
mod summary;

async fn open() -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    let hub = crate::install(Hub::builder().clock(clock.clone()).seed(1)).build().await.unwrap();
    (hub.workspace("default").await.unwrap(), clock)
}

async fn start(cx: &Scope, title: &str) -> ConversationId {
    cx.call(StartConversation { title: title.into(), ..Default::default() }).await.unwrap().id
}

async fn say(cx: &Scope, clock: &ManualClock, id: &ConversationId, text: &str) -> Message {
    clock.advance(Duration::from_millis(10));
    cx.call(AppendMessage::of(id.clone(), "mila", text)).await.unwrap()
}

async fn texts(cx: &Scope, id: &ConversationId) -> Vec<String> {
    let get = GetConversation {
        conversation: id.clone(),
        thread: None,
        newest_first: false,
        limit: None,
        cursor: None,
    };
    cx.call(get).await.unwrap().messages.iter().map(Message::text).collect()
}

async fn found(cx: &Scope, query: &str) -> Vec<String> {
    let hits = cx.call(SearchConversations { query: query.into(), ..Default::default() }).await.unwrap();
    hits.into_iter().map(|h| h.message.text()).collect()
}

#[tokio::test]
async fn messages_stand_in_order_with_threads_and_read_marks() {
    let (cx, clock) = open().await;
    let id = start(&cx, "Launch").await;
    let first = say(&cx, &clock, &id, "When do we launch?").await;
    say(&cx, &clock, &id, "And where?").await;
    clock.advance(Duration::from_millis(10));
    let mut answer = AppendMessage::of(id.clone(), "bot", "On the ninth.");
    answer.role = MessageRole::Assistant;
    answer.reply_to_id = Some(first.id.clone());
    let answer = cx.call(answer).await.unwrap();
    assert_eq!((answer.thread_id.as_ref(), answer.taint), (Some(&first.id), neonhub_core::llm::Taint::Model));
    assert_eq!(texts(&cx, &id).await, ["When do we launch?", "And where?", "On the ninth."]);
    let thread = GetConversation {
        conversation: id.clone(),
        thread: Some(first.id.clone()),
        newest_first: true,
        limit: None,
        cursor: None,
    };
    let thread = cx.call(thread).await.unwrap();
    assert_eq!(thread.messages.iter().map(|m| &m.id).collect::<Vec<_>>(), [&answer.id, &first.id]);
    assert_eq!(thread.conversation.messages, 3);
    let read = MarkRead { conversation: id.clone(), user: "otto".into(), up_to: Some(first.id.clone()) };
    assert_eq!(cx.call(read.clone()).await.unwrap(), 1);
    assert_eq!(cx.call(MarkRead { up_to: None, ..read.clone() }).await.unwrap(), 2);
    assert_eq!(cx.call(MarkRead { user: "mila".into(), up_to: None, ..read }).await.unwrap(), 1);
    let blank = cx.call(AppendMessage::of(id.clone(), "mila", " \n")).await.unwrap_err();
    assert_eq!(blank.field_faults()[0].field, "parts");
    let wrong = AppendMessage {
        reply_to_id: "msg_01kaf3w0000000000000000000".parse().ok(),
        ..AppendMessage::of(id, "a", "b")
    };
    assert!(cx.call(wrong).await.unwrap_err().field_faults().iter().any(|f| f.field == "reply_to_id"));
}

#[tokio::test]
async fn words_find_at_once_and_meaning_after_the_job() {
    let (cx, clock) = open().await;
    let late = start(&cx, "Late parcel").await;
    let tone = start(&cx, "Tone").await;
    say(&cx, &clock, &late, "My parcel is three weeks late and nobody answers").await;
    say(&cx, &clock, &tone, "We want a warm tone for the spring letter").await;
    assert_eq!(found(&cx, "parcels").await, ["My parcel is three weeks late and nobody answers"]);
    let hits = cx
        .call(SimilarConversations { text: Some("a late parcel".into()), ..Default::default() })
        .await
        .unwrap();
    assert!(hits.is_empty(), "nothing is embedded yet");
    assert_eq!(cx.work_until_idle().await.unwrap().done, 2);
    let hits = cx
        .call(SimilarConversations { text: Some("a late parcel".into()), ..Default::default() })
        .await
        .unwrap();
    assert_eq!(hits[0].conversation.id, late);
    assert_eq!(hits[0].messages.len(), 1);
}

#[tokio::test]
async fn likeness_is_the_mean_of_the_three_nearest_without_the_own_and_the_forbidden() {
    let (cx, clock) = open().await;
    let asked = start(&cx, "asked").await;
    say(&cx, &clock, &asked, "The parcel from the spring order is late").await;
    let near = start(&cx, "near").await;
    for text in ["My parcel of the order is late", "The spring order is late", "Where is the parcel"] {
        say(&cx, &clock, &near, text).await;
    }
    let half = start(&cx, "half").await;
    for text in
        ["The parcel of the spring order is late", "Lovely weather over here", "Thank you and goodbye"]
    {
        say(&cx, &clock, &half, text).await;
    }
    let secret = StartConversation {
        title: "secret".into(),
        person: Some("per_1".into()),
        kind: ConversationKind::Support,
        ..Default::default()
    };
    let secret = cx.call(secret).await.unwrap().id;
    say(&cx, &clock, &secret, "The parcel from the spring order is late").await;
    cx.work_until_idle().await.unwrap();
    let like = SimilarConversations { conversation: Some(asked.clone()), ..Default::default() };
    let titles =
        |hits: Vec<ConversationHit>| hits.into_iter().map(|h| h.conversation.title).collect::<Vec<_>>();
    assert_eq!(titles(cx.call(like.clone()).await.unwrap()), ["secret", "near", "half"]);
    let agent = cx.for_agent("helper", "run_1", PermissionSet::of(&[Permission::ReadContent]));
    assert_eq!(titles(agent.call(like).await.unwrap()), ["near", "half"]);
    let search = SearchConversations { query: "late parcel".into(), ..Default::default() };
    assert!(agent.call(search).await.unwrap().iter().all(|h| h.title != "secret"));
    let get = GetConversation {
        conversation: secret,
        thread: None,
        newest_first: false,
        limit: None,
        cursor: None,
    };
    assert_eq!(agent.call(get).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(
        agent.call(ListConversations::default()).await.unwrap().items.iter().all(|c| c.title != "secret")
    );
    assert!(cx.call(SimilarConversations::default()).await.is_err());
}

#[tokio::test]
async fn merging_keeps_ids_and_order_and_can_be_undone() {
    let (cx, clock) = open().await;
    let (one, two) = (start(&cx, "one").await, start(&cx, "two").await);
    for n in 0..4 {
        say(&cx, &clock, if n % 2 == 0 { &one } else { &two }, &format!("message {n}")).await;
    }
    cx.work_until_idle().await.unwrap();
    let merge = MergeConversations { into: one.clone(), from: two.clone() };
    let merged = cx.call(merge.clone()).await.unwrap();
    assert_eq!(merged.messages, 4);
    assert_eq!(cx.call(merge).await.unwrap().messages, 4, "twice is once");
    assert_eq!(texts(&cx, &one).await, ["message 0", "message 1", "message 2", "message 3"]);
    assert_eq!(cx.call(ListConversations::default()).await.unwrap().items.len(), 1);
    let late = cx.call(AppendMessage::of(two.clone(), "mila", "too late")).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let found = cx.call(SearchConversations { query: "message".into(), ..Default::default() }).await.unwrap();
    assert!(found.iter().all(|h| h.title == "one") && found.len() == 4);
    assert_eq!(cx.call(UnmergeConversations { from: two.clone() }).await.unwrap().messages, 2);
    assert_eq!(texts(&cx, &one).await, ["message 0", "message 2"]);
    assert_eq!(texts(&cx, &two).await, ["message 1", "message 3"]);
    cx.call(CloseConversation { conversation: two.clone() }).await.unwrap();
    let open = ListConversations { status: Some(ConversationStatus::Open), ..Default::default() };
    assert_eq!(cx.call(open).await.unwrap().items.len(), 1);
    assert!(cx.call(MergeConversations { into: one.clone(), from: one }).await.is_err());
}

#[tokio::test]
async fn a_search_behind_a_trimmed_feed_reads_everything_anew() {
    let (cx, clock) = open().await;
    let id = start(&cx, "Launch").await;
    say(&cx, &clock, &id, "My parcel is late").await;
    assert_eq!(found(&cx, "parcel").await.len(), 1);
    let before = cx.store().seq().await.unwrap();
    say(&cx, &clock, &id, "The second parcel is late as well").await;
    say(&cx, &clock, &id, "And the third parcel").await;
    cx.store().trim_feed(u64::MAX).await.unwrap();
    assert_eq!(cx.store().changes(before, 10).await.unwrap_err().code(), "cursor_expired");
    assert_eq!(found(&cx, "parcel").await.len(), 3);
}
