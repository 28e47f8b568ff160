//! Text to rows of cells (RFC 4180), able to go back: a quote that is never closed costs its own line, not the
//! good rows behind it, which is why this is not the reader of the `csv` crate.

use std::io::Read;
use std::ops::Range;

use neonhub_core::Result;

use super::decode::{Decoder, Encoding};

/// Largest row read whole, in bytes of UTF-8: room for a cell of 1 MB beside the others.
pub const MAX_ROW_BYTES: usize = 4 * 1024 * 1024;
/// Text looked at before the delimiter is chosen.
const PEEK_BYTES: usize = 64 * 1024;
/// Text behind the cursor that is kept before the buffer is moved.
const KEEP_BYTES: usize = 256 * 1024;

/// One row of the file.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// Its cells.
    Cells(Cells<'a>),
    /// A row that has no cells to speak of.
    Broken {
        /// Its line in the file, from 1.
        line: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The cells of a row.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    text: &'a str,
    ends: &'a [usize],
    line: u64,
}

impl<'a> Cells<'a> {
    /// The line the row begins at, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&'a str> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..end)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a str> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// An empty line is no row.
    pub(super) fn is_blank_line(&self) -> bool {
        self.len() <= 1 && self.text.trim().is_empty()
    }
}

/// Reads rows from decoded text.
#[derive(Debug)]
pub(super) struct Records<R> {
    decoder: Decoder<R>,
    buffer: Vec<u8>,
    at: usize,
    /// The line of `at`, from 1.
    line: u64,
    is_at_end: bool,
    delimiter: u8,
    cells: String,
    ends: Vec<usize>,
}

/// What the scan of one row found.
enum Scan {
    /// The row ends before this place; the next one begins there, `lines` further down.
    Done { next: usize, lines: u64 },
    /// The text ends inside the row.
    More,
    /// The text ends inside quotes, or the row is too long.
    Broken(&'static str),
}

impl<R: Read> Records<R> {
    pub(super) fn new(decoder: Decoder<R>) -> Self {
        Records {
            decoder,
            buffer: Vec::with_capacity(PEEK_BYTES * 2),
            at: 0,
            line: 1,
            is_at_end: false,
            delimiter: b',',
            cells: String::new(),
            ends: Vec::new(),
        }
    }

    pub(super) fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = delimiter;
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.decoder.encoding()
    }

    /// The first text of the file.
    pub(super) fn peek(&mut self) -> Result<&str> {
        while !self.is_at_end && self.buffer.len() < PEEK_BYTES {
            self.fill()?;
        }
        Ok(valid(self.buffer.get(..PEEK_BYTES).unwrap_or(&self.buffer)))
    }

    fn fill(&mut self) -> Result<()> {
        if self.at > KEEP_BYTES {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.is_at_end = !self.decoder.more(&mut self.buffer)?;
        Ok(())
    }

    /// The next row; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>> {
        loop {
            if self.at >= self.buffer.len() {
                if self.is_at_end {
                    return Ok(None);
                }
                self.fill()?;
                continue;
            }
            match self.scan() {
                Scan::More => self.fill()?,
                Scan::Done { next, lines } => {
                    let line = self.line;
                    self.at = next;
                    self.line += lines;
                    return Ok(Some(Row::Cells(Cells { text: &self.cells, ends: &self.ends, line })));
                }
                Scan::Broken(reason) => {
                    let line = self.line;
                    self.skip_line()?;
                    return Ok(Some(Row::Broken { line, reason }));
                }
            }
        }
    }

    /// Passes over the rest of the line, however long, without keeping it.
    fn skip_line(&mut self) -> Result<()> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|b| *b == b'\n' || *b == b'\r') {
                let is_pair = rest.get(end) == Some(&b'\r') && rest.get(end + 1) == Some(&b'\n');
                self.at += end + 1 + usize::from(is_pair);
                self.line += 1;
                return Ok(());
            }
            self.buffer.clear();
            self.at = 0;
            if self.is_at_end {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Reads the cells of the row at the cursor.
    fn scan(&mut self) -> Scan {
        self.cells.clear();
        self.ends.clear();
        let text = self.buffer.get(self.at..).unwrap_or_default();
        let mut cursor = Cursor { text, at: 0, lines: 0, delimiter: self.delimiter, is_last: self.is_at_end };
        loop {
            let cell = cursor.cell(&mut self.cells);
            self.ends.push(self.cells.len());
            match cell {
                Cell::Next => {}
                // A quote that was left open swallowed lines up to the next quote: only its own line is bad.
                Cell::Torn => {
                    return Scan::Broken("begins a quote that is not closed before the next one begins");
                }
                Cell::Last => return Scan::Done { next: self.at + cursor.at, lines: cursor.lines },
                Cell::Cut if cursor.text.len() > MAX_ROW_BYTES => {
                    return Scan::Broken("is larger than 4 MB, or begins a quote that is never closed");
                }
                Cell::Cut if !self.is_at_end => return Scan::More,
                Cell::Cut => return Scan::Broken("begins a quote that is never closed"),
            }
        }
    }
}

/// How a cell ended.
enum Cell {
    /// With a delimiter.
    Next,
    /// With the end of the line or of the file.
    Last,
    /// With the text.
    Cut,
    /// With text right behind a closing quote, lines after the opening one.
    Torn,
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    lines: u64,
    delimiter: u8,
    is_last: bool,
}

impl Cursor<'_> {
    fn cell(&mut self, out: &mut String) -> Cell {
        if self.text.get(self.at) == Some(&b'"') {
            self.at += 1;
            let lines = self.lines;
            if !self.quoted(out) {
                return Cell::Cut;
            }
            let goes_on =
                self.text.get(self.at).is_some_and(|b| !self.is_stop(*b) && !b.is_ascii_whitespace());
            if goes_on && self.lines > lines {
                return Cell::Torn;
            }
        }
        self.plain(out)
    }

    fn is_stop(&self, b: u8) -> bool {
        b == self.delimiter || b == b'\n' || b == b'\r'
    }

    /// Up to the closing quote; false when the text ends before it.
    fn quoted(&mut self, out: &mut String) -> bool {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(quote) = rest.iter().position(|b| *b == b'"') else { return false };
            push(out, rest, 0..quote);
            self.lines += line_ends(rest.get(..quote).unwrap_or_default());
            self.at += quote + 1;
            match self.text.get(self.at) {
                Some(b'"') => {
                    out.push('"');
                    self.at += 1;
                }
                // Whether it closes shows with the next byte.
                None if !self.is_last => return false,
                _ => return true,
            }
        }
    }

    /// Up to the delimiter or the end of the line. Quotes inside mean themselves.
    fn plain(&mut self, out: &mut String) -> Cell {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|b| self.is_stop(*b)) else {
            if !self.is_last {
                return Cell::Cut;
            }
            push(out, rest, 0..rest.len());
            self.at = self.text.len();
            self.lines += 1;
            return Cell::Last;
        };
        push(out, rest, 0..end);
        self.at += end + 1;
        match rest.get(end) {
            Some(b) if *b == self.delimiter => Cell::Next,
            Some(b'\r') => match rest.get(end + 1) {
                None if !self.is_last => Cell::Cut,
                next => {
                    self.at += usize::from(next == Some(&b'\n'));
                    self.lines += 1;
                    Cell::Last
                }
            },
            _ => {
                self.lines += 1;
                Cell::Last
            }
        }
    }
}

/// Line ends inside a quoted cell.
fn line_ends(text: &[u8]) -> u64 {
    text.iter().filter(|b| **b == b'\n').count() as u64
}

fn push(out: &mut String, text: &[u8], range: Range<usize>) {
    // The decoder wrote UTF-8 and the cuts are at ASCII bytes, so that nothing is lost here.
    out.push_str(valid(text.get(range).unwrap_or_default()));
}

fn valid(text: &[u8]) -> &str {
    match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(e) => text.get(..e.valid_up_to()).and_then(|t| std::str::from_utf8(t).ok()).unwrap_or_default(),
    }
}
