//! The one error as plain data, so that a binding can make its own exception of it.

use std::fmt;
use std::ops::Deref;

use neonhub_core::{Error, ErrorKind, Fault, Retry};

/// The result of everything a binding calls.
pub type FfiResult<T, E = FfiError> = std::result::Result<T, E>;

/// An error of the core, taken apart. One pointer wide; read the parts through it.
pub struct FfiError(Box<Parts>);

/// The parts of an error.
pub struct Parts {
    /// The word of the kind, such as `not_found`.
    pub kind: &'static str,
    /// The finer word if there is one, else the kind's.
    pub code: String,
    /// The operation that failed, such as `people.resolve`.
    pub operation: String,
    /// What was expected and what to do.
    pub message: String,
    /// The context pairs in the order they were added.
    pub context: Vec<(String, String)>,
    /// Every fault by field, when the error lists several.
    pub faults: Vec<Fault>,
    /// True when the same call may succeed later.
    pub retryable: bool,
    /// Not sooner than this, in milliseconds, when the other side said so.
    pub retry_after_ms: Option<u64>,
    origin: Error,
}

impl Deref for FfiError {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.origin, f)
    }
}

impl FfiError {
    /// The line for operators: code, operation, message, `key=value`.
    #[must_use]
    pub fn line(&self) -> String {
        self.origin.to_string()
    }

    /// The first cause of this type: how a binding finds the exception of its own language again.
    #[must_use]
    pub fn cause<T: std::error::Error + 'static>(&self) -> Option<&T> {
        let mut next = std::error::Error::source(&self.origin);
        while let Some(cause) = next {
            if let Some(found) = cause.downcast_ref::<T>() {
                return Some(found);
            }
            next = cause.source();
        }
        None
    }

    /// The causes, outermost first, for developers.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut next = std::error::Error::source(&self.origin);
        while let Some(cause) = next {
            out.push(cause.to_string());
            next = cause.source();
        }
        out
    }

    /// The error of a panic, which is always a fault of ours.
    #[must_use]
    pub fn of_panic(operation: &str) -> Self {
        let message = "the operation panicked: this is a fault of neonhub, please report it";
        Error::new(ErrorKind::Internal, operation.to_owned(), message).into()
    }

    /// The error of the core.
    #[must_use]
    pub fn into_core(self) -> Error {
        self.0.origin
    }
}

impl From<Error> for FfiError {
    fn from(error: Error) -> Self {
        let retry_after_ms = match error.retry() {
            Retry::After(wait) => Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            _ => None,
        };
        FfiError(Box::new(Parts {
            kind: error.kind().code(),
            code: error.code().to_owned(),
            operation: error.operation().to_owned(),
            message: error.message().to_owned(),
            context: error.context().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            faults: error.field_faults().to_vec(),
            retryable: error.is_retryable(),
            retry_after_ms,
            origin: error,
        }))
    }
}

impl fmt::Display for FfiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.origin, f)
    }
}

impl fmt::Debug for FfiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.origin, f)
    }
}

impl std::error::Error for FfiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct Inner;
    impl fmt::Display for Inner {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("inner")
        }
    }
    impl std::error::Error for Inner {}

    #[test]
    fn every_part_is_kept() {
        let error = Error::new(ErrorKind::RateLimited, "llm.call", "slow down")
            .with_code("quota")
            .with_context("b", 1)
            .with_context("a", 2)
            .with_retry(Retry::After(Duration::from_millis(1500)))
            .with_source(Inner);
        let plain = FfiError::from(error);
        assert_eq!((plain.kind, plain.code.as_str()), ("rate_limited", "quota"));
        assert_eq!(plain.context, [("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
        assert_eq!((plain.retryable, plain.retry_after_ms), (true, Some(1500)));
        assert!(plain.cause::<Inner>().is_some());
        assert_eq!(plain.causes(), ["inner"]);
        assert_eq!(plain.line(), "quota: llm.call: slow down b=1 a=2");
    }
}
