//! Pictures: one object-safe trait, a provider over HTTP, and cards that need no network.
//!
//! A call answers with a stream: each picture is decoded while it arrives and is given out on its own, so that no more
//! than one is held. [`GenerateImage`] puts them into the blob store.

mod linear;
mod offline;
mod ops;
mod paint;
#[cfg(test)]
mod tests;
mod worst;

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use futures_util::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MAX_SEED, Origin, Usage};
use crate::resilience::Lane;
use crate::{Error, ErrorKind, Faults, Result, Timestamp};

pub use ops::{GenerateImage, GeneratedImages, StoredImage};
pub use paint::OfflineCard;
pub(super) use worst::worst_tokens;

/// Most characters of a prompt. OpenAI API specification 2.3.0, 2026.
const MAX_PROMPT: usize = 32_000;
/// Most pictures of one call (same source).
const MAX_IMAGES: u8 = 10;
/// Most pixels of an edge that anyone offers, and then some.
const MAX_EDGE: u32 = 8_192;

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// GIF.
    Gif,
    /// SVG.
    Svg,
}

impl ImageFormat {
    /// By the first bytes; `None` when they begin no picture.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let has = |mark: &[u8]| bytes.starts_with(mark);
        let text = || {
            let head = String::from_utf8_lossy(bytes.get(..512).unwrap_or(bytes)).to_ascii_lowercase();
            let head = head.trim_start_matches('\u{feff}').trim_start();
            head.starts_with("<svg") || (head.starts_with("<?xml") && head.contains("<svg"))
        };
        match bytes {
            _ if has(b"\x89PNG\r\n\x1a\n") => Some(ImageFormat::Png),
            _ if has(b"\xff\xd8\xff") => Some(ImageFormat::Jpeg),
            _ if has(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => Some(ImageFormat::Webp),
            _ if has(b"GIF8") => Some(ImageFormat::Gif),
            _ if text() => Some(ImageFormat::Svg),
            _ => None,
        }
    }

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ImageFormat::Png => "png",
            ImageFormat::Jpeg => "jpeg",
            ImageFormat::Webp => "webp",
            ImageFormat::Gif => "gif",
            ImageFormat::Svg => "svg",
        }
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            ImageFormat::Png => "image/png",
            ImageFormat::Jpeg => "image/jpeg",
            ImageFormat::Webp => "image/webp",
            ImageFormat::Gif => "image/gif",
            ImageFormat::Svg => "image/svg+xml",
        }
    }
}

/// A picture in memory. `Debug` shows its size, never its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How they are written.
    pub format: ImageFormat,
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picture").field("format", &self.format).field("bytes", &self.bytes.len()).finish()
    }
}

/// What picture is wanted. Only what is set is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ImageRequest {
    /// What it shows; at most 32 000 characters.
    pub prompt: String,
    /// The model. Default: the provider's.
    pub model: Option<String>,
    /// How many pictures, 1 to 10. Default: one.
    pub n: Option<u8>,
    /// `auto` or `WIDTHxHEIGHT` in pixels.
    pub size: Option<String>,
    /// The provider's word: `low`, `medium`, `high`, `auto`; `standard` or `hd` at older servers.
    pub quality: Option<String>,
    /// `transparent`, `opaque` or `auto`.
    pub background: Option<String>,
    /// How it is written. Default: the provider's.
    pub format: Option<ImageFormat>,
    /// How strongly JPEG and WebP are compressed, 0 to 100.
    pub compression: Option<u8>,
    /// Varies what the offline model draws; below 2^53.
    pub seed: Option<u64>,
    /// What the offline model lays out; no other model reads it.
    pub card: Option<OfflineCard>,
    /// No call after this instant.
    pub deadline: Option<Timestamp>,
}

