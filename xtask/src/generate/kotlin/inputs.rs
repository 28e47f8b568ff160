//! Writes the calls that turn the examples of the contract into arguments of the typed surface, for the Kotlin test.

use std::collections::BTreeSet;

use super::{inner, models, operations, serializer, text};
use crate::generate::shapes::{Field, Surface};

/// The file: for each operation, a call with the arguments of an example.
pub(super) fn write(surface: &Surface<'_>) -> String {
    let mut used = BTreeSet::new();
    let mut body =
        String::from("\ninternal val INPUTS: Map<String, suspend (Operations, Given) -> Unit> = mapOf(\n");
    for call in &surface.calls {
        let path: Vec<String> = call.operation.name.split('.').map(text::member).collect();
        let arguments: String = call.arguments.iter().map(argument).collect();
        let arguments = if arguments.is_empty() { arguments } else { format!("\n{arguments}    ") };
        let given = if arguments.is_empty() { "_" } else { "given" };
        let name = text::literal(&call.operation.name);
        body.push_str(&format!("    {name} to {{ hub, {given} -> hub.{}({arguments}) }},\n", path.join(".")));
        call.arguments.iter().for_each(|field| models::named(&field.ty, &mut used));
    }
    body.push_str(")\n");
    operations::imports("ai.neonhub", "import ai.neonhub.operations.Operations\n", &body, &used) + &body
}

fn argument(field: &Field) -> String {
    let (name, json) = (text::member(&field.json), text::literal(&field.json));
    if field.is_required {
        return format!("        {name} = given.need({json}, {}),\n", serializer(&field.ty));
    }
    format!("        {name} = given.may({json}, {}),\n", serializer(inner(&field.ty)))
}
