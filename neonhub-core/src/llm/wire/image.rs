//! Pictures from a provider: OpenAI's image endpoints, and the older shape of them that compatible servers speak.

use std::collections::VecDeque;

use async_trait::async_trait;
use futures_util::stream;
use serde_json::{Map, Value, json};

use super::fault;
use super::flow::Asked;
use super::form::Form;
use super::scan::Scan;
use super::{Provider, lenient};
use crate::http::{Body, Exchange};
use crate::llm::image::{ImageDelta, ImageFormat, ImageModel, ImageRequest, ImageStream, Picture};
use crate::llm::{Origin, Usage};
use crate::resilience::Lane;
use crate::{Error, ErrorKind, Faults, Result};

const IMAGE: &str = "llm.image";
/// Bytes of an answer that an error shows.
const SHOWN: usize = 2 << 10;
/// Pictures that one call may be made from. OpenAI API specification 2.3.0, 2026.
const MAX_SOURCES: usize = 16;

/// Which shape of the image endpoints a provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageApi {
    /// That of the GPT image models: always base64, and words for format and background.
    Gpt,
    /// That of before: `response_format`, and no words for format and background.
    Older,
}

impl Provider {
    /// What is asked, when this provider has the endpoint and the model is one for pictures.
    fn image_model(&self, request: &ImageRequest) -> Result<(ImageApi, Asked)> {
        request.check()?;
        let inner = &self.0;
        let Some(api) = inner.images else {
            let message = "this provider has no image endpoint: use OpenAI or a server that speaks like it";
            return Err(Error::new(ErrorKind::Unsupported, IMAGE, message)
                .with_context("provider", &inner.word)
                .with_context("capability", "image"));
        };
        let model = request.model.as_deref().or(inner.model.as_deref()).unwrap_or_default();
        let mut faults = Faults::new();
        let expected = "expected a model: name one in the request or in the settings";
        faults.check(!model.is_empty(), "model", expected);
        faults.check(!request.prompt.trim().is_empty(), "prompt", "expected what the picture shows");
        let row = inner.table.row(&inner.word, model);
        let is_image = row.is_none_or(|row| row.kinds.iter().any(|kind| kind == "image"));
        faults.check(
            is_image,
            "model",
            "expected a model that makes pictures: this one is for something else",
        );
        faults.into_result(IMAGE)?;
        Ok((api, self.asked(model)))
    }

    /// Sends an encoded request, and reads the pictures of its answer.
    async fn pictures(
        &self,
        asked: Asked,
        path: &str,
        (kind, bytes): (String, Vec<u8>),
        request: &ImageRequest,
        warnings: Vec<ImageDelta>,
    ) -> Result<ImageStream> {
        let inner = &self.0;
        let left = request.deadline.map(|at| at.since(inner.clock.now()));
        if left.is_some_and(|left| left.is_zero()) {
            let late = Error::new(ErrorKind::Timeout, IMAGE, "the deadline passed before the call was sent");
            return Err(fault::named(late, asked.who()).for_operation(IMAGE));
        }
        let limits = &inner.slow_limits;
        let exchange = self.send(&asked, path, &kind, bytes, limits, left).await;
        let exchange = exchange.map_err(|error| error.for_operation(IMAGE))?;
        Ok(read(asked, exchange, request.count(), warnings))
    }
}

#[async_trait]
impl ImageModel for Provider {
    fn provider(&self) -> &str {
        &self.0.word
    }

    fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    fn lane(&self) -> Lane {
        self.0.lane
    }

    async fn generate(&self, request: ImageRequest) -> Result<ImageStream> {
        let (api, asked) = self.image_model(&request)?;
        let (fields, warnings) = fields(&request, &asked.model, api);
        let bytes = serde_json::to_vec(&fields).map_err(|cause| Error::internal(IMAGE, cause))?;
        let body = ("application/json".to_owned(), bytes);
        self.pictures(asked, "/images/generations", body, &request, warnings).await
    }

    async fn edit(&self, request: ImageRequest, sources: Vec<Picture>) -> Result<ImageStream> {
        let (api, asked) = self.image_model(&request)?;
        let mut faults = Faults::new();
        let fits = (1..=MAX_SOURCES).contains(&sources.len());
        faults.check(fits, "sources", "expected 1 to 16 pictures");
        let is_read = |picture: &Picture| {
            matches!(picture.format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Webp)
        };
        faults.check(sources.iter().all(is_read), "sources", "expected pictures in PNG, JPEG or WebP");
        faults.into_result(IMAGE)?;
        let (fields, warnings) = fields(&request, &asked.model, api);
        let mut form = Form::new(&sources);
        for (name, value) in &fields {
            form.text(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str());
        }
        let name = if sources.len() > 1 { "image[]" } else { "image" };
        for (i, picture) in sources.iter().enumerate() {
            form.file(name, &format!("{i}.{}", picture.format.as_str()), picture);
        }
        self.pictures(asked, "/images/edits", form.end(), &request, warnings).await
    }
}

