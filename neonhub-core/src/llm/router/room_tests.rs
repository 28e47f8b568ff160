//! The room at a provider, and providers that failed their checks.

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::Hub;
use crate::health::{Health, Status};
use crate::llm::{OfflineTask, OfflineTemplate, Reply};
use crate::resilience::NO_PLACE;
use crate::testing::provider::ProviderMock;

async fn scope() -> Scope {
    Hub::builder().seed(1).build().await.unwrap().workspace("default").await.unwrap()
}

fn near(mock: &ProviderMock, more: &serde_json::Value) -> ProviderConfig {
    let mut config = json!({ "provider": "near", "base_url": mock.base_url("near"), "model": "m" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

/// Answers that wait until so many calls are under way; gives what lets them go.
fn held(mock: &ProviderMock, count: usize) -> Arc<Semaphore> {
    let answers = Arc::new(Semaphore::new(0));
    (0..count).for_each(|_| mock.reply(Reply::Held(Arc::clone(&answers), Box::new("slow".into()))));
    answers
}

async fn let_go(mock: &ProviderMock, answers: &Semaphore, at_once: usize) {
    while mock.most_at_once() < at_once {
        tokio::task::yield_now().await;
    }
    answers.close();
}

fn ask() -> LlmRequest {
    LlmRequest::new().user("hi").model("near/m")
}

#[tokio::test]
async fn two_hundred_calls_at_once_wait_for_four_places_and_all_are_answered() {
    let mock = ProviderMock::start().await.unwrap();
    let answers = held(&mock, 200);
    let router = Router::from_configs(vec![near(&mock, &json!({ "concurrency": 4 }))]).unwrap();
    let cx = scope().await;
    let all = join_all((0..200).map(|_| router.complete(&cx, ask())));
    let (all, ()) = tokio::join!(all, let_go(&mock, &answers, 4));
    assert!(all.iter().all(|done| done.as_ref().is_ok_and(|(answer, _)| answer.text == "slow")));
    assert_eq!((mock.seen().len(), mock.most_at_once()), (200, 4));
}

#[tokio::test]
async fn a_hundred_calls_at_once_fit_the_settings_that_nobody_made() {
    let mock = ProviderMock::start().await.unwrap();
    let answers = held(&mock, 100);
    let router = Router::from_configs(vec![near(&mock, &json!({}))]).unwrap();
    let cx = scope().await;
    let all = join_all((0..100).map(|_| router.complete(&cx, ask())));
    let (all, ()) = tokio::join!(all, let_go(&mock, &answers, 16));
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(mock.most_at_once(), 16);
}

#[tokio::test]
async fn all_models_of_a_provider_share_its_places_until_their_answers_have_ended() {
    let mock = ProviderMock::start().await.unwrap();
    (0..3).for_each(|_| mock.reply("words"));
    let other = serde_json::from_value(json!({ "provider": "near", "model": "other" })).unwrap();
    let one = near(&mock, &json!({ "concurrency": 1, "queue": 0 }));
    let router = Router::from_configs(vec![one, other]).unwrap();
    let cx = scope().await;
    let (mut stream, _) = router.call(&cx, ask()).await.unwrap();
    // Its first words are there, its end is not read.
    let refused = router.complete(&cx, ask().model("near/other")).await.unwrap_err();
    assert_eq!(refused.code(), NO_PLACE);
    while futures_util::StreamExt::next(&mut stream).await.is_some() {}
    router.complete(&cx, ask().model("near/other")).await.unwrap();
    // One who goes away in the middle leaves the place too.
    drop(router.call(&cx, ask()).await.unwrap());
    mock.reply("words");
    router.complete(&cx, ask()).await.unwrap();
}

#[tokio::test]
async fn the_third_of_one_place_and_one_chair_is_refused_and_told_the_setting() {
    let mock = ProviderMock::start().await.unwrap();
    let answers = held(&mock, 2);
    let router = Router::from_configs(vec![near(&mock, &json!({ "concurrency": 1, "queue": 1 }))]).unwrap();
    let cx = scope().await;
    let template = OfflineTask::Template(OfflineTemplate::new("made offline", json!({})));
    // Over the default route: an offline answer would hide that too much is asked at once.
    let route = || LlmRequest { offline: Some(template.clone()), ..LlmRequest::new().user("hi") };
    let mut all: FuturesUnordered<_> = (0..5).map(|_| router.complete(&cx, route())).collect();
    for _ in 0..3 {
        let error = all.next().await.unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.is_retryable()),
            (ErrorKind::Unavailable, NO_PLACE, true)
        );
        assert!(error.message().contains("`queue`") && error.message().contains("`concurrency`"), "{error}");
    }
    answers.add_permits(2);
    while let Some(done) = all.next().await {
        assert_eq!(done.unwrap().0.text, "slow");
    }
    assert_eq!(mock.seen().len(), 2);
    // Nothing of it counts as a failure of the provider.
    assert!(!cx.breaker_at("model:near/m").await.unwrap().refuses(cx.now()));
}

#[test]
fn wrong_room_is_refused_by_its_field() {
    let fields = |more: serde_json::Value| {
        let mut config = json!({ "provider": "near", "base_url": "http://near.test/v1", "model": "m" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = Router::from_configs(vec![serde_json::from_value(config).unwrap()]).unwrap_err();
        error.field_faults().iter().map(|fault| fault.field.clone()).collect::<Vec<_>>()
    };
    assert_eq!(fields(json!({ "concurrency": 0 })), ["concurrency"]);
    assert_eq!(fields(json!({ "concurrency": 1_025, "queue": 100_001 })), ["concurrency", "queue"]);
    assert_eq!(fields(json!({ "queue_ms": 0 })), ["queue_ms"]);
}

/// A check that says what it is told.
#[derive(Debug)]
struct Told(&'static str);

#[async_trait]
impl Health for Told {
    fn subject(&self) -> String {
        self.0.to_owned()
    }
    async fn check(&self, _: &Scope) -> Result<Status> {
        Ok(Status::Unhealthy { why: "away".into() })
    }
}

#[tokio::test]
async fn a_provider_that_failed_its_checks_is_passed_over_while_another_is_left() {
    let (a, b) = (ProviderMock::start().await.unwrap(), ProviderMock::start().await.unwrap());
    a.reply_always("from a");
    b.reply_always("from b");
    let config = |name: &str, mock: &ProviderMock| {
        serde_json::from_value(json!({ "provider": name, "base_url": mock.base_url(name), "model": "m" }))
    };
    let router = Router::from_configs(vec![config("a", &a).unwrap(), config("b", &b).unwrap()]).unwrap();
    let hub = Hub::builder().health(Arc::new(Told("model:a"))).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    for round in 1..=3 {
        let asked = LlmRequest::new().user("hi");
        assert_eq!(router.complete(&cx, asked).await.unwrap().0.text, "from a", "round {round}");
        cx.check_health().await.unwrap();
    }
    let (answer, report) = router.complete(&cx, LlmRequest::new().user("hi")).await.unwrap();
    assert_eq!(answer.text, "from b");
    assert!(report.plan.considered[0].skipped.as_ref().unwrap().contains("health"), "{report:?}");
    // The only one is asked all the same.
    let alone = LlmRequest::new().user("hi").model("a/m");
    assert_eq!(router.complete(&cx, alone).await.unwrap().0.text, "from a");
}
