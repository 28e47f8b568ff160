use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use neonhub_core::seal::RootKey;
use neonhub_core::{Error, ErrorKind, Hub, ManualClock, Result, Retry, Scope, Timestamp};

use super::*;
use crate::{
    AddMemory, AppendMessage, ConversationId, CreateSpace, MemorySubject, MigrateSpace, MigrationPlan,
    RememberedAs, SearchMemory, SimilarConversations, SourceLabel, StartConversation, install_with,
};

/// Knows what parcels and deliveries have in common. Keeps the texts it answered for, and can be out of order.
#[derive(Debug, Default)]
struct Meaning {
    asked: Mutex<Vec<String>>,
    /// Numbers of the batches that it fails on, counted down.
    fails_at: Mutex<Vec<usize>>,
}

#[async_trait]
impl Embedder for Meaning {
    fn id(&self) -> &str {
        "meaning-2"
    }
    fn dims(&self) -> usize {
        2
    }
    fn max_batch(&self) -> usize {
        50
    }
    async fn embed(&self, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
        if kind == EmbedKind::Passage {
            let mut fails_at = self.fails_at.lock().unwrap();
            let is_out = fails_at.contains(&0);
            *fails_at = fails_at.iter().filter_map(|left| left.checked_sub(1)).collect();
            if is_out {
                let error = Error::new(ErrorKind::Unavailable, "meaning.embed", "out of order");
                return Err(error.with_retry(Retry::Backoff));
            }
            self.asked.lock().unwrap().extend(texts.iter().map(|&text| text.to_owned()));
        }
        let is_post = |text: &str| ["parcel", "delivery"].iter().any(|word| text.contains(word));
        Ok(texts.iter().map(|text| if is_post(text) { vec![1.0, 0.0] } else { vec![0.0, 1.0] }).collect())
    }
}

async fn open(url: &str, embedder: Option<&Arc<Meaning>>) -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    let mut knowledge = Knowledge::new();
    if let Some(embedder) = embedder {
        knowledge = knowledge.embedder_added(Arc::clone(embedder) as _).with_default("meaning-2");
    }
    let key = RootKey::from_bytes([7; 32], "test");
    let builder = Hub::builder().store(url).root_key(key).clock(clock.clone()).seed(1);
    let hub = install_with(builder, knowledge).build().await.unwrap();
    (hub.workspace("default").await.unwrap(), clock)
}

fn said(text: &str) -> AddMemory {
    AddMemory {
        subject: MemorySubject::brand("acme"),
        text: text.into(),
        source_label: SourceLabel::FirstParty,
        source_event: text.into(),
        ..Default::default()
    }
}

async fn recalled(cx: &Scope, query: &str) -> Vec<String> {
    let search = SearchMemory {
        subject: MemorySubject::brand("acme"),
        query: Some(query.into()),
        k: Some(1),
        ..Default::default()
    };
    cx.call(search).await.unwrap().into_iter().map(|hit| hit.memory.text).collect()
}

async fn like(cx: &Scope, what: SimilarConversations) -> Vec<(String, bool)> {
    let hits = cx.call(SimilarConversations { k: Some(1), ..what }).await.unwrap();
    hits.into_iter().map(|hit| (hit.conversation.title, hit.score > 0.99)).collect()
}

fn text(text: &str) -> SimilarConversations {
    SimilarConversations { text: Some(text.into()), ..Default::default() }
}

fn of(id: &ConversationId) -> SimilarConversations {
    SimilarConversations { conversation: Some(id.clone()), ..Default::default() }
}

async fn start(cx: &Scope, title: &str, text: &str) -> ConversationId {
    let id = cx.call(StartConversation { title: title.into(), ..Default::default() }).await.unwrap().id;
    cx.call(AppendMessage::of(id.clone(), "mila", text)).await.unwrap();
    id
}

async fn state(cx: &Scope) -> (String, Stage) {
    let renewal = cx.get::<Renewal>(ID).await.unwrap().unwrap().body;
    (renewal.embedder, renewal.stage)
}

