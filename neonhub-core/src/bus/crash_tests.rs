//! Streams and events across a process that dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::tests::{Talker, clock, items, publish, scope};
use super::*;
use crate::llm::{Reply, Scripted};
use crate::run::{Driver, NewRun};
use crate::store::{MemoryStore, Query, SharedStore};
use crate::{Clock, Hub, Result, Scope};

/// The model never answers the first time.
#[derive(Debug, Default)]
struct Silent(AtomicU32);

#[async_trait]
impl crate::llm::Llm for Silent {
    fn provider(&self) -> &str {
        "silent"
    }
    fn caps(&self, _model: Option<&str>) -> crate::llm::ModelCaps {
        Scripted::new().caps(None)
    }
    fn count(&self, request: &crate::llm::LlmRequest) -> Result<crate::llm::TokenCount> {
        Scripted::new().count(request)
    }
    async fn call(&self, request: crate::llm::LlmRequest) -> Result<crate::llm::DeltaStream> {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            std::future::pending::<()>().await;
        }
        Scripted::new().reply(Reply::Chunks(vec!["here".into()])).call(request).await
    }
}

#[tokio::test]
async fn the_end_of_a_run_arrives_in_another_process_also_after_a_crash_and_nothing_twice() {
    let (store, clock): (SharedStore, _) = (Arc::new(MemoryStore::new()), clock());
    let model = Arc::new(Silent::default());
    let open = || {
        let key = crate::seal::RootKey::from_bytes([1; 32], "test");
        let builder = Hub::builder().store_backend(Arc::clone(&store)).root_key(key);
        scope(builder.clock(Arc::clone(&clock) as Arc<dyn Clock>).model(Arc::clone(&model) as _))
    };
    let (gone, other) = (open().await, open().await);
    let driver = Driver::new(Talker);
    let run = driver.start(&gone, NewRun::new(json!({}))).await.unwrap();
    let topic = Topic::Run(run.id.clone());
    let mut stream = gone.open_stream(StreamSpec::topics([topic.clone()])).await.unwrap();
    let id = run.id.clone();
    let task = tokio::spawn(async move { Driver::new(Talker).drive(&gone, &id).await });
    while model.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    publish(&other, "between").await;
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first.kind, "queued");
    let cursor = stream.cursor();
    drop(stream);
    task.abort();
    drop(task.await);
    clock.advance(Duration::from_secs(31));
    // A process that died tells nobody; who reads on elsewhere waits, and gets the end of the run that went on there.
    let mut again = other.open_stream(StreamSpec::topics([topic.clone()]).after(cursor)).await.unwrap();
    driver.drive(&other, &run.id).await.unwrap();
    let durable: Vec<String> = again
        .drain(100)
        .await
        .unwrap()
        .into_iter()
        .map(|i| i.kind)
        .filter(|k| !k.starts_with("text"))
        .collect();
    assert_eq!(durable.iter().filter(|k| *k == "completed").count(), 1, "{durable:?}");
    let after = again.cursor();
    drop(again);
    let rest = items(&mut other.open_stream(StreamSpec::topics([topic]).after(after)).await.unwrap()).await;
    assert_eq!(rest, [], "nothing twice");
}

#[tokio::test]
async fn what_is_rolled_back_tells_nothing() {
    let cx = scope(Hub::builder()).await;
    let before = cx.query::<Event>(&Query::by_id().limit(100)).await.unwrap().len();
    let job = cx.staging("test", "lost");
    let event = Event::new(&job, "app.lost", "app", "", json!({}));
    job.emit(event).unwrap();
    // The commit expects what is not so: nothing of it is seen.
    job.expect::<Event>("evt_none", crate::store::Expected::Rev(7)).unwrap();
    job.flush().await.unwrap_err();
    let after = cx.query::<Event>(&Query::by_id().limit(100)).await.unwrap();
    assert_eq!(after.len(), before);
}

/// Tells of each event it takes, in the commit that moves its cursor.
#[derive(Debug)]
struct Copier;

