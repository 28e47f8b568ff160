//! The official SDKs of `OpenAI`, Anthropic and Ollama against the mock of model providers: what the mock says is what the
//! clients of those providers expect, and what the providers refuse it refuses in their words.
//!
//! `NEONHUB_TEST_PYTHON` names a Python with the SDKs of `xtask/requirements.txt`; `cargo xtask test` sets it.
#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests, outside #[test] functions"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use neonhub_core::llm::{Reply, ToolCall};
use neonhub_core::testing::provider::{ProviderMock, RetryForm, WireFault};
use serde_json::{Value, json};

const KEY: &str = "test-key-0123456789abcdef";

/// A program that uses one of the SDKs, and the mock it speaks to.
struct Program {
    mock: ProviderMock,
    child: Child,
    cases: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Program {
    async fn start(sdk: &str) -> Self {
        let python =
            std::env::var("NEONHUB_TEST_PYTHON").expect("NEONHUB_TEST_PYTHON names a Python with the SDKs");
        let mock = ProviderMock::start().await.unwrap();
        mock.expect_key(KEY);
        // The SDK of Anthropic adds the version of the API itself.
        let url = if sdk == "anthropic" { mock.url() } else { mock.base_url(sdk) };
        let mut command = Command::new(python);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider_sdks.py"))
            .args([sdk, &url, KEY]);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name).env_remove(name.to_ascii_lowercase());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (cases, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Program { mock, child, cases, answers: BufReader::new(answers) }
    }

    /// What the program sees in a case. Blocks: the mock runs on another thread.
    fn run(&mut self, case: &str) -> Value {
        writeln!(self.cases, "{case}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert_eq!(self.mock.mismatches(), Vec::<String>::new(), "{case}");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{case}: the program ended"))
    }

    /// What it sees of these answers.
    fn told(&mut self, replies: impl IntoIterator<Item = Reply>, case: &str) -> Value {
        for reply in replies {
            self.mock.reply(reply);
        }
        self.run(case)
    }

