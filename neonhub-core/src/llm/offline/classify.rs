//! Intent, sentiment, topic and language by cue lists, with probabilities.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Made, lexicon, summary, text};
use crate::Result;
use crate::llm::{Facet, LlmRequest};

/// Weight of the answer "nothing in particular" against one cue.
const NOTHING: f64 = 0.5;
/// A negation reaches this many words ahead.
const NEGATION_REACH: usize = 3;

/// Probabilities by label; they sum to 1.
pub(super) type Scores = BTreeMap<String, f64>;

pub(super) fn classify(
    request: &LlmRequest,
    facet: Facet,
    labels: &BTreeMap<String, Vec<String>>,
) -> Result<Made> {
    let of = summary::context(request)?;
    let scores = if labels.is_empty() { scores(&of, facet) } else { by_cues(&of, own(labels)) };
    let rounded: serde_json::Map<String, Value> =
        scores.iter().map(|(label, p)| (label.clone(), json!((p * 10_000.0).round() / 10_000.0))).collect();
    Made::json(&json!({ "label": best(&scores), "scores": rounded }))
}

/// The likeliest label; the first by name among equals.
pub(super) fn best(scores: &Scores) -> &str {
    let top = scores.values().copied().fold(0.0, f64::max);
    scores.iter().find(|(_, p)| **p >= top).map_or("other", |(label, _)| label)
}

/// Probabilities by the built-in lists.
pub(super) fn scores(of: &str, facet: Facet) -> Scores {
    match facet {
        Facet::Sentiment => sentiment(of),
        Facet::Language => language(of),
        Facet::Intent => by_cues(of, built_in(lexicon::INTENTS)),
        Facet::Topic => by_cues(of, built_in(lexicon::TOPICS)),
    }
}

type Cues = Vec<(String, Vec<String>)>;

fn built_in(table: &[(&str, &[&str])]) -> Cues {
    table.iter().map(|(l, c)| ((*l).to_owned(), c.iter().map(|c| (*c).to_owned()).collect())).collect()
}

fn own(labels: &BTreeMap<String, Vec<String>>) -> Cues {
    let mut cues: Cues = vec![("other".to_owned(), Vec::new())];
    cues.extend(labels.iter().map(|(l, c)| (l.clone(), c.clone())));
    cues
}

/// Counts the cue phrases of each label; a longer phrase says more than one word.
fn by_cues(of: &str, cues: Cues) -> Scores {
    let words: Vec<String> = text::words(of).map(text::stem).collect();
    let weigh =
        |phrases: &[String]| -> f64 { phrases.iter().map(|phrase| occurrences(&words, phrase)).sum() };
    let counted: Vec<(String, f64)> =
        cues.into_iter().map(|(label, phrases)| (label, weigh(&phrases))).collect();
    normalise(counted.into_iter().map(|(label, n)| {
        let floor = if label == "other" { NOTHING } else { 0.0 };
        (label, n + floor)
    }))
}

fn occurrences(words: &[String], phrase: &str) -> f64 {
    let phrase: Vec<String> = text::words(phrase).map(text::stem).collect();
    if phrase.is_empty() {
        return 0.0;
    }
    let hits = words.windows(phrase.len()).filter(|w| **w == *phrase).count();
    hits as f64 * phrase.len() as f64
}

fn sentiment(of: &str) -> Scores {
    let words: Vec<String> = text::words(of).map(|w| w.to_lowercase().replace('’', "'")).collect();
    let (mut good, mut bad) = (0.0, 0.0);
    for (i, word) in words.iter().enumerate() {
        let find = |list: &[(&str, u8)]| list.iter().find(|(w, _)| w == word).map(|(_, n)| f64::from(*n));
        let (plus, minus) = (find(lexicon::GOOD).unwrap_or(0.0), find(lexicon::BAD).unwrap_or(0.0));
        let before = words.get(i.saturating_sub(NEGATION_REACH)..i).unwrap_or_default();
        let turned = before.iter().any(|w| lexicon::NOT.contains(&w.as_str()));
        // "not great" is bad; "not bad" is only mildly good.
        good += if turned { minus * 0.5 } else { plus };
        bad += if turned { plus } else { minus };
    }
    normalise([("negative", bad * 2.0), ("neutral", 1.0), ("positive", good * 2.0)].map(own_label))
}

/// By script, then by function words. `und` (undetermined) when nothing speaks for a language.
fn language(of: &str) -> Scores {
    if let Some(code) = by_script(of) {
        return normalise([own_label((code, 1.0))]);
    }
    let words: Vec<String> = text::words(of).map(str::to_lowercase).collect();
    let counted = lexicon::FUNCTION_WORDS.iter().map(|(code, list)| {
        let list: Vec<&str> = list.split_ascii_whitespace().collect();
        let hits = words.iter().filter(|w| list.contains(&w.as_str())).count() as f64;
        // Squaring separates the language from its relatives, which share short words with it.
        ((*code).to_owned(), hits * hits)
    });
    normalise(counted.chain([own_label(("und", NOTHING))]))
}

