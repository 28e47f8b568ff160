//! Recorded exchanges: the request must match, the answer is read right however it is cut, and a shorter one is never
//! taken for an answer.

use std::path::PathBuf;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::recorded::{self, Playback, Way, assert_error};
use super::{Provider, ProviderBuilder, ProviderConfig};
use crate::llm::{Answer, Delta, Llm, LlmRequest, ModelCaps};
use crate::testing::provider::{RecordedRequest, RecordedResponse};
use crate::{Error, ErrorKind};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(skip)]
    name: String,
    source: String,
    provider: ProviderConfig,
    caps: Value,
    ask: LlmRequest,
    request: RecordedRequest,
    response: RecordedResponse,
    expect: Value,
}

fn fixtures() -> Vec<Fixture> {
    recorded::read("llm", 20).into_iter().map(|(name, read)| Fixture { name, ..read }).collect()
}

impl Fixture {
    fn played(&self, way: Way) -> Playback {
        let Fixture { name, request, response, .. } = self.clone();
        Playback { name, request, response, way }
    }

    fn model(&self, way: Way) -> Provider {
        let has = |name: &str, default: bool| self.caps.get(name).and_then(Value::as_bool).unwrap_or(default);
        let caps = ModelCaps {
            tools: true,
            json_schema: true,
            forced_choice: true,
            sampling: has("sampling", true),
            reasoning: has("reasoning", false),
            ..ModelCaps::unknown("m")
        };
        self.played(way).behind(&self.provider).declare(caps).build().unwrap()
    }

    /// Every delta up to the end or the error.
    async fn deltas(&self, way: Way) -> (Vec<Delta>, Option<Error>) {
        let mut stream = match self.model(way).call(self.ask.clone()).await {
            Ok(stream) => stream,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let mut out = Vec::new();
        while let Some(item) = stream.next().await {
            match item {
                Ok(delta) => out.push(delta),
                Err(error) => return (out, Some(error)),
            }
        }
        (out, None)
    }

    fn is_stream(&self) -> bool {
        self.response.status == 200
    }
}

/// Fields of the answer as the files write them.
fn shown(answer: &Answer) -> Value {
    let calls: Vec<Value> =
        answer.tool_calls.iter().map(|c| json!({ "id": c.id, "name": c.name, "args": c.args })).collect();
    let warnings: Vec<&String> = answer.warnings.iter().map(|(code, _)| code).collect();
    json!({
        "model": answer.model, "text": answer.text, "json": answer.json, "stop": answer.stop, "tool_calls": calls,
        "reasoning": answer.reasoning, "usage": answer.usage, "warnings": warnings,
    })
}

/// Everything that is written down must be there; counts that are left out are 0.
fn assert_holds(name: &str, wanted: &Value, got: &Value) {
    for (field, value) in wanted.as_object().unwrap() {
        if field == "usage" {
            for (count, value) in value.as_object().unwrap() {
                assert_eq!(got["usage"][count], *value, "{name} usage.{count}");
            }
        } else {
            assert_eq!(got[field], *value, "{name} {field}");
        }
    }
    for field in ["tool_calls", "reasoning", "warnings"] {
        if wanted.get(field).is_none() {
            assert_eq!(got[field], json!([]), "{name} {field}");
        }
    }
}

#[tokio::test]
async fn recorded_exchanges_are_asked_and_read_as_written() {
    for fixture in fixtures() {
        assert!(!fixture.source.is_empty());
        let answer = fixture.model(Way::Pieces(1 << 20)).complete(fixture.ask.clone()).await;
        match (fixture.expect.get("error"), answer) {
            (None, Ok(answer)) => assert_holds(&fixture.name, &fixture.expect, &shown(&answer)),
            (Some(wanted), Err(error)) => {
                assert_error(&fixture.name, wanted, &error, "llm.call");
                assert!(error.context().any(|(key, _)| key == "model"), "{} {error:?}", fixture.name);
            }
            (wanted, got) => panic!("{}: expected {wanted:?}, got {got:?}", fixture.name),
        }
    }
}

#[tokio::test]
async fn any_split_gives_the_same_deltas() {
    for fixture in fixtures().into_iter().filter(Fixture::is_stream) {
        let (whole, failed) = fixture.deltas(Way::Pieces(1 << 20)).await;
        let kind = failed.map(|e| e.kind());
        let same = async |way| {
            let (deltas, failed) = fixture.deltas(way).await;
            // What came before a failure may be fewer pieces when the failure is known at once.
            if kind.is_none() {
                assert_eq!(deltas, whole, "{} {way:?}", fixture.name);
            }
            assert_eq!(failed.map(|e| e.kind()), kind, "{} {way:?}", fixture.name);
        };
        same(Way::Pieces(1)).await;
        same(Way::Pieces(7)).await;
        for at in 0..=fixture.response.bytes().len() {
            same(Way::Split(at)).await;
        }
    }
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_is_an_error_or_the_whole_answer() {
    for fixture in fixtures().into_iter().filter(Fixture::is_stream) {
        let (whole, failed) = fixture.deltas(Way::Pieces(1 << 20)).await;
        let bytes = fixture.response.bytes().len();
        let mut errors = 0;
        for at in 0..bytes {
            for way in [Way::Ended(at), Way::Broken(at)] {
                let (deltas, error) = fixture.deltas(way).await;
                match error {
                    None => {
                        assert!(failed.is_none(), "{} {way:?}: a success where there is none", fixture.name);
                        assert_eq!(deltas, whole, "{} {way:?}", fixture.name);
                    }
                    Some(error) => {
                        errors += 1;
                        assert!(
                            !deltas.iter().any(|d| matches!(d, Delta::Done(_))),
                            "{} {way:?}",
                            fixture.name
                        );
                        let said = failed.as_ref().map(Error::kind) == Some(error.kind());
                        let cut = (error.kind(), error.code()) == (ErrorKind::Unavailable, "truncated");
                        assert!(said || cut, "{} {way:?}: {error:?}", fixture.name);
                    }
                }
            }
        }
        assert!(
            errors * 10 > bytes * 18,
            "{}: only {errors} of {} cuts were noticed",
            fixture.name,
            bytes * 2
        );
    }
}

#[test]
fn recordings_hold_no_secrets_and_no_people() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes/llm");
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // The one key in them is a word that says what it is.
        let text = text.replace("Bearer recorded-key", "").replace("\"api_key\": \"recorded-key\"", "");
        let text = text.replace("\"x-api-key\": \"recorded-key\"", "");
        let clean = crate::telemetry::redact(&text);
        assert_eq!(clean, text.as_str());
    }
}

