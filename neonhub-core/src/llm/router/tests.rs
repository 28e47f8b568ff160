use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;

use super::*;
use crate::llm::{Delta, GenerateText, OfflineTemplate, Origin, Reply, Scripted, table::ModelRow};
use crate::{Hub, ManualClock, Retry, Timestamp};

/// A scripted model under a word of its own.
#[derive(Debug)]
struct Named(&'static str, Scripted, ModelCaps);

#[async_trait]
impl Llm for Named {
    fn provider(&self) -> &str {
        self.0
    }
    fn caps(&self, _: Option<&str>) -> ModelCaps {
        self.2.clone()
    }
    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        self.1.call(request).await
    }
}

fn named(word: &'static str, replies: Vec<Reply>) -> Arc<Named> {
    let caps = ModelCaps { tools: true, json_schema: true, context_tokens: 1_000, ..ModelCaps::unknown("m") };
    Arc::new(Named(word, replies.into_iter().fold(Scripted::new(), Scripted::reply), caps))
}

async fn scope() -> Scope {
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    Hub::builder().clock(Arc::new(clock)).seed(1).build().await.unwrap().workspace("default").await.unwrap()
}

fn fail(kind: ErrorKind, retry: Retry) -> Reply {
    Reply::Fail(Error::new(kind, "llm.call", "as the test asked").with_retry(retry))
}

fn two(a: &Arc<Named>, b: &Arc<Named>) -> Router {
    Router::new()
        .model(Arc::clone(a) as Arc<dyn Llm>)
        .model(Arc::clone(b) as Arc<dyn Llm>)
        .route(Route::new("default").then("a", "m1").then("b", "m2"))
}

fn ask() -> LlmRequest {
    LlmRequest::new().user("hi")
}