/// The language that a script stands for, when most letters are of it.
fn by_script(of: &str) -> Option<&'static str> {
    let script = |c: char| match c {
        '\u{3040}'..='\u{30ff}' => Some("ja"),
        '\u{4e00}'..='\u{9fff}' => Some("zh"),
        '\u{ac00}'..='\u{d7af}' => Some("ko"),
        '\u{0400}'..='\u{04ff}' => Some("ru"),
        '\u{0370}'..='\u{03ff}' => Some("el"),
        '\u{0600}'..='\u{06ff}' => Some("ar"),
        '\u{0590}'..='\u{05ff}' => Some("he"),
        '\u{0900}'..='\u{097f}' => Some("hi"),
        _ => None,
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut letters = 0;
    for c in of.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        if let Some(code) = script(c) {
            *counts.entry(code).or_default() += 1;
        }
    }
    // Japanese mixes in Chinese characters; kana decide.
    if counts.get("ja").is_some_and(|n| n * 10 > letters) {
        return Some("ja");
    }
    counts.into_iter().find(|(_, n)| n * 2 > letters).map(|(code, _)| code)
}

fn own_label((label, n): (&str, f64)) -> (String, f64) {
    (label.to_owned(), n)
}

fn normalise(counted: impl IntoIterator<Item = (String, f64)>) -> Scores {
    let mut scores: Scores = BTreeMap::new();
    for (label, n) in counted {
        *scores.entry(label).or_default() += n;
    }
    let sum: f64 = scores.values().sum();
    if sum > 0.0 {
        scores.values_mut().for_each(|n| *n /= sum);
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(of: &str, facet: Facet) -> String {
        let scores = scores(of, facet);
        assert!((scores.values().sum::<f64>() - 1.0).abs() < 1e-9);
        best(&scores).to_owned()
    }

    #[test]
    fn feelings_are_told_apart() {
        for (text, expected) in [
            ("I love this tea, thank you!", "positive"),
            ("The cup arrived broken and support was rude.", "negative"),
            ("This is not great.", "negative"),
            ("The shop is on Main Street.", "neutral"),
            ("Der Tee ist wunderbar, danke", "positive"),
            ("Leider war das Paket beschädigt", "negative"),
        ] {
            assert_eq!(label(text, Facet::Sentiment), expected, "{text}");
        }
    }

    #[test]
    fn languages_are_told_apart() {
        for (text, expected) in [
            ("Where is my order and when will it be here?", "en"),
            ("Wo ist meine Bestellung und wann wird sie hier sein?", "de"),
            ("Où est ma commande et quand est-ce que je la reçois ?", "fr"),
            ("¿Dónde está mi pedido y cuándo llega a mi casa?", "es"),
            ("Dov'è il mio ordine e quando arriva da noi?", "it"),
            ("Waar is mijn bestelling en wanneer komt het aan?", "nl"),
            ("Gdzie jest moje zamówienie i kiedy do mnie przyjdzie?", "pl"),
            ("Onde está o meu pedido e quando é que chega? Não o recebi", "pt"),
            ("Где мой заказ?", "ru"),
            ("注文はどこですか", "ja"),
            ("12345 xyzzy", "und"),
        ] {
            assert_eq!(label(text, Facet::Language), expected, "{text}");
        }
    }

    #[test]
    fn intents_and_topics_follow_their_cues() {
        assert_eq!(label("How much does the large box cost?", Facet::Intent), "pricing");
        assert_eq!(label("Please remove me from your list, no more emails", Facet::Intent), "unsubscribe");
        assert_eq!(label("I want my money back", Facet::Intent), "refund");
        assert_eq!(label("The parcel tracking does not move", Facet::Topic), "delivery");
        assert_eq!(label("Blue is a colour of the sky", Facet::Intent), "other");
    }

    #[test]
    fn own_labels_take_the_place_of_the_lists() {
        let labels =
            [("green".to_owned(), vec!["sencha".to_owned()]), ("black".to_owned(), vec!["assam".to_owned()])];
        let request = LlmRequest::new().user("Do you have Sencha?");
        let made = classify(&request, Facet::Topic, &labels.into()).unwrap();
        let out: Value = serde_json::from_str(&made.texts[0]).unwrap();
        assert_eq!(out["label"], "green");
        assert_eq!(out["scores"]["black"], 0);
    }
}