#[async_trait]
impl Subscriber for Copier {
    fn name(&self) -> &'static str {
        "copier"
    }
    fn filter(&self) -> Filter {
        Filter::types(["app.*"])
    }
    async fn handle(&self, cx: &Scope, event: &BusEvent) -> Result<()> {
        // Both processes are inside at once before one of them commits.
        tokio::task::yield_now().await;
        cx.emit(Event::new(cx, "copy.made", "event", &event.event.id, json!({})))
    }
}

#[tokio::test]
async fn two_processes_of_one_subscriber_make_each_change_once() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let open = || {
        let key = crate::seal::RootKey::from_bytes([1; 32], "test");
        scope(Hub::builder().store_backend(Arc::clone(&store)).root_key(key).subscriber(Arc::new(Copier)))
    };
    let (one, two) = (open().await, open().await);
    one.deliver_events().await.unwrap();
    for n in 0..20 {
        publish(&one, &format!("n{n}")).await;
    }
    for _ in 0..40 {
        let (a, b) = tokio::join!(one.deliver_events(), two.deliver_events());
        a.unwrap();
        b.unwrap();
    }
    let events = one.query::<Event>(&Query::by_id().limit(500)).await.unwrap();
    let mut copied: Vec<&str> =
        events.iter().filter(|e| e.kind == "copy.made").map(|e| e.subject_id.as_str()).collect();
    copied.sort_unstable();
    let all = copied.len();
    copied.dedup();
    assert_eq!((all, copied.len()), (20, 20));
}

#[tokio::test]
async fn a_cursor_older_than_the_feed_is_refused_with_one_to_begin_anew_from() {
    let cx = scope(Hub::builder().store_backend(Arc::new(MemoryStore::new()))).await;
    let topics = || StreamSpec::topics([Topic::Campaign("c1".into())]);
    let tell = async |word: &str| {
        let (kind, data) = (format!("app.{word}"), json!({ "campaign": "c1" }));
        cx.call(PublishEvent { kind, data, subject_kind: None, subject_id: None }).await.unwrap();
    };
    let old = cx.open_stream(topics()).await.unwrap().cursor();
    for word in ["a", "b", "c"] {
        tell(word).await;
    }
    cx.store().trim_feed(cx.store().seq().await.unwrap() - 1).await.unwrap();
    let error = match cx.open_stream(topics().after(old)).await {
        Ok(mut stream) => stream.next().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!((error.kind(), error.code()), (crate::ErrorKind::Conflict, "cursor_expired"));
    let snapshot = error.context().find(|(k, _)| *k == "snapshot").unwrap().1.to_owned();
    let mut stream = cx.open_stream(topics().after(snapshot)).await.unwrap();
    tell("d").await;
    assert_eq!(stream.next().await.unwrap().unwrap().kind, "d", "from the snapshot on nothing is missed");
}

#[tokio::test]
async fn all_conditions_of_a_filter_hold() {
    let cx = scope(Hub::builder()).await;
    let agent = cx.for_agent("writer", "run_1", crate::PermissionSet::all());
    let by_agent = Event::new(&agent, "person.created", "person", "p1", json!({}));
    let by_host = Event::new(&cx, "person.created", "person", "p1", json!({}));
    let all = Filter {
        subject_kind: Some("person".into()),
        subject_id: Some("p1".into()),
        agent: Some("wri*".into()),
        ..Filter::types(["company.*", "person.*"])
    };
    assert!(all.lets_through(&by_agent) && !all.lets_through(&by_host));
    for other in [
        Filter { subject_kind: Some("company".into()), ..all.clone() },
        Filter { subject_id: Some("p2".into()), ..all.clone() },
        Filter { agent: Some("reader".into()), ..all.clone() },
        Filter { types: vec!["company.*".into()], ..all.clone() },
    ] {
        assert!(!other.lets_through(&by_agent), "{other:?}");
    }
    assert!(Filter::types(["*"]).lets_through(&by_host) && Filter::default().lets_through(&by_agent));
}
