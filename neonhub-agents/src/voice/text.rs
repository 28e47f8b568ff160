//! Words, sentences and phrases of a text, each with its byte span.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A byte range of a text; `end` is exclusive.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span `start..end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// The part of `text` under this span; empty when the span does not fit it.
    #[must_use]
    pub fn of<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.start..self.end).unwrap_or("")
    }

    /// The same span, `by` bytes later.
    #[must_use]
    pub fn shifted(&self, by: usize) -> Self {
        Span { start: self.start + by, end: self.end + by }
    }

    /// True when both share at least one byte.
    #[must_use]
    pub fn overlaps(&self, other: &Span) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Span { start: range.start, end: range.end }
    }
}

/// One word of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'t> {
    /// As written.
    pub text: &'t str,
    /// Where it stands.
    pub span: Span,
}

/// Straight and typographic apostrophes.
pub(crate) fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2018}' | '\u{02bc}')
}

/// The words of `text`: runs of letters and digits with inner apostrophes and hyphens, links left out.
#[must_use]
pub fn words(text: &str) -> Vec<Word<'_>> {
    let links = links(text);
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let at = |i: usize| chars.get(i).map(|(_, c)| *c);
    let mut out = Vec::new();
    let mut i = 0;
    while let Some(&(start, c)) = chars.get(i) {
        if let Some(link) = links.iter().find(|l| l.start == start) {
            i = chars.partition_point(|(p, _)| *p < link.end);
            continue;
        }
        if !c.is_alphanumeric() {
            i += 1;
            continue;
        }
        while let Some(c) = at(i) {
            let joins = is_apostrophe(c) || c == '-' || (matches!(c, '.' | ',') && digit_before(&chars, i));
            let inner = joins
                && at(i + 1)
                    .is_some_and(|n| n.is_alphanumeric() && (!matches!(c, '.' | ',') || n.is_numeric()));
            if !c.is_alphanumeric() && !is_mark(c) && !inner {
                break;
            }
            i += 1;
        }
        let end = chars.get(i).map_or(text.len(), |(p, _)| *p);
        out.push(Word { text: Span::new(start, end).of(text), span: Span::new(start, end) });
    }
    out
}

fn digit_before(chars: &[(usize, char)], i: usize) -> bool {
    i.checked_sub(1).and_then(|p| chars.get(p)).is_some_and(|(_, c)| c.is_numeric())
}

/// Combining marks stay with the letter before them.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036f}')
}

/// Links with a scheme, and bare `www.` hosts.
#[must_use]
pub fn links(text: &str) -> Vec<Span> {
    // Lower-casing ASCII keeps every byte offset.
    let lower = text.to_ascii_lowercase();
    let starts = ["https://", "http://", "www."].into_iter().flat_map(|p| lower.match_indices(p));
    let mut starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    starts.sort_unstable();
    let mut out: Vec<Span> = Vec::new();
    for start in starts {
        let is_inside = out.last().is_some_and(|l| start < l.end);
        let before = Span::new(0, start).of(text).chars().next_back();
        if is_inside || before.is_some_and(char::is_alphanumeric) {
            continue;
        }
        let rest = Span::new(start, text.len()).of(text);
        let stop = rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\u{201d}' | '|'));
        let link = rest.get(..stop.unwrap_or(rest.len())).unwrap_or(rest);
        let link = link.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'']);
        out.push(Span::new(start, start + link.len()));
    }
    out
}

/// Words after which a full stop does not end a sentence. Ours, from common English and German writing.
const ABBREVIATIONS: &[&str] = &[
    "e.g", "i.e", "eg", "ie", "etc", "vs", "mr", "mrs", "ms", "dr", "st", "no", "approx", "inc", "ltd", "co",
    "z.b", "d.h", "bzw", "u.a", "nr", "ca", "a.m", "p.m", "fig", "prof", "jr", "sr", "dept",
];

