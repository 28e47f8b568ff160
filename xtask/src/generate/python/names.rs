//! Names in Python's case, clear of its keywords.

/// Words that no name can be (Python 3.14 language reference, keywords).
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Names that generated modules import: no class may take them.
const TAKEN: [&str; 10] = [
    "Any",
    "Literal",
    "Mapping",
    "OMIT",
    "Omit",
    "Sequence",
    "TypeAlias",
    "dataclass",
    "dataclasses",
    "datetime",
];

/// Built-in types that annotations use.
pub(super) const BUILTINS: [&str; 7] = ["bool", "dict", "float", "int", "list", "str", "tuple"];

/// A member, argument, method or namespace: `import` becomes `import_`.
pub(super) fn member(word: &str) -> String {
    let mut name: String =
        word.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    if KEYWORDS.contains(&name.as_str()) || name == "self" {
        name.push('_');
    }
    name
}

/// A class from the name of a Rust type: `Page_for_AuditEntry` becomes `AuditEntryPage`.
pub(super) fn class(title: &str) -> String {
    let name = match title.split_once("_for_") {
        Some((outer, inner)) => inner.split("_and_").map(class).collect::<String>() + &class(outer),
        None => camel(title),
    };
    if TAKEN.contains(&name.as_str()) { format!("{name}_") } else { name }
}

/// `dm:instagram` becomes `DmInstagram`; capitals inside a word stay.
pub(super) fn camel(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut out = String::new();
    for word in words {
        let mut chars = word.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(chars.as_str());
    }
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, 'N');
    }
    out
}

/// `AuditEntryPage` becomes `audit_entry_page`.
pub(super) fn snake(class: &str) -> String {
    let chars: Vec<char> = class.chars().collect();
    let mut out = String::new();
    for (n, c) in chars.iter().enumerate() {
        let before = n.checked_sub(1).and_then(|n| chars.get(n));
        let after = chars.get(n + 1);
        let starts_word = c.is_ascii_uppercase()
            && before.is_some_and(|b| !b.is_ascii_uppercase() || after.is_some_and(char::is_ascii_lowercase));
        if starts_word && before != Some(&'_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    member(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_pythons_case() {
        assert_eq!(class("Page_for_AuditEntry"), "AuditEntryPage");
        assert_eq!(class("Any"), "Any_");
        assert_eq!(camel("dm:instagram"), "DmInstagram");
        assert_eq!(snake("AuditEntryPage"), "audit_entry_page");
        assert_eq!(snake("UTMLink"), "utm_link");
        assert_eq!(
            (member("import"), member("from"), member("2x")),
            ("import_".into(), "from_".into(), "_2x".into())
        );
    }
}
