use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::llm::{Reply, Scripted};
use crate::op::CallOptions;
use crate::permission::PermissionSet;
use crate::run::{Command, Driver, Machine, NewRun, Program, RunEvent};
use crate::store::{MemoryStore, Query, SharedStore};
use crate::tenancy::Rights;
use crate::{Clock, ErrorKind, Hub, HubBuilder, ManualClock, Result, Role, Scope, Timestamp};

pub(super) async fn publish(cx: &Scope, word: &str) {
    let event =
        PublishEvent { kind: format!("app.{word}"), data: json!({}), subject_kind: None, subject_id: None };
    cx.call(event).await.unwrap();
}

pub(super) async fn scope(builder: HubBuilder) -> Scope {
    builder.build().await.unwrap().workspace("default").await.unwrap()
}

/// Keeps what it takes; fails while it is told to; answers `app.ping` with `app.ping`.
#[derive(Debug, Default)]
struct Keeper {
    seen: Mutex<Vec<String>>,
    fails: AtomicU32,
}

impl Keeper {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

#[async_trait]
impl Subscriber for Keeper {
    fn name(&self) -> &'static str {
        "keeper"
    }
    fn filter(&self) -> Filter {
        Filter::types(["app.*"])
    }
    async fn handle(&self, cx: &Scope, event: &BusEvent) -> Result<()> {
        if self.fails.load(Ordering::SeqCst) > 0 {
            self.fails.fetch_sub(1, Ordering::SeqCst);
            return Err(crate::Error::new(ErrorKind::Unavailable, "test", "not now"));
        }
        self.seen.lock().unwrap().push(event.event.kind.clone());
        if event.event.kind == "app.ping" {
            cx.emit(Event::new(cx, "app.ping", "app", "", json!({})))?;
        }
        Ok(())
    }
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)))
}

#[tokio::test]
async fn a_subscriber_takes_each_event_once_in_order_also_after_reopening() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let keeper = Arc::new(Keeper::default());
    let open = || {
        let keeper = Arc::clone(&keeper) as Arc<dyn Subscriber>;
        let key = crate::seal::RootKey::from_bytes([1; 32], "test");
        scope(Hub::builder().store_backend(Arc::clone(&store)).root_key(key).subscriber(keeper))
    };
    let cx = open().await;
    publish(&cx, "before").await;
    assert_eq!(cx.deliver_events().await.unwrap().done, 0, "it begins now");
    for word in ["a", "b", "c"] {
        publish(&cx, word).await;
    }
    assert_eq!(cx.deliver_events().await.unwrap().done, 3);
    drop(cx);
    let cx = open().await;
    publish(&cx, "d").await;
    assert_eq!(cx.deliver_events().await.unwrap().done, 1);
    assert_eq!(cx.deliver_events().await.unwrap(), Delivered::default());
    assert_eq!(keeper.seen(), ["app.a", "app.b", "app.c", "app.d"]);
}

#[tokio::test]
async fn a_failure_holds_up_its_own_cursor_and_is_put_aside_after_ten_tries() {
    let (keeper, clock) = (Arc::new(Keeper::default()), clock());
    let builder = Hub::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let cx = scope(builder.subscriber(Arc::clone(&keeper) as Arc<dyn Subscriber>)).await;
    cx.deliver_events().await.unwrap();
    publish(&cx, "bad").await;
    publish(&cx, "good").await;
    keeper.fails.store(10, Ordering::SeqCst);
    let mut pauses = Vec::new();
    loop {
        let done = cx.deliver_events().await.unwrap();
        if done.dead == 1 {
            assert_eq!(done.done, 1);
            break;
        }
        assert_eq!(done.failed, 1);
        let at = done.next_at.unwrap();
        pauses.push(at.since(cx.now()).as_millis());
        assert_eq!(cx.deliver_events().await.unwrap().failed, 0, "not before its time");
        clock.set(at);
    }
    assert_eq!(pauses.len(), 9);
    assert!((500..=1000).contains(&pauses[0]) && pauses[8] >= 100_000, "{pauses:?}");
    assert_eq!(keeper.seen(), ["app.good"]);
    let dead = cx.query::<DeadEvent>(&Query::by_id()).await.unwrap();
    assert_eq!((dead[0].event_type.as_str(), dead[0].error.as_str()), ("app.bad", "unavailable"));
}

