//! The TypeScript surface: interfaces, the operations, the error classes, and the table of shapes that carries values
//! between JSON's names and those of JavaScript.

mod errors;
mod forms;
mod models;
mod names;
mod operations;
mod shapes;
mod text;

use super::shapes::{Language, Surface};
use super::{Catalogue, GeneratedFile};
use crate::failure::Result;
use forms::Forms;

/// Where the generated modules of the package live.
const PACKAGE: &str = "bindings/node/ts/generated";

/// How types are named.
const LANGUAGE: Language = Language { name: "TypeScript", taken: &names::TAKEN, most_words: 6 };

/// The files of the TypeScript surface.
pub(crate) fn files(catalogue: &Catalogue) -> Result<Vec<GeneratedFile>> {
    let surface = Surface::read(catalogue, LANGUAGE)?;
    let forms = Forms::of(&surface)?;
    let file = |name: &str, body: String| GeneratedFile::new(format!("{PACKAGE}/{name}.ts"), "//", &body);
    Ok(vec![
        file("errors", errors::write(catalogue)),
        file("models", models::write(&surface, &forms)?),
        file("operations", operations::write(&surface, &forms)?),
        file("shapes", shapes::write(&surface)),
    ])
}

#[cfg(test)]
mod tests;
