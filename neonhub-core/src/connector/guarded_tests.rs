use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;

use super::*;
use crate::connector::testing::AllowAll;
use crate::connector::{Clearance, Manifest, Outbound, Payload, Proposal};
use crate::{Clock as _, Hub, ManualClock, Secret, Timestamp};

static MANIFEST: Manifest = Manifest {
    id: "scripted",
    title: "Scripted",
    about: "Answers what the test says",
    actions: &[],
    source: "test",
    open: |_| Err(Error::new(ErrorKind::Unsupported, "test", "made by the test")),
};

type Answer = std::result::Result<(), (ErrorKind, Retry, Option<&'static str>)>;

/// Gives its answers one by one, then takes everything; waits at the gate while it is shut.
#[derive(Debug)]
struct Scripted {
    answers: Mutex<VecDeque<Answer>>,
    effects: Mutex<Vec<String>>,
    gate: tokio::sync::Semaphore,
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Scripted {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Scripted {
            answers: Mutex::new(answers.into_iter().collect()),
            effects: Mutex::default(),
            gate: tokio::sync::Semaphore::new(1_000),
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }
    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.effects.lock().unwrap())
    }
}

#[async_trait]
impl Connector for Scripted {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }
    fn channels(&self) -> Vec<Channel> {
        vec![Channel::new("email").unwrap()]
    }
    async fn deliver(&self, cleared: Cleared) -> Result<Receipt> {
        self.most.fetch_max(self.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _open = self.gate.acquire().await.unwrap();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        self.effects.lock().unwrap().push(cleared.outbound().effect.to_string());
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
        answer.map(|()| Receipt { provider_id: "1".into(), provider_status: None }).map_err(
            |(kind, retry, code)| {
                let error = Error::new(kind, "test.deliver", "as asked").with_retry(retry);
                if let Some(code) = code { error.with_code(code) } else { error }
            },
        )
    }
    async fn probe(&self, _effect: &EffectId, _channel: &Channel) -> Result<Probe> {
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
        answer
            .map(|()| Probe::NotLanded)
            .map_err(|(kind, retry, _)| Error::new(kind, "test", "no").with_retry(retry))
    }
}

fn down() -> Answer {
    Err((ErrorKind::Unavailable, Retry::Backoff, None))
}

fn told(seconds: u64) -> Answer {
    Err((ErrorKind::RateLimited, Retry::After(Duration::from_secs(seconds)), None))
}

async fn scope() -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder().clock(Arc::clone(&clock) as _).gate(Arc::new(AllowAll)).build().await.unwrap();
    (hub.workspace("default").await.unwrap(), clock)
}

async fn clear(cx: &Scope, word: &str) -> Cleared {
    let channel = Channel::new("email").unwrap();
    let outbound = Outbound {
        channel: channel.clone(),
        effect: EffectId::of(&[word]),
        payload: Payload::Email {
            from: "a@shop.example".into(),
            to: Secret::new("b@shop.example"),
            message: b"hi".to_vec(),
        },
        facts: Value::Null,
    };
    let proposal = Proposal { send: word.into(), person: None, channel, at: cx.now(), facts: Value::Null };
    match cx.clear(vec![(proposal, outbound)]).await.unwrap().pop() {
        Some(Clearance::Cleared { cleared, .. }) => *cleared,
        other => panic!("{other:?}"),
    }
}

async fn send(cx: &Scope, connector: &Scripted, word: &str) -> Result<Receipt> {
    let cleared = clear(cx, word).await;
    cx.deliver(connector, cleared).await
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_with_the_same_effect_and_then_left_to_the_queue() {
    let (cx, clock) = scope().await;
    let connector = Scripted::new([down(), down()]);
    send(&cx, &connector, "a").await.unwrap();
    let effect = EffectId::of(&["a"]).to_string();
    assert_eq!(connector.seen(), vec![effect; 3]);
    let waited = clock.now().as_millis() - 1_800_000_000_000;
    assert!(waited <= 75 + 150 + 2, "{waited} ms of the clock");
    let connector = Scripted::new([down(), down(), down(), down()]);
    let error = send(&cx, &connector, "b").await.unwrap_err();
    assert_eq!(connector.seen().len(), 3, "three tries in all");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff), "the queue's turn");
    assert!(!is_untried(&error));
}

#[tokio::test]
async fn an_unknown_outcome_and_a_final_refusal_are_never_tried_again() {
    let (cx, _) = scope().await;
    for (kind, retry) in [
        (ErrorKind::OutcomeUnknown, Retry::Backoff),
        (ErrorKind::OutcomeUnknown, Retry::Never),
        (ErrorKind::Blocked, Retry::Never),
        (ErrorKind::InvalidInput, Retry::Backoff),
    ] {
        let connector = Scripted::new([Err((kind, retry, None))]);
        assert_eq!(send(&cx, &connector, "a").await.unwrap_err().kind(), kind);
        assert_eq!(connector.seen().len(), 1, "{kind:?}");
        cx.close_breaker("connection:scripted").await.unwrap();
    }
    // Unknown after a fault that came before sending: the first one's advice is not that of the second.
    let connector = Scripted::new([down(), Err((ErrorKind::OutcomeUnknown, Retry::Never, None))]);
    let error = send(&cx, &connector, "b").await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::OutcomeUnknown, Retry::Never));
    assert_eq!(connector.seen().len(), 2);
}

