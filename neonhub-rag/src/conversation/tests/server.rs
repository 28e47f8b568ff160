//! Messages on a PostgreSQL server: words and vectors stand in tables there, shared by all processes.

use neonhub_core::seal::RootKey;
use neonhub_core::store::conformance::postgres::database;

use super::*;
use crate::space::CompactKnowledge;

async fn at(url: &str) -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    // A store on a server has no key file beside it.
    let key = RootKey::from_bytes([7; 32], "test");
    let builder = Hub::builder().store(url).root_key(key).clock(clock.clone()).seed(1);
    let hub = crate::install(builder).build().await.unwrap();
    (hub.workspace("default").await.unwrap(), clock)
}

async fn rows(url: &str) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let text = "SELECT id || (embedding IS NOT NULL)::text FROM neonhub._passage WHERE space = 'messages' ORDER BY id";
    client.query(text, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn like(cx: &Scope, text: &str) -> Vec<String> {
    let like = SimilarConversations { text: Some(text.into()), ..Default::default() };
    cx.call(like).await.unwrap().into_iter().map(|hit| hit.conversation.title).collect()
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn messages_are_searched_in_tables_that_processes_share() {
    let url = database("rag_messages").await;
    let (first, clock) = at(&url).await;
    let (second, _) = at(&url).await;
    let (late, tone) = (start(&first, "Late parcel").await, start(&first, "Tone").await);
    say(&first, &clock, &late, "My parcel is three weeks late and nobody answers").await;
    say(&first, &clock, &tone, "We want a warm tone for the spring letter").await;
    for cx in [&first, &second] {
        assert_eq!(found(cx, "parcels").await, ["My parcel is three weeks late and nobody answers"]);
        assert!(like(cx, "a late parcel").await.is_empty(), "nothing is embedded yet");
    }
    first.work_until_idle().await.unwrap();
    assert_eq!(like(&second, "a late parcel").await[0], "Late parcel");
    assert_eq!(like(&first, "a late parcel").await[0], "Late parcel");
    let of = SimilarConversations { conversation: Some(late.clone()), ..Default::default() };
    assert!(second.call(of).await.unwrap().iter().all(|hit| hit.conversation.id != late));
    let before = rows(&url).await;
    assert!(before.len() == 2 && before.iter().all(|row| row.ends_with("true")), "{before:?}");

    // What one process says the other one finds, and filters hold.
    say(&second, &clock, &tone, "A warm parcel tape").await;
    assert_eq!(found(&first, "parcel").await.len(), 2);
    let only = SearchConversations {
        query: "parcel".into(),
        conversation: Some(tone.clone()),
        ..Default::default()
    };
    assert_eq!(first.call(only).await.unwrap().len(), 1);

    // A message that moves is found where it stands, and a compaction keeps the rows.
    first.call(MergeConversations { into: late.clone(), from: tone.clone() }).await.unwrap();
    let hits = second.call(SearchConversations { query: "tape".into(), ..Default::default() }).await.unwrap();
    assert_eq!(hits[0].title, "Late parcel");
    second.call(UnmergeConversations { from: tone }).await.unwrap();
    first.call(CompactKnowledge::default()).await.unwrap();
    assert_eq!(rows(&url).await.len(), 3);
    assert_eq!(found(&first, "tape").await, ["A warm parcel tape"]);

    // The next process goes on with what is there.
    let kept = rows(&url).await;
    first.hub().close().await.unwrap();
    second.hub().close().await.unwrap();
    let (third, _) = at(&url).await;
    assert_eq!(found(&third, "warm tone").await[0], "We want a warm tone for the spring letter");
    assert_eq!(rows(&url).await, kept);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn who_may_not_read_about_people_finds_none_of_their_messages() {
    let (cx, clock) = at(&database("rag_messages_people").await).await;
    let secret = StartConversation {
        title: "secret".into(),
        person: Some("per_1".into()),
        kind: ConversationKind::Support,
        ..Default::default()
    };
    let secret = cx.call(secret).await.unwrap().id;
    let open = start(&cx, "open").await;
    say(&cx, &clock, &secret, "The parcel from the spring order is late").await;
    say(&cx, &clock, &open, "A parcel arrived").await;
    cx.work_until_idle().await.unwrap();
    let agent = cx.for_agent("helper", "run_1", PermissionSet::of(&[Permission::ReadContent]));
    assert_eq!(found(&agent, "parcel").await, ["A parcel arrived"]);
    assert_eq!(like(&agent, "a late parcel of spring").await, ["open"]);
    assert_eq!(found(&cx, "parcel").await.len(), 2);
}
