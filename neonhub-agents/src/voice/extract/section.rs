//! What a section of a guide is about, told by its headings, and how its items are read.

use super::{Found, imperative, quoted, terms};
use crate::voice::model::{Pattern, RuleKind, Severity};
use crate::voice::text::{self, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Do,
    Dont,
    Preferred,
    Banned,
    Products,
    Taglines,
    About,
    Audience,
    OnBrand,
    OffBrand,
    Tone,
    Other,
}

/// The innermost heading that says something decides.
pub(super) fn of(path: &[String]) -> Section {
    path.iter().rev().map(|h| classify(h)).find(|s| *s != Section::Other).unwrap_or(Section::Other)
}

pub(super) fn classify(heading: &str) -> Section {
    let lower: String = heading.to_lowercase().chars().map(text::fold_mark).collect();
    let has = |list: &[&str]| list.iter().any(|w| text::has_phrase(&lower, w));
    let negative = has(&[
        "avoid",
        "never",
        "don't",
        "don'ts",
        "donts",
        "do not",
        "doesn't",
        "isn't",
        "aren't",
        "not",
        "banned",
        "forbidden",
        "off-limits",
        "no-go",
        "no-gos",
        "stop",
        "retired",
    ]);
    let words = has(&[
        "word",
        "words",
        "term",
        "terms",
        "phrase",
        "phrases",
        "vocabulary",
        "say",
        "language",
        "glossary",
        "lexicon",
        "wording",
        "use",
    ]);
    let positive = has(&["do", "dos", "do's", "always", "use", "say", "instead", "prefer", "preferred"]);
    let example = has(&[
        "example",
        "examples",
        "sample",
        "samples",
        "sounds like",
        "sound like",
        "in practice",
        "copy",
    ]);
    if has(&["off-brand", "off brand", "not us"]) || (negative && example) || has(&["bad", "wrong"]) {
        Section::OffBrand
    } else if has(&["on-brand", "on brand", "this is us"]) || (example && !words) {
        Section::OnBrand
    } else if has(&["product", "products", "trademark", "trademarks", "naming"])
        || (has(&["names", "spelling"]) && !negative)
    {
        Section::Products
    } else if has(&["dos and don'ts", "do's and don'ts", "do and don't", "dos and donts", "do and do not"]) {
        Section::Other
    } else if negative && words && !(has(&["don't"]) && lower.split_whitespace().count() == 1) {
        if has(&["instead of"]) || has(&["say this"]) { Section::Preferred } else { Section::Banned }
    } else if negative {
        Section::Dont
    } else if has(&["tagline", "taglines", "slogan", "slogans", "strapline", "claim"]) {
        Section::Taglines
    } else if words && (positive || has(&["our", "we", "love", "key"])) && !has(&["key messages"]) {
        Section::Preferred
    } else if has(&[
        "audience",
        "who we talk to",
        "who we speak to",
        "who we write for",
        "our readers",
        "customers",
        "our guests",
    ]) {
        Section::Audience
    } else if has(&[
        "about",
        "mission",
        "story",
        "boilerplate",
        "who we are",
        "what we do",
        "promise",
        "key messages",
        "elevator pitch",
        "how we work",
    ]) {
        Section::About
    } else if has(&["do", "dos", "do's", "always"]) {
        Section::Do
    } else if has(&["tone", "voice", "personality", "character", "how we sound", "principles", "style"]) {
        Section::Tone
    } else {
        Section::Other
    }
}

