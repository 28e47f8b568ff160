//! Canonical JSON: equal values have equal bytes.

mod parts;
mod writer;

use std::cell::Cell;

use serde::Serialize;

use self::writer::{Fault, Writer};
use crate::{Error, ErrorKind, Result};

thread_local! {
    /// The writer of this thread, with the room that it took.
    static WRITER: Cell<Writer> = Cell::default();
}

/// Canonical JSON (RFC 8785): sorted names, shortest numbers, so that equal values have equal bytes.
///
/// Written as the value is read, in one pass; fractions go through the library.
///
/// # Errors
/// `InvalidInput` for what JSON cannot hold (NaN, infinity, non-text map keys), and for numbers of 2^53 and
/// more, which RFC 8785 would round: they go as text.
pub fn canonical_json(value: &impl Serialize) -> Result<String> {
    // A value that is written while another one is finds a new writer here.
    let mut writer = WRITER.try_with(Cell::take).unwrap_or_default();
    let text = writer.text(value);
    // A thread that ends has no place to keep it.
    let _ = WRITER.try_with(|kept| kept.set(writer));
    text.map_err(|fault| {
        let why = match fault {
            Fault::Large => "expected numbers below 2^53: write larger ones as text",
            Fault::Other(_) => "the value cannot be written as JSON",
        };
        Error::new(ErrorKind::InvalidInput, "json.canonical", why).with_source(fault)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::{BTreeMap, HashMap};

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn numbers_that_would_be_rounded_are_refused() {
        assert_eq!(canonical_json(&((1_u64 << 53) - 1)).unwrap(), "9007199254740991");
        assert!(canonical_json(&(1_u64 << 53)).is_err());
        assert!(canonical_json(&i64::MIN).is_err());
        assert_eq!(canonical_json(&"9223372036854775807").unwrap(), "\"9223372036854775807\"");
        assert_eq!(canonical_json(&json!([1.0, 1e21, -0.5, 1e-7])).unwrap(), "[1,1e+21,-0.5,1e-7]");
    }

    /// Every shape of Rust's types.
    #[derive(Serialize)]
    enum Shape {
        Unit,
        New(u8),
        Tuple(i16, char),
        Struct { b: Option<bool>, a: f32 },
    }

    #[derive(Serialize)]
    struct Inner {
        z: u8,
        b: u8,
    }

    #[derive(Serialize)]
    struct Outer {
        z: u8,
        #[serde(flatten)]
        inner: Inner,
        #[serde(rename = "\"\n")]
        shapes: Vec<Shape>,
        unit: (),
        pair: (u128, i128),
        numbers: BTreeMap<i64, bool>,
        words: HashMap<bool, &'static str>,
    }

    #[test]
    fn a_type_is_written_as_its_tree_of_values() {
        let shapes = vec![
            Shape::Unit,
            Shape::New(1),
            Shape::Tuple(-2, '"'),
            Shape::Struct { b: None, a: 0.1 },
            Shape::Struct { b: Some(true), a: 1e30 },
        ];
        let value = Outer {
            z: 1,
            inner: Inner { z: 2, b: 3 },
            shapes,
            unit: (),
            pair: (7, -7),
            numbers: [(-1, true), (10, false), (9, true)].into(),
            words: [(true, "\u{1}ä")].into(),
        };
        let tree = serde_json::to_value(&value).unwrap();
        let text = canonical_json(&value).unwrap();
        assert_eq!(text, canonical_json(&tree).unwrap());
        assert_eq!(text, serde_json_canonicalizer::to_string(&tree).unwrap());
        assert_eq!(tree["z"], 2, "of one name the last value counts");
    }

    #[test]
    fn what_is_no_json_is_refused_and_leaves_nothing_behind() {
        assert!(canonical_json(&json!({ "a": [1_u64 << 53] })).is_err());
        assert!(canonical_json(&[f64::NAN]).is_err());
        assert!(canonical_json(&BTreeMap::from([(vec![1], 1)])).is_err());
        assert!(canonical_json(&BTreeMap::from([(None::<u8>, 1)])).is_err());
        assert_eq!(canonical_json(&json!({ "b": {}, "a": [] })).unwrap(), r#"{"a":[],"b":{}}"#);
        assert_eq!(
            canonical_json(&BTreeMap::from([(u64::MAX, 1)])).unwrap(),
            r#"{"18446744073709551615":1}"#
        );
    }

    /// What `serde_json` hands over with a feature on that keeps numbers, or whole values, as their text.
    #[test]
    fn values_that_are_kept_as_text_are_values() {
        #[derive(Serialize)]
        #[serde(rename = "$serde_json::private::RawValue")]
        struct Raw {
            #[serde(rename = "$serde_json::private::RawValue")]
            text: &'static str,
        }
        let raw = |text| canonical_json(&(Raw { text }, 1));
        assert_eq!(raw(r#"{ "b": "\"", "a": 1.50 }"#).unwrap(), r#"[{"a":1.5,"b":"\""},1]"#);
        assert_eq!(raw("12").unwrap(), "[12,1]");
        assert!(raw("9007199254740992").is_err());
        assert!(raw("{").is_err());
    }

    #[test]
    fn a_value_may_write_another_one() {
        struct Nested;
        impl Serialize for Nested {
            fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
                to.serialize_str(&canonical_json(&json!({ "b": 1, "a": 2 })).unwrap())
            }
        }
        assert_eq!(canonical_json(&json!([1])).unwrap(), "[1]");
        let text = canonical_json(&BTreeMap::from([("x", Nested)])).unwrap();
        assert_eq!(text, r#"{"x":"{\"a\":2,\"b\":1}"}"#);
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
