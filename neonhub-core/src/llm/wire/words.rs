//! Parts of a message as text.

use serde_json::Value;

use crate::llm::ModelCaps;
use crate::llm::part::{Part, PartBody};
use crate::prompt::fenced;
use crate::{Error, ErrorKind, Result};

/// Whether the adapters send image parts. None does yet, whatever its models see; [`said`] refuses them.
const SENDS_IMAGES: bool = false;
/// Whether the adapters send document parts.
const SENDS_DOCUMENTS: bool = false;

/// The words of a text part; those of others stand between marks that name their source.
///
/// # Errors
/// `Unsupported` for pictures and documents.
pub(in crate::llm) fn said(part: &Part) -> Result<Option<String>> {
    match &part.body {
        PartBody::Text { text } => Ok(Some(fenced(text, part.taint, part.source.as_ref()))),
        PartBody::Image { .. } => Err(unsupported("a picture", "images_in")),
        PartBody::Document { .. } => Err(unsupported("a document", "documents_in")),
        _ => Ok(None),
    }
}

/// What a tool returned, as text: text stays as it is, anything else is JSON.
pub(in crate::llm) fn shown(output: &Value) -> String {
    match output {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The schema of an answer as an instruction, for servers that take it nowhere else.
pub(in crate::llm) fn schema_words(schema: &Value) -> String {
    format!(
        "Answer with one JSON value and nothing around it: no words, no code fence. It must fit this JSON \
         Schema:\n{schema}"
    )
}

/// What is known of a model, less what no adapter sends yet: the router skips it for such parts instead of failing at it.
pub(in crate::llm) fn sendable(caps: ModelCaps) -> ModelCaps {
    ModelCaps {
        images_in: caps.images_in && SENDS_IMAGES,
        documents_in: caps.documents_in && SENDS_DOCUMENTS,
        ..caps
    }
}

fn unsupported(what: &str, capability: &'static str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "llm.call",
        format!("this provider's adapter cannot send {what}: send its text"),
    )
    .with_context("capability", capability)
}
