//! Cuts a text into chunks for search: near 500 tokens, never over 1 000, at the best break there is.
//!
//! Rules: a chunk ends before a section, table or block of code that would not fit whole; tables and code stay
//! whole up to the maximum and are then split by row, with the header repeated in [`Chunk::context`]. Prose
//! breaks at a paragraph, else a list item, a sentence, a word. Inside prose a chunk repeats up to 75 tokens of
//! the one before it; after a heading, table or code nothing is repeated, because the text before is about
//! something else. Chunks cover the whole text without a gap, and the text of a chunk is exactly
//! `source[byte_start..byte_end]`.

mod breaks;
mod tokens;

use std::ops::Range;

use neonhub_core::{Faults, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::embed::Embedder;
use crate::extract::Extracted;
use breaks::{Break, Breaks};
use tokens::Counter;
pub use tokens::count_tokens;

/// Sizes of chunks, in tokens: those of the space's embedder where it tells them, else by [`count_tokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChunkOptions {
    /// Size that prose is cut to. 20 to `max`. Default: 500.
    pub target: u32,
    /// Largest chunk, reached by tables and code only. Up to 8 000. Default: 1 000.
    pub max: u32,
    /// What a chunk of prose repeats of the one before it. Up to half of `target`. Default: 75.
    pub overlap: u32,
}

impl Default for ChunkOptions {
    fn default() -> Self {
        Self { target: 500, max: 1_000, overlap: 75 }
    }
}

impl ChunkOptions {
    /// Checks the sizes against each other.
    ///
    /// # Errors
    /// `InvalidInput` listing every fault under `chunking`.
    pub fn check(&self, operation: &'static str) -> Result<()> {
        let mut faults = Faults::new();
        faults.check((20..=8_000).contains(&self.max), "chunking.max", "expected 20 to 8000 tokens");
        faults.check(
            (20..=self.max).contains(&self.target),
            "chunking.target",
            "expected 20 tokens up to chunking.max",
        );
        faults.check(
            self.overlap <= self.target / 2,
            "chunking.overlap",
            "expected at most half of chunking.target",
        );
        faults.into_result(operation)
    }
}

/// One piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Place in the document, from 0.
    pub position: u32,
    /// First byte in the text.
    pub byte_start: usize,
    /// Byte after the last one in the text.
    pub byte_end: usize,
    /// Page of its first own byte, from 1.
    pub page: Option<u32>,
    /// Headings above its first own byte, outermost first; a heading that the chunk starts with is the last.
    pub heading_path: Vec<String>,
    /// Header of the table that this chunk continues; empty otherwise.
    pub context: String,
    /// Size in tokens, by the same counter that cut it.
    pub tokens: u32,
    /// SHA-256 over what is embedded ([`Chunk::embedded_text`]), as hex: equal text need not be embedded again.
    pub hash: String,
}

impl Chunk {
    /// The text of the chunk.
    #[must_use]
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.byte_start..self.byte_end).unwrap_or_default()
    }

    /// What is embedded and searched: title and heading path, table header, then the text.
    #[must_use]
    pub fn embedded_text(&self, title: Option<&str>, source: &str) -> String {
        embedded_text(title, &self.heading_path, &self.context, self.text(source))
    }
}

/// What is embedded for a chunk with these parts.
#[must_use]
pub fn embedded_text(title: Option<&str>, heading_path: &[String], context: &str, text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 128);
    let title = title.filter(|t| heading_path.first().is_none_or(|h| h != t));
    for part in title.into_iter().chain(heading_path.iter().map(String::as_str)) {
        if !out.is_empty() {
            out.push_str(" > ");
        }
        out.push_str(part);
    }
    for part in [context, text.trim()] {
        if !out.is_empty() && !part.is_empty() {
            out.push('\n');
        }
        out.push_str(part);
    }
    out
}

/// Cuts the text of a document. An empty or blank text has no chunks. Tokens are counted by `approx-1`
/// ([`count_tokens`]); [`chunk_for`] counts them as an embedder does.
///
/// # Errors
/// `InvalidInput` when the sizes contradict each other.
///
/// # Example
/// ```
/// use neonhub_rag::{ChunkOptions, chunk, extract};
/// let page = extract(b"# Voice\n\nWarm and plain.\n\n# Words\n\nWe say people.", "guide.md")?;
/// let chunks = chunk(&page, ChunkOptions::default())?;
/// assert_eq!(chunks.len(), 1);
/// assert_eq!(chunks[0].text(&page.text), page.text);
/// # Ok::<(), neonhub_core::Error>(())
/// ```
pub fn chunk(document: &Extracted, options: ChunkOptions) -> Result<Vec<Chunk>> {
    cut(document, options, None)
}

/// Cuts the text of a document by the tokens of an embedder, where it tells them; else as [`chunk()`] does.
///
/// # Errors
/// As [`chunk()`], and those of the tokenizer.
pub fn chunk_for(document: &Extracted, options: ChunkOptions, embedder: &dyn Embedder) -> Result<Vec<Chunk>> {
    cut(document, options, embedder.token_spans(&document.text)?)
}

fn cut(document: &Extracted, options: ChunkOptions, tokens: Option<Vec<Range<usize>>>) -> Result<Vec<Chunk>> {
    options.check("documents.chunk")?;
    if document.text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let counter = tokens.map_or_else(|| Counter::new(&document.text), Counter::by);
    Ok(Cutter::new(document, options, counter).run())
}

struct Cutter<'a> {
    document: &'a Extracted,
    source: &'a str,
    counter: Counter,
    breaks: Breaks,
    options: ChunkOptions,
    chunks: Vec<Chunk>,
}

