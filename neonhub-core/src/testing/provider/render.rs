//! Neutral replies in the four formats, streamed or whole.

use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};

use super::fault::WireFault;
use super::server::Reaction;
use super::speech::Speech;
use crate::llm::{Reply, TokenCount, ToolCall};

/// Instants of answers; nobody reads them.
const CREATED: u64 = 1_790_000_000;

/// A reply, in pieces.
#[derive(Debug, Default)]
struct Said {
    texts: Vec<String>,
    calls: Vec<ToolCall>,
    refusal: Option<String>,
    input: u64,
    output: u64,
    model: String,
    is_odd: bool,
}

impl Speech {
    /// A neutral reply in this format.
    pub(crate) fn answer(self, reply: Reply, request: &Value, fault: Option<&WireFault>) -> Reaction {
        let model = request.get("model").and_then(Value::as_str).unwrap_or_default();
        let (wait, reply) = reply.parted();
        let mut said = Said {
            input: TokenCount::of_text(&request.to_string()),
            model: model.to_owned(),
            is_odd: fault == Some(&WireFault::UnknownEnums),
            ..Said::default()
        };
        match reply {
            Reply::Text(text) => said.texts.push(text),
            Reply::Chunks(texts) => said.texts = texts,
            Reply::Tools(calls) => said.calls = calls,
            Reply::Refuse(why) => said.refusal = Some(why),
            Reply::Fail(_) | Reply::Break(..) | Reply::After(..) | Reply::Held(..) => {
                return Reaction::text(599, "text/plain", "put a fault on the answer instead");
            }
        }
        let written: usize = said.texts.iter().map(String::len).sum();
        let called: usize = said.calls.iter().map(|call| call.args.to_string().len()).sum();
        said.output = TokenCount::of_bytes(written + called).max(1);
        let is_streamed = request.get("stream").and_then(Value::as_bool).unwrap_or(self == Speech::Ollama);
        let pieces = match (self, is_streamed) {
            (Speech::Chat, true) => said.chat_stream(request),
            (Speech::Chat, false) => vec![line(&said.chat_whole())],
            (Speech::Responses, true) => said.responses_stream(),
            (Speech::Responses, false) => vec![line(&said.response("completed", &said.items()))],
            (Speech::Messages, true) => said.messages_stream(),
            (Speech::Messages, false) => vec![line(&said.message_whole())],
            (Speech::Ollama, true) => said.ollama_stream(),
            (Speech::Ollama, false) => vec![line(&said.ollama_whole())],
        };
        let kind = match (self, is_streamed) {
            (Speech::Ollama, true) => "application/x-ndjson",
            (_, true) => "text/event-stream; charset=utf-8",
            (_, false) => "application/json",
        };
        let kind = ("content-type".to_owned(), kind.to_owned());
        let headers = std::iter::once(kind).chain(self.request_id()).collect();
        Reaction { status: 200, headers, pieces, wait: wait.shared(), cut_at: None }
    }
}

pub(super) fn data(value: &Value) -> Vec<u8> {
    format!("data: {value}\n\n").into_bytes()
}

/// An event that carries its type as its name.
pub(super) fn named(value: &Value) -> Vec<u8> {
    let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
    format!("event: {name}\ndata: {value}\n\n").into_bytes()
}

pub(super) fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

/// JSON text in two pieces, as streams cut it.
fn halves(json: &str) -> [&str; 2] {
    let middle = (json.len() / 2..json.len()).find(|at| json.is_char_boundary(*at)).unwrap_or(json.len());
    json.split_at_checked(middle).map_or([json, ""], |(a, b)| [a, b])
}

impl Said {
    fn text(&self) -> String {
        self.texts.concat()
    }

