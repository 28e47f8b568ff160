//! Python literals and doc strings.

use serde_json::Value;

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
    fn quotes_are_safe() {
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
