//! Compares a value with a schema.

use serde_json::{Map, Value};

use super::{MAX_DEPTH, format, join_path, lint, resolve};
use crate::{Fault, Result};

/// Every fault of `value` under `schema`, by path; empty when it fits.
///
/// # Errors
/// `InvalidInput` when the schema itself is faulty, as [`lint`] says.
pub fn check(schema: &Value, value: &Value) -> Result<Vec<Fault>> {
    lint(schema)?;
    Ok(faults(schema, schema, value))
}

/// As [`check`], for a schema that has been linted.
pub(crate) fn faults(root: &Value, schema: &Value, value: &Value) -> Vec<Fault> {
    let mut walk = Walk { root, faults: Vec::new() };
    walk.value(schema, value, "", 0);
    walk.faults
}

struct Walk<'s> {
    root: &'s Value,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    fn fault(&mut self, path: &str, message: impl Into<String>) {
        self.faults.push(Fault { field: path.to_owned(), message: message.into() });
    }

    fn fits(&self, schema: &Value, value: &Value, depth: usize) -> bool {
        let mut inner = Walk { root: self.root, faults: Vec::new() };
        inner.value(schema, value, "", depth + 1);
        inner.faults.is_empty()
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return self.fault(path, format!("expected at most {MAX_DEPTH} levels"));
        }
        let map = match schema {
            Value::Bool(true) => return,
            Value::Object(map) => map,
            _ => return self.fault(path, "nothing is allowed here"),
        };
        if let Some(target) = map.get("$ref").and_then(Value::as_str).and_then(|r| resolve(self.root, r)) {
            self.value(target, value, path, depth + 1);
        }
        self.plain(map, value, path);
        self.combined(map, value, path, depth);
        match value {
            Value::Object(object) => self.object(map, object, path, depth),
            Value::Array(items) => self.array(map, items, path, depth),
            Value::String(text) => self.text(map, text, path),
            Value::Number(_) => self.number(map, value, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn plain(&mut self, map: &Map<String, Value>, value: &Value, path: &str) {
        let names: Vec<&str> = match map.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !names.is_empty() && !names.iter().any(|name| is_type(value, name)) {
            self.fault(path, format!("expected {}", names.join(" or ")));
        }
        if let Some(options) = map.get("enum").and_then(Value::as_array)
            && !options.iter().any(|o| same(o, value))
        {
            let list: Vec<String> = options.iter().take(12).map(ToString::to_string).collect();
            self.fault(path, format!("expected one of {}", list.join(", ")));
        }
        if let Some(only) = map.get("const")
            && !same(only, value)
        {
            self.fault(path, format!("expected {only}"));
        }
    }

    fn combined(&mut self, map: &Map<String, Value>, value: &Value, path: &str, depth: usize) {
        for schema in list(map, "allOf") {
            self.value(schema, value, path, depth + 1);
        }
        if let Some(options) = map.get("anyOf").and_then(Value::as_array)
            && !options.iter().any(|s| self.fits(s, value, depth))
        {
            self.fault(path, "expected one of the alternatives");
        }
        if let Some(options) = map.get("oneOf").and_then(Value::as_array)
            && options.iter().filter(|s| self.fits(s, value, depth)).count() != 1
        {
            self.fault(path, "expected exactly one of the alternatives");
        }
        if let Some(schema) = map.get("not")
            && self.fits(schema, value, depth)
        {
            self.fault(path, "expected something else");
        }
        if let Some(condition) = map.get("if") {
            let branch = if self.fits(condition, value, depth) { "then" } else { "else" };
            if let Some(schema) = map.get(branch) {
                self.value(schema, value, path, depth + 1);
            }
        }
    }

    fn object(&mut self, map: &Map<String, Value>, object: &Map<String, Value>, path: &str, depth: usize) {
        for name in list(map, "required").filter_map(Value::as_str) {
            if !object.contains_key(name) {
                self.fault(&join_path(path, name), "expected a value");
            }
        }
        if let Some(Value::Object(rules)) = map.get("dependentRequired") {
            for (_, names) in rules.iter().filter(|(key, _)| object.contains_key(*key)) {
                for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if !object.contains_key(name) {
                        self.fault(&join_path(path, name), "expected a value");
                    }
                }
            }
        }
        self.count(map, "minProperties", "maxProperties", object.len(), "properties", path);
        let known = map.get("properties").and_then(Value::as_object);
        for (key, value) in object {
            let here = join_path(path, key);
            if let Some(schema) = map.get("propertyNames")
                && !self.fits(schema, &Value::String(key.clone()), depth)
            {
                self.fault(&here, "expected another name");
            }
            match (known.and_then(|k| k.get(key)), map.get("additionalProperties")) {
                (Some(schema), _) => self.value(schema, value, &here, depth + 1),
                (None, Some(Value::Bool(false))) => self.fault(&here, "unknown field: leave it out"),
                (None, Some(schema)) => self.value(schema, value, &here, depth + 1),
                (None, None) => {}
            }
        }
    }

    fn array(&mut self, map: &Map<String, Value>, items: &[Value], path: &str, depth: usize) {
        self.count(map, "minItems", "maxItems", items.len(), "items", path);
        let unique = map.get("uniqueItems").and_then(Value::as_bool).unwrap_or(false);
        let prefix: Vec<&Value> = list(map, "prefixItems").collect();
        for (i, item) in items.iter().enumerate() {
            let here = format!("{path}[{i}]");
            if let Some(schema) = prefix.get(i).copied().or_else(|| map.get("items")) {
                self.value(schema, item, &here, depth + 1);
            }
            if unique && items.iter().take(i).any(|before| same(before, item)) {
                self.fault(&here, "expected each item once");
            }
        }
    }

    fn text(&mut self, map: &Map<String, Value>, text: &str, path: &str) {
        self.count(map, "minLength", "maxLength", text.chars().count(), "characters", path);
        if let Some(pattern) = map.get("pattern").and_then(Value::as_str)
            && !regex_lite::Regex::new(pattern).is_ok_and(|r| r.is_match(text))
        {
            self.fault(path, format!("expected text of the form {pattern}"));
        }
        if let Some(name) = map.get("format").and_then(Value::as_str)
            && !format::holds(name, text)
        {
            self.fault(path, format!("expected the format {name}"));
        }
    }

    fn number(&mut self, map: &Map<String, Value>, value: &Value, path: &str) {
        let Some(n) = value.as_f64() else { return };
        let bound = |key: &str| map.get(key).and_then(Value::as_f64);
        let rules = [
            (bound("minimum").filter(|b| n < *b), "at least"),
            (bound("maximum").filter(|b| n > *b), "at most"),
            (bound("exclusiveMinimum").filter(|b| n <= *b), "more than"),
            (bound("exclusiveMaximum").filter(|b| n >= *b), "less than"),
        ];
        for (broken, words) in rules {
            if let Some(limit) = broken {
                self.fault(path, format!("expected {words} {limit}"));
            }
        }
        if let Some(step) = bound("multipleOf").filter(|s| *s > 0.0) {
            let steps = n / step;
            if (steps - steps.round()).abs() > 1e-9 * steps.abs().max(1.0) {
                self.fault(path, format!("expected a multiple of {step}"));
            }
        }
    }

    fn count(&mut self, map: &Map<String, Value>, low: &str, high: &str, n: usize, what: &str, path: &str) {
        let n = n as u64;
        if let Some(limit) = map.get(low).and_then(Value::as_u64).filter(|l| n < *l) {
            self.fault(path, format!("expected at least {limit} {what}"));
        }
        if let Some(limit) = map.get(high).and_then(Value::as_u64).filter(|l| n > *l) {
            self.fault(path, format!("expected at most {limit} {what}"));
        }
    }
}

