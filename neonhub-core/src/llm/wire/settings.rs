//! How a provider is reached, as data.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::llm::compatible::EndpointCaps;
use crate::resilience::Lane;
use crate::{Result, Secret};

/// What gives more calls of a provider a place.
pub(in crate::llm) const SETTING: &str =
    "`queue`, `queue_ms` or `concurrency` in the settings of the provider";

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// OpenAI Chat Completions, which many servers speak.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Ollama's own.
    Ollama,
}

/// A provider that is known by name.
#[derive(Debug)]
pub(in crate::llm) struct Preset {
    /// The word that is used for it everywhere.
    pub word: &'static str,
    /// Its address, without a slash at the end.
    pub base_url: &'static str,
    /// Where hosts keep its key; `None` when it needs none.
    pub key_variable: Option<&'static str>,
    /// What it speaks.
    pub api: Api,
    /// What its endpoint takes, when it speaks Chat.
    pub endpoint: EndpointCaps,
}

/// Settings of a provider, as read from a file or a binding.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// `openai`, `anthropic`, `ollama`, a name of [`Provider::known`](super::Provider::known), or a word of your own
    /// for a server that speaks OpenAI's Chat Completions.
    pub provider: String,
    /// Its address up to the version, such as `https://api.openai.com/v1`. Default: the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The key.
    #[serde(deserialize_with = "secret", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// The model when a request names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The region that its data goes to, such as `eu`, for workspaces that are bound to one. Default: `local` for an address
    /// of this machine, else unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The wire format. Default: the provider's; `chat` for unknown ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// What the endpoint takes, when it speaks Chat. Default: the provider's; careful for unknown ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointCaps>,
    /// OpenAI: the organization that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// OpenAI: the project that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Anthropic: the version of the API. Default `2026-10-21`; `2023-06-01` still takes sampling parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Ollama: tokens of the window, prompt and answer together. Default: what the model table says, at least 8 192.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_ctx: Option<u32>,
    /// Ollama: how long the model stays loaded, such as `10m`; `-1` for ever. Default: the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<String>,
    /// From the request to the head of the answer, in milliseconds. Default 120 000; Ollama 180 000, as it may have to
    /// load the model first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// Between two pieces of an answer, in milliseconds. Default 120 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// A whole call, in milliseconds. Default 600 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    /// Calls at a time, 1 to 1 024: of all models of the provider together, for each workspace of a process. A call keeps
    /// its place until its answer has ended. Default 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Calls that may wait for a place, 0 to 100 000; one more is refused (`Unavailable`, code `no_place`). Default 1 024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// Longest wait for a place, in milliseconds, 1 to 86 400 000. Default 600 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<u64>,
    /// Most bytes of an answer. Default 64 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
}

impl ProviderConfig {
    /// Whether it names a provider and a model, and says nothing of how it is reached.
    pub(in crate::llm) fn is_bare(&self) -> bool {
        let fields = serde_json::to_value(self).unwrap_or_default();
        let is_name = |name: &String| matches!(name.as_str(), "provider" | "model");
        fields.as_object().is_some_and(|fields| fields.keys().all(is_name))
    }

    /// The places that its calls share.
    pub(super) fn lane(&self) -> Lane {
        let count = |set: Option<u32>, default| set.and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
        Lane {
            concurrency: count(self.concurrency, Lane::MODEL.concurrency),
            queue: count(self.queue, Lane::MODEL.queue),
            wait: self.queue_ms.map_or(Lane::MODEL.wait, Duration::from_millis),
        }
    }

    /// The limits of a call.
    pub(super) fn limits(&self, api: Api) -> crate::http::HttpLimits {
        let mut limits = crate::http::HttpLimits::default();
        if api == Api::Ollama {
            limits.first_byte = Duration::from_secs(180);
        }
        let ms = |set: Option<u64>, field: &mut Duration| {
            if let Some(ms) = set {
                *field = Duration::from_millis(ms);
            }
        };
        ms(self.first_byte_ms, &mut limits.first_byte);
        ms(self.idle_ms, &mut limits.idle);
        ms(self.total_ms, &mut limits.total);
        limits.max_body_bytes = self.max_body_bytes.unwrap_or(limits.max_body_bytes);
        limits
    }
}

fn secret<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.map(Secret::new))
}
