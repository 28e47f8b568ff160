//! Mail and network addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Pii, PiiKind};
use crate::voice::text::Span;

/// Mail addresses, also with international domains and local parts (RFC 6531).
pub(super) fn emails(text: &str) -> Vec<Pii> {
    let mut out = Vec::new();
    for (at, _) in text.match_indices('@') {
        let before = Span::new(0, at).of(text);
        let local: String =
            before.chars().rev().take_while(|c| is_local(*c)).collect::<Vec<_>>().into_iter().rev().collect();
        let local = local.trim_start_matches(['.', '-', '\'', '+']);
        let after = Span::new(at + 1, text.len()).of(text);
        let domain: String =
            after.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-')).collect();
        let domain = domain.trim_end_matches(['.', '-']);
        if !local.is_empty() && !local.ends_with('.') && is_domain(domain) {
            let span = Span::new(at - local.len(), at + 1 + domain.len());
            out.push(Pii { kind: PiiKind::Email, span, confidence: 0.95 });
        }
    }
    out
}

fn is_local(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(
            c,
            '.' | '_' | '%' | '+' | '-' | '\'' | '!' | '#' | '$' | '&' | '*' | '=' | '?' | '^' | '~'
        )
}

fn is_domain(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    let Some((top, _)) = labels.split_last() else { return false };
    labels.len() >= 2
        && labels.iter().all(|l| !l.is_empty() && l.len() <= 63 && !l.starts_with('-') && !l.ends_with('-'))
        && top.chars().count() >= 2
        && top.chars().any(char::is_alphabetic)
        && idna::domain_to_ascii(domain).is_ok()
}

/// IPv4 and IPv6 addresses; version numbers and loopback are not reported.
pub(super) fn ips(text: &str) -> Vec<Pii> {
    let mut out = Vec::new();
    let mut start = None;
    let ends = text.char_indices().map(|(p, c)| (p, Some(c))).chain([(text.len(), None)]);
    for (at, c) in ends {
        let inside = c.is_some_and(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':'));
        match (inside, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                out.extend(ip_in(text, Span::new(from, at), c));
                start = None;
            }
            _ => {}
        }
    }
    out
}

fn ip_in(text: &str, run: Span, next: Option<char>) -> Option<Pii> {
    let before = Span::new(0, run.start).of(text).chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '-')
        || next.is_some_and(|c| c.is_alphanumeric() || c == '-')
    {
        return None;
    }
    let body = run.of(text).trim_end_matches(['.', ':']);
    let span = Span::new(run.start, run.start + body.len());
    let v4 = body.parse::<Ipv4Addr>().ok().filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    let v6 = body.parse::<Ipv6Addr>().ok().filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    let is_version = Span::new(0, run.start).of(text).trim_end().ends_with(['v', 'V'])
        || Span::new(0, run.start).of(text).to_lowercase().trim_end().ends_with("version");
    ((v4.is_some() && !is_version) || v6.is_some()).then_some(Pii {
        kind: PiiKind::Ip,
        span,
        confidence: 0.8,
    })
}