fn list<'v>(map: &'v Map<String, Value>, key: &str) -> impl Iterator<Item = &'v Value> {
    map.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// True when `value` is of this JSON type; 1.0 is an integer, as the standard says.
pub(crate) fn is_type(value: &Value, name: &str) -> bool {
    match (name, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("number", Value::Number(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        ("integer", Value::Number(n)) => {
            n.is_i64() || n.is_u64() || n.as_f64().is_some_and(|f| f.fract() == 0.0)
        }
        _ => false,
    }
}

/// Equality of JSON values: 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Schema, a value that fits, a value that does not, and the path of its fault.
    #[test]
    fn each_keyword_tells_good_from_bad() {
        let recursive =
            json!({"type": "object", "properties": {"kid": {"$ref": "#"}, "n": {"type": "integer"}}});
        let cases = [
            (json!({"type": ["string", "null"]}), json!(null), json!(1), ""),
            (json!({"type": "integer"}), json!(2.0), json!(2.5), ""),
            (json!({"enum": ["a", 1]}), json!(1.0), json!("b"), ""),
            (json!({"const": {"a": [1]}}), json!({"a": [1]}), json!({"a": [2]}), ""),
            (json!({"required": ["a"]}), json!({"a": null}), json!({}), "a"),
            (json!({"properties": {"a": {"type": "string"}}}), json!({"a": ""}), json!({"a": 1}), "a"),
            (json!({"additionalProperties": false}), json!({}), json!({"x": 1}), "x"),
            (json!({"additionalProperties": {"type": "null"}}), json!({"x": null}), json!({"x": 1}), "x"),
            (json!({"propertyNames": {"maxLength": 1}}), json!({"x": 1}), json!({"xx": 1}), "xx"),
            (json!({"dependentRequired": {"a": ["b"]}}), json!({"b": 1}), json!({"a": 1}), "b"),
            (json!({"minProperties": 1}), json!({"a": 1}), json!({}), ""),
            (json!({"items": {"type": "null"}}), json!([null]), json!([null, 1]), "[1]"),
            (json!({"prefixItems": [{"const": 1}], "items": false}), json!([1]), json!([1, 2]), "[1]"),
            (json!({"maxItems": 1, "minItems": 1}), json!([1]), json!([]), ""),
            (json!({"uniqueItems": true}), json!([1, 2]), json!([1, 1.0]), "[1]"),
            (json!({"minLength": 2, "maxLength": 3}), json!("äöü"), json!("ä"), ""),
            (json!({"pattern": "^per_[a-z]+$"}), json!("per_a"), json!("xper_a"), ""),
            (json!({"format": "email"}), json!("a@b.example"), json!("a"), ""),
            (json!({"minimum": 1, "maximum": 2}), json!(2), json!(2.1), ""),
            (json!({"exclusiveMinimum": 1, "exclusiveMaximum": 2}), json!(1.5), json!(2), ""),
            (json!({"multipleOf": 0.1}), json!(0.3), json!(0.35), ""),
            (json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}), json!(1), json!(3), ""),
            (json!({"anyOf": [{"minimum": 5}, {"type": "null"}]}), json!(null), json!(3), ""),
            (json!({"oneOf": [{"minimum": 1}, {"minimum": 2}]}), json!(1), json!(3), ""),
            (json!({"not": {"type": "null"}}), json!(1), json!(null), ""),
            (json!({"if": {"type": "string"}, "then": {"const": "a"}}), json!(1), json!("b"), ""),
            (recursive, json!({"kid": {"n": 1}}), json!({"kid": {"kid": {"n": "x"}}}), "kid.kid.n"),
        ];
        for (schema, good, bad, path) in cases {
            assert_eq!(check(&schema, &good).unwrap(), [], "{schema} {good}");
            let faults = check(&schema, &bad).unwrap();
            assert_eq!(faults.first().map(|f| f.field.as_str()), Some(path), "{schema} {bad}");
        }
    }

    #[test]
    fn a_reference_that_runs_in_a_circle_ends() {
        let circle = json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}});
        assert!(!check(&circle, &json!(1)).unwrap().is_empty());
    }
}
