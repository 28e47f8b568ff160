//! Redaction: what looks like a secret or like a way to reach a person leaves no process in a log line.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

/// Names of fields whose values are never written, whole or after an underscore (`access_token`).
const SECRET_FIELDS: &[&str] = &[
    "token",
    "secret",
    "password",
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

/// One pattern with a cheap test that most texts fail.
struct Rule {
    may_match: fn(&str) -> bool,
    pattern: Regex,
    replace: fn(&Captures<'_>) -> String,
}

fn rule(may_match: fn(&str) -> bool, pattern: &str, replace: fn(&Captures<'_>) -> String) -> Option<Rule> {
    // A pattern that does not compile is found by the tests below.
    Regex::new(pattern).ok().map(|pattern| Rule { may_match, pattern, replace })
}

/// How many of the rules go by the name before the value; they come first.
const BY_NAME: usize = 2;

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    [
        rule(
            |t| has_any(t, &["cookie"]),
            r#"(?i)((?:set-)?cookie)["']?\s*[=:]\s*[^\r\n]+"#,
            |c| format!("{}=[redacted:field]", c.get(1).map_or("", |m| m.as_str())),
        ),
        rule(
            |t| has_any(t, &["token", "secret", "pass", "authorization", "key"]),
            r#"(?i)([a-z0-9_.-]*(?:token|secret|password|passphrase|authorization|api[_-]?key|private[_-]key))["']?\s*[=:]\s*["']?(?:(?:basic|bearer|digest|token)\s+)?[^\s"',;}&]+"#,
            |c| format!("{}=[redacted:field]", c.get(1).map_or("", |m| m.as_str())),
        ),
        rule(
            |t| has_any(t, &["bearer", "basic"]),
            r"(?i)\b(?:bearer|basic)\s+[a-z0-9._~+/=-]{6,}",
            |_| "[redacted:bearer]".to_owned(),
        ),
        rule(
            |t| t.contains("eyJ"),
            r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?",
            |_| "[redacted:jwt]".to_owned(),
        ),
        rule(
            |t| ["sk-", "sk_", "pk_", "rk_", "re_", "whsec_", "gh", "xox", "AKIA"].iter().any(|p| t.contains(p)),
            r"\b(?:sk-|sk_|pk_live_|rk_|re_|whsec_|gh[pousr]_|xox[abprs]-|AKIA)[A-Za-z0-9_/+=-]{8,}",
            |_| "[redacted:key]".to_owned(),
        ),
        rule(
            |t| t.contains('@'),
            r#"[^\s@<>,;:"'()\[\]{}|=\\]+@[^\s@<>,;:"'()\[\]{}|=\\/?#]+\.[^\s@<>,;:"'()\[\]{}|=\\/?#.]{2,}"#,
            |_| "[redacted:email]".to_owned(),
        ),
        rule(
            |t| t.contains('+') && digits(t) >= 7,
            r"\+[1-9](?:[ ().-]{0,2}\d){6,14}",
            |_| "[redacted:phone]".to_owned(),
        ),
        rule(|t| digits(t) >= 13, r"\b\d(?:[ -]?\d){12,30}\b", |c| {
            let run = c.get(0).map_or("", |m| m.as_str());
            if has_card(run) { "[redacted:card]".to_owned() } else { run.to_owned() }
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
});

fn has_any(text: &str, words: &[&str]) -> bool {
    let bytes = text.as_bytes();
    words.iter().any(|word| bytes.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes())))
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// True when a card number starts at the run or after one of its separators.
fn has_card(run: &str) -> bool {
    let starts = run.char_indices().filter(|(at, c)| {
        c.is_ascii_digit() && (*at == 0 || run.get(..*at).is_some_and(|before| before.ends_with([' ', '-'])))
    });
    starts.into_iter().any(|(at, _)| {
        let number: Vec<u8> =
            run.get(at..).unwrap_or_default().bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
        (13..=19).any(|len| number.get(..len).is_some_and(|n| has_prefix(n) && luhn(n)))
    })
}

/// Prefixes and lengths that issuers use (ISO/IEC 7812, as published by the card networks, 2024).
fn has_prefix(number: &[u8]) -> bool {
    let lead = |n: usize| number.iter().take(n).fold(0_u32, |all, d| all * 10 + u32::from(*d));
    match number.len() {
        15 => matches!(lead(2), 34 | 37),
        14 => matches!(lead(2), 36 | 38 | 39) || matches!(lead(3), 300..=305),
        13 => lead(1) == 4,
        16 => {
            lead(1) == 4
                || matches!(lead(2), 51..=55 | 65)
                || matches!(lead(4), 2221..=2720 | 6011 | 3528..=3589)
                || matches!(lead(3), 644..=649)
                || lead(2) == 62
        }
        17..=19 => lead(1) == 4 || lead(2) == 62 || lead(2) == 50 || matches!(lead(2), 56..=58 | 63 | 67),
        _ => false,
    }
}

/// The check digit of card numbers (ISO/IEC 7812-1, annex B).
fn luhn(number: &[u8]) -> bool {
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(n, digit)| match (n % 2, u32::from(*digit) * 2) {
            (0, _) => u32::from(*digit),
            (_, twice) if twice > 9 => twice - 9,
            (_, twice) => twice,
        })
        .sum();
    sum.is_multiple_of(10)
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
    for rule in rules {
        if (rule.may_match)(&out) && rule.pattern.is_match(&out) {
            out = Cow::Owned(rule.pattern.replace_all(&out, rule.replace).into_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(RULES.len(), 8);
    }

    #[test]
    fn secrets_and_addresses_are_replaced_and_the_rest_stays() {
        for (text, clean) in [
            ("Bearer abc.def-123 sent", "[redacted:bearer] sent"),
            ("key sk-proj-abcdEFGH1234 used", "key [redacted:key] used"),
            ("re_1234567890ab and whsec_MfKQ9r8GKYqr", "[redacted:key] and [redacted:key]"),
            ("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig_x", "t [redacted:jwt]"),
            ("to <jane.doe+x@mail.shop.example>", "to <[redacted:email]>"),
            ("jörg@müller.example", "[redacted:email]"),
            ("call +1 (202) 555-0123 now", "call [redacted:phone] now"),
            ("+436601234567", "[redacted:phone]"),
            ("card 4111 1111 1111 1111 end", "card [redacted:card] end"),
            ("378282246310005", "[redacted:card]"),
            ("authorization: Basic dXNlcjpwYXNz", "authorization=[redacted:field]"),
            (r#"{"api_key":"x y","n":1}"#, r#"{"api_key=[redacted:field] y","n":1}"#),
            ("Set-Cookie: a=b; c=d", "Set-Cookie=[redacted:field]"),
            ("4111 1111 1111 1112", "4111 1111 1111 1112"),
            ("at 1795259519123 input_tokens=15", "at 1795259519123 input_tokens=15"),
            (
                "run_01kaf3w0000000000000000000 done in 12.5 s",
                "run_01kaf3w0000000000000000000 done in 12.5 s",
            ),
        ] {
            assert_eq!(redact(text), clean, "{text}");
        }
    }

    #[test]
    fn field_names_count_whole() {
        for name in ["token", "Access-Token", "set-cookie", "smtp.password", "API_KEY", "client_secret"] {
            assert!(is_secret_field(name), "{name}");
        }
        for name in ["input_tokens", "secretary", "keyword", "passwords"] {
            assert!(!is_secret_field(name), "{name}");
        }
    }
}
