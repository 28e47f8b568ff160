//! The brand's own words in a text: preferred terms for the ones they replace, product names in their casing.

use crate::voice::model::Vocabulary;
use crate::voice::score::wrong_names;
use crate::voice::text::{self, Span};

/// Rewrites `text` in the brand's vocabulary. What stands in one of the `kept` phrases, or in a link, stays.
pub(super) fn polish(text: &str, vocabulary: &Vocabulary, kept: &[String]) -> String {
    let mut out = text.to_owned();
    for pair in &vocabulary.preferred {
        for old in &pair.instead_of {
            let good = text::find_phrase(&out, &pair.term);
            let spans = text::find_phrase(&out, old);
            for span in spans.into_iter().rev().filter(|s| !good.iter().any(|g| g.overlaps(s))) {
                replace(&mut out, span, &pair.term, kept);
            }
        }
    }
    for name in &vocabulary.products {
        for span in wrong_names(&out, name).into_iter().rev() {
            // The name is exact: its casing never follows the place.
            if !is_kept(&out, span, kept) {
                out.replace_range(span.start..span.end, name);
            }
        }
    }
    out
}

fn is_kept(text: &str, span: Span, kept: &[String]) -> bool {
    let phrases = kept.iter().flat_map(|k| text::find_phrase(text, k));
    phrases.chain(text::links(text)).any(|s| s.overlaps(&span))
}

fn replace(text: &mut String, span: Span, term: &str, kept: &[String]) {
    if is_kept(text, span, kept) {
        return;
    }
    let capital = span.of(text).chars().next().is_some_and(char::is_uppercase);
    let before = Span::new(0, span.start).of(text).trim_end();
    let first = before.is_empty() || before.ends_with(['.', '!', '?', ':', '\n']);
    let term = if capital && first { text::capitalised(term) } else { term.to_owned() };
    let (start, term) = with_article(text, span.start, &term);
    text.replace_range(start..span.end, &term);
}

/// `a customer` -> `an honoured guest`: the article follows the first letter.
fn with_article(text: &str, start: usize, term: &str) -> (usize, String) {
    let before = Span::new(0, start).of(text);
    let vowel = term.chars().next().is_some_and(|c| matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o'));
    for (article, right) in [("a ", "an "), ("an ", "a "), ("A ", "An "), ("An ", "A ")] {
        let whole = before.strip_suffix(article).is_some_and(|b| !b.ends_with(char::is_alphanumeric));
        let wrong = article.trim().eq_ignore_ascii_case("a") == vowel;
        if whole && wrong {
            return (start - article.len(), format!("{right}{term}"));
        }
    }
    (start, term.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::model::PreferredTerm;

    fn words() -> Vocabulary {
        let pair = |t: &str, o: &str| PreferredTerm { term: t.into(), instead_of: vec![o.into()] };
        Vocabulary {
            preferred: vec![pair("guests", "customers"), pair("invitation", "flyer")],
            banned: Vec::new(),
            products: vec!["LanternLoaf".into()],
        }
    }

    #[test]
    fn words_and_names_become_the_brands_own() {
        let out = polish("Customers love a flyer and the lanternloaf. Our customers do.", &words(), &[]);
        assert_eq!(out, "Guests love an invitation and the LanternLoaf. Our guests do.");
    }

    #[test]
    fn required_phrases_and_links_stay() {
        let kept = vec!["for customers".to_owned()];
        let text = "Only for customers: https://a.example/customers";
        assert_eq!(polish(text, &words(), &kept), text);
    }
}
