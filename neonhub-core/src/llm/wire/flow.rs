//! One answer on its way: bytes become events, events become deltas.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use serde_json::Value;

use super::fault::{self, Who};
use super::ndjson::NdjsonParser;
use super::sse::SseParser;
use super::{Decoder, Fault, Framing, Step};
use crate::http::{Body, Exchange};
use crate::llm::DeltaStream;
use crate::llm::answer::{Delta, Origin, Usage};
use crate::llm::caps::TokenCount;
use crate::{Clock, Error, Result, Secret};

/// Largest event. Our choice: an answer of 128 000 tokens in one event stays below it.
const MAX_EVENT: usize = 8 << 20;
/// How long the connection may take to end after the last event, so that it can be used again.
const DRAIN: Duration = Duration::from_millis(200);

/// Who is asked, for errors.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub provider: String,
    pub model: String,
    pub key: Option<Secret>,
    pub clock: Arc<dyn Clock>,
}

impl Asked {
    pub(super) fn who(&self) -> Who<'_> {
        Who {
            provider: &self.provider,
            model: &self.model,
            key: self.key.as_ref().map(Secret::expose),
            now: self.clock.now(),
        }
    }
}

#[derive(Debug)]
enum Frames {
    Sse(SseParser),
    Ndjson(NdjsonParser),
    /// A server that does not stream: everything is one event.
    Whole,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Reading,
    Over,
    Finished,
}

/// An answer being read.
#[derive(Debug)]
pub(super) struct Flow {
    asked: Asked,
    body: Option<Body>,
    frames: Frames,
    decoder: Box<dyn Decoder>,
    pending: VecDeque<Delta>,
    failed: Option<Error>,
    phase: Phase,
    warnings: Vec<(String, String)>,
    is_started: bool,
    is_counted: bool,
    /// For the estimate, when the provider does not count.
    input: u64,
    output_bytes: usize,
}

impl Flow {
    /// Reads up to the first delta, so that what fails before it fails the call.
    ///
    /// # Errors
    /// What the provider reports or the connection meets before the first delta.
    pub(super) async fn open(
        asked: Asked,
        exchange: Exchange,
        framing: Framing,
        decoder: Box<dyn Decoder>,
        warnings: Vec<(String, String)>,
        input: u64,
    ) -> Result<DeltaStream> {
        let kind = exchange.headers.get("content-type").unwrap_or("").to_ascii_lowercase();
        if kind.starts_with("text/html") {
            let head = exchange.body.head(16 << 10).await;
            let message = "expected an answer of the model, got a web page: look at the base address";
            return Err(fault::undecodable(asked.who(), message, &head));
        }
        let frames = match framing {
            Framing::Sse if kind.starts_with("application/json") => Frames::Whole,
            Framing::Sse => Frames::Sse(SseParser::new(MAX_EVENT)),
            Framing::Ndjson => Frames::Ndjson(NdjsonParser::new(MAX_EVENT)),
        };
        let mut flow = Flow {
            asked,
            body: Some(exchange.body),
            frames,
            decoder,
            pending: VecDeque::new(),
            failed: None,
            phase: Phase::Reading,
            warnings,
            is_started: false,
            is_counted: false,
            input,
            output_bytes: 0,
        };
        while flow.pending.is_empty() && flow.failed.is_none() && flow.phase == Phase::Reading {
            flow.read().await;
        }
        // What came before a failure is still to be told.
        if flow.pending.is_empty()
            && let Some(error) = flow.failed.take()
        {
            return Err(error);
        }
        let stream = stream::unfold(flow, |mut flow| async move {
            let item = flow.next().await?;
            Some((item, flow))
        });
        Ok(Box::pin(stream))
    }

    async fn next(&mut self) -> Option<Result<Delta>> {
        loop {
            if let Some(delta) = self.pending.pop_front() {
                return Some(Ok(delta));
            }
            if let Some(error) = self.failed.take() {
                self.phase = Phase::Finished;
                self.body = None;
                return Some(Err(error));
            }
            match self.phase {
                Phase::Reading => self.read().await,
                Phase::Over => {
                    self.phase = Phase::Finished;
                    if let Some(body) = self.body.take() {
                        body.drain(DRAIN).await;
                    }
                }
                Phase::Finished => return None,
            }
        }
    }

