//! Writes the operations: a class per namespace.

use std::collections::BTreeSet;

use super::forms::{Forms, Side, references};
use super::{names, shapes, text};
use crate::failure::{Failure, Result};
use crate::generate::names::camel;
use crate::generate::prose::{notes, wrap};
use crate::generate::shapes::{Call, Surface};
use crate::generate::spaces::Space;

/// Names of the hub itself, which no namespace may take.
const HUB: [&str; 15] = [
    "addConnector",
    "addModel",
    "addTool",
    "native",
    "removeTool",
    "close",
    "closed",
    "constructor",
    "events",
    "inWorkspace",
    "open",
    "operations",
    "progress",
    "putBlob",
    "withOptions",
];

/// The module of the operations.
pub(super) fn write(surface: &Surface<'_>, forms: &Forms) -> Result<String> {
    let root = Space::of(surface)?;
    let mut top = root.spaces.keys().chain(root.calls.keys());
    if let Some(taken) = top.find(|name| HUB.contains(&names::member(name).as_str())) {
        let message = format!("the namespace {taken} hides a member of the hub in TypeScript: rename it");
        return Err(Failure::new(message));
    }
    let mut body = String::new();
    space(&root, "", forms, &mut body);
    let mut models: BTreeSet<String> = BTreeSet::new();
    for call in &surface.calls {
        models.insert(names::input(call));
        models.extend(references(&call.output).map(|name| forms.name(name, Side::Answer)));
    }
    let models: String = models.iter().map(|name| format!("  {name},\n")).collect();
    Ok(format!(
        "/** The operations, by namespace. */\n\n\
         import type {{ CallOptions, Core }} from '../bridge.js';\n\
         import type {{\n{models}}} from './models.js';\n{body}"
    ))
}

fn class_name(path: &str) -> String {
    format!("{}Operations", camel(path))
}

fn space(space_: &Space<'_>, path: &str, forms: &Forms, out: &mut String) {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, below) in &space_.spaces {
        space(below, &inner(name), forms, out);
    }
    let doc = if path.is_empty() {
        "All operations, by namespace.".to_owned()
    } else {
        format!("Operations of `{path}`.")
    };
    let class = class_name(path);
    out.push_str(&format!(
        "\n/** {doc} */\nexport class {class} {{\n  readonly #core: Core;\n\n  /** @internal */\n  \
         constructor(core: Core) {{\n    this.#core = core;\n  }}\n"
    ));
    for name in space_.spaces.keys() {
        let path = inner(name);
        let class = class_name(&path);
        out.push_str(&format!(
            "\n  /** Operations of `{path}`. */\n  get {}(): {class} {{\n    return new {class}(this.#core);\n  }}\n",
            names::member(name)
        ));
    }
    for (name, call) in &space_.calls {
        out.push_str(&method(name, call, forms));
    }
    out.push_str("}\n");
}

fn method(name: &str, call: &Call<'_>, forms: &Forms) -> String {
    let input = names::input(call);
    let mut lines = wrap(&call.operation.doc, 2);
    lines.push(String::new());
    lines.extend(wrap(&notes(call.operation), 2));
    let is_bare = call.arguments.iter().all(|field| !field.is_required);
    let given = if is_bare { " = {}" } else { "" };
    let answer = match forms.write(&call.output, Side::Answer) {
        nothing if nothing == "null" => "void".to_owned(),
        answer => answer,
    };
    format!(
        "\n{doc}  {method}(input: {input}{given}, options?: CallOptions): Promise<{answer}> {{\n    \
         return this.#core.call({wire}, input, '{input}', {gives}, options);\n  }}\n",
        doc = text::doc(&lines, 2),
        method = names::member(name),
        wire = text::literal(&call.operation.name),
        gives = shapes::shape(&call.output),
    )
}
