//! Every adapter against the mock, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::llm::{
    Answer, Api, DeltaStream, EndpointCaps, Llm, LlmRequest, ModelCaps, Provider, StopKind, TokenCount,
    ToolCall,
};
use crate::{ErrorKind, Retry, Secret};

const KEY: &str = "test-key-0123456789abcdef";
/// The provider words and formats that are tested.
const ALL: &[(&str, Api)] = &[
    ("openai", Api::Chat),
    ("openai", Api::Responses),
    ("anthropic", Api::Messages),
    ("ollama", Api::Ollama),
    ("local", Api::Chat),
];

fn caps() -> ModelCaps {
    ModelCaps {
        tools: true,
        json_schema: true,
        reasoning: true,
        forced_choice: true,
        max_output_tokens: 1_000,
        ..ModelCaps::unknown("test-model")
    }
}

/// The adapter, with what it needs alive beside it.
#[derive(Debug)]
struct Mocked {
    model: Provider,
    mock: ProviderMock,
}

impl Mocked {
    async fn new(provider: &str, api: Api) -> Self {
        let mock = ProviderMock::start().await.unwrap();
        let mut builder = Provider::builder(provider)
            .api(api)
            .base_url(mock.base_url(provider))
            .api_key(Secret::new(KEY))
            .model("test-model")
            .declare(caps());
        if provider == "local" {
            builder = builder.endpoint(EndpointCaps::default());
        }
        Mocked { model: builder.build().unwrap(), mock }
    }

    async fn ask(&self) -> crate::Result<Answer> {
        self.model.complete(LlmRequest::new().user("hi")).await
    }
}

#[async_trait]
impl Llm for Mocked {
    fn provider(&self) -> &str {
        self.model.provider()
    }
    fn caps(&self, model: Option<&str>) -> ModelCaps {
        self.model.caps(model)
    }
    fn count(&self, request: &LlmRequest) -> crate::Result<TokenCount> {
        self.model.count(request)
    }
    async fn call(&self, request: LlmRequest) -> crate::Result<DeltaStream> {
        self.model.call(request).await
    }
}

/// The replies each case of the suite needs.
async fn open(provider: &str, api: Api, case: &str) -> crate::Result<Arc<dyn Llm>> {
    let mocked = Mocked::new(provider, api).await;
    match case {
        "tool_call_round_trip" => {
            let call =
                ToolCall { id: "w1".into(), name: "weather.get".into(), args: json!({ "city": "Vienna" }) };
            mocked.mock.reply(Reply::Tools(vec![call]));
            mocked.mock.reply("it is sunny in Vienna");
        }
        "schema_answer_fits" => mocked.mock.reply(Reply::json(&json!({ "product": "Sencha", "price": 12 }))),
        "unknown_model_is_not_found" => mocked.mock.reply("never said"),
        _ => {
            mocked.mock.reply(Reply::Chunks(vec!["hello ".into(), "from the suite ☃".into()]));
            mocked.mock.reply("hello from the suite ☃");
        }
    }
    Ok(Arc::new(mocked))
}

macro_rules! suite {
    ($name:ident, $provider:literal, $api:expr) => {
        mod $name {
            use super::*;
            async fn mocked(case: &str) -> crate::Result<Arc<dyn Llm>> {
                open($provider, $api, case).await
            }
            crate::llm_conformance!(mocked);
        }
    };
}
suite!(openai_chat, "openai", Api::Chat);
suite!(openai_responses, "openai", Api::Responses);
suite!(anthropic, "anthropic", Api::Messages);
suite!(ollama, "ollama", Api::Ollama);
suite!(compatible, "local", Api::Chat);

#[tokio::test]
async fn the_key_is_sent_and_stands_in_no_error() {
    for (provider, api) in ALL {
        let mocked = Mocked::new(provider, *api).await;
        mocked.mock.reply("x");
        mocked.mock.fault(WireFault::Status(401));
        let error = mocked.ask().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{provider}");
        assert!(!error.is_retryable());
        assert!(!format!("{error} {error:?} {:?}", mocked.model).contains(KEY));
        let seen = mocked.mock.seen();
        let header = if *api == Api::Messages { "x-api-key" } else { "authorization" };
        assert!(seen[0].header(header).unwrap().ends_with(KEY), "{provider}");
    }
}

