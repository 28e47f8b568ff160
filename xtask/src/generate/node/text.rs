//! TSDoc comments and literals.

use serde_json::Value;

/// A string literal.
pub(super) fn literal(text: &str) -> String {
    if text.contains(['\'', '\\', '\n']) || text.chars().any(char::is_control) {
        return Value::from(text).to_string();
    }
    format!("'{text}'")
}

/// A doc comment at an indent. Empty text gives nothing.
pub(super) fn doc(lines: &[String], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let safe = |line: &String| line.replace("*/", "*\\/");
    match lines {
        [] => String::new(),
        [line] => format!("{pad}/** {} */\n", safe(line)),
        lines => {
            let body: String = lines
                .iter()
                .map(|line| format!("{pad} * {}", safe(line)).trim_end().to_owned() + "\n")
                .collect();
            format!("{pad}/**\n{body}{pad} */\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_end_where_they_should() {
        assert_eq!(doc(&["a */ b".to_owned()], 2), "  /** a *\\/ b */\n");
        assert_eq!(literal("it's"), "\"it's\"");
        assert_eq!(literal("plain"), "'plain'");
    }
}
