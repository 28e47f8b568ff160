//! Writes the examples of every operation, and inputs made from its schema, as a contract file for all languages.

use serde_json::{Map, Value, json};

use super::{Catalogue, GeneratedFile, MARK, examples};
use crate::failure::Result;

/// Where it is.
const FILE: &str = "tests/contract/examples.json";

/// The contract file. JSON has no comments, so the mark is a value.
pub(crate) fn files(catalogue: &Catalogue) -> Result<Vec<GeneratedFile>> {
    let operations: Map<String, Value> =
        catalogue.operations.iter().map(|o| (o.name.clone(), Value::from(o.examples.clone()))).collect();
    let about = format!(
        "{MARK}; do not edit. Inputs that every language must carry to the core unchanged; see README.md."
    );
    let made = catalogue.operations.iter().map(|o| (o.name.clone(), Value::from(examples::made(&o.input))));
    let made: Map<String, Value> = made.collect();
    let file =
        json!({ "about": about, "version": catalogue.version, "operations": operations, "made": made });
    Ok(vec![GeneratedFile { path: FILE.to_owned(), text: serde_json::to_string_pretty(&file)? + "\n" }])
}
