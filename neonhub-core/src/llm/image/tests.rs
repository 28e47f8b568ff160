//! Pictures through the operation: routes, quotas, the blob store, and what the offline model can draw.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::economy::{GetQuotas, PutQuota, QuotaSubject, QuotaWindow, TokenUsage};
use crate::llm::table::{ModelRow, OverrideModel};
use crate::llm::{ModerateTexts, Provider, ProviderConfig, Route, Router};
use crate::op::Operation as _;
use crate::store::Query;
use crate::testing::FaultInjector;
use crate::testing::provider::{ProviderMock, RetryForm, WireFault};
use crate::{Currency, Hub, ManualClock, Money, Scope, Secret, Timestamp};

/// A time in the middle of a day, for the hub and its providers alike: deadlines are read on both.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-22T09:30:00Z").unwrap()))
}

fn openai(mock: &ProviderMock) -> Arc<Provider> {
    let builder = Provider::builder("openai").base_url(mock.base_url("openai")).api_key(Secret::new("key"));
    Arc::new(builder.clock(clock()).build().unwrap())
}

fn near(mock: &ProviderMock) -> Arc<Provider> {
    Arc::new(Provider::builder("near").base_url(mock.base_url("near")).clock(clock()).build().unwrap())
}

async fn scope(router: Router) -> Scope {
    let hub = Hub::builder().clock(clock()).seed(1).service(Arc::new(router)).build().await.unwrap();
    hub.workspace("default").await.unwrap()
}

fn ask() -> GenerateImage {
    GenerateImage { prompt: "a cup of tea".into(), ..GenerateImage::default() }
}

fn card() -> OfflineCard {
    OfflineCard { title: "Spring sale".into(), colors: vec!["#14532d".into()], ..OfflineCard::default() }
}

async fn usages(cx: &Scope) -> Vec<TokenUsage> {
    cx.query::<TokenUsage>(&Query::by_id()).await.unwrap().into_iter().map(|u| u.body).collect()
}

fn usd(minor: i64) -> Option<Money> {
    Some(Money::new(minor, Currency::parse("currency", "USD").unwrap()).unwrap())
}

/// A dollar for a million tokens in, three for a million of text out, two for a million of pictures.
async fn priced(cx: &Scope, provider: &str, model: &str, per_picture: Option<u64>) {
    let row: ModelRow = serde_json::from_value(json!({
        "provider": provider, "model": model, "kinds": ["image"], "source": "the test", "max_output": per_picture,
        "prices": { "currency": "USD", "input": 1_000_000, "output": 3_000_000, "image": 2_000_000 },
    }))
    .unwrap();
    cx.call(OverrideModel { provider: provider.into(), model: model.into(), row: Some(row) }).await.unwrap();
}

#[tokio::test]
async fn pictures_go_to_the_blob_store_with_what_they_cost() {
    let mock = ProviderMock::start().await.unwrap();
    let router = Router::new().image_model(openai(&mock)).route(Route::new("image").then("openai", "m"));
    let cx = scope(router).await;
    let made = cx.call(GenerateImage { n: Some(2), ..ask() }).await.unwrap();
    assert_eq!((made.provider.as_str(), made.model.as_str(), made.is_offline), ("openai", "m", false));
    assert_eq!(made.cost, None, "an unknown price is not zero");
    assert_ne!(made.images[0].blob, made.images[1].blob);
    for image in &made.images {
        let bytes = cx.store().blob_get(&image.blob).await.unwrap().unwrap();
        assert_eq!((ImageFormat::of(&bytes), bytes.len() as u64), (Some(ImageFormat::Png), image.size_bytes));
    }
    priced(&cx, "openai", "m", None).await;
    let made = cx.call(GenerateImage { n: Some(2), ..ask() }).await.unwrap();
    // 4 tokens in at 1, 200 out at the price of pictures.
    assert_eq!((made.usage.input_uncached, made.usage.output_visible), (4, 200));
    assert_eq!(made.cost.as_ref().unwrap().micros, 404);
    let counted = usages(&cx).await;
    assert_eq!(counted.len(), 2);
    let last = counted.iter().find(|usage| usage.cost_micros.is_some()).unwrap();
    assert_eq!((last.cost_micros, last.images, last.estimated), (Some(404), 2, false));
    assert_eq!(last.purpose.as_deref(), Some("image"));
    assert_eq!(mock.mismatches(), Vec::<String>::new());
}

