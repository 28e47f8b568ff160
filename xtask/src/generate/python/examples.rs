//! Writes the readers that turn the examples of the contract into arguments of the typed surface, for the Python test.

use super::codec::{Fresh, member};
use super::surface::qualified;
use super::{names, text};
use crate::generate::shapes::{Surface, Type};

/// The readers: for each operation, a function from an example to keyword arguments.
pub(super) fn inputs(surface: &Surface<'_>) -> String {
    let mut body = String::new();
    let mut table = String::from("\n\nINPUTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {\n");
    for call in &surface.calls {
        let function = call.operation.name.replace(['.', '-'], "_");
        body.push_str(&format!("\n\ndef {function}(v: dict[str, Any]) -> dict[str, Any]:\n"));
        if call.arguments.is_empty() {
            body.push_str("    assert not v\n    return {}\n");
        } else {
            body.push_str("    given: dict[str, Any] = {}\n");
        }
        let mut fresh = Fresh::default();
        for field in &call.arguments {
            let mut given = field.clone();
            given.is_required = true;
            if !field.is_required && !matches!(given.ty, Type::Optional(_)) {
                given.ty = given.ty.optional();
            }
            let key = text::literal(&field.json);
            let read = qualified(&member(&given, &mut fresh), &given.ty);
            body.push_str(&format!(
                "    if {key} in v:\n        given[{}] = {read}\n",
                text::literal(&names::of(field))
            ));
        }
        if !call.arguments.is_empty() {
            body.push_str("    return given\n");
        }
        table.push_str(&format!("    {}: {function},\n", text::literal(&call.operation.name)));
    }
    let mut out =
        String::from("\"\"\"Examples of every operation as arguments of the typed surface.\"\"\"\n\n");
    out.push_str("from __future__ import annotations\n\nfrom collections.abc import Callable\nfrom typing import Any\n");
    let mut imports = String::new();
    if body.contains("c.") {
        imports.push_str("from neonhub._generated import _codec as c\n");
    }
    if body.contains("_instant(") {
        imports.push_str("from neonhub._values import instant as _instant\n");
    }
    if !imports.is_empty() {
        out.push('\n');
    }
    out + &imports + &body + &table + "}\n"
}