#[tokio::test]
async fn a_delivery_that_is_cut_off_at_a_deadline_has_an_unknown_outcome() {
    let (cx, clock) = scope().await;
    let connector = Scripted::new([]);
    connector.gate.forget_permits(1_000);
    let cleared = clear(&cx, "a").await;
    let short = cx.until(clock.now().plus(Duration::from_millis(5)));
    let error = short.deliver(&connector, cleared).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "bytes may have left");
    // A connector that says itself that it was late knows that nothing was sent.
    let connector = Scripted::new([Err((ErrorKind::Timeout, Retry::Backoff, None))]);
    send(&cx, &connector, "b").await.unwrap();
    assert_eq!(connector.seen().len(), 2);
}

#[tokio::test]
async fn three_failed_deliveries_leave_the_connection_alone_for_ten_seconds() {
    let (cx, clock) = scope().await;
    let connector = Scripted::new(std::iter::repeat_with(down).take(9));
    for word in ["a", "b", "c"] {
        assert!(!is_untried(&send(&cx, &connector, word).await.unwrap_err()));
    }
    assert_eq!(connector.seen().len(), 9);
    let error = send(&cx, &connector, "d").await.unwrap_err();
    assert_eq!((error.code(), is_untried(&error)), ("breaker_open", true));
    assert!(error.is_retryable() && connector.seen().is_empty(), "nothing was handed over");
    clock.advance(Duration::from_secs(10));
    send(&cx, &connector, "d").await.unwrap();
    send(&cx, &connector, "e").await.unwrap();
}

#[tokio::test]
async fn one_deferred_recipient_after_another_is_no_fault_of_the_connection() {
    let (cx, _) = scope().await;
    let deferred = || Err((ErrorKind::Unavailable, Retry::Backoff, Some(RECIPIENT_DEFERRED)));
    let connector = Scripted::new(std::iter::repeat_with(deferred).take(5));
    for _ in 0..5 {
        let error = send(&cx, &connector, "a").await.unwrap_err();
        assert_eq!((error.code(), error.retry()), (RECIPIENT_DEFERRED, Retry::Backoff));
    }
    assert_eq!(connector.seen().len(), 5, "each was tried once");
    send(&cx, &connector, "b").await.unwrap();
}

#[tokio::test]
async fn a_long_wait_is_told_and_kept_to_and_a_short_one_is_waited_for() {
    let (cx, clock) = scope().await;
    let connector = Scripted::new([told(2), Ok(()), told(3_600)]);
    send(&cx, &connector, "a").await.unwrap();
    assert_eq!(clock.now().as_millis(), 1_800_000_002_000);
    let error = send(&cx, &connector, "b").await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(3_600)));
    assert_eq!(clock.now().as_millis(), 1_800_000_002_000, "nobody sat out the hour");
    clock.advance(Duration::from_secs(600));
    connector.seen();
    let error = send(&cx, &connector, "c").await.unwrap_err();
    assert_eq!((error.retry(), is_untried(&error)), (Retry::After(Duration::from_secs(3_000)), true));
    assert!(connector.seen().is_empty());
    clock.advance(Duration::from_secs(3_000));
    send(&cx, &connector, "c").await.unwrap();
}

#[tokio::test]
async fn four_deliveries_of_a_connection_are_under_way_at_once() {
    let (cx, _) = scope().await;
    let connector = Arc::new(Scripted::new([]));
    connector.gate.forget_permits(1_000);
    let mut tasks = Vec::new();
    for n in 0..4 {
        let (cx, connector) = (cx.clone(), Arc::clone(&connector));
        let cleared = clear(&cx, &n.to_string()).await;
        tasks.push(tokio::spawn(async move { cx.deliver(connector.as_ref(), cleared).await }));
    }
    while connector.inside.load(Ordering::SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    // The clock of the test passes the wait for a place by itself.
    let error = send(&cx, &connector, "fifth").await.unwrap_err();
    assert!(is_untried(&error) && error.is_retryable(), "{error}");
    connector.gate.add_permits(10);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(connector.most.load(Ordering::SeqCst), 4);
    send(&cx, &connector, "fifth").await.unwrap();
}

#[tokio::test]
async fn a_question_may_be_asked_again_and_says_nothing_about_deliveries() {
    let (cx, _) = scope().await;
    let (effect, channel) = (EffectId::of(&["a"]), Channel::new("email").unwrap());
    let connector = Scripted::new([down(), down()]);
    assert_eq!(cx.probe(&connector, &effect, &channel).await.unwrap(), Probe::NotLanded);
    let connector = Scripted::new(std::iter::repeat_with(down).take(9));
    for _ in 0..3 {
        let error = cx.probe(&connector, &effect, &channel).await.unwrap_err();
        assert_eq!(error.retry(), Retry::Backoff, "worth asking later");
    }
    assert!(is_untried(&cx.probe(&connector, &effect, &channel).await.unwrap_err()));
    send(&cx, &connector, "a").await.unwrap();
}
