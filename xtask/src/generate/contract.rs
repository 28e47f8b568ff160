//! Writes the examples of every operation as a contract file for all languages.

use serde_json::{Map, Value, json};

use super::{Catalogue, GeneratedFile, MARK};
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
    let made: Map<String, Value> = catalogue
        .operations
        .iter()
        .map(|o| (o.name.clone(), Value::from(super::examples::made(&o.input))))
        .collect();
    let file =
        json!({ "about": about, "version": catalogue.version, "operations": operations, "made": made });
    Ok(vec![GeneratedFile { path: FILE.to_owned(), text: serde_json::to_string_pretty(&file)? + "\n" }])
}