#[test]
fn settings_are_checked_and_a_missing_key_is_named() {
    let build = |config: Value| ProviderBuilder::from_config(serde_json::from_value(config).unwrap()).build();
    let error = build(json!({ "provider": "openai" })).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "no_key"));
    assert!(error.message().contains("OPENAI_API_KEY") && error.message().contains("offline"), "{error}");
    let key = Some(crate::Secret::new("from-the-environment"));
    let found = crate::hub::EnvSettings { anthropic_api_key: key, ..Default::default() };
    assert!(Provider::builder("anthropic").env(&found).build().is_ok());
    assert_eq!(Provider::builder("openai").env(&found).build().unwrap_err().code(), "no_key");
    for (config, field) in [
        (json!({ "provider": "my server", "base_url": "http://a" }), "provider"),
        (json!({ "provider": "offline", "base_url": "http://a" }), "provider"),
        (json!({ "provider": "mine" }), "base_url"),
        (json!({ "provider": "mine", "base_url": "a.test" }), "base_url"),
        (json!({ "provider": "mine", "base_url": "http://a", "api_key": "a b" }), "api_key"),
        (json!({ "provider": "ollama", "num_ctx": 1 }), "num_ctx"),
        (json!({ "provider": "ollama", "idle_ms": 0 }), "idle_ms"),
    ] {
        assert_eq!(build(config).unwrap_err().field_faults()[0].field, field);
    }
    assert!(
        serde_json::from_value::<ProviderConfig>(json!({ "provider": "openai", "nonsense": 1 })).is_err()
    );
    let shown: ProviderConfig =
        serde_json::from_value(json!({ "provider": "openai", "api_key": "hidden" })).unwrap();
    assert!(
        !format!("{shown:?}").contains("hidden")
            && !serde_json::to_string(&shown).unwrap().contains("hidden")
    );
}

#[tokio::test]
async fn a_request_without_a_model_or_beyond_the_model_is_refused() {
    let fixture = fixtures().into_iter().find(|f| f.name == "chat_refusal").unwrap();
    let mut config = fixture.provider.clone();
    config.model = None;
    let model = fixture.played(Way::Pieces(1)).behind(&config).build().unwrap();
    let none = model.complete(LlmRequest::new().user("hi")).await.unwrap_err();
    assert_eq!(none.field_faults()[0].field, "model");
    let blind = LlmRequest::new().user("hi").model("m").message(crate::llm::Message::new(
        crate::llm::Role::User,
        vec![crate::llm::PartBody::Image { mime: "image/png".into(), blob: "00".into() }.into()],
    ));
    assert_eq!(model.complete(blind).await.unwrap_err().kind(), ErrorKind::Unsupported);
    let schema = LlmRequest::new().user("hi").model("unheard-of").output_schema(json!({ "type": "object" }));
    let error = model.complete(schema).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.context().any(|pair| pair == ("capability", "json_schema")));
}
