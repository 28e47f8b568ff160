//! The Python surface: model classes, decoders, and the blocking and the async operations.
//!
//! The files below write the shapes of the catalogue as Python text. The same catalogue gives the same bytes.

mod codec;
mod examples;
mod models;
mod names;
mod surface;
mod text;
mod types;

use super::shapes::{Language, Surface};
use super::{Catalogue, GeneratedFile};
use crate::failure::Result;

/// Where the generated modules of the package live.
const PACKAGE: &str = "bindings/python/python/neonhub/_generated";

/// How types are named.
const LANGUAGE: Language = Language { name: "Python", taken: &names::TAKEN, most_words: 6 };

/// The files of the Python surface.
pub(crate) fn files(catalogue: &Catalogue) -> Result<Vec<GeneratedFile>> {
    let surface = Surface::read(catalogue, LANGUAGE)?;
    let init = "\"\"\"The surface made from the operation catalogue.\"\"\"\n".to_owned();
    let python = |name: &str, body: String| GeneratedFile::new(format!("{PACKAGE}/{name}.py"), "#", &body);
    Ok(vec![
        python("__init__", init),
        python("models", models::write(&surface.declarations)),
        python("_codec", codec::write(&surface)),
        python("blocking", surface::write(&surface, surface::Mode::Blocking)?),
        python("asynchronous", surface::write(&surface, surface::Mode::Async)?),
        GeneratedFile::new("bindings/python/tests/_inputs.py", "#", &examples::inputs(&surface)),
    ])
}

#[cfg(test)]
mod tests;
