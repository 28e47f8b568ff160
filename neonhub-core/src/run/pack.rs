//! Large texts of log entries are kept once, by their content.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::llm::hex;
use crate::{Error, ErrorKind, Result};

/// Texts of more bytes than this go to the blob store.
const INLINE: usize = 1024;
/// The key of a reference.
const BLOB: &str = "$blob";
/// The key that guards a value which looks like a reference.
const RAW: &str = "$raw";

/// A value without its large texts, and those by their SHA-256.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Packed {
    /// The value with `{"$blob": hash}` in their place.
    pub(super) value: Value,
    /// The texts by hash.
    pub(super) blobs: BTreeMap<String, String>,
}

/// True only when [`pack`] leaves a value as it is, told from its JSON: no text of it is large, none is a name that
/// [`pack`] gives. Texts with quotes in them are taken for large ones.
pub(super) fn is_plain(json: &str) -> bool {
    json.split('"').all(|part| part.len() <= INLINE && !part.ends_with('\\') && part != BLOB && part != RAW)
}

/// Takes the large texts out.
pub(super) fn pack(value: Value) -> Packed {
    let mut blobs = BTreeMap::new();
    let value = take_out(value, &mut blobs);
    Packed { value, blobs }
}

fn take_out(value: Value, blobs: &mut BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) if text.len() > INLINE => {
            let hash = hex(&Sha256::digest(text.as_bytes()));
            blobs.insert(hash.clone(), text);
            json!({ BLOB: hash })
        }
        Value::Array(items) => items.into_iter().map(|item| take_out(item, blobs)).collect(),
        Value::Object(map) => {
            let looks_packed = map.len() == 1 && map.keys().any(|k| k == BLOB || k == RAW);
            let map: Map<String, Value> = map.into_iter().map(|(k, v)| (k, take_out(v, blobs))).collect();
            if looks_packed { json!({ RAW: map }) } else { Value::Object(map) }
        }
        other => other,
    }
}

/// The hashes that a packed value refers to.
pub(super) fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        Value::Object(map) => match (map.len(), map.get(BLOB), map.get(RAW)) {
            (1, Some(Value::String(hash)), _) => out.push(hash.clone()),
            (1, _, Some(Value::Object(inner))) => inner.values().for_each(|v| references(v, out)),
            _ => map.values().for_each(|v| references(v, out)),
        },
        _ => {}
    }
}

/// Puts the texts back.
///
/// # Errors
/// `Corrupted` when a text is missing.
pub(super) fn unpack(value: Value, blobs: &BTreeMap<String, String>) -> Result<Value> {
    Ok(match value {
        Value::Array(items) => items.into_iter().map(|v| unpack(v, blobs)).collect::<Result<_>>()?,
        Value::Object(mut map) if map.len() == 1 => match (map.remove(BLOB), map.remove(RAW)) {
            (Some(Value::String(hash)), _) => Value::String(blobs.get(&hash).cloned().ok_or_else(|| {
                Error::new(ErrorKind::Corrupted, "runs.read", "a text of the log is missing from the store")
                    .with_context("hash", &hash)
            })?),
            (_, Some(Value::Object(inner))) => Value::Object(unpack_map(inner, blobs)?),
            _ => Value::Object(unpack_map(map, blobs)?),
        },
        Value::Object(map) => Value::Object(unpack_map(map, blobs)?),
        other => other,
    })
}

fn unpack_map(map: Map<String, Value>, blobs: &BTreeMap<String, String>) -> Result<Map<String, Value>> {
    map.into_iter().map(|(k, v)| Ok((k, unpack(v, blobs)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(|n| json!(n)),
            "[a-z\"\\\\]{0,8}".prop_map(|t| json!(t)),
            (1000usize..1100).prop_map(|n| json!("x".repeat(n))),
            (300usize..400).prop_map(|n| json!("x\"\"\n".repeat(n))),
        ];
        let key = prop::sample::select(vec!["a", "b", "$blob", "$raw"]);
        leaf.prop_recursive(4, 20, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(key.clone(), inner, 0..3).prop_map(|m| json!(m)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(value in values()) {
            let packed = pack(value.clone());
            let mut used = Vec::new();
            references(&packed.value, &mut used);
            used.sort();
            used.dedup();
            prop_assert_eq!(used, packed.blobs.keys().cloned().collect::<Vec<_>>());
            prop_assert_eq!(&unpack(packed.value.clone(), &packed.blobs).unwrap(), &value);
            let is_same = packed.value == value && packed.blobs.is_empty();
            prop_assert!(is_same || !is_plain(&value.to_string()));
        }
    }

    /// A turn of 100 tool calls over a 200 000-token conversation: each request repeats all of it.
    #[test]
    fn a_long_conversation_grows_by_what_is_new() {
        let words = "the customer asks about the delivery of an order and the agent looks it up. ".repeat(40);
        let mut stored: BTreeMap<String, String> = BTreeMap::new();
        let mut bytes = 0;
        for turn in 0..100 {
            let messages: Vec<Value> =
                (0..200 + turn).map(|i| json!({"role": "user", "text": format!("{i}: {words}")})).collect();
            let packed = pack(json!({ "messages": messages }));
            bytes += packed.value.to_string().len();
            for (hash, text) in packed.blobs {
                if stored.insert(hash, text.clone()).is_none() {
                    bytes += text.len();
                }
            }
        }
        assert!(bytes < 6_000_000, "{bytes}");
        // Without the 300 texts themselves, which are new once.
        let new_text: usize = stored.values().map(String::len).sum();
        assert!(bytes - new_text < 3_000_000, "{}", bytes - new_text);
    }
}
