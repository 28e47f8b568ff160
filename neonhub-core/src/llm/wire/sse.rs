//! Server-sent events, byte by byte (WHATWG HTML, section 9.2).

use crate::{Error, ErrorKind, Result};

/// One event: its name, `message` when it had none, and its data lines joined by line feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// What `event:` said; empty when it said nothing.
    pub name: String,
    /// The data.
    pub data: Vec<u8>,
}

/// Cuts bytes into events, wherever the pieces break: inside a line end, a field name or a UTF-8 code point.
#[derive(Debug)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_cr: bool,
    is_first: bool,
    max: usize,
}

impl SseParser {
    /// A parser that refuses events above `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        SseParser {
            line: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            is_first: true,
            max,
        }
    }

    /// Takes the next bytes and adds the events that they complete.
    ///
    /// # Errors
    /// `Corrupted` (code `too_large`) for an event above the limit.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<SseEvent>) -> Result<()> {
        for &byte in bytes {
            match byte {
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    self.end_line(out);
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(byte);
                    if self.line.len() + self.data.len() > self.max {
                        return Err(too_large(self.max));
                    }
                }
            }
        }
        Ok(())
    }

    fn end_line(&mut self, out: &mut Vec<SseEvent>) {
        let whole = std::mem::take(&mut self.line);
        let mut line = whole.as_slice();
        if std::mem::take(&mut self.is_first) {
            // A byte order mark may stand before the first line.
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                let name = String::from_utf8_lossy(&std::mem::take(&mut self.name)).into_owned();
                out.push(SseEvent { name, data: std::mem::take(&mut self.data) });
            } else {
                self.name.clear();
            }
        } else {
            let (field, value) = match line.iter().position(|b| *b == b':') {
                Some(at) => line.split_at_checked(at).unwrap_or((line, b"")),
                None => (line, b"".as_slice()),
            };
            let value = value.strip_prefix(b":").unwrap_or(value);
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match field {
                b"data" => {
                    if self.has_data {
                        self.data.push(b'\n');
                    }
                    self.has_data = true;
                    self.data.extend_from_slice(value);
                }
                b"event" => self.name = value.to_vec(),
                // `id`, `retry`, and comments, whose field is empty.
                _ => {}
            }
        }
        // Keep the room of the line for the next one.
        self.line = whole;
        self.line.clear();
    }
}

pub(super) fn too_large(max: usize) -> Error {
    Error::new(ErrorKind::Corrupted, "llm.call", "one event of the answer is larger than the limit")
        .with_code("too_large")
        .with_context("max_event_bytes", max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = SseParser::new(1 << 20);
        let mut out = Vec::new();
        for piece in pieces {
            parser.push(piece, &mut out).unwrap();
        }
        out.into_iter().map(|e| (e.name, String::from_utf8(e.data).unwrap())).collect()
    }

    fn pair(name: &str, data: &str) -> (String, String) {
        (name.into(), data.into())
    }

    #[test]
    fn fields_comments_and_line_ends_are_read() {
        let text = "\u{feff}: hello\r\nevent: a\r\ndata: one\rdata:two\n\n\nevent: gone\n\ndata\n\nid: 7\nretry: 5\ndata:  x\n\nevent: late\ndata: never ended\n";
        let events = parse(&[text.as_bytes()]);
        assert_eq!(events, [pair("a", "one\ntwo"), pair("", ""), pair("", " x")]);
    }

    #[test]
    fn an_event_above_the_limit_is_refused() {
        let mut parser = SseParser::new(10);
        let error = parser.push(b"data: 123456789", &mut Vec::new()).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupted, "too_large"));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            text in "(data: ?[a-zé€😀]{0,6}|event: [a-z]{1,3}|: x|\r|\n|\r\n|\n\n){0,24}",
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let singles: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(parse(&pieces), parse(&[bytes]));
            prop_assert_eq!(parse(&singles), parse(&[bytes]));
        }
    }
}
