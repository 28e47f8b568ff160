//! The offline moderator: plain phrases, whole words, and the usual disguises seen through.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use async_trait::async_trait;

use super::lexicon::{CATEGORIES, GROUPS, PHRASES};
use super::{
    Moderated, ModerationCategory, ModerationInput, ModerationRequest, ModerationVerdict, Moderator,
};
use crate::llm::{Offline, Origin};
use crate::{Error, ErrorKind, Result};

/// Texts of one call; 1 000 words take less than a millisecond.
const MAX_BATCH: usize = 2_048;
/// From here on a category is flagged.
const FLAGGED: f64 = 0.5;

/// A phrase as words, with its category and its weight in hundredths.
type Phrase = (Vec<String>, usize, u32);

/// Phrases by their first word.
static INDEX: LazyLock<HashMap<String, Vec<Phrase>>> = LazyLock::new(|| {
    let mut index: HashMap<String, Vec<Phrase>> = HashMap::new();
    for (category, weight, phrases) in PHRASES {
        let Some(category) = CATEGORIES.iter().position(|known| known == category) else { continue };
        for phrase in phrases.split('|') {
            let groups: &[&str] = if phrase.contains("{group}") { GROUPS } else { &[""] };
            for group in groups {
                let words = plain_words(&phrase.replace("{group}", group));
                if let Some(first) = words.first().cloned() {
                    index.entry(first).or_default().push((words, category, *weight));
                }
            }
        }
    }
    index
});

#[async_trait]
impl Moderator for Offline {
    fn provider(&self) -> &str {
        "offline"
    }

    fn region(&self) -> Option<&str> {
        Some(crate::tenancy::LOCAL)
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    async fn classify(&self, request: &ModerationRequest) -> Result<Moderated> {
        request.check(MAX_BATCH)?;
        if let Some(model) = request.model.as_deref().filter(|model| *model != Offline::MODEL) {
            let message = "the offline provider has one model, offline-rules-1";
            return Err(Error::new(ErrorKind::NotFound, "llm.offline", message).with_context("model", model));
        }
        let judge = |input: &ModerationInput| match input {
            ModerationInput::Text(text) => Ok(verdict(text)),
            ModerationInput::Picture { .. } => Err(Error::new(
                ErrorKind::Unsupported,
                "llm.offline",
                "the offline model cannot see images: configure a provider that moderates pictures (openai)",
            )
            .with_context("provider", "offline")
            .with_context("model", Offline::MODEL)),
        };
        Ok(Moderated {
            verdicts: request.inputs.iter().map(judge).collect::<Result<_>>()?,
            provider: "offline".into(),
            model: Offline::MODEL.into(),
            origin: Origin::Offline,
        })
    }
}

fn verdict(text: &str) -> ModerationVerdict {
    let words = plain_words(text);
    // What is left of being sure that nothing is there, category by category.
    let mut clean = vec![1.0_f64; CATEGORIES.len()];
    for (at, word) in words.iter().enumerate() {
        let Some(phrases) = INDEX.get(word) else { continue };
        for (phrase, category, weight) in phrases {
            let found = words.get(at..at + phrase.len()) == Some(phrase.as_slice());
            if let Some(left) = clean.get_mut(*category).filter(|_| found) {
                *left *= 1.0 - f64::from(*weight) / 100.0;
            }
        }
    }
    let categories: BTreeMap<String, ModerationCategory> = CATEGORIES
        .iter()
        .zip(clean)
        .map(|(name, left)| {
            // Four digits, so that the last bits of a product say nothing.
            let score = ((1.0 - left) * 10_000.0).round() / 10_000.0;
            ((*name).to_owned(), ModerationCategory { is_flagged: score >= FLAGGED, score: Some(score) })
        })
        .collect();
    ModerationVerdict { is_flagged: categories.values().any(|c| c.is_flagged), categories }
}

/// Words in lower case without their disguise: look-alike letters, digits for letters, letters that are drawn out, and
/// words that are spelled letter by letter.
fn plain_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut letters = String::new();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '@' | '$' | '!' | '*');
    let shown =
        text.chars().filter(|c| !is_hidden(*c)).map(|c| if matches!(c, '’' | '‘') { '\'' } else { c });
    let shown: String = shown.collect();
    for word in shown.split(|c: char| !is_part(c) && c != '\'') {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '$' && c != '@');
        if word.is_empty() {
            continue;
        }
        let mut each = word.chars();
        if let (Some(letter), None) = (each.next(), each.next()) {
            letters.push(letter);
            continue;
        }
        flush(&mut letters, &mut words);
        words.extend(spoken(&folded(word)));
    }
    flush(&mut letters, &mut words);
    words
}

/// Three letters in a row or more are a word that was pulled apart; fewer are words of one letter.
fn flush(letters: &mut String, words: &mut Vec<String>) {
    let all = std::mem::take(letters);
    if all.chars().count() >= 3 {
        words.push(folded(&all));
    } else {
        words.extend(all.chars().map(|letter| folded(&letter.to_string())));
    }
}

