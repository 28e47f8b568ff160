//! JSON values, one per line, byte by byte.

use super::sse::too_large;
use crate::Result;

/// Cuts bytes into lines, wherever the pieces break. Empty lines are left out.
#[derive(Debug)]
pub(crate) struct NdjsonParser {
    line: Vec<u8>,
    max: usize,
}

impl NdjsonParser {
    /// A parser that refuses lines above `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        NdjsonParser { line: Vec::new(), max }
    }

    /// Takes the next bytes and adds the lines that they complete.
    ///
    /// # Errors
    /// `Corrupted` (code `too_large`) for a line above the limit.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<Vec<u8>>) -> Result<()> {
        for &byte in bytes {
            if byte == b'\n' {
                out.extend(self.end());
                continue;
            }
            self.line.push(byte);
            if self.line.len() > self.max {
                return Err(too_large(self.max));
            }
        }
        Ok(())
    }

    /// What stands after the last line end, if it is not empty: a server may leave the last one out.
    pub(crate) fn end(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let is_empty = line.iter().all(u8::is_ascii_whitespace);
        (!is_empty).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_split_gives_the_same_lines() {
        let text = "{\"a\":\"é😀\"}\r\n\n  \n{\"b\":1}\n{\"c\":2}".as_bytes();
        let lines = |pieces: Vec<&[u8]>| {
            let mut parser = NdjsonParser::new(100);
            let mut out = Vec::new();
            for piece in pieces {
                parser.push(piece, &mut out).unwrap();
            }
            out.extend(parser.end());
            out
        };
        let whole = lines(vec![text]);
        assert_eq!(whole.len(), 3);
        assert_eq!(lines(text.chunks(1).collect()), whole);
        for at in 0..text.len() {
            assert_eq!(lines(vec![&text[..at], &text[at..]]), whole);
        }
        assert!(NdjsonParser::new(3).push(b"12345", &mut Vec::new()).is_err());
    }
}
