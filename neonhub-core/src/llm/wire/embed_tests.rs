//! Recorded exchanges of embedding endpoints: the request must match, the vectors are read right however the bytes are
//! cut, and a shorter answer is never taken for one.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::tests::{Playback, Way};
use super::{Embedded, EmbeddingConfig, EmbeddingModel, ProviderBuilder, ProviderConfig};
use crate::testing::provider::{RecordedRequest, RecordedResponse};
use crate::{ErrorKind, Result};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(skip)]
    name: String,
    source: String,
    provider: ProviderConfig,
    embedding: EmbeddingConfig,
    texts: Vec<String>,
    request: RecordedRequest,
    response: RecordedResponse,
    expect: Value,
}

fn fixtures() -> Vec<Fixture> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes/embed");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        let fixture: Fixture =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        Fixture { name: file.file_stem().unwrap().to_string_lossy().into_owned(), ..fixture }
    };
    files.iter().map(read).collect()
}

impl Fixture {
    fn model(&self, way: Way) -> EmbeddingModel {
        let Fixture { name, request, response, .. } = self.clone();
        let transport = Arc::new(Playback { name, request, response, way });
        let provider = ProviderBuilder::from_config(self.provider.clone()).transport(transport).build();
        provider.unwrap().embedding_model(self.embedding.clone()).unwrap()
    }

    async fn embed(&self, way: Way) -> Result<Embedded> {
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        self.model(way).embed(&texts, None).await
    }
}

#[tokio::test]
async fn recorded_exchanges_are_asked_and_read_as_written() {
    for fixture in fixtures() {
        let (name, expect) = (&fixture.name, &fixture.expect);
        assert!(!fixture.source.is_empty());
        match (expect.get("error"), fixture.embed(Way::Pieces(1 << 20)).await) {
            (None, Ok(embedded)) => {
                let wanted: Vec<Vec<f32>> = serde_json::from_value(expect["vectors"].clone()).unwrap();
                assert_eq!(embedded.vectors.len(), wanted.len(), "{name}");
                for (got, wanted) in embedded.vectors.iter().flatten().zip(wanted.iter().flatten()) {
                    assert!((got - wanted).abs() < 1e-6, "{name} {embedded:?}");
                }
                assert_eq!(embedded.input_tokens, expect["input_tokens"], "{name}");
                assert_eq!(embedded.is_exact, expect["is_exact"], "{name}");
            }
            (Some(wanted), Err(error)) => {
                assert_eq!(error.kind().code(), wanted["kind"], "{name} {error:?}");
                assert_eq!(
                    (error.code(), error.operation()),
                    (wanted["code"].as_str().unwrap(), "llm.embed")
                );
                let context: Vec<(&str, &str)> = error.context().collect();
                for (key, value) in wanted["context"].as_object().unwrap() {
                    assert!(context.contains(&(key, value.as_str().unwrap())), "{name} {context:?}");
                }
                assert!(context.iter().any(|(key, _)| *key == "provider"), "{name} {context:?}");
                assert!(!format!("{error:?}").contains("recorded-key"), "{name}");
            }
            (wanted, got) => panic!("{name}: expected {wanted:?}, got {got:?}"),
        }
    }
}

#[tokio::test]
async fn however_it_is_cut_an_answer_is_whole_or_an_error() {
    for fixture in fixtures().into_iter().filter(|f| f.expect.get("error").is_none()) {
        let whole = fixture.embed(Way::Pieces(1 << 20)).await.unwrap();
        let last = fixture.response.bytes().len() - 1;
        for at in 0..=last {
            assert_eq!(fixture.embed(Way::Split(at)).await.unwrap(), whole, "{} {at}", fixture.name);
            let broken = fixture.embed(Way::Broken(at)).await.unwrap_err();
            assert_eq!(broken.kind(), ErrorKind::Unavailable, "{} {at}", fixture.name);
            // The last byte is a line feed, which nobody needs.
            if at < last {
                let ended = fixture.embed(Way::Ended(at)).await.unwrap_err();
                assert_eq!(ended.kind(), ErrorKind::Corrupted, "{} {at}", fixture.name);
            }
        }
    }
}

fn provider(word: &str) -> super::Provider {
    let config = ProviderConfig {
        provider: word.into(),
        base_url: Some("http://local.test/v1".into()),
        ..ProviderConfig::default()
    };
    let fixture = fixtures().remove(0);
    let Fixture { name, request, response, .. } = fixture;
    let transport = Arc::new(Playback { name, request, response, way: Way::Split(0) });
    ProviderBuilder::from_config(config).transport(transport).build().unwrap()
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let wanted = |model: &str, dims: Option<u32>| EmbeddingConfig {
        model: (!model.is_empty()).then(|| model.to_owned()),
        dims,
        ..EmbeddingConfig::default()
    };
    let openai = provider("openai");
    for (config, field) in [
        (wanted("", Some(8)), "model"),
        (wanted("nobody-knows", None), "dims"),
        (wanted("nobody-knows", Some(0)), "dims"),
        (wanted("text-embedding-3-small", Some(1_537)), "dims"),
        (wanted("gpt-6-luna", Some(8)), "model"),
        (EmbeddingConfig { max_batch: Some(0), ..wanted("text-embedding-3-small", None) }, "max_batch"),
    ] {
        let error = openai.embedding_model(config).unwrap_err();
        assert_eq!(error.field_faults().iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), [field]);
    }
    let error = provider("anthropic").embedding_model(wanted("any", Some(8))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn requests_hold_no_more_than_the_endpoint_takes() {
    let wanted = EmbeddingConfig { max_batch: Some(3), dims: Some(2), ..EmbeddingConfig::default() };
    let model = provider("openai")
        .embedding_model(EmbeddingConfig { model: Some("nobody-knows".into()), ..wanted })
        .unwrap();
    assert_eq!(model.target(), "model:openai/nobody-knows");
    assert_eq!(model.requests(&["a"; 7]), [0..3, 3..6, 6..7]);
    assert_eq!(model.requests(&[]), []);
    // 200,000 tokens by our estimate: two of them are too many for one request.
    let long = "x".repeat(640_000);
    assert_eq!(model.requests(&["a", &long, &long, "a"]), [0..2, 2..4]);
    for texts in [&[][..], &["a"; 4][..], &["a", " \n"][..]] {
        let error = model.embed(texts, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{texts:?}");
    }
}
