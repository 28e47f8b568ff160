//! The Kotlin surface: data classes, sealed types and enums, the suspending operations, and the exceptions.
//!
//! The files below write the shapes of the catalogue as Kotlin text. The same catalogue gives the same bytes.

mod errors;
mod inputs;
mod models;
mod operations;
mod text;

use super::shapes::{Language, Surface, Type};
use super::{Catalogue, GeneratedFile};
use crate::failure::Result;

/// Where the generated sources of the artifact live.
const SOURCES: &str = "bindings/mobile/kotlin/src";

/// How types are named: every list of words is an enum, so every one gets a name.
const LANGUAGE: Language = Language { name: "Kotlin", taken: &text::TAKEN, most_words: 0 };

/// The files of the Kotlin surface.
pub(crate) fn files(catalogue: &Catalogue) -> Result<Vec<GeneratedFile>> {
    let surface = Surface::read(catalogue, LANGUAGE)?;
    let file = |path: &str, body: &str| GeneratedFile::new(format!("{SOURCES}/{path}.kt"), "//", body);
    Ok(vec![
        file("main/generated/ai/neonhub/models/Models", &models::write(&surface.declarations)?),
        file("main/generated/ai/neonhub/operations/Operations", &operations::write(&surface)?),
        file("main/generated/ai/neonhub/NeonHubException", &errors::write(&catalogue.error_kinds)),
        file("test/generated/ai/neonhub/Inputs", &inputs::write(&surface)),
    ])
}

/// How a type is written.
fn annotation(ty: &Type) -> String {
    match ty {
        Type::Any | Type::Tuple(_) | Type::Either(_) => "JsonElement".to_owned(),
        Type::Null => "Unit".to_owned(),
        Type::Bool => "Boolean".to_owned(),
        Type::Int => "Long".to_owned(),
        Type::Float => "Double".to_owned(),
        Type::Str | Type::Words(_) => "String".to_owned(),
        Type::Instant => "Instant".to_owned(),
        Type::List(item) => format!("List<{}>", annotation(item)),
        Type::Map(item) => format!("Map<String, {}>", annotation(item)),
        Type::Optional(inner) => format!("{}?", annotation(inner)),
        Type::Class(name) | Type::Alias(name) => name.clone(),
    }
}

/// The expression of a type's serializer.
fn serializer(ty: &Type) -> String {
    match ty {
        Type::Instant => "InstantSerializer".to_owned(),
        Type::List(item) => format!("ListSerializer({})", serializer(item)),
        Type::Map(item) => format!("MapSerializer(String.serializer(), {})", serializer(item)),
        Type::Optional(inner) => format!("{}.nullable", serializer(inner)),
        other => format!("{}.serializer()", annotation(other)),
    }
}

/// A type without the null.
fn inner(ty: &Type) -> &Type {
    match ty {
        Type::Optional(inner) => inner,
        other => other,
    }
}

#[cfg(test)]
mod tests;
