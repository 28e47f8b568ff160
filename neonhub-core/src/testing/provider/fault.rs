//! The ways in which providers fail.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::{Reaction, Speech};
use crate::{Clock as _, SystemClock};

/// How a provider says how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryForm {
    /// `retry-after` in seconds.
    Seconds(u64),
    /// `retry-after-ms`.
    Millis(u64),
    /// `retry-after` as a date, this many seconds from now.
    Date(u64),
    /// Only the headers of the rate limit: nothing left, a new window after this many milliseconds.
    Window(u64),
    /// Not at all.
    None,
}

/// What befalls an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireFault {
    /// The first byte takes this long.
    SlowFirstByte(Duration),
    /// The connection closes after this many bytes of the body.
    CutAt(usize),
    /// Status 200, then an error after this many events.
    ErrorAfter(usize),
    /// 429: too fast.
    RateLimited(RetryForm),
    /// 429: out of money.
    OutOfMoney,
    /// A web page of a gateway with this status.
    HtmlPage(u16),
    /// A JSON error of the provider with this status.
    Status(u16),
    /// Fields, kinds of events and a reason to stop that nobody knows.
    UnknownEnums,
}

impl WireFault {
    pub(super) fn befall(&self, mut reaction: Reaction, speech: Speech) -> Reaction {
        match self {
            WireFault::SlowFirstByte(wait) => reaction.wait = tokio::time::sleep(*wait).boxed().shared(),
            WireFault::CutAt(at) => reaction.cut_at = Some(*at),
            WireFault::ErrorAfter(events) => {
                reaction.pieces.truncate(*events);
                reaction.pieces.push(speech.error_event(reaction.pieces.len()));
            }
            // Written with the answer.
            WireFault::UnknownEnums => {}
            WireFault::HtmlPage(status) => {
                let page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
                return Reaction::text(*status, "text/html; charset=utf-8", page);
            }
            WireFault::Status(status) => {
                let message = match status {
                    401 => "the key is not valid",
                    404 => "no such model",
                    _ => "something broke",
                };
                return speech.failed(*status, message);
            }
            WireFault::RateLimited(form) => {
                let body = speech.error("rate_limit_error", Some("rate_limit_exceeded"), "too many requests");
                let mut limited = speech.json(429, &body);
                limited.headers.extend(form.headers(speech));
                return limited;
            }
            WireFault::OutOfMoney => {
                let message = "you are out of credit";
                let body = match speech {
                    Speech::Messages => {
                        speech.error("rate_limit_error", Some("enforced_spend_limit_reached"), message)
                    }
                    // Ollama has no code for it: as the formats of others say it.
                    _ => Speech::Chat.error("insufficient_quota", Some("insufficient_quota"), message),
                };
                return speech.json(429, &body);
            }
        }
        reaction
    }
}

impl RetryForm {
    fn headers(self, speech: Speech) -> Vec<(String, String)> {
        let now = SystemClock.now();
        let one = |name: &str, value: String| vec![(name.to_owned(), value)];
        match self {
            RetryForm::Seconds(s) => one("retry-after", s.to_string()),
            RetryForm::Millis(ms) => one("retry-after-ms", ms.to_string()),
            RetryForm::Date(s) => {
                let at = now.plus(Duration::from_secs(s)).to_jiff().strftime("%a, %d %b %Y %H:%M:%S GMT");
                one("retry-after", at.to_string())
            }
            RetryForm::Window(ms) if speech == Speech::Messages => vec![
                ("anthropic-ratelimit-requests-remaining".into(), "0".into()),
                (
                    "anthropic-ratelimit-requests-reset".into(),
                    now.plus(Duration::from_millis(ms)).to_jiff().to_string(),
                ),
            ],
            RetryForm::Window(ms) => vec![
                ("x-ratelimit-remaining-requests".into(), "0".into()),
                ("x-ratelimit-reset-requests".into(), format!("{ms}ms")),
                ("x-ratelimit-remaining-tokens".into(), "900".into()),
                ("x-ratelimit-reset-tokens".into(), "6m0s".into()),
            ],
            RetryForm::None => Vec::new(),
        }
    }
}
