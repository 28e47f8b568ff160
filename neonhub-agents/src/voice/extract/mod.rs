//! From a brand's own documents to a proposed voice: rules with the place each was read, vocabulary, taglines,
//! examples, measured style and tone. A proposal only: every rule is data that a person may edit.

mod block;
mod imperative;
mod quoted;
mod section;
mod table;
mod terms;
mod tone;

use std::collections::BTreeMap;

use super::measure;
use super::model::{Exemplar, Pattern, PreferredTerm, Rule, RuleKind, RuleSource, Severity, Voice};
use super::score;
use super::text::{self, Span};
use crate::guardrail;
use block::{Block, Kind};
use section::Section;

pub use block::{OutlineBlock, OutlineKind};

/// A document of the brand: its extracted text and, when known, its chunks as (id, byte range).
#[derive(Clone, Debug, Default)]
pub struct Guide {
    /// Id of the document.
    pub document: String,
    /// Extracted text; Markdown marks may stand in it.
    pub text: String,
    /// Chunks of that text.
    pub chunks: Vec<(String, Span)>,
    /// Blocks of that text as its format gave them; empty = read from the text itself.
    pub outline: Vec<OutlineBlock>,
}

impl Guide {
    /// A document as knowledge extraction gives it. Hidden text is not part of it.
    #[must_use]
    pub fn of_extracted(document: impl Into<String>, extracted: &neonhub_rag::Extracted) -> Self {
        let outline: Vec<OutlineBlock> =
            extracted.blocks.iter().filter_map(super::library::outline_of).collect();
        // A PDF often has no headings of its own; then the shape of its lines tells more than its blocks.
        let has_headings = outline.iter().any(|b| matches!(b.kind, OutlineKind::Heading(_)));
        let outline = if has_headings { outline } else { Vec::new() };
        Guide { document: document.into(), text: extracted.text.clone(), chunks: Vec::new(), outline }
    }
}

/// A passage that was not read as voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Document.
    pub document: String,
    /// Where.
    pub span: Span,
    /// Why, as a stable word.
    pub reason: &'static str,
}

/// What the documents say about a brand's voice.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    /// The voice.
    pub voice: Voice,
    /// Its rules, in reading order.
    pub rules: Vec<Rule>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// Reads the voice of `brand` from its documents. Rules by pattern only: no model, no chance, same in, same out.
#[must_use]
pub fn extract(brand: &str, guides: &[Guide], locale: &str) -> Proposal {
    let mut reader = Reader::default();
    for guide in guides {
        reader.read(guide);
    }
    reader.finish(brand, locale)
}

#[derive(Default)]
struct Reader {
    rules: Vec<Rule>,
    skipped: Vec<Skipped>,
    headings: Vec<String>,
    prose: Vec<String>,
    audience: Option<String>,
    votes: tone::Votes,
}

/// What a reading of one block hands over: rules without their document.
pub(super) struct Found {
    kind: RuleKind,
    text: String,
    pattern: Option<Pattern>,
    severity: Severity,
    span: Span,
}

impl Found {
    pub(super) fn new(kind: RuleKind, text: impl Into<String>, severity: Severity, span: Span) -> Self {
        Found { kind, text: text.into(), pattern: None, severity, span }
    }

    pub(super) fn checked(mut self, pattern: Option<Pattern>) -> Self {
        self.pattern = pattern;
        self
    }
}

impl Reader {
    fn read(&mut self, guide: &Guide) {
        let mut columns = table::Columns::default();
        let blocks = if guide.outline.is_empty() {
            block::blocks(&guide.text)
        } else {
            block::outlined(&guide.text, &guide.outline)
        };
        for block in blocks {
            let raw = block.span.of(&guide.text);
            if guardrail::is_hostile(raw) {
                self.skipped.push(Skipped {
                    document: guide.document.clone(),
                    span: block.span,
                    reason: "instruction",
                });
                continue;
            }
            let found = match &block.kind {
                Kind::Heading => {
                    self.headings.push(block::plain(raw));
                    columns = table::Columns::default();
                    Vec::new()
                }
                Kind::Row(cells) => columns.read(cells, &guide.text),
                Kind::Item | Kind::Paragraph => self.read_prose(&block, raw),
            };
            for f in found {
                self.keep(guide, f);
            }
        }
    }

