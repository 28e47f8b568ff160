//! Inputs made from the JSON Schema of an operation, beside the examples written by hand: the least, the most, and
//! one for each choice, so that the typed surface of every language is walked to its ends.

use serde_json::{Map, Value, json};

/// Levels of nesting after which only what is required is made.
const DEEP: usize = 6;
/// Most choices of one place that are tried.
const MOST_CHOICES: usize = 24;
/// Text that must arrive as it is: composed and not, beyond the basic plane, right to left, a line separator.
const TEXT: &str = "Zoë e\u{301} 👩‍🚀 שלום \u{2028} \"\\\t";
/// Key of a map.
const KEY: &str = "a key ✓";
/// Largest whole number that every language carries: 2^53 - 1.
const LARGEST: i64 = (1 << 53) - 1;
/// An instant with a fraction of a second, in UTC milliseconds.
const INSTANT: i64 = 1_795_251_600_123;

/// The inputs made for a schema, without repeats.
pub(crate) fn made(schema: &Value) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    let mut add = |value: Value| {
        if !out.contains(&value) {
            out.push(value);
        }
    };
    add(Maker { root: schema, choice: 0, most_choices: 0, is_least: true }.value(schema, 0));
    let mut turn = 0;
    loop {
        let mut maker = Maker { root: schema, choice: turn, most_choices: 0, is_least: false };
        add(maker.value(schema, 0));
        turn += 1;
        if turn >= maker.most_choices.min(MOST_CHOICES) {
            return out;
        }
    }
}

struct Maker<'a> {
    root: &'a Value,
    /// Which choice is taken wherever there is one; the last one where there are fewer.
    choice: usize,
    /// The longest list of choices that was met.
    most_choices: usize,
    /// Leaves out all that may be left out.
    is_least: bool,
}

impl Maker<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(map) = schema.as_object() else { return self.anything() };
        if let Some(value) = map.get("const") {
            return value.clone();
        }
        if let Some(values) = map.get("enum").and_then(Value::as_array) {
            return self.choose(values).clone();
        }
        let mut made = Value::Null;
        if let Some(name) = map.get("$ref").and_then(Value::as_str) {
            if name.ends_with("/Timestamp") {
                return INSTANT.into();
            }
            let target = name.strip_prefix('#').and_then(|path| self.root.pointer(path)).cloned();
            made = self.value(&target.unwrap_or_default(), depth + 1);
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(choices) = map.get(word).and_then(Value::as_array) {
                let choice = self.choose(choices).clone();
                made = merged(made, self.value(&choice, depth + 1));
            }
        }
        for part in map.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            made = merged(made, self.value(part, depth + 1));
        }
        match map.get("type") {
            Some(Value::String(word)) => merged(made, self.typed(word, map, depth)),
            Some(Value::Array(words)) => {
                let word = self.choose(words).clone();
                merged(made, self.typed(word.as_str().unwrap_or("null"), map, depth))
            }
            _ if made.is_null()
                && !["$ref", "oneOf", "anyOf", "allOf"].iter().any(|word| map.contains_key(*word)) =>
            {
                self.anything()
            }
            _ => made,
        }
    }

    fn choose<'v>(&mut self, choices: &'v [Value]) -> &'v Value {
        self.most_choices = self.most_choices.max(choices.len());
        choices.get(self.choice).or(choices.last()).unwrap_or(&Value::Null)
    }

    fn anything(&self) -> Value {
        if self.is_least { json!({}) } else { json!({ "any": [1, 2.5, null, true, TEXT, {}] }) }
    }

    fn typed(&mut self, word: &str, map: &Map<String, Value>, depth: usize) -> Value {
        match word {
            "boolean" => self.choice.is_multiple_of(2).into(),
            "integer" => self.integer(map),
            "number" => map.get("maximum").cloned().unwrap_or_else(|| json!(0.125)),
            "string" => self.text(map),
            "array" => self.array(map, depth),
            "object" => self.object(map, depth),
            _ => Value::Null,
        }
    }

    fn integer(&self, map: &Map<String, Value>) -> Value {
        let bound = |key: &str| map.get(key).and_then(Value::as_f64).map(|bound| bound as i64);
        if self.is_least || self.choice % 2 == 1 {
            return bound("minimum").unwrap_or(0).into();
        }
        let largest = match map.get("format").and_then(Value::as_str) {
            Some("uint8") => 255,
            Some("uint16") => 65_535,
            Some("int32") => i32::MAX.into(),
            Some("uint32") => u32::MAX.into(),
            _ => LARGEST,
        };
        bound("maximum").map_or(largest, |bound| bound.min(largest)).into()
    }

    fn text(&self, map: &Map<String, Value>) -> Value {
        match map.get("format").and_then(Value::as_str) {
            Some("date-time") => "2026-11-21T09:00:00Z".into(),
            Some("date") => "2026-11-21".into(),
            Some("email") => "ann@tea.example".into(),
            Some("uri" | "url") => "https://tea.example/spring?a=1#b".into(),
            _ if self.is_least => "".into(),
            _ => TEXT.into(),
        }
    }

    fn array(&mut self, map: &Map<String, Value>, depth: usize) -> Value {
        if let Some(items) = map.get("prefixItems").and_then(Value::as_array) {
            return items.iter().map(|item| self.value(item, depth + 1)).collect();
        }
        if self.is_least || depth > DEEP {
            return json!([]);
        }
        let item = map.get("items").cloned().unwrap_or(Value::Bool(true));
        let first = self.value(&item, depth + 1);
        json!([first, first])
    }

    fn object(&mut self, map: &Map<String, Value>, depth: usize) -> Value {
        let mut out = Map::new();
        let required: Vec<&str> = map
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = map.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if required.contains(&name.as_str()) || !(self.is_least || depth > DEEP) {
                out.insert(name.clone(), self.value(schema, depth + 1));
            }
        }
        match map.get("additionalProperties") {
            Some(schema)
                if schema.as_bool() != Some(false)
                    && properties.is_none()
                    && !self.is_least
                    && depth <= DEEP =>
            {
                out.insert(KEY.to_owned(), self.value(schema, depth + 1));
            }
            _ => {}
        }
        Value::Object(out)
    }
}

/// Members of both; a flattened type and the object around it are one map.
fn merged(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Object(mut a), Value::Object(b)) => {
            a.extend(b);
            Value::Object(a)
        }
        (a, Value::Null) => a,
        (_, b) => b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_most_and_every_choice() {
        let schema = json!({
            "type": "object", "required": ["kind"],
            "properties": {
                "kind": { "$ref": "#/$defs/Kind" }, "n": { "type": ["integer", "null"], "format": "uint8" },
                "at": { "$ref": "#/$defs/Timestamp" }, "kids": { "type": "array", "items": { "$ref": "#" } },
            },
            "$defs": {
                "Timestamp": { "type": "integer" },
                "Kind": { "oneOf": [{ "const": "a" }, { "type": "object", "properties": { "b": { "type": "string" } } }] },
            },
        });
        let made = made(&schema);
        assert_eq!(made[0], json!({ "kind": "a" }));
        assert_eq!((&made[1]["n"], &made[1]["at"]), (&json!(255), &json!(INSTANT)));
        assert_eq!(made[2]["kind"], json!({ "b": TEXT }));
        assert!(made[2]["n"].is_null() && made[1]["kids"][0]["kids"].is_array());
        assert_eq!(made.len(), 3);
    }
}