#[tokio::test]
async fn the_worst_case_is_held_before_a_picture_is_asked_for() {
    let mock = ProviderMock::start().await.unwrap();
    let route = Route::new("image").then("openai", "m").offline_last();
    let cx = scope(Router::new().image_model(openai(&mock)).route(route)).await;
    let day = || PutQuota::of(QuotaSubject::Workspace, QuotaWindow::Day);
    cx.call(PutQuota { money: usd(1), ..day() }).await.unwrap();
    let drawn = || GenerateImage { card: Some(card()), ..ask() };
    let unknown = cx.call(drawn()).await.unwrap_err();
    assert_eq!((unknown.kind(), unknown.code()), (ErrorKind::Config, "unknown_price"));
    // 7,024 tokens at 2 are 14,048 micros; the cent holds 10,000.
    priced(&cx, "openai", "m", None).await;
    let error = cx.call(drawn()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::BudgetExceeded, "budget_paused"), "{error:?}");
    assert_eq!(error.operation(), GenerateImage::NAME);
    assert!(mock.seen().is_empty() && usages(&cx).await.is_empty(), "nothing was asked");
    // It was a quota of ours: the provider is not shut out.
    cx.call(PutQuota { money: usd(10), ..day() }).await.unwrap();
    cx.call(drawn()).await.unwrap();
    let state = cx.call(GetQuotas::default()).await.unwrap().remove(0);
    assert_eq!((state.used_micros, state.held_micros), (204, 0));
}

