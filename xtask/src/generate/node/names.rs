//! Names in JavaScript's case.

use crate::failure::{Failure, Result};
use crate::generate::names::camel;
use crate::generate::shapes::{Call, Field};

/// Names of the language and of the package that no declared type may take.
pub(super) const TAKEN: [&str; 24] = [
    "Array",
    "CallOptions",
    "Connector",
    "Core",
    "Date",
    "Delivery",
    "Error",
    "Fault",
    "Hub",
    "Map",
    "ModelAnswer",
    "ModelFunction",
    "ModelRequest",
    "ModelSettings",
    "Object",
    "OpenOptions",
    "Operations",
    "OutgoingMessage",
    "Promise",
    "Record",
    "Stream",
    "Tool",
    "ToolCall",
    "ZodSchema",
];

/// A member or method: `landing_url` becomes `landingUrl`.
pub(super) fn member(word: &str) -> String {
    let name = camel(word);
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_lowercase().to_string() + chars.as_str()).unwrap_or_default()
}

/// The interface of an operation's input.
pub(super) fn input(call: &Call<'_>) -> String {
    format!("{}Input", camel(&call.operation.name))
}

/// Two members of one type may not become one.
pub(super) fn distinct(place: &str, fields: &[Field]) -> Result<()> {
    for (n, field) in fields.iter().enumerate() {
        let name = member(&field.json);
        if fields.iter().skip(n + 1).any(|other| member(&other.json) == name) {
            return Err(Failure::new(format!("{place} would have two members {name} in TypeScript")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_javascripts_case() {
        assert_eq!(member("landing_url"), "landingUrl");
        assert_eq!(member("content_base64"), "contentBase64");
        assert_eq!((member("id"), member("import")), ("id".to_owned(), "import".to_owned()));
    }
}
