//! The suite every [`ImageModel`] passes. A provider's test module invokes it in one line:
//!
//! ```ignore
//! async fn open(case: &str) -> neonhub_core::Result<Arc<dyn ImageModel>> { /* a fresh model */ }
//! neonhub_core::image_conformance!(open);
//! ```

use std::sync::Arc;

use futures_util::StreamExt;

use super::{ImageDelta, ImageFormat, ImageModel, ImageRequest, OfflineCard};
use crate::{ErrorKind, Result};

/// The scenarios, by name.
pub const CASES: &[&str] = &[
    "answer_starts_and_ends_in_order",
    "every_picture_that_is_asked_for_comes",
    "wrong_request_is_invalid_input",
    "unknown_model_is_not_found",
    "dropped_stream_stops",
];

/// How many scenarios this file holds, for the test that none is left off the list.
#[must_use]
pub fn count_in_source() -> usize {
    include_str!("image_conformance.rs").lines().filter(|l| l.starts_with("pub async fn ")).count()
}

/// A request for two pictures, which the offline model lays out as cards.
#[must_use]
pub fn tea() -> ImageRequest {
    let card = OfflineCard { title: "A cup of tea".into(), ..OfflineCard::default() };
    ImageRequest { n: Some(2), seed: Some(1), card: Some(card), ..ImageRequest::new("a cup of tea") }
}

async fn deltas(model: &dyn ImageModel, request: ImageRequest) -> Result<Vec<ImageDelta>> {
    model.generate(request).await?.collect::<Vec<_>>().await.into_iter().collect()
}

/// `Started` first, tokens at most once, `Done` last and nothing after it.
pub async fn answer_starts_and_ends_in_order(model: Arc<dyn ImageModel>) -> Result<()> {
    let all = deltas(model.as_ref(), tea()).await?;
    assert!(
        matches!(all.first(), Some(ImageDelta::Started { provider, model: name, .. })
            if provider == model.provider() && !name.is_empty()),
        "{all:?}"
    );
    assert_eq!(all.last(), Some(&ImageDelta::Done));
    assert_eq!(all.iter().filter(|delta| **delta == ImageDelta::Done).count(), 1);
    assert!(all.iter().filter(|delta| matches!(delta, ImageDelta::Usage(_))).count() <= 1);
    Ok(())
}

/// Two pictures come, each in the format that it says.
pub async fn every_picture_that_is_asked_for_comes(model: Arc<dyn ImageModel>) -> Result<()> {
    let all = deltas(model.as_ref(), tea()).await?;
    let pictures = all.iter().filter_map(|delta| match delta {
        ImageDelta::Picture(picture) => Some(picture),
        _ => None,
    });
    let pictures: Vec<_> = pictures.collect();
    assert_eq!(pictures.len(), 2, "{all:?}");
    assert!(pictures.iter().all(|picture| ImageFormat::of(&picture.bytes) == Some(picture.format)));
    Ok(())
}

/// A request that is wrong in itself never reaches the model.
pub async fn wrong_request_is_invalid_input(model: Arc<dyn ImageModel>) -> Result<()> {
    for wrong in [ImageRequest { n: Some(11), ..tea() }, ImageRequest { size: Some("big".into()), ..tea() }] {
        let refused = model.generate(wrong).await.map(drop);
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    }
    Ok(())
}

/// A model the provider does not have is `NotFound`.
pub async fn unknown_model_is_not_found(model: Arc<dyn ImageModel>) -> Result<()> {
    let missing = ImageRequest { model: Some("no-such-model".into()), ..tea() };
    let refused = deltas(model.as_ref(), missing).await.map(drop);
    assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::NotFound));
    Ok(())
}

/// A stream may be dropped after its first piece; the next call works as if nothing had been.
pub async fn dropped_stream_stops(model: Arc<dyn ImageModel>) -> Result<()> {
    let mut stream = model.generate(tea()).await?;
    assert!(stream.next().await.is_some());
    drop(stream);
    assert_eq!(deltas(model.as_ref(), tea()).await?.last(), Some(&ImageDelta::Done));
    Ok(())
}

/// Makes a test of each scenario of the suite. `open` is `async fn(case: &str) -> Result<Arc<dyn ImageModel>>`.
#[macro_export]
macro_rules! image_conformance {
    ($open:expr) => {
        $crate::image_conformance!(@each $open; answer_starts_and_ends_in_order,
            every_picture_that_is_asked_for_comes, wrong_request_is_invalid_input, unknown_model_is_not_found,
            dropped_stream_stops);
    };
    (@each $open:expr; $($case:ident),+) => {
        $(
            #[tokio::test]
            async fn $case() -> $crate::Result<()> {
                $crate::llm::image_conformance::$case($open(stringify!($case)).await?).await
            }
        )+

        #[test]
        fn every_case_of_the_suite_is_run() {
            assert_eq!([$(stringify!($case)),+].as_slice(), $crate::llm::image_conformance::CASES);
            let count = $crate::llm::image_conformance::count_in_source();
            assert_eq!($crate::llm::image_conformance::CASES.len(), count);
        }
    };
}