#[tokio::test]
async fn another_key_is_refused_and_takes_no_line() {
    for (provider, api) in ALL {
        let mocked = Mocked::new(provider, *api).await;
        mocked.mock.reply("for the owner");
        mocked.mock.expect_key("another");
        assert_eq!(mocked.ask().await.unwrap_err().kind(), ErrorKind::Unauthenticated, "{provider}");
        mocked.mock.expect_key(KEY);
        assert_eq!(mocked.ask().await.unwrap().text, "for the owner", "{provider}");
    }
}

#[tokio::test]
async fn a_key_that_the_provider_repeats_is_cut_out() {
    let mocked = Mocked::new("openai", Api::Chat).await;
    let body = json!({ "error": { "message": format!("Incorrect API key provided: {KEY} of bob@example.com"),
        "type": "invalid_request_error", "code": "invalid_api_key" } });
    mocked.mock.play(Recorded {
        source: "by hand".into(),
        request: RecordedRequest {
            path: "/v1/chat/completions".into(),
            headers: std::collections::BTreeMap::new(),
            body: json!({ "model": "test-model", "messages": [{ "role": "user", "content": "hi" }], "stream": true,
                "stream_options": { "include_usage": true, "include_obfuscation": false } }),
        },
        response: RecordedResponse {
            status: 401,
            headers: [("x-request-id".to_owned(), "req_7".to_owned())].into(),
            lines: vec![body.to_string()],
        },
    });
    let error = mocked.ask().await.unwrap_err();
    assert_eq!(mocked.mock.mismatches(), Vec::<String>::new());
    let shown = format!("{error} {error:?} {}", std::error::Error::source(&error).unwrap());
    assert!(!shown.contains(KEY) && !shown.contains("bob@example.com"), "{shown}");
    let context: Vec<_> = error.context().collect();
    for wanted in [
        ("status", "401"),
        ("provider", "openai"),
        ("request_id", "req_7"),
        ("provider_code", "invalid_api_key"),
    ] {
        assert!(context.contains(&wanted), "{context:?}");
    }
}

#[tokio::test]
async fn both_meanings_of_429_are_told_apart() {
    for (provider, api) in ALL {
        let mocked = Mocked::new(provider, *api).await;
        for (form, low, high) in [
            (RetryForm::Seconds(7), 7_000, 7_000),
            (RetryForm::Millis(1_500), 1_500, 1_500),
            (RetryForm::Date(30), 28_000, 30_000),
            (RetryForm::Window(900), 700, 900),
        ] {
            mocked.mock.reply("x");
            mocked.mock.fault(WireFault::RateLimited(form));
            let error = mocked.ask().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RateLimited, "{provider}");
            let Retry::After(wait) = error.retry() else { panic!("{provider} {form:?} {error:?}") };
            assert!((low..=high).contains(&wait.as_millis()), "{provider} {form:?} {wait:?}");
        }
        mocked.mock.reply("x");
        mocked.mock.fault(WireFault::RateLimited(RetryForm::None));
        assert_eq!(mocked.ask().await.unwrap_err().retry(), Retry::Backoff);
        mocked.mock.reply("x");
        mocked.mock.fault(WireFault::OutOfMoney);
        let money = mocked.ask().await.unwrap_err();
        assert_eq!((money.kind(), money.retry()), (ErrorKind::BudgetExceeded, Retry::Never), "{provider}");
    }
}

#[tokio::test]
async fn pages_of_gateways_are_errors_by_their_status() {
    for (provider, api) in ALL {
        let mocked = Mocked::new(provider, *api).await;
        for (status, kind) in [(502, ErrorKind::Unavailable), (200, ErrorKind::Corrupted)] {
            mocked.mock.reply("x");
            mocked.mock.fault(WireFault::HtmlPage(status));
            let error = mocked.ask().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{provider} {status}");
            assert!(std::error::Error::source(&error).unwrap().to_string().contains("Bad Gateway"));
        }
    }
}

#[tokio::test]
async fn an_error_after_200_is_an_error_of_its_kind() {
    for (provider, api) in ALL {
        for events in [0, 2] {
            let mocked = Mocked::new(provider, *api).await;
            mocked.mock.reply(Reply::Chunks(vec!["half ".into(), "an answer".into()]));
            mocked.mock.fault(WireFault::ErrorAfter(events));
            let error = mocked.ask().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{provider} {error}");
            assert!(error.is_retryable() && error.code() != "truncated", "{provider} {error}");
        }
    }
}

