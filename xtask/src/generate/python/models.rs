//! Writes the model classes.

use serde_json::Value;

use super::names;
use super::text;
use super::types::Annotations;
use crate::generate::prose::{hanging, wrap};
use crate::generate::shapes::{Declaration, Field, Type};

/// The module of all named types.
pub(super) fn write(declarations: &[Declaration]) -> String {
    let mut body = String::new();
    for declaration in declarations {
        body.push_str("\n\n");
        body.push_str(&one(declaration));
    }
    let mut imports = "from dataclasses import dataclass\nfrom datetime import datetime\n".to_owned();
    if body.contains("dataclasses.field(") {
        imports.insert_str(0, "import dataclasses\n");
    }
    if body.contains("builtins.") {
        imports.insert_str(0, "import builtins\n");
    }
    let mut out =
        String::from("\"\"\"What operations take and answer. Times are `datetime` with a zone.\"\"\"\n\n");
    out.push_str("from __future__ import annotations\n\n");
    out.push_str(&imports);
    let values = if body.contains("instant(") { "OMIT, instant" } else { "OMIT" };
    out.push_str(&format!(
        "from typing import Any, Literal, TypeAlias\n\nfrom .._display import Shown\nfrom .._values import {values}\n\n__all__ = [\n"
    ));
    for declaration in declarations {
        out.push_str(&format!("    \"{}\",\n", declaration.name()));
    }
    out.push_str("]\n");
    out + &body
}

fn one(declaration: &Declaration) -> String {
    match declaration {
        Declaration::Words { name, doc, words } => words_alias(name, doc, words),
        Declaration::Class { name, doc, fields } => class(name, doc, fields),
        Declaration::Tagged { name, doc, variants, tag } => {
            let classes: Vec<&str> = variants.iter().map(|(_, class)| class.as_str()).collect();
            let mut lines = wrap(doc, 0);
            lines.push(String::new());
            lines.push(format!("One of these; `{}` tells which.", names::member(tag)));
            format!("{name}: TypeAlias = \"{}\"\n{}", classes.join(" | "), text::doc(&lines, 0))
        }
        Declaration::Keyed { name, doc, words, variants } => {
            let mut types: Vec<String> = variants.iter().map(|(_, class)| class.clone()).collect();
            if !words.is_empty() {
                types.insert(0, Annotations::default().write(&Type::Words(words.clone())));
            }
            let union = types.join(" | ").replace('"', "'");
            format!("{name}: TypeAlias = \"{union}\"\n{}", text::doc(&wrap(doc, 0), 0))
        }
    }
}

fn words_alias(name: &str, doc: &str, words: &[(String, String)]) -> String {
    let mut out = format!("{name}: TypeAlias = Literal[\n");
    for (word, _) in words {
        out.push_str(&format!("    {},\n", text::literal(word)));
    }
    out.push_str("]\n");
    let mut lines = wrap(doc, 0);
    if words.iter().any(|(_, doc)| !doc.is_empty()) {
        lines.push(String::new());
        for (word, doc) in words {
            lines.extend(hanging(&format!("- `{word}`: {doc}"), 0));
        }
    }
    out + &text::doc(&lines, 0)
}

fn class(name: &str, doc: &str, fields: &[Field]) -> String {
    let annotations = Annotations::beside(fields.iter().map(names::of));
    let mut out = format!(
        "@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)\nclass {name}(Shown):\n"
    );
    let doc = if doc.is_empty() { "See the operation that uses it." } else { doc };
    out.push_str(&text::doc(&wrap(doc, 4), 4));
    for field in fields {
        out.push_str(&format!(
            "\n    {}: {}{}\n",
            names::of(field),
            annotations.write(&field.ty),
            default(field)
        ));
        out.push_str(&text::doc(&wrap(&field.doc, 4), 4));
    }
    let any = if fields.iter().any(|field| field.json == "dict") { "builtins.dict" } else { "dict" };
    let text = if fields.iter().any(|field| field.json == "str") { "builtins.str" } else { "str" };
    out.push_str(&format!("\n    def _to_plain(self) -> {any}[{text}, Any]:\n"));
    if fields.is_empty() {
        return out + "        return {}\n";
    }
    out.push_str("        return {\n");
    for field in fields {
        let own = format!("self.{}", names::of(field));
        let is_left_out = !field.is_required && matches!(field.ty, Type::Optional(_) | Type::Any);
        let value = if is_left_out { format!("OMIT if {own} is None else {own}") } else { own };
        out.push_str(&format!("            {}: {value},\n", text::literal(&field.json)));
    }
    out + "        }\n"
}

fn default(field: &Field) -> String {
    if let Some(word) = &field.constant {
        return format!(" = {}", text::literal(word));
    }
    if field.is_required {
        return String::new();
    }
    match &field.default {
        None => " = None".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => {
            " = dataclasses.field(default_factory=lambda: [])".to_owned()
        }
        Some(Value::Object(map)) if map.is_empty() => {
            " = dataclasses.field(default_factory=lambda: {})".to_owned()
        }
        Some(value @ (Value::Array(_) | Value::Object(_))) => {
            format!(" = dataclasses.field(default_factory=lambda: {})", text::value(value))
        }
        Some(value) => format!(" = {}", plain_default(&field.ty, value)),
    }
}

fn plain_default(ty: &Type, value: &Value) -> String {
    match (ty, value) {
        // A `datetime` is no literal: the instant of the default is written as what it means.
        (Type::Instant, value) => format!("instant({})", text::value(value)),
        (_, value) => text::value(value),
    }
}
