//! Writes the operations: a class per namespace, a suspending function per operation.

use std::collections::BTreeSet;

use super::{annotation, inner, models, serializer, text};
use crate::failure::{Failure, Result};
use crate::generate::shapes::{Call, Field, Surface, Type};
use crate::generate::spaces::Space;
use crate::generate::{names, prose};

/// Names of the hub itself, which no namespace may take.
const HUB: [&str; 19] = [
    "addConnector",
    "addModel",
    "addTool",
    "clock",
    "close",
    "core",
    "events",
    "inject",
    "inWorkspace",
    "isClosed",
    "native",
    "open",
    "operationNames",
    "progress",
    "putBlob",
    "removeTool",
    "shutdown",
    "stream",
    "withOptions",
];

/// The file of all operations.
pub(super) fn write(surface: &Surface<'_>) -> Result<String> {
    let root = Space::of(surface)?;
    let mut members = root.spaces.keys().chain(root.calls.keys()).map(|name| names::lower_camel(name));
    if let Some(taken) = members.find(|name| HUB.contains(&name.as_str())) {
        return Err(Failure::new(format!(
            "the namespace {taken} hides a member of the hub in Kotlin: rename it"
        )));
    }
    let mut body = String::new();
    let mut used = BTreeSet::new();
    space(&root, "", &mut body, &mut used);
    Ok(imports("ai.neonhub.operations", "import ai.neonhub.Core\n", &body, &used) + &body)
}

/// The package line and the imports that a text needs, sorted as a formatter would.
pub(super) fn imports(package: &str, own: &str, body: &str, models: &BTreeSet<String>) -> String {
    let mut lines: BTreeSet<String> = own.lines().map(str::to_owned).collect();
    for (mark, path) in [
        ("InstantSerializer", "ai.neonhub.InstantSerializer"),
        ("Instant?", "java.time.Instant"),
        ("Instant,", "java.time.Instant"),
        ("ListSerializer(", "kotlinx.serialization.builtins.ListSerializer"),
        ("MapSerializer(", "kotlinx.serialization.builtins.MapSerializer"),
        (".nullable", "kotlinx.serialization.builtins.nullable"),
        ("String.serializer()", "kotlinx.serialization.builtins.serializer"),
        ("Long.serializer()", "kotlinx.serialization.builtins.serializer"),
        ("Boolean.serializer()", "kotlinx.serialization.builtins.serializer"),
        ("JsonElement", "kotlinx.serialization.json.JsonElement"),
    ] {
        if body.contains(mark) && path.rsplit_once('.').is_some_and(|(folder, _)| folder != package) {
            lines.insert(format!("import {path}"));
        }
    }
    lines.extend(models.iter().map(|name| format!("import ai.neonhub.models.{name}")));
    let lines: Vec<String> = lines.into_iter().collect();
    format!("package {package}\n\n{}\n", lines.join("\n"))
}

fn class_name(path: &str) -> String {
    format!("{}Operations", names::camel(path))
}

fn space(space_: &Space<'_>, path: &str, out: &mut String, used: &mut BTreeSet<String>) {
    let inner_path = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, below) in &space_.spaces {
        space(below, &inner_path(name), out, used);
    }
    let class = class_name(path);
    if path.is_empty() {
        out.push_str("\n/** All operations, by namespace. */\n");
        out.push_str(&format!(
            "public open class {class} internal constructor(internal val core: Core) {{\n"
        ));
    } else {
        out.push_str(&format!("\n/** Operations of `{path}`. */\n"));
        out.push_str(&format!("public class {class} internal constructor(private val core: Core) {{\n"));
    }
    for name in space_.spaces.keys() {
        let inner = inner_path(name);
        let class = class_name(&inner);
        out.push_str(&format!("    /** Operations of `{inner}`. */\n"));
        out.push_str(&format!("    public val {}: {class} get() = {class}(core)\n\n", text::member(name)));
    }
    for (name, call) in &space_.calls {
        out.push_str(&method(name, call));
        out.push('\n');
        call.arguments.iter().for_each(|field| models::named(&field.ty, used));
        models::named(&call.output, used);
    }
    out.truncate(out.trim_end().len());
    out.push_str("\n}\n");
}

fn method(name: &str, call: &Call<'_>) -> String {
    let mut out = text::doc(&doc(call), 4);
    out.push_str(&format!("    public suspend fun {}(", text::member(name)));
    if !call.arguments.is_empty() {
        let arguments = call.arguments.iter().map(|field| format!("        {},\n", argument(field)));
        out.push_str(&format!("\n{}    ", arguments.collect::<String>()));
    }
    out.push(')');
    let returns = if call.output == Type::Null { Type::Any } else { call.output.clone() };
    let body = format!("core.call({}, {})", text::literal(&call.operation.name), serializer(&returns));
    let gives: String = call.arguments.iter().map(give).collect();
    let fill = if gives.is_empty() { " { }".to_owned() } else { format!(" {{\n{gives}    }}") };
    if call.output == Type::Null {
        let body = format!("{body}{fill}").replace('\n', "\n    ");
        return out + &format!(" {{\n        {body}\n    }}\n");
    }
    out + &format!(": {} = {body}{fill}\n", annotation(&call.output))
}

/// What is left out is null here; a null of the operation's own is asked for by name.
fn argument(field: &Field) -> String {
    let name = text::member(&field.json);
    if field.is_required {
        return format!("{name}: {}", annotation(&field.ty));
    }
    format!("{name}: {}? = null", annotation(inner(&field.ty)))
}

fn give(field: &Field) -> String {
    let (json, name) = (text::literal(&field.json), text::member(&field.json));
    if field.is_required {
        return format!("        give({json}, {name}, {})\n", serializer(&field.ty));
    }
    format!("        offer({json}, {name}, {})\n", serializer(inner(&field.ty)))
}

fn doc(call: &Call<'_>) -> Vec<String> {
    let mut lines = prose::wrap(&call.operation.doc, 7);
    lines.push(String::new());
    lines.extend(prose::wrap(&prose::notes(call.operation), 7));
    let mut tags = Vec::new();
    for field in &call.arguments {
        let mut doc = field.doc.clone();
        let default = field.default.as_ref().filter(|_| !doc.contains("Default") && !field.is_required);
        if let Some(default) = default {
            doc.push_str(&format!(" Default: `{default}`."));
        }
        tags.extend(text::tag("param", text::member(&field.json).trim_matches('`'), doc.trim()));
    }
    if !tags.is_empty() {
        lines.push(String::new());
        lines.extend(tags);
    }
    lines
}
