//! Turns a fact into the type a schema asks for, when that loses nothing a reader would miss.

use serde_json::{Number, Value, json};

use super::facts::normal;
use crate::prompt::clip;

/// The fact as text, number, flag, option or list; `None` when it is nothing of the kind.
pub(super) fn coerce(fact: &Value, schema: &Value, items: Option<&Value>) -> Option<Value> {
    if let Some(options) = schema.get("enum").and_then(Value::as_array) {
        let wanted = normal(&plain(fact)?);
        return options.iter().find(|o| plain(o).is_some_and(|o| normal(&o) == wanted)).cloned();
    }
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    names.into_iter().find_map(|name| match name {
        "string" => text(fact, schema),
        "integer" => number(fact).filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| json!(n as i64)),
        "number" => number(fact).and_then(Number::from_f64).map(Value::Number),
        "boolean" => flag(fact).map(Value::Bool),
        "array" => list(fact, schema, items),
        _ => None,
    })
}

/// The schema of the item at `index`.
pub(super) fn list_of(schema: &Value, index: usize) -> &Value {
    let prefix = schema.get("prefixItems").and_then(|p| p.get(index));
    prefix.or_else(|| schema.get("items")).unwrap_or(&Value::Bool(true))
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

fn text(fact: &Value, schema: &Value) -> Option<Value> {
    let text = match fact {
        Value::Array(items) => items.iter().map(plain).collect::<Option<Vec<_>>>()?.join(", "),
        one => plain(one)?,
    };
    // A day out of an instant.
    if schema.get("format").and_then(Value::as_str) == Some("date") && text.len() > 10 {
        return text.get(..10).map(|day| json!(day));
    }
    let limit = schema.get("maxLength").and_then(Value::as_u64);
    let limit = limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    Some(json!(clip(text.trim(), limit)))
}

/// A number alone or with one unit: `12`, `12.5 EUR`, `EUR 12.50`, `20 %`.
fn number(fact: &Value) -> Option<f64> {
    let text = match fact {
        Value::Number(n) => return n.as_f64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let mut words = text.split_whitespace().map(|w| w.trim_matches(|c: char| "%€$£".contains(c)));
    let numbers: Vec<f64> =
        words.by_ref().filter_map(|w| w.parse::<f64>().ok()).filter(|n| n.is_finite()).collect();
    let count = text.split_whitespace().count();
    match numbers.as_slice() {
        [only] if count <= 2 => Some(*only),
        _ => None,
    }
}

fn flag(fact: &Value) -> Option<bool> {
    match plain(fact)?.trim().to_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "on" | "ja" | "oui" | "sí" | "si" => Some(true),
        "false" | "no" | "n" | "0" | "off" | "nein" | "non" => Some(false),
        _ => None,
    }
}

/// A list as it is, or a text split at commas, semicolons and line ends; each item of the items' type.
fn list(fact: &Value, schema: &Value, items: Option<&Value>) -> Option<Value> {
    let parts: Vec<Value> = match fact {
        Value::Array(parts) => parts.clone(),
        Value::String(text) => {
            text.split([',', ';', '\n']).map(str::trim).filter(|p| !p.is_empty()).map(|p| json!(p)).collect()
        }
        Value::Null | Value::Object(_) => return None,
        one => vec![one.clone()],
    };
    let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let converted = parts.into_iter().take(most).map(|part| match items {
        Some(items) => coerce(&part, items, None).unwrap_or(part),
        None => part,
    });
    Some(converted.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_take_the_type_that_is_asked_for() {
        let to = |fact: Value, schema: Value| {
            let items = schema.get("items").cloned();
            coerce(&fact, &schema, items.as_ref())
        };
        assert_eq!(to(json!("12 EUR"), json!({"type": "integer"})), Some(json!(12)));
        assert_eq!(to(json!("12.5%"), json!({"type": "number"})), Some(json!(12.5)));
        assert_eq!(to(json!("12 to 14"), json!({"type": "integer"})), None);
        assert_eq!(to(json!("Yes"), json!({"type": "boolean"})), Some(json!(true)));
        assert_eq!(to(json!("Opt In"), json!({"enum": ["opt_in", "out"]})), Some(json!("opt_in")));
        assert_eq!(to(json!(4), json!({"type": "string"})), Some(json!("4")));
        assert_eq!(
            to(json!("a long text"), json!({"type": "string", "maxLength": 7})),
            Some(json!("a long"))
        );
        let day = json!({"type": "string", "format": "date"});
        assert_eq!(to(json!("2026-11-21T09:00:00Z"), day), Some(json!("2026-11-21")));
        let numbers = json!({"type": "array", "items": {"type": "integer"}});
        assert_eq!(to(json!("1, 2; 3"), numbers), Some(json!([1, 2, 3])));
    }
}
