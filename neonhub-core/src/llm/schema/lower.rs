//! Schemas in the form that providers hold a model to, and answers back in the form that was asked for.
//!
//! Providers take a common subset: objects without free keys, every property required, no bounds. [`lower`] writes a
//! schema in it: an optional property becomes one that may be null, bounds become words of the description. [`raise`]
//! takes the nulls out again, and the original schema then checks the answer.

use serde_json::{Map, Value, json};

use super::{check::faults, join_path, lint, resolve};
use crate::{Error, Result};

/// Deepest nesting that is written.
const MAX_DEPTH: usize = 32;
/// Said in the description, since no provider checks them.
const BOUNDS: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
];
/// Kept as they are.
const KEPT: &[&str] = &["type", "enum", "description", "title"];
/// Nothing that the subset can say.
const REFUSED: &[&str] = &[
    "not",
    "if",
    "then",
    "else",
    "prefixItems",
    "dependentRequired",
    "propertyNames",
    "minProperties",
    "maxProperties",
];

/// A schema in the common subset of the providers.
///
/// # Errors
/// `InvalidInput` that names the path of what the subset cannot say: a root that is no object, free keys, `allOf` of
/// several, `not`, `if`, nesting deeper than 32.
pub fn lower(schema: &Value) -> Result<Value> {
    lint(schema)?;
    let root = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => resolve(schema, reference).unwrap_or(schema),
        None => schema,
    };
    if root.get("type").and_then(Value::as_str) != Some("object") {
        return Err(unsaid("", "expected an object at the root: wrap the value in one"));
    }
    let mut out = one(root, "", 0)?;
    for defs in ["$defs", "definitions"] {
        let Some(found) = schema.get(defs).and_then(Value::as_object) else { continue };
        let mut lowered = Map::new();
        for (name, inner) in found {
            lowered.insert(name.clone(), one(inner, &format!("{defs}.{name}"), 1)?);
        }
        if let Some(map) = out.as_object_mut() {
            map.insert(defs.to_owned(), lowered.into());
        }
    }
    Ok(out)
}

fn unsaid(path: &str, message: &str) -> Error {
    let path = if path.is_empty() { "output_schema".to_owned() } else { format!("output_schema.{path}") };
    Error::invalid("llm.schema", path, message)
}

fn one(schema: &Value, path: &str, depth: usize) -> Result<Value> {
    if depth > MAX_DEPTH {
        return Err(unsaid(path, "expected at most 32 levels"));
    }
    let Value::Object(map) = schema else {
        return Err(unsaid(path, "expected a schema that says something"));
    };
    if let Some(word) = REFUSED.iter().find(|word| map.contains_key(**word)) {
        return Err(unsaid(&join_path(path, word), "providers hold no model to this: leave it out"));
    }
    if let Some(reference) = map.get("$ref") {
        return Ok(json!({ "$ref": reference }));
    }
    if let Some(all) = map.get("allOf").and_then(Value::as_array) {
        return match all.as_slice() {
            [only] => one(only, path, depth + 1),
            _ => Err(unsaid(&join_path(path, "allOf"), "expected one schema: join them")),
        };
    }
    let mut out = Map::new();
    for word in KEPT {
        if let Some(value) = map.get(*word) {
            out.insert((*word).to_owned(), value.clone());
        }
    }
    if let Some(only) = map.get("const") {
        out.insert("enum".to_owned(), json!([only]));
    }
    describe(map, &mut out);
    for word in ["anyOf", "oneOf"] {
        let Some(list) = map.get(word).and_then(Value::as_array) else { continue };
        let mut branches = Vec::new();
        for (i, branch) in list.iter().enumerate() {
            branches.push(one(branch, &format!("{}[{i}]", join_path(path, word)), depth + 1)?);
        }
        out.insert("anyOf".to_owned(), branches.into());
    }
    if let Some(items) = map.get("items") {
        out.insert("items".to_owned(), one(items, &join_path(path, "items"), depth + 1)?);
    }
    if map.contains_key("properties") || is_object(map) {
        object(map, &mut out, path, depth)?;
    }
    Ok(Value::Object(out))
}

fn is_object(map: &Map<String, Value>) -> bool {
    match map.get("type") {
        Some(Value::String(name)) => name == "object",
        Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
        _ => false,
    }
}

fn object(map: &Map<String, Value>, out: &mut Map<String, Value>, path: &str, depth: usize) -> Result<()> {
    let empty = Map::new();
    let properties = map.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    if properties.is_empty() && map.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(unsaid(path, "expected named properties: use a list of pairs in place of free keys"));
    }
    let wanted: Vec<&str> = map
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut lowered = Map::new();
    for (name, schema) in properties {
        let inner = one(schema, &join_path(path, name), depth + 1)?;
        let inner = if wanted.contains(&name.as_str()) { inner } else { nullable(inner) };
        lowered.insert(name.clone(), inner);
    }
    out.insert("required".to_owned(), lowered.keys().cloned().collect());
    out.insert("properties".to_owned(), lowered.into());
    out.insert("additionalProperties".to_owned(), false.into());
    Ok(())
}

/// Bounds as words.
fn describe(map: &Map<String, Value>, out: &mut Map<String, Value>) {
    let said: Vec<String> = BOUNDS
        .iter()
        .filter_map(|word| Some(format!("{word}: {}", map.get(*word).map(super::super::wire::shown)?)))
        .collect();
    if said.is_empty() {
        return;
    }
    let before = map.get("description").and_then(Value::as_str).unwrap_or_default();
    let gap = if before.is_empty() { "" } else { " " };
    out.insert("description".to_owned(), format!("{before}{gap}({})", said.join(", ")).into());
}

/// A schema that also takes null.
fn nullable(schema: Value) -> Value {
    let Value::Object(mut map) = schema else { return schema };
    let null = json!("null");
    let has_options = map.contains_key("enum");
    match map.get_mut("type") {
        Some(Value::Array(names)) if names.contains(&null) => {}
        Some(Value::Array(names)) => names.push(null),
        Some(name) => *name = json!([name.take(), "null"]),
        None if has_options => {}
        None => return json!({ "anyOf": [map, { "type": "null" }] }),
    }
    if let Some(Value::Array(options)) = map.get_mut("enum")
        && !options.contains(&Value::Null)
    {
        options.push(Value::Null);
    }
    Value::Object(map)
}

/// Takes the nulls out of an answer that stand for optional properties which the original schema does not let be
/// null. What does not fit the schema is left for the check.
pub(crate) fn raise(root: &Value, schema: &Value, value: &mut Value, depth: usize) {
    if depth > super::MAX_DEPTH {
        return;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|r| resolve(root, r)) {
        raise(root, target, value, depth + 1);
    }
    for word in ["allOf", "anyOf", "oneOf"] {
        for branch in schema.get(word).and_then(Value::as_array).into_iter().flatten() {
            let mut tried = value.clone();
            raise(root, branch, &mut tried, depth + 1);
            if faults(root, branch, &tried).is_empty() {
                *value = tried;
                break;
            }
        }
    }
    match value {
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| raise(root, schema, item, depth + 1));
            }
        }
        Value::Object(map) => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
            let is_wanted = |name: &str| {
                let required = schema.get("required").and_then(Value::as_array);
                required.is_some_and(|names| names.iter().any(|n| n == name))
            };
            map.retain(|name, inner| match properties.get(name) {
                Some(schema) if inner.is_null() && !is_wanted(name) => faults(root, schema, inner).is_empty(),
                _ => true,
            });
            for (name, inner) in map.iter_mut() {
                if let Some(schema) = properties.get(name) {
                    raise(root, schema, inner, depth + 1);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
