//! How a provider is made from its settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::embed::EmbedApi;
use super::image::ImageApi;
use super::provider::Inner;
use super::settings::{Api, Preset, ProviderConfig};
use super::{Dialect, Provider};
#[cfg(feature = "http")]
use crate::http;
use crate::http::HttpTransport;
use crate::llm::compatible::{EndpointCaps, PRESETS};
use crate::llm::openai::{Chat, Responses};
use crate::llm::table::ModelTable;
use crate::llm::{ModelCaps, anthropic, ollama};
use crate::tenancy::LOCAL;
use crate::{Clock, Error, ErrorKind, Faults, Result, Scope, Secret, SystemClock};

/// From the request to the head of an answer that is made before it begins: pictures take up to two minutes (OpenAI's
/// image guide, 2026). Ours.
const SLOW_FIRST_BYTE: Duration = Duration::from_secs(300);
const OPERATION: &str = "llm.provider";

/// Makes a [`Provider`].
#[derive(Debug)]
#[must_use]
pub struct ProviderBuilder {
    pub(super) config: ProviderConfig,
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

    /// The region that its data goes to, such as `eu`. Default: `local` for an address of this machine, else unknown.
    pub fn region(mut self, tag: impl Into<String>) -> Self {
        self.config.region = Some(tag.into());
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

    /// Calls at a time, 1 to 1 024: of all models of the provider together, for each workspace of a process. Default 16.
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.config.concurrency = Some(calls);
        self
    }

    /// Calls that may wait for a place, 0 to 100 000, and the longest wait, up to a day. Default 1 024 and 10 min.
    pub fn queue(mut self, calls: u32, wait: std::time::Duration) -> Self {
        self.config.queue = Some(calls);
        self.config.queue_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
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
        let images = match api {
            Api::Chat | Api::Responses if endpoint.gpt_images => Some(ImageApi::Gpt),
            Api::Chat | Api::Responses => Some(ImageApi::Older),
            Api::Messages | Api::Ollama => None,
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
        let (limits, lane) = (config.limits(api), config.lane());
        let mut slow_limits = limits.clone();
        if config.first_byte_ms.is_none() {
            slow_limits.first_byte = SLOW_FIRST_BYTE;
        }
        let inner = Inner {
            limits,
            slow_limits,
            lane,
            word: config.provider,
            region: config.region.or_else(|| is_here(&base_url).then(|| LOCAL.to_owned())),
            base_url,
            key: config.api_key,
            model: config.model,
            dialect,
            embed,
            images,
            moderates: images.is_some(),
            transport,
            clock: self.clock,
            caps: self.caps,
            table: self.table.unwrap_or_else(ModelTable::shared),
        };
        Ok(Provider::new(inner))
    }
}

/// Whether an address is of this machine.
fn is_here(base_url: &str) -> bool {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A name before an `@` is no host.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
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
    let is_tag = |tag: &String| {
        (1..=40).contains(&tag.len())
            && tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let expected = "expected a tag such as eu or us";
    faults.check(config.region.as_ref().is_none_or(is_tag), "region", expected);
    for (name, limit) in
        [("first_byte_ms", config.first_byte_ms), ("idle_ms", config.idle_ms), ("total_ms", config.total_ms)]
    {
        faults.check(limit != Some(0), name, "expected at least 1");
    }
    let within = |set: Option<u32>, least, most| set.is_none_or(|n| (least..=most).contains(&n));
    faults.check(within(config.concurrency, 1, 1_024), "concurrency", "expected 1..1 024 calls at a time");
    faults.check(within(config.queue, 0, 100_000), "queue", "expected 0..100 000 calls that wait");
    let is_wait = config.queue_ms.is_none_or(|ms| (1..=86_400_000).contains(&ms));
    faults.check(is_wait, "queue_ms", "expected 1..86 400 000 milliseconds");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_known() {
        for here in
            ["http://localhost:11434", "http://127.0.0.1:9/v1", "http://LOCALHOST", "http://[::1]:8000/v1"]
        {
            assert!(is_here(here), "{here}");
        }
        for away in [
            "https://api.openai.com/v1",
            "http://localhost.example.com/v1",
            "http://localhost@example.com/v1",
            "http://10.0.0.1/v1",
            "http://example.com/localhost",
            "http://[2001:db8::1]/v1",
            "",
        ] {
            assert!(!is_here(away), "{away}");
        }
    }
}
