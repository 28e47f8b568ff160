//! Reading answers that may lack anything: a field that is missing, null or of another type is as good as absent.

use serde_json::Value;

/// Text that is there and not empty.
pub(in crate::llm) fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A count; fractions and negative numbers are none.
pub(in crate::llm) fn count(value: &Value, field: &str) -> Option<u64> {
    value.get(field).and_then(Value::as_u64)
}

/// An array, or nothing.
pub(in crate::llm) fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An object that is not null.
pub(in crate::llm) fn object<'v>(value: &'v Value, field: &str) -> Option<&'v Value> {
    value.get(field).filter(|inner| inner.is_object())
}

/// JSON text of arguments, which servers send as text or as the object itself.
pub(in crate::llm) fn arguments(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}
