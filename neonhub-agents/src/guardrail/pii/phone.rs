//! Phone numbers, read by libphonenumber's tables.

use phonenumber::country::Id;

use super::{Pii, PiiKind, near};
use crate::voice::text::Span;

const CUES: &[&str] = &[
    "call",
    "phone",
    "tel",
    "telephone",
    "mobile",
    "whatsapp",
    "text",
    "sms",
    "fax",
    "hotline",
    "ring",
    "anrufen",
    "telefon",
];

/// Numbers with `+` in any country; others only as a number of `region`, and surely only with a cue near by,
/// because order numbers look the same.
pub(super) fn phones(text: &str, region: Option<&str>) -> Vec<Pii> {
    let home: Option<Id> = region.and_then(|r| r.to_ascii_uppercase().parse().ok());
    let mut out = Vec::new();
    for span in candidates(text) {
        let raw = span.of(text);
        let international = raw.starts_with('+') || raw.starts_with("00");
        let parsed = if let Some(rest) = raw.strip_prefix("00") {
            phonenumber::parse(None, format!("+{rest}"))
        } else if international {
            phonenumber::parse(None, raw)
        } else if home.is_some() {
            phonenumber::parse(home, raw)
        } else {
            continue;
        };
        let cued = near(text, span, CUES);
        let valid = parsed.as_ref().is_ok_and(phonenumber::PhoneNumber::is_valid);
        let confidence = match (international, valid, cued) {
            (true, true, _) => 0.95,
            // Numbers of ranges that are not given out, such as those for fiction, are still written like numbers.
            (true, false, _) if parsed.is_ok() => 0.6,
            (false, true, true) => 0.8,
            (false, true, false) if raw.contains([' ', '-', '(', '/']) => 0.55,
            (false, true, false) => 0.2,
            _ => continue,
        };
        out.push(Pii { kind: PiiKind::Phone, span, confidence });
    }
    out
}

/// Runs of 7 to 15 digits with the usual marks between them.
fn candidates(text: &str) -> Vec<Span> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let at = |i: usize| chars.get(i).map(|(_, c)| *c);
    let mut out = Vec::new();
    let mut i = 0;
    while let Some(c) = at(i) {
        let before = i.checked_sub(1).and_then(at);
        let opens = c.is_ascii_digit()
            || (c == '+' && at(i + 1).is_some_and(|n| n.is_ascii_digit() || n == '('))
            || (c == '(' && at(i + 1).is_some_and(|n| n.is_ascii_digit() || n == '+'));
        if !opens
            || before
                .is_some_and(|b| b.is_alphanumeric() || matches!(b, '.' | ',' | '/' | '_' | '-' | '#' | '='))
        {
            i += 1;
            continue;
        }
        let (from, mut digits, mut last) = (i, 0, i);
        while let Some(c) = at(i) {
            if c.is_ascii_digit() {
                digits += 1;
                last = i;
            } else {
                let is_mark = matches!(c, '+' | '(' | ')' | ' ' | '-' | '.' | '/' | '\u{a0}');
                let late_plus = c == '+' && i != from && at(from) != Some('(');
                let gap = |c: char| matches!(c, ' ' | '-' | '.' | '/');
                if !is_mark || late_plus || (gap(c) && at(i + 1).is_some_and(gap)) {
                    break;
                }
            }
            i += 1;
        }
        let start = chars.get(from).map_or(0, |(p, _)| *p);
        let end = chars.get(last + 1).map_or(text.len(), |(p, _)| *p);
        let span = Span::new(start, end);
        if (7..=15).contains(&digits)
            && !is_date_or_amount(span.of(text))
            && !at(last + 1).is_some_and(char::is_alphanumeric)
        {
            out.push(span);
        }
        i = i.max(from + 1);
    }
    out
}

/// `2026-11-20`, `20.11.2026`, `1.000.000`, `10.000 - 20.000`.
fn is_date_or_amount(raw: &str) -> bool {
    let parts: Vec<&str> = raw.split(['-', '.', '/', ' ']).collect();
    let year = |p: &&str| p.len() == 4 && (p.starts_with("19") || p.starts_with("20"));
    let small = |p: &&str| p.len() <= 2;
    let lengths: Vec<usize> = parts.iter().map(|p| p.len()).collect();
    let date = parts.len() == 3
        && parts.iter().filter(|p| year(p)).count() == 1
        && parts.iter().filter(|p| small(p)).count() == 2;
    let thousands = raw.contains('.')
        && lengths.iter().skip(1).all(|n| *n == 3)
        && lengths.first().is_some_and(|n| *n <= 3)
        && !raw.starts_with('+');
    let years = parts.iter().filter(|p| !p.is_empty()).all(year);
    date || (thousands && lengths.len() > 1 && raw.chars().all(|c| c.is_ascii_digit() || c == '.')) || years
}
