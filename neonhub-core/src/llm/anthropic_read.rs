//! Anthropic Messages: what comes back.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::answer::{Delta, StopKind, Usage};
use super::wire::{Decoder, Fault, Step, count, list, object, text, tool_in};

/// A block under way.
#[derive(Debug)]
enum Block {
    Text,
    /// A tool call; its input when it came with the start.
    Call {
        id: String,
        input: Option<Value>,
        has_args: bool,
    },
    /// Reasoning or a kind that we do not know: kept as it came, to be sent back. Its input comes in pieces of JSON.
    Opaque {
        data: Value,
        json: String,
    },
}

/// Reads the events of one answer.
#[derive(Debug)]
pub(super) struct MessagesReader {
    provider: String,
    blocks: BTreeMap<u64, Block>,
    has_calls: bool,
    usage: Map<String, Value>,
    stop: Option<String>,
    why: Option<String>,
}

impl MessagesReader {
    pub(super) fn new(provider: String) -> Self {
        MessagesReader {
            provider,
            blocks: BTreeMap::new(),
            has_calls: false,
            usage: Map::new(),
            stop: None,
            why: None,
        }
    }

    fn begin(&mut self, index: u64, block: &Value, out: &mut Vec<Delta>) {
        let begun = match text(block, "type") {
            Some("text") => {
                out.extend(text(block, "text").map(Delta::text));
                Block::Text
            }
            Some("tool_use") => {
                let id = text(block, "id").map_or_else(|| format!("call_{index}"), str::to_owned);
                let name = tool_in(text(block, "name").unwrap_or_default());
                self.has_calls = true;
                out.push(Delta::ToolCallStart { id: id.clone(), name });
                let input = object(block, "input").filter(|input| **input != Value::Object(Map::new()));
                Block::Call { id, input: input.cloned(), has_args: false }
            }
            _ => {
                out.extend(
                    text(block, "thinking").map(|thought| Delta::Reasoning { text: thought.to_owned() }),
                );
                Block::Opaque { data: block.clone(), json: String::new() }
            }
        };
        self.blocks.insert(index, begun);
    }

    fn piece(&mut self, index: u64, delta: &Value, out: &mut Vec<Delta>) {
        let block = self.blocks.get_mut(&index);
        match (text(delta, "type").unwrap_or(""), block) {
            ("text_delta", _) => out.extend(text(delta, "text").map(Delta::text)),
            ("input_json_delta", Some(Block::Call { id, has_args, .. })) => {
                if let Some(json) = text(delta, "partial_json") {
                    *has_args = true;
                    out.push(Delta::ToolCallArgs { id: id.clone(), json: json.to_owned() });
                }
            }
            ("input_json_delta", Some(Block::Opaque { json, .. })) => {
                json.push_str(text(delta, "partial_json").unwrap_or(""));
            }
            ("thinking_delta", block) => {
                if let Some(thought) = text(delta, "thinking") {
                    if let Some(block) = block {
                        append(block, "thinking", thought);
                    }
                    out.push(Delta::Reasoning { text: thought.to_owned() });
                }
            }
            ("signature_delta", Some(block)) => {
                append(block, "signature", text(delta, "signature").unwrap_or(""))
            }
            _ => {}
        }
    }

    fn end(&mut self, index: u64, out: &mut Vec<Delta>) {
        match self.blocks.remove(&index) {
            Some(Block::Call { id, input, has_args }) => {
                if let (Some(input), false) = (input, has_args) {
                    out.push(Delta::ToolCallArgs { id: id.clone(), json: input.to_string() });
                }
                out.push(Delta::ToolCallEnd { id });
            }
            Some(Block::Opaque { mut data, json }) => {
                if let (Some(map), Ok(input)) = (data.as_object_mut(), serde_json::from_str::<Value>(&json)) {
                    map.insert("input".into(), input);
                }
                out.push(Delta::ReasoningPart { provider: self.provider.clone(), data });
            }
            Some(Block::Text) | None => {}
        }
    }

