//! The facts of a call.

use serde_json::{Map, Value, json};

use crate::hub::WorkspaceControl;
use crate::op::Entry;
use crate::scope::Principal;
use crate::tool::ToolInfo;
use crate::{Permission, Scope};

/// The facts of a call that is about to be made. `is_tainted` says whether words that its sinks do not accept may stand in
/// it; of other calls that is no fact.
pub(super) fn of_call(
    line: &Entry,
    cx: &Scope,
    control: &WorkspaceControl,
    is_tainted: bool,
    input: Value,
) -> Value {
    let mut facts = of_scope(cx, control);
    let mut put = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    put("operation", line.name.into());
    put("effect", line.effect.word().into());
    put("cost", line.cost.word().into());
    for name in ["channel", "region"] {
        if let Some(word) = input.get(name).and_then(Value::as_str) {
            put(name, word.into());
        }
    }
    put("input", input);
    if !line.sinks.is_empty() {
        put("sinks", line.sinks.iter().map(|sink| sink.word()).collect::<Vec<_>>().into());
    }
    if !line.sinks.is_empty() || is_tainted {
        put("tainted", is_tainted.into());
    }
    Value::Object(facts)
}

/// The facts of an effect that is about to be dispatched: a message on a channel.
pub(super) fn of_effect(
    operation: &'static str,
    channel: &str,
    cx: &Scope,
    control: &WorkspaceControl,
) -> Value {
    let mut facts = of_scope(cx, control);
    facts.insert("operation".into(), operation.into());
    facts.insert("effect".into(), "write".into());
    facts.insert("channel".into(), channel.into());
    Value::Object(facts)
}

/// The facts of a call of a tool that is no operation. `is_tainted` is a fact only where it holds.
pub(super) fn of_tool(
    tool: &ToolInfo,
    cx: &Scope,
    control: &WorkspaceControl,
    is_tainted: bool,
    args: Value,
) -> Value {
    let mut facts = of_scope(cx, control);
    facts.insert("operation".into(), tool.name.as_str().into());
    facts.insert("effect".into(), tool.effect.word().into());
    facts.insert("input".into(), args);
    if !tool.sinks.is_empty() {
        facts.insert("sinks".into(), tool.sinks.iter().map(|sink| sink.word()).collect::<Vec<_>>().into());
    }
    if !tool.sinks.is_empty() || is_tainted {
        facts.insert("tainted".into(), is_tainted.into());
    }
    Value::Object(facts)
}

fn of_scope(cx: &Scope, control: &WorkspaceControl) -> Map<String, Value> {
    let (kind, id) = match cx.principal() {
        Principal::User { id } => ("user", id),
        Principal::ApiKey { id, .. } => ("api_key", id),
        Principal::Agent { name, .. } => ("agent", name),
        Principal::System { job } => ("system", job),
    };
    let mut principal = json!({ "kind": kind, "id": id });
    let mut facts = Map::new();
    if let Principal::Agent { name, acts_for, .. } = cx.principal() {
        facts.insert("agent".into(), name.as_str().into());
        if let Some(map) = principal.as_object_mut() {
            map.insert("acts_for".into(), acts_for.as_str().into());
        }
    }
    let words = cx.permission_words();
    let permissions: Vec<&str> = words.iter().map(Permission::word).collect();
    facts.insert("now".into(), cx.now().as_millis().into());
    facts.insert("principal".into(), principal);
    facts.insert("roles".into(), json!(cx.roles()));
    facts.insert("permissions".into(), json!(permissions));
    facts.insert("workspace".into(), json!({ "id": cx.workspace().as_str(), "mode": control.mode }));
    facts
}

/// What may be kept of facts: numbers, flags, amounts, instants and plain words. Texts, addresses and numbers to
/// call are left out, so that a kept decision holds nothing of a person.
pub(super) fn without_personal(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) => Some(value.clone()),
        Value::String(text) => is_plain(text).then(|| value.clone()),
        Value::Array(items) if items.len() <= 50 => {
            Some(items.iter().filter_map(without_personal).collect::<Vec<_>>().into())
        }
        Value::Array(_) => None,
        Value::Object(map) if map.len() <= 50 => {
            let kept = map.iter().filter_map(|(k, v)| Some((k.clone(), without_personal(v)?)));
            Some(Value::Object(kept.filter(|(k, _)| is_plain(k)).collect()))
        }
        Value::Object(_) => None,
    }
}

/// A word of a program: an id, an enum, an instant. Long runs of digits may be telephone numbers.
fn is_plain(text: &str) -> bool {
    let is_shaped = text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-|*".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphabetic());
    let digits = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    // Ids of ours are 26 characters after a prefix; digits among them are never many in a row by more than chance.
    is_shaped && (digits < 7 || text.contains('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_texts_are_left_out() {
        let facts = json!({
            "operation": "people.resolve", "n": 5, "channel": "email",
            "input": { "email": "ada@shop.example", "phone": "+43 660 5550100", "digits": "436605550100",
                "text": "Dear Ada, hello", "id": "per_01kaf3w0000000000000000000", "ok": true },
        });
        let kept = without_personal(&facts).unwrap();
        assert_eq!(kept["input"], json!({ "id": "per_01kaf3w0000000000000000000", "ok": true }),);
        assert_eq!(kept["operation"], "people.resolve");
    }
}
