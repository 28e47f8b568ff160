//! Vectors from the mock: a bag of hashed words, so that texts that share words lie near each other.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Reaction, Seen, Speech};
use crate::llm::TokenCount;

/// Numbers of a vector when the request wants no other length.
pub(super) const DIMS: usize = 64;

/// The answer to a request for vectors; `None` for any other request.
pub(super) fn answer(seen: &Seen) -> Option<Reaction> {
    let speech = match seen.route() {
        "/v1/embeddings" => Speech::Chat,
        "/api/embed" => Speech::Ollama,
        _ => return None,
    };
    let body = &seen.body;
    let texts = inputs(body.get("input")?);
    let wanted = body.get("dimensions").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, wanted.unwrap_or(DIMS))).collect();
    let tokens: u64 = texts.iter().map(|text| TokenCount::of_text(text)).sum();
    let model = body.get("model").cloned().unwrap_or_default();
    let is_packed = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    if speech == Speech::Ollama {
        let answer = json!({ "model": model, "embeddings": vectors, "prompt_eval_count": tokens });
        return Some(speech.json(200, &answer));
    }
    let rows = vectors.iter().enumerate().map(|(index, vector)| {
        let numbers = if is_packed { packed(vector).into() } else { json!(vector) };
        json!({ "object": "embedding", "index": index, "embedding": numbers })
    });
    let rows: Vec<Value> = rows.collect();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    Some(speech.json(200, &json!({ "object": "list", "model": model, "data": rows, "usage": usage })))
}

/// What is to be embedded, text by text; of tokens the text of their numbers.
fn inputs(input: &Value) -> Vec<String> {
    let tokens = |numbers: &[Value]| numbers.iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
    match input {
        Value::String(text) => vec![text.clone()],
        Value::Array(numbers) if numbers.first().is_some_and(Value::is_number) => vec![tokens(numbers)],
        Value::Array(items) => {
            let each = |item: &Value| match item {
                Value::String(text) => text.clone(),
                Value::Array(numbers) => tokens(numbers),
                other => other.to_string(),
            };
            items.iter().map(each).collect()
        }
        _ => Vec::new(),
    }
}

/// Of length 1, unless the text holds no word.
fn vector(text: &str, dims: usize) -> Vec<f32> {
    let mut out = vec![0.0_f32; dims];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let hash = Sha256::digest(word.to_lowercase());
        let slot = hash.iter().take(4).fold(0_usize, |slot, byte| slot << 8 | usize::from(*byte));
        if let Some(number) = out.get_mut(slot % dims.max(1)) {
            *number += 1.0;
        }
    }
    let length = out.iter().map(|number| number * number).sum::<f32>().sqrt();
    out.iter().map(|number| if length > 0.0 { number / length } else { 0.0 }).collect()
}

fn packed(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}
