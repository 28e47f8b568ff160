//! Names in Python's case, clear of its keywords.

use crate::generate::shapes::Field;

/// Words that no name can be (Python 3.14 language reference, keywords).
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Names that generated modules import: no class may take them.
pub(super) const TAKEN: [&str; 10] = [
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

/// The member or argument of a field.
pub(super) fn of(field: &Field) -> String {
    member(&field.json)
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
        assert_eq!(snake("AuditEntryPage"), "audit_entry_page");
        assert_eq!(snake("UTMLink"), "utm_link");
        assert_eq!(
            (member("import"), member("from"), member("2x")),
            ("import_".into(), "from_".into(), "_2x".into())
        );
    }
}