impl<'a> Cutter<'a> {
    fn new(document: &'a Extracted, options: ChunkOptions, counter: Counter) -> Self {
        let (source, breaks) = (document.text.as_str(), Breaks::new(document));
        Self { document, source, counter, breaks, options, chunks: Vec::new() }
    }

    fn run(mut self) -> Vec<Chunk> {
        // `own` is the first byte not covered yet, `start` lies before it by the overlap.
        let (mut own, mut start) = (0, 0);
        while own < self.source.len() {
            let (end, how) = self.end(start, own);
            self.push(start, own, end);
            start = if how.overlaps() { self.overlap_start(start, end) } else { end };
            own = end;
        }
        self.chunks
    }

    /// Where the chunk that starts here ends, and at which kind of break.
    fn end(&self, start: usize, own: usize) -> (usize, Break) {
        let (target, max) = (self.options.target, self.options.max);
        if let Some(block) = self.breaks.solid_at(own) {
            return self.solid_end(start, block.end);
        }
        if self.counter.count(start, self.source.len()) <= target && !self.breaks.has_solid_after(own) {
            return (self.source.len(), Break::Section);
        }
        let limit = self.counter.furthest(self.source, start, target);
        // A chunk below this size is not ended early, so that a heading keeps its first lines.
        let small = self.counter.furthest(self.source, start, target / 5);
        if let Some(next) = self.breaks.next_solid(own).filter(|s| s.start <= limit) {
            let whole = self.counter.count(start, next.end);
            if whole <= target || (next.start <= small && whole <= max) {
                return self.beyond_solid(start, next.end, limit);
            }
            if next.start <= small {
                return self.solid_end(start, next.end);
            }
            return (self.before_solid(small.max(own), next.start), Break::Section);
        }
        self.prose_end(start, own, limit, small)
    }

    /// The end of a chunk that holds a whole table or code block and may go on after it.
    fn beyond_solid(&self, start: usize, solid_end: usize, limit: usize) -> (usize, Break) {
        if solid_end >= limit || solid_end >= self.source.len() {
            return (solid_end, Break::Section);
        }
        let (end, how) = self.end(start, solid_end);
        if end > limit { (solid_end, Break::Section) } else { (end, how) }
    }

    /// Before a table or code block, and before the heading and the few words that lead to it.
    fn before_solid(&self, least: usize, solid: usize) -> usize {
        let section = self.breaks.section_end(least, solid);
        section.filter(|s| self.counter.count(*s, solid) <= self.options.target / 5).unwrap_or(solid)
    }

    fn prose_end(&self, start: usize, own: usize, limit: usize, small: usize) -> (usize, Break) {
        if limit >= self.source.len() {
            return (self.source.len(), Break::Section);
        }
        if let Some(at) = self.breaks.section_end(small.max(own), limit) {
            return (at, Break::Section);
        }
        // Paragraphs and items end a chunk once it is half full, sentences once it is a third.
        let half = self.counter.furthest(self.source, start, self.options.target / 2).max(own);
        let third = self.counter.furthest(self.source, start, self.options.target / 3).max(own);
        for (how, least) in [(Break::Paragraph, half), (Break::Item, half), (Break::Sentence, third)] {
            if let Some(at) = self.breaks.last(how, least, limit) {
                return (at, how);
            }
        }
        (self.breaks.word(self.source, own, limit), Break::Word)
    }

    /// Inside a table or code block: whole if it fits the maximum, else as many rows as fit.
    fn solid_end(&self, start: usize, end: usize) -> (usize, Break) {
        if self.counter.count(start, end) <= self.options.max {
            return (end, Break::Section);
        }
        let limit = self.counter.furthest(self.source, start, self.options.max);
        let row = self.source.get(start..limit).and_then(|t| t.rfind('\n')).map(|n| start + n + 1);
        match row.filter(|r| *r > start) {
            Some(row) => (row, Break::Row),
            None => (self.breaks.word(self.source, start, limit), Break::Row),
        }
    }

    /// Start of the next chunk, so that it repeats whole sentences, else whole words.
    fn overlap_start(&self, start: usize, end: usize) -> usize {
        let overlap = self.options.overlap;
        if overlap == 0 || end >= self.source.len() {
            return end;
        }
        let next = tokens::next_boundary(self.source, start);
        let earliest = self.counter.earliest(self.source, end, overlap).max(next);
        // The overlap stays inside its section.
        let earliest = earliest.max(self.breaks.section_start(end));
        let sentence = self.breaks.first_sentence(earliest, end);
        match sentence.filter(|s| self.counter.count(*s, end) * 3 >= overlap) {
            Some(at) => at,
            None => self.breaks.word_start(self.source, earliest, end),
        }
    }

    fn push(&mut self, start: usize, own: usize, end: usize) {
        let block = self.document.block_at(own);
        let context =
            self.breaks.header_of(own).map(|h| self.source.get(h).unwrap_or_default().trim().to_owned());
        let mut chunk = Chunk {
            position: u32::try_from(self.chunks.len()).unwrap_or(u32::MAX),
            byte_start: start,
            byte_end: end,
            page: block.and_then(|b| b.origin.page),
            heading_path: self.breaks.heading_path(self.source, own, end),
            context: context.unwrap_or_default(),
            tokens: self.counter.count(start, end),
            hash: String::new(),
        };
        let embedded = chunk.embedded_text(self.document.title.as_deref(), self.source);
        chunk.hash = hex(&Sha256::digest(embedded.as_bytes()));
        self.chunks.push(chunk);
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        for nibble in [b >> 4, b & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        out
    })
}

#[cfg(test)]
mod tests;
