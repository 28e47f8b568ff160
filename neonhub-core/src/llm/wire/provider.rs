//! A provider over HTTP, as a model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::embed::EmbedApi;
use super::flow::{Asked, Flow};
use super::settings::{Api, Preset, ProviderConfig};
use super::{Ask, Dialect, fault};
use crate::http::{self, Exchange, HttpLimits, HttpRequest, HttpTransport};
use crate::llm::compatible::{EndpointCaps, PRESETS};
use crate::llm::openai::{Chat, Responses};
use crate::llm::table::ModelTable;
use crate::llm::{DeltaStream, Llm, LlmRequest, ModelCaps, anthropic, ollama};
use crate::{Clock, Error, ErrorKind, Faults, Result, Scope, Secret, SystemClock};

/// Most bytes of an error page that are read.
const ERROR_BODY: usize = 64 << 10;
const OPERATION: &str = "llm.provider";

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
    base_url: String,
    key: Option<Secret>,
    pub(super) model: Option<String>,
    dialect: Box<dyn Dialect>,
    pub(super) embed: Option<EmbedApi>,
    transport: Arc<dyn HttpTransport>,
    limits: HttpLimits,
    clock: Arc<dyn Clock>,
    caps: BTreeMap<String, ModelCaps>,
    pub(super) table: Arc<ModelTable>,
}

impl Provider {
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
        let inner = &self.0;
        let bytes = serde_json::to_vec(body).map_err(|cause| Error::internal("llm.call", cause))?;
        let mut sent = HttpRequest::post_json(format!("{}{path}", inner.base_url), bytes).traced();
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
        let exchange = http::send(inner.transport.as_ref(), sent, &inner.limits, left)
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

    fn caps(&self, model: Option<&str>) -> ModelCaps {
        let model = model.or(self.0.model.as_deref()).unwrap_or_default();
        if let Some(given) = self.1.as_ref().filter(|given| given.model == model) {
            return ModelCaps::clone(given);
        }
        match self.0.caps.get(model) {
            Some(caps) => caps.clone(),
            None => self.0.table.caps(&self.0.word, model).unwrap_or_else(|| ModelCaps::unknown(model)),
        }
    }

    fn with_caps(&self, caps: ModelCaps) -> Option<Arc<dyn Llm>> {
        Some(Arc::new(Provider(Arc::clone(&self.0), Some(Arc::new(caps)))))
    }

    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        request.check()?;
        self.ask(request).await
    }
}

/// Makes a [`Provider`].
#[derive(Debug)]
#[must_use]
pub struct ProviderBuilder {
    config: ProviderConfig,
    transport: Option<Arc<dyn HttpTransport>>,
    clock: Arc<dyn Clock>,
    caps: BTreeMap<String, ModelCaps>,
    table: Option<Arc<ModelTable>>,
}

impl ProviderBuilder {
    /// Starts from settings.
    pub fn from_config(config: ProviderConfig) -> Self {
        ProviderBuilder {
            config,
            transport: None,
            clock: Arc::new(SystemClock),
            caps: BTreeMap::new(),
            table: None,
        }
    }

    /// The key. Keep it in the vault or in the environment; see [`key_from_vault`](Self::key_from_vault).
    pub fn api_key(mut self, key: Secret) -> Self {
        self.config.api_key = Some(key);
        self
    }

    /// Takes the key from the vault of the workspace, by its name there.
    ///
    /// # Errors
    /// Those of [`Scope::secret`].
    pub async fn key_from_vault(self, cx: &Scope, name: &str) -> Result<Self> {
        let key = cx.secret(name).await?;
        Ok(self.api_key(key))
    }

    /// Takes the key that [`HubBuilder::from_env`](crate::HubBuilder::from_env) found for this provider, unless one was
    /// given.
    pub fn env(mut self, settings: &crate::hub::EnvSettings) -> Self {
        let found = match self.config.provider.as_str() {
            "openai" => &settings.openai_api_key,
            "anthropic" => &settings.anthropic_api_key,
            _ => &None,
        };
        self.config.api_key = self.config.api_key.or_else(|| found.clone());
        self
    }

