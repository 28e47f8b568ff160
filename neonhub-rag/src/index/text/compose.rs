//! The parts of a query as one query of tantivy.

use std::collections::BTreeSet;

use tantivy::query::{BooleanQuery, BoostQuery, DisjunctionMaxQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::analyse::Clause;

/// Most words that a prefix is completed to, per field.
const MAX_COMPLETIONS: usize = 50;

/// Each part scores by its best form; its scores in title, headings and text add up.
pub(super) fn query(
    searcher: &Searcher,
    clauses: &[Clause],
    fields: &[(Field, f32); 3],
) -> tantivy::Result<BooleanQuery> {
    let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    for clause in clauses {
        parts.push(match clause {
            Clause::Word(forms) => {
                (Occur::Should, best(forms.iter().map(|form| everywhere(fields, |field| word(field, form)))))
            }
            Clause::Phrase(forms) => {
                (Occur::Must, best(forms.iter().map(|form| everywhere(fields, |field| phrase(field, form)))))
            }
            Clause::Prefix(start, forms) => {
                let mut words = forms.clone();
                // The index holds stems: `rückg` must find `ruckgab`.
                for start in forms.iter().chain([start]) {
                    for (field, _) in fields {
                        words.extend(completions(searcher, *field, start)?);
                    }
                }
                (Occur::Should, best(words.iter().map(|form| everywhere(fields, |field| word(field, form)))))
            }
        });
    }
    Ok(BooleanQuery::new(parts))
}

fn best(forms: impl Iterator<Item = Box<dyn Query>>) -> Box<dyn Query> {
    Box::new(DisjunctionMaxQuery::new(forms.collect()))
}

/// The same in each field, by its weight. A field without weight is left out.
fn everywhere(fields: &[(Field, f32); 3], of: impl Fn(Field) -> Box<dyn Query>) -> Box<dyn Query> {
    let fields = fields.iter().filter(|(_, boost)| *boost > 0.0);
    let parts = fields.map(|(field, boost)| Box::new(BoostQuery::new(of(*field), *boost)) as Box<dyn Query>);
    Box::new(BooleanQuery::union(parts.collect()))
}

fn word(field: Field, form: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, form), IndexRecordOption::WithFreqs))
}

fn phrase(field: Field, words: &[String]) -> Box<dyn Query> {
    match words {
        [only] => word(field, only),
        words => Box::new(PhraseQuery::new(words.iter().map(|w| Term::from_field_text(field, w)).collect())),
    }
}

/// The words of a field that begin with `start`, in order.
fn completions(searcher: &Searcher, field: Field, start: &str) -> tantivy::Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    for segment in searcher.segment_readers() {
        let inverted = segment.inverted_index(field)?;
        let mut terms = inverted.terms().range().ge(start.as_bytes()).into_stream()?;
        let mut taken = 0;
        while taken < MAX_COMPLETIONS && terms.advance() && terms.key().starts_with(start.as_bytes()) {
            out.insert(String::from_utf8_lossy(terms.key()).into_owned());
            taken += 1;
        }
    }
    // Each segment gives its first ones, so these are the first ones of all.
    Ok(out.into_iter().take(MAX_COMPLETIONS).collect())
}
