//! Recorded exchanges of image endpoints: the request must match, pictures are read right however the bytes are cut, and
//! a shorter answer is never taken for one.

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::recorded::{self, Playback, Way, assert_error};
use super::{Provider, ProviderConfig};
use crate::llm::image::{ImageDelta, ImageFormat, ImageModel, ImageRequest, Picture};
use crate::llm::{Origin, Usage};
use crate::testing::provider::{ProviderMock, RecordedRequest, RecordedResponse};
use crate::{ErrorKind, Result, Retry, Secret};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(skip)]
    name: String,
    source: String,
    provider: ProviderConfig,
    image: ImageRequest,
    request: RecordedRequest,
    response: RecordedResponse,
    expect: Value,
}

fn fixtures() -> Vec<Fixture> {
    recorded::read("image", 12).into_iter().map(|(name, read)| Fixture { name, ..read }).collect()
}

/// What came of one answer.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    pictures: Vec<Picture>,
    usage: Option<Usage>,
    warnings: Vec<String>,
}

async fn seen(model: &dyn ImageModel, request: ImageRequest) -> Result<Seen> {
    let mut stream = model.generate(request).await?;
    let mut out = Seen::default();
    let mut is_over = false;
    let mut is_first = true;
    while let Some(delta) = stream.next().await {
        assert!(!is_over, "nothing comes after the end");
        match delta? {
            ImageDelta::Started { provider, model: name, origin } => {
                assert!(is_first && provider == model.provider() && name == "m" && origin == Origin::Model);
            }
            ImageDelta::Warning { code, .. } => out.warnings.push(code),
            ImageDelta::Picture(picture) => out.pictures.push(picture),
            ImageDelta::Usage(usage) => assert!(out.usage.replace(usage).is_none()),
            ImageDelta::Done => is_over = true,
        }
        is_first = false;
    }
    assert!(is_over, "an answer ends with its last event or an error");
    Ok(out)
}

impl Fixture {
    async fn play(&self, way: Way) -> Result<Seen> {
        let Fixture { name, request, response, .. } = self.clone();
        let provider = Playback { name, request, response, way }.behind(&self.provider).build();
        seen(&provider.unwrap(), self.image.clone()).await
    }
}

#[tokio::test]
async fn recorded_exchanges_are_asked_and_read_as_written() {
    for fixture in fixtures() {
        let (name, expect) = (&fixture.name, &fixture.expect);
        assert!(!fixture.source.is_empty());
        match (expect.get("error"), fixture.play(Way::Pieces(7)).await) {
            (None, Ok(seen)) => {
                let pictures: Vec<Value> =
                    seen.pictures.iter().map(|p| json!([p.format.as_str(), p.bytes.len()])).collect();
                assert_eq!(json!(pictures), expect["pictures"], "{name}");
                let usage = seen.usage.map(|u| json!([u.input_uncached, u.output_visible, u.exact]));
                assert_eq!(json!(usage), expect["usage"], "{name}");
                assert_eq!(json!(seen.warnings), expect["warnings"], "{name}");
            }
            (Some(wanted), Err(error)) => {
                assert_error(name, wanted, &error, "llm.image");
                if name == "openai_rate" {
                    assert_eq!(error.retry(), Retry::After(std::time::Duration::from_secs(7)));
                }
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
        for at in 0..=last {
            assert_eq!(fixture.play(Way::Split(at)).await.unwrap(), whole, "{} {at}", fixture.name);
            let broken = fixture.play(Way::Broken(at)).await.unwrap_err();
            assert_eq!((broken.kind(), broken.code()), (ErrorKind::Unavailable, "truncated"), "{at}");
            // The last byte is a line feed, which nobody needs.
            if at < last {
                let ended = fixture.play(Way::Ended(at)).await.unwrap_err();
                assert_eq!(ended.kind(), ErrorKind::Corrupted, "{} {at}", fixture.name);
            }
        }
    }
}

#[test]
fn bytes_of_pictures_are_in_no_report() {
    let picture = Picture { bytes: b"GIF89a-secret".to_vec(), format: ImageFormat::Gif };
    let shown = format!("{:?}", ImageDelta::Picture(picture));
    assert!(shown.contains("bytes: 13") && !shown.contains("71, 73"), "{shown}");
}

fn local(mock: &ProviderMock, word: &str) -> Provider {
    let builder =
        Provider::builder(word).base_url(mock.base_url(word)).api_key(Secret::new("key")).model("m");
    builder.build().unwrap()
}

#[tokio::test]
async fn requests_that_cannot_work_are_refused_by_name_and_not_sent() {
    let mock = ProviderMock::start().await.unwrap();
    let openai = local(&mock, "openai");
    let ask = || ImageRequest::new("tea");
    for (request, field) in [
        (ImageRequest::new(" "), "prompt"),
        (ImageRequest::new("x".repeat(32_001)), "prompt"),
        (ImageRequest { n: Some(0), ..ask() }, "n"),
        (ImageRequest { n: Some(11), ..ask() }, "n"),
        (ImageRequest { size: Some("1024".into()), ..ask() }, "size"),
        (ImageRequest { size: Some("0x10".into()), ..ask() }, "size"),
        (ImageRequest { compression: Some(101), ..ask() }, "compression"),
        (ImageRequest { quality: Some("very high".into()), ..ask() }, "quality"),
        (ImageRequest { model: Some("gpt-6-luna".into()), ..ask() }, "model"),
    ] {
        let error = openai.generate(request).await.err().unwrap();
        assert_eq!(error.field_faults().iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), [field]);
    }
    let late = ImageRequest { deadline: Some(crate::Timestamp::from_millis(1)), ..ask() };
    assert_eq!(openai.generate(late).await.err().unwrap().kind(), ErrorKind::Timeout);
    for word in ["anthropic", "ollama"] {
        let error = local(&mock, word).generate(ask()).await.err().unwrap();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Unsupported, "llm.image"));
    }
    assert!(mock.seen().is_empty());
}

#[tokio::test]
async fn pictures_are_edited_as_a_form() {
    let mock = ProviderMock::start().await.unwrap();
    let openai = local(&mock, "openai");
    let png =
        |tail: &[u8]| Picture { bytes: [b"\x89PNG\r\n\x1a\n", tail].concat(), format: ImageFormat::Png };
    let mut request = ImageRequest::new("make it green");
    (request.size, request.n) = (Some("1024x1024".into()), Some(2));
    let stream = openai.edit(request.clone(), vec![png(b"a\r\n--neonhub-x"), png(b"b")]).await.unwrap();
    let deltas: Vec<ImageDelta> = stream.map(|delta| delta.unwrap()).collect().await;
    assert_eq!(deltas.iter().filter(|delta| matches!(delta, ImageDelta::Picture(_))).count(), 2);
    let seen = mock.seen().remove(0);
    assert_eq!(seen.path, "/v1/images/edits");
    let file = |name: &str, size: usize| json!({ "file": name, "type": "image/png", "bytes": size });
    assert_eq!(
        seen.body,
        json!({ "model": "m", "prompt": "make it green", "n": "2", "size": "1024x1024",
            "image[]": [file("0.png", 22), file("1.png", 9)] })
    );
    let many = vec![png(b"x"); 17];
    let svg = vec![Picture { bytes: b"<svg/>".to_vec(), format: ImageFormat::Svg }];
    for wrong in [vec![], many, svg] {
        let error = openai.edit(request.clone(), wrong).await.err().unwrap();
        assert_eq!(error.field_faults()[0].field, "sources");
    }
}
