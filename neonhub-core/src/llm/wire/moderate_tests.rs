//! Recorded exchanges of the moderation endpoint: the request must match, and a verdict that is missing is never taken for
//! a clean one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::recorded::{self, Playback, Way, assert_error};
use super::{Provider, ProviderConfig};
use crate::llm::image::{ImageFormat, Picture};
use crate::llm::moderation::{Moderated, ModerationInput, ModerationRequest, Moderator};
use crate::testing::provider::{ProviderMock, RecordedRequest, RecordedResponse};
use crate::{ErrorKind, Result, Secret};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(skip)]
    name: String,
    source: String,
    provider: ProviderConfig,
    texts: Vec<String>,
    /// Base64 of a picture, whose words the texts are.
    #[serde(default)]
    picture: Option<String>,
    request: RecordedRequest,
    response: RecordedResponse,
    expect: Value,
}

fn fixtures() -> Vec<Fixture> {
    recorded::read("moderate", 7).into_iter().map(|(name, read)| Fixture { name, ..read }).collect()
}

impl Fixture {
    async fn play(&self, way: Way) -> Result<Moderated> {
        let Fixture { name, request, response, .. } = self.clone();
        let provider = Playback { name, request, response, way }.behind(&self.provider).build();
        let mut wanted = ModerationRequest::texts(self.texts.clone());
        if let Some(picture) = &self.picture {
            let picture =
                Picture { bytes: BASE64_STANDARD.decode(picture).unwrap(), format: ImageFormat::Png };
            wanted.inputs = vec![ModerationInput::Picture { picture, text: self.texts.first().cloned() }];
        }
        provider.unwrap().classify(&wanted).await
    }
}

#[tokio::test]
async fn recorded_exchanges_are_asked_and_read_as_written() {
    for fixture in fixtures() {
        let (name, expect) = (&fixture.name, &fixture.expect);
        assert!(!fixture.source.is_empty());
        match (expect.get("error"), fixture.play(Way::Pieces(1 << 20)).await) {
            (None, Ok(made)) => {
                assert_eq!(made.model, expect["model"], "{name}");
                let flagged: Vec<bool> = made.verdicts.iter().map(|v| v.is_flagged).collect();
                assert_eq!(json!(flagged), expect["flagged"], "{name}");
                let categories: Vec<Vec<&String>> = made
                    .verdicts
                    .iter()
                    .map(|v| {
                        v.categories.iter().filter(|(_, c)| c.is_flagged).map(|(name, _)| name).collect()
                    })
                    .collect();
                assert_eq!(json!(categories), expect["categories"], "{name}");
                for (category, score) in expect["scores"].as_object().unwrap() {
                    let found = made.verdicts.last().unwrap().categories[category].score;
                    assert_eq!(json!(found), *score, "{name}");
                }
            }
            (Some(wanted), Err(error)) => {
                assert_error(name, wanted, &error, "llm.moderate");
            }
            (wanted, got) => panic!("{name}: expected {wanted:?}, got {got:?}"),
        }
    }
}

#[tokio::test]
async fn however_it_is_cut_an_answer_is_whole_or_an_error() {
    for fixture in fixtures().into_iter().filter(|f| f.expect.get("error").is_none()) {
        let whole = fixture.play(Way::Pieces(1 << 20)).await.unwrap();
        let last = fixture.response.bytes().len() - 1;
        for at in (0..last).step_by(5) {
            assert_eq!(fixture.play(Way::Split(at)).await.unwrap(), whole, "{} {at}", fixture.name);
            let broken = fixture.play(Way::Broken(at)).await.unwrap_err();
            assert_eq!(broken.kind(), ErrorKind::Unavailable, "{} {at}", fixture.name);
            let ended = fixture.play(Way::Ended(at)).await.unwrap_err();
            assert_eq!(ended.kind(), ErrorKind::Corrupted, "{} {at}", fixture.name);
        }
    }
}

#[tokio::test]
async fn requests_that_cannot_work_are_refused_and_not_sent() {
    let mock = ProviderMock::start().await.unwrap();
    let provider = |word: &str, model: &str| {
        let builder = Provider::builder(word).base_url(mock.base_url(word)).api_key(Secret::new("key"));
        builder.model(model).build().unwrap()
    };
    let openai = provider("openai", "m");
    for (wrong, field) in [(vec![], "inputs"), (vec!["x"; 33], "inputs")] {
        let error = openai.classify(&ModerationRequest::texts(wrong)).await.unwrap_err();
        assert_eq!(error.field_faults()[0].field, field);
    }
    let error =
        provider("openai", "gpt-6-luna").classify(&ModerationRequest::texts(["x"])).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "model");
    let error = provider("ollama", "m").classify(&ModerationRequest::texts(["x"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(mock.seen().is_empty());
}

#[tokio::test]
async fn texts_go_together_and_each_picture_alone() {
    let mock = ProviderMock::start().await.unwrap();
    let builder = Provider::builder("openai").base_url(mock.base_url("openai")).api_key(Secret::new("key"));
    let openai = builder.model("m").build().unwrap();
    let text = |text: &str| ModerationInput::Text(text.into());
    let picture = Picture { bytes: b"GIF89a".to_vec(), format: ImageFormat::Gif };
    let picture = ModerationInput::Picture { picture, text: None };
    let mut request = ModerationRequest::texts(["tea", "I will kill you"]);
    request.inputs.extend([picture, text("tea again")]);
    let made = openai.classify(&request).await.unwrap();
    let flagged: Vec<bool> = made.verdicts.iter().map(|verdict| verdict.is_flagged).collect();
    assert_eq!(flagged, [false, true, false, false]);
    let inputs: Vec<Value> = mock.seen().into_iter().map(|seen| seen.body["input"].clone()).collect();
    let url = json!({ "url": "data:image/gif;base64,R0lGODlh" });
    assert_eq!(
        inputs,
        [
            json!(["tea", "I will kill you"]),
            json!([{ "type": "image_url", "image_url": url }]),
            json!(["tea again"])
        ]
    );
    assert_eq!(mock.mismatches(), Vec::<String>::new());
}