#[tokio::test]
async fn what_an_earlier_default_embedded_is_found_by_words_and_after_a_move_by_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let (cx, _) = open(&url, None).await;
    cx.call(CreateSpace { name: "docs".into(), ..Default::default() }).await.unwrap();
    cx.call(said("The parcel goes by bicycle.")).await.unwrap();
    cx.call(said("Our tone is warm.")).await.unwrap();
    let parcel = start(&cx, "Late", "My parcel is late").await;
    let tone = start(&cx, "Tone", "The letter is warm").await;
    cx.work_until_idle().await.unwrap();
    assert_eq!(state(&cx).await, ("offline-hash-512".into(), Stage::Done), "nothing is to be done");
    cx.hub().close().await.unwrap();

    let meaning = Arc::new(Meaning::default());
    let (cx, _) = open(&url, Some(&meaning)).await;
    for _ in 0..2 {
        assert_eq!(recalled(&cx, "bicycle").await, ["The parcel goes by bicycle."]);
        assert!(recalled(&cx, "delivery").await.is_empty(), "no word of it");
        assert_eq!(like(&cx, text("a late \"parcel")).await[0].0, "Late");
        assert_eq!(like(&cx, text("delivery")).await, []);
        // The next round is after a dry run, which changes nothing.
        let plan = cx.call(migrate(true)).await.unwrap();
        assert_eq!((plan.memories, plan.messages, plan.job), (2, 2, None));
    }
    let again = cx.call(said("Our tone is warm!")).await.unwrap();
    assert_eq!(again.outcome, RememberedAs::Reinforced, "nothing is kept twice meanwhile");
    // What is new is compared by meaning, what waits by words.
    let new = start(&cx, "New", "A letter with warm words").await;
    assert_eq!(like(&cx, of(&new)).await[0].0, "Tone");

    let plan: MigrationPlan = cx.call(migrate(false)).await.unwrap();
    assert!(plan.job.is_some());
    cx.work_until_idle().await.unwrap();
    assert_eq!(state(&cx).await, ("meaning-2".into(), Stage::Done));
    assert_eq!(recalled(&cx, "delivery").await, ["The parcel goes by bicycle."]);
    assert_eq!(like(&cx, text("delivery")).await, [("Late".into(), true)]);
    assert_eq!(like(&cx, of(&tone)).await, [("New".into(), true)]);
    assert!(like(&cx, of(&parcel)).await.iter().all(|(title, is_same)| title != "Late" && !is_same));
    let plan = cx.call(migrate(false)).await.unwrap();
    assert_eq!((plan.memories, plan.messages, plan.job), (0, 0, None), "twice is once");
    assert_eq!(meaning.asked.lock().unwrap().iter().filter(|text| *text == "My parcel is late").count(), 1);
}

fn migrate(dry_run: bool) -> MigrateSpace {
    MigrateSpace { space: "docs".into(), embedder: "meaning-2".into(), dry_run }
}

#[tokio::test]
async fn a_message_under_a_new_default_starts_the_move_and_a_failure_costs_no_vector_twice() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let (cx, clock) = open(&url, None).await;
    for n in 0..(PAGE + 120) {
        clock.advance(Duration::from_millis(1));
        let subject = MemorySubject::brand(format!("brand-{n}"));
        cx.call(AddMemory { subject, ..said(&format!("Fact {n}")) }).await.unwrap();
    }
    cx.hub().close().await.unwrap();
    let meaning = Arc::new(Meaning::default());
    let (cx, clock) = open(&url, Some(&meaning)).await;
    // The message is embedded; the first batch of memories is not, and later one in the middle of a page.
    *meaning.fails_at.lock().unwrap() = vec![1, 3];
    start(&cx, "Tone", "The letter is warm").await;
    cx.work_until_idle().await.unwrap();
    assert_eq!(state(&cx).await, ("meaning-2".into(), Stage::Memories), "it waits for the next try");
    assert_eq!(*meaning.asked.lock().unwrap(), ["The letter is warm"]);
    for _ in 0..20 {
        clock.advance(Duration::from_secs(600));
        cx.work_until_idle().await.unwrap();
    }
    assert_eq!(state(&cx).await, ("meaning-2".into(), Stage::Done));
    assert_eq!(Lacking::count(&cx, "meaning-2").await.unwrap(), Lacking::default());
    let mut asked = meaning.asked.lock().unwrap().clone();
    let all = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!((all, asked.len()), (PAGE + 121, PAGE + 121), "each text was embedded once");
}
