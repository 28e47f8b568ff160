//! Front matter of Markdown files: the simple part of YAML (`---`) and TOML (`+++`) that people write there.

/// Key and value pairs of the front matter, and the byte where the document starts.
///
/// Scalars, quoted strings, inline lists and block lists are read; lists are joined by `, `. Nested maps are
/// left out, since a document's metadata here is flat.
pub(crate) fn split(text: &str) -> (Vec<(String, String)>, usize) {
    for (mark, sign) in [("---", ':'), ("+++", '=')] {
        if let Some(end) = fenced(text, mark) {
            return (pairs(text.get(mark.len()..end.0).unwrap_or_default(), sign), end.1);
        }
    }
    (Vec::new(), 0)
}

/// Byte range of the fence that closes the front matter.
fn fenced(text: &str, mark: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let is_mark = line.trim_end() == mark || (n > 0 && mark == "---" && line.trim_end() == "...");
        match (n, is_mark) {
            (0, false) => return None,
            (0, true) => {}
            (_, true) => return Some((at, at + line.len())),
            // Front matter is a page at most; a rule at the top of a long text is no front matter.
            (n, false) if n > 200 => return None,
            _ => {}
        }
        at += line.len();
    }
    None
}

fn pairs(body: &str, sign: char) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    let mut is_open = false;
    for line in body.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if let Some(item) = trimmed.strip_prefix("- ") {
            if let (true, Some((_, value))) = (is_open, out.last_mut()) {
                if !value.is_empty() {
                    value.push_str(", ");
                }
                value.push_str(&scalar(item));
            }
            continue;
        }
        let is_nested = line.starts_with([' ', '\t']);
        if let (false, Some((key, value))) = (is_nested, trimmed.split_once(sign)) {
            let value = value.trim();
            is_open = value.is_empty();
            out.push((scalar(key), list_or_scalar(value)));
        }
    }
    out.retain(|(key, value)| !key.is_empty() && !value.is_empty());
    out
}

fn list_or_scalar(value: &str) -> String {
    match value.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
        Some(items) => items.split(',').map(scalar).filter(|v| !v.is_empty()).collect::<Vec<_>>().join(", "),
        None => scalar(value),
    }
}

fn scalar(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some(end) = rest.find(quote)
        {
            return rest.get(..end).unwrap_or_default().to_owned();
        }
    }
    value.split(" #").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_toml_are_read() {
        let text = "---\ntitle: \"Voice: a guide\"\ntags: [a, 'b']\nauthors:\n  - Ada\n  - Lin\n---\nBody";
        let (pairs, at) = split(text);
        assert_eq!(&text[at..], "Body");
        assert_eq!(pairs[0], ("title".into(), "Voice: a guide".into()));
        assert_eq!(pairs[1].1, "a, b");
        assert_eq!(pairs[2].1, "Ada, Lin");
        let (pairs, _) = split("+++\ntitle = \"T\" # note\n+++\n");
        assert_eq!(pairs, [("title".to_owned(), "T".to_owned())]);
    }

    #[test]
    fn a_rule_without_an_end_is_text() {
        assert_eq!(split("---\nno end").1, 0);
        assert_eq!(split("plain").1, 0);
    }
}
