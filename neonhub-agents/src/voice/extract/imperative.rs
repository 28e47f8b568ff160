//! Sentences that tell a writer what to do, and the mechanical rules some of them state.

use super::Found;
use super::block::plain;
use crate::voice::model::{Pattern, RuleKind, Severity};
use crate::voice::text::{self, Span};

const NEVER: &[&str] = &[
    "never",
    "don't",
    "do not",
    "we never",
    "we don't",
    "we do not",
    "no",
    "must not",
    "please don't",
    "please do not",
];
const AVOID: &[&str] = &["avoid", "we avoid", "stay away from", "steer clear of", "refrain from", "skip"];
const ALWAYS: &[&str] = &["always", "we always", "must", "make sure", "be sure to"];
const VERBS: &[&str] = &[
    "do",
    "address",
    "answer",
    "ask",
    "be",
    "begin",
    "call",
    "capitalise",
    "capitalize",
    "choose",
    "cite",
    "describe",
    "end",
    "explain",
    "focus",
    "give",
    "include",
    "keep",
    "lead",
    "let",
    "limit",
    "link",
    "listen",
    "mention",
    "name",
    "open",
    "point",
    "prefer",
    "put",
    "say",
    "show",
    "sign",
    "speak",
    "spell",
    "start",
    "stay",
    "stick",
    "talk",
    "tell",
    "think",
    "thank",
    "treat",
    "try",
    "use",
    "write",
    "respect",
    "invite",
];

/// The rule that this sentence states, if it is one.
pub(super) fn rule(sentence: &str, span: Span) -> Option<Found> {
    let lower = folded(sentence);
    let starts = |list: &[&str]| list.iter().any(|w| starts_with_word(&lower, w));
    let (kind, severity) = if starts(NEVER) && lower.split_whitespace().count() >= 2 {
        (RuleKind::Dont, Severity::Must)
    } else if starts(AVOID) {
        (RuleKind::Dont, Severity::Should)
    } else if starts(ALWAYS) {
        (RuleKind::Do, Severity::Must)
    } else if starts(VERBS) && lower.split_whitespace().count() >= 3 {
        (RuleKind::Do, Severity::Should)
    } else {
        return middle(sentence, &lower, span);
    };
    // "Use no exclamation marks" is a don't in the form of a do.
    let negated = kind == RuleKind::Do
        && ["no", "never", "without"].iter().any(|w| text::has_phrase(&lower, w))
        && pattern(sentence, true).is_some();
    let kind = if negated { RuleKind::Dont } else { kind };
    Some(Found::new(kind, plain(sentence), severity, span).checked(pattern(sentence, kind == RuleKind::Dont)))
}

/// `Our writers should never ...`, `Copy must not ...`: rules in the middle of a sentence.
fn middle(sentence: &str, lower: &str, span: Span) -> Option<Found> {
    let about = [
        "copy",
        "text",
        "texts",
        "headlines",
        "posts",
        "we",
        "writers",
        "emails",
        "messages",
        "subject lines",
        "sentences",
        "every",
    ];
    if !about.iter().any(|w| starts_with_word(lower, w)) && !starts_with_word(lower, "our") {
        return None;
    }
    let has = |list: &[&str]| list.iter().any(|w| text::has_phrase(lower, w));
    let (kind, severity) = if has(&["must not", "should never", "must never", "never use", "never write"]) {
        (RuleKind::Dont, Severity::Must)
    } else if has(&["should not", "shouldn't", "should avoid"]) {
        (RuleKind::Dont, Severity::Should)
    } else if has(&["must", "have to"]) {
        (RuleKind::Do, Severity::Must)
    } else if has(&["should"]) {
        (RuleKind::Do, Severity::Should)
    } else {
        return None;
    };
    Some(Found::new(kind, plain(sentence), severity, span).checked(pattern(sentence, kind == RuleKind::Dont)))
}

fn folded(sentence: &str) -> String {
    plain(sentence).to_lowercase().chars().map(text::fold_mark).collect()
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '\'' || c == '-'))
}

/// True when `text` begins with one of these labels and a colon.
pub(super) fn is_label(text: &str, labels: &[&str]) -> bool {
    let lower = folded(text);
    labels.iter().any(|l| lower.strip_prefix(l).is_some_and(|r| r.trim_start().starts_with(':')))
}

