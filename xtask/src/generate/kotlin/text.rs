//! Kotlin names, literals and KDoc.

use serde_json::Value;

use crate::generate::shapes::Type;
use crate::generate::{names, prose};

/// Hard keywords (Kotlin 2.4 language reference): they stand in backticks.
const KEYWORDS: [&str; 28] = [
    "as",
    "break",
    "class",
    "continue",
    "do",
    "else",
    "false",
    "for",
    "fun",
    "if",
    "in",
    "interface",
    "is",
    "null",
    "object",
    "package",
    "return",
    "super",
    "this",
    "throw",
    "true",
    "try",
    "typealias",
    "typeof",
    "val",
    "var",
    "when",
    "while",
];

/// Names that generated files use: no type may take them.
pub(super) const TAKEN: [&str; 14] = [
    "Any",
    "Boolean",
    "Core",
    "Double",
    "Enum",
    "Instant",
    "JsonElement",
    "List",
    "Long",
    "Map",
    "Serializable",
    "SerialName",
    "String",
    "Unit",
];

/// A member, argument, method or namespace.
pub(super) fn member(word: &str) -> String {
    let name = names::lower_camel(word);
    if KEYWORDS.contains(&name.as_str()) { format!("`{name}`") } else { name }
}

/// The entry of an enum.
pub(super) fn entry(word: &str) -> String {
    let name = names::camel(word);
    if name.is_empty() { "Empty".to_owned() } else { name }
}

/// A string literal. The escapes of JSON are escapes of Kotlin; a template sign is escaped too.
pub(super) fn literal(text: &str) -> String {
    Value::from(text).to_string().replace("\\f", "\\u000c").replace('$', "\\$")
}

/// A default of the schema as an expression of the type; nothing where it has no literal.
pub(super) fn value(ty: &Type, value: &Value) -> Option<String> {
    Some(match (ty, value) {
        (Type::Optional(inner), value) => return self::value(inner, value),
        (Type::List(_), Value::Array(items)) if items.is_empty() => "emptyList()".to_owned(),
        (Type::List(item), Value::Array(items)) => {
            let items: Option<Vec<String>> = items.iter().map(|one| self::value(item, one)).collect();
            format!("listOf({})", items?.join(", "))
        }
        (Type::Map(_), Value::Object(map)) if map.is_empty() => "emptyMap()".to_owned(),
        (Type::Bool, Value::Bool(flag)) => flag.to_string(),
        (Type::Int, Value::Number(number)) => format!("{number}L"),
        (Type::Float, Value::Number(number)) => format!("{:?}", number.as_f64()?),
        (Type::Instant, Value::Number(number)) => format!("Instant.ofEpochMilli({number}L)"),
        (Type::Str | Type::Words(_), Value::String(text)) => literal(text),
        (Type::Alias(name), Value::String(word)) => format!("{name}.{}", entry(word)),
        _ => return None,
    })
}

/// KDoc at an indent, with its line end. Empty text gives nothing.
pub(super) fn doc(lines: &[String], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let safe = |line: &String| line.replace("*/", "* /").replace("/*", "/ *");
    match lines {
        [] => String::new(),
        [line] => format!("{pad}/** {} */\n", safe(line)),
        lines => {
            let mut out = format!("{pad}/**\n");
            for line in lines {
                out.push_str(format!("{pad} * {}", safe(line)).trim_end());
                out.push('\n');
            }
            out + &pad + " */\n"
        }
    }
}

/// A tag of KDoc, such as a parameter.
pub(super) fn tag(word: &str, name: &str, text: &str) -> Vec<String> {
    prose::hanging(&format!("@{word} {name} {text}"), 7)
}
