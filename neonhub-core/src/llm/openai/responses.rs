//! Responses: what is sent. Nothing is kept at the provider; reasoning travels encrypted with the conversation.

use serde_json::{Map, Value, json};

use super::responses_read::ResponsesReader;
use super::{ANSWER, args_text, effort, joined, payer, result_text};
use crate::Result;
use crate::llm::part::{Message, PartBody, Role};
use crate::llm::request::ToolChoice;
use crate::llm::schema;
use crate::llm::wire::{Ask, Decoder, Dialect, ProviderConfig, bound, call_id, tool_out};

/// The least that the provider takes as a limit of the answer.
const MIN_OUTPUT: u32 = 16;

/// The Responses API.
#[derive(Debug)]
pub(in crate::llm) struct Responses {
    provider: String,
    organization: Option<String>,
    project: Option<String>,
}

impl Responses {
    pub(in crate::llm) fn new(config: &ProviderConfig) -> Self {
        Responses {
            provider: config.provider.clone(),
            organization: config.organization.clone(),
            project: config.project.clone(),
        }
    }

    fn message(message: &Message, bound: &str, out: &mut Vec<Value>) -> Result<()> {
        // Reasoning stands before what came of it.
        for part in &message.parts {
            if let PartBody::Reasoning { provider, data } = &part.body
                && provider == bound
            {
                out.push(data.clone());
            }
        }
        let text = joined(&message.parts)?;
        let (role, kind) = match message.role {
            Role::Assistant => ("assistant", "output_text"),
            Role::System => ("developer", "input_text"),
            Role::User | Role::Tool => ("user", "input_text"),
        };
        let words =
            (!text.is_empty()).then(|| json!({ "role": role, "content": [{ "type": kind, "text": text }] }));
        let (words_first, words_last) =
            if message.role == Role::Assistant { (words, None) } else { (None, words) };
        out.extend(words_first);
        for part in &message.parts {
            match &part.body {
                PartBody::ToolCall { id, name, args } => out.push(json!({
                    "type": "function_call", "call_id": call_id(id), "name": tool_out(name),
                    "arguments": args_text(args),
                })),
                PartBody::ToolResult { id, output, is_error, .. } => out.push(json!({
                    "type": "function_call_output", "call_id": call_id(id),
                    "output": result_text(output, *is_error),
                })),
                _ => {}
            }
        }
        out.extend(words_last);
        Ok(())
    }
}

impl Dialect for Responses {
    fn path(&self) -> &'static str {
        "/responses"
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        payer(self.organization.as_deref(), self.project.as_deref())
    }

    fn encode(&self, ask: &mut Ask<'_>) -> Result<Value> {
        let request = ask.request;
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let bound = bound(&self.provider, ask.model);
        let mut input = Vec::new();
        for message in &request.messages {
            Self::message(message, &bound, &mut input)?;
        }
        let system = joined(&request.system)?;
        set("model", Some(ask.model.into()));
        set("instructions", (!system.is_empty()).then(|| system.into()));
        set("input", Some(input.into()));
        set("stream", Some(true.into()));
        set("stream_options", Some(json!({ "include_obfuscation": false })));
        // The provider's default keeps every answer for 30 days.
        set("store", Some(false.into()));
        if let Some(limit) = request.max_output_tokens {
            if limit < MIN_OUTPUT {
                let words =
                    format!("`max_output_tokens` was raised to {MIN_OUTPUT}, the least that is taken");
                ask.warnings.push(("parameter_raised".into(), words));
            }
            set("max_output_tokens", Some(limit.max(MIN_OUTPUT).into()));
        }
        let (temperature, top_p) = ask.sampling();
        set("temperature", temperature.map(Value::from));
        set("top_p", top_p.map(Value::from));
        if !request.stop.is_empty() {
            ask.dropped("stop", "the Responses API has no stop sequences");
        }
        if ask.caps.reasoning {
            set("include", Some(json!(["reasoning.encrypted_content"])));
        }
        if let Some(reasoning) = request.reasoning {
            if ask.caps.reasoning {
                set("reasoning", Some(json!({ "effort": effort(reasoning) })));
            } else {
                ask.dropped("reasoning", "this model is not known to take it");
            }
        }
        if let Some(wanted) = &request.output_schema {
            let format = json!({
                "type": "json_schema", "name": ANSWER, "schema": schema::lower(wanted)?, "strict": true,
            });
            set("text", Some(json!({ "format": format })));
        }
        if !request.tools.is_empty() {
            let tools = request.tools.iter().map(|tool| {
                json!({
                    "type": "function", "name": tool_out(&tool.name), "description": tool.doc,
                    "parameters": tool.input_schema, "strict": false,
                })
            });
            set("tools", Some(tools.collect()));
            set(
                "tool_choice",
                match &request.tool_choice {
                    ToolChoice::Auto => None,
                    ToolChoice::None => Some("none".into()),
                    _ if !ask.may_force() => None,
                    ToolChoice::Required => Some("required".into()),
                    ToolChoice::Named(name) => Some(json!({ "type": "function", "name": tool_out(name) })),
                },
            );
        }
        Ok(Value::Object(body))
    }

    fn decoder(&self, ask: &Ask<'_>) -> Box<dyn Decoder> {
        Box::new(ResponsesReader::new(bound(&self.provider, ask.model)))
    }
}
