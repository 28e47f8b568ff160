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

/// `display_name` becomes `displayName`.
pub(crate) fn lower_camel(text: &str) -> String {
    let name = camel(text);
    let mut chars = name.chars();
    match (text.chars().next(), chars.next()) {
        (Some(first), Some(_)) if first.is_ascii_lowercase() => format!("{first}{}", chars.as_str()),
        (Some(first), _) if first.is_ascii_digit() => format!("_{}", name.trim_start_matches('N')),
        (_, Some(first)) => format!("{}{}", first.to_ascii_lowercase(), chars.as_str()),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_in_camel_case() {
        assert_eq!(class("Page_for_AuditEntry"), "AuditEntryPage");
        assert_eq!(camel("dm:instagram"), "DmInstagram");
        assert_eq!(lower_camel("display_name"), "displayName");
        assert_eq!((lower_camel("2x"), lower_camel("EUR")), ("_2x".into(), "eUR".into()));
    }
}
