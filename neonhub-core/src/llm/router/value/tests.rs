use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::economy::{PutQuota, QuotaSubject, QuotaWindow};
use crate::llm::table::{ModelRow, ModelTable};
use crate::llm::{DeltaStream, Llm, ModelCaps, Reply, Scripted};
use crate::{Currency, Hub, ManualClock, Money, Retry, Timestamp};

/// A scripted model under a word of its own, that says its name to whatever is asked.
#[derive(Debug)]
struct Named(&'static str, Scripted);

#[async_trait::async_trait]
impl Llm for Named {
    fn provider(&self) -> &str {
        self.0
    }
    fn caps(&self, _: Option<&str>) -> ModelCaps {
        ModelCaps { context_tokens: 10_000, max_output_tokens: 1_000, ..ModelCaps::unknown("m") }
    }
    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        self.1.call(request).await
    }
}

fn named(word: &'static str, replies: usize) -> Arc<dyn Llm> {
    let script =
        (0..replies).fold(Scripted::new().lenient(), |script, _| script.reply(Reply::Text(word.into())));
    Arc::new(Named(word, script))
}

fn row(provider: &str, price: Option<u64>, quality: Option<f64>) -> ModelRow {
    let prices = price.map(|price| json!({ "currency": "USD", "input": price, "output": price }));
    serde_json::from_value(json!({
        "provider": provider, "model": "m", "kinds": ["text"], "prices": prices, "quality": quality,
        "source": "the test",
    }))
    .unwrap()
}

/// `dear` costs ten times what `cheap` costs, and `odd` has no price.
fn router(route: Route, replies: usize) -> Router {
    let rows = [
        row("dear", Some(10_000_000), Some(0.95)),
        row("cheap", Some(1_000_000), Some(0.5)),
        row("odd", None, Some(0.99)),
    ];
    let table = rows.into_iter().fold(ModelTable::default(), |table, row| table.with(row).unwrap());
    let models = ["dear", "cheap", "odd"].map(|word| named(word, replies));
    let router = models.into_iter().fold(Router::new(), Router::model);
    router.table(Arc::new(table)).route(route)
}

fn all() -> Route {
    Route::new("default").then("dear", "m").then("odd", "m").then("cheap", "m").offline_last()
}

async fn scope(seed: u64) -> Scope {
    let clock = ManualClock::at(Timestamp::parse("now", "2026-11-22T09:30:00Z").unwrap());
    let hub = Hub::builder().clock(Arc::new(clock)).seed(seed).build().await.unwrap();
    hub.workspace("default").await.unwrap()
}

fn ask() -> LlmRequest {
    LlmRequest::new().user("How are you?").max_output_tokens(100).purpose("compose")
}

fn order(plan: &RoutePlan) -> Vec<&str> {
    let may = plan.considered.iter().filter(|one| one.skipped.is_none());
    may.map(|one| one.provider.as_str()).collect()
}

async fn planned(cx: &Scope, router: &Router, route: &Route) -> Vec<String> {
    let plan = router.ordered(cx, route, &ask()).await.unwrap();
    order(&plan).into_iter().map(str::to_owned).collect()
}

async fn quota(cx: &Scope, minor: i64, soft_share: f64) {
    let money = Money::new(minor, Currency::parse("currency", "USD").unwrap()).unwrap();
    let quota = PutQuota::of(QuotaSubject::Workspace, QuotaWindow::Day);
    cx.call(PutQuota { money: Some(money), soft_share: Some(soft_share), ..quota }).await.unwrap();
}

#[test]
fn draws_follow_the_distribution() {
    let mut rng = crate::Seed::from_number(7).rng();
    for (good, bad, quality, mean) in [
        (0.0, 0.0, None, 0.5),
        // Beta(1 + 3.6, 1 + 0.4).
        (0.0, 0.0, Some(0.9), 4.6 / 6.0),
        (30.0, 10.0, None, 31.0 / 42.0),
    ] {
        let known = ModelWorth { id: String::new(), good, bad };
        let draws: Vec<f64> = (0..20_000).map(|_| known.draw(quality, &mut rng)).collect();
        assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)));
        let found = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((found - mean).abs() < 0.01, "{found} {mean}");
    }
    // The spread of a uniform draw is 1/12.
    let flat = ModelWorth::default();
    let spread: f64 = (0..20_000).map(|_| (flat.draw(None, &mut rng) - 0.5).powi(2)).sum::<f64>() / 20_000.0;
    assert!((spread - 1.0 / 12.0).abs() < 0.005, "{spread}");
}

#[test]
fn old_answers_fade() {
    let mut known = ModelWorth::default();
    (0..1_000).for_each(|_| known.add(1.0));
    assert!((known.good - MEMORY).abs() < 1e-6 && known.bad < 1e-9);
    (0..200).for_each(|_| known.add(0.0));
    assert!(known.bad > known.good, "{known:?}");
}