    /// Counts are cumulative; later ones replace earlier ones, a null says nothing.
    fn count(&mut self, usage: &Value) {
        let Some(map) = usage.as_object() else { return };
        for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            self.usage.insert(name.clone(), value.clone());
        }
    }

    /// Why it stopped.
    fn stopped(&mut self, delta: &Value) {
        if let Some(reason) = text(delta, "stop_reason") {
            self.stop = Some(reason.to_owned());
        }
        if let Some(details) = object(delta, "stop_details") {
            let why = text(details, "explanation").or_else(|| text(details, "category"));
            self.why = why.map(str::to_owned);
        }
    }

    fn close(&mut self, out: &mut Vec<Delta>) {
        if !self.usage.is_empty() {
            out.push(Delta::Usage(self.used()));
        }
        out.push(Delta::Done(match self.stop.as_deref() {
            Some("refusal") => StopKind::Refused { why: self.why.take().unwrap_or_else(|| "refusal".into()) },
            Some("max_tokens" | "model_context_window_exceeded") => StopKind::Length,
            Some("pause_turn") => StopKind::Paused,
            Some("tool_use") => StopKind::ToolCalls,
            _ if self.has_calls => StopKind::ToolCalls,
            None | Some("end_turn" | "stop_sequence") => StopKind::Done,
            Some(other) => StopKind::Other(other.to_owned()),
        }));
    }

    /// Cached tokens are beside `input_tokens` here, not inside; a count that is left out is 0.
    fn used(&self) -> Usage {
        let usage = Value::Object(self.usage.clone());
        let (input, output) = (count(&usage, "input_tokens"), count(&usage, "output_tokens"));
        let details = object(&usage, "output_tokens_details");
        let output_all = output.unwrap_or(0);
        let thought = details.and_then(|d| count(d, "thinking_tokens")).unwrap_or(0).min(output_all);
        Usage {
            input_uncached: input.unwrap_or(0),
            input_cache_read: count(&usage, "cache_read_input_tokens").unwrap_or(0),
            input_cache_write: count(&usage, "cache_creation_input_tokens").unwrap_or(0),
            output_visible: output_all - thought,
            output_reasoning: thought,
            exact: input.is_some() && output.is_some(),
        }
    }
}

/// Adds to a text field of a kept block.
fn append(block: &mut Block, field: &str, more: &str) {
    let Block::Opaque { data, .. } = block else { return };
    let Some(map) = data.as_object_mut() else { return };
    match map.get_mut(field) {
        Some(Value::String(text)) => text.push_str(more),
        _ => drop(map.insert(field.to_owned(), more.into())),
    }
}

impl Decoder for MessagesReader {
    fn model<'v>(&self, event: &'v Value) -> Option<&'v str> {
        object(event, "message").and_then(|inner| text(inner, "model")).or_else(|| text(event, "model"))
    }

    fn event(&mut self, event: &Value, out: &mut Vec<Delta>) -> Result<Step, Fault> {
        let index = count(event, "index").unwrap_or(0);
        match text(event, "type").unwrap_or("") {
            "message_start" => {
                if let Some(usage) = object(event, "message").and_then(|message| object(message, "usage")) {
                    self.count(usage);
                }
            }
            "content_block_start" => {
                if let Some(block) = object(event, "content_block") {
                    self.begin(index, block, out);
                }
            }
            "content_block_delta" => {
                if let Some(delta) = object(event, "delta") {
                    self.piece(index, delta, out);
                }
            }
            "content_block_stop" => self.end(index, out),
            "message_delta" => {
                if let Some(delta) = object(event, "delta") {
                    self.stopped(delta);
                }
                if let Some(usage) = object(event, "usage") {
                    self.count(usage);
                }
            }
            "message_stop" => {
                self.close(out);
                return Ok(Step::Over);
            }
            // `ping`, and what is new.
            _ => {}
        }
        Ok(Step::More)
    }

    fn whole(&mut self, body: &Value, out: &mut Vec<Delta>) -> Result<(), Fault> {
        if body.get("content").is_none_or(|content| !content.is_array()) {
            return Err(Fault::Undecodable("expected `content` in the answer"));
        }
        for (index, block) in list(body, "content").iter().enumerate() {
            self.begin(index as u64, block, out);
            self.end(index as u64, out);
        }
        self.stopped(body);
        if let Some(usage) = object(body, "usage") {
            self.count(usage);
        }
        self.close(out);
        Ok(())
    }
}
