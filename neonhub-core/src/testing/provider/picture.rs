//! Pictures and verdicts from the mock: the same request gets the same answer.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Reaction, Seen, Speech};
use crate::llm::{CATEGORIES, TokenCount};

/// A picture of one pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// Tokens of one picture.
const TOKENS: u64 = 100;

/// The answer to a request for pictures or verdicts; `None` for any other request.
pub(super) fn answer(seen: &Seen) -> Option<Reaction> {
    match seen.route() {
        "/v1/images/generations" | "/v1/images/edits" => Some(pictures(&seen.body)),
        "/v1/moderations" => Some(verdicts(&seen.body)),
        _ => None,
    }
}

fn pictures(body: &Value) -> Reaction {
    let word = |name: &str| body.get(name).and_then(Value::as_str);
    let prompt = word("prompt").unwrap_or_default();
    // In a form every value is text.
    let n = body.get("n").and_then(|n| n.as_u64().or_else(|| n.as_str()?.parse().ok())).unwrap_or(1);
    let pixel = BASE64_STANDARD.decode(PNG).unwrap_or_default();
    let row = |i: u64| {
        // Readers stop at the end mark of a PNG; what stands behind it tells pictures apart.
        let mark = Sha256::digest(format!("{prompt}|{i}"));
        let bytes: Vec<u8> = pixel.iter().chain(mark.iter().take(8)).copied().collect();
        json!({ "b64_json": BASE64_STANDARD.encode(bytes) })
    };
    let input = TokenCount::of_text(prompt);
    Speech::Chat.json(
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
    let results: Vec<Value> = match body.get("input") {
        // Parts are one input together.
        Some(Value::Array(items)) if items.iter().any(Value::is_object) => {
            let texts: Vec<&str> = items.iter().filter_map(|item| item.get("text")?.as_str()).collect();
            let mut kinds = vec!["text"; usize::from(!texts.is_empty())];
            kinds.extend(items.iter().any(|item| item.get("image_url").is_some()).then_some("image"));
            vec![verdict(&texts.join("\n"), &kinds)]
        }
        Some(Value::Array(items)) => {
            items.iter().filter_map(Value::as_str).map(|text| verdict(text, &["text"])).collect()
        }
        input => vec![verdict(input.and_then(Value::as_str).unwrap_or_default(), &["text"])],
    };
    let model = body.get("model").and_then(Value::as_str).unwrap_or("omni-moderation-latest");
    Speech::Chat.json(200, &json!({ "id": "modr-mock", "model": model, "results": results }))
}

/// The verdict on what is made of these kinds.
fn verdict(text: &str, kinds: &[&str]) -> Value {
    let is_found = text.to_lowercase().contains("kill");
    let each = |value: &dyn Fn(&str) -> Value| {
        let theirs = CATEGORIES.iter().filter(|name| **name != "profanity");
        Value::Object(theirs.map(|name| ((*name).to_owned(), value(name))).collect::<Map<_, _>>())
    };
    let is = |name: &str| is_found && name == "violence";
    json!({
        "flagged": is_found,
        "categories": each(&|name| is(name).into()),
        "category_scores": each(&|name| json!(if is(name) { 0.97 } else { 0.000_1 })),
        "category_applied_input_types": each(&|name| {
            // Pictures are looked at for these only.
            let sees = ["self-harm", "sexual", "violence"].contains(&name.split('/').next().unwrap_or_default());
            let is_used = |kind: &&&str| **kind == "text" || (sees && name != "sexual/minors");
            json!(kinds.iter().filter(is_used).collect::<Vec<_>>())
        }),
    })
}
