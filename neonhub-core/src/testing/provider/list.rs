//! What the mock tells of itself: its models, and how many tokens a request would have.

use serde_json::{Value, json};

use super::server::Reaction;
use super::{Seen, Speech};
use crate::llm::TokenCount;

/// Names that the mock lists, and when the provider shuts them down. Any other name but one is a model as well.
const MODELS: [(&str, Option<&str>); 2] = [("test-model", None), ("old-model", Some("2026-12-11"))];
/// Seconds since 1970.
const CREATED: u64 = 1_790_000_000;

/// The answer to a request for the models or for a count; `None` for any other request.
pub(super) fn answer(seen: &Seen) -> Option<Reaction> {
    match (seen.method.as_str(), seen.route()) {
        ("GET", "/v1/models") => {
            let rows: Vec<Value> = MODELS.iter().map(|(name, end)| openai(name, *end)).collect();
            Some(Speech::Chat.json(200, &json!({ "object": "list", "data": rows })))
        }
        ("GET", "/api/tags") => {
            let rows: Vec<Value> = MODELS.iter().map(|(name, _)| ollama(name)).collect();
            Some(Speech::Ollama.json(200, &json!({ "models": rows })))
        }
        ("POST", "/v1/messages/count_tokens") => {
            let tokens = TokenCount::of_text(&seen.body.to_string());
            Some(Speech::Messages.json(200, &json!({ "input_tokens": tokens })))
        }
        _ => None,
    }
}

fn openai(name: &str, end: Option<&str>) -> Value {
    json!({ "id": name, "object": "model", "created": CREATED, "owned_by": "neonhub", "shutdown_date": end })
}

fn ollama(name: &str) -> Value {
    json!({
        "name": name, "model": name, "modified_at": "2026-11-20T10:00:00Z", "size": 2_000_000_000_u64,
        "digest": "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
        "details": {
            "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
            "parameter_size": "3.2B", "quantization_level": "Q4_K_M",
        },
    })
}