/// Reads one item or paragraph of a section; `at` is its offset in the document.
pub(super) fn read(section: Section, is_item: bool, raw: &str, at: usize) -> Vec<Found> {
    let whole = Span::new(at, at + raw.len());
    match section {
        Section::Banned => banned(is_item, raw, at),
        Section::Preferred => terms::preferred_item(raw, at).unwrap_or_else(|| prose(raw, at, None)),
        Section::Products => product(is_item, raw, at),
        Section::Taglines => tagline(raw, whole),
        Section::OnBrand => example(raw, whole, RuleKind::OnBrand),
        Section::OffBrand => example(raw, whole, RuleKind::OffBrand),
        Section::About => about(is_item, raw, whole),
        Section::Do => prose(raw, at, is_item.then_some(RuleKind::Do)),
        Section::Dont => prose(raw, at, is_item.then_some(RuleKind::Dont)),
        Section::Audience => Vec::new(),
        Section::Tone | Section::Other => prose(raw, at, None),
    }
}

/// Sentences of running text: word pairs, labelled examples, imperatives. In a do or don't list every item is
/// a rule, whatever its grammar.
fn prose(raw: &str, at: usize, list: Option<RuleKind>) -> Vec<Found> {
    let whole = labelled(raw, Span::new(at, at + raw.len()));
    if let Some(example) = whole.filter(|f| matches!(f.kind, RuleKind::OnBrand | RuleKind::OffBrand)) {
        return vec![example];
    }
    let mut out = Vec::new();
    for (i, sentence) in text::sentences(raw).into_iter().enumerate() {
        let body = sentence.of(raw);
        let span = sentence.shifted(at);
        let listed = labelled_list(body, span);
        if !listed.is_empty() {
            out.extend(listed);
            continue;
        }
        if let Some(found) = labelled(body, span) {
            out.push(found);
            continue;
        }
        out.extend(terms::in_sentence(body, span.start, list == Some(RuleKind::Dont)));
        match (imperative::rule(body, span), list) {
            (Some(rule), None) => out.push(rule),
            (Some(rule), Some(kind)) => out.push(Found {
                kind: if rule.kind == RuleKind::Dont { RuleKind::Dont } else { kind },
                ..rule
            }),
            (None, Some(kind)) if i == 0 => {
                let pattern = imperative::pattern(body, kind == RuleKind::Dont);
                out.push(Found::new(kind, body, Severity::Should, span).checked(pattern));
            }
            _ => {}
        }
    }
    out
}

/// `Banned words: cheap, hurry.` and `Product names: ReBag, SlowDrip Kit.`
fn labelled_list(sentence: &str, span: Span) -> Vec<Found> {
    let plain = super::block::plain(sentence);
    let Some((label, rest)) = plain.split_once(':') else { return Vec::new() };
    let has = |list: &[&str]| list.iter().any(|w| text::has_phrase(label, w));
    let short = label.split_whitespace().count() <= 5;
    let items = terms::list(rest.trim_end_matches('.'), span.start).into_iter().map(|(term, _)| term);
    if short && has(&["product names", "products", "product name", "our products"]) {
        let named = items.filter(|t| t.chars().any(char::is_uppercase));
        return named.map(|t| Found::new(RuleKind::Product, t, Severity::Must, span)).collect();
    }
    let words = has(&["word", "words", "phrase", "phrases", "terms", "say", "use"]);
    if short && words && has(&["banned", "never", "avoid", "forbidden", "don't", "do not", "retired"]) {
        let ban = |t: String| {
            Found::new(RuleKind::Banned, t.clone(), Severity::Must, span).checked(Some(Pattern::Term(t)))
        };
        return items.map(ban).collect();
    }
    Vec::new()
}

/// `On-brand: "..."`, `Not like this: "..."`, `Tagline: "..."`.
fn labelled(sentence: &str, span: Span) -> Option<Found> {
    let (label, rest) = sentence.split_once(':')?;
    let label = super::block::plain(label).to_lowercase();
    let body = quoted::unquote(rest.trim().trim_start_matches("**").trim());
    let words = body.split_whitespace().count();
    let kind = match label.trim() {
        "on-brand" | "on brand" | "like this" | "good" | "we say" | "say" | "yes" | "example" | "after"
        | "better" | "instead"
            if words >= 4 =>
        {
            RuleKind::OnBrand
        }
        "off-brand" | "off brand" | "not like this" | "bad" | "we don't say" | "don't say" | "no"
        | "never" | "not" | "before" | "worse"
            if words >= 4 =>
        {
            RuleKind::OffBrand
        }
        "tagline" | "slogan" | "our tagline" | "our slogan" if (2..=12).contains(&words) => RuleKind::Tagline,
        "product name" | "product" if (1..=4).contains(&words) => RuleKind::Product,
        _ => return None,
    };
    Some(Found::new(kind, body, Severity::Info, span))
}

