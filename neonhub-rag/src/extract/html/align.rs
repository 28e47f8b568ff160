//! Finds the place of a text node in the source, since the parser keeps no positions.
//!
//! Text nodes come in document order, so a cursor moves forward and each node is looked for after the one
//! before it. A node that cannot be found (all of it written as entities) has no place.

use std::ops::Range;

use super::super::decode::FileCursor;

/// How far ahead one node is looked for, in bytes: longer than any sane script or style element between two
/// visible words, short enough that a page of misses stays linear.
const WINDOW: usize = 256 * 1024;
/// Length of the text that is looked for, in bytes.
const NEEDLE: usize = 40;

/// Moves through the source.
#[derive(Clone, Debug)]
pub(super) struct Aligner<'a> {
    source: &'a str,
    at: usize,
    is_html: bool,
    file: FileCursor<'a>,
}

impl<'a> Aligner<'a> {
    pub(super) fn html(source: &'a str, file: FileCursor<'a>) -> Self {
        Self { source, at: 0, is_html: true, file }
    }

    pub(super) fn markdown(source: &'a str, at: usize, file: FileCursor<'a>) -> Self {
        Self { source, at, is_html: false, file }
    }

    /// Place of a text node in the decoded source.
    pub(super) fn locate(&mut self, text: &str) -> Option<Range<usize>> {
        let text = text.trim();
        let needle = needle(text)?;
        let skipped = needle.start;
        let needle = text.get(needle)?;
        let start = self.find(needle)?.saturating_sub(if self.is_html { 0 } else { skipped.min(self.at) });
        let rest = self.source.get(start..)?;
        let end = if rest.starts_with(text) {
            start + text.len()
        } else if self.is_html {
            start + rest.find('<').map_or(rest.len(), |n| rest.get(..n).unwrap_or_default().trim_end().len())
        } else {
            start + needle.len()
        };
        self.at = end;
        Some(start..end)
    }

    /// File range of a range of the decoded source.
    pub(super) fn file_range(&mut self, range: Range<usize>) -> Option<Range<usize>> {
        self.file.range(range)
    }

    fn find(&self, needle: &str) -> Option<usize> {
        let mut limit = (self.at + WINDOW).min(self.source.len());
        while !self.source.is_char_boundary(limit) {
            limit -= 1;
        }
        let mut from = self.at;
        loop {
            let hit = from + self.source.get(from..limit)?.find(needle)?;
            if !self.is_html || self.is_text(hit) {
                return Some(hit);
            }
            from = hit + needle.chars().next()?.len_utf8();
        }
    }

    /// True when the byte is outside of tags: the last angle bracket before it closes one.
    fn is_text(&self, hit: usize) -> bool {
        let before = self.source.get(self.at..hit).unwrap_or_default();
        before.rfind(['<', '>']).is_none_or(|n| before.as_bytes().get(n) == Some(&b'>'))
    }
}

/// The first run of characters that stand in the source as they are: no entities, no line ends.
fn needle(text: &str) -> Option<Range<usize>> {
    let is_plain = |c: char| {
        c.is_alphanumeric()
            || matches!(c, ' ' | ',' | '.' | ':' | ';' | '-' | '!' | '?' | '(' | ')' | '/' | '%')
    };
    let start = text.find(|c: char| c.is_alphanumeric())?;
    let run = text.get(start..)?;
    let mut end = run.find(|c| !is_plain(c)).unwrap_or(run.len()).min(NEEDLE);
    while !run.is_char_boundary(end) {
        end -= 1;
    }
    let run = run.get(..end)?.trim_end();
    (!run.is_empty()).then_some(start..start + run.len())
}
