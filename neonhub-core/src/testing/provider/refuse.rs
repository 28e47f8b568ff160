//! Requests that providers refuse: the mock refuses them too, so that a test does not pass with what the API rejects.
//!
//! From the OpenAI API specification 2.3.0, the types of the Anthropic SDK 2.12 and Anthropic's notes on version 2026-10-21;
//! that each call of a tool is answered at once is known from use. Servers that only speak a format are more lenient.

use serde_json::{Value, json};

use super::server::Reaction;
use super::{Seen, Speech};

/// The model that nobody has.
const MISSING: &str = "no-such-model";
/// Versions of the Messages API.
const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];
/// Numbers and their bounds, of Chat Completions and Responses.
const BOUNDS: &[(&str, f64, f64)] = &[
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("n", 1.0, 128.0),
    ("frequency_penalty", -2.0, 2.0),
    ("presence_penalty", -2.0, 2.0),
    ("top_logprobs", 0.0, 20.0),
    ("max_output_tokens", 16.0, 1e9),
];
const MISSED: &str = "Missing required parameter.";
/// Most texts of one request for vectors.
const TEXTS: usize = 2_048;

/// What is wrong with a request: the parameter, and a sentence.
struct Wrong(String, String);

type Checked = Result<(), Wrong>;

fn must(holds: bool, parameter: impl Into<String>, message: impl Into<String>) -> Checked {
    if holds { Ok(()) } else { Err(Wrong(parameter.into(), message.into())) }
}

impl Wrong {
    /// As the provider says it.
    fn reaction(&self, speech: Speech) -> Reaction {
        let Wrong(parameter, message) = self;
        let mut body = speech.error("invalid_request_error", None, &format!("{parameter}: {message}"));
        if let (Speech::Chat | Speech::Responses, Some(error)) =
            (speech, body.get_mut("error").and_then(Value::as_object_mut))
        {
            error.insert("param".into(), parameter.as_str().into());
            error.insert("code".into(), "invalid_value".into());
        }
        speech.json(400, &body)
    }
}

/// The answer to a request that the provider refuses: a key that is not the one of the mock, a model that nobody has, or
/// fields that cannot be.
pub(super) fn answer(speech: Speech, seen: &Seen, key: Option<&str>) -> Option<Reaction> {
    if key.is_some_and(|key| !has_key(speech, seen, key)) {
        return Some(speech.failed(401, "the key is not valid"));
    }
    if seen.method == "GET" {
        return None;
    }
    if word(&seen.body, "model") == Some(MISSING) {
        return Some(speech.failed(404, &format!("the model `{MISSING}` does not exist")));
    }
    check(seen).err().map(|wrong| wrong.reaction(speech))
}

fn check(seen: &Seen) -> Checked {
    let body = &seen.body;
    must(body.is_object(), "body", "We could not parse the JSON body of your request.")?;
    match seen.route() {
        "/v1/images/generations" | "/v1/images/edits" => return pictures(seen),
        "/v1/moderations" => return must(filled(body, "input"), "input", MISSED),
        _ => must(filled(body, "model"), "model", MISSED)?,
    }
    match seen.route() {
        "/v1/chat/completions" => chat(body),
        "/v1/responses" => responses(body),
        "/v1/messages" | "/v1/messages/count_tokens" => messages(seen),
        "/v1/embeddings" => embeddings(body),
        _ => Ok(()),
    }
}

fn has_key(speech: Speech, seen: &Seen, key: &str) -> bool {
    let bearer = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    bearer == Some(key) || (speech == Speech::Messages && seen.header("x-api-key") == Some(key))
}

fn items<'v>(body: &'v Value, name: &str) -> &'v [Value] {
    body.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn word<'v>(body: &'v Value, name: &str) -> Option<&'v str> {
    body.get(name).and_then(Value::as_str)
}

/// Whether a text or a list is there and holds something.
fn filled(body: &Value, name: &str) -> bool {
    match body.get(name) {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        _ => false,
    }
}

fn within_bounds(body: &Value) -> Checked {
    for (name, low, high) in BOUNDS {
        let Some(number) = body.get(*name).filter(|value| !value.is_null()) else { continue };
        let fits = number.as_f64().is_some_and(|number| (*low..=*high).contains(&number));
        must(fits, *name, format!("expected {low} to {high}, got {number}"))?;
    }
    must(items(body, "stop").len() <= 4, "stop", "expected a string or up to 4 of them")
}