impl ImageRequest {
    /// A request for one picture.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        ImageRequest { prompt: prompt.into(), ..ImageRequest::default() }
    }

    /// How many pictures it asks for.
    #[must_use]
    pub fn count(&self) -> u8 {
        self.n.unwrap_or(1)
    }

    /// Width and height, when they are said.
    #[must_use]
    pub fn pixels(&self) -> Option<(u32, u32)> {
        let (width, height) = self.size.as_deref()?.split_once('x')?;
        let edge = |text: &str| text.parse().ok().filter(|edge| (1..=MAX_EDGE).contains(edge));
        Some((edge(width)?, edge(height)?))
    }

    /// Checks what every provider would refuse.
    ///
    /// # Errors
    /// `InvalidInput` naming each wrong field.
    pub fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let long = self.prompt.chars().count();
        let is_said = !self.prompt.trim().is_empty() || self.card.is_some();
        faults.check(is_said, "prompt", "expected what the picture shows");
        faults.check(long <= MAX_PROMPT, "prompt", "expected at most 32000 characters");
        faults.check((1..=MAX_IMAGES).contains(&self.count()), "n", "expected 1 to 10");
        let is_size = self.size.as_deref().is_none_or(|size| size == "auto") || self.pixels().is_some();
        faults.check(is_size, "size", "expected `auto` or a width and a height such as 1024x1024");
        let is_word = |word: &Option<String>| {
            let fits = |w: &String| (1..=20).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_lowercase());
            word.as_ref().is_none_or(fits)
        };
        faults.check(is_word(&self.quality), "quality", "expected a word such as `high`");
        faults.check(is_word(&self.background), "background", "expected `transparent`, `opaque` or `auto`");
        let fits = self.compression.is_none_or(|c| c <= 100);
        faults.check(fits, "compression", "expected 0 to 100");
        faults.check(self.seed.is_none_or(|s| s <= MAX_SEED), "seed", "expected a number below 2^53");
        faults.into_result("llm.image")
    }
}

/// One piece of an answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ImageDelta {
    /// The model has started; always first.
    Started {
        /// The provider.
        provider: String,
        /// The model.
        model: String,
        /// What its pictures count as.
        origin: Origin,
    },
    /// Something was left out.
    Warning {
        /// Stable word.
        code: String,
        /// For a reader.
        message: String,
    },
    /// A whole picture.
    Picture(Picture),
    /// Tokens, once, when the provider counted.
    Usage(Usage),
    /// The end of a whole answer; always last.
    Done,
}

/// Pictures as they arrive. An `Err` item is the last one and means that the answer failed; otherwise the last item is
/// [`ImageDelta::Done`]. Dropping the stream cancels the call.
pub type ImageStream = Pin<Box<dyn Stream<Item = Result<ImageDelta>> + Send>>;

/// A model that makes pictures. It never waits to retry.
#[async_trait]
pub trait ImageModel: fmt::Debug + Send + Sync + 'static {
    /// The word of the provider.
    fn provider(&self) -> &str;

    /// The region that its data goes to, such as `eu`, or [`LOCAL`](crate::tenancy::LOCAL) when it leaves no machine.
    /// Default: unknown, which workspaces of one region refuse.
    fn region(&self) -> Option<&str> {
        None
    }

    /// How many calls of this provider run and wait at a time. Default: [`Lane::MODEL`](crate::resilience::Lane::MODEL).
    fn lane(&self) -> Lane {
        Lane::MODEL
    }

    /// Makes pictures from a prompt.
    ///
    /// # Errors
    /// `InvalidInput` for a wrong request; `Unsupported` for what the model cannot do; `Blocked` when the provider's
    /// policy refuses; `RateLimited`, `Unavailable`, `BudgetExceeded` as the provider says. Errors after the first
    /// picture arrive as the last item.
    async fn generate(&self, request: ImageRequest) -> Result<ImageStream>;

    /// Makes pictures from pictures and a prompt. Default: not supported.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    async fn edit(&self, _request: ImageRequest, _sources: Vec<Picture>) -> Result<ImageStream> {
        Err(Error::new(ErrorKind::Unsupported, "llm.image", "this model edits no pictures: use another one")
            .with_context("provider", self.provider())
            .with_context("capability", "image_edit"))
    }
}
