//! Word pairs and banned words: `say "guests", not "customers"`, `avoid "cheap"`, `cheap -> good value`.

use super::Found;
use super::block::plain;
use super::quoted;
use crate::voice::model::{Pattern, RuleKind, Severity};
use crate::voice::text::{self, Span};

/// Words that speak about writing: a "term" with one of them is advice on style, not a word to use.
const ABOUT_WRITING: &[&str] = &[
    "word",
    "words",
    "sentence",
    "sentences",
    "one",
    "ones",
    "language",
    "jargon",
    "voice",
    "tone",
    "phrase",
    "phrases",
    "headline",
    "headlines",
    "paragraph",
    "paragraphs",
    "it",
    "them",
    "this",
    "that",
    "these",
    "those",
    "verbs",
    "adjectives",
    "capitals",
    "emoji",
    "emojis",
    "exclamation",
    "text",
    "copy",
    "people",
    "facts",
    "claims",
    "what",
    "how",
    "case",
];
/// Between the wanted and the unwanted word.
const INSTEAD: &[&str] = &[
    ", not",
    " not",
    ", never",
    " never",
    " instead of",
    ", instead of",
    " rather than",
    ", rather than",
    " over",
    " in place of",
    " (not",
    " (never",
    " (instead of",
    ", and not",
    ", and never",
    "; not",
    "; never",
    " and never",
    " and not",
];
const SAY: &[&str] = &["say", "use", "write", "prefer", "call", "choose", "try"];

fn is_term(text: &str) -> bool {
    let count = text.split_whitespace().count();
    (1..=4).contains(&count)
        && text.chars().any(char::is_alphabetic)
        && !text::words(text).iter().any(|w| ABOUT_WRITING.contains(&w.text.to_lowercase().as_str()))
}

fn pair(wanted: &str, unwanted: &str, span: Span) -> Found {
    Found::new(RuleKind::Preferred, wanted, Severity::Should, span)
        .checked(Some(Pattern::Term(plain(unwanted))))
}

fn ban(term: &str, span: Span) -> Found {
    let term = plain(term);
    Found::new(RuleKind::Banned, term.clone(), Severity::Must, span).checked(Some(Pattern::Term(term)))
}

/// Word rules in a sentence. `negative` tells that the section is about what not to say.
pub(super) fn in_sentence(sentence: &str, at: usize, negative: bool) -> Vec<Found> {
    let quotes = quoted::quotes(sentence);
    let found = if quotes.is_empty() { Vec::new() } else { by_quotes(sentence, &quotes, at, negative) };
    if found.is_empty() { unquoted(sentence, at) } else { found }
}

fn by_quotes(sentence: &str, quotes: &[Span], at: usize, negative: bool) -> Vec<Found> {
    let whole = Span::new(at, at + sentence.len());
    let text_of = |q: &Span| q.of(sentence).trim_end_matches(['.', ',']).to_owned();
    let terms: Vec<&Span> = quotes.iter().filter(|q| text_of(q).split_whitespace().count() <= 5).collect();
    let Some((first, rest)) = terms.split_first() else { return Vec::new() };
    // "A" beats "B": advice on whole sentences, not on words.
    if ["beats", "better than", "worse than"].iter().any(|w| text::has_phrase(sentence, w)) {
        return Vec::new();
    }
    let before = fold(Span::new(0, first.start).of(sentence));
    if let Some(name) = product_name(sentence, first) {
        return vec![Found::new(RuleKind::Product, name, Severity::Must, whole)];
    }
    let mut out = Vec::new();
    // Which side the terms read so far are on: wanted, unwanted or not said.
    let mut wanted: Vec<String> = Vec::new();
    let mut unwanted: Vec<String> = Vec::new();
    let mut is_wanted = side(&before, negative);
    let mut last_end = first.end;
    for (i, quote) in std::iter::once(first).chain(rest).enumerate() {
        if i > 0 {
            let between = fold(Span::new(last_end, quote.start).of(sentence));
            is_wanted = turn(&between, is_wanted);
        }
        last_end = quote.end;
        match is_wanted {
            Some(true) => wanted.push(text_of(quote)),
            Some(false) => unwanted.push(text_of(quote)),
            None => {}
        }
    }
    match (wanted.first(), unwanted.is_empty()) {
        (Some(term), false) => out.extend(unwanted.iter().map(|u| pair(term, u, whole))),
        (None, false) => out.extend(unwanted.iter().map(|u| ban(u, whole))),
        _ => {}
    }
    out
}