/// A function as both formats of `OpenAI` describe it, at the place `at`.
fn function(tool: &Value, at: &str) -> Checked {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let name = word(tool, "name").unwrap_or_default();
    must(
        (1..=64).contains(&name.len()) && name.bytes().all(plain),
        at,
        "expected a name of [A-Za-z0-9_-]{1,64}",
    )?;
    strict(tool, "parameters", at)
}

/// A schema that is called strict must be one of the strict subset.
fn strict(holder: &Value, schema: &str, at: &str) -> Checked {
    let is_strict = holder.get("strict").and_then(Value::as_bool) == Some(true);
    let schema = holder.get(schema).unwrap_or(&Value::Null);
    let holds = !is_strict || (word(schema, "type") == Some("object") && is_closed(schema, true));
    must(
        holds,
        at,
        "a strict schema is an object, and its objects say additionalProperties false and require every field",
    )
}

/// Whether every object of a schema takes no other fields and, when asked for, requires all it has.
fn is_closed(schema: &Value, requires_all: bool) -> bool {
    let fields = schema.get("properties").and_then(Value::as_object);
    let is_object = fields.is_some() || word(schema, "type") == Some("object");
    let required = items(schema, "required");
    let holds = !is_object
        || (schema.get("additionalProperties") == Some(&Value::Bool(false))
            && (!requires_all
                || fields.is_none_or(|fields| fields.keys().all(|name| required.contains(&json!(name))))));
    let defined = schema.get("$defs").and_then(Value::as_object);
    let inner = fields.into_iter().chain(defined).flat_map(|fields| fields.values());
    holds
        && inner
            .chain(items(schema, "anyOf"))
            .chain(schema.get("items"))
            .all(|schema| is_closed(schema, requires_all))
}

fn chat(body: &Value) -> Checked {
    must(filled(body, "messages"), "messages", "expected an array of one message or more")?;
    within_bounds(body)?;
    for tool in items(body, "tools") {
        function(tool.get("function").unwrap_or(&Value::Null), "tools[].function")?;
    }
    if let Some(schema) = body.pointer("/response_format/json_schema") {
        must(filled(schema, "name"), "response_format.json_schema.name", MISSED)?;
        strict(schema, "schema", "response_format.json_schema.schema")?;
    }
    let mut open: Vec<&str> = Vec::new();
    for message in items(body, "messages") {
        let role = word(message, "role").unwrap_or_default();
        let is_known = ["developer", "system", "user", "assistant", "tool", "function"].contains(&role);
        must(is_known, "messages[].role", format!("nobody has the role `{role}`"))?;
        if role == "tool" {
            let id = word(message, "tool_call_id").unwrap_or_default();
            let at = open.iter().position(|open| *open == id);
            must(
                at.is_some(),
                "messages",
                "a `tool` message must answer a preceding message with `tool_calls`",
            )?;
            open.remove(at.unwrap_or_default());
            continue;
        }
        must(
            open.is_empty(),
            "messages",
            "`tool_calls` must be followed by a `tool` message for each of them",
        )?;
        open = items(message, "tool_calls").iter().filter_map(|call| word(call, "id")).collect();
    }
    must(open.is_empty(), "messages", "`tool_calls` must be followed by a `tool` message for each of them")
}

fn responses(body: &Value) -> Checked {
    must(filled(body, "input"), "input", MISSED)?;
    within_bounds(body)?;
    for tool in items(body, "tools").iter().filter(|tool| word(tool, "type") == Some("function")) {
        function(tool, "tools[]")?;
    }
    if let Some(format) = body.pointer("/text/format").filter(|f| word(f, "type") == Some("json_schema")) {
        must(filled(format, "name"), "text.format.name", MISSED)?;
        strict(format, "schema", "text.format.schema")?;
    }
    let of = |kind: &'static str| {
        let items = items(body, "input").iter().filter(move |item| word(item, "type") == Some(kind));
        items.map(|item| word(item, "call_id").unwrap_or_default())
    };
    let is_whole = ["previous_response_id", "conversation"].iter().all(|name| word(body, name).is_none());
    for id in of("function_call_output") {
        must((1..=64).contains(&id.len()), "input[].call_id", "expected 1 to 64 characters")?;
        must(
            !is_whole || of("function_call").any(|call| call == id),
            "input",
            format!("no tool call found for function call output with call_id {id}"),
        )?;
    }
    Ok(())
}

