//! A provider over HTTP, as a model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::embed::EmbedApi;
use super::flow::{Asked, Flow};
use super::image::ImageApi;
use super::settings::ProviderConfig;
use super::words::sendable;
use super::{Ask, Dialect, ProviderBuilder, fault};
use crate::http::{self, Exchange, HttpLimits, HttpRequest, HttpTransport};
use crate::llm::compatible::PRESETS;
use crate::llm::table::ModelTable;
use crate::llm::{DeltaStream, Llm, LlmRequest, ModelCaps};
use crate::resilience::Lane;
use crate::{Clock, Error, ErrorKind, Result, Secret};

/// Most bytes of an error page that are read.
const ERROR_BODY: usize = 64 << 10;

/// A model provider over HTTP: OpenAI, Anthropic, Ollama, or a server that speaks like OpenAI. Nothing is sent before
/// the first call. Nothing is retried; a failed call says whether that would help.
///
/// ```
/// use neonhub_core::llm::Provider;
/// use neonhub_core::{ErrorKind, Secret};
/// // Without a key this is refused, and the message names the variable and the way to do without.
/// let error = Provider::builder("anthropic").model("some-model").build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Config);
/// assert!(error.message().contains("ANTHROPIC_API_KEY"));
/// # #[cfg(feature = "http")]
/// let model = Provider::builder("anthropic").model("some-model").api_key(Secret::new("key")).build()?;
/// # Ok::<(), neonhub_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Provider(pub(super) Arc<Inner>, Option<Arc<ModelCaps>>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) word: String,
    pub(super) base_url: String,
    pub(super) region: Option<String>,
    pub(super) key: Option<Secret>,
    pub(super) model: Option<String>,
    pub(super) dialect: Box<dyn Dialect>,
    pub(super) embed: Option<EmbedApi>,
    pub(super) images: Option<ImageApi>,
    pub(super) moderates: bool,
    pub(super) transport: Arc<dyn HttpTransport>,
    pub(super) limits: HttpLimits,
    /// For what is made before the first byte comes.
    pub(super) slow_limits: HttpLimits,
    pub(super) lane: Lane,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) caps: BTreeMap<String, ModelCaps>,
    pub(super) table: Arc<ModelTable>,
}

impl Provider {
    pub(super) fn new(inner: Inner) -> Self {
        Provider(Arc::new(inner), None)
    }

    /// Settings for a provider, by its word.
    pub fn builder(provider: impl Into<String>) -> ProviderBuilder {
        let config = ProviderConfig { provider: provider.into(), ..ProviderConfig::default() };
        ProviderBuilder::from_config(config)
    }

