//! What a schema may hold: refuses keywords that would not be checked.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{MAX_DEPTH, join_path, resolve};
use crate::{Faults, Result};

/// Most properties in one schema, counting nested ones.
const MAX_PROPERTIES: usize = 5_000;

/// Keywords that [`check`](super::check) understands.
const CHECKED: &[&str] = &[
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "dependentRequired",
    "else",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "then",
    "type",
    "uniqueItems",
];
/// Keywords that say nothing about a value.
const REMARKS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "definitions",
    "deprecated",
    "description",
    "discriminator",
    "examples",
    "nullable",
    "readOnly",
    "title",
    "writeOnly",
];
const TYPES: &[&str] = &["null", "boolean", "integer", "number", "string", "array", "object"];

/// Checks the schema itself.
///
/// # Errors
/// `InvalidInput` that lists, by path, every keyword that is not supported, a `$ref` that leads nowhere, a
/// pattern that does not compile, nesting deeper than 64 and more than 5 000 properties.
pub fn lint(schema: &Value) -> Result<()> {
    let mut lint = Lint { root: schema, faults: Faults::new(), properties: 0, seen: BTreeSet::new() };
    lint.walk(schema, "", 0);
    if lint.properties > MAX_PROPERTIES {
        lint.faults.push("", format!("expected at most {MAX_PROPERTIES} properties"));
    }
    lint.faults.into_result("llm.schema")
}

struct Lint<'s> {
    root: &'s Value,
    faults: Faults,
    properties: usize,
    seen: BTreeSet<&'s str>,
}

impl<'s> Lint<'s> {
    fn walk(&mut self, schema: &'s Value, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            self.faults.push(path, format!("expected at most {MAX_DEPTH} levels"));
            return;
        }
        let map = match schema {
            Value::Bool(_) => return,
            Value::Object(map) => map,
            _ => return self.faults.push(path, "expected a schema: an object or a boolean"),
        };
        for (key, value) in map {
            let here = join_path(path, key);
            match key.as_str() {
                "properties" => self.properties_of(value, &here, depth),
                "allOf" | "anyOf" | "oneOf" | "prefixItems" => self.list(value, &here, depth),
                "items" | "additionalProperties" | "not" | "if" | "then" | "else" | "propertyNames" => {
                    self.walk(value, &here, depth + 1);
                }
                "$ref" => self.reference(value, &here, depth),
                "pattern" => self.pattern(value, &here),
                "type" => self.types(value, &here),
                _ if CHECKED.contains(&key.as_str()) || REMARKS.contains(&key.as_str()) => {}
                _ if key.starts_with("x-") => {}
                _ => self.faults.push(here, "this keyword is not supported: leave it out"),
            }
        }
    }

    fn properties_of(&mut self, value: &'s Value, path: &str, depth: usize) {
        let Some(map) = value.as_object() else { return self.faults.push(path, "expected an object") };
        self.properties += map.len();
        for (name, schema) in map {
            self.walk(schema, &join_path(path, name), depth + 1);
        }
    }

    fn list(&mut self, value: &'s Value, path: &str, depth: usize) {
        let Some(list) = value.as_array() else { return self.faults.push(path, "expected an array") };
        for (i, schema) in list.iter().enumerate() {
            self.walk(schema, &format!("{path}[{i}]"), depth + 1);
        }
    }

    fn reference(&mut self, value: &'s Value, path: &str, depth: usize) {
        let Some(reference) = value.as_str() else { return self.faults.push(path, "expected text") };
        match resolve(self.root, reference) {
            None => self.faults.push(path, "expected a reference inside this schema, such as #/$defs/Name"),
            Some(target) if self.seen.insert(reference) => self.walk(target, path, depth + 1),
            Some(_) => {}
        }
    }

    fn pattern(&mut self, value: &Value, path: &str) {
        let compiles = value.as_str().is_some_and(|p| regex_lite::Regex::new(p).is_ok());
        self.faults.check(compiles, path, "expected a regular expression without look-around");
    }

    fn types(&mut self, value: &Value, path: &str) {
        let known = |v: &Value| v.as_str().is_some_and(|t| TYPES.contains(&t));
        let ok = match value {
            Value::Array(list) => !list.is_empty() && list.iter().all(known),
            one => known(one),
        };
        self.faults.check(ok, path, "expected null, boolean, integer, number, string, array or object");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_checked_is_refused_by_path() {
        let schema = json!({
            "type": "object",
            "properties": {"a": {"contains": {}}, "b": {"$ref": "#/$defs/None"}, "c": {"pattern": "(?=x)"}},
            "unevaluatedProperties": false,
            "x-offline": {"fact": "a"},
        });
        let err = lint(&schema).unwrap_err();
        let paths: Vec<_> = err.field_faults().iter().map(|f| f.field.as_str()).collect();
        assert_eq!(
            paths,
            ["properties.a.contains", "properties.b.$ref", "properties.c.pattern", "unevaluatedProperties"]
        );
    }

    #[test]
    fn recursive_schemas_are_fine() {
        let tree = json!({"$ref": "#/$defs/T", "$defs": {"T": {
            "type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/T"}}}}}});
        assert!(lint(&tree).is_ok());
        assert!(lint(&json!({"type": "text"})).is_err());
    }
}
