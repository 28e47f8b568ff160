//! Where a text may be cut, by kind, and what stands above a place.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::extract::{BlockKind, Extracted};

/// Kinds of breaks, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// Before a heading, before or after a table or code, or at the end.
    Section,
    /// Between paragraphs.
    Paragraph,
    /// Between list items.
    Item,
    /// Between sentences.
    Sentence,
    /// Between words.
    Word,
    /// Between rows of a table that is larger than a chunk may be.
    Row,
}

impl Break {
    /// Whether the next chunk repeats the end of this one.
    pub(super) fn overlaps(self) -> bool {
        !matches!(self, Break::Section | Break::Row)
    }
}

/// The breaks of one text. Every list is sorted; a break is the first byte of what follows it.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    /// Starts of sections: headings that do not follow another heading.
    sections: Vec<usize>,
    paragraphs: Vec<usize>,
    items: Vec<usize>,
    sentences: Vec<usize>,
    /// Tables and code with the white space after them.
    solids: Vec<Range<usize>>,
    /// Header rows of tables, by the start of the table.
    headers: Vec<(usize, Range<usize>)>,
    headings: Vec<Heading>,
}

#[derive(Debug)]
struct Heading {
    start: usize,
    level: u8,
    text: Range<usize>,
}

impl Breaks {
    pub(super) fn new(document: &Extracted) -> Self {
        let mut out = Self::default();
        let blocks = &document.blocks;
        for (n, block) in blocks.iter().enumerate() {
            let before = n.checked_sub(1).and_then(|n| blocks.get(n)).map(|b| b.kind);
            let start = if n == 0 { 0 } else { block.byte_start };
            let after = blocks.get(n + 1).map_or(document.text.len(), |b| b.byte_start);
            out.block(document, block.kind, before, start..after, block.byte_start..block.byte_end);
        }
        if blocks.is_empty() {
            out.add_sentences(&document.text, 0);
        }
        out
    }

    fn block(
        &mut self,
        document: &Extracted,
        kind: BlockKind,
        before: Option<BlockKind>,
        whole: Range<usize>,
        text: Range<usize>,
    ) {
        let is_heading = |kind: Option<BlockKind>| matches!(kind, Some(BlockKind::Heading { .. }));
        let source = document.text.as_str();
        match kind {
            BlockKind::Heading { level } => {
                if !is_heading(before) {
                    self.sections.push(whole.start);
                }
                self.headings.push(Heading { start: whole.start, level, text });
                return;
            }
            BlockKind::Table { has_header } => {
                let header = source.get(text.clone()).and_then(|t| t.find('\n'));
                if let (true, Some(end)) = (has_header, header) {
                    self.headers.push((whole.start, text.start..text.start + end));
                }
                self.solids.push(whole);
                return;
            }
            BlockKind::Code => {
                self.solids.push(whole);
                return;
            }
            // No break right below a heading: it would leave the heading alone.
            BlockKind::ListItem { .. } if matches!(before, Some(BlockKind::ListItem { .. })) => {
                self.items.push(whole.start);
            }
            _ if !is_heading(before) => self.paragraphs.push(whole.start),
            _ => {}
        }
        self.add_sentences(source.get(text.clone()).unwrap_or_default(), text.start);
    }

    fn add_sentences(&mut self, text: &str, start: usize) {
        let bounds = text.split_sentence_bound_indices().map(|(at, _)| start + at).filter(|at| *at > start);
        self.sentences.extend(bounds);
    }

    /// The table or code block that this byte stands in.
    pub(super) fn solid_at(&self, at: usize) -> Option<&Range<usize>> {
        let after = self.solids.partition_point(|s| s.start <= at);
        self.solids.get(after.checked_sub(1)?).filter(|s| at < s.end)
    }

    /// The first table or code block that starts at or after this byte.
    pub(super) fn next_solid(&self, at: usize) -> Option<&Range<usize>> {
        self.solids.get(self.solids.partition_point(|s| s.start < at))
    }

    pub(super) fn has_solid_after(&self, at: usize) -> bool {
        self.next_solid(at).is_some()
    }

