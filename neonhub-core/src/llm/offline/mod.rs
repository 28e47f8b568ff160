//! The model that needs no network: provider `offline`, model `offline-rules-1`.
//!
//! It fills templates with seeded choices, summarises by extraction, classifies by cue lists, fills JSON Schemas
//! from facts, follows fixed plans of tool calls and answers by quoting. It does not reason, translate, count or
//! invent: such requests are `Unsupported` and name what to configure. The same request and seed give the same
//! bytes on every platform. Every answer is [`Origin::Offline`].

mod classify;
mod coerce;
mod facts;
mod fill;
mod lexicon;
mod plan;
mod quote;
mod shingle;
mod summary;
mod template;
mod text;

use async_trait::async_trait;
use futures_util::stream;
use serde_json::Value;

use super::answer::{Citation, Delta, Origin, StopKind, ToolCall, Usage};
use super::caps::{ModelCaps, TokenCount};
use super::part::{PartBody, Taint};
use super::request::LlmRequest;
use super::task::OfflineTask;
use super::{DeltaStream, Llm};
use crate::{Error, ErrorKind, Result};

const MODEL: &str = Offline::MODEL;
/// Characters of one piece of the stream.
const PIECE: usize = 48;
/// Sentences quoted when the request does not say how many.
const QUOTED: u32 = 3;

/// What a rule of this model made.
#[derive(Debug, Default)]
struct Made {
    texts: Vec<String>,
    calls: Vec<ToolCall>,
    citations: Vec<Citation>,
    warnings: Vec<(String, String)>,
}

impl Made {
    fn text(text: impl Into<String>) -> Self {
        Made { texts: vec![text.into()], ..Made::default() }
    }

    fn json(value: &Value) -> Result<Self> {
        // RFC 8785 keeps the bytes the same whatever order a map has in this build.
        let text = serde_json_canonicalizer::to_string(value)
            .map_err(|cause| Error::internal("llm.offline", cause))?;
        Ok(Made::text(text))
    }

    fn warn(mut self, code: &str, message: impl Into<String>) -> Self {
        self.warnings.push((code.to_owned(), message.into()));
        self
    }
}

/// The offline model.
///
/// ```
/// use neonhub_core::llm::{Llm, LlmRequest, Offline, Part, Source};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let chunk = Part::retrieved("Returns are free for 30 days. We ship on weekdays.", Source::new("chk_7"));
/// let answer = Offline::new().complete(LlmRequest::new().user("Are returns free?").context(chunk)).await?;
/// assert_eq!(answer.text, "\"Returns are free for 30 days.\" [chk_7]");
/// assert_eq!(answer.citations[0].source, "chk_7");
/// # Ok::<(), neonhub_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Offline;

impl Offline {
    /// The one model of this provider. A change of its rules that changes answers is a new number.
    pub const MODEL: &str = "offline-rules-1";

    /// The model; it holds no state.
    #[must_use]
    pub fn new() -> Self {
        Offline
    }

    fn make(request: &LlmRequest) -> Result<Made> {
        refuse_media(request)?;
        match &request.offline {
            Some(OfflineTask::Template(task)) => template::fill(task, request.seed.unwrap_or(0)),
            Some(OfflineTask::Summarize { sentences }) => summary::summarize(request, *sentences),
            Some(OfflineTask::KeyPhrases { count }) => summary::key_phrases(request, *count),
            Some(OfflineTask::Title { max_chars }) => summary::title(request, *max_chars),
            Some(OfflineTask::Classify { facet, labels }) => classify::classify(request, *facet, labels),
            Some(OfflineTask::Fill { facts }) => fill::fill(request, facts),
            Some(OfflineTask::Answer { sentences }) => quote::answer(request, *sentences),
            Some(OfflineTask::Plan(task)) => plan::follow(request, task),
            None if request.output_schema.is_some() => fill::fill(request, &Value::Null),
            None if has_sources(request) && request.question().is_some() => quote::answer(request, QUOTED),
            None => Err(unsupported("write freely")),
        }
    }
}

/// The error for what only a real model can do.
fn unsupported(what: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "llm.offline",
        format!(
            "the offline model cannot {what}: configure a provider (openai, anthropic, ollama), or give the request \
             an offline template, facts with a schema, or retrieved text"
        ),
    )
    .with_context("provider", "offline")
    .with_context("model", MODEL)
}