/// `i'm`, `you're`, `i'll`: as the phrases have them.
fn spoken(word: &str) -> Vec<String> {
    let Some((head, tail)) = word.split_once('\'') else { return vec![word.to_owned()] };
    let tail = match tail {
        "m" => "am",
        "re" => "are",
        "ll" => "will",
        other => other,
    };
    [head, tail].into_iter().filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn folded(word: &str) -> String {
    let lower = word.to_lowercase();
    // A number is no word in disguise.
    let has_letters = lower.chars().any(char::is_alphabetic);
    let plain = lower.chars().map(|c| if has_letters { look_alike(c) } else { c });
    let mut out = String::with_capacity(lower.len());
    for c in plain {
        // No English word has a letter three times in a row.
        let drawn_out = out.chars().rev().take(2).filter(|last| *last == c).count() == 2;
        if !drawn_out {
            out.push(c);
        }
    }
    squeezed(&out, &lower).unwrap_or(out)
}

/// A drawn-out word with its doubled letters made single, when only that is a word of the lists.
fn squeezed(word: &str, was: &str) -> Option<String> {
    if was.chars().count() == word.chars().count() {
        return None;
    }
    let mut single = word.to_owned();
    let mut last = None;
    single.retain(|c| last.replace(c) != Some(c));
    WORDS.contains(single.as_str()).then_some(single)
}

/// Words of the phrases.
static WORDS: LazyLock<std::collections::HashSet<&'static str>> = LazyLock::new(|| {
    PHRASES
        .iter()
        .flat_map(|(_, _, phrases)| phrases.split(['|', ' ']))
        .filter(|word| !word.is_empty())
        .collect()
});

/// The Latin letter that a sign is read as.
fn look_alike(c: char) -> char {
    match c {
        '0' | 'о' | 'ο' => 'o',
        '1' | '!' | 'і' | 'ι' => 'i',
        '3' | 'е' | 'ε' => 'e',
        '4' | '@' | 'а' | 'α' => 'a',
        '5' | '$' | 'ѕ' => 's',
        '7' | 'т' | 'τ' => 't',
        'с' => 'c',
        'р' | 'ρ' => 'p',
        'у' => 'y',
        'х' => 'x',
        'к' | 'κ' => 'k',
        'м' => 'm',
        'á' | 'à' | 'ä' | 'â' => 'a',
        'é' | 'è' | 'ë' | 'ê' => 'e',
        'í' | 'ì' | 'ï' | 'î' => 'i',
        'ó' | 'ò' | 'ö' | 'ô' => 'o',
        'ú' | 'ù' | 'ü' | 'û' => 'u',
        other => other,
    }
}

/// Signs that take no room.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flagged(text: &str) -> Vec<String> {
        let found = verdict(text);
        let all: Vec<String> =
            found.categories.iter().filter(|(_, c)| c.is_flagged).map(|(name, _)| name.clone()).collect();
        assert_eq!(found.is_flagged, !all.is_empty());
        all
    }

    #[test]
    fn every_category_has_phrases_and_every_phrase_a_category() {
        for (category, weight, phrases) in PHRASES {
            assert!(CATEGORIES.contains(category) && (50..100).contains(weight), "{category}");
            for phrase in phrases.split('|') {
                let text = phrase.replace("{group}", "women");
                assert!(flagged(&text).contains(&(*category).to_owned()), "{phrase}: {:?}", flagged(&text));
            }
        }
        assert!(CATEGORIES.iter().all(|name| PHRASES.iter().any(|(category, ..)| category == name)));
    }

    #[test]
    fn plain_words_of_marketing_pass() {
        for text in [
            "Essex and Scunthorpe: new shops for you.",
            "A killer deal: these prices are to die for!",
            "Kill two birds with one stone, save 1000 $ and 3 hours.",
            "Our cocktail class is a hit. Assess the assets of your business.",
            "A shot of espresso, a bomb of flavour, a class for women.",
            "Muslims, Jews and Christians celebrate together.",
            "We hate waste. Dirty dishes? Our soap helps.",
            "Call 0800 1337 455 or write to a.b.c@example.com",
            "Dr. A. B. C. Miller, Ph. D.",
        ] {
            assert_eq!(flagged(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn disguises_are_seen_through() {
        for text in [
            "fuck this",
            "FUCK this",
            "f u c k this",
            "f.u.c.k this",
            "fuuuuck this",
            "fuckkkk this",
            "fu\u{200b}ck this",
            "sh1t happens",
            "$hit happens",
            "this is b4st@rd work, bast@rd",
            "fu\u{441}k this",
        ] {
            assert_eq!(flagged(text), ["profanity"], "{text}");
        }
        assert_eq!(flagged("I'll kill you!"), ["harassment/threatening", "violence"]);
        assert!(flagged("I’m going to kill you").contains(&"violence".to_owned()));
    }

    #[test]
    fn more_phrases_are_surer_and_scores_stay_in_range() {
        let score = |text: &str| verdict(text).categories["profanity"].score.unwrap();
        assert!(score("shit fuck") > score("shit"));
        assert!(score(&"fuck ".repeat(500)) <= 1.0);
        assert!(score("") == 0.0 && score("🙂🙂") == 0.0);
    }
}