    /// The model when a request names none.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.config.model = Some(model.into());
        self
    }

    /// Another address, up to the version.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.config.base_url = Some(url.into());
        self
    }

    /// The wire format. Default: the provider's.
    pub fn api(mut self, api: Api) -> Self {
        self.config.api = Some(api);
        self
    }

    /// What the endpoint takes, when it speaks Chat.
    pub fn endpoint(mut self, endpoint: EndpointCaps) -> Self {
        self.config.endpoint = Some(endpoint);
        self
    }

    /// Declares what a model can do, over the model table. A model that nobody describes is trusted with text only.
    pub fn declare(mut self, caps: ModelCaps) -> Self {
        self.caps.insert(caps.model.clone(), caps);
        self
    }

    /// The model table. Default: the one of this release.
    pub fn table(mut self, table: Arc<ModelTable>) -> Self {
        self.table = Some(table);
        self
    }

    /// The transport. Default: the HTTP client of the feature `http`.
    pub fn transport(mut self, transport: Arc<dyn HttpTransport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The clock that deadlines are read on. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings and builds the provider; opens no connection.
    ///
    /// # Errors
    /// `Config` without a key, naming its variable, and without an HTTP client, naming the feature; `InvalidInput`
    /// naming a wrong setting.
    pub fn build(self) -> Result<Provider> {
        let config = self.config;
        let preset = PRESETS.iter().find(|preset| preset.word == config.provider);
        check(&config, preset)?;
        let base_url = match (&config.base_url, preset) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(preset)) => preset.base_url.to_owned(),
            (None, None) => String::new(),
        };
        // A server on an address of the caller's may need no key.
        if let (None, None, Some(variable)) =
            (&config.api_key, &config.base_url, preset.and_then(|preset| preset.key_variable))
        {
            let message = format!(
                "no key for this provider: set {variable} or `api_key`, or use the offline model, which needs none"
            );
            return Err(Error::new(ErrorKind::Config, OPERATION, message)
                .with_code("no_key")
                .with_context("provider", &config.provider));
        }
        let api = config.api.or(preset.map(|preset| preset.api)).unwrap_or(Api::Chat);
        let known = preset.map(|preset| preset.endpoint.clone());
        let endpoint = config.endpoint.clone().or(known).unwrap_or_default();
        let embed = match api {
            Api::Chat | Api::Responses => Some(EmbedApi::OpenAi { base64: endpoint.embeddings_base64 }),
            Api::Ollama => Some(EmbedApi::Ollama { keep_alive: config.keep_alive.clone() }),
            Api::Messages => None,
        };
        let dialect: Box<dyn Dialect> = match api {
            Api::Chat => Box::new(Chat::new(&config, endpoint)),
            Api::Responses => Box::new(Responses::new(&config)),
            Api::Messages => Box::new(anthropic::Messages::new(&config)),
            Api::Ollama => Box::new(ollama::Ollama::new(&config)),
        };
        let transport = match self.transport {
            Some(transport) => transport,
            None => default_transport()?,
        };
        let inner = Inner {
            limits: config.limits(api),
            word: config.provider,
            base_url,
            key: config.api_key,
            model: config.model,
            dialect,
            embed,
            transport,
            clock: self.clock,
            caps: self.caps,
            table: self.table.unwrap_or_else(ModelTable::shared),
        };
        Ok(Provider(Arc::new(inner), None))
    }
}

fn check(config: &ProviderConfig, preset: Option<&Preset>) -> Result<()> {
    let mut faults = Faults::new();
    let word = &config.provider;
    let shaped = (1..=40).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !matches!(word.as_str(), "offline" | "scripted");
    faults.check(
        shaped,
        "provider",
        "expected a word of a-z, 0-9 and _, other than `offline` and `scripted`",
    );
    let url = config.base_url.as_deref();
    faults.check(
        url.is_some() || preset.is_some(),
        "base_url",
        "expected the address of this server, such as http://localhost:8000/v1",
    );
    let is_http = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    faults.check(
        url.is_none_or(is_http),
        "base_url",
        "expected an address that begins with http:// or https://",
    );
    let is_printable =
        |key: &Secret| !key.expose().is_empty() && key.expose().bytes().all(|b| b.is_ascii_graphic());
    faults.check(
        config.api_key.as_ref().is_none_or(is_printable),
        "api_key",
        "expected printable characters without spaces",
    );
    for (name, limit) in
        [("first_byte_ms", config.first_byte_ms), ("idle_ms", config.idle_ms), ("total_ms", config.total_ms)]
    {
        faults.check(limit != Some(0), name, "expected at least 1");
    }
    faults.check(config.num_ctx.is_none_or(|n| n >= 256), "num_ctx", "expected at least 256");
    faults.into_result(OPERATION)
}

#[cfg(feature = "http")]
fn default_transport() -> Result<Arc<dyn HttpTransport>> {
    Ok(Arc::new(http::HttpClient::new()?))
}

#[cfg(not(feature = "http"))]
fn default_transport() -> Result<Arc<dyn HttpTransport>> {
    let message = "this build has no HTTP client: turn on the feature `http`, or give a transport";
    Err(Error::new(ErrorKind::Config, OPERATION, message).with_code("no_http"))
}
