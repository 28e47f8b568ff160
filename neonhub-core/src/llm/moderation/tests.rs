//! Verdicts through the operation.

use std::sync::Arc;

use super::*;
use crate::economy::{PutQuota, QuotaSubject, QuotaWindow, TokenUsage};
use crate::llm::image::ImageFormat;
use crate::llm::{Named, Offline, Provider, Route, Router};
use crate::store::Query;
use crate::testing::provider::{ProviderMock, WireFault};
use crate::{Currency, ErrorKind, Hub, Money, Scope, Secret};

async fn scope(mock: &ProviderMock, route: Route) -> Scope {
    let builder = Provider::builder("openai").base_url(mock.base_url("openai")).api_key(Secret::new("key"));
    let router = Router::new().moderator(Arc::new(builder.build().unwrap())).route(route);
    let hub = Hub::builder().seed(1).service(Arc::new(router)).build().await.unwrap();
    hub.workspace("default").await.unwrap()
}

fn ask(texts: &[&str]) -> ModerateTexts {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    ModerateTexts { texts, ..ModerateTexts::default() }
}

fn flagged(made: &ModeratedTexts) -> Vec<bool> {
    made.verdicts.iter().map(|verdict| verdict.is_flagged).collect()
}

#[tokio::test]
async fn texts_are_judged_in_batches_and_in_order() {
    let mock = ProviderMock::start().await.unwrap();
    let cx = scope(&mock, Route::new("moderation").then("openai", "omni-moderation-latest")).await;
    let texts: Vec<String> =
        (0..70).map(|n| if n % 7 == 0 { format!("I will kill {n}") } else { format!("tea {n}") }).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // A quota of no money at all does not stop what is free.
    let none = Money::new(0, Currency::parse("currency", "USD").unwrap()).unwrap();
    let quota = PutQuota { money: Some(none), ..PutQuota::of(QuotaSubject::Workspace, QuotaWindow::Day) };
    cx.call(quota).await.unwrap();
    let made = cx.call(ask(&texts)).await.unwrap();
    assert_eq!(flagged(&made), (0..70).map(|n| n % 7 == 0).collect::<Vec<_>>());
    assert_eq!((made.origin, made.is_offline, mock.seen().len()), (Origin::Model, false, 3));
    assert_eq!(made.cost.unwrap().micros, 0);
    let counted: Vec<TokenUsage> =
        cx.query(&Query::by_id()).await.unwrap().into_iter().map(|usage| usage.body).collect();
    assert_eq!(counted.len(), 3);
    assert!(counted.iter().all(|u| u.estimated && u.purpose.as_deref() == Some("moderation") && u.input > 0));
}

#[tokio::test]
async fn a_provider_that_is_away_is_followed_by_the_word_lists_or_is_an_error() {
    let mock = ProviderMock::start().await.unwrap();
    let route = Route::new("moderation").then("openai", "omni-moderation-latest");
    let cx = scope(&mock, route.clone().offline_last()).await;
    mock.fault(WireFault::Status(401));
    let made = cx.call(ask(&["I will kill you", "tea"])).await.unwrap();
    assert_eq!((flagged(&made), made.is_offline), (vec![true, false], true));
    let cx = scope(&mock, route).await;
    mock.fault(WireFault::Status(401));
    let error = cx.call(ask(&["tea"])).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unauthenticated, "ai.moderate"));
}

#[tokio::test]
async fn without_a_provider_word_lists_judge() {
    let cx = Hub::builder().build().await.unwrap().workspace("default").await.unwrap();
    let made = cx.call(ask(&["Our teas are picked by hand.", "I will kill you."])).await.unwrap();
    assert_eq!((flagged(&made), made.is_offline), (vec![false, true], true));
    assert_eq!(made.model, Offline::MODEL);
    assert_eq!(made.verdicts[1].categories["violence"].score, Some(0.6));
    let many = vec!["x"; 2_049];
    for wrong in [ask(&[]), ask(&many)] {
        assert_eq!(cx.call(wrong).await.unwrap_err().field_faults()[0].field, "texts");
    }
    let picture = Picture { bytes: b"GIF89a".to_vec(), format: ImageFormat::Gif };
    let picture = ModerationInput::Picture { picture, text: Some("tea".into()) };
    let request = ModerationRequest { inputs: vec![picture], ..ModerationRequest::default() };
    let error = Router::of(&cx).await.unwrap().moderate(&cx, &Named::Default, request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "a picture that nobody looked at is not clean");
}

mod offline_suite {
    use super::*;
    async fn open(_: &str) -> Result<Arc<dyn Moderator>> {
        Ok(Arc::new(Offline::new()))
    }
    crate::moderation_conformance!(open);
}

/// A provider, with the mock alive beside it.
#[derive(Debug)]
struct Mocked(Provider, #[allow(dead_code, reason = "it lives as long as its reader")] ProviderMock);

#[async_trait]
impl Moderator for Mocked {
    fn provider(&self) -> &str {
        Moderator::provider(&self.0)
    }
    fn max_batch(&self) -> usize {
        self.0.max_batch()
    }
    async fn classify(&self, request: &ModerationRequest) -> Result<Moderated> {
        self.0.classify(request).await
    }
}

mod openai_suite {
    use super::*;
    async fn open(_: &str) -> Result<Arc<dyn Moderator>> {
        let mock = ProviderMock::start().await?;
        let builder = Provider::builder("openai").base_url(mock.base_url("openai")).model("m");
        Ok(Arc::new(Mocked(builder.build()?, mock)))
    }
    crate::moderation_conformance!(open);
}