#[tokio::test]
async fn a_loop_of_events_is_cut_at_its_depth() {
    let keeper = Arc::new(Keeper::default());
    let cx = scope(Hub::builder().subscriber(Arc::clone(&keeper) as Arc<dyn Subscriber>)).await;
    cx.deliver_events().await.unwrap();
    publish(&cx, "ping").await;
    let done = cx.deliver_events().await.unwrap();
    assert_eq!((done.done, done.dead), (u64::from(MAX_DEPTH), 1));
    let events = cx.query::<Event>(&Query::by_id().limit(100)).await.unwrap();
    let deepest = events.iter().max_by_key(|e| e.depth).unwrap();
    assert_eq!(deepest.depth, MAX_DEPTH);
    assert!(events.iter().any(|e| Some(&e.id) == deepest.causation_id.as_ref()));
    assert!(events.iter().all(|e| e.correlation_id == events[0].correlation_id));
    let dead = cx.query::<DeadEvent>(&Query::by_id()).await.unwrap();
    assert_eq!(dead[0].error, "loop_guard");
}

#[tokio::test]
async fn a_replay_gives_a_range_again_and_moves_no_cursor() {
    let keeper = Arc::new(Keeper::default());
    let cx = scope(Hub::builder().subscriber(Arc::clone(&keeper) as Arc<dyn Subscriber>)).await;
    cx.deliver_events().await.unwrap();
    publish(&cx, "a").await;
    let seq = cx.store().seq().await.unwrap();
    publish(&cx, "b").await;
    cx.deliver_events().await.unwrap();
    let ask = ReplayEvents { from: seq, to: seq, subscriber: "keeper".into() };
    assert_eq!(cx.call(ask.clone()).await.unwrap(), Replayed { done: 1, failed: 0 });
    assert_eq!(keeper.seen(), ["app.a", "app.b", "app.a"]);
    assert_eq!(cx.deliver_events().await.unwrap().done, 0);
    let unknown = cx.call(ReplayEvents { subscriber: "keper".into(), ..ask }).await.unwrap_err();
    assert!(unknown.to_string().contains("closest=keeper"), "{unknown}");
}

#[tokio::test]
async fn what_was_committed_before_the_close_is_given_out_after_it() {
    let cx = scope(Hub::builder()).await;
    let mut stream = cx.subscribe(0, Some("app.*")).unwrap();
    publish(&cx, "a").await;
    publish(&cx, "b").await;
    cx.hub().close().await.unwrap();
    let mut seen = Vec::new();
    while let Some(Item::Event { event, .. }) = stream.next().await.unwrap() {
        seen.push(event.kind);
    }
    assert_eq!(seen, ["app.a", "app.b"]);
}

