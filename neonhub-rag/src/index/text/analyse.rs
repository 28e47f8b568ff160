//! Text to the terms of the index.

use std::collections::BTreeSet;

use rust_stemmers::Stemmer;
use tantivy::tokenizer::{PreTokenizedStream, PreTokenizedString, Token, Tokenizer};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::language::stemmer;

/// Longest term, in bytes; tantivy drops longer ones.
const MAX_TERM_BYTES: usize = 200;
/// Shortest start of a word that is completed.
const LEAST_PREFIX: usize = 2;

/// A text in one form: NFKC, lower case.
fn plain(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkc().flat_map(char::to_lowercase).collect()
}

fn words(plain: &str) -> impl Iterator<Item = &str> {
    plain.unicode_words().filter(|word| word.len() <= MAX_TERM_BYTES)
}

/// The terms of a text in a language.
pub(in crate::index) fn tokens(text: &str, language: &str) -> PreTokenizedString {
    let stemmer = stemmer(language);
    let tokens = words(&plain(text))
        .enumerate()
        .map(|(position, word)| Token { position, text: stemmed(stemmer.as_ref(), word), ..Token::default() })
        .collect();
    PreTokenizedString { text: String::new(), tokens }
}

/// Between the language of a text and the text.
const AFTER_LANGUAGE: char = '\0';

/// A text as [`Words`] takes it.
pub(super) fn with_language(text: &str, language: &str) -> String {
    format!("{language}{AFTER_LANGUAGE}{text}")
}

/// Cuts texts that name their language. So a chunk waits for the thread that indexes it as a text, and not as words, which
/// take ten times as much memory.
#[derive(Clone, Debug)]
pub(super) struct Words;

impl Tokenizer for Words {
    type TokenStream<'a> = PreTokenizedStream;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> PreTokenizedStream {
        let (language, text) = text.split_once(AFTER_LANGUAGE).unwrap_or_default();
        tokens(text, language).into()
    }
}

/// One part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::index) enum Clause {
    /// A word in the forms that the languages of the index give it.
    Word(BTreeSet<String>),
    /// Words in this order, in the forms of each language. A hit must hold it.
    Phrase(BTreeSet<Vec<String>>),
    /// The start of words, and its forms as a word of its own.
    Prefix(String, BTreeSet<String>),
}

/// The languages of an index, for the words of a query: the language of a short query cannot be told, so each word
/// is stemmed by every language that is there.
struct Languages {
    stemmers: Vec<Stemmer>,
    has_unstemmed: bool,
}

impl Languages {
    fn new(languages: &BTreeSet<String>) -> Self {
        let stemmers: Vec<_> = languages.iter().filter_map(|l| stemmer(l)).collect();
        let has_unstemmed = stemmers.is_empty() || languages.iter().any(|l| stemmer(l).is_none());
        Self { stemmers, has_unstemmed }
    }

    /// What `form` makes with each stemmer and, where texts are not stemmed, without.
    fn forms<T: Ord>(&self, form: impl Fn(Option<&Stemmer>) -> T) -> BTreeSet<T> {
        let bare = self.has_unstemmed.then(|| form(None));
        self.stemmers.iter().map(|s| form(Some(s))).chain(bare).collect()
    }

    fn word(&self, word: &str) -> BTreeSet<String> {
        self.forms(|stemmer| stemmed(stemmer, word))
    }
}

fn stemmed(stemmer: Option<&Stemmer>, word: &str) -> String {
    stemmer.map_or_else(|| word.to_owned(), |s| s.stem(word).into_owned())
}

/// The parts of a query: `"words in quotes"` are a phrase, `start*` is a prefix, all else are words. Each word
/// counts once; at most `most` parts are taken.
pub(in crate::index) fn query(text: &str, languages: &BTreeSet<String>, most: usize) -> Vec<Clause> {
    let languages = Languages::new(languages);
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for (part, is_quoted) in parts(text) {
        let part = plain(part);
        if is_quoted {
            if words(&part).next().is_some() {
                let of = |stemmer: Option<&Stemmer>| words(&part).map(|w| stemmed(stemmer, w)).collect();
                out.push(Clause::Phrase(languages.forms(of)));
            }
            continue;
        }
        for piece in part.split_whitespace() {
            let start = piece.strip_suffix('*').and_then(|piece| words(piece).last());
            if let Some(start) = start.filter(|s| s.chars().count() >= LEAST_PREFIX) {
                out.push(Clause::Prefix(start.to_owned(), languages.word(start)));
                continue;
            }
            let new = words(piece).filter(|word| seen.insert((*word).to_owned()));
            out.extend(new.map(|word| Clause::Word(languages.word(word))));
        }
    }
    out.truncate(most);
    out
}

/// True when a query holds a phrase, which every hit must hold.
pub(super) fn has_phrase(text: &str) -> bool {
    parts(text).into_iter().any(|(part, is_quoted)| is_quoted && words(&plain(part)).next().is_some())
}

/// Cuts at quotes. A quote that is never closed counts as blank.
fn parts(text: &str) -> Vec<(&str, bool)> {
    let is_quote = |c: char| matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}');
    let pieces: Vec<&str> = text.split(is_quote).collect();
    let last = pieces.len() - 1;
    pieces.into_iter().enumerate().map(|(n, piece)| (piece, n % 2 == 1 && n < last)).collect()
}