    /// What it sees of an answer that this befalls.
    fn befallen(&mut self, fault: WireFault, case: &str) -> Value {
        self.mock.fault(fault);
        self.told([pieces()], case)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pieces() -> Reply {
    Reply::Chunks(vec!["hello ".into(), "from the mock ☃".into()])
}

const TEXT: &str = "hello from the mock ☃";

fn calls() -> Reply {
    let call = |id: &str, city: &str| ToolCall {
        id: id.into(),
        name: "weather.get".into(),
        args: json!({ "city": city }),
    };
    Reply::Tools(vec![call("call_1", "Wien"), call("call_2", "Graz")])
}

fn product() -> Reply {
    Reply::json(&json!({ "product": "Sencha", "price": 12 }))
}

fn raised(class: &str, status: u16, mut fields: Value) -> Value {
    (fields["raised"], fields["status"]) = (class.into(), status.into());
    fields
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with openai"]
async fn openai_reads_every_answer() {
    let mut program = Program::start("openai").await;
    let arguments = [r#"{"city":"Wien"}"#, r#"{"city":"Graz"}"#];
    let said = [["call_1", "weather-get", arguments[0]], ["call_2", "weather-get", arguments[1]]];
    let parsed =
        json!([["call_1", "weather-get", { "city": "Wien" }], ["call_2", "weather-get", { "city": "Graz" }]]);

    assert_eq!(program.told([pieces()], "chat"), json!([TEXT, "stop", true, "req_mock"]));
    assert_eq!(program.told([pieces()], "chat_stream"), json!([TEXT, "stop"]));
    assert_eq!(program.told([pieces()], "chat_stream_counted"), json!([TEXT, [false, true], 0]));
    let round = program.told([calls(), Reply::Text("both are sunny".into())], "chat_tools");
    assert_eq!(round, json!(["tool_calls", null, said, "both are sunny"]));
    let sent = &program.mock.seen().pop().unwrap().body["messages"];
    assert_eq!(
        (sent[2]["tool_call_id"].as_str(), sent[3]["content"].as_str()),
        (Some("call_1"), Some("sunny in Graz"))
    );
    assert_eq!(program.told([calls()], "chat_tools_stream"), json!([parsed, 2]));
    assert_eq!(program.told([product()], "chat_schema"), json!({ "product": "Sencha", "price": 12 }));
    assert_eq!(program.told([Reply::Refuse("not that".into())], "chat_refusal"), "not that");

    assert_eq!(program.told([pieces()], "responses"), json!([TEXT, "completed", true]));
    let streamed = program.told([pieces()], "responses_stream");
    assert_eq!((&streamed[0], &streamed[2]), (&json!(TEXT), &json!(true)));
    let order = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(streamed[1], json!(order));
    let fits = program.told([product()], "responses_stream_final");
    assert_eq!(fits, json!({ "product": "Sencha", "price": 12 }));
    let round = program.told([calls(), Reply::Text("both are sunny".into())], "responses_call");
    assert_eq!(round, json!([said, "both are sunny"]));
    let streamed = program.told([calls()], "responses_call_stream");
    assert_eq!(streamed, json!([["call_1", { "city": "Wien" }], ["call_2", { "city": "Graz" }]]));

    let vectors = json!({ "indexes": [0, 1], "same": true, "lengths": [64, 8], "tokens": true });
    assert_eq!(program.run("embeddings"), vectors);
    let packing: Vec<Value> =
        program.mock.seen().iter().rev().take(3).map(|seen| seen.body["encoding_format"].clone()).collect();
    assert_eq!(packing, ["base64", "float", "base64"], "base64 is what the SDK asks for by itself");
    assert_eq!(program.run("images"), json!([["PNG", "PNG"], "png", true]));
    assert_eq!(program.run("images_edit"), 1);
    let verdicts = json!({
        "flagged": [false, true], "violence": [false, true], "ordered": true, "types": ["text", "image"],
    });
    assert_eq!(program.run("moderations"), verdicts);
    assert_eq!(program.run("models"), json!(["test-model", "old-model"]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with openai"]
async fn openai_knows_every_failure() {
    let mut program = Program::start("openai").await;
    let limited = program.befallen(WireFault::RateLimited(RetryForm::Seconds(7)), "chat");
    let kind = json!({ "code": "rate_limit_exceeded", "type": "rate_limit_error", "retry-after": "7" });
    assert_eq!(limited, raised("RateLimitError", 429, kind));
    let spent = json!({ "code": "insufficient_quota", "type": "insufficient_quota" });
    assert_eq!(program.befallen(WireFault::OutOfMoney, "chat"), raised("RateLimitError", 429, spent));
    assert_eq!(
        program.befallen(WireFault::HtmlPage(502), "chat"),
        raised("InternalServerError", 502, json!({}))
    );
    let broken = json!({ "type": "server_error" });
    assert_eq!(program.befallen(WireFault::Status(500), "chat"), raised("InternalServerError", 500, broken));
    for case in ["chat_stream", "responses_stream"] {
        let cut = program.befallen(WireFault::CutAt(300), case);
        assert_eq!(cut, json!({ "raised": "APIConnectionError" }), "{case}");
    }
    let broken = json!({ "raised": "APIError", "code": "server_error", "type": "server_error" });
    assert_eq!(program.befallen(WireFault::ErrorAfter(2), "chat_stream"), broken);
    let events = json!(["", ["response.created", "response.in_progress", "error"], true]);
    assert_eq!(
        program.befallen(WireFault::ErrorAfter(2), "responses_stream"),
        events,
        "the SDK passes it on"
    );
    let unfinished = program.befallen(WireFault::ErrorAfter(2), "responses_stream_final");
    assert_eq!(unfinished, json!({ "raised": "RuntimeError" }));
    // A short wait is waited for; one above two minutes is the program's to decide.
    let asked = program.mock.seen().len();
    program.mock.fault(WireFault::RateLimited(RetryForm::Millis(20)));
    assert_eq!(program.told([pieces(), pieces()], "retried"), TEXT);
    assert_eq!(program.mock.seen().len(), asked + 2);
    let long = program.befallen(WireFault::RateLimited(RetryForm::Seconds(121)), "retried");
    assert_eq!((&long["status"], program.mock.seen().len()), (&json!(429), asked + 3));

    let wrong = |param: &str| {
        raised(
            "BadRequestError",
            400,
            json!({ "code": "invalid_value", "type": "invalid_request_error", "param": param }),
        )
    };
    let key = json!({ "code": "invalid_api_key", "type": "invalid_request_error" });
    assert_eq!(program.run("stranger"), raised("AuthenticationError", 401, key));
    let missing = json!({ "code": "model_not_found", "type": "invalid_request_error" });
    assert_eq!(program.run("no_such_model"), raised("NotFoundError", 404, missing));
    for (case, param) in [
        ("too_hot", "temperature"),
        ("no_messages", "messages"),
        ("loose_strict_tool", "tools[].function"),
        ("orphan_result", "messages"),
        ("few_output_tokens", "max_output_tokens"),
        ("empty_text", "input"),
        ("response_format", "response_format"),
        ("moderation_of_nothing", "input"),
    ] {
        assert_eq!(program.run(case), wrong(param), "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with anthropic"]
async fn anthropic_reads_every_answer_and_knows_every_failure() {
    let mut program = Program::start("anthropic").await;
    let asked =
        json!([["call_1", "weather-get", { "city": "Wien" }], ["call_2", "weather-get", { "city": "Graz" }]]);
    assert_eq!(program.told([pieces()], "create"), json!([TEXT, "end_turn", true, "req_mock"]));
    let first = program.mock.seen().remove(0);
    assert_eq!(first.header("anthropic-version"), Some("2026-10-21"));
    let events = program.told([pieces()], "events");
    let order = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(events, json!(order), "the SDK keeps the ping to itself");
    let streamed = program.told([pieces()], "stream");
    assert_eq!(streamed, json!([["hello ", "from the mock ☃"], TEXT, "end_turn", true]));
    let round = program.told([calls(), Reply::Text("both are sunny".into())], "tools");
    assert_eq!(round, json!(["tool_use", asked, "both are sunny"]));
    let streamed = program.told([calls()], "tools_stream");
    assert_eq!(
        streamed,
        json!([[["call_1", { "city": "Wien" }], ["call_2", { "city": "Graz" }]], "tool_use"])
    );
    assert_eq!(program.told([product()], "schema"), json!({ "product": "Sencha", "price": 12 }));
    assert_eq!(program.told([Reply::Refuse("not that".into())], "refusal"), json!(["refusal", "not that"]));
    assert_eq!(program.run("count_tokens"), true);
    assert_eq!(program.told([pieces()], "warm_before"), TEXT, "the version before takes a temperature");

    let of = |kind: &str| json!({ "type": kind });
    let limited = program.befallen(WireFault::RateLimited(RetryForm::Seconds(7)), "failed");
    let kind = json!({ "type": "rate_limit_error", "retry-after": "7" });
    assert_eq!(limited, raised("RateLimitError", 429, kind));
    let spent = program.befallen(WireFault::OutOfMoney, "failed");
    let kind = json!({ "type": "rate_limit_error", "error_code": "enforced_spend_limit_reached" });
    assert_eq!(spent, raised("EnforcedSpendLimitReachedError", 429, kind));
    for (status, class, kind) in [
        (401, "AuthenticationError", "authentication_error"),
        (402, "PaymentRequiredError", "billing_error"),
        (413, "ContentTooLargeError", "request_too_large"),
        (500, "InternalServerError", "api_error"),
        (504, "GatewayTimeoutError", "timeout_error"),
        (529, "OverloadedError", "overloaded_error"),
    ] {
        let error = program.befallen(WireFault::Status(status), "failed");
        assert_eq!(error, raised(class, status, of(kind)));
    }
    assert_eq!(program.befallen(WireFault::HtmlPage(502), "failed")["status"], 502);
    let cut = program.befallen(WireFault::CutAt(300), "half_stream");
    assert!(cut["raised"].as_str().is_some_and(|class| class.ends_with("Error")), "{cut}");
    let error = program.befallen(WireFault::ErrorAfter(2), "half_stream");
    assert_eq!(error["type"], "overloaded_error", "{error}");
    program.mock.fault(WireFault::Status(529));
    assert_eq!(program.told([pieces(), pieces()], "retried"), TEXT);

    assert_eq!(program.run("stranger"), raised("AuthenticationError", 401, of("authentication_error")));
    assert_eq!(program.run("no_such_model"), raised("NotFoundError", 404, of("not_found_error")));
    for case in [
        "warm",
        "version_of_nobody",
        "no_messages",
        "document_of_assistant",
        "call_without_result",
        "text_before_result",
        "result_without_call",
    ] {
        let refused = program.run(case);
        assert_eq!(refused, raised("BadRequestError", 400, of("invalid_request_error")), "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with ollama"]
async fn ollama_reads_every_answer_and_knows_every_failure() {
    let mut program = Program::start("ollama").await;
    let called = json!([["weather-get", { "city": "Wien" }], ["weather-get", { "city": "Graz" }]]);
    assert_eq!(program.told([pieces()], "chat"), json!([TEXT, true, "stop", true]));
    let streamed = program.told([pieces()], "stream");
    assert_eq!(streamed, json!([["hello ", "from the mock ☃", ""], [false, false, true]]));
    let round = program.told([calls(), Reply::Text("both are sunny".into())], "tools");
    assert_eq!(round, json!([called, "both are sunny"]));
    assert_eq!(program.told([calls()], "tools_stream"), called);
    assert_eq!(program.told([product()], "schema"), json!({ "product": "Sencha", "price": 12 }));
    assert_eq!(program.run("embed"), json!({ "lengths": [64, 64, 8], "unit": true, "tokens": true }));
    assert_eq!(program.run("list"), json!(["test-model", "old-model"]));

    let failed = |status: u16| raised("ResponseError", status, json!({}));
    for fault in [WireFault::Status(500), WireFault::HtmlPage(503), WireFault::RateLimited(RetryForm::None)] {
        let status = match fault {
            WireFault::Status(status) | WireFault::HtmlPage(status) => status,
            _ => 429,
        };
        assert_eq!(program.befallen(fault, "failed"), failed(status));
    }
    let cut = program.befallen(WireFault::CutAt(150), "half_stream");
    assert_eq!(cut, json!({ "raised": "RemoteProtocolError" }));
    let error = program.befallen(WireFault::ErrorAfter(1), "half_stream");
    assert_eq!(error, json!({ "raised": "ResponseError" }));
    assert_eq!(program.run("stranger"), failed(401));
    assert_eq!(program.run("no_such_model"), failed(404));
}
