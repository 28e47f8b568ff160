//! References between records through the hub: a removal too large for one commit goes on in a durable job.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside #[test] functions")]

use neonhub_core::job::{Job, JobState};
use neonhub_core::op::{CallOptions, Effect, Entry, Operation, entry};
use neonhub_core::store::{CASCADE_LIMIT, Expected, Index, Key, Kind, Query, Record, Ref, Tombstone};
use neonhub_core::{Hub, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shelf {
    id: String,
}

impl Record for Shelf {
    const KIND: &'static str = "test_shelf";
    fn id(&self) -> &str {
        &self.id
    }
}

/// Goes with its shelf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Book {
    id: String,
    shelf: String,
}

impl Record for Book {
    const KIND: &'static str = "test_book";
    const INDEXES: &'static [Index] = &[Index::on("shelf")];
    const REFS: &'static [Ref] = &[Ref::cascade(Shelf::KIND, "shelf")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.shelf))]
    }
}

/// Names a book, and may keep one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    id: String,
    book: Option<String>,
    keeps: Option<String>,
}

impl Record for Note {
    const KIND: &'static str = "test_note";
    const INDEXES: &'static [Index] = &[Index::on("book"), Index::on("keeps")];
    const REFS: &'static [Ref] = &[Ref::detach(Book::KIND, "book"), Ref::restrict(Book::KIND, "keeps")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        [&self.book, &self.keeps].map(|id| id.as_ref().map(Key::text)).into()
    }
    fn detach(&mut self, _index: &str) {
        self.book = None;
    }
}

static KINDS: &[Kind] = &[Kind::of::<Shelf>(), Kind::of::<Book>(), Kind::of::<Note>()];

/// Puts books on a shelf, and a note on the first of them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct PutBooks {
    shelf: String,
    from: usize,
    to: usize,
}

impl Operation for PutBooks {
    type Output = u32;
    const NAME: &'static str = "test.put_books";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<u32> {
        if cx.get::<Shelf>(&self.shelf).await?.is_none() {
            cx.create(&Shelf { id: self.shelf.clone() })?;
        }
        let name = |n: usize| format!("{}{n:05}", self.shelf);
        for n in self.from..self.to {
            cx.create(&Book { id: name(n), shelf: self.shelf.clone() })?;
        }
        cx.create(&Note { id: format!("on-{}", name(self.from)), book: Some(name(self.from)), keeps: None })?;
        Ok(0)
    }
}

/// Removes a shelf.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct RemoveShelf {
    shelf: String,
}

impl Operation for RemoveShelf {
    type Output = u32;
    const NAME: &'static str = "test.remove_shelf";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<u32> {
        let shelf = cx.need::<Shelf>(&self.shelf).await?;
        cx.delete::<Shelf>(&self.shelf, Expected::Rev(shelf.rev))?;
        Ok(0)
    }
}

/// Makes a note that keeps a book, or drops it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct KeepBook {
    book: Option<String>,
}

impl Operation for KeepBook {
    type Output = u32;
    const NAME: &'static str = "test.keep_book";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<u32> {
        match self.book {
            Some(book) => cx.create(&Note { id: "keeper".into(), book: None, keeps: Some(book) })?,
            None => cx.delete::<Note>("keeper", Expected::Any)?,
        }
        Ok(0)
    }
}

static CATALOGUE: &[Entry] = &[entry::<PutBooks>(), entry::<RemoveShelf>(), entry::<KeepBook>()];

/// Shelf `a` with one book more than one commit removes, and shelf `b` with one.
async fn filled(url: &str) -> (Hub, Scope) {
    let hub = Hub::builder().kinds(KINDS).operations(CATALOGUE).store(url).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    for from in (0..CASCADE_LIMIT).step_by(2_500) {
        cx.call(PutBooks { shelf: "a".into(), from, to: from + 2_500 }).await.unwrap();
    }
    cx.call(PutBooks { shelf: "a".into(), from: CASCADE_LIMIT, to: CASCADE_LIMIT + 1 }).await.unwrap();
    cx.call(PutBooks { shelf: "b".into(), from: 0, to: 1 }).await.unwrap();
    (hub, cx)
}

async fn books(cx: &Scope) -> u64 {
    cx.count::<Book>(&Query::by_id()).await.unwrap()
}

async fn a_large_removal_goes_on_in_a_job(url: &str) {
    let (hub, cx) = filled(url).await;
    cx.call(RemoveShelf { shelf: "a".into() }).await.unwrap();
    assert!(cx.get::<Shelf>("a").await.unwrap().is_none(), "the record goes first");
    assert_eq!(books(&cx).await, CASCADE_LIMIT as u64 + 2);
    assert!(cx.get::<Tombstone>("test_shelf/a").await.unwrap().is_some());
    // Under its id nothing is made meanwhile.
    let error = cx.call(PutBooks { shelf: "a".into(), from: 20_000, to: 20_001 }).await.unwrap_err();
    assert_eq!(error.code(), "tombstoned", "{error}");
    cx.work_until_idle().await.unwrap();
    assert_eq!(books(&cx).await, 1);
    assert!(cx.get::<Tombstone>("test_shelf/a").await.unwrap().is_none());
    let notes = cx.query::<Note>(&Query::by_id()).await.unwrap();
    assert_eq!(notes.len(), 6);
    assert_eq!(notes.iter().filter(|n| n.book.is_some()).count(), 1, "those of the other shelf stay");
    cx.call(PutBooks { shelf: "a".into(), from: 20_000, to: 20_001 }).await.unwrap();
    // What fits into one commit needs no job.
    cx.call(RemoveShelf { shelf: "a".into() }).await.unwrap();
    assert_eq!((books(&cx).await, cx.count::<Tombstone>(&Query::by_id()).await.unwrap()), (1, 0));
    hub.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_removal_goes_on_in_a_job_in_memory() {
    a_large_removal_goes_on_in_a_job("memory:").await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn a_large_removal_goes_on_in_a_job_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    a_large_removal_goes_on_in_a_job(&dir.path().join("a.neon").to_string_lossy()).await;
}

/// The job ends as a dead letter that names who holds on, and its retry ends it once that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_holds_on_far_below_is_named_by_the_job() {
    let (_hub, cx) = filled("memory:").await;
    cx.call(KeepBook { book: Some("a09999".into()) }).await.unwrap();
    cx.call(RemoveShelf { shelf: "a".into() }).await.unwrap();
    cx.work_until_idle().await.unwrap();
    assert!(cx.get::<Book>("a09999").await.unwrap().is_some());
    assert!(cx.get::<Tombstone>("test_shelf/a").await.unwrap().is_some());
    let jobs = cx.query::<Job>(&Query::by_id().limit(500)).await.unwrap();
    let dead = jobs.into_iter().find(|j| j.name == "store.cascade").unwrap();
    assert_eq!(dead.state, JobState::Dead);
    assert_eq!(dead.error.as_ref().map(|e| e.code.as_str()), Some("restricted"));
    cx.call(KeepBook { book: None }).await.unwrap();
    let again = serde_json::json!({ "queue": "system" });
    cx.call_by_name("jobs.retry_dead", again, CallOptions::default()).await.unwrap();
    cx.work_until_idle().await.unwrap();
    assert_eq!(books(&cx).await, 1);
    assert!(cx.get::<Tombstone>("test_shelf/a").await.unwrap().is_none());
}
