//! Phrases that must, or must not, appear.

use super::finding::{Finding, FindingKind, Level};
use crate::voice::text;

/// Every place where a ruled-out phrase stands: whole words, any case.
#[must_use]
pub fn must_not_say(text: &str, phrases: &[String]) -> Vec<Finding> {
    let mut out = Vec::new();
    let folded = text::Folded::new(text);
    for phrase in phrases {
        for span in folded.find(phrase) {
            out.push(
                Finding::new(
                    "brief.must_not_say",
                    FindingKind::Brand,
                    Level::Block,
                    "a phrase that the brief rules out",
                    "say it another way",
                )
                .at(span),
            );
        }
    }
    out
}

/// The required phrases that stand in none of `texts`.
#[must_use]
pub fn must_say_missing<'p>(texts: &[&str], phrases: &'p [String]) -> Vec<&'p str> {
    let folded: Vec<text::Folded<'_>> = texts.iter().map(|t| text::Folded::new(t)).collect();
    let missing = |p: &&'p String| !p.trim().is_empty() && !folded.iter().any(|t| t.has(p));
    phrases.iter().filter(missing).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_phrases_are_looked_for_in_every_part() {
        let phrases = vec!["Free returns".to_owned(), "since 1987".to_owned()];
        assert_eq!(must_say_missing(&["free  returns here", "Since 1987."], &phrases), Vec::<&str>::new());
        assert_eq!(must_say_missing(&["carefree returns"], &phrases), ["Free returns", "since 1987"]);
    }
}
