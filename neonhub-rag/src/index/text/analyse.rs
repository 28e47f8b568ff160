//! Text to the terms of the index.

use std::collections::BTreeSet;

use tantivy::tokenizer::{PreTokenizedString, Token};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::language::stemmer;

/// Longest term, in bytes; tantivy drops longer ones.
const MAX_TERM_BYTES: usize = 200;

/// Words in one form: NFKC, lower case.
fn words(text: &str) -> Vec<String> {
    let text: String = text.nfkc().flat_map(char::to_lowercase).collect();
    text.unicode_words().filter(|w| w.len() <= MAX_TERM_BYTES).map(str::to_owned).collect()
}

/// The terms of a text in a language.
pub(super) fn tokens(text: &str, language: &str) -> PreTokenizedString {
    let stemmer = stemmer(language);
    let tokens = words(text)
        .into_iter()
        .enumerate()
        .map(|(position, word)| {
            let text = stemmer.as_ref().map_or_else(|| word.clone(), |s| s.stem(&word).into_owned());
            Token { position, text, ..Token::default() }
        })
        .collect();
    PreTokenizedString { text: String::new(), tokens }
}

/// The different words of a query, each in the forms that the languages of the index give it.
///
/// The language of a short query cannot be told, so each word is stemmed by every language that is there.
pub(super) fn query(text: &str, languages: &BTreeSet<String>, most: usize) -> Vec<BTreeSet<String>> {
    let stemmers: Vec<_> = languages.iter().filter_map(|l| stemmer(l)).collect();
    let has_unstemmed = languages.iter().any(|l| stemmer(l).is_none());
    let mut seen = BTreeSet::new();
    words(text)
        .into_iter()
        .filter(|word| seen.insert(word.clone()))
        .take(most)
        .map(|word| {
            let mut forms: BTreeSet<String> = stemmers.iter().map(|s| s.stem(&word).into_owned()).collect();
            if has_unstemmed || forms.is_empty() {
                forms.insert(word);
            }
            forms
        })
        .collect()
}
