//! The Swift surface: `Codable` structs and enums, the async operations, and the error.
//!
//! The files below write the shapes of the catalogue as Swift text. The same catalogue gives the same bytes.

mod errors;
mod models;
mod operations;
mod text;

use super::shapes::{Language, Surface, Type};
use super::{Catalogue, GeneratedFile};
use crate::failure::Result;

/// Where the generated sources of the package live.
const SOURCES: &str = "bindings/mobile/swift/Sources/NeonHub/Generated";

/// How types are named: every list of words is an enum, so every one gets a name.
const LANGUAGE: Language = Language { name: "Swift", taken: &text::TAKEN, most_words: 0 };

/// The files of the Swift surface.
pub(crate) fn files(catalogue: &Catalogue) -> Result<Vec<GeneratedFile>> {
    let surface = Surface::read(catalogue, LANGUAGE)?;
    let file = |name: &str, body: &str| GeneratedFile::new(format!("{SOURCES}/{name}.swift"), "//", body);
    Ok(vec![
        file("Models", &models::write(&surface.declarations)?),
        file("Operations", &operations::write(&surface)?),
        file("NeonHubError", &errors::write(&catalogue.error_kinds)),
    ])
}

/// How a type is written.
fn annotation(ty: &Type) -> String {
    match ty {
        Type::Any | Type::Null | Type::Tuple(_) | Type::Either(_) => "JSONValue".to_owned(),
        Type::Bool => "Bool".to_owned(),
        Type::Int => "Int".to_owned(),
        Type::Float => "Double".to_owned(),
        Type::Str | Type::Words(_) => "String".to_owned(),
        Type::Instant => "Date".to_owned(),
        Type::List(item) => format!("[{}]", annotation(item)),
        Type::Map(item) => format!("[String: {}]", annotation(item)),
        Type::Optional(inner) => format!("{}?", annotation(inner)),
        Type::Class(name) | Type::Alias(name) => name.clone(),
    }
}

/// The type of a member that may be left out and has no default.
fn optional(ty: &Type) -> String {
    format!("{}?", annotation(ty).trim_end_matches('?'))
}

#[cfg(test)]
mod tests;
