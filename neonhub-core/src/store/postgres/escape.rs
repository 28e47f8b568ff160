//! What PostgreSQL cannot hold and we can: the character U+0000 in ids and in texts of bodies.
//!
//! `U+0000` is kept as `U+0001 U+0001` and `U+0001` as `U+0001 U+0002`: reversible, and byte order is kept.

use std::borrow::Cow;

use serde_json::Value;

use crate::store::canonical_json;
use crate::{Error, ErrorKind, Result};

/// An id or name as the server keeps it.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', '\u{1}']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\u{1}', "\u{1}\u{2}").replace('\0', "\u{1}\u{1}"))
}

/// The id or name as it was given.
pub(super) fn unescape(text: String) -> String {
    if !text.contains('\u{1}') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1}' if rest.next() == Some('\u{1}') => out.push('\0'),
            other => out.push(other),
        }
    }
    out
}

/// A canonical body as the server takes it for `jsonb`.
pub(super) fn body_in(body: &str) -> Cow<'_, str> {
    if !body.contains("\\u000") {
        return Cow::Borrowed(body);
    }
    let mut out = String::with_capacity(body.len() + 16);
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        // An escape is two bytes, or six for \uXXXX; a backslash that is itself escaped is stepped over whole.
        let len = if tail.starts_with("\\u") { 6 } else { 2 };
        let (mark, after) = tail.split_at_checked(len).unwrap_or((tail, ""));
        out.push_str(match mark {
            "\\u0000" => "\\u0001\\u0001",
            "\\u0001" => "\\u0001\\u0002",
            other => other,
        });
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The canonical body again: `jsonb` keeps the value and neither the order of names nor the form of numbers.
pub(super) fn body_out(text: &str) -> Result<String> {
    let mut value: Value = serde_json::from_str(text).map_err(|cause| {
        Error::new(ErrorKind::Corrupted, "store.get", "the stored body is no JSON").with_source(cause)
    })?;
    restore(&mut value, text.contains("\\u0001"));
    canonical_json(&value)
}

/// 2^53: a whole number from here on was a double, whose shortest form has no point.
const EXACT: u64 = 1 << 53;

fn restore(value: &mut Value, is_escaped: bool) {
    match value {
        Value::String(text) if is_escaped => *text = unescape(std::mem::take(text)),
        Value::Array(items) => items.iter_mut().for_each(|item| restore(item, is_escaped)),
        Value::Object(map) if is_escaped => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(name, mut value)| {
                    restore(&mut value, true);
                    (unescape(name), value)
                })
                .collect();
        }
        Value::Object(map) => map.values_mut().for_each(|value| restore(value, false)),
        Value::Number(number) => {
            let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            let double = whole.filter(|n| *n >= EXACT).and_then(|_| number.as_f64());
            if let Some(double) = double.and_then(serde_json::Number::from_f64) {
                *number = double;
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn escaped_backslashes_are_no_escapes() {
        let body = canonical_json(&json!({ "a\u{0}": "\\u0000 \u{0}\u{1}\u{2} \\\u{0}" })).unwrap();
        let kept = body_in(&body);
        assert!(!kept.replace("\\\\", "").contains("\\u0000"), "{kept}");
        assert_eq!(body_out(&kept).unwrap(), body);
    }

    proptest! {
        #[test]
        fn ids_come_back_and_keep_their_order(a in "[\\x00-\\x04a]{0,6}", b in "[\\x00-\\x04a]{0,6}") {
            prop_assert_eq!(unescape(escape(&a).into_owned()), a.clone());
            prop_assert!(!escape(&a).contains('\0'));
            prop_assert_eq!(escape(&a).cmp(&escape(&b)), a.cmp(&b));
        }

        #[test]
        fn bodies_come_back(text in "[\\x00-\\x7f]{0,8}", number in any::<f64>()) {
            let number = if number.is_finite() { number } else { 0.5 };
            let body = canonical_json(&json!({ text.as_str(): [text.as_str(), number] }));
            let body = body.unwrap();
            prop_assert_eq!(body_out(&body_in(&body)).unwrap(), body);
        }
    }
}
