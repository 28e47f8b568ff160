//! Whether what one intent gives out fits where another takes it in, by their schemas.

use std::collections::BTreeSet;

use serde_json::Value;

/// How deep references between schemas are followed.
const MAX_DEPTH: usize = 16;

/// What is known of the value at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is one of these JSON types.
    Types(BTreeSet<String>),
    /// Anything.
    Any,
    /// There is no such place.
    Missing,
}

/// What a schema says of the value at a path.
pub(super) fn at(root: &Value, path: &[String]) -> Known {
    let mut found: Vec<&Value> = Vec::new();
    let mut is_open = false;
    descend(root, root, path, 0, &mut found, &mut is_open);
    if is_open {
        return Known::Any;
    }
    if found.is_empty() {
        return Known::Missing;
    }
    let mut types = BTreeSet::new();
    for schema in found {
        if !types_of(root, schema, 0, &mut types) {
            return Known::Any;
        }
    }
    Known::Types(types)
}

/// True when a value of the one may be a value of the other.
pub(super) fn fits(given: &Known, taken: &Known) -> bool {
    match (given, taken) {
        (Known::Types(given), Known::Types(taken)) => given.iter().any(|word| {
            taken.contains(word)
                || word == "integer" && taken.contains("number")
                || word == "number" && taken.contains("integer")
        }),
        (Known::Missing, _) | (_, Known::Missing) => false,
        _ => true,
    }
}

/// The types as words.
pub(super) fn words(known: &Known) -> String {
    match known {
        Known::Types(types) => types.iter().cloned().collect::<Vec<_>>().join(" or "),
        Known::Any => "anything".to_owned(),
        Known::Missing => "nothing".to_owned(),
    }
}

fn alternatives<'s>(root: &'s Value, schema: &'s Value) -> Option<Vec<&'s Value>> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return Some(reference.strip_prefix('#').and_then(|p| root.pointer(p)).into_iter().collect());
    }
    let many = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key).and_then(Value::as_array))?;
    Some(many.iter().collect())
}

fn descend<'s>(
    root: &'s Value,
    schema: &'s Value,
    path: &[String],
    depth: usize,
    found: &mut Vec<&'s Value>,
    is_open: &mut bool,
) {
    if depth > MAX_DEPTH || !schema.is_object() || schema.get("allOf").is_some() {
        // What is not understood is not refused.
        *is_open |= schema != &Value::Bool(false);
        return;
    }
    let Some((key, rest)) = path.split_first() else { return found.push(schema) };
    let own = schema.get("properties").and_then(|properties| properties.get(key));
    if let Some(property) = own {
        return descend(root, property, rest, depth + 1, found, is_open);
    }
    if let Some(many) = alternatives(root, schema) {
        for one in many {
            descend(root, one, path, depth + 1, found, is_open);
        }
        return;
    }
    if key.parse::<usize>().is_ok()
        && let Some(items) = schema.get("items")
    {
        return descend(root, items, rest, depth + 1, found, is_open);
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(any)) if *any => {
            *is_open = true;
            return;
        }
        Some(Value::Bool(_)) => {}
        Some(more) => return descend(root, more, rest, depth + 1, found, is_open),
        None => {}
    }
    // A schema that says nothing of what it holds holds anything.
    *is_open |= schema.get("properties").is_none() && schema.get("items").is_none() && may_hold(schema);
}

fn may_hold(schema: &Value) -> bool {
    match schema.get("type") {
        None => schema.get("enum").is_none() && schema.get("const").is_none(),
        Some(Value::String(word)) => word == "object" || word == "array",
        Some(Value::Array(words)) => words.iter().any(|w| w == "object" || w == "array"),
        Some(_) => false,
    }
}

/// Adds the types of a schema; false when it may be anything.
fn types_of(root: &Value, schema: &Value, depth: usize, types: &mut BTreeSet<String>) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match schema.get("type") {
        Some(Value::String(word)) => {
            types.insert(word.clone());
            return true;
        }
        Some(Value::Array(words)) => {
            types.extend(words.iter().filter_map(Value::as_str).map(str::to_owned));
            return true;
        }
        _ => {}
    }
    if let Some(many) = alternatives(root, schema) {
        return many.iter().all(|one| types_of(root, one, depth + 1, types));
    }
    let values: Option<Vec<&Value>> =
        match (schema.get("enum").and_then(Value::as_array), schema.get("const")) {
            (Some(all), _) => Some(all.iter().collect()),
            (None, Some(one)) => Some(vec![one]),
            (None, None) => None,
        };
    let Some(values) = values else { return false };
    types.extend(values.into_iter().map(|value| word_of(value).to_owned()));
    true
}

fn word_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known(schema: &Value, path: &str) -> Known {
        let path: Vec<String> = path.split('.').filter(|p| !p.is_empty()).map(str::to_owned).collect();
        at(schema, &path)
    }

    #[test]
    fn a_path_is_followed_through_lists_references_and_choices() {
        let schema = json!({
            "type": "object",
            "properties": {
                "items": { "type": "array", "items": { "$ref": "#/$defs/item" } },
                "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                "free": { "type": "object" },
                "map": { "type": "object", "additionalProperties": { "type": "integer" } },
                "kind": { "enum": ["a", "b"] }
            },
            "$defs": { "item": { "type": "object", "properties": { "n": { "type": "integer" } } } }
        });
        assert_eq!(words(&known(&schema, "items.0.n")), "integer");
        assert_eq!(words(&known(&schema, "note")), "null or string");
        assert_eq!(words(&known(&schema, "kind")), "string");
        assert_eq!(words(&known(&schema, "map.any")), "integer");
        assert_eq!(known(&schema, "free.x.y"), Known::Any);
        for gone in ["item", "items.0.m", "note.x", "kind.x"] {
            assert_eq!(known(&schema, gone), Known::Missing, "{gone}");
        }
        assert_eq!(known(&json!(true), "x"), Known::Any);
    }

    #[test]
    fn types_fit_when_a_value_may_be_both() {
        let of = |word: &str| Known::Types([word.to_owned()].into());
        assert!(fits(&of("integer"), &of("number")));
        assert!(!fits(&of("string"), &of("integer")));
        assert!(fits(&Known::Any, &of("integer")));
        assert!(!fits(&Known::Missing, &Known::Any));
    }
}
