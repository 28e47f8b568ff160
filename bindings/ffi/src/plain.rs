//! Values and errors as JSON text, for hosts that get text across faster than they get objects.

use std::fmt;
use std::time::Duration;

use neonhub_core::{Error, ErrorKind, Fault, Result, Retry};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::FfiError;
use crate::host;

/// What a callback of the host threw, by the number under which the host keeps it: how it finds it again as the
/// cause of an error. Its words may hold personal values; they stay with the host and the caller of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thrown {
    /// The host's number of it.
    pub key: u32,
    words: String,
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Thrown {}

/// Reads a value.
///
/// # Errors
/// `InvalidInput` for text that is no JSON or is nested too deeply.
pub fn value_from_json(operation: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|cause| {
        let message = format!("expected values that JSON can hold: {cause}");
        Error::invalid(operation.to_owned(), "input", message)
    })
}

/// The parts of an error.
#[must_use]
pub fn error_to_json(error: &FfiError) -> String {
    let context: Map<String, Value> =
        error.context.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
    let faults: Vec<Value> =
        error.faults.iter().map(|fault| json!({ "field": fault.field, "message": fault.message })).collect();
    let parts = json!({
        "kind": error.kind,
        "code": error.code,
        "operation": error.operation,
        "message": error.message,
        "context": context,
        "faults": faults,
        "retryable": error.retryable,
        "retry_after_ms": error.retry_after_ms,
        "thrown": error.cause::<Thrown>().map(|thrown| thrown.key),
    });
    parts.to_string()
}

/// An error as a host writes it.
#[derive(Debug, Deserialize)]
struct Written {
    /// Name of the exception's class, for those that are none of ours.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    context: Vec<(String, String)>,
    #[serde(default)]
    faults: Vec<(String, String)>,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    retry_after_ms: Option<u64>,
    #[serde(default)]
    thrown: u32,
}

impl Written {
    fn into_error(self, operation: &'static str) -> Error {
        let thrown = Thrown { key: self.thrown, words: self.message.clone() };
        let Some(kind) = self.kind else {
            return host::raised(self.name.as_deref().unwrap_or("an exception"), thrown);
        };
        let kind = ErrorKind::from_code(&kind).unwrap_or(ErrorKind::Internal);
        let mut error = if self.faults.is_empty() {
            Error::new(kind, operation, self.message)
        } else {
            let faults = self.faults.into_iter().map(|(field, message)| Fault { field, message });
            Error::faults(operation, faults.collect())
        };
        for (key, value) in self.context {
            error = error.with_context(key, value);
        }
        if let Some(code) = self.code.filter(|code| code != kind.code()) {
            error = error.with_code(code);
        }
        let retry = match self.retry_after_ms {
            Some(ms) => Retry::After(Duration::from_millis(ms)),
            None if self.retryable => Retry::Backoff,
            None => Retry::Never,
        };
        error.with_retry(retry).with_source(thrown)
    }
}

/// The error that a host wrote as a JSON map; text that is none is an error of its own.
#[must_use]
pub fn error_from_json(operation: &'static str, text: &str) -> Error {
    match serde_json::from_str::<Written>(text) {
        Ok(written) => written.into_error(operation),
        Err(cause) => Error::internal(operation, cause),
    }
}

/// What a callback of the host answered: `{"value": ..}`, or `{"raised": ..}` with an error.
///
/// # Errors
/// The error it raised; `Corrupted` for text that is neither.
pub fn answer_from_json(text: &str) -> Result<Value> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        value: Value,
        raised: Option<Written>,
    }
    match serde_json::from_str::<Answer>(text) {
        Ok(Answer { raised: Some(raised), .. }) => Err(raised.into_error("host")),
        Ok(Answer { value, raised: None }) => Ok(value),
        Err(cause) => {
            let message = format!("the callback of the host answered what is no JSON: {cause}");
            Err(Error::new(ErrorKind::Corrupted, "host", message).with_code("host_answer"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_parts_both_ways() {
        let text = json!({
            "kind": "rate_limited", "code": "quota", "message": "slow down", "context": [["a", "b"]],
            "retry_after_ms": 1500, "thrown": 7,
        });
        let error = FfiError::from(error_from_json("host", &text.to_string()));
        let parts: Value = serde_json::from_str(&error_to_json(&error)).unwrap();
        for (member, value) in
            [("kind", json!("rate_limited")), ("code", json!("quota")), ("thrown", json!(7))]
        {
            assert_eq!(parts[member], value, "{member}");
        }
        assert_eq!((&parts["context"], &parts["retry_after_ms"]), (&json!({ "a": "b" }), &json!(1500)));
    }

    #[test]
    fn a_strange_exception_is_a_host_error_without_its_words() {
        let error =
            answer_from_json(r#"{"raised": {"name": "TypeError", "message": "x is null", "thrown": 3}}"#)
                .unwrap_err();
        assert_eq!(error.code(), host::HOST_ERROR);
        assert!(!error.to_string().contains("null"));
        let thrown = Thrown { key: 3, words: "x is null".to_owned() };
        assert_eq!(FfiError::from(error).cause::<Thrown>(), Some(&thrown));
        assert_eq!(answer_from_json("nonsense").unwrap_err().kind(), ErrorKind::Corrupted);
        assert_eq!(answer_from_json(r#"{"value": null}"#).unwrap(), Value::Null);
    }

    #[test]
    fn text_that_is_no_value_is_refused() {
        for text in ["", "{", "\"\\ud800\"", "1e999"] {
            assert_eq!(value_from_json("x.y", text).unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
        }
    }
}