    /// Takes the next piece of the body.
    async fn read(&mut self) {
        let Some(body) = self.body.as_mut() else {
            self.phase = Phase::Finished;
            return;
        };
        if let Frames::Whole = self.frames {
            return match body.all().await {
                Ok(bytes) => self.whole(&bytes),
                Err(error) => self.fail(error),
            };
        }
        match body.chunk().await {
            Ok(Some(bytes)) => self.bytes(&bytes),
            Ok(None) => self.end(),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: Error) {
        self.failed = Some(fault::named(error, self.asked.who()));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let mut events: Vec<Vec<u8>> = Vec::new();
        let parsed = match &mut self.frames {
            Frames::Sse(parser) => {
                let mut found = Vec::new();
                let parsed = parser.push(bytes, &mut found);
                events.extend(found.into_iter().map(|event| event.data));
                parsed
            }
            Frames::Ndjson(parser) => parser.push(bytes, &mut events),
            Frames::Whole => Ok(()),
        };
        for event in events {
            if self.phase != Phase::Reading || self.failed.is_some() {
                return;
            }
            self.event(&event);
        }
        if let (Err(error), Phase::Reading, None) = (parsed, &self.phase, &self.failed) {
            self.fail(error);
        }
    }

    fn event(&mut self, data: &[u8]) {
        let data = data.trim_ascii();
        // Keep-alives of some servers.
        if data.is_empty() {
            return;
        }
        let mut out = Vec::new();
        let step = if data == b"[DONE]" {
            self.decoder.marker(&mut out)
        } else {
            match serde_json::from_slice::<Value>(data) {
                Err(_) => {
                    let message = "expected JSON in every event of the answer";
                    self.failed = Some(fault::undecodable(self.asked.who(), message, data));
                    return;
                }
                // An error in place of an event, in every dialect.
                Ok(event) if is_error(&event) => Err(Fault::Said(event)),
                Ok(event) => {
                    self.start(Some(&event));
                    self.decoder.event(&event, &mut out)
                }
            }
        };
        self.take(out);
        match step {
            Ok(Step::More) => {}
            Ok(Step::Over) => self.phase = Phase::Over,
            Err(fault) => self.faulty(fault),
        }
    }

    fn whole(&mut self, bytes: &[u8]) {
        let Ok(body) = serde_json::from_slice::<Value>(bytes) else {
            let message = "expected JSON: the answer may have been cut";
            self.failed = Some(fault::undecodable(self.asked.who(), message, bytes));
            return;
        };
        if is_error(&body) {
            return self.faulty(Fault::Said(body));
        }
        let mut out = Vec::new();
        let read = self.decoder.whole(&body, &mut out);
        if read.is_ok() {
            self.start(text_model(&body).or(Some(&body)));
        }
        self.take(out);
        match read {
            Ok(()) => self.phase = Phase::Over,
            Err(fault) => self.faulty(fault),
        }
    }

    fn end(&mut self) {
        if let Frames::Ndjson(parser) = &mut self.frames
            && let Some(line) = parser.end()
        {
            // A last line without its end; half a line is no JSON, and then the answer was cut.
            if serde_json::from_slice::<Value>(&line).is_ok() {
                self.event(&line);
                if self.phase != Phase::Reading || self.failed.is_some() {
                    return;
                }
            }
        }
        let mut out = Vec::new();
        let ended = self.decoder.end(&mut out);
        self.take(out);
        match ended {
            Ok(()) => self.phase = Phase::Over,
            Err(fault) => self.faulty(fault),
        }
    }

    fn faulty(&mut self, fault: Fault) {
        let who = self.asked.who();
        self.failed = Some(match fault {
            Fault::Said(body) => fault::of_body(who, &body),
            Fault::Undecodable(message) => fault::undecodable(who, message, b""),
            Fault::Truncated => fault::truncated(who),
        });
    }

    /// The first delta, with the name of the model that answers.
    fn start(&mut self, event: Option<&Value>) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        let model = event.and_then(|event| self.decoder.model(event)).unwrap_or(&self.asked.model).to_owned();
        let provider = self.asked.provider.clone();
        self.pending.push_back(Delta::Started { provider, model, origin: Origin::Model });
        let warnings = std::mem::take(&mut self.warnings).into_iter();
        self.pending.extend(warnings.map(|(code, message)| Delta::Warning { code, message }));
    }

    fn take(&mut self, deltas: Vec<Delta>) {
        for delta in deltas {
            self.start(None);
            match &delta {
                Delta::Text { text, .. } | Delta::Reasoning { text } => self.output_bytes += text.len(),
                Delta::ToolCallArgs { json, .. } => self.output_bytes += json.len(),
                Delta::Usage(_) => self.is_counted = true,
                Delta::Done(_) if !self.is_counted => {
                    let output_visible = TokenCount::of_bytes(self.output_bytes);
                    let usage = Usage { input_uncached: self.input, output_visible, ..Usage::default() };
                    self.pending.push_back(Delta::Usage(usage));
                }
                _ => {}
            }
            self.pending.push_back(delta);
        }
    }
}

/// An object with an `error` that is not null, or an event of the type `error`.
fn is_error(event: &Value) -> bool {
    event.get("error").is_some_and(|error| error.is_object() || error.is_string())
        || event.get("type").and_then(Value::as_str) == Some("error")
}

fn text_model(body: &Value) -> Option<&Value> {
    body.get("model").is_some_and(Value::is_string).then_some(body)
}
