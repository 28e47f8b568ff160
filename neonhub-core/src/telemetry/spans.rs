//! Traces, projected from the log of a run: what the log kept, the trace has, also after a crash.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::context::TraceContext;
use super::names::GenAi;
use super::redact::redact;
use crate::llm::table::ModelTable;
use crate::run::{AgentRun, Entry, RunStatus, ToolState, What};
use crate::{Scope, Timestamp};

/// How a span ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpanStatus {
    /// It is not at its end.
    Open,
    /// As it should.
    Ok,
    /// With a failure.
    Error,
}

/// One piece of work of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// 16 hex digits.
    pub span_id: String,
    /// The span it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Operation and subject: `chat gpt-5`, `execute_tool people.resolve`.
    pub name: String,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// How it ended.
    pub status: SpanStatus,
    /// Attributes by the names of OpenTelemetry; no words of people or models.
    pub attributes: Map<String, Value>,
}

/// The spans of one run, the run itself first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// 32 hex digits: of the caller's trace when the run was started in one.
    pub trace_id: String,
    /// Version of the attributes' names.
    pub names: String,
    /// In the order of their start.
    pub spans: Vec<Span>,
}

/// The trace of a run from its log.
pub(super) fn project(cx: &Scope, run: &AgentRun, entries: &[Entry]) -> Trace {
    let above = run.trace.as_deref().and_then(|header| TraceContext::parse(header, None).ok());
    let root = match &above {
        Some(context) => context.child(&run.id),
        None => TraceContext::derived(&run.id, "run"),
    };
    let mut work = Work {
        cx,
        run,
        root: &root,
        prices: cx.hub().prices(),
        spans: Vec::new(),
        open: BTreeMap::new(),
        requests: BTreeMap::new(),
    };
    let mut attributes = work.common(GenAi::INVOKE_AGENT);
    attributes.insert(GenAi::AGENT.into(), run.agent.clone().into());
    work.spans.push(Span {
        span_id: root.span_id(),
        parent_id: above.map(|context| context.span_id()),
        name: format!("{} {}", GenAi::INVOKE_AGENT, run.agent),
        start: run.started_at,
        end: run.ended_at,
        status: SpanStatus::Open,
        attributes,
    });
    for entry in entries {
        work.take(entry);
    }
    work.spans.iter_mut().for_each(wash);
    Trace { trace_id: root.trace_id(), names: super::GENAI_VERSION.to_owned(), spans: work.spans }
}

/// Names of tools and models come from models too: what looks like a secret or an address leaves in no span.
fn wash(span: &mut Span) {
    span.name = redact(&span.name).into_owned();
    for value in span.attributes.values_mut() {
        if let Value::String(text) = value
            && let Cow::Owned(clean) = redact(text)
        {
            *text = clean;
        }
    }
}

struct Work<'a> {
    cx: &'a Scope,
    run: &'a AgentRun,
    root: &'a TraceContext,
    prices: Arc<ModelTable>,
    spans: Vec<Span>,
    /// Calls without outcome, and where their spans stand.
    open: BTreeMap<String, usize>,
    /// Models that were asked for, by call.
    requests: BTreeMap<String, Option<String>>,
}

impl Work<'_> {
    fn common(&self, operation: &str) -> Map<String, Value> {
        let mut attributes = Map::new();
        attributes.insert(GenAi::OPERATION.into(), operation.into());
        attributes.insert("neonhub.run.id".into(), self.run.id.clone().into());
        attributes.insert("neonhub.workspace.id".into(), self.cx.workspace().to_string().into());
        attributes
    }

    fn begin(
        &mut self,
        call: &str,
        try_no: u32,
        operation: &str,
        subject: &str,
        entry: &Entry,
        more: Map<String, Value>,
    ) {
        let context = self.root.child(&format!("{call}/{try_no}"));
        let mut attributes = self.common(operation);
        attributes.extend(more);
        self.open.insert(call.to_owned(), self.spans.len());
        self.spans.push(Span {
            span_id: context.span_id(),
            parent_id: Some(self.root.span_id()),
            name: format!("{operation} {subject}").trim_end().to_owned(),
            start: entry.at,
            end: None,
            status: SpanStatus::Open,
            attributes,
        });
    }

    fn end(&mut self, call: &str, at: Timestamp, error: Option<&str>, more: Map<String, Value>) {
        let Some(span) = self.open.remove(call).and_then(|n| self.spans.get_mut(n)) else { return };
        close(span, at, error);
        span.attributes.extend(more);
    }

    fn take(&mut self, entry: &Entry) {
        match &entry.what {
            What::ModelPlanned { call, request } => {
                self.requests.insert(call.clone(), request.model.clone());
            }
            What::ModelCalled { call, provider, attempt } => {
                // A call without an answer was cut off by a crash: its span ends where the next one begins.
                self.end(call, entry.at, Some("interrupted"), Map::new());
                let model = self.requests.get(call).cloned().flatten();
                let mut more = map(json!({ (GenAi::PROVIDER): provider }));
                if let Some(model) = &model {
                    more.insert(GenAi::REQUEST_MODEL.into(), model.clone().into());
                }
                self.begin(call, *attempt, GenAi::CHAT, model.as_deref().unwrap_or_default(), entry, more);
            }
            What::ModelDone { call, answer, failure, .. } => {
                let more = answer.as_ref().map(|a| {
                    let usage = &a.usage;
                    map(json!({
                        (GenAi::PROVIDER): a.provider,
                        (GenAi::RESPONSE_MODEL): a.model,
                        (GenAi::INPUT_TOKENS): usage.input_uncached + usage.input_cache_read + usage.input_cache_write,
                        (GenAi::OUTPUT_TOKENS): usage.output_visible + usage.output_reasoning,
                    }))
                });
                let mut more = more.unwrap_or_default();
                let cost = answer.as_ref().and_then(|a| self.prices.cost(&a.provider, &a.model, &a.usage));
                if let Some((currency, micros)) = cost {
                    more.insert("neonhub.cost.micros".into(), micros.into());
                    if !currency.is_empty() {
                        more.insert("neonhub.cost.currency".into(), currency.into());
                    }
                }
                let code = failure.as_ref().map(|f| f.code.as_str());
                self.end(call, entry.at, code, more);
            }
            What::ToolPlanned { call, tool, effect, class, .. } => {
                let more = map(json!({
                    (GenAi::TOOL): tool,
                    "neonhub.effect.id": effect.as_str(),
                    "neonhub.effect.class": class,
                }));
                self.begin(call, 1, GenAi::of_tool(tool), tool, entry, more);
            }
            What::ToolDone { call, state, failure, .. } => {
                let code = failure.as_ref().map(|f| f.code.as_str());
                let code = code.or((*state != ToolState::Landed).then_some("not_landed"));
                self.end(call, entry.at, code, Map::new());
            }
            What::Finished { status, failure, .. } => {
                let code = failure.as_ref().map(|f| f.code.clone());
                let code = code.or((*status != RunStatus::Completed).then(|| status.word().to_owned()));
                if let Some(span) = self.spans.first_mut() {
                    close(span, entry.at, code.as_deref());
                }
            }
            _ => {}
        }
    }
}

fn close(span: &mut Span, at: Timestamp, error: Option<&str>) {
    span.end = Some(at);
    span.status = if error.is_some() { SpanStatus::Error } else { SpanStatus::Ok };
    if let Some(code) = error {
        span.attributes.insert(GenAi::ERROR.into(), code.into());
    }
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
