//! Canonical JSON: equal values have equal bytes.

use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::{Error, ErrorKind, Result};

/// Canonical JSON (RFC 8785): sorted names, shortest numbers, so that equal values have equal bytes.
///
/// Written over the tree of values, since that costs a third of the general serializer on records, which hold
/// hardly any fractions; those go through the library.
///
/// # Errors
/// `InvalidInput` for what JSON cannot hold (NaN, infinity, non-text map keys), and for numbers of 2^53 and
/// more, which RFC 8785 would round: they go as text.
pub fn canonical_json(value: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(value).map_err(|cause| unwritable().with_source(cause))?;
    let mut out = String::with_capacity(512);
    write(&mut out, &value)?;
    Ok(out)
}

/// 2^53: from here on doubles, and so RFC 8785 and JavaScript, skip integers.
const EXACT: u64 = 1 << 53;

fn unwritable() -> Error {
    Error::new(ErrorKind::InvalidInput, "json.canonical", "the value cannot be written as JSON")
}

fn write(out: &mut String, value: &Value) -> Result<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number)?,
        Value::String(text) => write_text(out, text)?,
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(out, item)?;
            }
            out.push(']');
        }
        Value::Object(map) => write_object(out, map)?,
    }
    Ok(())
}

/// Names in the order of their UTF-16 code units, whatever order the map keeps: it depends on a feature of
/// `serde_json` that any crate of a build may turn on.
fn write_object(out: &mut String, map: &Map<String, Value>) -> Result<()> {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    entries.sort_by(|(a, _), (b, _)| {
        if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
    });
    out.push('{');
    for (n, (name, value)) in entries.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        write_text(out, name)?;
        out.push(':');
        write(out, value)?;
    }
    out.push('}');
    Ok(())
}

fn write_text(out: &mut String, text: &str) -> Result<()> {
    let needs_escape = |b: u8| b < 0x20 || b == b'"' || b == b'\\';
    if text.bytes().any(needs_escape) {
        out.push_str(&serde_json::to_string(text).map_err(|cause| unwritable().with_source(cause))?);
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
    Ok(())
}

fn write_number(out: &mut String, number: &Number) -> Result<()> {
    let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match whole {
        Some(n) if n < EXACT => out.push_str(&number.to_string()),
        Some(_) => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "json.canonical",
                "expected numbers below 2^53: write larger ones as text",
            ));
        }
        None => {
            let text = serde_json_canonicalizer::to_string(number);
            out.push_str(&text.map_err(|cause| unwritable().with_source(cause))?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_that_would_be_rounded_are_refused() {
        assert_eq!(canonical_json(&((1_u64 << 53) - 1)).unwrap(), "9007199254740991");
        assert!(canonical_json(&(1_u64 << 53)).is_err());
        assert!(canonical_json(&i64::MIN).is_err());
        assert_eq!(canonical_json(&"9223372036854775807").unwrap(), "\"9223372036854775807\"");
        assert_eq!(canonical_json(&json!([1.0, 1e21, -0.5, 1e-7])).unwrap(), "[1,1e+21,-0.5,1e-7]");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1_i64 << 53) + 1..1_i64 << 53).prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            "\\PC{0,8}|[\\x00-\\x7f]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn equals_the_library(value in any_value()) {
            prop_assert_eq!(canonical_json(&value).unwrap(), serde_json_canonicalizer::to_string(&value).unwrap());
        }
    }
}
