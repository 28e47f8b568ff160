//! Queries over words in the language of the server.

use std::collections::BTreeSet;

use super::super::text::analyse::{Clause, query};
use super::super::text::{FieldBoosts, MAX_QUERY_WORDS};
use super::wire::mark;

/// A query in `tsquery` text, part by part.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// What tells the space.
    pub(super) mark: String,
    /// What every hit must hold.
    pub(super) required: Option<String>,
    /// Each clause in any of its forms.
    pub(super) clauses: Vec<String>,
    /// Each form, and the number of its clause from 1.
    pub(super) forms: Vec<String>,
    pub(super) clause_of: Vec<i32>,
    /// Weights of title, headings and text.
    pub(super) weights: Vec<f32>,
}

impl Asked {
    /// The parts of a query; `None` for one without words.
    pub(super) fn of(
        text: &str,
        languages: &BTreeSet<String>,
        space: &str,
        boosts: FieldBoosts,
    ) -> Option<Self> {
        let FieldBoosts { title, headings, body } = boosts;
        let fields = fields(boosts);
        let mut out =
            Self { mark: lexeme(&mark(space), ""), weights: vec![title, headings, body], ..Self::default() };
        let mut required = Vec::new();
        for (number, clause) in (1..).zip(query(text, languages, MAX_QUERY_WORDS)) {
            let forms = forms(&clause, &fields);
            let any = format!("({})", forms.join(" | "));
            if matches!(clause, Clause::Phrase(_)) {
                required.push(any.clone());
            }
            out.clauses.push(any);
            out.clause_of.extend(forms.iter().map(|_| number));
            out.forms.extend(forms);
        }
        out.required = (!required.is_empty()).then(|| required.join(" & "));
        let counts_any = title + headings + body > 0.0;
        (counts_any && !out.clauses.is_empty()).then_some(out)
    }
}

/// The labels of the fields that count; empty when all do.
fn fields(boosts: FieldBoosts) -> String {
    let labels = [(boosts.title, 'A'), (boosts.headings, 'B'), (boosts.body, 'D')];
    if labels.iter().all(|(boost, _)| *boost > 0.0) {
        return String::new();
    }
    labels.iter().filter(|(boost, _)| *boost > 0.0).map(|(_, label)| label).collect()
}

fn forms(clause: &Clause, fields: &str) -> Vec<String> {
    match clause {
        Clause::Word(forms) => forms.iter().map(|form| lexeme(form, fields)).collect(),
        Clause::Phrase(forms) => forms.iter().map(|words| phrase(words, fields)).collect(),
        Clause::Prefix(start, forms) => {
            // The index holds stems: the start of a word may be longer than what is left of it.
            let starts: BTreeSet<&String> = forms.iter().chain([start]).collect();
            starts.into_iter().map(|start| lexeme(start, &format!("*{fields}"))).collect()
        }
    }
}

fn phrase(words: &[String], fields: &str) -> String {
    let words: Vec<String> = words.iter().map(|word| lexeme(word, fields)).collect();
    format!("({})", words.join(" <-> "))
}

/// A word, quoted, with what it is limited to.
fn lexeme(word: &str, limits: &str) -> String {
    let mut out = String::with_capacity(word.len() + 4);
    out.push('\'');
    for c in word.chars() {
        if matches!(c, '\'' | '\\') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
    if !limits.is_empty() {
        out.push(':');
        out.push_str(limits);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str, boosts: FieldBoosts) -> Option<Asked> {
        Asked::of(text, &["en".to_owned(), "de".to_owned()].into(), "s", boosts)
    }

    #[test]
    fn words_phrases_and_starts_become_clauses() {
        let found = asked("prices \"plain words\" war*", FieldBoosts::default()).unwrap();
        assert_eq!(found.clauses[0], "('pric' | 'price')");
        assert_eq!(found.required.as_deref(), Some("(('plain' <-> 'word'))"));
        assert_eq!(found.clauses[2], "('war':*)");
        assert_eq!(found.clause_of, [1, 1, 2, 3]);
        assert_eq!(found.mark, "'#s'");
        assert_eq!(found.weights, [1.3, 1.5, 1.0]);
    }

    #[test]
    fn quotes_cannot_leave_a_word_and_fields_without_weight_are_left_out() {
        assert_eq!(lexeme(r"o'neil\x", ""), r"'o''neil\\x'");
        let found = asked("it's", FieldBoosts { title: 0.0, headings: 1.0, body: 2.0 }).unwrap();
        assert!(found.forms.iter().all(|form| form.ends_with("':BD")), "{found:?}");
        assert!(asked("?!", FieldBoosts::default()).is_none());
        assert!(asked("x", FieldBoosts { title: 0.0, headings: 0.0, body: 0.0 }).is_none());
    }
}