#[tokio::test]
async fn the_order_of_a_route_stands_unless_it_goes_by_value() {
    let cx = scope(1).await;
    let router = router(all(), 0);
    assert_eq!(planned(&cx, &router, &all()).await, ["dear", "odd", "cheap", "offline"]);
    // Ten times the price for twice the quality is not worth it; an unknown price cannot be compared.
    let mut first_cheap = 0;
    for _ in 0..50 {
        let found = planned(&cx, &router, &all().by_value()).await;
        assert_eq!(found[2..], ["odd", "offline"]);
        first_cheap += usize::from(found[0] == "cheap");
    }
    assert!(first_cheap > 40, "{first_cheap}");
}

#[tokio::test]
async fn a_bound_of_quality_comes_before_the_price() {
    let cx = scope(2).await;
    let router = router(all(), 0);
    // What was learned is beyond doubt: the cheap one is worth nothing, the dear one much.
    for _ in 0..200 {
        Router::rate(&cx, "compose", "cheap", Some("m"), 0.0).await.unwrap();
        Router::rate(&cx, "compose", "dear", Some("m"), 1.0).await.unwrap();
    }
    let route = all().by_value().at_least(0.7);
    for _ in 0..20 {
        assert_eq!(planned(&cx, &router, &route).await, ["dear", "cheap", "odd", "offline"]);
    }
    // Of another task nothing was learned, and both hold a low bound: the cheap one wins by its price.
    let other = ask().purpose("reply");
    let mut wins = 0;
    for _ in 0..20 {
        let plan = router.ordered(&cx, &all().by_value().at_least(0.05), &other).await.unwrap();
        wins += usize::from(order(&plan)[0] == "cheap");
    }
    assert!(wins >= 15, "{wins}");
    let wrong = Router::rate(&cx, "compose", "dear", None, 1.5).await.unwrap_err();
    assert_eq!(wrong.field_faults()[0].field, "worth");
}

#[tokio::test]
async fn answers_and_failures_are_learned() {
    let cx = scope(3).await;
    let broken = Error::new(ErrorKind::Unavailable, "llm.call", "as the test asked").with_retry(Retry::Never);
    let bad: Arc<dyn Llm> = Arc::new(Named("cheap", Scripted::new().reply(Reply::Fail(broken))));
    let route = Route::new("default").then("cheap", "m").then("dear", "m").by_value();
    let router = router(route, 1).model(bad);
    // Until the one that is asked first is the one that fails.
    let (answer, report) = router.complete(&cx, ask()).await.unwrap();
    let worth = |provider: &'static str| {
        let cx = cx.clone();
        async move { cx.get::<ModelWorth>(&id_of("compose", provider, Some("m"))).await.unwrap().map(|s| s.body) }
    };
    assert_eq!((answer.text.as_str(), report.attempts.len()), ("dear", 2));
    let dear = worth("dear").await.unwrap();
    assert_eq!((dear.good, dear.bad), (1.0, 0.0));
    let cheap = worth("cheap").await.unwrap();
    assert_eq!((cheap.good, cheap.bad), (0.0, 1.0));
    // A route that does not go by value learns nothing.
    let plain = Route::new("default").then("dear", "m");
    super::super::Router::new().model(named("dear", 1)).route(plain).complete(&cx, ask()).await.unwrap();
    assert_eq!(worth("dear").await.unwrap(), dear);
}

#[tokio::test]
async fn what_does_not_fit_into_a_budget_is_left_out_by_value() {
    let cx = scope(4).await;
    // `dear` may cost 1,090 micros, `cheap` 109.
    let router = router(all(), 0);
    let route = all().by_value();
    let left = Left { is_soft: false, money: vec![("USD".into(), 1_000)] };
    let mut plan = router.plan_for(&route, &ask()).unwrap();
    router.by_value(&cx, &route, &ask(), &left, &mut plan).await.unwrap();
    assert_eq!(order(&plan), ["cheap", "odd", "offline"]);
    let out = plan.considered.iter().find(|one| one.provider == "dear").unwrap();
    assert!(out.skipped.as_ref().unwrap().contains("left of a budget"), "{out:?}");
    assert!(left.holds("EUR", 5_000) && left.holds("USD", 1_000) && !left.holds("USD", 1_001));
}