#[tokio::test]
async fn a_failed_call_is_released_and_a_broken_answer_is_paid() {
    let mock = ProviderMock::start().await.unwrap();
    let router = Router::new().image_model(openai(&mock)).route(Route::new("image").then("openai", "m"));
    let cx = scope(router).await;
    priced(&cx, "openai", "m", Some(1_000)).await;
    let quota = PutQuota { money: usd(100), ..PutQuota::of(QuotaSubject::Workspace, QuotaWindow::Day) };
    cx.call(quota).await.unwrap();
    mock.fault(WireFault::Status(404));
    assert_eq!(cx.call(ask()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(usages(&cx).await.is_empty());
    mock.fault(WireFault::HtmlPage(200));
    assert_eq!(cx.call(ask()).await.unwrap_err().kind(), ErrorKind::Corrupted);
    let [usage] = <[TokenUsage; 1]>::try_from(usages(&cx).await).unwrap();
    assert!(usage.estimated && usage.output == 1_000 && usage.cost_micros == Some(2_004), "{usage:?}");
    let state = cx.call(GetQuotas::default()).await.unwrap().remove(0);
    assert_eq!((state.used_micros, state.held_micros), (2_004, 0));
}

#[tokio::test]
async fn faults_of_tests_reach_pictures_and_verdicts() {
    let mock = ProviderMock::start().await.unwrap();
    let route = Route::new("image").then("openai", "m").then("near", "n");
    let cx = scope(Router::new().image_model(openai(&mock)).image_model(near(&mock)).route(route)).await;
    let faults = FaultInjector::new();
    for (name, kind) in [("openai", "budget_exceeded"), ("offline", "internal")] {
        let rule = json!({ "on": "model", "name": name, "error": { "kind": kind } });
        faults.add(serde_json::from_value(rule).unwrap()).unwrap();
    }
    cx.hub().inject_faults(Some(faults.clone()));
    assert_eq!(cx.call(ask()).await.unwrap().provider, "near");
    assert_eq!(mock.seen().len(), 1, "the first was never asked");
    let texts = ModerateTexts { texts: vec!["tea".into()], ..ModerateTexts::default() };
    cx.call(texts.clone()).await.unwrap_err();
    let names: Vec<String> = faults.seen().into_iter().map(|seen| seen.name).collect();
    assert_eq!(names, ["openai", "near", "offline"]);
    cx.hub().inject_faults(None);
    cx.call(texts).await.unwrap();
}

#[tokio::test]
async fn both_meanings_of_429_and_a_cut_answer_are_handled_as_for_text() {
    let mock = ProviderMock::start().await.unwrap();
    let route = Route::new("image").then("openai", "m").then("near", "n");
    let cx = scope(Router::new().image_model(openai(&mock)).image_model(near(&mock)).route(route)).await;
    let from = |made: GeneratedImages| made.provider;
    // A short wait is waited for, a long one is not.
    mock.fault(WireFault::RateLimited(RetryForm::Seconds(1)));
    assert_eq!(from(cx.call(ask()).await.unwrap()), "openai");
    mock.fault(WireFault::CutAt(60));
    assert_eq!(from(cx.call(ask()).await.unwrap()), "openai", "asked again");
    mock.fault(WireFault::OutOfMoney);
    assert_eq!(from(cx.call(ask()).await.unwrap()), "near");
    let asked = mock.seen().len();
    assert_eq!(from(cx.call(ask()).await.unwrap()), "near");
    assert_eq!(mock.seen().len(), asked + 1, "the breaker of the first is open");
    let older = mock.seen().pop().unwrap();
    assert_eq!(older.body["response_format"], "b64_json");
}

#[tokio::test]
async fn settings_sort_models_by_what_they_are_for() {
    let mock = ProviderMock::start().await.unwrap();
    let config = |json| serde_json::from_value::<ProviderConfig>(json).unwrap();
    let router = Router::from_configs(vec![
        config(json!({ "provider": "openai", "base_url": mock.base_url("openai"), "model": "gpt-6-luna" })),
        config(json!({ "provider": "openai", "model": "gpt-image-2" })),
        config(json!({ "provider": "openai", "model": "omni-moderation-latest" })),
    ])
    .unwrap();
    // Providers of settings read the machine's clock.
    let hub = Hub::builder().service(Arc::new(router)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let made = cx.call(ask()).await.unwrap();
    assert_eq!((made.provider.as_str(), made.model.as_str()), ("openai", "gpt-image-2"));
    let seen = mock.seen().pop().unwrap();
    assert!(seen.body.get("response_format").is_none() && seen.body.get("n").is_none(), "{seen:?}");
    assert_eq!(mock.mismatches(), Vec::<String>::new());
}

#[tokio::test]
async fn a_hub_without_a_model_lays_out_cards_and_paints_nothing() {
    let cx = Hub::builder().build().await.unwrap().workspace("default").await.unwrap();
    let error = cx.call(ask()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("openai") && error.message().contains("card"), "{error}");
    let drawn = |seed, n| GenerateImage { card: Some(card()), seed: Some(seed), n: Some(n), ..ask() };
    let made = cx.call(drawn(7, 10)).await.unwrap();
    assert!(made.is_offline && made.origin == Origin::Offline && made.model == "offline-rules-1");
    assert_eq!(made.cost.as_ref().unwrap().micros, 0);
    let mut blobs: Vec<&str> = made.images.iter().map(|image| image.blob.as_str()).collect();
    blobs.sort_unstable();
    blobs.dedup();
    assert_eq!(blobs.len(), 10, "variants differ");
    assert_eq!(cx.call(drawn(7, 10)).await.unwrap().images, made.images, "the same seed is the same bytes");
    let svg = cx.store().blob_get(&made.images[0].blob).await.unwrap().unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.contains("Spring sale") && svg.contains("width=\"1024\""), "{svg}");
    let png = GenerateImage { format: Some(ImageFormat::Png), ..drawn(7, 1) };
    assert_eq!(cx.call(png).await.unwrap_err().kind(), ErrorKind::Unsupported);
    let bad =
        OfflineCard { colors: vec!["green".into()], font: Some("a\"b".into()), ..OfflineCard::default() };
    let error = cx.call(GenerateImage { card: Some(bad), ..ask() }).await.unwrap_err();
    let fields: Vec<&str> = error.field_faults().iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["card.title", "card.colors", "card.font"]);
}

#[tokio::test]
async fn a_route_and_a_model_are_found_by_name_or_refused() {
    let mock = ProviderMock::start().await.unwrap();
    let cx = scope(Router::new().image_model(openai(&mock))).await;
    let model = |name: &str| GenerateImage { model: Some(name.into()), ..ask() };
    assert_eq!(cx.call(model("openai/gpt-image-2")).await.unwrap().model, "gpt-image-2");
    let wrong = cx.call(model("openai/gpt-6-luna")).await.unwrap_err();
    assert!(wrong.to_string().contains("it is no model for `image`"), "{wrong}");
    assert_eq!(cx.call(model("nobody/x")).await.unwrap_err().kind(), ErrorKind::NotFound);
    let lost = GenerateImage { route: Some("lost".into()), ..ask() };
    assert_eq!(cx.call(lost).await.unwrap_err().kind(), ErrorKind::NotFound);
    let both = GenerateImage { route: Some("image".into()), ..model("openai/m") };
    assert_eq!(cx.call(both).await.unwrap_err().field_faults()[0].field, "model");
    assert_eq!(mock.seen().len(), 1);
}

#[test]
fn pictures_are_told_by_their_first_bytes() {
    let all: [(&[u8], ImageFormat); 6] = [
        (b"\x89PNG\r\n\x1a\nx", ImageFormat::Png),
        (b"\xff\xd8\xff\xe0", ImageFormat::Jpeg),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ImageFormat::Webp),
        (b"GIF89a", ImageFormat::Gif),
        (b"  <svg xmlns=\"x\">", ImageFormat::Svg),
        (b"<?xml version=\"1.0\"?>\n<svg>", ImageFormat::Svg),
    ];
    for (bytes, format) in all {
        assert_eq!(ImageFormat::of(bytes), Some(format));
    }
    for bytes in [&b""[..], b"RIFF\x00\x00\x00\x00WAVE", b"<html><svg>", b"words"] {
        assert_eq!(ImageFormat::of(bytes), None);
    }
}

mod offline_suite {
    use super::*;
    async fn open(_: &str) -> Result<Arc<dyn ImageModel>> {
        Ok(Arc::new(crate::llm::Offline::new()))
    }
    crate::image_conformance!(open);
}

/// A provider, with the mock alive beside it.
#[derive(Debug)]
struct Mocked(Arc<Provider>, #[allow(dead_code, reason = "it lives as long as its reader")] ProviderMock);

#[async_trait]
impl ImageModel for Mocked {
    fn provider(&self) -> &str {
        ImageModel::provider(self.0.as_ref())
    }
    async fn generate(&self, request: ImageRequest) -> Result<ImageStream> {
        let model = request.model.clone().or(Some("m".into()));
        self.0.generate(ImageRequest { model, ..request }).await
    }
}

macro_rules! suite {
    ($name:ident, $open:ident) => {
        mod $name {
            use super::*;
            async fn open(_: &str) -> Result<Arc<dyn ImageModel>> {
                let mock = ProviderMock::start().await?;
                Ok(Arc::new(Mocked($open(&mock), mock)))
            }
            crate::image_conformance!(open);
        }
    };
}
suite!(openai_suite, openai);
suite!(compatible_suite, near);
