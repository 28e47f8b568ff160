//! Writes the operations: a struct per namespace, an async function per operation.

use super::{annotation, optional, text};
use crate::failure::{Failure, Result};
use crate::generate::shapes::{Call, Field, Surface, Type};
use crate::generate::spaces::Space;
use crate::generate::{names, prose};

/// Names of the hub itself, which no namespace may take.
const HUB: [&str; 16] = [
    "addConnector",
    "addModel",
    "addTool",
    "clock",
    "close",
    "core",
    "events",
    "inWorkspace",
    "inject",
    "isClosed",
    "native",
    "open",
    "operationNames",
    "progress",
    "putBlob",
    "removeTool",
];

/// The file of all operations.
pub(super) fn write(surface: &Surface<'_>) -> Result<String> {
    let root = Space::of(surface)?;
    let mut members = root.spaces.keys().map(|name| names::lower_camel(name));
    if let Some(taken) = members.find(|name| HUB.contains(&name.as_str())) {
        return Err(Failure::new(format!(
            "the namespace {taken} hides a member of the hub in Swift: rename it"
        )));
    }
    let mut out = String::from("import Foundation\n");
    space(&root, "", &mut out);
    Ok(out)
}

fn class_name(path: &str) -> String {
    format!("{}Operations", names::camel(path))
}

fn space(space_: &Space<'_>, path: &str, out: &mut String) {
    let inner_path = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, below) in &space_.spaces {
        space(below, &inner_path(name), out);
    }
    if path.is_empty() {
        out.push_str("\n/// All operations, by namespace.\nextension Hub {\n");
    } else {
        out.push_str(&format!(
            "\n/// Operations of `{path}`.\npublic struct {}: Sendable {{\n",
            class_name(path)
        ));
        out.push_str("    let core: Core\n\n");
    }
    for name in space_.spaces.keys() {
        let inner = inner_path(name);
        let class = class_name(&inner);
        out.push_str(&format!("    /// Operations of `{inner}`.\n"));
        out.push_str(&format!(
            "    public var {}: {class} {{ {class}(core: core) }}\n\n",
            text::member(name)
        ));
    }
    for (name, call) in &space_.calls {
        out.push_str(&method(name, call));
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push_str("\n}\n");
}

fn method(name: &str, call: &Call<'_>) -> String {
    let mut out = text::doc(&doc(call), 4);
    out.push_str(&format!("    public func {}(", text::member(name)));
    if !call.arguments.is_empty() {
        let arguments: Vec<String> =
            call.arguments.iter().map(|field| format!("        {}", argument(field))).collect();
        out.push_str(&format!("\n{}\n    ", arguments.join(",\n")));
    }
    out.push_str(") async throws");
    if call.output != Type::Null {
        out.push_str(&format!(" -> {}", annotation(&call.output)));
    }
    let mark = if call.arguments.is_empty() { "let" } else { "var" };
    out.push_str(&format!(" {{\n        {mark} args = core.args()\n"));
    for field in &call.arguments {
        let how = if field.is_required { "give" } else { "offer" };
        out.push_str(&format!(
            "        args.{how}({}, {})\n",
            text::literal(&field.json),
            text::member(&field.json)
        ));
    }
    let sent = format!("try await core.call({}, args", text::literal(&call.operation.name));
    if call.output == Type::Null {
        return out + &format!("        _ = {sent}, JSONValue.self)\n    }}\n");
    }
    out + &format!("        return {sent}, {}.self)\n    }}\n", annotation(&call.output))
}

/// What is left out is nil here; a null of the operation's own is asked for by name.
fn argument(field: &Field) -> String {
    let name = text::member(&field.json);
    if field.is_required {
        return format!("{name}: {}", annotation(&field.ty));
    }
    format!("{name}: {} = nil", optional(&field.ty))
}

fn doc(call: &Call<'_>) -> Vec<String> {
    let mut lines = prose::wrap(&call.operation.doc, 8);
    lines.push(String::new());
    lines.extend(prose::wrap(&prose::notes(call.operation), 8));
    if call.arguments.is_empty() {
        return lines;
    }
    lines.extend([String::new(), "- Parameters:".to_owned()]);
    for field in &call.arguments {
        let mut doc = field.doc.clone();
        let default = field.default.as_ref().filter(|_| !doc.contains("Default") && !field.is_required);
        if let Some(default) = default {
            doc.push_str(&format!(" Default: `{default}`."));
        }
        let item = format!("- {}: {}", text::member(&field.json).trim_matches('`'), doc.trim());
        lines.extend(
            prose::hanging(item.trim(), 10).into_iter().map(|line| format!("  {line}").trim_end().to_owned()),
        );
    }
    lines
}