async fn events(cx: &Scope, input: Value) -> (Vec<String>, String) {
    let page = cx.call_by_name("bus.subscribe", input, CallOptions::new()).await.unwrap();
    let kinds = page["items"].as_array().unwrap().iter().map(|i| i["type"].as_str().unwrap().to_owned());
    (kinds.collect(), page["cursor"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn pages_of_events_go_on_after_their_cursor_in_the_middle_of_a_commit_too() {
    let cx = scope(Hub::builder()).await;
    let (none, cursor) = events(&cx, json!({})).await;
    assert!(none.is_empty());
    let unit = Arc::new(crate::op::Unit::default());
    let writing = crate::scope::Writing::Job(unit);
    let job = cx.inside("test", cx.seed().split(&[b"x"]), writing, cx.cancel_token().clone());
    for word in ["app.a", "person.x", "app.b", "app.c"] {
        job.emit(Event::new(&job, word, "app", "", json!({}))).unwrap();
    }
    job.flush().await.unwrap();
    let filter = json!({ "types": ["app.*"] });
    let ask = |cursor: &str, limit: u32| json!({ "cursor": cursor, "filter": filter, "limit": limit });
    let (first, cursor) = events(&cx, ask(&cursor, 1)).await;
    let (second, cursor) = events(&cx, ask(&cursor, 1)).await;
    let (third, cursor) = events(&cx, ask(&cursor, 10)).await;
    assert_eq!([first, second, third].concat(), ["app.a", "app.b", "app.c"]);
    assert!(events(&cx, ask(&cursor, 10)).await.0.is_empty());
    // A waiting call is woken by the event.
    let waiting = tokio::spawn({
        let (cx, cursor) = (cx.clone(), cursor.clone());
        async move { events(&cx, json!({ "cursor": cursor, "wait_ms": 20_000 })).await.0 }
    });
    tokio::task::yield_now().await;
    publish(&cx, "late").await;
    assert_eq!(waiting.await.unwrap(), ["app.late"]);
}

#[tokio::test]
async fn cursors_are_signed_and_bound_to_their_workspace() {
    let cx = scope(Hub::builder()).await;
    let other = cx.hub().create_workspace("other").await.unwrap();
    let (_, cursor) = events(&cx, json!({})).await;
    let ask = |cx: Scope, cursor: String| async move {
        let input = json!({ "cursor": cursor, "topics": ["notifications"] });
        cx.call_by_name("streams.open", input, CallOptions::new()).await.map_err(|e| e.kind())
    };
    assert!(ask(cx.clone(), cursor.clone()).await.is_ok());
    assert_eq!(ask(other, cursor.clone()).await.unwrap_err(), ErrorKind::PermissionDenied);
    for at in 0..cursor.len() - 1 {
        let mut bad = cursor.clone().into_bytes();
        bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        let kind = ask(cx.clone(), bad).await.unwrap_err();
        // A change in the workspace's part reads as another workspace's cursor.
        assert!(matches!(kind, ErrorKind::InvalidInput | ErrorKind::PermissionDenied), "{at}");
    }
    let ahead = super::cursor::make(&cx, (1_000_000, 0));
    assert_eq!(ask(cx.clone(), ahead).await.unwrap_err(), ErrorKind::Conflict);
}

/// Asks the model once and waits for a signal, then ends.
#[derive(Debug)]
pub(super) struct Talker;

impl Machine for Talker {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let next = match event {
            RunEvent::Started { .. } => Command::model("talk", crate::llm::LlmRequest::new().user("say it")),
            RunEvent::ModelDone { answer, .. } => Command::done(json!({ "text": answer.text })),
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![next])
    }
}

impl Program for Talker {
    const AGENT: &'static str = "talker";
    const VERSION: u32 = 1;
}

pub(super) async fn items(stream: &mut Stream) -> Vec<(String, String)> {
    let items = stream.drain(100).await.unwrap();
    items.into_iter().map(|i| (i.topic, i.kind)).collect()
}

#[tokio::test]
async fn a_run_streams_its_text_and_its_end_arrives_also_for_who_comes_later() {
    let model = Scripted::new().reply(Reply::Chunks(vec!["hello ".into(), "there".into()]));
    let cx = scope(Hub::builder().model(Arc::new(model))).await;
    let driver = Driver::new(Talker);
    let run = driver.start(&cx, NewRun::new(json!({}))).await.unwrap();
    let topic = Topic::Run(run.id.clone());
    let mut stream = cx.open_stream(StreamSpec::topics([topic.clone()])).await.unwrap();
    driver.drive(&cx, &run.id).await.unwrap();
    let mut all = Vec::new();
    loop {
        let item = stream.next().await.unwrap().unwrap();
        all.push((item.kind.clone(), item.data.clone()));
        if item.kind == "completed" {
            break;
        }
    }
    assert_eq!(all[0].0, "queued");
    let late = items(&mut cx.open_stream(StreamSpec::topics([topic.clone()])).await.unwrap()).await;
    assert_eq!(late, [(topic.to_string(), "completed".to_owned())]);
    // Live text may come before or after the durable end; drain it.
    all.extend(stream.drain(50).await.unwrap().into_iter().map(|i| (i.kind, i.data)));
    let text: String =
        all.iter().filter(|(k, _)| k == "text").map(|(_, d)| d["delta"].as_str().unwrap()).collect();
    assert_eq!(text, "hello there");
}

#[tokio::test]
async fn attaching_again_gives_each_durable_item_once_and_the_text_so_far() {
    let cx = scope(Hub::builder()).await;
    let topics = || StreamSpec::topics([Topic::Campaign("c1".into()), Topic::Run("r1".into())]);
    let mut stream = cx.open_stream(topics()).await.unwrap();
    let tell = |word: &'static str| {
        let event = PublishEvent {
            kind: format!("app.{word}"),
            data: json!({ "campaign": "c1" }),
            subject_kind: None,
            subject_id: None,
        };
        cx.call(event)
    };
    tell("one").await.unwrap();
    tell("two").await.unwrap();
    tell("three").await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!((first.kind.as_str(), first.topic.as_str()), ("one", "campaign:c1"));
    drop(stream);
    cx.stream_text("run:r1", "so ");
    let mut again = cx.open_stream(topics().after(&first.cursor)).await.unwrap();
    cx.stream_text("run:r1", "far");
    let mut all = again.drain(100).await.unwrap();
    all.sort_by_key(|i| i.topic.clone());
    let kinds: Vec<&str> = all.iter().map(|i| i.kind.as_str()).collect();
    assert_eq!(kinds, ["two", "three", "text_so_far", "text"]);
    assert_eq!((&all[2].data, &all[3].data), (&json!({"text": "so "}), &json!({"delta": "far"})));
    let last = again.cursor();
    drop(again);
    assert!(
        items(&mut cx.open_stream(topics().after(last)).await.unwrap())
            .await
            .iter()
            .all(|(_, k)| k == "text_so_far")
    );
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed() {
    let cx = scope(Hub::builder()).await;
    let mut stream = cx.open_stream(StreamSpec::topics([Topic::Progress])).await.unwrap();
    for n in 0..2000 {
        cx.progress("import", n, 2000, "");
    }
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!((first.kind.as_str(), &first.data), ("lagged", &json!({ "from": 1, "to": 976 })));
    assert_eq!(stream.next().await.unwrap().unwrap().data["done"], 976);
}

#[derive(Debug, Default)]
struct Demoted(Mutex<Option<Role>>);

#[async_trait]
impl Rights for Demoted {
    async fn current(&self, _cx: &Scope) -> Result<PermissionSet> {
        Ok(self.0.lock().unwrap().map_or_else(PermissionSet::all, Role::permissions))
    }
}

#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Rights for Nobody {
    async fn current(&self, _cx: &Scope) -> Result<PermissionSet> {
        Ok(PermissionSet::of(&[]))
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_and_lost_rights_end_the_stream() {
    // Time that jumps when nothing is to do must not meet a server.
    let store = Arc::new(crate::store::MemoryStore::new());
    let cx = scope(Hub::builder().store_backend(store).rights(Arc::new(Nobody))).await;
    let mut stream =
        cx.open_stream(StreamSpec::topics([Topic::Metrics("agent_runs_total".into())])).await.unwrap();
    let mut kinds = Vec::new();
    while let Some(item) = stream.next().await.unwrap() {
        kinds.push((item.kind, item.data));
    }
    let beats = kinds.iter().filter(|(k, _)| k == "heartbeat").count();
    assert!((3..=4).contains(&beats), "every 15 s in a minute: {kinds:?}");
    assert!(kinds.iter().any(|(k, _)| k == "metrics"));
    let (kind, data) = kinds.last().unwrap();
    assert_eq!((kind.as_str(), &data["reason"]), ("ended", &json!("permission_denied")));
    let kept = scope(Hub::builder().rights(Arc::new(Demoted::default()))).await;
    let mut stream = kept.open_stream(StreamSpec::topics([Topic::Notifications])).await.unwrap();
    let hub = kept.hub().clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        hub.close().await.unwrap();
    });
    let mut last = String::new();
    while let Some(item) = stream.next().await.unwrap() {
        last = item.kind;
    }
    assert_eq!(last, "shutdown");
}

#[tokio::test]
async fn ten_thousand_streams_share_one_reading_of_the_feed() {
    assert!(std::mem::size_of::<Stream>() <= 2048, "{}", std::mem::size_of::<Stream>());
    let cx = scope(Hub::builder()).await;
    let mut streams = Vec::new();
    for _ in 0..10_000 {
        streams.push(cx.open_stream(StreamSpec::topics([Topic::Campaign("c1".into())])).await.unwrap());
    }
    let event = PublishEvent {
        kind: "app.x".into(),
        data: json!({ "campaign": "c1" }),
        subject_kind: None,
        subject_id: None,
    };
    cx.call(event).await.unwrap();
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().unwrap().kind, "x");
    }
    assert_eq!(cx.hub().telemetry().samples("websocket_connections_active")[0]["value"], 10_000.0);
    drop(streams);
    assert_eq!(cx.hub().telemetry().samples("websocket_connections_active")[0]["value"], 0.0);
}