    /// The reason to stop in the words of a format.
    fn reason<'w>(&self, [done, tools, refused]: [&'w str; 3]) -> &'w str {
        match (&self.refusal, self.calls.is_empty()) {
            _ if self.is_odd => "brand_new",
            (Some(_), _) => refused,
            (None, false) => tools,
            (None, true) => done,
        }
    }

    fn chat_usage(&self) -> Value {
        json!({
            "prompt_tokens": self.input, "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
            "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0 },
        })
    }

    fn chat_chunk(&self, delta: &Value, finish: Option<&str>) -> Vec<u8> {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
        let mut chunk = json!({
            "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": CREATED, "model": self.model,
            "choices": [choice], "usage": null,
        });
        if let (true, Some(map)) = (self.is_odd, chunk.as_object_mut()) {
            map.insert("service_tier".into(), "on_demand".into());
            map.insert("new_field".into(), json!({ "deep": [1] }));
        }
        data(&chunk)
    }

    fn chat_stream(&self, request: &Value) -> Vec<Vec<u8>> {
        let mut out = vec![self.chat_chunk(&json!({ "role": "assistant", "content": "" }), None)];
        for text in &self.texts {
            out.push(self.chat_chunk(&json!({ "content": text }), None));
        }
        if let Some(why) = &self.refusal {
            out.push(self.chat_chunk(&json!({ "refusal": why }), None));
        }
        for (i, call) in self.calls.iter().enumerate() {
            let json = call.args.to_string();
            let name = crate::llm::tool_out(&call.name);
            let head = json!({ "index": i, "id": call.id, "type": "function",
                "function": { "name": name, "arguments": "" } });
            out.push(self.chat_chunk(&json!({ "tool_calls": [head] }), None));
            for half in halves(&json) {
                let piece = json!({ "index": i, "function": { "arguments": half } });
                out.push(self.chat_chunk(&json!({ "tool_calls": [piece] }), None));
            }
        }
        out.push(self.chat_chunk(&json!({}), Some(self.reason(["stop", "tool_calls", "stop"]))));
        let is_counted =
            request.pointer("/stream_options/include_usage").and_then(Value::as_bool) == Some(true);
        if is_counted {
            out.push(data(&json!({
                "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": CREATED,
                "model": self.model, "choices": [], "usage": self.chat_usage(),
            })));
        }
        out.push(b"data: [DONE]\n\n".to_vec());
        out
    }

    fn chat_whole(&self) -> Value {
        let calls: Vec<Value> = self
            .calls
            .iter()
            .map(|call| {
                let function = json!({
                    "name": crate::llm::tool_out(&call.name), "arguments": call.args.to_string(),
                });
                json!({ "id": call.id, "type": "function", "function": function })
            })
            .collect();
        let mut message = json!({ "role": "assistant", "content": self.text(), "refusal": self.refusal });
        if let (false, Some(map)) = (calls.is_empty(), message.as_object_mut()) {
            map.insert("content".into(), Value::Null);
            map.insert("tool_calls".into(), calls.into());
        }
        let finish = self.reason(["stop", "tool_calls", "stop"]);
        json!({
            "id": "chatcmpl-mock", "object": "chat.completion", "created": CREATED, "model": self.model,
            "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish }],
            "usage": self.chat_usage(),
        })
    }

    /// Output items of a response.
    fn items(&self) -> Vec<Value> {
        let mut out = Vec::new();
        let content = match &self.refusal {
            Some(why) => Some(json!({ "type": "refusal", "refusal": why })),
            None if self.texts.is_empty() => None,
            None => {
                Some(json!({ "type": "output_text", "text": self.text(), "annotations": [], "logprobs": [] }))
            }
        };
        if let Some(content) = content {
            out.push(json!({
                "type": "message", "id": "msg_mock", "role": "assistant", "status": "completed",
                "content": [content],
            }));
        }
        for call in &self.calls {
            out.push(json!({
                "type": "function_call", "id": format!("fc_{}", call.id), "call_id": call.id,
                "name": crate::llm::tool_out(&call.name), "arguments": call.args.to_string(),
                "status": "completed",
            }));
        }
        out
    }

    fn response(&self, status: &str, items: &[Value]) -> Value {
        let usage = (status == "completed").then(|| {
            json!({
                "input_tokens": self.input, "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
                "output_tokens": self.output, "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": self.input + self.output,
            })
        });
        let status = if self.is_odd && status == "completed" { "brand_new" } else { status };
        json!({
            "id": "resp_mock", "object": "response", "created_at": CREATED, "status": status, "error": null,
            "incomplete_details": null, "instructions": null, "metadata": {}, "model": self.model,
            "output": items, "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [],
            "top_p": 1.0, "usage": usage,
        })
    }

    fn responses_stream(&self) -> Vec<Vec<u8>> {
        let items = self.items();
        let mut events = vec![
            json!({ "type": "response.created", "response": self.response("in_progress", &[]) }),
            json!({ "type": "response.in_progress", "response": self.response("in_progress", &[]) }),
        ];
        if self.is_odd {
            events.push(json!({ "type": "response.brand_new.delta", "delta": "?", "output_index": 0 }));
        }
        for (i, item) in items.iter().enumerate() {
            let id = item.get("id").cloned().unwrap_or_default();
            let mut early = item.clone();
            if let Some(map) = early.as_object_mut() {
                map.insert("status".into(), "in_progress".into());
                for (name, empty) in [("content", json!([])), ("arguments", json!(""))] {
                    if map.contains_key(name) {
                        map.insert(name.into(), empty);
                    }
                }
            }
            events.push(json!({ "type": "response.output_item.added", "output_index": i, "item": early }));
            if let Some(json) = item.get("arguments").and_then(Value::as_str) {
                for half in halves(json) {
                    events.push(json!({ "type": "response.function_call_arguments.delta", "item_id": id,
                        "output_index": i, "delta": half }));
                }
                events.push(json!({ "type": "response.function_call_arguments.done", "item_id": id,
                    "output_index": i, "name": item.get("name"), "arguments": json }));
            } else {
                events.extend(self.content_events(i, &id, item));
            }
            events.push(json!({ "type": "response.output_item.done", "output_index": i, "item": item }));
        }
        events.push(json!({ "type": "response.completed", "response": self.response("completed", &items) }));
        let numbered = events.iter_mut().enumerate().map(|(n, event)| {
            if let Some(map) = event.as_object_mut() {
                map.insert("sequence_number".into(), n.into());
            }
            named(event)
        });
        numbered.collect()
    }

    fn content_events(&self, index: usize, id: &Value, item: &Value) -> Vec<Value> {
        let part = item.pointer("/content/0").cloned().unwrap_or_default();
        let (kind, empty) = match self.refusal {
            Some(_) => ("refusal", json!({ "type": "refusal", "refusal": "" })),
            None => (
                "output_text",
                json!({ "type": "output_text", "text": "", "annotations": [], "logprobs": [] }),
            ),
        };
        let at = |mut event: Value| {
            if let Some(map) = event.as_object_mut() {
                map.insert("item_id".into(), id.clone());
                map.insert("output_index".into(), index.into());
                map.insert("content_index".into(), 0.into());
            }
            event
        };
        let mut out = vec![at(json!({ "type": "response.content_part.added", "part": empty }))];
        let pieces = match &self.refusal {
            Some(why) => vec![why.clone()],
            None => self.texts.clone(),
        };
        for piece in &pieces {
            let mut event = at(json!({ "type": format!("response.{kind}.delta"), "delta": piece }));
            if let (None, Some(map)) = (&self.refusal, event.as_object_mut()) {
                map.insert("logprobs".into(), json!([]));
            }
            out.push(event);
        }
        let field = if self.refusal.is_some() { "refusal" } else { "text" };
        let mut done = at(json!({ "type": format!("response.{kind}.done") }));
        if let Some(map) = done.as_object_mut() {
            map.insert(field.into(), pieces.concat().into());
            if self.refusal.is_none() {
                map.insert("logprobs".into(), json!([]));
            }
        }
        out.push(done);
        out.push(at(json!({ "type": "response.content_part.done", "part": part })));
        out
    }

    fn message_usage(&self, output: u64) -> Value {
        json!({
            "input_tokens": self.input, "output_tokens": output, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        })
    }

    fn message(&self, content: &[Value], stop: Option<&str>, output: u64) -> Value {
        let mut usage = self.message_usage(output);
        if let Some(map) = usage.as_object_mut() {
            map.insert("service_tier".into(), "standard".into());
        }
        json!({
            "id": "msg_mock", "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": stop, "stop_sequence": null, "stop_details": self.details(stop),
            "usage": usage,
        })
    }

    fn details(&self, stop: Option<&str>) -> Value {
        match (&self.refusal, stop) {
            (Some(why), Some(_)) => json!({ "type": "refusal", "category": null, "explanation": why }),
            _ => Value::Null,
        }
    }

    fn blocks(&self) -> Vec<Value> {
        let mut out = Vec::new();
        if !self.texts.is_empty() {
            out.push(json!({ "type": "text", "text": self.text(), "citations": null }));
        }
        for call in &self.calls {
            out.push(json!({
                "type": "tool_use", "id": call.id, "name": crate::llm::tool_out(&call.name), "input": call.args,
            }));
        }
        out
    }

    fn message_whole(&self) -> Value {
        self.message(&self.blocks(), Some(self.reason(["end_turn", "tool_use", "refusal"])), self.output)
    }

    fn messages_stream(&self) -> Vec<Vec<u8>> {
        let mut events = vec![
            json!({ "type": "message_start", "message": self.message(&[], None, 1) }),
            json!({ "type": "ping" }),
        ];
        if self.is_odd {
            events.push(json!({ "type": "brand_new_event", "value": 1 }));
        }
        for (i, block) in self.blocks().iter().enumerate() {
            let mut start = block.clone();
            let (field, empty, deltas) = match block.get("input") {
                Some(input) => {
                    let json = input.to_string();
                    let deltas: Vec<Value> = halves(&json)
                        .into_iter()
                        .map(|half| json!({ "type": "input_json_delta", "partial_json": half }))
                        .collect();
                    ("input", Value::Object(Map::new()), deltas)
                }
                None => {
                    let deltas: Vec<Value> =
                        self.texts.iter().map(|text| json!({ "type": "text_delta", "text": text })).collect();
                    ("text", Value::String(String::new()), deltas)
                }
            };
            if let Some(map) = start.as_object_mut() {
                map.insert(field.into(), empty);
            }
            events.push(json!({ "type": "content_block_start", "index": i, "content_block": start }));
            if self.is_odd {
                let delta = json!({ "type": "brand_new_delta", "value": "?" });
                events.push(json!({ "type": "content_block_delta", "index": i, "delta": delta }));
            }
            events.extend(
                deltas
                    .iter()
                    .map(|delta| json!({ "type": "content_block_delta", "index": i, "delta": delta })),
            );
            events.push(json!({ "type": "content_block_stop", "index": i }));
        }
        let stop = self.reason(["end_turn", "tool_use", "refusal"]);
        let delta = json!({
            "stop_reason": stop, "stop_sequence": null, "stop_details": self.details(Some(stop)),
        });
        events.push(
            json!({ "type": "message_delta", "delta": delta, "usage": self.message_usage(self.output) }),
        );
        events.push(json!({ "type": "message_stop" }));
        events.iter().map(named).collect()
    }

    fn ollama(&self, message: &Value, last: bool) -> Value {
        let mut out = json!({
            "model": self.model, "created_at": "2026-11-20T10:00:00Z", "message": message, "done": last,
        });
        if let (true, Some(map)) = (last, out.as_object_mut()) {
            let counts = json!({
                "done_reason": self.reason(["stop", "stop", "stop"]), "total_duration": 5_000_000,
                "load_duration": 1_000_000, "prompt_eval_count": self.input, "prompt_eval_duration": 2_000_000,
                "eval_count": self.output, "eval_duration": 2_000_000,
            });
            map.extend(counts.as_object().cloned().unwrap_or_default());
        }
        out
    }

    fn ollama_calls(&self) -> Vec<Value> {
        let calls = self.calls.iter().enumerate();
        calls
            .map(|(i, call)| {
                let function = json!({
                    "index": i, "name": crate::llm::tool_out(&call.name), "arguments": call.args,
                });
                json!({ "id": call.id, "function": function })
            })
            .collect()
    }

    fn ollama_stream(&self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let texts = self.texts.iter().chain(&self.refusal);
        for text in texts {
            out.push(line(&self.ollama(&json!({ "role": "assistant", "content": text }), false)));
        }
        if !self.calls.is_empty() {
            let message = json!({ "role": "assistant", "content": "", "tool_calls": self.ollama_calls() });
            out.push(line(&self.ollama(&message, false)));
        }
        out.push(line(&self.ollama(&json!({ "role": "assistant", "content": "" }), true)));
        out
    }

    fn ollama_whole(&self) -> Value {
        let mut message = json!({ "role": "assistant", "content": self.text() });
        if let (false, Some(map)) = (self.calls.is_empty(), message.as_object_mut()) {
            map.insert("tool_calls".into(), self.ollama_calls().into());
        }
        self.ollama(&message, true)
    }
}
