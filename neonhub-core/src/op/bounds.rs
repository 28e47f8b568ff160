//! What every input and answer must keep to, and how a misfit is named.

use serde::Serialize;
use serde_json::Value;

use super::Entry;
use crate::telemetry::redact;
use crate::{Error, ErrorKind, Fault, Result};

/// Deepest nesting of an input.
pub const MAX_DEPTH: usize = 64;
/// Most items of one list of an input.
pub const MAX_ITEMS: usize = 10_000;

/// The error for JSON that does not fit the input type, with the path of the fault. Its text repeats what was given,
/// so what looks like a secret or an address is taken out of it.
pub(crate) fn bad_input(
    operation: &'static str,
    cause: &serde_path_to_error::Error<serde_json::Error>,
) -> Error {
    let path = cause.path().to_string();
    let text = cause.inner().to_string();
    // `serde_json` ends with the position in a document that the caller never saw.
    let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let field = if path == "." { backticked(&text).unwrap_or("input").to_owned() } else { path };
    Error::faults(operation, vec![Fault { field, message: redact(&text).into_owned() }])
}

fn backticked(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('`')?;
    rest.split_once('`').map(|(name, _)| name)
}

/// The largest input as JSON, in bytes, unless an operation says otherwise: 1 MiB.
pub(super) const MAX_INPUT: usize = 1 << 20;

/// Refuses JSON beyond the bounds of every call, naming path and bound.
pub(crate) fn check_bounds(operation: &'static str, input: &Value) -> Result<()> {
    check_within(operation, MAX_INPUT, input)
}

/// The same with a bound of the operation's own.
pub(super) fn check_within(operation: &'static str, most: usize, input: &Value) -> Result<()> {
    let mut size = 0;
    walk(&Walk { operation, most }, "input", input, 0, &mut size)
}

/// Whose input is walked, and its bound in bytes.
struct Walk {
    operation: &'static str,
    most: usize,
}

fn walk(line: &Walk, path: &str, value: &Value, depth: usize, size: &mut usize) -> Result<()> {
    let refuse = |message: &str| Err(Error::invalid(line.operation, path, message));
    if depth > MAX_DEPTH {
        return refuse("expected at most 64 levels");
    }
    *size += 2;
    match value {
        Value::String(text) => {
            *size += text.len();
            if text.contains('\0') {
                return refuse("expected text without NUL");
            }
        }
        Value::Array(items) => {
            if items.len() > MAX_ITEMS {
                return refuse("expected at most 10 000 items");
            }
            for (n, item) in items.iter().enumerate() {
                walk(line, &format!("{path}[{n}]"), item, depth + 1, size)?;
            }
        }
        Value::Object(map) => {
            if map.len() > MAX_ITEMS {
                return refuse("expected at most 10 000 members");
            }
            for (key, item) in map {
                *size += key.len();
                if key.contains('\0') {
                    return refuse("expected names without NUL");
                }
                let path = if depth == 0 { key.clone() } else { format!("{path}.{key}") };
                walk(line, &path, item, depth + 1, size)?;
            }
        }
        Value::Number(number) if number.as_f64().is_some_and(|n| !n.is_finite()) => {
            return refuse("expected a finite number");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => *size += 8,
    }
    if *size > line.most {
        return Err(Error::invalid(
            line.operation,
            "input",
            format!("expected at most {} bytes: send large bodies as blobs or files", line.most),
        ));
    }
    Ok(())
}

/// Refuses an answer over the operation's bound, before anything is committed.
pub(super) fn check_answer(line: &Entry, answer: &Value) -> Result<()> {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, answer).map_err(|cause| Error::internal(line.name, cause))?;
    if count.0 <= line.max_output {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, line.name, "the answer is too large: ask for a smaller page")
        .with_code("answer_too_large")
        .with_context("bytes", count.0)
        .with_context("most", line.max_output))
}

/// Counts bytes and keeps none.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The answer as JSON.
pub(super) fn as_json(operation: &'static str, answer: &impl Serialize) -> Result<Value> {
    serde_json::to_value(answer).map_err(|cause| Error::internal(operation, cause))
}
