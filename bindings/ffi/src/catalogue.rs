//! The operation catalogue as JSON: what the typed surfaces of the languages are generated from.

use neonhub_core::bus::Item;
use neonhub_core::op::Entry;
use neonhub_core::{ErrorKind, Result};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::hub::builder;

/// Every operation a binding shows, sorted by name, with the error kinds and the types of the event stream.
///
/// # Errors
/// `Config` when two operations have one name.
pub async fn catalogue() -> Result<Value> {
    let hub = builder().store("memory:").build().await?;
    let operations: Vec<Value> = hub.operations().filter(|entry| !entry.internal).map(operation).collect();
    let kinds: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
    let item = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Item>();
    let catalogue = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "error_kinds": kinds,
        "operations": operations,
        "types": { "Item": item },
    });
    hub.close().await?;
    Ok(catalogue)
}

fn operation(entry: &Entry) -> Value {
    let input = (entry.input_schema)();
    let doc = input.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    json!({
        "name": entry.name,
        "doc": doc,
        "input": input,
        "output": (entry.output_schema)(),
        "needs": entry.needs.iter().map(|word| word.word()).collect::<Vec<_>>(),
        "effect": entry.effect.word(),
        "deadline_ms": u64::try_from(entry.deadline.as_millis()).unwrap_or(u64::MAX),
        "errors": entry.errors,
        "examples": (entry.examples)(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn operations_are_sorted_documented_and_public() {
        let catalogue = catalogue().await.unwrap();
        let operations = catalogue["operations"].as_array().unwrap();
        let names: Vec<&str> = operations.iter().map(|o| o["name"].as_str().unwrap()).collect();
        assert!(names.is_sorted() && names.contains(&"scope.whoami"));
        for operation in operations {
            assert_ne!(operation["doc"], "", "{} has no doc", operation["name"]);
            assert_ne!(operation["examples"], json!([]), "{} has no example", operation["name"]);
        }
    }
}