#[tokio::test]
async fn a_soft_limit_takes_the_cheaper_route_or_the_cheapest_first() {
    let cx = scope(5).await;
    let only = all().cheaper("frugal");
    let router = router(only.clone(), 0).route(Route::new("frugal").then("cheap", "m").offline_last());
    quota(&cx, 10, 0.8).await;
    assert_eq!(router.ordered(&cx, &only, &ask()).await.unwrap().degraded, None);
    // Nothing was used, and the soft share of no money is none.
    quota(&cx, 0, 0.8).await;
    let plan = router.ordered(&cx, &only, &ask()).await.unwrap();
    assert_eq!((plan.route.as_str(), order(&plan)), ("frugal", vec!["cheap", "offline"]));
    assert!(plan.degraded.unwrap().contains("`frugal` in the place of `default`"));
    let plan = router.ordered(&cx, &all(), &ask()).await.unwrap();
    assert_eq!(order(&plan), ["cheap", "dear", "odd", "offline"]);
    assert!(plan.degraded.unwrap().contains("cheapest first"));
    let lost = router.ordered(&cx, &all().cheaper("lost"), &ask()).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn at_the_hard_limit_a_cheaper_model_fits_or_the_call_pauses() {
    let cx = scope(6).await;
    // The table of the workspace has the prices, as quotas go by it.
    for row in [row("dear", Some(200_000_000), None), row("cheap", Some(1_000_000), None)] {
        let own = crate::llm::table::OverrideModel {
            provider: row.provider.clone(),
            model: "m".into(),
            row: Some(row),
        };
        cx.call(own).await.unwrap();
    }
    let route = || Route::new("default").then("dear", "m").then("cheap", "m").offline_last();
    quota(&cx, 1, 1.0).await;
    let first = router(route(), 3);
    let (answer, report) = first.complete(&cx, ask()).await.unwrap();
    assert_eq!(answer.text, "cheap");
    assert_eq!(report.attempts[0].failure.as_ref().unwrap().0, "budget_paused");
    quota(&cx, 0, 1.0).await;
    let error = first.complete(&cx, ask()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::BudgetExceeded, "budget_paused"), "{error:?}");
    // A quota of ours shuts nobody out.
    quota(&cx, 1_000, 1.0).await;
    assert_eq!(first.complete(&cx, ask()).await.unwrap().0.text, "dear");
}

#[tokio::test]
async fn data_stays_in_the_region_of_the_workspace() {
    let hub = Hub::builder().seed(1).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let mock = crate::testing::provider::ProviderMock::start().await.unwrap();
    mock.reply_always("from here");
    let there = |word: &str, region: Option<&str>| {
        let builder = crate::llm::Provider::builder(word).base_url("http://far.test/v1").model("m");
        let builder = region.into_iter().fold(builder, crate::llm::ProviderBuilder::region);
        Arc::new(builder.build().unwrap())
    };
    let here = crate::llm::Provider::builder("here").base_url(mock.base_url("here")).build().unwrap();
    let far = ["far", "us", "eu"];
    let route =
        |words: &[&str]| words.iter().fold(Route::new("default"), |route, word| route.then(*word, "m"));
    let router = Router::new()
        .model(there("far", None))
        .model(there("us", Some("us")))
        .model(there("eu", Some("eu")))
        .model(Arc::new(here))
        .image_model(there("us", Some("us")))
        .moderator(there("far", None));
    let all = route(&[far.as_slice(), &["here"]].concat());
    let open = router.ordered(&cx, &all, &ask()).await.unwrap();
    assert_eq!(order(&open), ["far", "us", "eu", "here"]);
    let tag = |any| crate::tenancy::UpdateWorkspace {
        region_tag: Some("eu".into()),
        residency_any: Some(any),
        ..crate::tenancy::UpdateWorkspace::default()
    };
    cx.call(tag(false)).await.unwrap();
    let bound = router.ordered(&cx, &all, &ask()).await.unwrap();
    assert_eq!(order(&bound), ["eu", "here"]);
    let reasons: Vec<&str> = bound.considered.iter().filter_map(|one| one.skipped.as_deref()).collect();
    assert_eq!(
        reasons,
        ["its region is unknown, the workspace wants eu", "its region is us, the workspace wants eu"]
    );
    let error = router.clone().route(route(&["us", "far"])).complete(&cx, ask()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Blocked, "residency"));
    let answer = router.clone().route(route(&["far", "here"])).complete(&cx, ask()).await.unwrap().0;
    assert_eq!(answer.text, "from here");
    let named = crate::llm::Named::Model("us/m".into());
    let drawn = router.images(&cx, &named, crate::llm::ImageRequest::new("tea")).await.unwrap_err();
    assert_eq!(drawn.code(), "residency");
    let named = crate::llm::Named::Model("far/m".into());
    let judged =
        router.moderate(&cx, &named, crate::llm::ModerationRequest::texts(["tea"])).await.unwrap_err();
    assert_eq!(judged.code(), "residency");
    // Without a router the one model of a hub is held to it as well.
    let hub = Hub::builder().model(there("us", Some("us"))).build().await.unwrap();
    let alone = hub.workspace("default").await.unwrap();
    alone.call(tag(false)).await.unwrap();
    assert_eq!(alone.model().complete(ask()).await.unwrap_err().code(), "residency");
    cx.call(tag(true)).await.unwrap();
    assert_eq!(order(&router.ordered(&cx, &all, &ask()).await.unwrap()), ["far", "eu", "here"]);
}
