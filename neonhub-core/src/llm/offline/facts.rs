//! Facts that stand in a request: given ones, JSON objects, and lines of the form `name: value`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::llm::{LlmRequest, PartBody, schema};

/// A line's name has at most this many words, so that prose with a colon is no fact.
const NAME_WORDS: usize = 4;

/// Facts by normalised name; the first source that names one wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    named: BTreeMap<String, Value>,
    /// The running text of the context, for formats that can be found in it.
    pub(super) text: String,
}

impl Facts {
    /// Facts given by the caller come first, then the messages, then the system parts.
    pub(super) fn of(request: &LlmRequest, given: &Value) -> Self {
        let mut facts = Facts::default();
        if let Value::Object(map) = given {
            facts.take_object(map);
        }
        let messages = request.messages.iter().flat_map(|m| m.parts.iter());
        let mut texts = Vec::new();
        for part in messages.chain(request.system.iter()) {
            match &part.body {
                PartBody::Text { text } => {
                    facts.take_text(text);
                    texts.push(text.as_str());
                }
                PartBody::ToolResult { output: Value::Object(map), is_error: false, .. } => {
                    facts.take_object(map);
                }
                _ => {}
            }
        }
        facts.text = texts.join("\n\n");
        facts
    }

    /// The same facts with those of `inner` in front: the scope of a nested object.
    pub(super) fn within(&self, inner: &Map<String, Value>) -> Self {
        let mut facts = Facts { named: BTreeMap::new(), text: self.text.clone() };
        facts.take_object(inner);
        for (name, value) in &self.named {
            facts.named.entry(name.clone()).or_insert_with(|| value.clone());
        }
        facts
    }

    /// The fact of this name, whatever its case and marks: `firstName`, `first_name` and `First name` are one.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.named.get(&normal(name))
    }

    /// As the variables of a template.
    pub(super) fn as_vars(&self) -> Value {
        Value::Object(self.named.iter().map(|(n, v)| (n.clone(), v.clone())).collect())
    }

    fn take_object(&mut self, map: &Map<String, Value>) {
        for (name, value) in map.iter().filter(|(_, v)| !v.is_null()) {
            self.named.entry(normal(name)).or_insert_with(|| value.clone());
        }
    }

    fn take_text(&mut self, text: &str) {
        if let Ok(Value::Object(map)) = serde_json::from_str(text) {
            return self.take_object(&map);
        }
        for line in text.lines() {
            let line = line.trim().trim_start_matches(['-', '*', '•', '#']).trim();
            let Some((name, value)) = line.split_once(':') else { continue };
            let (name, value) = (name.trim().trim_matches('*'), value.trim().trim_matches('*').trim());
            let words = name.split_whitespace().count();
            // "https://..." and "Dear Ann: ..." are no facts.
            if value.is_empty() || value.starts_with("//") || words == 0 || words > NAME_WORDS {
                continue;
            }
            self.named.entry(normal(name)).or_insert_with(|| Value::String(value.to_owned()));
        }
    }

    /// The first word of the text that has this format.
    pub(super) fn find_format(&self, format: &str) -> Option<&str> {
        if !matches!(format, "email" | "uri" | "date" | "date-time" | "uuid" | "ipv4") {
            return None;
        }
        self.text
            .split(|c: char| c.is_whitespace() || "<>()[]\"',;".contains(c))
            .map(|w| w.trim_end_matches(['.', ':', '!', '?']))
            .find(|w| schema::has_format(format, w) && (format != "uri" || w.contains("://")))
    }
}

/// Lower case, words joined by `_`: `firstName` becomes `first_name`.
pub(super) fn normal(name: &str) -> String {
    let mut out = String::new();
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            was_lower = false;
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        if c.is_uppercase() && was_lower {
            out.push('_');
        }
        was_lower = c.is_lowercase() || c.is_numeric();
        out.extend(c.to_lowercase());
    }
    out.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_meet_whatever_their_case() {
        for name in ["firstName", "first_name", "First name", "FIRST-NAME", "first.name:"] {
            assert_eq!(normal(name), "first_name", "{name}");
        }
    }

    #[test]
    fn facts_come_from_objects_and_lines_and_the_first_wins() {
        let request = LlmRequest::new()
            .system("Price: 99 EUR")
            .user("Product: Sencha\nPrice: 12 EUR\nsee https://tea.example/a.\nThis is just one long remark: no fact")
            .user("{\"origin\": \"Uji\", \"stock\": 4}");
        let facts = Facts::of(&request, &json!({"product": "Gyokuro"}));
        assert_eq!(facts.get("Product"), Some(&json!("Gyokuro")));
        assert_eq!(facts.get("price"), Some(&json!("12 EUR")));
        assert_eq!(facts.get("stock"), Some(&json!(4)));
        assert_eq!(facts.get("https"), None);
        assert_eq!(facts.find_format("uri"), Some("https://tea.example/a"));
        assert_eq!(facts.named.len(), 4);
    }
}