fn embeddings(body: &Value) -> Checked {
    let texts = items(body, "input");
    must(filled(body, "input"), "input", "expected a text, or a list of one text or more")?;
    must(texts.len() <= TEXTS || texts.iter().all(Value::is_number), "input", "too many texts")?;
    must(!texts.contains(&json!("")), "input", "expected no empty text")?;
    let packing = word(body, "encoding_format").unwrap_or("float");
    must(["float", "base64"].contains(&packing), "encoding_format", "expected float or base64")?;
    let is_fixed = word(body, "model") == Some("text-embedding-ada-002") && body.get("dimensions").is_some();
    must(!is_fixed, "dimensions", "this model does not take it")
}

fn pictures(seen: &Seen) -> Checked {
    let body = &seen.body;
    must(filled(body, "prompt"), "prompt", MISSED)?;
    // In a form every value is text.
    let n = body.get("n").map_or(Some(1), |n| n.as_u64().or_else(|| n.as_str()?.parse().ok()));
    must(n.is_some_and(|n| (1..=10).contains(&n)), "n", "expected 1 to 10")?;
    let is_gpt = word(body, "model").is_some_and(|model| model.starts_with("gpt-image"));
    must(!is_gpt || body.get("response_format").is_none(), "response_format", "Unknown parameter.")?;
    let is_edit = seen.route().ends_with("/edits");
    let has_image = body.get("image").or(body.get("image[]")).is_some();
    must(!is_edit || has_image, "image", MISSED)
}

/// A message's blocks; those of neighbours with the same role stand together.
fn turns(body: &Value) -> Vec<(&str, Vec<Value>)> {
    let mut out: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in items(body, "messages") {
        let role = word(message, "role").unwrap_or_default();
        let blocks = match message.get("content") {
            Some(Value::Array(blocks)) => blocks.clone(),
            Some(text) => vec![json!({ "type": "text", "text": text })],
            None => Vec::new(),
        };
        match out.last_mut() {
            Some((last, merged)) if *last == role => merged.extend(blocks),
            _ => out.push((role, blocks)),
        }
    }
    out
}

fn messages(seen: &Seen) -> Checked {
    let body = &seen.body;
    let version = seen.header("anthropic-version").unwrap_or_default();
    must(VERSIONS.contains(&version), "anthropic-version", format!("`{version}` is not a version"))?;
    must(filled(body, "messages"), "messages", "at least one message is required")?;
    let has_limit = seen.route() != "/v1/messages" || body.get("max_tokens").is_some_and(Value::is_u64);
    must(has_limit, "max_tokens", MISSED)?;
    if version != "2023-06-01" {
        for name in ["temperature", "top_p", "top_k"] {
            must(body.get(name).is_none(), name, "not taken since 2026-10-21")?;
        }
    }
    if let Some(schema) = body.pointer("/output_config/format/schema") {
        must(
            is_closed(schema, false),
            "output_config.format.schema",
            "objects say additionalProperties false",
        )?;
    }
    let mut open: Vec<String> = Vec::new();
    for (role, blocks) in turns(body) {
        let is_known = ["user", "assistant", "system"].contains(&role);
        must(is_known, "messages", format!("nobody has the role `{role}`"))?;
        if version != "2023-06-01" {
            for block in &blocks {
                let is_document = word(block, "type") == Some("document") && role == "assistant";
                must(!is_document, "messages", "no document in a message of the assistant")?;
                let is_cited = role == "user" && !items(block, "citations").is_empty();
                must(!is_cited, "messages", "no citations in a message of the user")?;
            }
        }
        results_first(&blocks, &open)?;
        open = of_kind(&blocks, "tool_use", "id");
    }
    must(open.is_empty(), "messages", "`tool_use` must be followed by a `tool_result` at once")
}

fn of_kind(blocks: &[Value], kind: &str, id: &str) -> Vec<String> {
    let of = blocks.iter().filter(|block| word(block, "type") == Some(kind));
    of.map(|block| word(block, id).unwrap_or_default().to_owned()).collect()
}

