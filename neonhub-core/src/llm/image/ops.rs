//! The raw call of a model that makes pictures.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ImageFormat, ImageRequest, OfflineCard};
use crate::llm::table::Prices;
use crate::llm::{ModelCost, Origin, Router, Usage, Warning};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::{Error, Result, Scope};

/// Makes pictures from a prompt and keeps their bytes as blobs. This is the model alone: what comes back is no asset of
/// a brand, was not moderated, and can be neither published nor sent as it is. Offline it lays out a `card` of text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateImage {
    /// What the pictures show, at most 32 000 characters.
    pub prompt: String,
    /// `auto` or `WIDTHxHEIGHT` in pixels. Default: the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The provider's word: `low`, `medium`, `high`, `auto`. Default: the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// How many, 1 to 10. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u8>,
    /// `transparent`, `opaque` or `auto`. Default: the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// How they are written. Default: the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ImageFormat>,
    /// How strongly JPEG and WebP are compressed, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<u8>,
    /// What the offline model lays out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<OfflineCard>,
    /// Varies the offline card; below 2^53. Default: drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The route that chooses the model, by its name. Default: `image`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The model itself, in the place of a route: `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A picture in the blob store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredImage {
    /// SHA-256 of its bytes in hex, the name of its blob. A blob that no record comes to name is swept after a day.
    pub blob: String,
    /// How it is written.
    pub format: ImageFormat,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// What the model made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratedImages {
    /// The pictures, in the order they came.
    pub images: Vec<StoredImage>,
    /// Tokens used.
    pub usage: Usage,
    /// What it cost by the model table; absent when no price is known, which does not mean that it was free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<ModelCost>,
    /// What the pictures count as.
    pub origin: Origin,
    /// True when the offline model made them.
    pub is_offline: bool,
    /// The provider that answered.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// What was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl GenerateImage {
    fn request(self, seed: u64) -> ImageRequest {
        ImageRequest {
            prompt: self.prompt,
            n: self.n,
            size: self.size,
            quality: self.quality,
            background: self.background,
            format: self.format,
            compression: self.compression,
            card: self.card,
            seed: Some(self.seed.unwrap_or(seed)),
            ..ImageRequest::default()
        }
    }
}

impl Operation for GenerateImage {
    type Output = GeneratedImages;
    const NAME: &'static str = "ai.generate_image";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    // 600 s: defaults of the vendors' SDKs, 2026.
    const DEADLINE: Duration = Duration::from_secs(600);
    const ERRORS: &'static [&'static str] =
        &["unsupported", "truncated", "undecodable", "budget_paused", "budget_spent", "unknown_price"];

    async fn run(self, cx: &Scope) -> Result<GeneratedImages> {
        let (route, model) = (self.route.clone(), self.model.clone());
        let request = self.request(cx.with_rng(crate::Rng::next_u64) & crate::llm::MAX_SEED);
        let (router, named) = Router::for_call(cx, Self::NAME, route, model).await?;
        let made = Box::pin(router.images(cx, &named, request)).await;
        let made = made.map_err(|e: Error| e.for_operation(Self::NAME))?;
        let who = (made.provider.as_str(), made.model.as_str());
        let cost = router.cost_of(who, made.origin, &made.usage, Prices::of_pictures);
        Ok(GeneratedImages {
            images: made.images,
            usage: made.usage,
            cost,
            origin: made.origin,
            is_offline: made.origin.is_offline(),
            provider: made.provider,
            model: made.model,
            warnings: made.warnings,
        })
    }

    fn examples() -> Vec<Self> {
        let colors = vec!["#14532d".into(), "#f0fdf4".into()];
        let text = Some("20 % off all teas".into());
        let card = OfflineCard { title: "Spring sale".into(), text, colors, ..OfflineCard::default() };
        let prompt = "A card for the spring sale of a tea shop.".to_owned();
        vec![GenerateImage { prompt, card: Some(card), seed: Some(7), n: Some(2), ..Self::default() }]
    }
}
