//! Redaction: what looks like a secret or like a way to reach a person leaves no process in a log line.

mod card;
mod hints;
mod key;
mod rules;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::hints::Hints;
use self::rules::{BY_NAME, RULES, Rule};

/// Names of fields whose values are never written, whole or after an underscore (`access_token`).
const SECRET_FIELDS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "authorization",
    "api_key",
    "apikey",
    "cookie",
    "set_cookie",
    "private_key",
];

/// True when a field of this name is written as `[redacted:field]`. Case and hyphens do not matter.
#[must_use]
pub fn is_secret_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_FIELDS.iter().any(|field| {
        name.strip_suffix(field).is_some_and(|head| head.is_empty() || head.ends_with(['_', '.']))
    })
}

/// The text with secrets, addresses, phone numbers and card numbers replaced by `[redacted:kind]`.
///
/// ```
/// use neonhub_core::telemetry::redact;
/// assert_eq!(redact("mail to jane@shop.example failed"), "mail to [redacted:email] failed");
/// assert_eq!(redact("access_token=abc&x=1"), "access_token=[redacted:field]&x=1");
/// ```
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    apply(&RULES, text)
}

/// The same without the rules for `name=value`, which take any value: what is left are values that look like a secret
/// or an address by themselves. Errors say `token: expected ...` and are to be read.
pub(crate) fn redact_values(text: &str) -> Cow<'_, str> {
    apply(RULES.get(BY_NAME..).unwrap_or_default(), text)
}

fn apply<'a>(rules: &[Rule], text: &'a str) -> Cow<'a, str> {
    let mut out = Cow::Borrowed(text);
    let hints = Hints::of(text);
    for rule in rules.iter().filter(|rule| hints.has(rule.hint)) {
        if let Some(clean) = rule.apply(&out) {
            out = Cow::Owned(clean);
        }
    }
    out
}
