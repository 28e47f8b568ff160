//! Crash services: the host may have faults of ours reported; none is by default.

use std::fmt::Debug;

use serde::Serialize;

use super::redact::redact;
use crate::{Error, ErrorKind, Scope};

/// A fault, redacted: codes, ids and words, no values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorReport {
    /// Word of the kind: `internal`, `corrupted`.
    pub kind: String,
    /// The finer word.
    pub code: String,
    /// The operation that failed.
    pub operation: String,
    /// What was expected.
    pub message: String,
    /// Ids and words beside it.
    pub context: Vec<(String, String)>,
    /// The workspace.
    pub workspace_id: String,
    /// Joins everything one outer call caused.
    pub correlation_id: String,
}

/// Takes faults of ours to a service of the host.
///
/// It is called inside the failing call: hand the report over and return.
pub trait ErrorSink: Debug + Send + Sync + 'static {
    /// Takes one report.
    fn report(&self, report: &ErrorReport);
}

impl ErrorReport {
    /// The report of an error worth one: a fault of ours or of the store.
    pub(crate) fn of(cx: &Scope, operation: &str, error: &Error) -> Option<Self> {
        if !matches!(error.kind(), ErrorKind::Internal | ErrorKind::Corrupted) {
            return None;
        }
        Some(ErrorReport {
            kind: error.kind().code().to_owned(),
            code: error.code().to_owned(),
            operation: operation.to_owned(),
            message: redact(error.message()).into_owned(),
            context: error.context().map(|(k, v)| (k.to_owned(), redact(v).into_owned())).collect(),
            workspace_id: cx.workspace().to_string(),
            correlation_id: cx.correlation().to_owned(),
        })
    }
}
