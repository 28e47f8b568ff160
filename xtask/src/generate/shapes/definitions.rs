//! The definitions of every schema, and the names they have in a language.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Language;
use crate::failure::{Failure, Result};
use crate::generate::names;

/// A JSON Schema that is an object.
pub(super) type Schema = Map<String, Value>;

/// One root schema with its definitions, and the prefix of their names.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) schema: Schema,
    pub(super) definitions: BTreeMap<String, Schema>,
    /// Prefix for a name that means something else elsewhere.
    pub(super) namespace: String,
}

impl Root {
    pub(super) fn new(schema: &Value, namespace: &str, keeps_name: bool) -> Result<Self> {
        let mut schema = object(schema)?.clone();
        schema.remove("$schema");
        let mut definitions = BTreeMap::new();
        if let Some(Value::Object(found)) = schema.remove("$defs") {
            for (name, definition) in found {
                definitions.insert(name, object(&definition)?.clone());
            }
        }
        let title = schema.remove("title").and_then(|title| title.as_str().map(str::to_owned));
        let title = title.map(|title| with_item(title, &schema));
        if let (Some(title), true) = (title, keeps_name && is_named(&schema)) {
            definitions.entry(title.clone()).or_insert_with(|| schema.clone());
            schema = Map::from_iter([("$ref".to_owned(), Value::from(format!("#/$defs/{title}")))]);
        }
        Ok(Root { schema, definitions, namespace: names::camel(namespace) })
    }

    /// The definition with everything it refers to: equal text means the same type.
    pub(super) fn content(&self, name: &str) -> String {
        let mut reached = BTreeMap::new();
        let mut open = vec![name.to_owned()];
        while let Some(next) = open.pop() {
            let Some(definition) = self.definitions.get(&next) else { continue };
            if reached.insert(next, definition).is_none() {
                references(&Value::Object(definition.clone()), &mut open);
            }
        }
        serde_json::to_string(&reached).unwrap_or_default()
    }
}

/// Names for every definition: that of the Rust type where it means one thing, else with the namespace before it.
pub(super) fn class_names(
    roots: &BTreeMap<String, Root>,
    language: Language,
) -> BTreeMap<(String, String), String> {
    let mut meanings: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for root in roots.values() {
        for name in root.definitions.keys() {
            let known = meanings.entry(base(name)).or_default();
            let content = root.content(name);
            if known.iter().all(|(other, _)| *other != content) {
                known.push((content, root.namespace.clone()));
            }
        }
    }
    let mut names = BTreeMap::new();
    let mut taken: BTreeSet<String> = meanings.keys().map(|name| language.class(name)).collect();
    for (rust, contents) in meanings {
        let plain = language.class(&rust);
        let is_unique = contents.len() == 1;
        for (content, namespace) in contents {
            let mut name = plain.clone();
            if !is_unique {
                name =
                    if plain.starts_with(&namespace) { plain.clone() } else { format!("{namespace}{plain}") };
                let stem = name.clone();
                let mut n = 2;
                while !taken.insert(name.clone()) {
                    name = format!("{stem}{n}");
                    n += 1;
                }
            }
            names.insert((rust.clone(), content), name);
        }
    }
    names
}

/// schemars numbers a second type of one name in one schema; which one that is differs from schema to schema.
pub(super) fn base(name: &str) -> String {
    name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()
}

/// The schema as an object; `true` allows everything.
pub(super) fn object(schema: &Value) -> Result<&Schema> {
    static EMPTY: std::sync::OnceLock<Schema> = std::sync::OnceLock::new();
    match schema {
        Value::Object(map) => Ok(map),
        Value::Bool(true) => Ok(EMPTY.get_or_init(Map::new)),
        other => Err(Failure::new(format!("expected a schema, found {other}"))),
    }
}

/// True for what becomes a class or union of its own.
fn is_named(schema: &Schema) -> bool {
    schema.contains_key("properties") || schema.contains_key("oneOf") || schema.contains_key("anyOf")
}

/// schemars leaves the parameter out of a root's title: a page is named for what it holds.
fn with_item(title: String, schema: &Schema) -> String {
    let items =
        schema.get("properties").and_then(|properties| properties.get("items")?.get("items")?.get("$ref"));
    match items.and_then(Value::as_str).and_then(|target| target.strip_prefix("#/$defs/")) {
        Some(item) if title == "Page" => format!("{title}_for_{item}"),
        _ => title,
    }
}

fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, item) in map {
                match (key.as_str(), item.as_str()) {
                    ("$ref", Some(target)) => out.extend(target.strip_prefix("#/$defs/").map(str::to_owned)),
                    _ => references(item, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        _ => {}
    }
}