/// The sentences of `text` as spans without outer blanks.
///
/// A sentence ends at `.`, `!`, `?` or `…` before a blank, at a blank line, and at the end of a line that is
/// followed by a list item or heading. Decimal points, links and common abbreviations do not end one.
#[must_use]
pub fn sentences(text: &str) -> Vec<Span> {
    let links = links(text);
    let mut out = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if links.iter().any(|l| at >= l.start && at < l.end) {
            continue;
        }
        if c == '\n' && ends_at_newline(Span::new(at + 1, text.len()).of(text)) {
            push_trimmed(text, start, at, &mut out);
            start = at + 1;
        } else if matches!(c, '.' | '!' | '?' | '\u{2026}') {
            let mut end = at + c.len_utf8();
            while let Some(&(p, n)) = chars.peek() {
                if !matches!(
                    n,
                    '.' | '!' | '?' | '\u{2026}' | '"' | '\'' | ')' | '\u{201d}' | '\u{2019}' | '*' | '_'
                ) {
                    break;
                }
                end = p + n.len_utf8();
                chars.next();
            }
            let rest = Span::new(end, text.len()).of(text);
            let closes = rest.is_empty() || rest.starts_with(char::is_whitespace);
            if closes && !(c == '.' && continues(Span::new(start, at).of(text), rest)) {
                push_trimmed(text, start, end, &mut out);
                start = end;
            }
        }
    }
    push_trimmed(text, start, text.len(), &mut out);
    out
}

fn ends_at_newline(rest: &str) -> bool {
    let line = rest.lines().next().unwrap_or("").trim_start();
    line.is_empty() || line.starts_with(['#', '|', '>', '\u{2022}', '\u{00b7}']) || is_list_mark(line)
}

pub(crate) fn is_list_mark(line: &str) -> bool {
    ["- ", "* ", "+ ", "\u{2013} ", "\u{2014} ", "\u{2022}", "\u{25aa}", "\u{25cf}"]
        .iter()
        .any(|m| line.starts_with(m))
        || line.split_once(['.', ')']).is_some_and(|(n, rest)| {
            !n.is_empty() && n.len() <= 2 && n.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with(' ')
        })
}

fn continues(before: &str, rest: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or("").to_lowercase();
    let next = rest.trim_start().chars().next();
    ABBREVIATIONS.contains(&word.as_str()) && next.is_some_and(|c| !c.is_uppercase() || word.contains('.'))
        || (word.chars().count() == 1
            && word.chars().all(char::is_alphabetic)
            && next.is_some_and(char::is_uppercase)
            && !matches!(word.as_str(), "i" | "a"))
        || next.is_some_and(char::is_lowercase)
}

fn push_trimmed(text: &str, start: usize, end: usize, out: &mut Vec<Span>) {
    let raw = Span::new(start, end).of(text);
    let lead = raw.len() - raw.trim_start().len();
    let body = raw.trim();
    if body.chars().any(char::is_alphanumeric) {
        out.push(Span::new(start + lead, start + lead + body.len()));
    }
}

/// A text made ready to look for many phrases: lower case, plain quotes and hyphens, one blank per run of blanks,
/// no invisible characters; each character with its byte offset.
#[derive(Debug)]
pub struct Folded<'t> {
    text: &'t str,
    chars: Vec<(usize, char)>,
}

impl<'t> Folded<'t> {
    /// Folds `text` once.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        Folded { text, chars: folded(text) }
    }

    /// Every place where `phrase` stands: any case, whole words, any run of blanks for a blank, typographic marks
    /// equal to their plain forms.
    #[must_use]
    pub fn find(&self, phrase: &str) -> Vec<Span> {
        let needle: Vec<char> = folded(phrase.trim()).into_iter().map(|(_, c)| c).collect();
        let (Some(&first), Some(&last)) = (needle.first(), needle.last()) else { return Vec::new() };
        let hay = &self.chars;
        let mut out: Vec<Span> = Vec::new();
        for (i, window) in hay.windows(needle.len()).enumerate() {
            if window.first().is_none_or(|(_, c)| *c != first)
                || !window.iter().map(|(_, c)| c).eq(needle.iter())
            {
                continue;
            }
            let before = i.checked_sub(1).and_then(|p| hay.get(p)).map(|(_, c)| *c);
            let after = hay.get(i + needle.len()).map(|(_, c)| *c);
            let joined = |edge: char, side: Option<char>| {
                edge.is_alphanumeric() && side.is_some_and(char::is_alphanumeric)
            };
            if joined(first, before) || joined(last, after) {
                continue;
            }
            let start = window.first().map_or(0, |(p, _)| *p);
            let end = hay.get(i + needle.len()).map_or(self.text.trim_end().len(), |(p, _)| *p);
            let end = start + Span::new(start, end.max(start)).of(self.text).trim_end().len();
            if out.last().is_none_or(|o| o.end <= start) {
                out.push(Span::new(start, end));
            }
        }
        out
    }

    /// True when `phrase` stands in the text.
    #[must_use]
    pub fn has(&self, phrase: &str) -> bool {
        !self.find(phrase).is_empty()
    }

    /// True when one of `phrases` stands in the text.
    pub fn has_any<'p>(&self, phrases: impl IntoIterator<Item = &'p str>) -> bool {
        phrases.into_iter().any(|p| self.has(p))
    }
}

