//! Chat Completions: what is sent.

use serde_json::{Map, Value, json};

use super::chat_read::ChatReader;
use super::{ANSWER, args_text, effort, instructions, is_result, joined, payer, result_text};
use crate::Result;
use crate::llm::compatible::EndpointCaps;
use crate::llm::part::{Message, PartBody, Role};
use crate::llm::request::ToolChoice;
use crate::llm::schema;
use crate::llm::wire::{Ask, Decoder, Dialect, ProviderConfig, call_id, tool_out};

/// Chat Completions of one endpoint.
#[derive(Debug)]
pub(in crate::llm) struct Chat {
    endpoint: EndpointCaps,
    organization: Option<String>,
    project: Option<String>,
}

impl Chat {
    pub(in crate::llm) fn new(config: &ProviderConfig, endpoint: EndpointCaps) -> Self {
        Chat { endpoint, organization: config.organization.clone(), project: config.project.clone() }
    }

    fn messages(&self, ask: &Ask<'_>) -> Result<Vec<Value>> {
        let request = ask.request;
        let mut out = Vec::new();
        let prompted = request.output_schema.as_ref().filter(|_| !self.endpoint.json_schema);
        let text = instructions(request, prompted)?;
        if !text.is_empty() {
            let role = if self.endpoint.developer_role { "developer" } else { "system" };
            out.push(json!({ "role": role, "content": text }));
        }
        for message in &request.messages {
            self.message(message, &mut out)?;
        }
        Ok(out)
    }

    fn message(&self, message: &Message, out: &mut Vec<Value>) -> Result<()> {
        for part in &message.parts {
            if let PartBody::ToolResult { id, output, is_error, .. } = &part.body {
                let content = result_text(output, *is_error);
                out.push(json!({ "role": "tool", "tool_call_id": call_id(id), "content": content }));
            }
        }
        let text = joined(&message.parts)?;
        let mut calls = Vec::new();
        for part in &message.parts {
            if let PartBody::ToolCall { id, name, args } = &part.body {
                let function = json!({ "name": tool_out(name), "arguments": args_text(args) });
                calls.push(json!({ "id": call_id(id), "type": "function", "function": function }));
            }
        }
        match message.role {
            Role::Assistant if text.is_empty() && calls.is_empty() => {}
            Role::Assistant => {
                let content = if text.is_empty() { Value::Null } else { text.into() };
                let mut spoken = json!({ "role": "assistant", "content": content });
                if let (false, Some(map)) = (calls.is_empty(), spoken.as_object_mut()) {
                    map.insert("tool_calls".into(), calls.into());
                }
                out.push(spoken);
            }
            Role::System if self.endpoint.developer_role => {
                out.push(json!({ "role": "developer", "content": text }));
            }
            Role::System => out.push(json!({ "role": "system", "content": text })),
            Role::Tool | Role::User if text.is_empty() && message.parts.iter().all(is_result) => {}
            Role::Tool | Role::User => out.push(json!({ "role": "user", "content": text })),
        }
        Ok(())
    }

    fn tools(&self, ask: &mut Ask<'_>, body: &mut Map<String, Value>) {
        let request = ask.request;
        if request.tools.is_empty() {
            return;
        }
        let tools = request.tools.iter().map(|tool| {
            let function = json!({
                "name": tool_out(&tool.name), "description": tool.doc, "parameters": tool.input_schema,
            });
            json!({ "type": "function", "function": function })
        });
        body.insert("tools".into(), tools.collect());
        let choice = match &request.tool_choice {
            ToolChoice::Auto => return,
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Named(name) => json!({ "type": "function", "function": { "name": tool_out(name) } }),
        };
        let is_forced = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
        if is_forced && self.endpoint.tool_choice && !ask.may_force() {
            return;
        }
        if self.endpoint.tool_choice {
            body.insert("tool_choice".into(), choice);
        } else if request.tool_choice == ToolChoice::None {
            // The same effect, where the word is not known.
            body.remove("tools");
        } else {
            ask.dropped("tool_choice", "this endpoint is not known to take it");
        }
    }
}

impl Dialect for Chat {
    fn path(&self) -> &'static str {
        "/chat/completions"
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        payer(self.organization.as_deref(), self.project.as_deref())
    }

    fn encode(&self, ask: &mut Ask<'_>) -> Result<Value> {
        let endpoint = &self.endpoint;
        let request = ask.request;
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("model", Some(ask.model.into()));
        set("messages", Some(self.messages(ask)?.into()));
        set("stream", Some(true.into()));
        let mut stream = json!({ "include_usage": true });
        if let (true, Some(map)) = (endpoint.obfuscation, stream.as_object_mut()) {
            map.insert("include_obfuscation".into(), false.into());
        }
        set("stream_options", endpoint.stream_usage.then_some(stream));
        let limit = if endpoint.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        set(limit, request.max_output_tokens.map(Value::from));
        let (temperature, top_p) = ask.sampling();
        set("temperature", temperature.map(Value::from));
        set("top_p", top_p.map(Value::from));
        set("stop", (!request.stop.is_empty()).then(|| json!(request.stop)));
        // A wish by its nature: models that cannot repeat themselves are not sent one.
        set("seed", request.seed.filter(|_| ask.caps.seeded).map(Value::from));
        if let Some(reasoning) = request.reasoning {
            if endpoint.reasoning_effort && ask.caps.reasoning {
                set("reasoning_effort", Some(effort(reasoning).into()));
            } else {
                ask.dropped("reasoning", "this model is not known to take it");
            }
        }
        if let (Some(wanted), true) = (&request.output_schema, endpoint.json_schema) {
            let mut format = json!({ "name": ANSWER, "schema": schema::lower(wanted)? });
            if let (true, Some(map)) = (endpoint.strict, format.as_object_mut()) {
                map.insert("strict".into(), true.into());
            }
            set("response_format", Some(json!({ "type": "json_schema", "json_schema": format })));
        }
        self.tools(ask, &mut body);
        Ok(Value::Object(body))
    }

    fn decoder(&self, _: &Ask<'_>) -> Box<dyn Decoder> {
        Box::new(ChatReader::new(self.endpoint.done_marker))
    }
}
