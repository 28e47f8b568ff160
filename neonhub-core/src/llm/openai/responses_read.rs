//! Responses: what comes back.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::usage::RESPONSES;
use crate::llm::answer::{Delta, StopKind};
use crate::llm::wire::{Decoder, Fault, Step, arguments, count, list, object, text, tool_in};

/// A call under way: its id for us, and whether arguments came.
#[derive(Debug)]
struct Call {
    id: String,
    has_args: bool,
    is_over: bool,
}

/// Reads the events of one answer.
#[derive(Debug)]
pub(super) struct ResponsesReader {
    provider: String,
    /// By position in the output.
    calls: BTreeMap<u64, Call>,
    refusal: String,
    has_calls: bool,
}

impl ResponsesReader {
    pub(super) fn new(provider: String) -> Self {
        ResponsesReader { provider, calls: BTreeMap::new(), refusal: String::new(), has_calls: false }
    }

    /// A call begins, once.
    fn begin(&mut self, index: u64, item: &Value, out: &mut Vec<Delta>) {
        if self.calls.contains_key(&index) {
            return;
        }
        let Some(name) = text(item, "name") else { return };
        // Results are linked by `call_id`; `id` names the item.
        let id = text(item, "call_id").or_else(|| text(item, "id"));
        let id = id.map_or_else(|| format!("call_{index}"), str::to_owned);
        self.has_calls = true;
        out.push(Delta::ToolCallStart { id: id.clone(), name: tool_in(name) });
        self.calls.insert(index, Call { id, has_args: false, is_over: false });
    }

    /// An item is complete.
    fn done(&mut self, index: u64, item: &Value, out: &mut Vec<Delta>) {
        match text(item, "type") {
            Some("message") | None => {}
            Some("function_call") => {
                self.begin(index, item, out);
                let Some(call) = self.calls.get_mut(&index).filter(|call| !call.is_over) else { return };
                if let (false, Some(json)) = (call.has_args, arguments(item.get("arguments"))) {
                    out.push(Delta::ToolCallArgs { id: call.id.clone(), json });
                }
                call.is_over = true;
                out.push(Delta::ToolCallEnd { id: call.id.clone() });
            }
            // Reasoning, and every kind of item that we do not know, goes back as it came.
            Some(_) => {
                out.push(Delta::ReasoningPart { provider: self.provider.clone(), data: item.clone() });
            }
        }
    }

    fn close(&mut self, response: &Value, out: &mut Vec<Delta>) -> Result<Step, Fault> {
        let status = text(response, "status").unwrap_or("completed");
        if status == "failed" {
            let error =
                object(response, "error").cloned().unwrap_or_else(|| json!({ "code": "server_error" }));
            return Err(Fault::Said(json!({ "error": error })));
        }
        if let Some(usage) = object(response, "usage") {
            out.push(Delta::Usage(RESPONSES.read(usage)));
        }
        let reason = object(response, "incomplete_details").and_then(|details| text(details, "reason"));
        let stop = match (status, reason) {
            _ if !self.refusal.is_empty() => StopKind::Refused { why: std::mem::take(&mut self.refusal) },
            ("incomplete", Some("max_output_tokens")) => StopKind::Length,
            ("incomplete", Some("content_filter")) => StopKind::Refused { why: "content_filter".into() },
            ("incomplete", reason) => StopKind::Other(reason.unwrap_or("incomplete").to_owned()),
            ("completed", _) if self.has_calls => StopKind::ToolCalls,
            ("completed", _) => StopKind::Done,
            (other, _) => StopKind::Other(other.to_owned()),
        };
        out.push(Delta::Done(stop));
        Ok(Step::Over)
    }
}

impl Decoder for ResponsesReader {
    fn model<'v>(&self, event: &'v Value) -> Option<&'v str> {
        object(event, "response").and_then(|inner| text(inner, "model")).or_else(|| text(event, "model"))
    }

    fn event(&mut self, event: &Value, out: &mut Vec<Delta>) -> Result<Step, Fault> {
        let index = count(event, "output_index").unwrap_or(0);
        let delta = text(event, "delta");
        match (text(event, "type").unwrap_or(""), delta) {
            ("response.output_text.delta", Some(words)) => out.push(Delta::text(words)),
            ("response.refusal.delta", Some(words)) => self.refusal.push_str(words),
            ("response.reasoning_summary_text.delta" | "response.reasoning_text.delta", Some(words)) => {
                out.push(Delta::Reasoning { text: words.to_owned() });
            }
            ("response.output_item.added", _) => {
                if let Some(item) =
                    object(event, "item").filter(|item| text(item, "type") == Some("function_call"))
                {
                    self.begin(index, item, out);
                }
            }
            ("response.function_call_arguments.delta", Some(json)) => {
                if let Some(call) = self.calls.get_mut(&index) {
                    call.has_args = true;
                    out.push(Delta::ToolCallArgs { id: call.id.clone(), json: json.to_owned() });
                }
            }
            ("response.output_item.done", _) => {
                if let Some(item) = object(event, "item") {
                    self.done(index, item, out);
                }
            }
            ("response.completed" | "response.incomplete" | "response.failed", _) => {
                let Some(response) = object(event, "response") else {
                    return Err(Fault::Undecodable("expected `response` in the last event"));
                };
                return self.close(response, out);
            }
            // Dozens of other kinds say the same again or report progress.
            _ => {}
        }
        Ok(Step::More)
    }

    fn whole(&mut self, body: &Value, out: &mut Vec<Delta>) -> Result<(), Fault> {
        if body.get("output").is_none_or(|output| !output.is_array()) {
            return Err(Fault::Undecodable("expected `output` in the answer"));
        }
        for (index, item) in list(body, "output").iter().enumerate() {
            for part in list(item, "content") {
                match (text(part, "text"), text(part, "refusal")) {
                    (Some(words), _) if text(part, "type") == Some("output_text") => {
                        out.push(Delta::text(words))
                    }
                    (_, Some(words)) => self.refusal.push_str(words),
                    _ => {}
                }
            }
            self.done(index as u64, item, out);
        }
        self.close(body, out).map(drop)
    }
}
