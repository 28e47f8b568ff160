//! OpenAI's two wire formats. Chat Completions is also what most other servers speak.

mod chat;
mod chat_read;
mod responses;
mod responses_read;
mod usage;

pub(super) use chat::Chat;
pub(super) use responses::Responses;

use serde_json::{Value, json};

use super::part::{Part, PartBody};
use super::request::{LlmRequest, Reasoning};
use super::wire::shown;
use crate::Result;

/// The name that the schema of an answer goes by.
const ANSWER: &str = "answer";

/// Headers that say who pays.
fn payer(organization: Option<&str>, project: Option<&str>) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    out.extend(organization.map(|id| ("openai-organization", id.to_owned())));
    out.extend(project.map(|id| ("openai-project", id.to_owned())));
    out
}

/// The words of several parts, with an empty line between them.
fn joined(parts: &[Part]) -> Result<String> {
    let mut out = Vec::new();
    for part in parts {
        out.extend(super::wire::said(part)?);
    }
    Ok(out.join("\n\n"))
}

/// What a tool returned; a failed one says so, as these formats have no field for it.
fn result_text(output: &Value, is_error: bool) -> String {
    if is_error { json!({ "error": output }).to_string() } else { shown(output) }
}

/// Instructions; with the schema among them when the server takes it nowhere else.
fn instructions(request: &LlmRequest, schema: Option<&Value>) -> Result<String> {
    let mut out = joined(&request.system)?;
    if let Some(schema) = schema {
        if !out.is_empty() {
            out.push_str("\n\n");
        }
        out.push_str(&super::wire::schema_words(schema));
    }
    Ok(out)
}

/// OpenAI's word for how much to think.
fn effort(reasoning: Reasoning) -> &'static str {
    match reasoning {
        Reasoning::None => "none",
        Reasoning::Low => "low",
        Reasoning::Medium => "medium",
        Reasoning::High => "high",
        Reasoning::Max => "max",
    }
}

/// Arguments as these formats carry them: JSON text. Text that was no JSON goes back as it came.
fn args_text(args: &Value) -> String {
    shown(args)
}

/// The calls and results among parts.
fn is_result(part: &Part) -> bool {
    matches!(part.body, PartBody::ToolResult { .. })
}