    /// The providers that are known by name, each with the environment variable that hosts keep its key in.
    pub fn known() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
        PRESETS.iter().map(|preset| (preset.word, preset.key_variable))
    }

    async fn ask(&self, request: LlmRequest) -> Result<DeltaStream> {
        let inner = &self.0;
        let model = request.model.as_deref().or(inner.model.as_deref()).ok_or_else(|| {
            Error::invalid(
                "llm.call",
                "model",
                "expected a model: name one in the request or in the settings",
            )
        })?;
        let caps = self.caps(Some(model));
        self.refuse(&request, &caps)?;
        let asked = self.asked(model);
        let left = request.deadline.map(|at| at.since(inner.clock.now()));
        if left.is_some_and(|left| left.is_zero()) {
            let late =
                Error::new(ErrorKind::Timeout, "llm.call", "the deadline passed before the call was sent");
            return Err(fault::named(late, asked.who()));
        }
        let mut ask = Ask { request: &request, model, caps: &caps, warnings: Vec::new() };
        let body = inner.dialect.encode(&mut ask)?;
        let decoder = inner.dialect.decoder(&ask);
        let warnings = std::mem::take(&mut ask.warnings);
        let exchange = self.exchange(&asked, inner.dialect.path(), &body, left).await?;
        let input = crate::llm::TokenCount::estimate(&request).tokens;
        Flow::open(asked, exchange, inner.dialect.framing(), decoder, warnings, input).await
    }

    /// Who is asked.
    pub(super) fn asked(&self, model: &str) -> Asked {
        Asked {
            provider: self.0.word.clone(),
            model: model.to_owned(),
            key: self.0.key.clone(),
            clock: Arc::clone(&self.0.clock),
        }
    }

    /// Sends a body. What comes back has a status of 2xx.
    pub(super) async fn exchange(
        &self,
        asked: &Asked,
        path: &str,
        body: &Value,
        left: Option<Duration>,
    ) -> Result<Exchange> {
        let bytes = serde_json::to_vec(body).map_err(|cause| Error::internal("llm.call", cause))?;
        self.send(asked, path, "application/json", bytes, &self.0.limits, left).await
    }

    /// Sends bytes of a media type, within limits. What comes back has a status of 2xx.
    pub(super) async fn send(
        &self,
        asked: &Asked,
        path: &str,
        kind: &str,
        bytes: Vec<u8>,
        limits: &HttpLimits,
        left: Option<Duration>,
    ) -> Result<Exchange> {
        let inner = &self.0;
        let mut sent = HttpRequest::post(format!("{}{path}", inner.base_url), kind, bytes).traced();
        if let Some(key) = &inner.key {
            let (name, value) = inner.dialect.key_header(key);
            sent = sent.header(name, value);
        }
        for (name, value) in inner.dialect.headers() {
            sent = sent.header(name, value);
        }
        // Said before it is sent: a call that is made again may be paid twice.
        tracing::debug!(
            provider = %inner.word,
            model = asked.model,
            bytes = sent.body.len(),
            "a model is asked"
        );
        let exchange = http::send(inner.transport.as_ref(), sent, limits, left)
            .await
            .map_err(|error| fault::named(error, asked.who()))?;
        if !(200..300).contains(&exchange.status) {
            let body = exchange.body.head(ERROR_BODY).await;
            return Err(fault::of_status(asked.who(), exchange.status, &exchange.headers, &body));
        }
        Ok(exchange)
    }

    /// What the model is known not to do is not sent.
    fn refuse(&self, request: &LlmRequest, caps: &ModelCaps) -> Result<()> {
        let missing = |what: &str, capability: &'static str| {
            Err(Error::new(
                ErrorKind::Unsupported,
                "llm.call",
                format!("this model {what}: use another one, or declare the capability of this one"),
            )
            .with_context("provider", &self.0.word)
            .with_context("model", &caps.model)
            .with_context("capability", capability))
        };
        if !request.tools.is_empty() && !caps.tools {
            return missing("is not known to call tools", "tools");
        }
        if request.output_schema.is_some() && !caps.json_schema {
            return missing("is not known to answer in JSON of a schema", "json_schema");
        }
        Ok(())
    }
}

#[async_trait]
impl Llm for Provider {
    fn provider(&self) -> &str {
        &self.0.word
    }

    fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    fn lane(&self) -> Lane {
        self.0.lane
    }

    fn caps(&self, model: Option<&str>) -> ModelCaps {
        let model = model.or(self.0.model.as_deref()).unwrap_or_default();
        if let Some(given) = self.1.as_ref().filter(|given| given.model == model) {
            return sendable(ModelCaps::clone(given));
        }
        sendable(match self.0.caps.get(model) {
            Some(caps) => caps.clone(),
            None => self.0.table.caps(&self.0.word, model).unwrap_or_else(|| ModelCaps::unknown(model)),
        })
    }

    fn with_caps(&self, caps: ModelCaps) -> Option<Arc<dyn Llm>> {
        Some(Arc::new(Provider(Arc::clone(&self.0), Some(Arc::new(caps)))))
    }

    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        request.check()?;
        self.ask(request).await
    }
}