fn refuse_media(request: &LlmRequest) -> Result<()> {
    for part in request.parts() {
        match part.body {
            PartBody::Image { .. } => return Err(unsupported("see images")),
            PartBody::Document { .. } => return Err(unsupported("read document files")),
            _ => {}
        }
    }
    Ok(())
}

fn has_sources(request: &LlmRequest) -> bool {
    request.parts().any(|p| p.source.is_some() || matches!(p.taint, Taint::Retrieved | Taint::Web))
}

#[async_trait]
impl Llm for Offline {
    fn provider(&self) -> &str {
        "offline"
    }

    fn region(&self) -> Option<&str> {
        Some(crate::tenancy::LOCAL)
    }

    fn caps(&self, _model: Option<&str>) -> ModelCaps {
        ModelCaps {
            context_tokens: 1_000_000,
            max_output_tokens: 100_000,
            tools: true,
            json_schema: true,
            sampling: false,
            seeded: true,
            ..ModelCaps::unknown(MODEL)
        }
    }

    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        request.check()?;
        if let Some(model) = request.model.as_deref().filter(|m| *m != MODEL) {
            return Err(Error::new(
                ErrorKind::NotFound,
                "llm.offline",
                "the offline provider has one model, offline-rules-1",
            )
            .with_context("model", model));
        }
        let input = self.count(&request)?.tokens;
        let made = Self::make(&request)?;
        let deltas = deltas(made, &request, input);
        Ok(Box::pin(stream::iter(deltas.into_iter().map(Ok))))
    }
}

/// The pieces of an answer, in order.
fn deltas(made: Made, request: &LlmRequest, input: u64) -> Vec<Delta> {
    let mut out =
        vec![Delta::Started { provider: "offline".into(), model: MODEL.into(), origin: Origin::Offline }];
    let mut stop = StopKind::Done;
    let mut output = 0;
    if request.temperature.is_some() || request.top_p.is_some() {
        let message = "the offline model does not sample; the seed varies its answers";
        out.push(Delta::Warning { code: "parameter_dropped".into(), message: message.into() });
    }
    for (code, message) in made.warnings {
        out.push(Delta::Warning { code, message });
    }
    for (choice, text) in made.texts.iter().enumerate() {
        let (text, cut) = bound(text, request);
        if cut {
            stop = StopKind::Length;
        }
        output += TokenCount::of_text(text);
        let choice = u32::try_from(choice).unwrap_or(u32::MAX);
        out.extend(pieces(text).map(|text| Delta::Text { choice, text: text.to_owned() }));
    }
    if !made.calls.is_empty() {
        stop = StopKind::ToolCalls;
    }
    for ToolCall { id, name, args } in made.calls {
        let json = args.to_string();
        output += TokenCount::of_text(&name) + TokenCount::of_text(&json);
        out.push(Delta::ToolCallStart { id: id.clone(), name });
        out.push(Delta::ToolCallArgs { id: id.clone(), json });
        out.push(Delta::ToolCallEnd { id });
    }
    out.extend(made.citations.into_iter().map(Delta::Cited));
    out.push(Delta::Usage(Usage { input_uncached: input, output_visible: output, ..Usage::default() }));
    out.push(Delta::Done(stop));
    out
}

/// Applies stop sequences and the token limit; true when the limit cut the text.
fn bound<'t>(text: &'t str, request: &LlmRequest) -> (&'t str, bool) {
    let end = request.stop.iter().filter_map(|s| text.find(s.as_str())).min().unwrap_or(text.len());
    let text = text.get(..end).unwrap_or(text);
    let Some(limit) = request.max_output_tokens else { return (text, false) };
    if TokenCount::of_text(text) <= u64::from(limit) {
        return (text, false);
    }
    let bytes = (f64::from(limit) * 3.2) as usize;
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    (text.get(..end).unwrap_or_default(), true)
}

/// Pieces of about [`PIECE`] characters, cut between characters.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = rest.char_indices().nth(PIECE).map_or(rest.len(), |(i, _)| i);
        let (head, tail) = rest.split_at(at);
        rest = tail;
        Some(head)
    })
}

#[cfg(test)]
mod tests;
