//! Our answers and refusals as the protocol has them.

use std::collections::BTreeMap;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolResponse, CallToolResult, ContentBlock, ElicitRequest, ElicitRequestParams, InputRequest,
    InputRequiredResult, ProtocolVersion, Tool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};

use crate::run::EffectClass;
use crate::tool::{ToolAnswer, ToolInfo};
use crate::{Error, ErrorKind};

/// What a person is asked for, among the inputs of a call.
pub(super) const APPROVAL: &str = "approval";

/// A tool of ours, as callers are told of it.
///
/// The schema of its answer is left out: a long answer is kept aside, and what is given instead would not fit it.
pub(super) fn tool(info: ToolInfo) -> Tool {
    let input = if let Value::Object(input) = info.input_schema { input } else { serde_json::Map::new() };
    let is_read = matches!(info.effect, EffectClass::Pure | EffectClass::Read);
    let acts = !info.effect.is_ours();
    let hints = ToolAnnotations::new()
        .read_only(is_read)
        .destructive(acts)
        .idempotent(info.effect == EffectClass::Idempotent)
        .open_world(acts);
    Tool::new(info.name, info.doc, input).with_annotations(hints)
}

/// What a call answered: as text, and as it is when it is an object.
pub(super) fn answered(answer: ToolAnswer) -> Result<CallToolResponse, ErrorData> {
    let value = match (answer.output, answer.spilled) {
        (Some(output), _) => output,
        (None, Some(spilled)) => serde_json::to_value(spilled).map_err(|cause| broken(&cause))?,
        (None, None) => Value::Null,
    };
    let text = if let Value::String(text) = &value { text.clone() } else { value.to_string() };
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value).filter(Value::is_object);
    Ok(result.into())
}

/// A refusal. A model reads it and can mend its call, so all that is known goes with it.
pub(super) fn refused(error: &Error) -> CallToolResponse {
    let mut lines = vec![format!("{}: {}", error.code(), error.message())];
    lines.extend(error.field_faults().iter().map(|fault| format!("{}: {}", fault.field, fault.message)));
    lines.extend(error.context().map(|(key, value)| format!("{key}: {value}")));
    CallToolResult::error(vec![ContentBlock::text(lines.join("\n"))]).into()
}

/// True for a call that there is nothing to route to.
pub(super) fn is_unknown(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && error.code() == "unknown_tool"
}

pub(super) fn unknown(error: &Error) -> ErrorData {
    let context: BTreeMap<&str, &str> = error.context().collect();
    ErrorData::invalid_params(error.message().to_owned(), Some(json!(context)))
}

pub(super) fn broken(cause: &dyn std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(cause.to_string(), None)
}

/// Whether the caller can be asked to wait for a person.
pub(super) fn can_ask(context: &RequestContext<RoleServer>) -> bool {
    let speaks =
        context.protocol_version().is_some_and(|v| v.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
    speaks && context.client_capabilities().is_some_and(|can| can.elicitation.is_some())
}

/// Asks the caller's person to have the call approved, and to say when it was. The yes itself is given in NeonHub by who
/// may give it: what a caller answers here only makes it call again.
pub(super) fn ask(error: &Error) -> Result<CallToolResponse, ErrorData> {
    let id = error.context().find(|(key, _)| *key == APPROVAL).map_or("", |(_, id)| id);
    let schema = json!({
        "type": "object",
        "properties": { "approved": { "type": "boolean", "title": "It has been approved" } },
    });
    let requested_schema = serde_json::from_value(schema).map_err(|cause| broken(&cause))?;
    let message = format!("{}. Approval {id}: have it decided, then go on.", error.message());
    let form = ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema };
    let asked = [(APPROVAL.to_owned(), InputRequest::Elicitation(ElicitRequest::new(form)))].into();
    Ok(InputRequiredResult::new(Some(asked), Some(id.to_owned())).into())
}
