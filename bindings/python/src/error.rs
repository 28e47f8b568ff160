//! Errors both ways: ours become exceptions of their class, exceptions of host callbacks become errors.

use std::fmt;
use std::time::Duration;

use neonhub_ffi::{Error, ErrorKind, FfiError, Retry, host};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// `neonhub.errors.make`.
static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// `neonhub.errors.NeonHubError`.
static BASE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// An exception of Python as the cause of one of our errors, so that it can become `__cause__` again.
pub(crate) struct Raised {
    exception: PyErr,
    /// Its words, which a tool's caller is told and nobody else.
    words: String,
}

impl Raised {
    fn new(py: Python<'_>, exception: PyErr) -> Self {
        let words = exception.value(py).str().map_or_else(|_| String::new(), |words| words.to_string());
        Raised { exception, words }
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raised")
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Raised {}

/// The exception for an error.
pub(crate) fn to_python(py: Python<'_>, error: &FfiError) -> PyErr {
    match exception(py, error) {
        Ok(exception) => exception,
        Err(broken) => broken,
    }
}

fn exception(py: Python<'_>, error: &FfiError) -> PyResult<PyErr> {
    let context = PyDict::new(py);
    for (key, value) in &error.context {
        context.set_item(key, value)?;
    }
    let faults: Vec<(&str, &str)> =
        error.faults.iter().map(|f| (f.field.as_str(), f.message.as_str())).collect();
    let retry_after = error.retry_after_ms.map(|ms| Duration::from_millis(ms).as_secs_f64());
    let made = MAKE.import(py, "neonhub.errors", "make")?.call1((
        error.kind,
        &error.code,
        &error.operation,
        &error.message,
        context,
        faults,
        error.retryable,
        retry_after,
    ))?;
    let made = PyErr::from_value(made);
    if let Some(cause) = error.cause::<Raised>() {
        made.set_cause(py, Some(cause.exception.clone_ref(py)));
    }
    Ok(made)
}

/// The error for what a callback of the host raised.
pub(crate) fn from_python(py: Python<'_>, raised: PyErr) -> Error {
    match ours(py, &raised) {
        Ok(Some(error)) => error.with_source(Raised::new(py, raised)),
        _ => {
            let name =
                raised.get_type(py).name().map_or_else(|_| "an exception".to_owned(), |n| n.to_string());
            host::raised(&name, Raised::new(py, raised))
        }
    }
}

/// An exception of our own classes keeps its kind, words and advice.
fn ours(py: Python<'_>, raised: &PyErr) -> PyResult<Option<Error>> {
    let value = raised.value(py);
    if !value.is_instance(BASE.import(py, "neonhub.errors", "NeonHubError")?)? {
        return Ok(None);
    }
    let kind: String = value.getattr("kind")?.extract()?;
    let kind = ErrorKind::from_code(&kind).unwrap_or(ErrorKind::Internal);
    let message: String = value.getattr("message")?.extract()?;
    let code: String = value.getattr("code")?.extract()?;
    let mut error = Error::new(kind, "host", message);
    if code != kind.code() {
        error = error.with_code(code);
    }
    for (key, text) in value.getattr("context")?.cast_into::<PyDict>()?.iter() {
        error = error.with_context(key.to_string(), text);
    }
    let wait: Option<f64> = value.getattr("retry_after")?.extract()?;
    let retry = match wait.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(wait) => Retry::After(wait),
        None if value.getattr("retryable")?.is_truthy()? => Retry::Backoff,
        None => Retry::Never,
    };
    Ok(Some(error.with_retry(retry)))
}

/// The words of all error kinds of this build.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<&'static str> {
    ErrorKind::ALL.iter().map(|kind| kind.code()).collect()
}

/// Raises an error made of these parts, as an operation would. For tests of the classes.
#[pyfunction]
#[pyo3(signature = (kind, message, *, code=None, context=None, faults=None, retry_after_ms=None, retryable=false))]
#[allow(clippy::too_many_arguments, reason = "the parts of one error")]
pub(crate) fn fail(
    py: Python<'_>,
    kind: &str,
    message: String,
    code: Option<String>,
    context: Option<Vec<(String, String)>>,
    faults: Option<Vec<(String, String)>>,
    retry_after_ms: Option<u64>,
    retryable: bool,
) -> PyResult<()> {
    let kind = ErrorKind::from_code(kind).unwrap_or(ErrorKind::Internal);
    let faults = faults.unwrap_or_default();
    let mut error = if faults.is_empty() {
        Error::new(kind, "test.fail", message)
    } else {
        let faults = faults.into_iter().map(|(field, message)| neonhub_ffi::Fault { field, message });
        Error::faults("test.fail", faults.collect())
    };
    for (key, value) in context.unwrap_or_default() {
        error = error.with_context(key, value);
    }
    if let Some(code) = code {
        error = error.with_code(code);
    }
    error = error.with_retry(match retry_after_ms {
        Some(ms) => Retry::After(Duration::from_millis(ms)),
        None if retryable => Retry::Backoff,
        None => Retry::Never,
    });
    Err(to_python(py, &error.into()))
}
