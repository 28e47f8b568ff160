//! Anthropic Messages: what is sent.

use serde_json::{Map, Value, json};

use super::anthropic_read::MessagesReader;
use super::part::{Message, PartBody, Role};
use super::request::{CacheHint, Reasoning, ToolChoice};
use super::schema;
use super::wire::{Ask, Decoder, Dialect, ProviderConfig, bound, call_id, said, shown, tool_out};
use crate::{Result, Secret};

/// The version of the API that is spoken by default.
const VERSION: &str = "2026-10-21";
/// The version before, which still took sampling parameters.
const OLD_VERSION: &str = "2023-06-01";
/// Breakpoints of the cache that one request may hold.
const BREAKPOINTS: usize = 4;

/// The Messages API.
#[derive(Debug)]
pub(super) struct Messages {
    provider: String,
    version: String,
}

impl Messages {
    pub(super) fn new(config: &ProviderConfig) -> Self {
        let version = config.api_version.clone().unwrap_or_else(|| VERSION.to_owned());
        Messages { provider: config.provider.clone(), version }
    }

    /// Content of one message: results first, then what else it holds.
    fn blocks(&self, message: &Message, bound: &str) -> Result<Vec<Value>> {
        let mut results = Vec::new();
        let mut rest = Vec::new();
        for part in &message.parts {
            match &part.body {
                PartBody::ToolResult { id, output, is_error, .. } => {
                    let mut block = json!({ "type": "tool_result", "tool_use_id": call_id(id), "content": shown(output) });
                    if let (true, Some(map)) = (*is_error, block.as_object_mut()) {
                        map.insert("is_error".into(), true.into());
                    }
                    results.push(block);
                }
                PartBody::ToolCall { id, name, args } => {
                    // Only objects are taken; arguments that were no JSON are shown to the model as such.
                    let input = if args.is_object() { args.clone() } else { json!({ "invalid_json": args }) };
                    rest.push(json!({
                        "type": "tool_use", "id": call_id(id), "name": tool_out(name), "input": input,
                    }));
                }
                PartBody::Reasoning { provider, data } if provider == bound => rest.push(data.clone()),
                PartBody::Reasoning { .. } => {}
                _ => {
                    if let Some(text) = said(part)?.filter(|text| !text.is_empty()) {
                        rest.push(json!({ "type": "text", "text": text }));
                    }
                }
            }
        }
        results.append(&mut rest);
        Ok(results)
    }

    /// The conversation in alternating turns, with marks where its prefix may be cached.
    fn turns(&self, ask: &Ask<'_>, breakpoints: &mut usize) -> Result<Vec<Value>> {
        let bound = bound(&self.provider, ask.model);
        let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
        for (i, message) in ask.request.messages.iter().enumerate() {
            let role = if message.role == Role::Assistant { "assistant" } else { "user" };
            let mut blocks = self.blocks(message, &bound)?;
            let hint = CacheHint::Message(u32::try_from(i).unwrap_or(u32::MAX));
            if ask.request.cache_hints.contains(&hint) {
                mark(blocks.last_mut(), breakpoints);
            }
            if blocks.is_empty() {
                continue;
            }
            match turns.last_mut() {
                Some((last, content)) if *last == role => {
                    // Results of one turn stand before any words of the same message.
                    let (mut results, mut rest): (Vec<Value>, Vec<Value>) = content
                        .drain(..)
                        .chain(blocks)
                        .partition(|block| block.get("type").and_then(Value::as_str) == Some("tool_result"));
                    results.append(&mut rest);
                    *content = results;
                }
                _ => turns.push((role, blocks)),
            }
        }
        Ok(turns.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect())
    }
}

/// Marks the end of a prefix that may be cached, while there are marks left.
fn mark(block: Option<&mut Value>, left: &mut usize) {
    if let (1.., Some(map)) = (*left, block.and_then(Value::as_object_mut)) {
        map.insert("cache_control".into(), json!({ "type": "ephemeral" }));
        *left -= 1;
    }
}

/// Anthropic's word for how much to think.
fn effort(reasoning: Reasoning) -> Option<&'static str> {
    match reasoning {
        Reasoning::None => None,
        Reasoning::Low => Some("low"),
        Reasoning::Medium => Some("medium"),
        Reasoning::High => Some("high"),
        Reasoning::Max => Some("max"),
    }
}

impl Dialect for Messages {
    fn path(&self) -> &'static str {
        "/messages"
    }

    fn key_header(&self, key: &Secret) -> (&'static str, String) {
        ("x-api-key", key.expose().to_owned())
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        vec![("anthropic-version", self.version.clone())]
    }

    fn encode(&self, ask: &mut Ask<'_>) -> Result<Value> {
        let request = ask.request;
        let mut left = BREAKPOINTS;
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("model", Some(ask.model.into()));
        let limit = request.max_output_tokens.map_or(ask.caps.max_output_tokens, u64::from);
        set("max_tokens", Some(limit.into()));
        set("stream", Some(true.into()));
        let mut tools: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| {
                json!({
                    "name": tool_out(&tool.name), "description": tool.doc, "input_schema": tool.input_schema,
                })
            })
            .collect();
        // The order of the prefix: tools, instructions, conversation.
        if request.cache_hints.contains(&CacheHint::Tools) {
            mark(tools.last_mut(), &mut left);
        }
        let mut system = Vec::new();
        for part in &request.system {
            let text = said(part)?.filter(|text| !text.is_empty());
            system.extend(text.map(|text| json!({ "type": "text", "text": text })));
        }
        if request.cache_hints.contains(&CacheHint::System) {
            mark(system.last_mut(), &mut left);
        }
        set("system", (!system.is_empty()).then(|| system.into()));
        set("messages", Some(self.turns(ask, &mut left)?.into()));
        if !tools.is_empty() {
            set("tools", Some(tools.into()));
            set(
                "tool_choice",
                match &request.tool_choice {
                    ToolChoice::Auto => None,
                    ToolChoice::None => Some(json!({ "type": "none" })),
                    _ if !ask.may_force() => None,
                    ToolChoice::Required => Some(json!({ "type": "any" })),
                    ToolChoice::Named(name) => Some(json!({ "type": "tool", "name": tool_out(name) })),
                },
            );
        }
        set("stop_sequences", (!request.stop.is_empty()).then(|| json!(request.stop)));
        if self.version == OLD_VERSION {
            let (temperature, top_p) = ask.sampling();
            set("temperature", temperature.map(|t| t.min(1.0).into()));
            set("top_p", top_p.map(Value::from));
        } else {
            for (name, is_set) in
                [("temperature", request.temperature.is_some()), ("top_p", request.top_p.is_some())]
            {
                if is_set {
                    ask.dropped(
                        name,
                        "this version of the API takes no sampling parameters; `api_version` 2023-06-01 does",
                    );
                }
            }
        }
        let mut output = Map::new();
        if let Some(wanted) = &request.output_schema {
            let format = json!({ "type": "json_schema", "schema": schema::lower(wanted)? });
            output.insert("format".into(), format);
        }
        match request.reasoning.map(effort) {
            None => {}
            Some(_) if !ask.caps.reasoning => ask.dropped("reasoning", "this model is not known to take it"),
            Some(None) => set("thinking", Some(json!({ "type": "disabled" }))),
            Some(Some(word)) => drop(output.insert("effort".into(), word.into())),
        }
        set("output_config", (!output.is_empty()).then(|| output.into()));
        Ok(Value::Object(body))
    }

    fn decoder(&self, ask: &Ask<'_>) -> Box<dyn Decoder> {
        Box::new(MessagesReader::new(bound(&self.provider, ask.model)))
    }
}