fn fold(text: &str) -> String {
    text.to_lowercase().chars().map(text::fold_mark).collect()
}

/// The side that the words before the first quote put it on.
fn side(before: &str, negative: bool) -> Option<bool> {
    let has = |list: &[&str]| list.iter().any(|w| text::has_phrase(before, w));
    if has(&[
        "instead of",
        "rather than",
        "never",
        "don't",
        "do not",
        "avoid",
        "not",
        "no",
        "ban",
        "banned",
        "without",
        "stop saying",
    ]) {
        Some(false)
    } else if has(SAY) || has(&["says", "we say", "always"]) {
        Some(true)
    } else {
        // Bare quoted words: the section decides; elsewhere a pair may still follow ("X", not "Y").
        Some(!negative)
    }
}

/// How the words between two quotes turn the side.
fn turn(between: &str, was: Option<bool>) -> Option<bool> {
    let between = between.replace(['"', '\'', '*', '`', '_', '\u{ab}', '\u{bb}'], " ");
    let between = between.as_str();
    let has = |list: &[&str]| list.iter().any(|w| text::has_phrase(between, w));
    if between.contains("->") || between.contains('\u{2192}') || between.contains("=>") {
        return Some(true);
    }
    if has(&["not", "never", "instead of", "rather than", "over", "don't", "avoid"]) {
        Some(false)
    } else if has(SAY) || has(&["instead", "becomes", "is"]) {
        Some(true)
    } else if between
        .split_whitespace()
        .all(|w| matches!(w, "or" | "and" | "," | "/" | "the" | "word" | "words"))
        || between.trim().is_empty()
    {
        was
    } else {
        None
    }
}

/// `"NeonBrew" is always written as one word`, `write "NeonBrew" with a capital B`, `spell it "iKettle"`.
fn product_name(sentence: &str, quote: &Span) -> Option<String> {
    let after = fold(Span::new(quote.end, sentence.len()).of(sentence));
    let before = fold(Span::new(0, quote.start).of(sentence));
    let name = quote.of(sentence);
    let about_spelling = [
        "written",
        "spelled",
        "spelt",
        "styled",
        "capitalised",
        "capitalized",
        "capital",
        "lower case",
        "lowercase",
        "one word",
        "two words",
    ]
    .iter()
    .any(|w| text::has_phrase(&after, w))
        || ["spell", "spelled", "written as", "the name is", "product is called"]
            .iter()
            .any(|w| text::has_phrase(&before, w));
    (about_spelling && name.chars().any(char::is_uppercase)).then(|| name.to_owned())
}

/// `We say guests, not customers.` `Use sign in instead of log in.` `Never say cheap.`
fn unquoted(sentence: &str, at: usize) -> Vec<Found> {
    let whole = Span::new(at, at + sentence.len());
    let body = plain(sentence);
    let body = body.trim_end_matches(['.', '!', ')']);
    let lower = fold(body);
    for head in [
        "we say ",
        "say ",
        "use ",
        "we use ",
        "write ",
        "we write ",
        "prefer ",
        "we prefer ",
        "we call them ",
        "call them ",
    ] {
        if lower.starts_with(head) {
            let found = body.get(head.len()..).and_then(|rest| split_pair(rest, whole));
            return found.unwrap_or_default();
        }
    }
    let bans = [
        "never say ",
        "don't say ",
        "do not say ",
        "never use the word ",
        "avoid the word ",
        "don't use the word ",
        "do not use the word ",
        "never write ",
        "we never say ",
    ];
    for head in bans {
        if let Some(rest) = lower.starts_with(head).then(|| body.get(head.len()..)).flatten() {
            let parts = list(rest, at);
            return if parts.iter().all(|(t, _)| is_term(t)) {
                parts.iter().map(|(t, _)| ban(t, whole)).collect()
            } else {
                Vec::new()
            };
        }
    }
    Vec::new()
}

