//! Answers by quoting retrieved text, with the source of each sentence.

use std::collections::{BTreeMap, BTreeSet};

use super::{Made, summary, text};
use crate::llm::{Citation, LlmRequest, Part, Taint};
use crate::{Error, Result};

/// What is said when no sentence answers.
const NOT_FOUND: &str = "not found in the knowledge base";
/// Share of the question's weight that a sentence must hold to be quoted (ours): lower values quote sentences
/// that merely share a common word.
const ENOUGH: f64 = 0.45;
/// A sentence far below the best one is left out.
const NEAR_BEST: f64 = 0.75;

struct Candidate<'r> {
    sentence: &'r str,
    source: &'r str,
    words: BTreeSet<String>,
}

/// Quotes up to `count` sentences, best source first.
pub(super) fn answer(request: &LlmRequest, count: u32) -> Result<Made> {
    let question = request
        .question()
        .ok_or_else(|| Error::invalid("llm.offline", "messages", "expected a question of the user"))?;
    let asked = summary::content(&question);
    let candidates = candidates(request);
    let weight = weights(&candidates);
    // A word no source holds weighs as much as the rarest one that does.
    let rarest = weight.values().copied().fold(1.0, f64::max);
    let of = |word: &String| weight.get(word.as_str()).copied().unwrap_or(rarest);
    let total: f64 = asked.iter().map(of).sum();
    let mut scored: Vec<(f64, usize)> = candidates
        .iter()
        .enumerate()
        .map(|(i, c)| (asked.intersection(&c.words).map(of).sum::<f64>() / total.max(f64::MIN_POSITIVE), i))
        .filter(|(score, _)| *score >= ENOUGH)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let best = scored.first().map_or(1.0, |(score, _)| *score);
    let mut made = Made::default();
    let mut said = BTreeSet::new();
    let mut lines = Vec::new();
    for (_, i) in scored.into_iter().filter(|(score, _)| *score >= best * NEAR_BEST) {
        let Some(found) = candidates.get(i).filter(|c| said.insert(c.sentence)) else { continue };
        lines.push(format!("\"{}\" [{}]", found.sentence, found.source));
        made.citations.push(Citation { source: found.source.into(), quote: found.sentence.into() });
        if lines.len() >= count.max(1) as usize {
            break;
        }
    }
    made.texts = vec![if lines.is_empty() { NOT_FOUND.to_owned() } else { lines.join(" ") }];
    Ok(made)
}

fn candidates(request: &LlmRequest) -> Vec<Candidate<'_>> {
    let is_source = |p: &&Part| p.source.is_some() || matches!(p.taint, Taint::Retrieved | Taint::Web);
    request
        .parts()
        .filter(is_source)
        .filter_map(|p| Some((p.as_text()?, p.source.as_ref().map_or("unknown", |s| s.id.as_str()))))
        .flat_map(|(of, source)| text::sentences(of).into_iter().map(move |s| (s, source)))
        .map(|(sentence, source)| Candidate { sentence, source, words: summary::content(sentence) })
        .filter(|c| c.words.len() > 1)
        .collect()
}

/// Rarity of each word over the sentences.
fn weights<'c>(candidates: &'c [Candidate<'_>]) -> BTreeMap<&'c str, f64> {
    let mut seen: BTreeMap<&str, f64> = BTreeMap::new();
    for word in candidates.iter().flat_map(|c| c.words.iter()) {
        *seen.entry(word).or_default() += 1.0;
    }
    let all = candidates.len() as f64;
    seen.values_mut().for_each(|n| *n = (1.0 + all / *n).ln());
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Source;

    fn ask(question: &str) -> Made {
        let request = LlmRequest::new()
            .user(question)
            .context(Part::retrieved(
                "We ship on weekdays. Returns are free for 30 days after delivery. Gift cards never expire.",
                Source::new("chk_1"),
            ))
            .context(Part::retrieved(
                "Tea is stored dark and cool. We ship to Austria.",
                Source::new("chk_2"),
            ));
        answer(&request, 3).unwrap()
    }

    #[test]
    fn quotes_are_verbatim_with_their_source() {
        let made = ask("How many days are returns free?");
        assert_eq!(made.texts, ["\"Returns are free for 30 days after delivery.\" [chk_1]"]);
        assert_eq!(made.citations[0].source, "chk_1");
        assert_eq!(ask("When do gift cards expire?").citations[0].quote, "Gift cards never expire.");
        assert_eq!(ask("Do you ship to Austria?").citations[0].source, "chk_2");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for question in ["Who is the president?", "What is the meaning of life?", "the?"] {
            let made = ask(question);
            assert_eq!(made.texts, [NOT_FOUND], "{question}");
            assert!(made.citations.is_empty());
        }
    }
}
