//! What went wrong at a provider: status, headers and body become one of our kinds, with advice on trying again.
//!
//! Only statuses, codes and types decide, never the words of a message. A 429 has two meanings: too fast, and out of
//! money; the second is never tried again.

use std::fmt;

use serde_json::Value;

use super::lenient;
use crate::http::{Headers, reset_after, retry_after};
use crate::llm::by_status;
use crate::telemetry::redact;
use crate::{Error, ErrorKind, Retry, Timestamp};

const OPERATION: &str = "llm.call";
/// Most bytes of a provider's body in an error, after redaction.
const BODY: usize = 2 << 10;
/// Most characters of its message.
const MESSAGE: usize = 300;

/// Codes and types that mean spent money or a spent plan.
// OpenAI help article 5955604 and Anthropic's error page, read in November 2026.
const MONEY: &[&str] = &[
    "billing_error",
    "contract_spend_limit_reached",
    "credit_balance_exhausted",
    "enforced_spend_limit_reached",
    "insufficient_quota",
    "organization_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "project_spend_limit_exceeded",
];
/// The input is larger than the window.
const TOO_LONG: &[&str] = &[
    "context_length_exceeded",
    "context_window_exceeded",
    "model_context_window_exceeded",
    "request_too_large",
];
/// The provider will not answer this, however often it is asked.
// From the codes of the OpenAI Python SDK 3.52, 2026.
const POLICY: &[&str] = &[
    "bio_policy",
    "content_filter",
    "content_policy_violation",
    "cyber_policy",
    "invalid_prompt",
    "misalignment_policy_violation",
    "moderation_blocked",
];
const RATE: &[&str] = &["rate_limit_error", "rate_limit_exceeded"];
const BUSY: &[&str] = &["api_error", "overloaded_error", "server_error", "server_is_overloaded"];

/// Who failed: names for the error, and the key that must not be in it.
#[derive(Clone, Copy)]
pub(crate) struct Who<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The model that was asked.
    pub model: &'a str,
    /// The key, to be cut out of what is kept.
    pub key: Option<&'a str>,
    /// The present instant, for dates in headers.
    pub now: Timestamp,
}

impl fmt::Debug for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Who")
            .field("provider", &self.provider)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// What a body says of its error, in any of the shapes that servers use.
#[derive(Debug, Default)]
struct Said<'v> {
    message: Option<&'v str>,
    code: Option<String>,
    kind: Option<&'v str>,
    param: Option<&'v str>,
    request: Option<&'v str>,
}

impl<'v> Said<'v> {
    /// `{error: {..}}`, `{error: text}`, `{message}`, `{detail}`, or the inner object alone.
    fn of(body: &'v Value) -> Self {
        let inner = lenient::object(body, "error").unwrap_or(body);
        let details = inner.get("details").unwrap_or(&Value::Null);
        let code = lenient::text(details, "error_code").or_else(|| lenient::text(inner, "code"));
        let code = code.map(str::to_owned).or_else(|| inner.get("code")?.as_u64().map(|n| n.to_string()));
        let message = lenient::text(inner, "message")
            .or_else(|| lenient::text(body, "error"))
            .or_else(|| lenient::text(body, "detail"));
        Said {
            message,
            code,
            kind: lenient::text(inner, "type").filter(|kind| *kind != "error"),
            param: lenient::text(inner, "param"),
            request: lenient::text(body, "request_id"),
        }
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        [self.code.as_deref(), self.kind].into_iter().flatten().any(|said| words.contains(&said))
    }

    fn means_money(&self) -> bool {
        let spend = |code: &str| code.contains("spend_limit") || code.contains("credit_balance");
        self.is_one_of(MONEY) || self.code.as_deref().is_some_and(spend)
    }
}

/// The error behind an answer whose status is not 2xx.
pub(crate) fn of_status(who: Who<'_>, status: u16, headers: &Headers, body: &[u8]) -> Error {
    let parsed = serde_json::from_slice(body).unwrap_or(Value::Null);
    let said = Said::of(&parsed);
    let wait = retry_after(headers, who.now);
    let (kind, message) = match (kind(&said, Some(status)), headers.get("x-should-retry")) {
        // A server that asks to be asked again overrules a status that says no more than "wrong".
        ((ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::Internal, _), Some("true")) => {
            (ErrorKind::Unavailable, "the provider failed and asks to be called again")
        }
        (found, _) => found,
    };
    let retry = match kind {
        ErrorKind::RateLimited => {
            wait.or_else(|| window(headers, who.now)).map_or(Retry::Backoff, Retry::After)
        }
        ErrorKind::Unavailable | ErrorKind::Timeout => wait.map_or(Retry::Backoff, Retry::After),
        _ => Retry::Never,
    };
    let retry = if headers.get("x-should-retry") == Some("false") { Retry::Never } else { retry };
    let request = headers.get("x-request-id").or_else(|| headers.get("request-id"));
    let error = Error::new(kind, OPERATION, message).with_retry(retry).with_context("status", status);
    finish(error, who, &said, request, body)
}

