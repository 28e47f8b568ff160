//! Summary, key phrases and title by extraction: nothing is said that does not stand in the text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Made, lexicon, text};
use crate::llm::LlmRequest;
use crate::prompt::clip;
use crate::{Error, Result};

/// A candidate phrase has at most this many words.
const PHRASE_WORDS: usize = 4;
/// Share of its score that a sentence loses for each word it shares with one already chosen.
const REPEATED: f64 = 0.6;

/// The text of a request that is to be worked on: every text part of its messages.
pub(super) fn context(request: &LlmRequest) -> Result<String> {
    let text: Vec<String> = request.messages.iter().map(crate::llm::Message::text).collect();
    let text = text.join("\n\n");
    if text.trim().is_empty() {
        return Err(Error::invalid("llm.offline", "messages", "expected text to work on"));
    }
    Ok(text)
}

pub(super) fn summarize(request: &LlmRequest, count: u32) -> Result<Made> {
    Ok(Made::text(summary_of(&context(request)?, count.max(1) as usize)))
}

pub(super) fn key_phrases(request: &LlmRequest, count: u32) -> Result<Made> {
    let phrases = phrases_of(&context(request)?, count.max(1) as usize);
    match request.output_schema {
        Some(_) => Made::json(&phrases.into_iter().map(Value::String).collect()),
        None => Ok(Made::text(phrases.join("\n"))),
    }
}

pub(super) fn title(request: &LlmRequest, max_chars: u32) -> Result<Made> {
    Ok(Made::text(title_of(&context(request)?, max_chars.max(1) as usize)))
}

/// The `count` most telling sentences in their order.
pub(super) fn summary_of(of: &str, count: usize) -> String {
    let sentences = text::sentences(of);
    let mut chosen = rank(&sentences, count);
    chosen.sort_unstable();
    let picked: Vec<&str> = chosen.into_iter().filter_map(|i| sentences.get(i).copied()).collect();
    picked.join(" ")
}

/// Indexes of the best sentences, best first: frequent content words, early sentences, little repetition.
fn rank(sentences: &[&str], count: usize) -> Vec<usize> {
    let words: Vec<BTreeSet<String>> = sentences.iter().map(|s| content(s)).collect();
    let mut frequency: BTreeMap<&str, f64> = BTreeMap::new();
    for word in words.iter().flatten() {
        *frequency.entry(word).or_default() += 1.0;
    }
    let mut chosen: Vec<usize> = Vec::new();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    while chosen.len() < count.min(sentences.len()) {
        let mut best: Option<(f64, usize)> = None;
        for (i, set) in words.iter().enumerate().filter(|(i, _)| !chosen.contains(i)) {
            let weight = |w: &String| {
                let repeated = if used.contains(w.as_str()) { 1.0 - REPEATED } else { 1.0 };
                frequency.get(w.as_str()).copied().unwrap_or(0.0) * repeated
            };
            // The root keeps long sentences from winning by length alone.
            let sum: f64 = set.iter().map(weight).sum::<f64>() / (set.len() as f64).sqrt().max(1.0);
            let score = sum * (1.0 + 0.5 / (i + 1) as f64);
            if best.is_none_or(|(top, _)| score > top) {
                best = Some((score, i));
            }
        }
        let Some((_, i)) = best else { break };
        chosen.push(i);
        used.extend(words.get(i).into_iter().flatten().map(String::as_str));
    }
    chosen
}

/// Stems of the words that carry meaning.
pub(super) fn content(of: &str) -> BTreeSet<String> {
    text::words(of).filter(|w| !lexicon::is_stop(w)).map(text::stem).collect()
}

/// The `count` most telling phrases, best first.
// Candidate phrases and word scores (degree over frequency) as in RAKE: Rose, Engel, Cramer, Cowley 2010.
pub(super) fn phrases_of(of: &str, count: usize) -> Vec<String> {
    let candidates = candidates(of);
    let mut degree: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for phrase in &candidates {
        for word in phrase {
            let slot = degree.entry(word).or_default();
            slot.0 += phrase.len() as f64;
            slot.1 += 1.0;
        }
    }
    let mut scores: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for phrase in &candidates {
        let score: f64 = phrase.iter().filter_map(|w| degree.get(w.as_str())).map(|(d, f)| d / f).sum();
        let slot = scores.entry(phrase.join(" ")).or_default();
        slot.0 = score;
        slot.1 += 1.0;
    }
    let mut ranked: Vec<(f64, String)> = scores.into_iter().map(|(p, (s, n))| (s * n.sqrt(), p)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    ranked.into_iter().take(count).map(|(_, p)| p).collect()
}

/// Runs of content words inside one clause, lower case.
fn candidates(of: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    for clause in of.split(|c: char| ".,;:!?()[]\"„“”\n|#*".contains(c)) {
        let mut run: Vec<String> = Vec::new();
        for word in text::words(clause).map(str::to_lowercase).chain(std::iter::once(String::new())) {
            let ends = word.is_empty() || lexicon::is_stop(&word) || word.chars().all(char::is_numeric);
            if !ends {
                run.push(word);
            } else if !run.is_empty() {
                if run.len() <= PHRASE_WORDS {
                    out.push(std::mem::take(&mut run));
                }
                run.clear();
            }
        }
    }
    out
}

/// A heading if the text has one that fits, else the best sentence, cut at a word.
pub(super) fn title_of(of: &str, max_chars: usize) -> String {
    let heading = of.lines().map(str::trim).find(|l| l.starts_with('#'));
    let first = of.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    let is_line = !first.ends_with(['.', '!', '?', ':', ',']) && first.chars().count() <= max_chars;
    let sentences = text::sentences(of);
    let best = rank(&sentences, 1).first().and_then(|i| sentences.get(*i).copied()).unwrap_or(first);
    let line = match heading {
        Some(heading) => heading.trim_start_matches('#').trim(),
        None if is_line => first,
        None => best,
    };
    clip(line, max_chars).trim_end_matches(['.', ',', ';', ':']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Green tea is picked in spring. The first flush of green tea has the finest leaves. \
        Our shop opens at nine. Water of 70 degrees keeps green tea leaves sweet. Parking is behind the house.";

    #[test]
    fn a_summary_quotes_in_order() {
        let out = summary_of(TEXT, 2);
        let at: Vec<_> = text::sentences(&out).iter().map(|s| TEXT.find(s).unwrap()).collect();
        assert_eq!(at.len(), 2);
        assert!(at[0] < at[1]);
        assert!(out.contains("green tea") && !out.contains("Parking"));
        assert_eq!(summary_of("One.", 5), "One.");
    }

    #[test]
    fn phrases_stand_in_the_text_and_leave_out_stop_words() {
        let phrases = phrases_of(TEXT, 4);
        assert_eq!(phrases.len(), 4);
        assert!(phrases.iter().all(|p| TEXT.to_lowercase().contains(p)), "{phrases:?}");
        assert!(phrases.iter().any(|p| p.contains("green tea")), "{phrases:?}");
    }

    #[test]
    fn titles_fit() {
        assert_eq!(title_of("# Spring menu\nText.", 40), "Spring menu");
        assert_eq!(title_of("Spring menu\n\nText.", 40), "Spring menu");
        let cut = title_of(TEXT, 24);
        assert!(cut.chars().count() <= 24 && TEXT.contains(&cut), "{cut}");
    }
}