fn config(json: serde_json::Value) -> ProviderConfig {
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn a_router_of_settings_asks_them_in_order_and_the_offline_model_last() {
    let (gone, mock) =
        ("http://127.0.0.1:9/v1", crate::testing::provider::ProviderMock::start().await.unwrap());
    mock.reply("from the second");
    let configs = vec![
        config(json!({ "provider": "gone", "base_url": gone, "model": "m" })),
        config(json!({ "provider": "near", "base_url": mock.base_url("near"), "model": "first" })),
        config(json!({ "provider": "near", "model": "second" })),
    ];
    let router = Router::from_configs(configs).unwrap();
    let steps: Vec<_> = router.in_use().collect();
    assert_eq!(steps, [("gone", "m"), ("near", "first"), ("near", "second")]);
    let (answer, report) = router.complete(&scope().await, ask()).await.unwrap();
    assert_eq!(answer.text, "from the second");
    assert_eq!(report.plan.considered.last().unwrap().provider, "offline");
}

#[test]
fn wrong_settings_of_models_are_named() {
    let near = || config(json!({ "provider": "near", "base_url": "http://near.test/v1", "model": "m" }));
    let fields = |configs| {
        let error = Router::from_configs(configs).unwrap_err();
        error.field_faults().iter().map(|fault| fault.field.clone()).collect::<Vec<_>>()
    };
    assert_eq!(fields(vec![near(), near()]), ["models[1]"]);
    assert_eq!(fields(vec![near(), config(json!({ "provider": "near" }))]), ["models[1].model"]);
    let no_key =
        Router::from_configs(vec![config(json!({ "provider": "openai", "model": "m" }))]).unwrap_err();
    assert_eq!((no_key.kind(), no_key.code()), (ErrorKind::Config, "no_key"));
}

#[tokio::test]
async fn a_model_that_is_added_later_answers_in_the_place_of_the_router() {
    let router = Router::new().route(Route::new("default").offline_last());
    let hub = Hub::builder().service(Arc::new(router)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    assert_eq!(cx.model().provider(), "router");
    hub.add_model(named("later", vec!["from the later one".into()]));
    assert_eq!(cx.model().complete(ask()).await.unwrap().text, "from the later one");
}

#[tokio::test]
async fn the_first_model_is_asked_again_and_then_the_next() {
    let cx = scope().await;
    let busy = || fail(ErrorKind::Unavailable, Retry::Backoff);
    let (a, b) = (named("a", vec![busy(), busy(), busy()]), named("b", vec!["from b".into()]));
    let (answer, report) = two(&a, &b).complete(&cx, ask()).await.unwrap();
    assert_eq!(answer.text, "from b");
    let tries: Vec<_> = report.attempts.iter().map(|note| (note.provider.as_str(), note.tries)).collect();
    assert_eq!(tries, [("a", 3), ("b", 1)]);
    assert_eq!(report.attempts[0].failure.as_ref().unwrap().0, "unavailable");
    assert_eq!(b.1.requests()[0].model.as_deref(), Some("m2"));
}

#[tokio::test]
async fn spent_money_and_a_wrong_key_move_on_at_once_and_shut_the_model_out() {
    for kind in [ErrorKind::BudgetExceeded, ErrorKind::Unauthenticated] {
        let cx = scope().await;
        let a = named("a", vec![fail(kind, Retry::Never)]);
        let b = named("b", vec!["one".into(), "two".into()]);
        let router = two(&a, &b);
        let (_, report) = router.complete(&cx, ask()).await.unwrap();
        assert_eq!(report.attempts[0].tries, 1);
        let (answer, report) = router.complete(&cx, ask()).await.unwrap();
        assert_eq!((answer.text.as_str(), report.attempts[0].tries), ("two", 0), "its breaker is open");
        assert_eq!(report.attempts[0].failure.as_ref().unwrap().0, "breaker_open");
    }
}

#[tokio::test]
async fn a_request_that_is_wrong_is_asked_of_nobody_else() {
    for kind in [ErrorKind::InvalidInput, ErrorKind::ContextTooLong, ErrorKind::Blocked] {
        let cx = scope().await;
        let (a, b) = (named("a", vec![fail(kind, Retry::Never)]), named("b", vec![]));
        assert_eq!(two(&a, &b).complete(&cx, ask()).await.unwrap_err().kind(), kind);
        assert!(b.1.requests().is_empty());
    }
}

#[tokio::test]
async fn a_long_wait_is_not_waited_for_while_another_is_free() {
    let cx = scope().await;
    let began = cx.now();
    let wait = |secs| fail(ErrorKind::RateLimited, Retry::After(Duration::from_secs(secs)));
    let a = named("a", vec![wait(60)]);
    let b = named("b", vec!["one".into(), "two".into()]);
    let router = two(&a, &b);
    let (answer, report) = router.complete(&cx, ask()).await.unwrap();
    assert_eq!((answer.text.as_str(), report.attempts[0].tries), ("one", 1));
    assert_eq!(cx.now(), began, "nobody waited");
    let (_, report) = router.complete(&cx, ask()).await.unwrap();
    assert_eq!(report.attempts[0].tries, 0, "the quota of the first is known to be used up");

    let cx = scope().await;
    let began = cx.now();
    let (a, b) = (named("a", vec![wait(1), "patient".into()]), named("b", vec![]));
    assert_eq!(two(&a, &b).complete(&cx, ask()).await.unwrap().0.text, "patient");
    assert_eq!(cx.now().since(began), Duration::from_secs(1));
}

#[tokio::test]
async fn the_last_model_is_waited_for() {
    let cx = scope().await;
    let began = cx.now();
    let a =
        named("a", vec![fail(ErrorKind::RateLimited, Retry::After(Duration::from_secs(60))), "late".into()]);
    let router = Router::new().model(Arc::clone(&a) as Arc<dyn Llm>);
    let (answer, _) = router.complete(&cx, ask().model("a/m1")).await.unwrap();
    assert_eq!(answer.text, "late");
    assert_eq!(cx.now().since(began), Duration::from_secs(60));
}

#[tokio::test]
async fn when_all_fail_every_attempt_is_named() {
    let cx = scope().await;
    let gone = || fail(ErrorKind::NotFound, Retry::Never);
    let (a, b) = (named("a", vec![gone()]), named("b", vec![fail(ErrorKind::Timeout, Retry::Never)]));
    let error = two(&a, &b).complete(&cx, ask()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let attempts: Vec<_> =
        error.context().filter(|(key, _)| *key == "attempt").map(|(_, text)| text).collect();
    assert_eq!(attempts.len(), 2);
    assert!(
        attempts[0].starts_with("a/m1: not_found") && attempts[1].starts_with("b/m2: timeout"),
        "{error}"
    );
}

#[tokio::test]
async fn after_the_first_words_nothing_is_asked_again_unless_allowed() {
    let cut = || Error::new(ErrorKind::Unavailable, "llm.call", "cut").with_code("truncated");
    let cx = scope().await;
    let (a, b) = (named("a", vec![Reply::Break(vec!["half ".into()], cut())]), named("b", vec![]));
    assert_eq!(two(&a, &b).complete(&cx, ask()).await.unwrap_err().code(), "truncated");
    assert!(b.1.requests().is_empty());

    let cx = scope().await;
    let a = named("a", vec![Reply::Break(vec!["half ".into()], cut())]);
    let b = named("b", vec!["whole".into()]);
    let router = two(&a, &b).route(Route::new("default").then("a", "m1").then("b", "m2").allow_restart());
    let (stream, _) = router.call(&cx, ask()).await.unwrap();
    let deltas: Vec<Delta> = stream.map(|delta| delta.unwrap()).collect().await;
    let at = deltas.iter().position(|delta| *delta == Delta::Restarted).unwrap();
    assert_eq!(deltas[at - 1], Delta::text("half "));
    let joined = Answer::join(Box::pin(futures_util::stream::iter(deltas.into_iter().map(Ok))), None).await;
    assert_eq!(joined.unwrap().text, "whole");
}

#[tokio::test]
async fn models_that_cannot_answer_are_left_out_with_a_reason() {
    let cx = scope().await;
    let small =
        Arc::new(Named("a", Scripted::new(), ModelCaps { context_tokens: 10, ..ModelCaps::unknown("m") }));
    let b = named("b", vec![Reply::json(&json!({"n": 1}))]);
    let router = two(&small, &b);
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let wanted = ask().output_schema(schema);
    let plan = router.plan(&wanted).unwrap();
    assert_eq!(plan.considered[0].skipped.as_deref(), Some("it is not known to answer in JSON of a schema"));
    assert_eq!(router.complete(&cx, wanted).await.unwrap().0.json, Some(json!({"n": 1})));
    let long = router.plan(&LlmRequest::new().user("x".repeat(200))).unwrap();
    assert!(long.considered[0].skipped.as_ref().unwrap().contains("window holds 10"), "{long:?}");
    let nobody = router.complete(&cx, LlmRequest::new().user("x".repeat(20_000))).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::Unsupported);
    assert!(small.1.requests().is_empty());
    assert_eq!(router.plan(&ask().model("nobody/x")).unwrap_err().kind(), ErrorKind::NotFound);
    let mut lost = ask();
    lost.route = Some("lost".into());
    assert_eq!(router.plan(&lost).unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_limit_leaves_out_what_is_dear_and_what_has_no_price() {
    let cx = scope().await;
    let row = |provider: &str, model: &str, price: u64| -> ModelRow {
        serde_json::from_value(json!({ "provider": provider, "model": model,
            "prices": { "currency": "USD", "input": price, "output": price } }))
        .unwrap()
    };
    let table = ModelTable::default().with(row("a", "m1", 100_000_000)).unwrap();
    let limited = || Route::new("default").then("a", "m1").then("b", "m2").limit("USD", 1_000);
    let (a, b) = (named("a", vec![]), named("b", vec!["cheap".into()]));
    let none = two(&a, &b).table(Arc::new(table.clone())).route(limited());
    let error = none.complete(&cx, ask().max_output_tokens(100)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    let text = error.to_string();
    assert!(text.contains("the limit is 1000") && text.contains("price is unknown"), "{text}");
    let table = table.with(row("b", "m2", 1_000_000)).unwrap();
    let router = two(&a, &b).table(Arc::new(table)).route(limited());
    let (answer, report) = router.complete(&cx, ask().max_output_tokens(100)).await.unwrap();
    assert_eq!(answer.text, "cheap");
    let prices = router.table_of().row("b", "m2").unwrap().prices.clone().unwrap();
    let cost = prices.cost(&answer.usage).unwrap().micros();
    assert!(cost > 0 && cost <= report.plan.considered[1].worst_micros.unwrap());
}

#[tokio::test]
async fn operations_go_through_the_router_and_fall_back_to_offline() {
    let a = named("a", vec![fail(ErrorKind::BudgetExceeded, Retry::Never), "never".into()]);
    let route = Route::new("default").then("a", "m1").offline_last();
    let router = Router::new().model(Arc::clone(&a) as Arc<dyn Llm>).route(route);
    assert_eq!(router.in_use().collect::<Vec<_>>(), [("a", "m1")]);
    let hub = Hub::builder().service(Arc::new(router)).seed(1).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let ask = GenerateText {
        prompt: "a line".into(),
        offline_template: Some(OfflineTemplate::new("made offline", json!({}))),
        ..GenerateText::default()
    };
    let done = cx.call(ask).await.unwrap();
    assert_eq!((done.text.as_str(), done.origin, done.is_offline), ("made offline", Origin::Offline, true));
    // The line that the shut-out model was not asked for.
    assert_eq!(a.1.complete(LlmRequest::new().user("x")).await.unwrap().text, "never");
}

#[tokio::test]
async fn a_part_that_no_adapter_sends_is_named_before_anything_is_sent() {
    use crate::llm::{Part, PartBody};
    let mock = crate::testing::provider::ProviderMock::start().await.unwrap();
    let provider = crate::llm::Provider::builder("openai").base_url(mock.base_url("openai"));
    let provider = provider.api_key(crate::Secret::new("key")).model("gpt-6-luna").build().unwrap();
    let sees = crate::llm::table::ModelTable::shared().row("openai", "gpt-6-luna").unwrap().caps;
    assert!(sees.images_in && sees.documents, "the model could");
    let router =
        Router::new().model(Arc::new(provider)).route(Route::new("default").then("openai", "gpt-6-luna"));
    let (mime, blob) = ("image/png".to_owned(), "0".repeat(64));
    for (body, part, capability) in [
        (PartBody::Image { mime: mime.clone(), blob: blob.clone() }, "image", "images_in"),
        (PartBody::Document { mime, blob }, "document", "documents_in"),
    ] {
        let request = ask().context(Part::from(body));
        let skipped = router.plan(&request).unwrap().considered.remove(0).skipped.unwrap();
        assert_eq!(skipped, format!("it takes no {part} part"));
        let error = router.complete(&scope().await, request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains(&format!("takes {part} parts")), "{error}");
        assert!(error.context().any(|(key, value)| key == "capability" && value == capability), "{error}");
    }
    assert!(mock.seen().is_empty());
}

/// Asks the default route once.
#[derive(Debug)]
struct Asker;

impl crate::run::Machine for Asker {
    type State = ();
    type Event = crate::run::RunEvent;
    type Command = crate::run::Command;
    fn step(&self, (): (), event: &crate::run::RunEvent) -> ((), Vec<crate::run::Command>) {
        use crate::run::{Command, RunEvent};
        let command = match event {
            RunEvent::Started { .. } => Command::model("ask", ask()),
            RunEvent::ModelDone { answer, .. } => Command::done(json!(answer.text)),
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![command])
    }
}

impl crate::run::Program for Asker {
    const AGENT: &'static str = "asker";
    const VERSION: u32 = 1;
}

#[tokio::test]
async fn the_log_of_a_run_says_who_was_considered_and_why_others_did_not_answer() {
    use crate::run::{Driver, NewRun, What, load_log};
    let (a, b) =
        (named("a", vec![fail(ErrorKind::Unauthenticated, Retry::Never)]), named("b", vec!["from b".into()]));
    let route = Route::new("default").then("gone", "m0").then("a", "m1").then("b", "m2");
    let hub = Hub::builder().service(Arc::new(two(&a, &b).route(route))).seed(1).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let driver = Driver::new(Asker);
    let routes = async |run: &str| {
        let log = load_log(&cx, run).await.unwrap();
        let done = log.into_iter().find_map(|entry| match entry.what {
            What::ModelDone { receipt, .. } => Some(receipt),
            _ => None,
        });
        done.unwrap().unwrap().route.unwrap()
    };
    let run = driver.execute(&cx, NewRun::new(json!(1))).await.unwrap();
    assert_eq!(run.output, "from b");
    let RouteReport { plan, attempts } = routes(&run.run.id).await;
    let considered: Vec<_> =
        plan.considered.iter().map(|one| (one.provider.as_str(), one.skipped.is_some())).collect();
    assert_eq!(considered, [("gone", true), ("a", false), ("b", false)]);
    let tried: Vec<_> = attempts
        .iter()
        .map(|note| (note.provider.as_str(), note.failure.as_ref().map(|(code, _)| code.as_str())))
        .collect();
    assert_eq!(tried, [("a", Some("unauthenticated")), ("b", None)]);
    // Also where nobody answered.
    let run = driver.execute(&cx, NewRun::new(json!(2))).await.unwrap();
    assert!(run.run.failure.is_some());
    let failed = routes(&run.run.id).await.attempts;
    assert!(!failed.is_empty() && failed.iter().all(|note| note.failure.is_some()), "{failed:?}");
    // What was written down is told again as it is.
    assert!(driver.replay(&cx, &run.run.id).await.unwrap().is_same);
}
