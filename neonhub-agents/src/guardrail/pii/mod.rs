//! Personal data in a text: mail addresses, phone numbers, network addresses, bank accounts, payment cards,
//! US social security numbers.

mod account;
mod address;
mod number;
mod phone;

use super::finding::{Finding, FindingKind, Level};
use crate::voice::text::{self, Span};

/// What kind of personal data stands where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PiiKind {
    /// A mail address.
    Email,
    /// A phone number.
    Phone,
    /// An IPv4 or IPv6 address.
    Ip,
    /// An international bank account number.
    Iban,
    /// A payment card number.
    Card,
    /// A US social security number.
    Ssn,
}

/// One hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pii {
    /// What it is.
    pub kind: PiiKind,
    /// Where it stands.
    pub span: Span,
    /// How sure the detector is, 0..=1.
    pub confidence: f64,
}

/// All personal data in `text`, by place; overlapping hits are settled for the surer one.
#[must_use]
pub fn detect(text: &str, region: Option<&str>) -> Vec<Pii> {
    let mut hits = address::emails(text);
    hits.extend(address::ips(text));
    hits.extend(account::ibans(text));
    hits.extend(number::cards(text));
    hits.extend(number::ssns(text));
    hits.extend(phone::phones(text, region));
    hits.sort_by(|a, b| {
        b.confidence.total_cmp(&a.confidence).then(a.kind.cmp(&b.kind)).then(a.span.cmp(&b.span))
    });
    let mut kept: Vec<Pii> = Vec::new();
    for hit in hits {
        if !kept.iter().any(|k| k.span.overlaps(&hit.span)) {
            kept.push(hit);
        }
    }
    kept.sort_by_key(|h| h.span);
    kept
}

/// Replaces each hit by its kind in brackets and returns, per hit, the span in the new text and in the old.
#[must_use]
pub fn redact(text: &str, region: Option<&str>) -> (String, Vec<(Span, Span)>) {
    let mut out = String::with_capacity(text.len());
    let mut map = Vec::new();
    let mut at = 0;
    for hit in detect(text, region) {
        out.push_str(Span::new(at, hit.span.start).of(text));
        let start = out.len();
        out.push_str(match hit.kind {
            PiiKind::Email => "[email]",
            PiiKind::Phone => "[phone]",
            PiiKind::Ip => "[ip]",
            PiiKind::Iban => "[iban]",
            PiiKind::Card => "[card]",
            PiiKind::Ssn => "[ssn]",
        });
        map.push((Span::new(start, out.len()), hit.span));
        at = hit.span.end;
    }
    out.push_str(Span::new(at, text.len()).of(text));
    (out, map)
}

/// The hits as findings. The sender's own contact details are not findings; a mail address or phone number in
/// copy is a warning, since it may be one; accounts, cards and social security numbers block.
pub(crate) fn find(text: &str, region: Option<&str>, own: &[String]) -> Vec<Finding> {
    let is_own = |hit: &Pii| {
        let value = hit.span.of(text);
        let digits = |t: &str| t.chars().filter(char::is_ascii_digit).collect::<String>();
        own.iter().any(|o| match hit.kind {
            PiiKind::Phone => {
                !digits(value).is_empty() && digits(o).ends_with(digits(value).trim_start_matches('0'))
            }
            _ => text::has_phrase(o, value) || text::has_phrase(value, o),
        })
    };
    detect(text, region).into_iter().filter(|h| !is_own(h)).map(|h| finding(&h)).collect()
}

fn finding(hit: &Pii) -> Finding {
    let (rule, level, message, fix) = match hit.kind {
        PiiKind::Email => (
            "pii.email",
            Level::Warn,
            "a mail address",
            "use the sender's own contact or a declared variable",
        ),
        PiiKind::Phone => (
            "pii.phone",
            Level::Warn,
            "a phone number",
            "use the sender's own contact or a declared variable",
        ),
        PiiKind::Ip => ("pii.ip", Level::Info, "a network address", "use a name instead"),
        PiiKind::Iban => ("pii.iban", Level::Block, "a bank account number", "take it out"),
        PiiKind::Card => ("pii.card", Level::Block, "a payment card number", "take it out"),
        PiiKind::Ssn => ("pii.ssn", Level::Block, "a social security number", "take it out"),
    };
    let weak = hit.confidence < 0.5;
    let level = if weak { Level::Info } else { level };
    Finding::new(rule, FindingKind::Pii, level, message, fix).at(hit.span).scored(hit.confidence)
}

/// True when `cue` words stand within 40 characters before or after `span`.
fn near(text: &str, span: Span, cues: &[&str]) -> bool {
    let from = text.char_indices().map(|(p, _)| p).filter(|p| *p <= span.start).rev().nth(40).unwrap_or(0);
    let to = text.char_indices().map(|(p, _)| p).filter(|p| *p >= span.end).nth(40).unwrap_or(text.len());
    let window = Span::new(from, to).of(text);
    cues.iter().any(|c| text::has_phrase(window, c))
}

#[cfg(test)]
mod tests;
