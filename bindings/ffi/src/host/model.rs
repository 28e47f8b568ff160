//! A model that the host language answers for.

use std::fmt;

use async_trait::async_trait;
use futures_util::stream;
use neonhub_core::llm::{
    Delta, DeltaStream, Llm, LlmRequest, ModelCaps, Origin, StopKind, TokenCount, ToolCall, Usage,
};
use neonhub_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use super::{Callback, unreadable};

/// What a host says about its model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Word of the provider, kept with everything the model writes.
    pub provider: String,
    /// The model's own name. Default: that of the provider.
    #[serde(default)]
    pub model: Option<String>,
    /// Tokens of input and output together.
    #[serde(default)]
    pub context_tokens: Option<u64>,
    /// Most tokens of one answer.
    #[serde(default)]
    pub max_output_tokens: Option<u64>,
    /// True when it calls tools.
    #[serde(default)]
    pub tools: bool,
    /// True when it answers in JSON of a given schema.
    #[serde(default)]
    pub json_schema: bool,
}

/// A model over a callback.
pub struct HostModel {
    provider: String,
    caps: ModelCaps,
    complete: Callback,
}

impl fmt::Debug for HostModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostModel").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// The long form of an answer; the short one is a string.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HostAnswer {
    text: String,
    variants: Vec<String>,
    json: Option<Value>,
    tool_calls: Vec<ToolCall>,
    usage: Option<Usage>,
    stop: Option<StopKind>,
    model: Option<String>,
}

impl HostModel {
    /// Checks the settings. `complete` gets the request as JSON and answers a string, or an object with `text`,
    /// `variants`, `json`, `tool_calls`, `usage`, `stop` and `model`, all optional.
    ///
    /// # Errors
    /// `InvalidInput` for an empty provider or the word `offline`, which is the built-in model's.
    pub fn new(settings: ModelSettings, complete: Callback) -> Result<Self> {
        if settings.provider.trim().is_empty() || settings.provider == "offline" {
            return Err(Error::invalid("hub.add_model", "provider", "expected a word other than `offline`"));
        }
        let mut caps = ModelCaps::unknown(settings.model.unwrap_or_else(|| settings.provider.clone()));
        caps.context_tokens = settings.context_tokens.unwrap_or(caps.context_tokens);
        caps.max_output_tokens = settings.max_output_tokens.unwrap_or(caps.max_output_tokens);
        caps.tools = settings.tools;
        caps.json_schema = settings.json_schema;
        Ok(HostModel { provider: settings.provider, caps, complete })
    }

    /// Refuses what the host said its model cannot do.
    fn admit(&self, request: &LlmRequest) -> Result<()> {
        request.check()?;
        let refuse = |kind, message: &'static str| {
            Err(Error::new(kind, "llm.call", message).with_context("provider", &self.provider))
        };
        if request.model.as_ref().is_some_and(|model| *model != self.caps.model) {
            return refuse(ErrorKind::NotFound, "the model of the host has another name");
        }
        if !request.tools.is_empty() && !self.caps.tools {
            return refuse(ErrorKind::Unsupported, "the model of the host was added without tools");
        }
        if request.output_schema.is_some() && !self.caps.json_schema {
            return refuse(ErrorKind::Unsupported, "the model of the host was added without json_schema");
        }
        Ok(())
    }

    fn deltas(&self, request: &LlmRequest, answer: HostAnswer) -> Result<Vec<Result<Delta>>> {
        let mut texts = if answer.variants.is_empty() { vec![answer.text] } else { answer.variants };
        if let Some(json) = &answer.json {
            texts = vec![json.to_string()];
        }
        let usage = match answer.usage {
            Some(usage) => usage,
            None => Usage {
                input_uncached: self.count(request)?.tokens,
                output_visible: texts.iter().map(|text| TokenCount::of_text(text)).sum(),
                ..Usage::default()
            },
        };
        let model = answer.model.or_else(|| request.model.clone()).unwrap_or_else(|| self.caps.model.clone());
        let mut out = vec![Delta::Started { provider: self.provider.clone(), model, origin: Origin::Model }];
        let calls_tools = !answer.tool_calls.is_empty();
        for (choice, text) in (0_u32..).zip(texts) {
            if !text.is_empty() {
                out.push(Delta::Text { choice, text });
            }
        }
        for ToolCall { id, name, args } in answer.tool_calls {
            out.push(Delta::ToolCallStart { id: id.clone(), name });
            out.push(Delta::ToolCallArgs { id: id.clone(), json: args.to_string() });
            out.push(Delta::ToolCallEnd { id });
        }
        out.push(Delta::Usage(usage));
        let stop = if calls_tools { StopKind::ToolCalls } else { StopKind::Done };
        out.push(Delta::Done(answer.stop.unwrap_or(stop)));
        Ok(out.into_iter().map(Ok).collect())
    }
}

#[async_trait]
impl Llm for HostModel {
    fn provider(&self) -> &str {
        &self.provider
    }

    fn caps(&self, model: Option<&str>) -> ModelCaps {
        let mut caps = self.caps.clone();
        if let Some(model) = model {
            model.clone_into(&mut caps.model);
        }
        caps
    }

    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        self.admit(&request)?;
        let asked = serde_json::to_value(&request).map_err(|cause| Error::internal("llm.call", cause))?;
        let answer = (self.complete)(asked)
            .await
            .map_err(|error| error.for_operation("llm.call").with_context("provider", &self.provider))?;
        let answer = match answer {
            Value::String(text) => HostAnswer { text, ..HostAnswer::default() },
            Value::Object(_) => serde_json::from_value(answer)
                .map_err(|cause| unreadable("llm.call", "text, or an answer object").with_source(cause))?,
            _ => return Err(unreadable("llm.call", "text, or an answer object")),
        };
        Ok(Box::pin(stream::iter(self.deltas(&request, answer)?)))
    }
}

#[cfg(test)]
mod tests;