#[tokio::test]
async fn damage_found_while_the_hub_closes_is_no_end_of_a_stream() {
    let cx = scope(Hub::builder()).await;
    let begin = cx.store().seq().await.unwrap();
    let event = Event::new(&cx, "app.damaged", "app", "", json!({}));
    let mut row = crate::store::Row::of(&event, cx.now(), "test").unwrap();
    row.body = "{}".into();
    let mut batch = crate::store::Batch::new(cx.workspace().clone(), cx.now());
    let kind = crate::store::Kind::of::<Event>();
    batch.writes.push(crate::store::Write::Put { kind, row, expected: crate::store::Expected::Absent });
    cx.store().commit(batch).await.unwrap();
    let hub = cx.hub().clone();
    // A call under way keeps the store open while the hub closes.
    let busy = hub.enter("test").unwrap();
    let closing = tokio::spawn({
        let hub = hub.clone();
        async move { hub.shutdown(Duration::from_secs(30)).await }
    });
    while !hub.is_closing() {
        tokio::task::yield_now().await;
    }
    let error = hub.bus().feed.after(&hub, begin).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupted, "{error}");
    drop(busy);
    closing.await.unwrap().unwrap();
    assert!(hub.bus().feed.after(&hub, begin + 1).await.unwrap().is_empty(), "a closed store is the end");
}
