//! Writes the operations: a class per namespace, blocking or async.

use std::collections::BTreeSet;

use super::codec;
use super::names;
use super::text;
use super::types::Annotations;
use crate::failure::{Failure, Result};
use crate::generate::names::camel;
use crate::generate::prose::{hanging, notes, wrap};
use crate::generate::shapes::{Call, Field, Surface, Type};
use crate::generate::spaces::Space;

/// Names of the hub itself, which no namespace may take.
const HUB: [&str; 15] = [
    "add_connector",
    "add_model",
    "aopen",
    "close",
    "closed",
    "events",
    "in_workspace",
    "native",
    "open",
    "operations",
    "progress",
    "put_blob",
    "with_options",
    "workspace",
    "core",
];

/// Which twin is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Blocking,
    Async,
}

/// The module of one twin.
pub(super) fn write(surface: &Surface<'_>, mode: Mode) -> Result<String> {
    let root = Space::of(surface)?;
    if let Some(taken) = root.spaces.keys().chain(root.calls.keys()).find(|name| HUB.contains(name)) {
        return Err(Failure::new(format!(
            "the namespace {taken} hides a method of the hub in Python: rename it"
        )));
    }
    let mut body = String::new();
    let mut models = BTreeSet::new();
    space(&root, "", mode, &mut body, &mut models)?;
    Ok(head(mode, &body, &models) + &body)
}

fn head(mode: Mode, body: &str, models: &BTreeSet<String>) -> String {
    let (how, core) = match mode {
        Mode::Blocking => ("blocking: each call returns when it is done", "BlockingCore"),
        Mode::Async => ("for asyncio: each call is awaited", "AsyncCore"),
    };
    let mut out = format!("\"\"\"The operations, {how}.\"\"\"\n\nfrom __future__ import annotations\n\n");
    if body.contains("builtins.") {
        out.push_str("import builtins\n");
    }
    let abstracts = ["Mapping", "Sequence"].into_iter().filter(|name| body.contains(&format!("{name}[")));
    let abstracts: Vec<&str> = abstracts.collect();
    if !abstracts.is_empty() {
        out.push_str(&format!("from collections.abc import {}\n", abstracts.join(", ")));
    }
    if body.contains("datetime") {
        out.push_str("from datetime import datetime\n");
    }
    let mut typing = vec!["TYPE_CHECKING"];
    typing.extend(["Any", "Literal"].into_iter().filter(|name| uses(body, name)));
    if models.is_empty() {
        typing.retain(|name| *name != "TYPE_CHECKING");
    }
    if !typing.is_empty() {
        out.push_str(&format!("from typing import {}\n", typing.join(", ")));
    }
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
    if body.contains("Rows(") {
        out.push_str("from .._lazy import Rows\n");
    }
    out.push_str(&format!("from .._runtime import {core}\n"));
    let values = ["OMIT", "Omit", "instant("].into_iter().filter(|name| uses(body, name)).collect::<Vec<_>>();
    if !values.is_empty() {
        out.push_str(&format!("from .._values import {}\n", values.join(", ").replace('(', "")));
    }
    if body.contains(" c.") || body.contains("(c.") || body.contains("[c.") {
        out.push_str("from . import _codec as c\n");
    }
    if !models.is_empty() {
        // The classes are many: they are made when the first answer needs one, not at import.
        out.push_str("\nif TYPE_CHECKING:\n    from .models import (\n");
        models.iter().for_each(|name| out.push_str(&format!("        {name},\n")));
        out.push_str("    )\n");
    }
    out
}

