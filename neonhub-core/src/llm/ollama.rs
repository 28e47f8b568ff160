//! Ollama's own API.

use serde_json::{Map, Value, json};

use super::answer::{Delta, StopKind, Usage};
use super::caps::TokenCount;
use super::part::{Message, PartBody, Role};
use super::request::{Reasoning, ToolChoice};
use super::schema;
use super::wire::{
    Ask, Decoder, Dialect, Fault, Framing, ProviderConfig, Step, arguments, call_id, count, list, object,
    said, schema_words, shown, text, tool_in, tool_out,
};
use crate::Result;

/// The window when nobody says: the server's own default of 4 096 cuts prompts without a word.
const LEAST_WINDOW: u64 = 8_192;

/// Ollama.
#[derive(Debug)]
pub(super) struct Ollama {
    num_ctx: Option<u32>,
    keep_alive: Option<String>,
}

/// A number of seconds goes as a number, `10m` as text.
pub(super) fn keep_alive(setting: &str) -> Value {
    setting.parse::<i64>().map_or_else(|_| setting.into(), Value::from)
}

impl Ollama {
    pub(super) fn new(config: &ProviderConfig) -> Self {
        Ollama { num_ctx: config.num_ctx, keep_alive: config.keep_alive.clone() }
    }

    fn window(&self, ask: &Ask<'_>) -> u64 {
        self.num_ctx.map_or(ask.caps.context_tokens.max(LEAST_WINDOW), u64::from)
    }

    fn options(&self, ask: &mut Ask<'_>) -> Value {
        let request = ask.request;
        let mut options = Map::new();
        options.insert("num_ctx".into(), self.window(ask).into());
        let (temperature, top_p) = ask.sampling();
        let set = [
            ("num_predict", request.max_output_tokens.map(Value::from)),
            ("temperature", temperature.map(Value::from)),
            ("top_p", top_p.map(Value::from)),
            ("seed", request.seed.map(Value::from)),
            ("stop", (!request.stop.is_empty()).then(|| json!(request.stop))),
        ];
        for (name, value) in set {
            if let Some(value) = value {
                options.insert(name.into(), value);
            }
        }
        Value::Object(options)
    }
}

/// The messages of one turn.
fn message(message: &Message, out: &mut Vec<Value>) -> Result<()> {
    let mut words = Vec::new();
    let mut calls = Vec::new();
    for part in &message.parts {
        match &part.body {
            PartBody::ToolResult { id, name, output, is_error } => {
                let content = if *is_error { json!({ "error": output }).to_string() } else { shown(output) };
                out.push(json!({
                    "role": "tool", "tool_name": tool_out(name), "tool_call_id": call_id(id), "content": content,
                }));
            }
            PartBody::ToolCall { id, name, args } => {
                let args = if args.is_object() { args.clone() } else { json!({ "invalid_json": args }) };
                let function = json!({ "name": tool_out(name), "arguments": args });
                calls.push(json!({ "id": call_id(id), "function": function }));
            }
            _ => words.extend(said(part)?),
        }
    }
    let content = words.join("\n\n");
    if content.is_empty() && calls.is_empty() {
        return Ok(());
    }
    let role = match message.role {
        Role::System => "system",
        Role::Assistant => "assistant",
        Role::User | Role::Tool => "user",
    };
    let mut spoken = json!({ "role": role, "content": content });
    if let (false, Some(map)) = (calls.is_empty(), spoken.as_object_mut()) {
        map.insert("tool_calls".into(), calls.into());
    }
    out.push(spoken);
    Ok(())
}

