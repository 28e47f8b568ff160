//! Writes the decoders: one function per class, from plain values to the class.

use super::names;
use super::text;
use crate::generate::shapes::{Declaration, Field, Surface, Type};

/// The module of decoders.
pub(super) fn write(surface: &Surface<'_>) -> String {
    let mut body = String::new();
    for declaration in &surface.declarations {
        match declaration {
            Declaration::Words { .. } => {}
            Declaration::Class { name, fields, .. } => body.push_str(&class(name, fields)),
            Declaration::Tagged { name, tag, variants, .. } => body.push_str(&tagged(name, tag, variants)),
            Declaration::Keyed { name, variants, words, .. } => body.push_str(&keyed(name, variants, words)),
        }
    }
    let mut out =
        String::from("\"\"\"From the plain values of the core to the classes of `models`.\"\"\"\n\n");
    out.push_str("from __future__ import annotations\n\nfrom collections.abc import Callable\nfrom typing import TYPE_CHECKING, Any\n\n");
    out.push_str("from .._lazy import Lazy\n");
    // A type may be called like it, and its function then too.
    if body.contains("_instant(") {
        out.push_str("from .._values import instant as _instant\n");
    }
    // The classes are many: they are made when the first answer needs one, not at import.
    out.push_str("\nif TYPE_CHECKING:\n    from . import models as m\nelse:\n    m = Lazy(\"neonhub._generated.models\")\n");
    if !body.contains("Callable") {
        out = out.replace("from collections.abc import Callable\n", "");
    }
    out + &body
}

fn class(name: &str, fields: &[Field]) -> String {
    let function = names::snake(name);
    let mut out = format!("\n\ndef {function}(v: Any) -> m.{name}:\n");
    let members: Vec<&Field> = fields.iter().filter(|field| field.constant.is_none()).collect();
    if members.is_empty() {
        return out + &format!("    return m.{name}()\n");
    }
    out.push_str(&format!("    return m.{name}(\n"));
    let mut fresh = Fresh::default();
    for field in members {
        out.push_str(&format!("        {}={},\n", names::of(field), member(field, &mut fresh)));
    }
    out + "    )\n"
}

fn tagged(name: &str, tag: &str, variants: &[(String, String)]) -> String {
    let table = format!("_{}", names::snake(name).to_ascii_uppercase());
    let mut out = format!("\n\n{table}: dict[str, Callable[[Any], m.{name}]] = {{\n");
    for (word, class) in variants {
        out.push_str(&format!("    {}: lambda v: {}(v),\n", text::literal(word), names::snake(class)));
    }
    out.push_str("}\n");
    out + &format!(
        "\n\ndef {}(v: Any) -> m.{name}:\n    return {table}[v[{}]](v)\n",
        names::snake(name),
        text::literal(tag)
    )
}

fn keyed(name: &str, variants: &[(String, String)], words: &[String]) -> String {
    let mut out = format!("\n\ndef {}(v: Any) -> m.{name}:\n", names::snake(name));
    if !words.is_empty() {
        let ty = super::types::Annotations::default().write(&Type::Words(words.to_vec()));
        out.push_str(&format!("    if isinstance(v, str):\n        word: {ty} = v  # type: ignore[assignment]\n        return word\n"));
    }
    let (last, rest) = match variants.split_last() {
        Some(parts) => parts,
        None => return out + "    raise KeyError(v)\n",
    };
    for (key, class) in rest {
        out.push_str(&format!(
            "    if {} in v:\n        return {}(v)\n",
            text::literal(key),
            names::snake(class)
        ));
    }
    out + &format!("    return {}(v)\n", names::snake(&last.1))
}

/// Names for values in between.
#[derive(Debug, Default)]
pub(super) struct Fresh(u32);

impl Fresh {
    fn name(&mut self) -> String {
        self.0 += 1;
        format!("t{}", self.0)
    }
}

/// The value of a member of the dictionary `v`.
pub(super) fn member(field: &Field, fresh: &mut Fresh) -> String {
    let key = text::literal(&field.json);
    if field.is_required {
        return value(&field.ty, &format!("v[{key}]"), fresh);
    }
    if field.ty.is_plain() {
        let default = field.default.as_ref().map(|default| format!(", {}", text::value(default)));
        return format!("v.get({key}{})", default.unwrap_or_default());
    }
    let (inner, default) = match (&field.ty, &field.default) {
        (Type::Optional(inner), None) => (inner.as_ref(), "None".to_owned()),
        // Only an empty list or map: nothing in it to decode. An instant is a number.
        (Type::Instant, Some(default)) => (&field.ty, format!("_instant({})", text::value(default))),
        (ty, Some(default)) => (ty, text::value(default)),
        (ty, None) => (ty, "None".to_owned()),
    };
    let name = fresh.name();
    format!("{default} if ({name} := v.get({key})) is None else {}", value(inner, &name, fresh))
}

/// The expression that turns a plain value into the type.
pub(super) fn value(ty: &Type, from: &str, fresh: &mut Fresh) -> String {
    if ty.is_plain() {
        return from.to_owned();
    }
    match ty {
        Type::Instant => format!("_instant({from})"),
        Type::Class(name) => format!("{}({from})", names::snake(name)),
        Type::List(item) => {
            let name = fresh.name();
            format!("[{} for {name} in {from}]", value(item, &name, fresh))
        }
        Type::Map(item) => {
            let (key, name) = (fresh.name(), fresh.name());
            format!("{{{key}: {} for {key}, {name} in {from}.items()}}", value(item, &name, fresh))
        }
        Type::Tuple(types) => {
            let items: Vec<String> =
                types.iter().enumerate().map(|(n, ty)| value(ty, &format!("{from}[{n}]"), fresh)).collect();
            format!("({},)", items.join(", "))
        }
        Type::Optional(inner) => {
            let name = fresh.name();
            format!("(None if ({name} := {from}) is None else {})", value(inner, &name, fresh))
        }
        Type::Either(types) => {
            let name = fresh.name();
            let mut out = name.clone();
            for (check, ty) in [("dict", shaped(types)), ("list", listed(types))] {
                if let Some(ty) = ty.filter(|ty| !ty.is_plain()) {
                    out = format!("{} if isinstance({name}, {check}) else {out}", value(ty, &name, fresh));
                }
            }
            format!("[{out} for {name} in [{from}]][0]")
        }
        _ => from.to_owned(),
    }
}

fn shaped(types: &[Type]) -> Option<&Type> {
    types.iter().find(|ty| matches!(ty, Type::Class(_) | Type::Map(_)))
}

fn listed(types: &[Type]) -> Option<&Type> {
    types.iter().find(|ty| matches!(ty, Type::List(_)))
}