/// Whether the text uses a name as a word of its own.
fn uses(body: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    body.match_indices(name).any(|(at, _)| {
        let before = body.get(..at).and_then(|text| text.chars().next_back());
        let after = body.get(at + name.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

fn class_name(path: &str, mode: Mode) -> String {
    let twin = if mode == Mode::Async { "Async" } else { "" };
    format!("{twin}{}Operations", camel(path))
}

fn space(
    space_: &Space<'_>,
    path: &str,
    mode: Mode,
    out: &mut String,
    models: &mut BTreeSet<String>,
) -> Result<()> {
    for (name, below) in &space_.spaces {
        let inner = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        space(below, &inner, mode, out, models)?;
    }
    let core = if mode == Mode::Async { "AsyncCore" } else { "BlockingCore" };
    let doc = if path.is_empty() {
        "All operations, by namespace.".to_owned()
    } else {
        format!("Operations of `{path}`.")
    };
    let class = class_name(path, mode);
    out.push_str(&format!("\n\nclass {class}:\n    \"\"\"{doc}\"\"\"\n\n    __slots__ = (\"_core\",)\n\n"));
    out.push_str(&format!("    def __init__(self, core: {core}) -> None:\n        self._core = core\n"));
    for name in space_.spaces.keys() {
        let inner = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        let class = class_name(&inner, mode);
        out.push_str(&format!("\n    @property\n    def {}(self) -> {class}:\n", names::member(name)));
        out.push_str(&format!(
            "        \"\"\"Operations of `{inner}`.\"\"\"\n        return {class}(self._core)\n"
        ));
    }
    let members: Vec<String> = space_.calls.keys().map(|name| names::member(name)).collect();
    let annotations = Annotations::beside(members);
    for (name, call) in &space_.calls {
        out.push_str(&method(name, call, mode, &annotations));
        call.arguments.iter().for_each(|field| named(&field.ty, models));
        named(&call.output, models);
    }
    Ok(())
}

fn method(name: &str, call: &Call<'_>, mode: Mode, annotations: &Annotations) -> String {
    let (def, wait) = if mode == Mode::Async { ("async def", "await ") } else { ("def", "") };
    let answer = annotations.write(&call.output);
    let arguments = annotations.of_arguments();
    let mut out = format!("\n    {def} {}(", names::member(name));
    if call.arguments.is_empty() {
        out.push_str("self");
    } else {
        out.push_str("\n        self,\n        *,\n");
        for field in &call.arguments {
            out.push_str(&format!("        {},\n", argument(field, &arguments)));
        }
        out.push_str("    ");
    }
    out.push_str(&format!(") -> {answer}:\n"));
    out.push_str(&text::doc(&method_doc(call), 8));
    let sent = format!("{wait}self._core.call({}, {})", text::literal(&call.operation.name), payload(call));
    out.push_str(&match &call.output {
        Type::Null => format!("        {sent}\n"),
        Type::Class(name) => format!("        return c.{}({sent})\n", names::snake(name)),
        output if output.is_plain() => format!("        answer: {answer} = {sent}\n        return answer\n"),
        output => {
            let decoded = codec::value(output, "answer", &mut codec::Fresh::default());
            let decoded = qualified(&decoded, output);
            let decoded = if matches!(output, Type::List(_)) { format!("Rows({decoded})") } else { decoded };
            format!("        answer = {sent}\n        return {decoded}\n")
        }
    });
    out
}

/// Decoders stand in another module here.
pub(super) fn qualified(expression: &str, ty: &Type) -> String {
    let mut names = BTreeSet::new();
    named(ty, &mut names);
    let mut out = expression.to_owned();
    for name in names {
        let function = names::snake(&name);
        out = out.replace(&format!("{function}("), &format!("\u{0}{function}("));
        // A name that ends like another one must not be marked twice.
        out = out.replace("_\u{0}", "_");
    }
    out.replace('\u{0}', "c.")
}

fn argument(field: &Field, annotations: &Annotations) -> String {
    let ty = annotations.write(&field.ty);
    if field.is_required {
        return format!("{}: {ty}", names::of(field));
    }
    format!("{}: {ty} | Omit = OMIT", names::of(field))
}

fn payload(call: &Call<'_>) -> String {
    if call.arguments.is_empty() {
        return "{}".to_owned();
    }
    let pairs =
        call.arguments.iter().map(|field| format!("{}: {}", text::literal(&field.json), names::of(field)));
    let pairs: Vec<String> = pairs.collect();
    let line = format!("{{{}}}", pairs.join(", "));
    if line.len() <= 60 {
        return line;
    }
    let lines: String = pairs.iter().map(|pair| format!("            {pair},\n")).collect();
    format!("{{\n{lines}        }}")
}

fn method_doc(call: &Call<'_>) -> Vec<String> {
    let mut lines = wrap(&call.operation.doc, 8);
    if !call.arguments.is_empty() {
        lines.extend([String::new(), "Args:".to_owned()]);
        for field in &call.arguments {
            let mut doc = field.doc.clone();
            let default = field.default.as_ref().filter(|_| !doc.contains("Default") && !field.is_required);
            if let Some(default) = default {
                doc.push_str(&format!(" Default: `{}`.", text::value(default)));
            }
            let item = hanging(&format!("{}: {doc}", names::of(field)), 12);
            lines.extend(
                item.into_iter().map(|line| if line.is_empty() { line } else { format!("    {line}") }),
            );
        }
    }
    lines.push(String::new());
    lines.extend(wrap(&notes(call.operation), 8));
    lines
}

/// Names that an annotation or a decoder of the type uses.
pub(super) fn named(ty: &Type, out: &mut BTreeSet<String>) {
    match ty {
        Type::Class(name) | Type::Alias(name) => {
            out.insert(name.clone());
        }
        Type::List(item) | Type::Map(item) | Type::Optional(item) => named(item, out),
        Type::Tuple(types) | Type::Either(types) => types.iter().for_each(|ty| named(ty, out)),
        _ => {}
    }
}