fn banned(is_item: bool, raw: &str, at: usize) -> Vec<Found> {
    let found = terms::in_sentence(raw, at, true);
    if !found.is_empty() {
        return found;
    }
    let sentence = raw.trim_end().ends_with(['.', '!']) && raw.split_whitespace().count() > 6;
    if sentence || (!is_item && !raw.contains(',')) {
        return prose(raw, at, is_item.then_some(RuleKind::Dont));
    }
    let ban = |(term, span): (String, Span)| {
        Found::new(RuleKind::Banned, term.clone(), Severity::Must, span).checked(Some(Pattern::Term(term)))
    };
    terms::list(raw, at).into_iter().map(ban).collect()
}

fn product(is_item: bool, raw: &str, at: usize) -> Vec<Found> {
    let quotes = quoted::quotes(raw);
    let first = quotes.first().map(|q| q.of(raw).to_owned());
    let head = terms::head(raw);
    let name = match (first, is_item) {
        (Some(name), _) => name,
        (None, true) if head.split_whitespace().count() <= 4 => head.to_owned(),
        // "KestrelDB is always written as one word": the name leads.
        (None, true) => leading_name(head),
        (None, false) => return terms::in_sentence(raw, at, false),
    };
    let words = name.split_whitespace().count();
    let is_name = name.chars().any(char::is_uppercase) && (1..=4).contains(&words);
    let found =
        is_name.then(|| Found::new(RuleKind::Product, name, Severity::Must, Span::new(at, at + raw.len())));
    found.into_iter().chain(prose(raw, at, None)).collect()
}

fn leading_name(text: &str) -> String {
    let named = |w: &&str| w.chars().any(char::is_uppercase) || w.chars().all(char::is_numeric);
    text.split_whitespace().take_while(named).collect::<Vec<_>>().join(" ")
}

fn tagline(raw: &str, span: Span) -> Vec<Found> {
    let body = quoted::quotes(raw).first().map_or_else(|| quoted::unquote(raw), |q| q.of(raw).to_owned());
    let words = body.split_whitespace().count();
    if (2..=12).contains(&words) {
        vec![Found::new(RuleKind::Tagline, body, Severity::Info, span)]
    } else {
        Vec::new()
    }
}

fn example(raw: &str, span: Span, kind: RuleKind) -> Vec<Found> {
    let negative = imperative::is_label(raw, &["don't", "not", "no", "bad", "off-brand", "instead of"]);
    let kind = if negative { RuleKind::OffBrand } else { kind };
    let body =
        raw.split_once(": ").filter(|(l, _)| l.split_whitespace().count() <= 4).map_or(raw, |(_, r)| r);
    let body = quoted::unquote(body.trim());
    if body.split_whitespace().count() >= 4 {
        vec![Found::new(kind, body, Severity::Info, span)]
    } else {
        Vec::new()
    }
}

/// Copy about the brand: an example of its voice, and as a short list item also a key phrase.
fn about(is_item: bool, raw: &str, span: Span) -> Vec<Found> {
    let words = raw.split_whitespace().count();
    let mut out = Vec::new();
    if is_item && (2..=12).contains(&words) {
        out.push(Found::new(RuleKind::KeyPhrase, raw.trim_end_matches('.'), Severity::Info, span));
    }
    if words >= 6 {
        out.push(Found::new(RuleKind::OnBrand, quoted::unquote(raw), Severity::Info, span));
    }
    out
}
