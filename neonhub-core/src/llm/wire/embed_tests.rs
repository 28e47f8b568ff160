//! Recorded exchanges of embedding endpoints: the request must match, the vectors are read right however the bytes are
//! cut, and a shorter answer is never taken for one.

use serde::Deserialize;
use serde_json::Value;

use super::recorded::{self, Playback, Way, assert_error};
use super::{Embedded, EmbeddingConfig, EmbeddingModel, ProviderConfig};
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
    recorded::read("embed", 10).into_iter().map(|(name, read)| Fixture { name, ..read }).collect()
}

impl Fixture {
    fn model(&self, way: Way) -> EmbeddingModel {
        let Fixture { name, request, response, .. } = self.clone();
        let provider = Playback { name, request, response, way }.behind(&self.provider).build();
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
                assert_error(name, wanted, &error, "llm.embed");
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
    Playback { name, request, response, way: Way::Split(0) }.behind(&config).build().unwrap()
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
