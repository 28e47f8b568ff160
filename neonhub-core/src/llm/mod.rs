//! Models: one object-safe trait, neutral messages and answers, and two models that need no network.
//!
//! [`Llm`] is what every provider implements: it says what it can ([`ModelCaps`]), counts a request and answers
//! it as a stream of [`Delta`]s. [`Llm::complete`] joins that stream into one [`Answer`].
//!
//! [`Provider`] is a model over HTTP: OpenAI, Anthropic, Ollama, or a server that speaks like OpenAI; what models can
//! do and cost is data in [`table`]. [`Router`] chooses among several. [`Cassette`] records answers and plays them back.
//!
//! [`Scope::generate`](crate::Scope::generate) asks for a value of a Rust type.
//!
//! [`ImageModel`] makes pictures, [`Moderator`] says what is wrong with a text; a provider over HTTP and the offline model
//! are both, and the router holds routes for them too.
//!
//! [`Offline`] is the default provider: rules, templates and quoting, the same bytes for the same request and
//! seed, marked [`Origin::Offline`] everywhere, and `Unsupported` for what only a real model can do. `Scripted`
//! (feature `doubles`) replays a script and fails on what the script does not hold.
//!
//! ```
//! use neonhub_core::llm::{Llm, LlmRequest, Offline, OfflineTemplate};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let model = Offline::new();
//! let request = LlmRequest::new()
//!     .user("a subject line for the spring sale")
//!     .seed(7)
//!     .offline(OfflineTemplate::new(
//!         "{{ pick(['Fresh for spring', 'Spring is here']) }}: {{ offer }}",
//!         serde_json::json!({ "offer": "20 % off all teas" }),
//!     ));
//! let answer = model.complete(request).await?;
//! assert!(answer.text.ends_with(": 20 % off all teas"));
//! assert!(answer.origin.is_offline());
//! # Ok::<(), neonhub_core::Error>(())
//! # }).unwrap();
//! ```

mod answer;
mod anthropic;
mod anthropic_read;
mod cached;
mod caps;
mod cassette;
mod compatible;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod count;
mod image;
#[cfg(any(test, feature = "testing"))]
pub mod image_conformance;
mod moderation;
#[cfg(any(test, feature = "testing"))]
pub mod moderation_conformance;
mod offline;
mod ollama;
mod openai;
mod ops;
mod part;
mod repair;
mod request;
mod router;
pub mod schema;
#[cfg(any(test, feature = "doubles"))]
mod scripted;
mod status;
pub mod table;
mod task;
mod typed;
mod wire;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::Stream;

use crate::Result;
use crate::op::{Entry, entry};
use crate::resilience::Lane;
use crate::store::Kind;

pub use answer::{Answer, Citation, Delta, Origin, StopKind, ToolCall, Usage};
pub use caps::{ModelCaps, TokenCount};
pub(crate) use cassette::PERSON;
pub use cassette::{Cassette, CassetteMode};
pub use compatible::EndpointCaps;
pub use count::{CountTokens, CountedTokens};
pub use image::{
    GenerateImage, GeneratedImages, ImageDelta, ImageFormat, ImageModel, ImageRequest, ImageStream,
    OfflineCard, Picture, StoredImage,
};
#[cfg(any(test, feature = "testing"))]
pub(crate) use moderation::CATEGORIES;
pub use moderation::{
    ModerateTexts, Moderated, ModeratedTexts, ModerationCategory, ModerationInput, ModerationRequest,
    ModerationVerdict, Moderator,
};
pub use offline::Offline;
pub use ops::{GenerateText, GeneratedText, ModelCost, SourceText, Turn, Warning};
pub use part::{Message, Part, PartBody, Role, Source, Taint};
pub use repair::{BadAnswer, mending, repaired};
pub use request::{CacheHint, LlmRequest, Reasoning, ToolChoice, ToolSpec};
pub(crate) use request::{MAX_SEED, hex};
pub use router::{
    AttemptNote, Considered, KeptImages, ModelName, Named, Route, RouteConfig, RouteLimit, RoutePlan,
    RouteReport, Router,
};
#[cfg(any(test, feature = "doubles"))]
pub use scripted::{Reply, Scripted};
pub(crate) use status::by_status;
pub use task::{Facet, OfflinePlan, OfflineTask, OfflineTemplate, PlanStep};
#[cfg(any(test, feature = "testing"))]
pub(crate) use wire::tool_out;
pub use wire::{Api, Embedded, EmbeddingConfig, EmbeddingModel, Provider, ProviderBuilder, ProviderConfig};

/// Operations on models.
pub static CATALOGUE: &[Entry] = &[
    entry::<CountTokens>(),
    entry::<GenerateImage>(),
    entry::<GenerateText>(),
    entry::<ModerateTexts>(),
    entry::<table::LintModels>(),
    entry::<table::ListModels>(),
    entry::<table::OverrideModel>(),
];

/// Record kinds of models.
pub(crate) static KINDS: &[Kind] = &[Kind::of::<table::ModelOverride>(), Kind::of::<router::ModelWorth>()];

/// The answer of a model as it arrives. An `Err` item is the last one and means that the answer failed;
/// otherwise the last item is [`Delta::Done`]. Dropping the stream cancels the call.
pub type DeltaStream = Pin<Box<dyn Stream<Item = Result<Delta>> + Send>>;

/// A language model behind one provider.
///
/// Guarantees of an implementation, proved by the [`conformance`] suite:
/// - the deltas of [`call`](Llm::call) joined are the answer of [`complete`](Llm::complete);
/// - the stream ends with [`Delta::Done`] or with an error, never in silence;
/// - usage is reported once, before `Done`;
/// - dropping the stream stops the work;
/// - it never waits to retry: it classifies, and the caller's retry layer decides.
#[async_trait]
pub trait Llm: fmt::Debug + Send + Sync + 'static {
    /// The word of the provider: `offline`, `openai`, `anthropic`.
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

    /// What `model` can do; `None` asks for the provider's default model.
    fn caps(&self, model: Option<&str>) -> ModelCaps;

    /// The same provider with other abilities of one model, for one that goes by them. Default: none.
    fn with_caps(&self, _caps: ModelCaps) -> Option<Arc<dyn Llm>> {
        None
    }

    /// How many tokens `request` holds as input. Without the model's own tokenizer this is an estimate on the
    /// high side, marked as such.
    ///
    /// # Errors
    /// `InvalidInput` when the request itself is wrong.
    fn count(&self, request: &LlmRequest) -> Result<TokenCount> {
        request.check()?;
        Ok(TokenCount::estimate(request))
    }

    /// Answers `request` as a stream.
    ///
    /// # Errors
    /// `InvalidInput` for a wrong request; `Unsupported` for what the model cannot do; `RateLimited`,
    /// `Unavailable`, `BudgetExceeded`, `ContextTooLong`, `Blocked` as the provider says. Errors after the first
    /// delta arrive as the last item of the stream.
    async fn call(&self, request: LlmRequest) -> Result<DeltaStream>;

    /// Answers `request` as a whole.
    ///
    /// # Errors
    /// Those of [`call`](Llm::call); `Unavailable` (code `truncated`) when the stream ended without its last
    /// item; `Corrupted` (code `invalid_output`) when a schema was asked for and the text does not fit it;
    /// `Blocked` (code `refused`) when a schema was asked for and the model refused.
    async fn complete(&self, request: LlmRequest) -> Result<Answer> {
        let wanted = request.output_schema.clone();
        let stream = self.call(request).await?;
        Answer::join(stream, wanted.as_ref()).await
    }
}
