//! Whom talk is about: what an export of a person gathers, and what an erasure leaves.

use std::collections::BTreeSet;

use neonhub_core::store::{Batch, Expected, Item, Kind, Write};

use super::*;
use crate::{AddMemory, MemorySubject, SourceLabel};

const JANE: &str = "per_01kaf3w0000000000000000000";

/// All stored bodies, and the records that are about a person.
async fn stored(cx: &Scope, person: &str) -> (Vec<String>, Vec<(Kind, String)>) {
    let (mut snapshot, mut bodies, mut own) = (cx.store().snapshot().await.unwrap(), Vec::new(), Vec::new());
    loop {
        let page = snapshot.next().await.unwrap();
        if page.is_empty() {
            return (bodies, own);
        }
        for item in page {
            let Item::Record(record) = item else { continue };
            bodies.push(record.body.clone());
            let kind = *cx.hub().kinds().iter().find(|kind| kind.name == record.kind).unwrap();
            let row = record.into_row().unwrap();
            if kind.personal(&row).unwrap().iter().any(|id| id == person) {
                own.push((kind, row.id));
            }
        }
    }
}

#[tokio::test]
async fn an_export_has_the_talk_of_a_person_and_an_erasure_leaves_none_of_it() {
    let (cx, clock) = open().await;
    let with = StartConversation { title: "Order".into(), person: Some(JANE.into()), ..Default::default() };
    let with = cx.call(with).await.unwrap().id;
    let open = start(&cx, "Open talk").await;
    for n in 0..30 {
        say(&cx, &clock, &with, &format!("{n}: my vermilion parcel is late, {}", "so very late ".repeat(8)))
            .await;
    }
    say(&cx, &clock, &open, "Where is my blue parcel?").await;
    clock.advance(Duration::from_millis(10));
    cx.call(AppendMessage::of(open.clone(), JANE, "Mine was vermilion.")).await.unwrap();
    let ask = SummarizeConversation { conversation: with.clone(), thread: None, budget_tokens: Some(400) };
    assert!(cx.call(ask).await.unwrap().folded > 0);
    let memory = AddMemory {
        subject: MemorySubject::person(JANE),
        text: "Waits for a vermilion parcel.".into(),
        source_label: SourceLabel::FirstParty,
        source_event: "order".into(),
        consent_basis: Some("contract".into()),
        ..Default::default()
    };
    cx.call(memory).await.unwrap();
    cx.work_until_idle().await.unwrap();
    assert_eq!(found(&cx, "parcel").await.len(), 10);

    let (bodies, own) = stored(&cx, JANE).await;
    let kinds: BTreeSet<&str> = own.iter().map(|(kind, _)| kind.name).collect();
    let all = ["conversation", "conversation_summary", "memory", "message", "message_embedding"];
    assert_eq!(Vec::from_iter(kinds), all);
    assert_eq!(own.iter().filter(|(kind, _)| kind.name == "message").count(), 31);
    assert!(bodies.iter().any(|body| body.contains("vermilion")));

    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    batch.writes.extend(own.into_iter().map(|(kind, id)| Write::Delete {
        kind,
        id,
        expected: Expected::Any,
    }));
    cx.store().commit(batch).await.unwrap();
    let (bodies, own) = stored(&cx, JANE).await;
    assert!(own.is_empty());
    assert!(bodies.iter().all(|body| !body.contains("vermilion")), "a text outlived its person");
    assert_eq!(found(&cx, "vermilion parcel").await, ["Where is my blue parcel?"]);
    let like = SimilarConversations { text: Some("a late parcel".into()), ..Default::default() };
    assert_eq!(cx.call(like).await.unwrap().len(), 1);
}

/// Takes a message out of the store while it is embedded.
#[derive(Debug, Default)]
struct Erasing {
    of: std::sync::OnceLock<(Scope, String)>,
}

#[async_trait::async_trait]
impl crate::Embedder for Erasing {
    fn id(&self) -> &str {
        "erasing-2"
    }
    fn dims(&self) -> usize {
        2
    }
    fn max_batch(&self) -> usize {
        10
    }
    async fn embed(&self, texts: &[&str], _: crate::EmbedKind) -> neonhub_core::Result<Vec<Vec<f32>>> {
        if let Some((cx, id)) = self.of.get() {
            let mut batch = Batch::new(cx.workspace().clone(), cx.now());
            let (kind, id) = (Kind::of::<Message>(), id.clone());
            batch.writes.push(Write::Delete { kind, id, expected: Expected::Any });
            cx.store().commit(batch).await?;
        }
        Ok(texts.iter().map(|_| vec![1.0, 0.0]).collect())
    }
}

#[tokio::test]
async fn a_message_that_is_erased_while_it_is_embedded_leaves_no_vector() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    let embedder = Arc::new(Erasing::default());
    let knowledge = crate::Knowledge::new()
        .embedder_added(Arc::clone(&embedder) as Arc<dyn crate::Embedder>)
        .with_default("erasing-2");
    let builder = Hub::builder().clock(clock.clone()).seed(1);
    let hub = crate::install_with(builder, knowledge).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let id = start(&cx, "Order").await;
    let gone = say(&cx, &clock, &id, "My vermilion parcel").await;
    let stays = say(&cx, &clock, &id, "My blue parcel").await;
    embedder.of.set((cx.clone(), gone.id.to_string())).unwrap();
    for _ in 0..10 {
        cx.work_until_idle().await.unwrap();
        clock.advance(Duration::from_secs(600));
    }
    assert!(cx.get::<MessageEmbedding>(gone.id.as_str()).await.unwrap().is_none());
    assert!(cx.get::<MessageEmbedding>(stays.id.as_str()).await.unwrap().is_some());
}
