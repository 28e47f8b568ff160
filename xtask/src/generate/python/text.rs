//! Python literals and doc strings.

use serde_json::Value;

/// Width of generated lines.
const WIDTH: usize = 100;

/// A string literal. The escapes of JSON are escapes of Python; beyond the basic plane JSON text is kept as it is.
pub(super) fn literal(text: &str) -> String {
    Value::from(text).to_string()
}

/// A plain JSON value as a Python expression.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => literal(text),
        Value::Array(items) => format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, item)| format!("{}: {}", literal(key), self::value(item)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Text broken into lines of at most the width less the indent; blank lines stay.
pub(super) fn wrap(text: &str, indent: usize) -> Vec<String> {
    let width = WIDTH.saturating_sub(indent).max(40);
    let mut lines = Vec::new();
    // Links between Rust items lead nowhere here; the words stay.
    let text = text.replace("[`", "`").replace("`]", "`");
    for paragraph in text.replace("\r\n", "\n").split("\n\n") {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    lines
}

/// A doc string at an indent, with its line end. Empty text gives nothing.
pub(super) fn doc(lines: &[String], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let safe = |line: &String| line.replace('\\', "\\\\").replace("\"\"\"", "'''");
    match lines {
        [] => String::new(),
        [line] => {
            let line = safe(line);
            let gap = if line.ends_with('"') { " " } else { "" };
            format!("{pad}\"\"\"{line}{gap}\"\"\"\n")
        }
        [first, rest @ ..] => {
            let mut out = format!("{pad}\"\"\"{}\n", safe(first));
            for line in rest {
                let line = safe(line);
                out.push_str(&if line.is_empty() { "\n".to_owned() } else { format!("{pad}{line}\n") });
            }
            out + &pad + "\"\"\"\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_and_quotes_are_safe() {
        let lines = wrap(&format!("{}\n\nend", "word ".repeat(30)), 4);
        assert!(lines.iter().all(|line| line.len() <= 96));
        assert_eq!(lines[lines.len() - 2..], [String::new(), "end".to_owned()]);
        assert_eq!(doc(&["a \\ \"".to_owned()], 0), "\"\"\"a \\\\ \" \"\"\"\n");
    }

    #[test]
    fn values_are_python() {
        assert_eq!(
            value(&serde_json::json!({ "a": [true, null, 1.5, "x\n"] })),
            "{\"a\": [True, None, 1.5, \"x\\n\"]}"
        );
    }
}
