//! Swift names, literals and doc comments.

use serde_json::Value;

use crate::generate::names;
use crate::generate::shapes::Type;

/// Reserved words (The Swift Programming Language 6.2, lexical structure): they stand in backticks.
const KEYWORDS: [&str; 52] = [
    "as",
    "associatedtype",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "continue",
    "default",
    "defer",
    "deinit",
    "do",
    "else",
    "enum",
    "extension",
    "fallthrough",
    "false",
    "fileprivate",
    "for",
    "func",
    "guard",
    "if",
    "import",
    "in",
    "init",
    "inout",
    "internal",
    "is",
    "let",
    "nil",
    "operator",
    "precedencegroup",
    "private",
    "protocol",
    "public",
    "repeat",
    "rethrows",
    "return",
    "self",
    "static",
    "struct",
    "subscript",
    "super",
    "switch",
    "throw",
    "throws",
    "true",
    "try",
    "typealias",
    "var",
    "where",
    "while",
];

/// Names that generated files and their language use: no type may take them.
pub(super) const TAKEN: [&str; 25] = [
    "Any",
    "Args",
    "Array",
    "Bool",
    "Codable",
    "Core",
    "Data",
    "Date",
    "Decoder",
    "Dictionary",
    "Double",
    "Encoder",
    "Error",
    "Hub",
    "Int",
    "JSONValue",
    "NeonHubError",
    "Never",
    "Optional",
    "Protocol",
    "Result",
    "Set",
    "String",
    "Task",
    "Type",
];

/// A member, argument, method or namespace.
pub(super) fn member(word: &str) -> String {
    let name = names::lower_camel(word);
    if KEYWORDS.contains(&name.as_str()) { format!("`{name}`") } else { name }
}

/// A case of an enum.
pub(super) fn case(word: &str) -> String {
    if word.is_empty() { "empty".to_owned() } else { member(word) }
}

/// A string literal. Of the escapes of JSON, Swift writes some in another way.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

/// A default of the schema as an expression of the type; nothing where it has no literal.
pub(super) fn value(ty: &Type, value: &Value) -> Option<String> {
    Some(match (ty, value) {
        (Type::Optional(inner), value) => return self::value(inner, value),
        (Type::List(item), Value::Array(items)) => {
            let items: Option<Vec<String>> = items.iter().map(|one| self::value(item, one)).collect();
            format!("[{}]", items?.join(", "))
        }
        (Type::Map(_), Value::Object(map)) if map.is_empty() => "[:]".to_owned(),
        (Type::Bool, Value::Bool(flag)) => flag.to_string(),
        (Type::Int, Value::Number(number)) => number.to_string(),
        (Type::Float, Value::Number(number)) => format!("{:?}", number.as_f64()?),
        (Type::Instant, Value::Number(number)) => {
            format!("Date(timeIntervalSince1970: {:?})", number.as_f64()? / 1000.0)
        }
        (Type::Str | Type::Words(_), Value::String(text)) => literal(text),
        (Type::Alias(_), Value::String(word)) => format!(".{}", case(word)),
        _ => return None,
    })
}

/// A doc comment at an indent, with its line end. Empty text gives nothing.
pub(super) fn doc(lines: &[String], indent: usize) -> String {
    let pad = " ".repeat(indent);
    lines.iter().map(|line| format!("{}\n", format!("{pad}/// {line}").trim_end())).collect()
}
