//! Names that are written alike in every language.

/// A class from the name of a Rust type: `Page_for_AuditEntry` becomes `AuditEntryPage`.
pub(crate) fn class(title: &str) -> String {
    match title.split_once("_for_") {
        Some((outer, inner)) => inner.split("_and_").map(class).collect::<String>() + &class(outer),
        None => camel(title),
    }
}

/// `dm:instagram` becomes `DmInstagram`; capitals inside a word stay.
pub(crate) fn camel(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_in_camel_case() {
        assert_eq!(class("Page_for_AuditEntry"), "AuditEntryPage");
        assert_eq!(camel("dm:instagram"), "DmInstagram");
    }
}
