//! What the status of an HTTP answer of a provider means.

use crate::ErrorKind;

/// The kind of the error behind a status that is not 2xx, and what to do about it.
pub(crate) fn by_status(status: u16) -> (ErrorKind, &'static str) {
    use ErrorKind as K;
    match status {
        400 | 422 => (K::InvalidInput, "the provider finds the request wrong: see its message"),
        401 => (K::Unauthenticated, "the provider does not accept the key: set a valid one"),
        402 => (
            K::BudgetExceeded,
            "the provider's credit or spending limit is used up: raise it, or use another provider",
        ),
        403 => (K::PermissionDenied, "the key may not do this, or not from this region"),
        404 => (K::NotFound, "the provider has no such model or address: look at both names"),
        408 | 504 => (K::Timeout, "the provider did not finish in time: try again later"),
        413 => (K::ContextTooLong, "the request is larger than the provider takes: shorten it"),
        429 => (K::RateLimited, "too many calls for this key: wait as long as is said"),
        409 | 500.. => (K::Unavailable, "the provider is overloaded or broken: try again later"),
        _ => (K::Internal, "the provider answered with a status that says neither yes nor no"),
    }
}
