//! Errors both ways: ours become exceptions of the host, exceptions of host callbacks become errors.

use std::fmt;
use std::time::Duration;

use neonhub_ffi::{Error, ErrorKind, Fault, FfiError, Retry, host};

/// Two words of an error: a context pair, or a field with its fault.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ErrorPair {
    /// Key of the context, or path of the field.
    pub name: String,
    /// Value of the context, or what was expected.
    pub text: String,
}

/// The parts of an error.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ErrorParts {
    /// The word of the kind, such as `not_found`.
    pub kind: String,
    /// The finer word if there is one, else the kind's.
    pub code: String,
    /// The operation that failed.
    pub operation: String,
    /// What was expected and what to do.
    pub reason: String,
    /// Facts in the order they were added.
    pub context: Vec<ErrorPair>,
    /// Every fault by field.
    pub faults: Vec<ErrorPair>,
    /// True when the same call may succeed later.
    pub retryable: bool,
    /// Not sooner than this, in milliseconds.
    pub retry_after_ms: Option<i64>,
    /// The line for operators.
    pub line: String,
    /// Where the host keeps the exception of its own that is behind this.
    pub raised: Option<i64>,
}

/// What a call or a callback ends with when it fails.
#[derive(Clone, Debug, uniffi::Error)]
pub enum NativeError {
    /// An error of ours.
    Failed {
        /// Its parts.
        parts: ErrorParts,
    },
    /// An exception of the host that is none of ours.
    Raised {
        /// The name of its class.
        exception: String,
        /// What it says, for whoever called a tool.
        words: String,
        /// Where the host keeps it.
        raised: i64,
    },
}

impl fmt::Display for NativeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NativeError::Failed { parts } => f.write_str(&parts.line),
            NativeError::Raised { exception, .. } => write!(f, "the host raised {exception}"),
        }
    }
}

impl std::error::Error for NativeError {}

impl From<uniffi::UnexpectedUniFFICallbackError> for NativeError {
    /// The glue itself failed; its reason may quote values, so it is not kept.
    fn from(_: uniffi::UnexpectedUniFFICallbackError) -> Self {
        NativeError::Raised { exception: "an exception".to_owned(), words: String::new(), raised: 0 }
    }
}

/// An exception of the host as the cause of one of our errors: what it says, and where the host keeps it.
#[derive(Debug)]
struct HostCause {
    words: String,
    raised: i64,
}

impl fmt::Display for HostCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for HostCause {}

impl From<&FfiError> for NativeError {
    fn from(error: &FfiError) -> Self {
        let pair = |(name, text): (&String, &String)| ErrorPair { name: name.clone(), text: text.clone() };
        NativeError::Failed {
            parts: ErrorParts {
                kind: error.kind.to_owned(),
                code: error.code.clone(),
                operation: error.operation.clone(),
                reason: error.message.clone(),
                context: error.context.iter().map(|(key, value)| pair((key, value))).collect(),
                faults: error.faults.iter().map(|fault| pair((&fault.field, &fault.message))).collect(),
                retryable: error.retryable,
                retry_after_ms: error.retry_after_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
                line: error.line(),
                raised: error.cause::<HostCause>().map(|cause| cause.raised),
            },
        }
    }
}

impl From<FfiError> for NativeError {
    fn from(error: FfiError) -> Self {
        NativeError::from(&error)
    }
}

impl From<Error> for NativeError {
    fn from(error: Error) -> Self {
        NativeError::from(&FfiError::from(error))
    }
}

impl NativeError {
    /// The error for what a callback raised. One of ours keeps its kind, words and advice.
    pub(crate) fn into_core(self) -> Error {
        match self {
            NativeError::Raised { exception, words, raised } => {
                host::raised(&exception, HostCause { words, raised })
            }
            NativeError::Failed { parts } => {
                let cause = parts.raised.map(|raised| HostCause { words: parts.line.clone(), raised });
                let error = parts.into_core("host");
                match cause {
                    Some(cause) => error.with_source(cause),
                    None => error,
                }
            }
        }
    }
}

impl ErrorParts {
    fn into_core(self, operation: &'static str) -> Error {
        let kind = ErrorKind::from_code(&self.kind).unwrap_or(ErrorKind::Internal);
        let mut error = if self.faults.is_empty() {
            Error::new(kind, operation, self.reason)
        } else {
            let faults = self.faults.into_iter().map(|pair| Fault { field: pair.name, message: pair.text });
            Error::faults(operation, faults.collect())
        };
        for pair in self.context {
            error = error.with_context(pair.name, pair.text);
        }
        if !self.code.is_empty() && self.code != kind.code() {
            error = error.with_code(self.code);
        }
        error.with_retry(match self.retry_after_ms.and_then(|ms| u64::try_from(ms).ok()) {
            Some(ms) => Retry::After(Duration::from_millis(ms)),
            None if self.retryable => Retry::Backoff,
            None => Retry::Never,
        })
    }
}

/// The words of all error kinds of this build.
#[uniffi::export]
#[must_use]
pub fn error_kinds() -> Vec<String> {
    ErrorKind::ALL.iter().map(|kind| kind.code().to_owned()).collect()
}

/// Fails with these parts, as an operation would. For tests of the exceptions.
///
/// # Errors
/// Always.
#[uniffi::export]
pub fn fail(parts: ErrorParts) -> Result<(), NativeError> {
    Err(parts.into_core("test.fail").into())
}
