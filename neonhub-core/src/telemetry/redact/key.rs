//! Keys that are known by how they begin.

/// How keys of services begin, by their first byte. Where it is so short that words of a text begin alike, what follows
/// has to look drawn by chance.
const fn prefixes(byte: u8) -> &'static [(&'static str, bool)] {
    match byte {
        b's' => &[("sk-", true), ("sk_", true), ("shpat_", false)],
        b'r' => &[("rk_", true), ("re_", true)],
        b'p' => &[("pk_", true)],
        b'S' => &[("SG.", true)],
        b'w' => &[("whsec_", false)],
        b'g' => &[
            ("ghp_", false),
            ("gho_", false),
            ("ghu_", false),
            ("ghs_", false),
            ("ghr_", false),
            ("github_pat_", false),
            ("glpat-", false),
        ],
        b'x' => &[
            ("xoxa-", false),
            ("xoxb-", false),
            ("xoxe-", false),
            ("xoxp-", false),
            ("xoxr-", false),
            ("xoxs-", false),
        ],
        b'A' => &[("AKIA", false), ("ASIA", false), ("AIza", false)],
        _ => &[],
    }
}

/// Fewest characters after the beginning.
const FEWEST: usize = 8;
/// So many letters and digits in a row are no word.
const NO_WORD: usize = 16;

/// The beginning of a key that stands here, and whether words begin alike.
pub(super) fn prefix_at(bytes: &[u8], at: usize) -> Option<(&'static str, bool)> {
    let known = prefixes(*bytes.get(at)?);
    if known.is_empty() {
        return None;
    }
    let rest = bytes.get(at..)?;
    known.iter().copied().find(|(word, _)| rest.starts_with(word.as_bytes()))
}

const fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'+' | b'=' | b'.')
}

/// Replaces keys; `None` when there is none.
pub(super) fn replace(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut kept, mut at) = (0, 0);
    while at < bytes.len() {
        let Some(end) = end_of_key(bytes, at) else {
            at += 1;
            continue;
        };
        out.push_str(text.get(kept..at).unwrap_or_default());
        out.push_str("[redacted:key]");
        (kept, at) = (end, end);
    }
    if kept == 0 {
        return None;
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    Some(out)
}

/// Where the key that begins here ends.
fn end_of_key(bytes: &[u8], at: usize) -> Option<usize> {
    let (prefix, is_short) = prefix_at(bytes, at)?;
    let start = at + prefix.len();
    let rest = bytes.get(start..)?;
    let mut len = rest.iter().take_while(|b| is_part(**b)).count();
    // The full stop of a sentence is no part of it.
    while len > 0 && rest.get(len - 1).is_some_and(|b| matches!(b, b'.' | b'-')) {
        len -= 1;
    }
    let body = rest.get(..len)?;
    let is_glued = at > 0 && bytes.get(at - 1).is_some_and(u8::is_ascii_alphabetic);
    let is_key = len >= FEWEST
        && match (is_short, is_glued) {
            (false, _) => true,
            (true, false) => looks_drawn(body),
            // `task-`, `risk_`, `are_`: the beginning is the end of a word, unless no word goes on like this.
            (true, true) => runs(body).any(|run| run.len() >= NO_WORD && is_mixed(run)),
        };
    is_key.then_some(start + len)
}

fn runs(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|b| !b.is_ascii_alphanumeric())
}

fn is_mixed(run: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| run.iter().any(is);
    has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}

/// True for what no word of a text and no name in a program looks like.
fn looks_drawn(body: &[u8]) -> bool {
    let is_drawn = |run: &[u8]| {
        let digits = run.iter().filter(|b| b.is_ascii_digit()).count();
        run.len() >= NO_WORD || (run.len() >= FEWEST && digits > 0 && digits < run.len())
    };
    runs(body).any(is_drawn) || (body.len() >= 20 && is_mixed(body))
}
