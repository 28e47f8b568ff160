//! Writes the interfaces.

use super::forms::{Forms, Side};
use super::{names, text};
use crate::failure::Result;
use crate::generate::prose::{hanging, wrap};
use crate::generate::shapes::{Declaration, Field, Surface, Type};

/// The module of all named types, and of the input of every operation.
pub(super) fn write(surface: &Surface<'_>, forms: &Forms) -> Result<String> {
    let mut out = String::from(
        "/** What operations take and answer. Members that an answer does not have are `null`; money is in minor units. */\n",
    );
    for declaration in &surface.declarations {
        for side in forms.sides(declaration.name()) {
            out.push('\n');
            out.push_str(&one(declaration, forms, side)?);
        }
    }
    for call in &surface.calls {
        let name = names::input(call);
        let doc = format!("Input of `{}`.", call.operation.name);
        out.push('\n');
        out.push_str(&interface(&name, &doc, &call.arguments, forms, Side::Input)?);
    }
    Ok(out)
}

fn one(declaration: &Declaration, forms: &Forms, side: Side) -> Result<String> {
    let name = forms.name(declaration.name(), side);
    Ok(match declaration {
        Declaration::Words { doc, words, .. } => words_type(&name, doc, words),
        Declaration::Class { doc, fields, .. } => interface(&name, doc, fields, forms, side)?,
        Declaration::Tagged { doc, variants, tag, .. } => {
            let mut lines = wrap(doc, 0);
            lines.push(String::new());
            lines.push(format!("One of these; `{}` tells which.", names::member(tag)));
            let types: Vec<String> = variants.iter().map(|(_, class)| forms.name(class, side)).collect();
            union(&name, &lines, &types)
        }
        Declaration::Keyed { doc, words, variants, .. } => {
            let words = words.iter().map(|word| text::literal(word));
            let types: Vec<String> =
                words.chain(variants.iter().map(|(_, class)| forms.name(class, side))).collect();
            union(&name, &wrap(doc, 0), &types)
        }
    })
}

fn union(name: &str, doc: &[String], types: &[String]) -> String {
    let types: String = types.iter().map(|ty| format!("\n  | {ty}")).collect();
    format!("{}export type {name} ={types};\n", text::doc(doc, 0))
}

fn words_type(name: &str, doc: &str, words: &[(String, String)]) -> String {
    let mut lines = wrap(doc, 0);
    if words.iter().any(|(_, doc)| !doc.is_empty()) {
        lines.push(String::new());
        for (word, doc) in words {
            lines.extend(hanging(&format!("- `{word}`: {doc}"), 0));
        }
    }
    let words: Vec<String> = words.iter().map(|(word, _)| text::literal(word)).collect();
    union(name, &lines, &words)
}

fn interface(name: &str, doc: &str, fields: &[Field], forms: &Forms, side: Side) -> Result<String> {
    names::distinct(name, fields)?;
    let doc = text::doc(&wrap(doc, 0), 0);
    if fields.is_empty() {
        return Ok(format!("{doc}export type {name} = Record<string, never>;\n"));
    }
    let mut out = format!("{doc}export interface {name} {{\n");
    for field in fields {
        out.push_str(&text::doc(&wrap(&documented(field, side), 2), 2));
        out.push_str(&format!("  {};\n", forms.member(field, side)));
    }
    Ok(out + "}\n")
}

fn documented(field: &Field, side: Side) -> String {
    let mut doc = field.doc.clone();
    let default = field.default.as_ref().filter(|_| side == Side::Input && !doc.contains("Default"));
    if let (Some(default), false) = (default, matches!(field.ty, Type::Class(_))) {
        doc.push_str(&format!(" Default: `{default}`."));
    }
    doc.trim().to_owned()
}