/// Every place where `phrase` stands in `text`; see [`Folded::find`].
#[must_use]
pub fn find_phrase(text: &str, phrase: &str) -> Vec<Span> {
    Folded::new(text).find(phrase)
}

/// True when `phrase` stands in `text` as whole words, in any case.
#[must_use]
pub fn has_phrase(text: &str, phrase: &str) -> bool {
    !find_phrase(text, phrase).is_empty()
}

/// Lower case, plain quotes and hyphens, one blank per run of blanks, each with its byte offset in `text`.
fn folded(text: &str) -> Vec<(usize, char)> {
    let mut out: Vec<(usize, char)> = Vec::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let plain = fold_mark(c);
        if plain.is_whitespace() {
            if out.last().is_some_and(|(_, p)| *p != ' ') {
                out.push((at, ' '));
            }
        } else if plain.is_ascii() {
            out.push((at, plain.to_ascii_lowercase()));
        } else if !matches!(plain, '\u{ad}' | '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}')
        {
            out.extend(plain.to_lowercase().map(|l| (at, l)));
        }
    }
    if out.last().is_some_and(|(_, c)| *c == ' ') {
        out.pop();
    }
    out
}

/// The plain form of a typographic mark; other characters stay.
pub(crate) fn fold_mark(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{02bc}' | '\u{201b}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' => '"',
        '\u{2010}'..='\u{2014}' | '\u{2212}' => '-',
        '\u{00a0}' | '\u{202f}' | '\u{2009}' | '\u{200a}' => ' ',
        other => other,
    }
}

/// True for pictographs. Ranges: Unicode 16 blocks of Extended_Pictographic characters, without the
/// arrows, digits and marks that have a text form.
#[must_use]
pub fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f300}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b50}' | '\u{2b55}' | '\u{1f1e6}'..='\u{1f1ff}')
        && !matches!(c, '\u{2713}' | '\u{2714}' | '\u{2717}')
}

/// Upper-cases the first letter, unless the first word already mixes cases (`iPad`) or holds a digit.
#[must_use]
pub fn capitalised(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or("");
    let mixed = first.chars().skip(1).any(char::is_uppercase) || first.chars().any(|c| c.is_numeric());
    if mixed || first.contains("://") || first.starts_with("www.") {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).iter().map(|s| s.of(text)).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(split("We roast. You pour! Ready?"), ["We roast.", "You pour!", "Ready?"]);
        assert_eq!(
            split("It costs 4.50 euro, e.g. for two. Fine."),
            ["It costs 4.50 euro, e.g. for two.", "Fine."]
        );
        assert_eq!(
            split("See https://a.example/x.html now. Go."),
            ["See https://a.example/x.html now.", "Go."]
        );
        assert_eq!(
            split("One line\nwraps here.\n\n- first\n- second"),
            ["One line\nwraps here.", "- first", "- second"]
        );
        assert!(split("  \n ... ").is_empty());
    }

    #[test]
    fn words_keep_apostrophes_and_leave_links_out() {
        let text = "Don't miss state-of-the-art at https://x.example/a now, 1,000 times";
        let found: Vec<_> = words(text).iter().map(|w| w.text).collect();
        assert_eq!(found, ["Don't", "miss", "state-of-the-art", "at", "now", "1,000", "times"]);
    }

    #[test]
    fn phrases_match_whole_words_in_any_case() {
        assert!(has_phrase("Get FREE\n shipping today", "free shipping"));
        assert!(!has_phrase("a freely shipped box", "free"));
        assert!(has_phrase("don\u{2019}t wait", "Don't wait"));
        assert!(has_phrase("Now 20\u{a0}% off!", "20 % off"));
        let text = "Cheap, cheap and cheaper";
        let hits: Vec<_> = find_phrase(text, "cheap").iter().map(|s| s.of(text)).collect();
        assert_eq!(hits, ["Cheap", "cheap"]);
        assert!(find_phrase("abc", " ").is_empty());
        assert!(has_phrase("a zero\u{200b}width word", "zerowidth"));
    }

    #[test]
    fn capitals_spare_product_names() {
        assert_eq!(capitalised("fresh bread"), "Fresh bread");
        assert_eq!(capitalised("iPad cases"), "iPad cases");
        assert_eq!(capitalised("\u{e9}clair"), "\u{c9}clair");
    }
}
