//! Cards of the offline model.

use async_trait::async_trait;
use futures_util::stream;

use super::{ImageDelta, ImageFormat, ImageModel, ImageRequest, ImageStream, Picture};
use crate::llm::{Offline, Origin};
use crate::{Error, ErrorKind, Faults, Result};

/// Pixels of a card whose size is not said.
const SIZE: (u32, u32) = (1_024, 1_024);

fn unsupported(what: &str) -> Error {
    let message = format!(
        "the offline model cannot {what}: configure a provider that makes pictures (openai), or give the request a \
         `card` of text"
    );
    Error::new(ErrorKind::Unsupported, "llm.offline", message)
        .with_context("provider", "offline")
        .with_context("model", Offline::MODEL)
}

#[async_trait]
impl ImageModel for Offline {
    fn provider(&self) -> &str {
        "offline"
    }

    fn region(&self) -> Option<&str> {
        Some(crate::tenancy::LOCAL)
    }

    async fn generate(&self, request: ImageRequest) -> Result<ImageStream> {
        request.check()?;
        if let Some(model) = request.model.as_deref().filter(|model| *model != Offline::MODEL) {
            let message = "the offline provider has one model, offline-rules-1";
            return Err(Error::new(ErrorKind::NotFound, "llm.offline", message).with_context("model", model));
        }
        let Some(card) = &request.card else { return Err(unsupported("paint from a prompt")) };
        if request.format.is_some_and(|format| format != ImageFormat::Svg) {
            return Err(unsupported("write other formats than svg"));
        }
        let mut faults = Faults::new();
        card.check(&mut faults);
        faults.into_result("llm.image")?;
        let mut out = vec![ImageDelta::Started {
            provider: "offline".into(),
            model: Offline::MODEL.into(),
            origin: Origin::Offline,
        }];
        let left_out = [
            ("quality", request.quality.is_some()),
            ("background", request.background.is_some()),
            ("compression", request.compression.is_some()),
        ];
        for (name, _) in left_out.into_iter().filter(|(_, is_set)| *is_set) {
            let message = format!("`{name}` was not used: a card has none");
            out.push(ImageDelta::Warning { code: "parameter_dropped".into(), message });
        }
        let size = request.pixels().unwrap_or(SIZE);
        for variant in 0..u64::from(request.count()) {
            let svg = card.paint(size, request.seed.unwrap_or(0), variant);
            out.push(ImageDelta::Picture(Picture { bytes: svg.into_bytes(), format: ImageFormat::Svg }));
        }
        out.push(ImageDelta::Done);
        Ok(Box::pin(stream::iter(out.into_iter().map(Ok))))
    }
}