/// What is sent: only what is set, and of that only what this shape has a word for.
fn fields(request: &ImageRequest, model: &str, api: ImageApi) -> (Map<String, Value>, Vec<ImageDelta>) {
    let mut out = Map::new();
    let mut warnings = Vec::new();
    out.insert("model".into(), model.into());
    out.insert("prompt".into(), request.prompt.as_str().into());
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(name.into(), value);
        }
    };
    set("n", request.n.map(Value::from));
    set("size", request.size.as_deref().map(Value::from));
    set("quality", request.quality.as_deref().map(Value::from));
    let newer = [
        ("background", request.background.as_deref().map(Value::from)),
        ("output_format", request.format.map(|format| format.as_str().into())),
        ("output_compression", request.compression.map(Value::from)),
    ];
    for (name, value) in newer {
        if api == ImageApi::Gpt {
            set(name, value);
        } else if value.is_some() {
            warnings.push(dropped(name, "this server takes the older shape of the endpoint"));
        }
    }
    if api == ImageApi::Older {
        // An address would have to be fetched from a host that nobody named.
        set("response_format", Some("b64_json".into()));
    }
    (out, warnings)
}

fn dropped(parameter: &str, why: &str) -> ImageDelta {
    let message = format!("`{parameter}` was not sent: {why}");
    ImageDelta::Warning { code: "parameter_dropped".into(), message }
}

/// An answer under way.
struct Reading {
    asked: Asked,
    body: Body,
    scan: Option<Scan>,
    pending: VecDeque<ImageDelta>,
    wanted: u8,
    found: u8,
    is_over: bool,
}

fn read(asked: Asked, exchange: Exchange, wanted: u8, warnings: Vec<ImageDelta>) -> ImageStream {
    let started = ImageDelta::Started {
        provider: asked.provider.clone(),
        model: asked.model.clone(),
        origin: Origin::Model,
    };
    let pending = std::iter::once(started).chain(warnings).collect();
    let scan = Some(Scan::default());
    let reading = Reading { asked, body: exchange.body, scan, pending, wanted, found: 0, is_over: false };
    Box::pin(stream::unfold(reading, |mut reading| async move {
        let item = reading.next().await?;
        reading.is_over |= item.is_err();
        Some((item, reading))
    }))
}

impl Reading {
    async fn next(&mut self) -> Option<Result<ImageDelta>> {
        loop {
            if let Some(delta) = self.pending.pop_front() {
                return Some(Ok(delta));
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.more().await {
                return Some(Err(error.for_operation(IMAGE)));
            }
        }
    }

    /// Reads one piece, or the end.
    async fn more(&mut self) -> Result<()> {
        let piece = self.body.chunk().await.map_err(|error| fault::named(error, self.asked.who()))?;
        let Some(piece) = piece else {
            self.is_over = true;
            return self.end();
        };
        let mut out = Vec::new();
        if let Some(scan) = &mut self.scan {
            scan.feed(&piece, &mut out)
                .map_err(|message| fault::undecodable(self.asked.who(), message, b""))?;
        }
        for bytes in out {
            let Some(format) = ImageFormat::of(&bytes) else {
                let message = "the answer holds bytes that are no picture";
                return Err(fault::undecodable(self.asked.who(), message, b""));
            };
            self.found = self.found.saturating_add(1);
            self.pending.push_back(ImageDelta::Picture(Picture { bytes, format }));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let who = self.asked.who();
        let rest = self.scan.take().unwrap_or_default().end();
        let rest = rest.map_err(|message| fault::undecodable(who, message, b""))?;
        let shown = rest.get(..SHOWN).unwrap_or(&rest);
        let answer: Value = serde_json::from_slice(&rest)
            .map_err(|_| fault::undecodable(who, "the answer is no JSON", shown))?;
        if answer.get("error").is_some_and(|error| !error.is_null()) {
            return Err(fault::of_body(who, &answer));
        }
        if self.found == 0 {
            let has_address =
                lenient::list(&answer, "data").iter().any(|item| lenient::text(item, "url").is_some());
            if has_address {
                let message = "the server answers with an address in the place of a picture, which is not \
                               fetched: use a server that sends base64";
                let error = Error::new(ErrorKind::Unsupported, IMAGE, message).with_code("image_url");
                return Err(fault::named(error, who));
            }
            return Err(fault::undecodable(who, "the answer holds no picture", shown));
        }
        if self.found < self.wanted {
            let message = format!("{} pictures were asked for, {} came", self.wanted, self.found);
            self.pending.push_back(ImageDelta::Warning { code: "fewer_pictures".into(), message });
        }
        if let Some(usage) = lenient::object(&answer, "usage") {
            let counted = |field| lenient::count(usage, field);
            self.pending.push_back(ImageDelta::Usage(Usage {
                input_uncached: counted("input_tokens").unwrap_or(0),
                output_visible: counted("output_tokens").unwrap_or(0),
                exact: counted("input_tokens").is_some() && counted("output_tokens").is_some(),
                ..Usage::default()
            }));
        }
        self.pending.push_back(ImageDelta::Done);
        Ok(())
    }
}

/// The data URL of a picture.
pub(super) fn data_url(picture: &Picture) -> Value {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(&picture.bytes);
    json!(format!("data:{};base64,{text}", picture.format.media_type()))
}
