//! Pictures and verdicts from the mock: the same request gets the same answer.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::render::MISSING;
use super::{Reaction, Seen, Speech};
use crate::llm::TokenCount;

/// A picture of one pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// Tokens of one picture.
const TOKENS: u64 = 100;
/// Categories of verdicts. OpenAI API specification 2.3.0, 2026.
const CATEGORIES: &[&str] = &[
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// The answer to a request for pictures or verdicts; `None` for any other request.
pub(super) fn answer(seen: &Seen) -> Option<Reaction> {
    let model = seen.body.get("model").and_then(Value::as_str);
    let is_missing = model == Some(MISSING);
    match seen.path.as_str() {
        "/v1/images/generations" | "/v1/images/edits" | "/v1/moderations" if is_missing => {
            let message = format!("the model `{MISSING}` does not exist");
            let body = Speech::Chat.error("not_found_error", Some("model_not_found"), &message);
            Some(Reaction::json(404, &body))
        }
        "/v1/images/generations" | "/v1/images/edits" => Some(pictures(seen)),
        "/v1/moderations" => Some(verdicts(&seen.body)),
        _ => None,
    }
}

fn refused(parameter: &str, message: &str) -> Reaction {
    let mut body = Speech::Chat.error("invalid_request_error", Some("invalid_value"), message);
    if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
        error.insert("param".into(), parameter.into());
    }
    Reaction::json(400, &body)
}

fn pictures(seen: &Seen) -> Reaction {
    let body = &seen.body;
    let word = |name: &str| body.get(name).and_then(Value::as_str);
    let Some(prompt) = word("prompt").filter(|prompt| !prompt.is_empty()) else {
        return refused("prompt", "Missing required parameter: 'prompt'.");
    };
    // In a form every value is text.
    let n = body.get("n").map_or(Some(1), |n| n.as_u64().or_else(|| n.as_str()?.parse().ok()));
    let Some(n) = n.filter(|n| (1..=10).contains(n)) else {
        return refused("n", "Invalid 'n': expected 1 to 10.");
    };
    if word("model").is_some_and(|model| model.starts_with("gpt-image")) && word("response_format").is_some()
    {
        return refused("response_format", "Unknown parameter: 'response_format'.");
    }
    if seen.path.ends_with("/edits") && body.get("image").or(body.get("image[]")).is_none() {
        return refused("image", "Missing required parameter: 'image'.");
    }
    let pixel = BASE64_STANDARD.decode(PNG).unwrap_or_default();
    let row = |i: u64| {
        // Readers stop at the end mark of a PNG; what stands behind it tells pictures apart.
        let mark = Sha256::digest(format!("{prompt}|{i}"));
        let bytes: Vec<u8> = pixel.iter().chain(mark.iter().take(8)).copied().collect();
        json!({ "b64_json": BASE64_STANDARD.encode(bytes) })
    };
    let input = TokenCount::of_text(prompt);
    Reaction::json(
        200,
        &json!({
            "created": 1_790_000_000, "data": (0..n).map(row).collect::<Vec<_>>(),
            "background": "opaque", "output_format": "png",
            "quality": word("quality").unwrap_or("high"), "size": word("size").unwrap_or("1024x1024"),
            "usage": {
                "input_tokens": input, "output_tokens": n * TOKENS, "total_tokens": input + n * TOKENS,
                "input_tokens_details": { "text_tokens": input, "image_tokens": 0 },
            },
        }),
    )
}

/// Finds violence where somebody is to be killed.
fn verdicts(body: &Value) -> Reaction {
    let texts: Vec<String> = match body.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        // Parts are one input together.
        Some(Value::Array(items)) if items.iter().any(Value::is_object) => {
            vec![items.iter().filter_map(|item| item.get("text")?.as_str()).collect::<Vec<_>>().join("\n")]
        }
        Some(Value::Array(items)) => {
            items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    if texts.is_empty() {
        return refused("input", "Missing required parameter: 'input'.");
    }
    let results: Vec<Value> = texts.iter().map(|text| verdict(text)).collect();
    let model = body.get("model").and_then(Value::as_str).unwrap_or("omni-moderation-latest");
    Reaction::json(200, &json!({ "id": "modr-mock", "model": model, "results": results }))
}

fn verdict(text: &str) -> Value {
    let is_found = text.to_lowercase().contains("kill");
    let each = |value: fn(bool) -> Value| {
        let one = |name: &&str| ((*name).to_owned(), value(is_found && *name == "violence"));
        Value::Object(CATEGORIES.iter().map(one).collect::<Map<_, _>>())
    };
    json!({
        "flagged": is_found,
        "categories": each(Value::Bool),
        "category_scores": each(|is| json!(if is { 0.97 } else { 0.000_1 })),
        "category_applied_input_types": each(|_| json!(["text"])),
    })
}
