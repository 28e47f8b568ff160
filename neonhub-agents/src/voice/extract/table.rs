//! Tables of a guide: `Say | Instead of`, `Do | Don't`, `On-brand | Off-brand`.

use super::block::plain;
use super::section::{self, Section};
use super::{Found, imperative, quoted, terms};
use crate::voice::model::{Pattern, RuleKind, Severity};
use crate::voice::text::Span;

/// What the columns of the current table hold; read from its first row.
#[derive(Default)]
pub(super) struct Columns(Option<Vec<Section>>);

impl Columns {
    /// Reads one row; the first row of a table names its columns.
    pub(super) fn read(&mut self, cells: &[Span], text: &str) -> Vec<Found> {
        let Some(kinds) = &self.0 else {
            self.0 = Some(cells.iter().map(|c| column(&plain(c.of(text)))).collect());
            return Vec::new();
        };
        let at = |kind: Section| kinds.iter().position(|k| *k == kind).and_then(|i| cells.get(i));
        let pairs = [
            (Section::Preferred, Section::Banned),
            (Section::Do, Section::Dont),
            (Section::OnBrand, Section::OffBrand),
        ];
        for (yes, no) in pairs {
            if let (Some(yes_cell), Some(no_cell)) = (at(yes), at(no)) {
                return pair(yes, *yes_cell, *no_cell, text);
            }
        }
        let single = kinds.iter().zip(cells).filter(|(k, _)| !matches!(k, Section::Other | Section::Tone));
        single.flat_map(|(k, c)| section::read(*k, true, c.of(text), c.start)).collect()
    }
}

fn column(heading: &str) -> Section {
    let lower = heading.to_lowercase().replace('\u{2019}', "'");
    match lower.trim() {
        "say" | "use" | "we say" | "we use" | "write" | "yes" | "say this" | "preferred" | "prefer"
        | "term" | "this" => Section::Preferred,
        "not" | "no" | "instead of" | "don't say" | "we don't say" | "never" | "avoid" | "rather than"
        | "not this" | "we never say" | "don't use" => Section::Banned,
        "do" | "dos" | "do's" => Section::Do,
        "don't" | "don'ts" | "do not" => Section::Dont,
        "sounds like us" | "like this" | "on-brand" | "good" => Section::OnBrand,
        "doesn't sound like us" | "not like this" | "off-brand" | "bad" | "not us" => Section::OffBrand,
        "name" | "product" | "product name" => Section::Products,
        other
            if ["instead of", "not ", "never ", "don't ", "do not ", "avoid", "rather than"]
                .iter()
                .any(|p| other.starts_with(p)) =>
        {
            Section::Banned
        }
        other if ["say ", "use ", "write ", "we say ", "prefer"].iter().any(|p| other.starts_with(p)) => {
            Section::Preferred
        }
        _ => section::classify(heading),
    }
}

/// Short cells are words, long ones are examples; under "Do" and "Don't" they are rules.
fn pair(yes: Section, yes_cell: Span, no_cell: Span, text: &str) -> Vec<Found> {
    let (wanted, unwanted) = (quoted::unquote(yes_cell.of(text)), quoted::unquote(no_cell.of(text)));
    let row = Span::new(yes_cell.start.min(no_cell.start), yes_cell.end.max(no_cell.end));
    let long = wanted.split_whitespace().count().max(unwanted.split_whitespace().count()) > 4;
    match yes {
        Section::Do => {
            let dont = imperative::pattern(no_cell.of(text), true);
            vec![
                Found::new(RuleKind::Do, wanted, Severity::Should, yes_cell),
                Found::new(RuleKind::Dont, unwanted, Severity::Should, no_cell).checked(dont),
            ]
        }
        Section::Preferred if !long => {
            let wanted = terms::head(&wanted).split(['/', ',']).next().unwrap_or("").trim().to_owned();
            let olds = terms::list(&unwanted, no_cell.start);
            olds.into_iter()
                .map(|(old, _)| {
                    Found::new(RuleKind::Preferred, wanted.clone(), Severity::Should, row)
                        .checked(Some(Pattern::Term(old)))
                })
                .collect()
        }
        _ => vec![
            Found::new(RuleKind::OnBrand, wanted, Severity::Info, yes_cell),
            Found::new(RuleKind::OffBrand, unwanted, Severity::Info, no_cell),
        ],
    }
}
