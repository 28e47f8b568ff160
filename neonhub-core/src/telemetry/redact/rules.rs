//! The patterns, in the order they are tried.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

use super::card::is_card;
use super::hints::Hint;
use super::key;

/// How a rule finds what it replaces.
enum Find {
    /// A pattern, and what stands there then; `None` leaves it as it is.
    Pattern(Regex, fn(&str, &Captures<'_>) -> Option<String>),
    Keys,
}

/// One kind of what is hidden.
pub(super) struct Rule {
    /// What no text that it is about goes without.
    pub(super) hint: Hint,
    find: Find,
}

impl Rule {
    /// The text with what the rule is about replaced; `None` when there is nothing.
    pub(super) fn apply(&self, text: &str) -> Option<String> {
        let (pattern, replace) = match &self.find {
            Find::Keys => return key::replace(text),
            Find::Pattern(pattern, replace) => (pattern, replace),
        };
        let mut out = String::new();
        let (mut kept, mut is_changed) = (0, false);
        for found in pattern.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            let Some(word) = replace(text, &found) else { continue };
            out.push_str(text.get(kept..whole.start()).unwrap_or_default());
            out.push_str(&word);
            (kept, is_changed) = (whole.end(), true);
        }
        if !is_changed {
            return None;
        }
        out.push_str(text.get(kept..).unwrap_or_default());
        Some(out)
    }
}

fn rule(hint: Hint, pattern: &str, replace: fn(&str, &Captures<'_>) -> Option<String>) -> Option<Rule> {
    // A pattern that does not compile is found by a test.
    Regex::new(pattern).ok().map(|pattern| Rule { hint, find: Find::Pattern(pattern, replace) })
}

/// The names whose values are hidden, whatever they are.
const NAMED: &str = "token|secret|password|passwd|passphrase|authorization|api[_-]?key|private[_-]key";
/// Between the groups of a number: spaces and hyphens, also those that do not break, also escaped, and the
/// spaces of a URL.
const GAP: &str = r"[ \-\u{a0}\u{202f}\u{2010}\u{2011}]|%20|\\+u\{?(?:00)?(?:a0|202f|2010|2011)\}?";
/// A character of an address.
const PART: &str = r#"[^\s@<>,;:"'()\[\]{}|=\\\u{ff20}]"#;

/// A character of the host of an address, of its last part, and of the beginning of that: `react@18.20` is a version.
const HOST: &str = r#"[^\s@<>,;:"'()\[\]{}|=\\/?#&]"#;
const LABEL: &str = r#"[^\s@<>,;:"'()\[\]{}|=\\/?#&.]"#;
const TOP: &str = r#"[^\s@<>,;:"'()\[\]{}|=\\/?#&.\d]"#;

/// How many of the rules go by the name before the value; they come first.
pub(super) const BY_NAME: usize = 4;

pub(super) static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rules = [
        rule(Hint::Cookie, r#"(?i)((?:set-)?cookie)\\*["']?\s*(?:[=:]|%3[ad])\s*[^\r\n]+"#, |_, c| named(c)),
        rule(Hint::SecretName, &format!(r"(?i)<([a-z0-9_.:-]*(?:{NAMED}))(?:\s[^<>]*)?>[^<]+</"), |_, c| {
            Some(format!("<{}>[redacted:field]</", group(c, 1)))
        }),
        rule(
            Hint::SecretName,
            // A header as a pair: `("x-api-key", "value")`.
            &format!(r#"(?i)\(\\*["']([a-z0-9_.-]*(?:{NAMED}))\\*["'],\s*\\*["'][^"']*["']"#),
            |_, c| Some(format!("({}=[redacted:field]", group(c, 1))),
        ),
        rule(
            Hint::SecretName,
            &format!(
                r#"(?i)([a-z0-9_.-]*(?:{NAMED}))\\*["']?\s*(?:[=:]|%3[ad])\s*(?:[a-z]+\(|[\[({{])*(?:\\+"[^"\\][^"]*"|"(?:[^"\\]|\\.)+"|'(?:[^'\\]|\\.)+'|[\\"']*(?:(?:basic|bearer|digest|token)(?:\s+|%20))?[^\s"',;}}&]+)"#
            ),
            |_, c| named(c),
        ),
        rule(
            Hint::Pem,
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
            |_, _| Some("[redacted:key]".to_owned()),
        ),
        rule(Hint::UserInfo, r#"://([^\s/@:?#"']*):[^\s/@"']+@"#, |_, c| {
            Some(format!("://{}:[redacted:field]@", group(c, 1)))
        }),
        rule(Hint::Scheme, r"(?i)\b(bearer|basic)(?:\s+|%20|\+)([a-z0-9._~+/=-]{6,})", |_, c| {
            let is_secret = match group(c, 1).len() {
                5 => is_basic(group(c, 2)),
                _ => is_bearer(group(c, 2)),
            };
            is_secret.then(|| "[redacted:bearer]".to_owned())
        }),
        rule(Hint::Jwt, r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,3}", |_, _| {
            Some("[redacted:jwt]".to_owned())
        }),
        Some(Rule { hint: Hint::Key, find: Find::Keys }),
        rule(
            Hint::At,
            &format!(
                r#"(?:"[^"\r\n@]{{1,64}}"|{PART}+)(?:@|%40|&#64;|\u{{ff20}})({HOST}+(?:\.|\u{{3002}}|\u{{ff0e}}){TOP}{LABEL}+)"#
            ),
            |_, c| (!is_picture(group(c, 1))).then(|| "[redacted:email]".to_owned()),
        ),
        rule(
            Hint::Phone,
            &format!(r"(?:\+|%2[Bb]|\u{{ff0b}})[1-9](?:(?:[().]|/|\u{{2013}}|{GAP}){{0,3}}\d){{6,14}}"),
            |text, c| {
                let start = c.get(0).map_or(0, |m| m.start());
                let is_number = is_version(text.get(..start).unwrap_or_default());
                (!is_number).then(|| "[redacted:phone]".to_owned())
            },
        ),
        rule(Hint::Card, &format!(r"\d(?:(?:\+|{GAP})?\d){{12,}}"), |text, c| {
            let at = c.get(0)?;
            is_card(text, at.start(), at.end()).then(|| "[redacted:card]".to_owned())
        }),
    ];
    rules.into_iter().flatten().collect()
});