    fn read_prose(&mut self, block: &Block, raw: &str) -> Vec<Found> {
        let section = section::of(&block.path);
        let is_item = block.kind == Kind::Item;
        if section == Section::Tone || section == Section::Other {
            self.votes.read(raw);
        }
        if section == Section::Audience && self.audience.is_none() {
            self.audience = Some(block::plain(raw));
        }
        let found = section::read(section, is_item, raw, block.span.start);
        let is_copy = matches!(section, Section::About | Section::OnBrand | Section::Taglines);
        if found.is_empty() && !is_copy && raw.split_whitespace().count() >= 6 && section == Section::Other {
            self.prose.push(block::plain(raw));
        }
        found
    }

    fn keep(&mut self, guide: &Guide, found: Found) {
        let text = block::plain(&found.text);
        let same = |r: &Rule| {
            r.kind == found.kind && r.text.eq_ignore_ascii_case(&text) && r.pattern == found.pattern
        };
        if text.trim().is_empty() || self.rules.iter().any(same) {
            return;
        }
        let within =
            |(_, span): &&(String, Span)| span.start <= found.span.start && found.span.start < span.end;
        let chunk = guide.chunks.iter().find(within).map(|(id, _)| id.clone());
        let source = RuleSource { document: guide.document.clone(), chunk, span: found.span };
        self.rules.push(Rule {
            kind: found.kind,
            text,
            pattern: found.pattern,
            severity: found.severity,
            source,
        });
    }

    fn of(&self, kind: RuleKind) -> Vec<String> {
        self.rules.iter().filter(|r| r.kind == kind).map(|r| r.text.clone()).collect()
    }

    fn finish(mut self, brand: &str, locale: &str) -> Proposal {
        self.drop_contradictions();
        let mut voice = Voice { brand: brand.to_owned(), ..Voice::default() };
        voice.vocabulary.preferred = self.preferred();
        voice.vocabulary.banned = self.of(RuleKind::Banned);
        voice.vocabulary.products = self.of(RuleKind::Product);
        voice.dos = self.of(RuleKind::Do);
        voice.donts = self.of(RuleKind::Dont);
        voice.taglines = self.of(RuleKind::Tagline);
        voice.key_phrases = self.of(RuleKind::KeyPhrase);
        voice.audience = self.audience.clone().unwrap_or_default();
        let example = |kind, on_brand| self.of(kind).into_iter().map(move |text| Exemplar { text, on_brand });
        voice.exemplars =
            example(RuleKind::OnBrand, true).chain(example(RuleKind::OffBrand, false)).collect();
        let mut copy: Vec<&str> =
            voice.exemplars.iter().filter(|e| e.on_brand).map(|e| e.text.as_str()).collect();
        if copy.is_empty() {
            copy = self.prose.iter().map(String::as_str).collect();
        }
        let headings: Vec<&str> = self.headings.iter().map(String::as_str).collect();
        voice.style = measure::style_of(&copy, &headings, locale);
        voice.tone = self.votes.blend(&copy);
        voice.calibration = score::calibrate(&voice);
        Proposal { voice, rules: self.rules, skipped: self.skipped }
    }

    /// A word that the brand also prefers, or that is a name of its own, is not banned.
    fn drop_contradictions(&mut self) {
        let wanted: Vec<String> = self
            .rules
            .iter()
            .filter(|r| matches!(r.kind, RuleKind::Product))
            .map(|r| r.text.to_lowercase())
            .collect();
        self.rules.retain(|r| r.kind != RuleKind::Banned || !wanted.contains(&r.text.to_lowercase()));
    }

    fn preferred(&self) -> Vec<PreferredTerm> {
        let mut terms: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for rule in self.rules.iter().filter(|r| r.kind == RuleKind::Preferred) {
            let slot = terms.entry(rule.text.clone()).or_default();
            if let Some(Pattern::Term(old)) = &rule.pattern
                && !slot.contains(old)
                && !text::has_phrase(&rule.text, old)
            {
                slot.push(old.clone());
            }
        }
        terms.into_iter().map(|(term, instead_of)| PreferredTerm { term, instead_of }).collect()
    }
}

/// True when a section under this heading speaks to writers: rules, words, tone, examples, audience.
pub(super) fn is_for_writers(heading: &str) -> bool {
    !matches!(section::classify(heading), Section::About | Section::Products | Section::Other)
}

#[cfg(test)]
mod tests;
