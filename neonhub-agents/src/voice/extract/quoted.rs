//! Quoted or emphasised words of a sentence.

use crate::voice::text::Span;

/// Quotes and Markdown marks that set words apart, as (open, close).
const PAIRS: &[(&str, &str)] = &[
    ("\u{201c}", "\u{201d}"),
    ("\u{201e}", "\u{201c}"),
    ("\u{ab}", "\u{bb}"),
    ("\"", "\""),
    ("**", "**"),
    ("`", "`"),
    ("\u{2018}", "\u{2019}"),
    ("'", "'"),
    ("*", "*"),
    ("_", "_"),
];

/// Spans of what stands between quotes or marks, without them.
pub(super) fn quotes(text: &str) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::new();
    let mut at = 0;
    while let Some((c, rest)) = text.get(at..).and_then(|r| r.chars().next().map(|c| (c, r))) {
        match PAIRS.iter().find_map(|pair| quote_at(text, at, rest, *pair)) {
            Some((span, end)) => {
                out.push(span);
                at = end;
            }
            None => at += c.len_utf8(),
        }
    }
    out
}

fn quote_at(text: &str, at: usize, rest: &str, (open, close): (&str, &str)) -> Option<(Span, usize)> {
    let body = rest.strip_prefix(open)?;
    let before = text.get(..at).and_then(|t| t.chars().next_back());
    // An apostrophe inside a word opens nothing.
    if before.is_some_and(char::is_alphanumeric) || body.starts_with(char::is_whitespace) {
        return None;
    }
    let mut from = 0;
    loop {
        let end = from + body.get(from..)?.find(close)?;
        let inner = body.get(..end)?;
        let after = body.get(end + close.len()..)?.chars().next();
        if inner.is_empty() || inner.contains('\n') || inner.len() > 400 {
            return None;
        }
        if !after.is_some_and(char::is_alphanumeric) && !inner.ends_with(char::is_whitespace) {
            let start = at + open.len();
            let trimmed =
                inner.trim_end_matches([',', ';']).trim_matches(['*', '_', '"', '\u{201c}', '\u{201d}']);
            let lead = inner.find(trimmed).unwrap_or(0);
            return Some((Span::new(start + lead, start + lead + trimmed.len()), start + end + close.len()));
        }
        from = end + close.len();
    }
}

/// The text without quotes or marks around the whole of it.
pub(super) fn unquote(text: &str) -> String {
    let text = text.trim();
    for (open, close) in PAIRS {
        let inner = text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        if let Some(inner) = inner.filter(|i| !i.contains(open)) {
            return inner.trim().to_owned();
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_every_kind_are_found_and_apostrophes_are_not() {
        let of = |t: &str| quotes(t).iter().map(|s| s.of(t).to_owned()).collect::<Vec<_>>();
        assert_eq!(of("Say \"guests\", not \u{201c}customers\u{201d}."), ["guests", "customers"]);
        assert_eq!(of("Don't say 'cheap' or **low-cost**, it's `wrong`"), ["cheap", "low-cost", "wrong"]);
        assert!(of("we don't and won't; the brand's own").is_empty());
        assert_eq!(of("say 'don't worry' often"), ["don't worry"]);
        assert_eq!(unquote("\u{201c}Light, slowly made.\u{201d}"), "Light, slowly made.");
    }
}
