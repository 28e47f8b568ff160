//! Payment cards and US social security numbers.

use super::{Pii, PiiKind, near};
use crate::voice::text::Span;

/// A run of digits, with single blanks or hyphens between groups.
struct Run {
    span: Span,
    digits: String,
    /// Length of each group and the marks between them.
    groups: Vec<usize>,
    marks: Vec<char>,
}

fn runs(text: &str) -> Vec<Run> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let at = |i: usize| chars.get(i).map(|(_, c)| *c);
    let mut out = Vec::new();
    let mut i = 0;
    while let Some(c) = at(i) {
        let before = i.checked_sub(1).and_then(at);
        let joined = before.is_some_and(|b| b.is_alphanumeric() || matches!(b, '.' | ',' | '/' | '_' | '#'));
        if !c.is_ascii_digit() || joined {
            i += 1;
            continue;
        }
        let mut run =
            Run { span: Span::default(), digits: String::new(), groups: vec![0], marks: Vec::new() };
        run.span.start = chars.get(i).map_or(0, |(p, _)| *p);
        while let Some(c) = at(i) {
            if c.is_ascii_digit() {
                run.digits.push(c);
                if let Some(last) = run.groups.last_mut() {
                    *last += 1;
                }
            } else if matches!(c, ' ' | '-') && at(i + 1).is_some_and(|n| n.is_ascii_digit()) {
                run.marks.push(c);
                run.groups.push(0);
            } else {
                break;
            }
            i += 1;
        }
        run.span.end = chars.get(i).map_or(text.len(), |(p, _)| *p);
        if !at(i).is_some_and(|c| c.is_alphanumeric() || c == '_') {
            out.push(run);
        }
    }
    out
}

/// Cards: prefix and length of the issuer, and the Luhn digit (ISO/IEC 7812-1). Well-known test numbers count
/// too: whoever prints one prints a card.
pub(super) fn cards(text: &str) -> Vec<Pii> {
    let grouped = |r: &Run| {
        r.marks.windows(2).all(|w| w.first() == w.last())
            && (r.groups.len() == 1 || r.groups.iter().all(|g| (2..=7).contains(g)))
    };
    let is_card = |r: &Run| grouped(r) && has_issuer(&r.digits) && luhn(&r.digits) && !same_digit(&r.digits);
    let hit = |r: Run| Pii {
        kind: PiiKind::Card,
        span: r.span,
        confidence: if r.groups.len() > 1 { 0.97 } else { 0.9 },
    };
    runs(text).into_iter().filter(is_card).map(hit).collect()
}

/// Prefix and length table of `sending.md` 15.1 (from memory of the issuers' ranges, 2025).
fn has_issuer(digits: &str) -> bool {
    let head = |n: usize| digits.get(..n).and_then(|d| d.parse::<u32>().ok()).unwrap_or(0);
    let (n, one, two, three, four) = (digits.len(), head(1), head(2), head(3), head(4));
    (one == 4 && matches!(n, 13 | 16 | 19))
        || (n == 16 && ((51..=55).contains(&two) || (2221..=2720).contains(&four)))
        || ((12..=19).contains(&n) && (two == 50 || (56..=58).contains(&two) || four == 6304 || two == 67))
        || (n == 15 && matches!(two, 34 | 37))
        || (n == 14 && ((300..=305).contains(&three) || matches!(two, 36 | 38 | 39)))
        || ((16..=19).contains(&n)
            && (four == 6011 || (644..=649).contains(&three) || two == 65 || (3528..=3589).contains(&four)))
        || (n == 15 && one == 1)
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let d = u32::from(b.saturating_sub(b'0'));
            if i.is_multiple_of(2) {
                d
            } else if d > 4 {
                d * 2 - 9
            } else {
                d * 2
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn same_digit(digits: &str) -> bool {
    digits.bytes().all(|b| digits.bytes().next() == Some(b))
}

/// Sample numbers printed in public, never issued (SSA publication "Social Security number misuse").
const SAMPLES: &[&str] = &["078051120", "219099999", "457555462", "123456789", "111223333", "987654321"];

/// Social security numbers: same mark between the groups or none; bare nine digits count little without a cue.
pub(super) fn ssns(text: &str) -> Vec<Pii> {
    let mut out = Vec::new();
    for run in runs(text) {
        let part = |a: usize, b: usize| run.digits.get(a..b).and_then(|d| d.parse::<u32>().ok()).unwrap_or(0);
        let shaped = run.digits.len() == 9 && (run.groups == [3, 2, 4] || run.groups.len() == 1);
        let (area, group, serial) = (part(0, 3), part(3, 5), part(5, 9));
        let valid = !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0;
        let same_mark = run.marks.first() == run.marks.last();
        if !shaped
            || !valid
            || !same_mark
            || same_digit(&run.digits)
            || SAMPLES.contains(&run.digits.as_str())
        {
            continue;
        }
        let cued = near(text, run.span, &["social", "security", "ssn"]);
        let confidence = match (run.groups.len() > 1, cued) {
            (true, true) => 0.95,
            (true, false) => 0.6,
            (false, true) => 0.7,
            (false, false) => 0.05,
        };
        out.push(Pii { kind: PiiKind::Ssn, span: run.span, confidence });
    }
    out
}