/// The error inside a stream whose status was 200; also of an answer that says it failed.
pub(crate) fn of_body(who: Who<'_>, body: &Value) -> Error {
    let said = Said::of(body);
    let (kind, message) = kind(&said, None);
    let retry = match kind {
        ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Timeout => Retry::Backoff,
        _ => Retry::Never,
    };
    let error = Error::new(kind, OPERATION, message).with_retry(retry);
    finish(error, who, &said, None, body.to_string().as_bytes())
}

/// An answer that is not what the wire format says.
pub(crate) fn undecodable(who: Who<'_>, message: &'static str, body: &[u8]) -> Error {
    let error = Error::new(ErrorKind::Corrupted, OPERATION, message).with_code("undecodable");
    finish(error, who, &Said::default(), None, body)
}

/// The stream ended before its last event.
pub(crate) fn truncated(who: Who<'_>) -> Error {
    let error =
        Error::new(ErrorKind::Unavailable, OPERATION, "the answer ended before its last event: call again");
    named(error.with_code("truncated").with_retry(Retry::Backoff), who)
}

/// Adds who failed.
pub(crate) fn named(error: Error, who: Who<'_>) -> Error {
    error.for_operation(OPERATION).with_context("provider", who.provider).with_context("model", who.model)
}

fn kind(said: &Said<'_>, status: Option<u16>) -> (ErrorKind, &'static str) {
    use ErrorKind as K;
    if said.means_money() {
        return by_status(402);
    }
    if said.is_one_of(TOO_LONG) {
        return (
            K::ContextTooLong,
            "the request is larger than the model's window: shorten it, or use a larger model",
        );
    }
    if said.is_one_of(POLICY) {
        return (K::Blocked, "the provider's content policy refuses this request");
    }
    status.map_or_else(|| streamed(said), by_status)
}

/// The kind of an error without a status.
fn streamed(said: &Said<'_>) -> (ErrorKind, &'static str) {
    use ErrorKind as K;
    if said.is_one_of(RATE) {
        return (K::RateLimited, "too many calls for this key: wait and call again");
    }
    if said.is_one_of(BUSY) || said.is_one_of(&["slow_down"]) {
        return (K::Unavailable, "the provider broke off its answer: try again later");
    }
    match said.kind {
        Some("timeout_error") => (K::Timeout, "the provider did not finish in time: try again later"),
        Some("authentication_error") => {
            (K::Unauthenticated, "the provider does not accept the key: set a valid one")
        }
        Some("permission_error") => (K::PermissionDenied, "the key may not do this"),
        Some("not_found_error") => (K::NotFound, "the provider has no such model: look at its name"),
        Some("invalid_request_error") => {
            (K::InvalidInput, "the provider finds the request wrong: see its message")
        }
        // Most servers say nothing but a text here, about a fault of theirs.
        _ => (K::Unavailable, "the provider broke off its answer: try again later"),
    }
}

/// The longest wait for a window of the rate limit that has nothing left.
fn window(headers: &Headers, now: Timestamp) -> Option<std::time::Duration> {
    let spent = |name: &str| matches!(headers.get(name).map(str::trim), Some("0"));
    headers
        .iter()
        .filter_map(|(name, value)| {
            let remaining = match name.strip_prefix("x-ratelimit-reset-") {
                Some(what) => format!("x-ratelimit-remaining-{what}"),
                None => {
                    let what = name.strip_prefix("anthropic-ratelimit-")?.strip_suffix("-reset")?;
                    format!("anthropic-ratelimit-{what}-remaining")
                }
            };
            spent(&remaining).then(|| reset_after(value, now)).flatten()
        })
        .max()
}

fn finish(mut error: Error, who: Who<'_>, said: &Said<'_>, request: Option<&str>, body: &[u8]) -> Error {
    error = named(error, who);
    if let Some(request) = request.or(said.request) {
        error = error.with_context("request_id", clean(who, request, MESSAGE));
    }
    for (name, value) in [
        ("provider_code", said.code.as_deref()),
        ("provider_type", said.kind),
        ("provider_param", said.param),
    ] {
        if let Some(value) = value {
            error = error.with_context(name, clean(who, value, MESSAGE));
        }
    }
    if let Some(message) = said.message {
        error = error.with_context("provider_message", clean(who, message, MESSAGE));
    }
    if body.is_empty() {
        return error;
    }
    error.with_source(RawBody(clean(who, &String::from_utf8_lossy(body), BODY)))
}

/// Text of a provider without our key, other secrets, or addresses of people; on one line and cut.
fn clean(who: Who<'_>, text: &str, max: usize) -> String {
    let without_key = match who.key.filter(|key| key.len() >= 4) {
        Some(key) => text.replace(key, "[redacted:key]"),
        None => text.to_owned(),
    };
    let safe = redact(&without_key);
    safe.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect()
}

/// What the provider sent, redacted: the source of an error, for developers.
#[derive(Debug)]
struct RawBody(String);

impl fmt::Display for RawBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the provider answered: {}", self.0)
    }
}

impl std::error::Error for RawBody {}