/// The mechanical check that a sentence states. `negative`: it says what not to do.
pub(super) fn pattern(sentence: &str, negative: bool) -> Option<Pattern> {
    let lower = folded(sentence);
    let has = |list: &[&str]| list.iter().any(|w| text::has_phrase(&lower, w));
    if has(&["sentence", "sentences"])
        && let Some(n) = most_words(&lower)
    {
        return Some(Pattern::MaxSentenceWords(n));
    }
    // "Never more than one emoji" bounds a number, "no emoji in subject lines" a place; neither forbids them.
    let scoped = [
        "in e-mail",
        "in email",
        "in emails",
        "in subject",
        "in subjects",
        "in subject lines",
        "in headlines",
        "in headings",
        "in titles",
        "in sms",
        "in social",
        "in social posts",
        "in posts",
        "on linkedin",
        "on x",
        "in e-mail subjects",
        "in email subjects",
        "in formal",
    ];
    if has(&scoped) && !has(&["documentation"]) {
        return None;
    }
    if !negative || has(&["more than", "too many", "unless", "except", "except in"]) {
        return None;
    }
    if has(&[
        "exclamation mark",
        "exclamation marks",
        "exclamation point",
        "exclamation points",
        "exclamations",
    ]) {
        Some(Pattern::NoExclamation)
    } else if has(&["emoji", "emojis", "emoticons"]) {
        Some(Pattern::NoEmoji)
    } else if has(&["all caps", "all-caps", "capitals", "capital letters", "uppercase", "shout"]) {
        Some(Pattern::NoCapitals)
    } else if has(&["contractions"]) {
        Some(Pattern::NoContractions)
    } else if has(&["hashtag", "hashtags"]) {
        Some(Pattern::NoHashtags)
    } else if has(&["question marks", "rhetorical questions", "rhetorical question"]) {
        Some(Pattern::NoQuestions)
    } else {
        None
    }
}

/// `under 20 words`, `at most 18 words`, `no longer than 20 words`.
fn most_words(lower: &str) -> Option<u32> {
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let at = words.windows(2).position(|w| {
        w.first().is_some_and(|n| n.parse::<u32>().is_ok()) && w.get(1).is_some_and(|x| x.starts_with("word"))
    })?;
    let n: u32 = words.get(at)?.parse().ok()?;
    let before: Vec<&str> = words.iter().take(at).rev().take(3).copied().collect();
    let strict = before.iter().any(|w| matches!(*w, "under" | "below" | "fewer" | "less"));
    let bound = strict
        || before.iter().any(|w| {
            matches!(*w, "most" | "than" | "maximum" | "max" | "to" | "over" | "beyond" | "above" | "within")
        });
    let n = if strict && !before.contains(&"no") { n.saturating_sub(1) } else { n };
    (bound && (3..=60).contains(&n)).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(RuleKind, Severity, Option<Pattern>)> {
        rule(text, Span::new(0, text.len())).map(|f| (f.kind, f.severity, f.pattern))
    }

    #[test]
    fn imperatives_become_rules() {
        assert_eq!(
            read("Never use exclamation marks."),
            Some((RuleKind::Dont, Severity::Must, Some(Pattern::NoExclamation)))
        );
        assert_eq!(
            read("Don\u{2019}t shout."),
            Some((RuleKind::Dont, Severity::Must, Some(Pattern::NoCapitals)))
        );
        assert_eq!(read("Avoid jargon."), Some((RuleKind::Dont, Severity::Should, None)));
        assert_eq!(read("Always name the roaster."), Some((RuleKind::Do, Severity::Must, None)));
        assert_eq!(
            read("Keep sentences under 18 words."),
            Some((RuleKind::Do, Severity::Should, Some(Pattern::MaxSentenceWords(17))))
        );
        assert_eq!(
            read("Copy must not use emoji."),
            Some((RuleKind::Dont, Severity::Must, Some(Pattern::NoEmoji)))
        );
        assert_eq!(read("Use no emoji."), Some((RuleKind::Dont, Severity::Should, Some(Pattern::NoEmoji))));
    }

    #[test]
    fn statements_are_no_rules() {
        for text in [
            "We roast on Tuesdays.",
            "Nobody likes a cold cup.",
            "Donuts are round.",
            "Never.",
            "Notes from the field.",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