fn group<'t>(found: &Captures<'t>, n: usize) -> &'t str {
    found.get(n).map_or("", |m| m.as_str())
}

fn named(found: &Captures<'_>) -> Option<String> {
    // What was hidden before stays as it is, with what stands behind it.
    (!group(found, 0).contains("=[redacted:field]")).then(|| format!("{}=[redacted:field]", group(found, 1)))
}

/// True for what stands behind `Bearer` and is no word: "a bearer certificate" is one.
fn is_bearer(value: &str) -> bool {
    let value = value.trim_end_matches('.');
    let has_inner = value.bytes().skip(1).any(|b| b.is_ascii_uppercase());
    value.len() >= 24 || has_inner || value.bytes().any(|b| b.is_ascii_digit())
}

/// True for name and password in base64: "basic settings" are none.
fn is_basic(value: &str) -> bool {
    let is_base64 = value.len().is_multiple_of(4)
        && value.len() >= 8
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    is_base64
        && (value.ends_with('=')
            || value.bytes().skip(1).any(|b| b.is_ascii_digit() || b.is_ascii_uppercase()))
}

/// `logo@2x.png` is a picture for fine screens.
fn is_picture(domain: &str) -> bool {
    let form = domain.split_once("x.");
    form.is_some_and(|(times, form)| {
        times.len() == 1
            && times.bytes().all(|b| b.is_ascii_digit())
            && ["png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "ico"].contains(&form)
    })
}

/// True behind a version, whose build follows a plus: `1.4.0+20261121`.
fn is_version(before: &str) -> bool {
    let patch = before.trim_end_matches(|c: char| c.is_ascii_digit());
    patch.len() < before.len()
        && patch.strip_suffix('.').is_some_and(|minor| minor.ends_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
#[test]
fn every_pattern_compiles() {
    assert_eq!(RULES.len(), 12);
}
