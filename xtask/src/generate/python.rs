//! The Python surface: model classes, decoders, and the blocking and the async operations.
//!
//! `schema` reads the JSON Schemas of the catalogue into the small set of shapes in `types`; the other files write
//! those shapes as Python text. The same catalogue gives the same bytes.

mod codec;
mod definitions;
mod examples;
mod models;
mod names;
mod schema;
mod surface;
mod text;
mod types;

use super::{Catalogue, GeneratedFile};
use crate::failure::Result;
use schema::Registry;
use types::{Arguments, Declaration, Type};

/// Where the generated modules of the package live.
const PACKAGE: &str = "bindings/python/python/neonhub/_generated";

/// One operation with its types read.
#[derive(Debug)]
struct Call<'a> {
    operation: &'a super::catalogue::Operation,
    arguments: Arguments,
    output: Type,
}

/// Everything that is written.
#[derive(Debug)]
struct Surface<'a> {
    calls: Vec<Call<'a>>,
    declarations: Vec<Declaration>,
}

/// The files of the Python surface, and the file of examples that every language runs.
pub(crate) fn files(catalogue: &Catalogue) -> Result<Vec<GeneratedFile>> {
    let mut registry = Registry::new(catalogue)?;
    let mut calls = Vec::new();
    for operation in &catalogue.operations {
        let arguments = registry.arguments(operation)?;
        let output = registry.output(operation)?;
        calls.push(Call { operation, arguments, output });
    }
    for name in catalogue.types.keys() {
        registry.extra(name)?;
    }
    let surface = Surface { calls, declarations: registry.into_declarations() };
    let init = "\"\"\"The surface made from the operation catalogue.\"\"\"\n".to_owned();
    let python = |name: &str, body: String| GeneratedFile::new(format!("{PACKAGE}/{name}.py"), "#", &body);
    Ok(vec![
        python("__init__", init),
        python("models", models::write(&surface.declarations)),
        python("_codec", codec::write(&surface)),
        python("blocking", surface::write(&surface, surface::Mode::Blocking)?),
        python("asynchronous", surface::write(&surface, surface::Mode::Async)?),
        GeneratedFile::new("bindings/python/tests/_inputs.py", "#", &examples::inputs(&surface)),
        examples::contract(catalogue)?,
    ])
}

#[cfg(test)]
mod tests;
