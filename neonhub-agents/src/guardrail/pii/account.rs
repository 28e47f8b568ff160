//! International bank account numbers.

use super::{Pii, PiiKind};
use crate::voice::text::Span;

/// Length of an account number by country. SWIFT IBAN registry, release 97 (2024).
const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

/// Account numbers with the right length for their country and a remainder of 1 modulo 97 (ISO 13616).
pub(super) fn ibans(text: &str) -> Vec<Pii> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let mut out: Vec<Pii> = Vec::new();
    for (i, &(start, _)) in chars.iter().enumerate() {
        if i.checked_sub(1).and_then(|p| chars.get(p)).is_some_and(|(_, c)| c.is_alphanumeric()) {
            continue;
        }
        if let Some(span) = iban_at(chars.get(i..).unwrap_or(&[]), start)
            && out.last().is_none_or(|o| o.span.end <= start)
        {
            out.push(Pii { kind: PiiKind::Iban, span, confidence: 0.99 });
        }
    }
    out
}

fn iban_at(chars: &[(usize, char)], start: usize) -> Option<Span> {
    let country: String = chars.iter().take(2).map(|(_, c)| c.to_ascii_uppercase()).collect();
    let length = LENGTHS.iter().find(|(c, _)| *c == country)?.1;
    let mut compact = String::with_capacity(length);
    let mut end = start;
    for (k, &(at, c)) in chars.iter().enumerate() {
        if c.is_ascii_alphanumeric() {
            if compact.len() == length {
                return None;
            }
            compact.push(c.to_ascii_uppercase());
            end = at + 1;
            let next = chars.get(k + 1).map(|(_, n)| *n);
            if compact.len() == length && !next.is_some_and(|n| n.is_ascii_alphanumeric()) {
                break;
            }
        } else if !matches!(c, ' ' | '-' | '\u{a0}') {
            break;
        }
    }
    let checks = compact.get(2..4).is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit()));
    (compact.len() == length && checks && mod_97(&compact) == Some(1)).then(|| Span::new(start, end))
}

fn mod_97(iban: &str) -> Option<u32> {
    let (head, tail) = iban.split_at_checked(4)?;
    tail.chars().chain(head.chars()).try_fold(0_u32, |rest, c| {
        let value = c.to_digit(36)?;
        Some(if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 })
    })
}
