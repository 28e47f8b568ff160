//! What all providers over HTTP share: one way to ask, to read a stream, to classify what goes wrong.
//!
//! A provider is a [`Dialect`]: it writes a neutral request as the provider's JSON and reads the provider's events as
//! [`Delta`](super::Delta)s. Everything else is here once. A stream counts as an answer only when the dialect saw its
//! last event; anything shorter is an error with code `truncated`.

mod builder;
mod embed;
mod fault;
mod flow;
mod form;
mod image;
mod lenient;
mod moderate;
mod names;
mod ndjson;
mod provider;
mod scan;
mod settings;
mod sse;
mod words;

use std::fmt;

use serde_json::Value;

use super::answer::Delta;
use super::caps::ModelCaps;
use super::request::LlmRequest;
use crate::{Result, Secret};

pub use builder::ProviderBuilder;
pub use embed::{Embedded, EmbeddingConfig, EmbeddingModel};
pub use provider::Provider;
pub use settings::{Api, ProviderConfig};

pub(super) use lenient::{arguments, count, list, object, text};
pub(crate) use names::tool_out;
pub(super) use names::{bound, call_id, tool_in};
pub(super) use settings::{Preset, SETTING};
pub(super) use words::{said, schema_words, shown};

/// How events are told apart in the bytes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON value per line.
    Ndjson,
}

/// A request on its way to a dialect.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// What is asked.
    pub request: &'a LlmRequest,
    /// Of which model.
    pub model: &'a str,
    /// What that model can do.
    pub caps: &'a ModelCaps,
    /// What had to be left out: code and explanation.
    pub warnings: Vec<(String, String)>,
}

impl Ask<'_> {
    /// Notes that a parameter is not sent.
    pub(super) fn dropped(&mut self, parameter: &str, why: &str) {
        self.warnings.push(("parameter_dropped".into(), format!("`{parameter}` was not sent: {why}")));
    }

    /// Whether the model can be made to call a tool; if not, the wish is dropped.
    pub(super) fn may_force(&mut self) -> bool {
        if !self.caps.forced_choice {
            self.dropped("tool_choice", "this model is not known to let itself be made to call a tool");
        }
        self.caps.forced_choice
    }

    /// The sampling parameters, when the model takes them.
    pub(super) fn sampling(&mut self) -> (Option<f64>, Option<f64>) {
        let (temperature, top_p) = (self.request.temperature, self.request.top_p);
        if self.caps.sampling {
            return (temperature, top_p);
        }
        for (name, is_set) in [("temperature", temperature.is_some()), ("top_p", top_p.is_some())] {
            if is_set {
                self.dropped(name, "this model takes no sampling parameters");
            }
        }
        (None, None)
    }
}

/// Why a dialect cannot go on.
#[derive(Debug)]
pub(super) enum Fault {
    /// The provider reports an error, in this body.
    Said(Value),
    /// It is not what the format says.
    Undecodable(&'static str),
    /// It ended too early.
    Truncated,
}

/// Whether more events belong to the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The last event has not come.
    More,
    /// That was the last one.
    Over,
}

/// Reads the events of one answer. It never emits `Started`; `Usage` only when the provider counted.
pub(super) trait Decoder: fmt::Debug + Send {
    /// The model that an event names.
    fn model<'v>(&self, event: &'v Value) -> Option<&'v str> {
        text(event, "model")
    }

    /// One event.
    fn event(&mut self, event: &Value, out: &mut Vec<Delta>) -> Result<Step, Fault>;

    /// The words `[DONE]` in place of an event.
    fn marker(&mut self, _: &mut Vec<Delta>) -> Result<Step, Fault> {
        Ok(Step::More)
    }

    /// The bytes ended, cleanly, without a last event.
    fn end(&mut self, _: &mut Vec<Delta>) -> Result<(), Fault> {
        Err(Fault::Truncated)
    }

    /// A server that does not stream sent the answer as one value.
    fn whole(&mut self, body: &Value, out: &mut Vec<Delta>) -> Result<(), Fault>;
}

/// How one kind of provider is spoken to.
pub(super) trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// Behind the base address.
    fn path(&self) -> &'static str;

    /// How its streams are framed.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// The header that carries the key.
    fn key_header(&self, key: &Secret) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", key.expose()))
    }

    /// Other headers.
    fn headers(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The body of a streaming request.
    ///
    /// # Errors
    /// `Unsupported` for parts that the dialect cannot carry.
    fn encode(&self, ask: &mut Ask<'_>) -> Result<Value>;

    /// A reader for the answer.
    fn decoder(&self, ask: &Ask<'_>) -> Box<dyn Decoder>;
}

#[cfg(test)]
mod embed_tests;
#[cfg(test)]
mod image_tests;
#[cfg(test)]
mod moderate_tests;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