impl Dialect for Ollama {
    fn path(&self) -> &'static str {
        "/api/chat"
    }

    fn framing(&self) -> Framing {
        Framing::Ndjson
    }

    fn encode(&self, ask: &mut Ask<'_>) -> Result<Value> {
        let request = ask.request;
        let is_calling = !request.tools.is_empty() && request.tool_choice != ToolChoice::None;
        let mut system = Vec::new();
        for part in &request.system {
            system.extend(said(part)?);
        }
        system.extend(request.output_schema.as_ref().map(schema_words));
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(json!({ "role": "system", "content": system.join("\n\n") }));
        }
        for one in &request.messages {
            message(one, &mut messages)?;
        }
        let mut body = Map::new();
        body.insert("model".into(), ask.model.into());
        body.insert("messages".into(), messages.into());
        body.insert("stream".into(), true.into());
        body.insert("options".into(), self.options(ask));
        if is_calling {
            let wanted = request.tools.iter().filter(|tool| match &request.tool_choice {
                ToolChoice::Named(name) => tool.name == *name,
                _ => true,
            });
            let tools = wanted.map(|tool| {
                json!({ "type": "function", "function": {
                    "name": tool_out(&tool.name), "description": tool.doc, "parameters": tool.input_schema,
                }})
            });
            body.insert("tools".into(), tools.collect());
            if request.tool_choice != ToolChoice::Auto {
                ask.dropped("tool_choice", "Ollama cannot be made to call a tool");
            }
        }
        // A format keeps the model from calling tools; then the instructions alone must do, and the answer is checked.
        if let (Some(wanted), false) = (&request.output_schema, is_calling) {
            body.insert("format".into(), schema::lower(wanted)?);
        }
        if let Some(keep) = &self.keep_alive {
            body.insert("keep_alive".into(), keep_alive(keep));
        }
        match request.reasoning {
            None => {}
            Some(_) if !ask.caps.reasoning => ask.dropped("reasoning", "this model is not known to take it"),
            Some(reasoning) => {
                let think = match reasoning {
                    Reasoning::None => Value::Bool(false),
                    Reasoning::Low => "low".into(),
                    Reasoning::Medium => "medium".into(),
                    Reasoning::High => "high".into(),
                    Reasoning::Max => "max".into(),
                };
                body.insert("think".into(), think);
            }
        }
        Ok(Value::Object(body))
    }

    fn decoder(&self, ask: &Ask<'_>) -> Box<dyn Decoder> {
        let estimate = TokenCount::estimate(ask.request).tokens;
        Box::new(Reader { window: self.window(ask), estimate, calls: 0 })
    }
}

/// Reads the lines of one answer.
#[derive(Debug)]
struct Reader {
    window: u64,
    estimate: u64,
    calls: usize,
}

impl Reader {
    fn words(&mut self, message: &Value, out: &mut Vec<Delta>) {
        out.extend(text(message, "thinking").map(|thought| Delta::Reasoning { text: thought.to_owned() }));
        out.extend(text(message, "content").map(Delta::text));
        for call in list(message, "tool_calls") {
            let function = object(call, "function").unwrap_or(call);
            let Some(name) = text(function, "name") else { continue };
            let id = text(call, "id").map_or_else(|| format!("call_{}", self.calls), str::to_owned);
            self.calls += 1;
            out.push(Delta::ToolCallStart { id: id.clone(), name: tool_in(name) });
            if let Some(json) = arguments(function.get("arguments")) {
                out.push(Delta::ToolCallArgs { id: id.clone(), json });
            }
            out.push(Delta::ToolCallEnd { id });
        }
    }

    fn close(&self, last: &Value, out: &mut Vec<Delta>) {
        let (input, output) = (count(last, "prompt_eval_count"), count(last, "eval_count"));
        // A prompt that may not have fitted and was counted much shorter than it is was cut by the server.
        let is_cut = input.is_some_and(|n| self.estimate > self.window && n * 10 < self.estimate * 9);
        if is_cut {
            let message = format!(
                "the prompt holds about {} tokens, the window {}: the server cut it; raise `num_ctx`",
                self.estimate, self.window
            );
            out.push(Delta::Warning { code: "prompt_cut".into(), message });
        }
        if input.is_some() || output.is_some() {
            out.push(Delta::Usage(Usage {
                input_uncached: input.unwrap_or(0),
                output_visible: output.unwrap_or(0),
                exact: input.is_some() && output.is_some(),
                ..Usage::default()
            }));
        }
        out.push(Delta::Done(match text(last, "done_reason") {
            Some("length") => StopKind::Length,
            // Calls may come before the last line, which then says `stop`.
            _ if self.calls > 0 => StopKind::ToolCalls,
            None | Some("stop") => StopKind::Done,
            Some(other) => StopKind::Other(other.to_owned()),
        }));
    }
}

impl Decoder for Reader {
    fn event(&mut self, event: &Value, out: &mut Vec<Delta>) -> Result<Step, Fault> {
        if let Some(message) = object(event, "message") {
            self.words(message, out);
        }
        if event.get("done").and_then(Value::as_bool) != Some(true) {
            return Ok(Step::More);
        }
        self.close(event, out);
        Ok(Step::Over)
    }

    fn whole(&mut self, body: &Value, out: &mut Vec<Delta>) -> Result<(), Fault> {
        match self.event(body, out)? {
            Step::Over => Ok(()),
            Step::More => Err(Fault::Truncated),
        }
    }
}