/// `guests, not customers or users` as pairs.
fn split_pair(text: &str, span: Span) -> Option<Vec<Found>> {
    let lower = fold(text);
    let (cut, mark) = INSTEAD
        .iter()
        .filter_map(|m| find_word(&lower, m).map(|p| (p, *m)))
        .min_by_key(|(p, m)| (*p, std::cmp::Reverse(m.len())))?;
    let wanted = plain(text.get(..cut)?);
    let rest = text.get(cut + mark.len()..)?;
    let olds = list(rest.trim_end_matches(')'), span.start);
    let ok = is_term(&wanted) && !olds.is_empty() && olds.iter().all(|(t, _)| is_term(t));
    ok.then(|| olds.iter().map(|(old, _)| pair(wanted.trim_end_matches(','), old, span)).collect())
}

/// Where `mark` stands in `text` with a word boundary after it.
fn find_word(text: &str, mark: &str) -> Option<usize> {
    text.match_indices(mark).map(|(p, _)| p).find(|p| {
        text.get(p + mark.len()..).and_then(|t| t.chars().next()).is_some_and(|c| !c.is_alphanumeric())
    })
}

/// An item of a list of preferred words: a pair, an arrow, or a word alone. `None` when it is running text.
pub(super) fn preferred_item(raw: &str, at: usize) -> Option<Vec<Found>> {
    let whole = Span::new(at, at + raw.len());
    let found = in_sentence(raw, at, false);
    if !found.is_empty() {
        return Some(found);
    }
    let body = plain(raw);
    for arrow in ["->", "\u{2192}", "=>"] {
        if let Some((old, new)) = body.split_once(arrow) {
            let new = head(new);
            let olds = list(old, at);
            return Some(olds.iter().map(|(o, _)| pair(new, o, whole)).collect());
        }
    }
    if let Some(found) = split_pair(body.trim_end_matches('.'), whole) {
        return Some(found);
    }
    let term = head(&body);
    (is_term(term) && !body.ends_with('.'))
        .then(|| vec![Found::new(RuleKind::Preferred, term, Severity::Info, whole)])
}

/// What stands before an explanation: `cheap (say: good value)` -> `cheap`.
pub(super) fn head(text: &str) -> &str {
    let text = text.trim();
    let cut = [" (", ": ", " \u{2013} ", " \u{2014} ", " - ", "; "].iter().filter_map(|m| text.find(m)).min();
    let head = cut.and_then(|p| text.get(..p)).unwrap_or(text);
    head.trim()
        .trim_matches(['"', '\u{201c}', '\u{201d}', '*', '`', '_', '\'', '\u{2018}', '\u{2019}'])
        .trim_end_matches(['.', ','])
}

/// Splits `cheap, hurry / last chance or bargain` into its terms, each with the span of the whole.
pub(super) fn list(text: &str, at: usize) -> Vec<(String, Span)> {
    let span = Span::new(at, at + text.len());
    let head = head(text).replace(" or ", ",").replace(" and ", ",").replace(['/', ';'], ",");
    let clean = |t: &str| {
        plain(t)
            .trim_matches(['"', '\u{201c}', '\u{201d}', '\'', '\u{2018}', '\u{2019}', '.', ' '])
            .to_owned()
    };
    head.split(',')
        .map(clean)
        .filter(|t| !t.is_empty() && t.split_whitespace().count() <= 5)
        .map(|t| (t, span))
        .collect()
}