#[tokio::test]
async fn what_nobody_knows_is_passed_over_or_passed_on() {
    for (provider, api) in ALL {
        let mocked = Mocked::new(provider, *api).await;
        mocked.mock.reply("still here");
        mocked.mock.fault(WireFault::UnknownEnums);
        let answer = mocked.ask().await.unwrap();
        assert_eq!(answer.text, "still here");
        assert_eq!(answer.stop, StopKind::Other("brand_new".into()), "{provider}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_reason_to_stop() {
    for (provider, api) in ALL.iter().filter(|(provider, _)| *provider != "ollama") {
        let mocked = Mocked::new(provider, *api).await;
        mocked.mock.reply(Reply::Refuse("not that".into()));
        assert_eq!(mocked.ask().await.unwrap().stop, StopKind::Refused { why: "not that".into() });
    }
}

#[tokio::test]
async fn a_connection_that_breaks_anywhere_is_never_an_answer() {
    for (provider, api) in ALL {
        let mocked = Mocked::new(provider, *api).await;
        for at in (0..400).step_by(37) {
            mocked.mock.reply("an answer of some words");
            mocked.mock.fault(WireFault::CutAt(at));
            let error = mocked.ask().await.unwrap_err();
            assert_eq!(
                (error.kind(), error.code()),
                (ErrorKind::Unavailable, "truncated"),
                "{provider} {at}"
            );
        }
    }
}

#[tokio::test]
async fn a_slow_first_byte_is_a_timeout_that_may_be_tried_again() {
    let mock = ProviderMock::start().await.unwrap();
    let config = serde_json::from_value(json!({
        "provider": "openai", "api": "chat", "base_url": mock.base_url("openai"), "api_key": KEY,
        "model": "test-model", "first_byte_ms": 50,
    }));
    let model = crate::llm::ProviderBuilder::from_config(config.unwrap()).build().unwrap();
    mock.reply("too late");
    mock.fault(WireFault::SlowFirstByte(Duration::from_secs(20)));
    let error = model.complete(LlmRequest::new().user("hi")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Backoff), "{error}");
    let mut late = LlmRequest::new().user("hi");
    late.deadline = Some(crate::Timestamp::from_millis(1));
    assert_eq!(model.complete(late).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(mock.seen().len(), 1, "nothing is sent after the deadline");
}

#[tokio::test]
async fn nobody_at_the_address_is_unavailable() {
    let mocked = Mocked::new("ollama", Api::Ollama).await;
    let Mocked { model, mock } = mocked;
    drop(mock);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let error = model.complete(LlmRequest::new().user("hi")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "network"), "{error:?}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    // The same answers, whole: the mock answers so when it is not asked to stream.
    for speech in [Speech::Chat, Speech::Responses, Speech::Messages, Speech::Ollama] {
        let call = ToolCall { id: "w1".into(), name: "weather.get".into(), args: json!({ "city": "Wien" }) };
        for reply in [Reply::Text("all at once".into()), Reply::Tools(vec![call])] {
            let whole = speech.answer(clone(&reply), &json!({ "model": "m", "stream": false }), None);
            let (provider, api) = match speech {
                Speech::Chat => ("openai", Api::Chat),
                Speech::Responses => ("openai", Api::Responses),
                Speech::Messages => ("anthropic", Api::Messages),
                Speech::Ollama => ("ollama", Api::Ollama),
            };
            let mocked = Mocked::new(provider, api).await;
            let streamed = {
                mocked.mock.reply(clone(&reply));
                mocked.ask().await.unwrap()
            };
            let body = String::from_utf8(whole.pieces.concat()).unwrap();
            let seen = mocked.mock.seen().remove(0);
            mocked.mock.play(Recorded {
                source: "the mock".into(),
                request: RecordedRequest {
                    path: seen.path,
                    headers: std::collections::BTreeMap::new(),
                    body: seen.body,
                },
                response: RecordedResponse {
                    status: 200,
                    headers: whole.headers.into_iter().collect(),
                    lines: vec![body.trim().to_owned()],
                },
            });
            let answer = mocked.ask().await.unwrap();
            assert_eq!(mocked.mock.mismatches(), Vec::<String>::new());
            assert_eq!((&answer.text, &answer.stop), (&streamed.text, &streamed.stop));
            assert_eq!(answer.tool_calls, streamed.tool_calls, "{provider}");
            assert!(answer.usage.exact);
        }
    }
}

fn clone(reply: &Reply) -> Reply {
    match reply {
        Reply::Text(text) => Reply::Text(text.clone()),
        Reply::Tools(calls) => Reply::Tools(calls.clone()),
        other => panic!("not cloned here: {other:?}"),
    }
}
