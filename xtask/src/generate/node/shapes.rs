//! Writes the table of shapes: for every class its members in JSON's spelling and in JavaScript's.

use super::{names, text};
use crate::generate::shapes::{Declaration, Field, Surface, Type};

/// The module of the table.
pub(super) fn write(surface: &Surface<'_>) -> String {
    let mut out = String::from(
        "/** Members of every type: name in JSON, name here, shape, and what stands for one that is not there. */\n\n\
         import type { Declared } from '../values.js';\n\n\
         export const SHAPES: Readonly<Record<string, Declared>> = {\n",
    );
    for declaration in &surface.declarations {
        match declaration {
            Declaration::Words { .. } => {}
            Declaration::Class { name, fields, .. } => out.push_str(&class(name, fields)),
            Declaration::Tagged { name, tag, variants, .. } => {
                let by = format!("[{}, {}]", text::literal(tag), text::literal(&names::member(tag)));
                out.push_str(&format!("  {name}: {{ by: {by}, of: {} }},\n", table(variants)));
            }
            Declaration::Keyed { name, variants, .. } => {
                out.push_str(&format!("  {name}: {{ only: {} }},\n", table(variants)));
            }
        }
    }
    for call in &surface.calls {
        out.push_str(&class(&names::input(call), &call.arguments));
    }
    out + "};\n"
}

fn table(variants: &[(String, String)]) -> String {
    let pairs: Vec<String> = variants
        .iter()
        .map(|(word, class)| format!("{}: {}", text::literal(word), text::literal(class)))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn class(name: &str, fields: &[Field]) -> String {
    let members: String = fields.iter().map(|field| format!("    {},\n", member(field))).collect();
    if members.is_empty() { format!("  {name}: [],\n") } else { format!("  {name}: [\n{members}  ],\n") }
}

fn member(field: &Field) -> String {
    let (wire, here) = (text::literal(&field.json), text::literal(&names::member(&field.json)));
    let shape = shape(&field.ty);
    if field.is_required {
        return format!("[{wire}, {here}, {shape}]");
    }
    let fill = field.default.as_ref().map_or_else(|| "null".to_owned(), ToString::to_string);
    format!("[{wire}, {here}, {shape}, {fill}]")
}

/// The shape of a type, as `values.ts` reads it.
pub(super) fn shape(ty: &Type) -> String {
    if ty.is_plain() {
        return "0".to_owned();
    }
    match ty {
        Type::Instant => "1".to_owned(),
        Type::Class(name) => text::literal(name),
        Type::List(item) => format!("{{ l: {} }}", shape(item)),
        Type::Map(item) => format!("{{ m: {} }}", shape(item)),
        Type::Optional(inner) => shape(inner),
        Type::Tuple(types) => {
            format!("{{ p: [{}] }}", types.iter().map(shape).collect::<Vec<_>>().join(", "))
        }
        Type::Either(types) => {
            let find =
                |is: fn(&Type) -> bool| types.iter().find(|ty| is(ty)).map_or_else(|| "0".to_owned(), shape);
            let object = find(|ty| matches!(ty, Type::Class(_) | Type::Map(_)));
            format!("{{ e: [{object}, {}] }}", find(|ty| matches!(ty, Type::List(_))))
        }
        _ => "0".to_owned(),
    }
}