/// The results of the calls before, each once, before anything else.
fn results_first(blocks: &[Value], open: &[String]) -> Checked {
    let mut results = of_kind(blocks, "tool_result", "tool_use_id");
    let first = blocks.iter().take_while(|block| word(block, "type") == Some("tool_result")).count();
    must(first == results.len(), "messages", "`tool_result` blocks come first")?;
    let mut open = open.to_vec();
    results.sort();
    open.sort();
    must(
        results == open,
        "messages",
        "each `tool_use` needs one `tool_result` in the next message, and only it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameter that is wrong.
    fn wrong(path: &str, version: &str, body: Value) -> Option<String> {
        let headers = vec![("anthropic-version".to_owned(), version.to_owned())];
        let seen = Seen { method: "POST".into(), path: path.into(), headers, body };
        check(&seen).err().map(|Wrong(parameter, _)| parameter)
    }

    fn with(base: &Value, more: Value) -> Value {
        let mut out = base.clone();
        if let (Some(out), Value::Object(more)) = (out.as_object_mut(), more) {
            out.extend(more);
        }
        out
    }

    #[test]
    fn what_openai_refuses_is_named() {
        let say = |messages: Value| json!({ "model": "m", "messages": messages });
        let (chat, asked) = ("/v1/chat/completions", json!({ "role": "user", "content": "hi" }));
        let call = json!({ "role": "assistant", "tool_calls": [{ "id": "a" }, { "id": "b" }] });
        let result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "" });
        let open = json!({ "type": "object", "properties": { "a": { "type": "object", "properties": {} } },
            "required": ["a"], "additionalProperties": false });
        let tool = |strict: bool| {
            let function = json!({ "name": "f", "parameters": open, "strict": strict });
            with(&say(json!([asked])), json!({ "tools": [{ "type": "function", "function": function }] }))
        };
        let output = json!({ "model": "m", "input": [{ "type": "function_call_output", "call_id": "a" }] });
        let (known, many) = (json!({ "previous_response_id": "r" }), vec!["x"; TEXTS + 1]);
        for (path, body, parameter) in [
            (chat, say(json!([asked])), None),
            (chat, json!({ "messages": [asked] }), Some("model")),
            (chat, say(json!([])), Some("messages")),
            (chat, say(json!([asked, call, result("b"), result("a"), asked])), None),
            (chat, say(json!([asked, call, result("b"), asked])), Some("messages")),
            (chat, say(json!([asked, call, result("a"), result("a")])), Some("messages")),
            (chat, with(&say(json!([asked])), json!({ "n": 0 })), Some("n")),
            (chat, tool(false), None),
            (chat, tool(true), Some("tools[].function")),
            ("/v1/responses", output.clone(), Some("input")),
            ("/v1/responses", with(&output, known), None),
            ("/v1/embeddings", json!({ "model": "m", "input": [1, 2] }), None),
            ("/v1/embeddings", json!({ "model": "m", "input": many }), Some("input")),
            (
                "/v1/embeddings",
                json!({ "model": "text-embedding-ada-002", "input": "x", "dimensions": 8 }),
                Some("dimensions"),
            ),
        ] {
            assert_eq!(wrong(path, "", body.clone()).as_deref(), parameter, "{body}");
        }
    }

    #[test]
    fn what_anthropic_refuses_hangs_on_the_version() {
        let (old, new) = (VERSIONS[0], VERSIONS[1]);
        let ask = |content: Value| json!({ "model": "m", "max_tokens": 8, "messages": [{ "role": "user", "content": content }] });
        let cited = ask(json!([{ "type": "text", "text": "x", "citations": [{ "type": "page_location" }] }]));
        let warm = with(&ask(json!("hi")), json!({ "temperature": 1.0 }));
        let open = json!({ "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } } });
        let open = with(&ask(json!("hi")), open);
        for (version, body, parameter) in [
            (old, ask(json!("hi")), None),
            ("", ask(json!("hi")), Some("anthropic-version")),
            (old, cited.clone(), None),
            (new, cited, Some("messages")),
            (old, warm.clone(), None),
            (new, warm, Some("temperature")),
            (new, open, Some("output_config.format.schema")),
            (
                new,
                json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] }),
                Some("max_tokens"),
            ),
        ] {
            assert_eq!(
                wrong("/v1/messages?beta=true", version, body.clone()).as_deref(),
                parameter,
                "{body}"
            );
        }
    }
}