    /// Where to end before the first section that does not fit whole up to `limit`.
    ///
    /// A section of which the start lies in `least..=limit` is followed by another start or the end of the text;
    /// the last start whose section runs over the limit is where the chunk ends.
    pub(super) fn section_end(&self, least: usize, limit: usize) -> Option<usize> {
        let after = self.sections.partition_point(|s| *s <= limit);
        self.sections.get(after.checked_sub(1)?).copied().filter(|s| *s > least)
    }

    /// Start of the section that ends at or holds this byte.
    pub(super) fn section_start(&self, at: usize) -> usize {
        let after = self.sections.partition_point(|s| *s < at);
        let section = after.checked_sub(1).and_then(|n| self.sections.get(n)).copied().unwrap_or(0);
        let solids = self.solids.partition_point(|s| s.end <= at);
        let solid = solids.checked_sub(1).and_then(|n| self.solids.get(n)).map_or(0, |s| s.end);
        section.max(solid)
    }

    /// The last break of this kind in `(least, limit]`.
    pub(super) fn last(&self, kind: Break, least: usize, limit: usize) -> Option<usize> {
        let list = match kind {
            Break::Paragraph => &self.paragraphs,
            Break::Item => &self.items,
            _ => &self.sentences,
        };
        let after = list.partition_point(|s| *s <= limit);
        list.get(after.checked_sub(1)?).copied().filter(|s| *s > least)
    }

    /// The first start of a sentence, item or paragraph in `[from, to)`.
    pub(super) fn first_sentence(&self, from: usize, to: usize) -> Option<usize> {
        [&self.sentences, &self.items, &self.paragraphs]
            .into_iter()
            .filter_map(|list| list.get(list.partition_point(|s| *s < from)).copied())
            .filter(|s| *s < to)
            .min()
    }

    /// The last word break in `(least, limit]`, else the last character break.
    pub(super) fn word(&self, source: &str, least: usize, limit: usize) -> usize {
        let piece = source.get(least..limit).unwrap_or_default();
        let is_at_word = source.get(limit..).is_none_or(|t| t.is_empty())
            || piece.ends_with(char::is_whitespace)
            || source.get(limit..).is_some_and(|t| t.starts_with(char::is_whitespace));
        if is_at_word && piece.ends_with(char::is_whitespace) {
            return limit;
        }
        if let Some((at, c)) = piece.char_indices().rev().find(|(_, c)| c.is_whitespace()) {
            let at = least + at + c.len_utf8();
            if at > least && piece.get(..at - least).is_some_and(|p| !p.trim().is_empty()) {
                return at;
            }
        }
        // A word longer than a chunk is cut between characters that belong together.
        let last = piece.grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
        if last > 0 && !is_at_word { least + last } else { limit }
    }

    /// The first word start in `[from, to]`.
    pub(super) fn word_start(&self, source: &str, from: usize, to: usize) -> usize {
        let is_start = from == 0 || source.get(..from).is_some_and(|t| t.ends_with(char::is_whitespace));
        let piece = source.get(from..to).unwrap_or_default();
        let at = if is_start { 0 } else { piece.find(char::is_whitespace).unwrap_or(piece.len()) };
        let rest = piece.get(at..).unwrap_or_default();
        from + at + (rest.len() - rest.trim_start().len())
    }

    /// Header row of the table that this byte continues.
    pub(super) fn header_of(&self, at: usize) -> Option<Range<usize>> {
        let solid = self.solid_at(at)?;
        let (_, header) = self.headers.iter().find(|(start, _)| *start == solid.start)?;
        (at > header.end).then(|| header.clone())
    }

    /// Headings above a byte, outermost first. A chunk that starts with headings counts the ones at its start.
    pub(super) fn heading_path(&self, source: &str, at: usize, end: usize) -> Vec<String> {
        let mut path: Vec<&Heading> = Vec::new();
        let above = self.headings.partition_point(|h| h.start <= at);
        // Headings that follow each other without text between them belong to the start as well.
        let mut last_end = at;
        for (n, heading) in self.headings.iter().enumerate() {
            let is_glued = heading.start < end
                && source.get(last_end..heading.start).is_some_and(|gap| n >= above && gap.trim().is_empty());
            if n >= above && !is_glued {
                break;
            }
            path.retain(|h| h.level < heading.level);
            path.push(heading);
            last_end = heading.text.end;
        }
        path.into_iter().map(|h| source.get(h.text.clone()).unwrap_or_default().replace('\n', " ")).collect()
    }
}
