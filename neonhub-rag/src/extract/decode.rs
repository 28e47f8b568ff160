//! Bytes to characters, with a way back from a character to its byte in the file.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use neonhub_core::{Error, ErrorKind, Result};

use super::OP;

/// A decoded file.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) text: String,
    /// Name of the encoding when it was guessed.
    pub(crate) guessed: Option<&'static str>,
    width: Width,
    bom_bytes: usize,
}

/// How many file bytes one character took.
#[derive(Clone, Copy, Debug)]
enum Width {
    Utf8,
    Utf16,
    Single,
    Unknown,
}

/// Decodes a text file: byte order mark, else UTF-8, else `declared`, else a guess.
///
/// # Errors
/// `Corrupted` when the bytes are no text at all.
pub(crate) fn decode(bytes: &[u8], declared: Option<&str>) -> Result<Decoded> {
    if let Some((encoding, bom_bytes)) = Encoding::for_bom(bytes) {
        return Ok(with_encoding(bytes, encoding, bom_bytes, false));
    }
    let head = bytes.get(..bytes.len().min(8192)).unwrap_or_default();
    if head.contains(&0) {
        return Err(Error::new(
            ErrorKind::Corrupted,
            OP,
            "the file holds zero bytes, so it is no text: expected UTF-8, UTF-16 with a byte order mark or Latin-1",
        ));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Decoded { text: text.to_owned(), guessed: None, width: Width::Utf8, bom_bytes: 0 });
    }
    if let Some(encoding) = declared.and_then(|label| Encoding::for_label(label.as_bytes()))
        && encoding != UTF_8
    {
        return Ok(with_encoding(bytes, encoding, 0, false));
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    Ok(with_encoding(bytes, detector.guess(None, Utf8Detection::Deny), 0, true))
}

fn with_encoding(bytes: &[u8], encoding: &'static Encoding, bom_bytes: usize, is_guess: bool) -> Decoded {
    let body = bytes.get(bom_bytes..).unwrap_or_default();
    let (text, had_errors) = encoding.decode_without_bom_handling(body);
    let width = if had_errors && !encoding.is_single_byte() {
        Width::Unknown
    } else if encoding == UTF_8 {
        Width::Utf8
    } else if encoding == UTF_16BE || encoding == UTF_16LE {
        Width::Utf16
    } else if encoding.is_single_byte() {
        Width::Single
    } else {
        Width::Unknown
    };
    Decoded { text: text.into_owned(), guessed: is_guess.then(|| encoding.name()), width, bom_bytes }
}

impl Decoded {
    /// A cursor that maps rising text offsets to file offsets.
    pub(crate) fn cursor(&self) -> FileCursor<'_> {
        FileCursor { decoded: self, text_at: 0, file_at: self.bom_bytes }
    }
}

/// Maps offsets of the decoded text to the file. Offsets should rise; a step back starts over.
#[derive(Clone, Debug)]
pub(crate) struct FileCursor<'a> {
    decoded: &'a Decoded,
    text_at: usize,
    file_at: usize,
}

impl FileCursor<'_> {
    /// File range of a range of the decoded text; `None` for encodings of varying width.
    pub(crate) fn range(&mut self, text: std::ops::Range<usize>) -> Option<std::ops::Range<usize>> {
        Some(self.offset(text.start)?..self.offset(text.end)?)
    }

    fn offset(&mut self, at: usize) -> Option<usize> {
        match self.decoded.width {
            Width::Utf8 => return Some(self.decoded.bom_bytes + at),
            Width::Unknown => return None,
            Width::Utf16 | Width::Single => {}
        }
        if at < self.text_at {
            (self.text_at, self.file_at) = (0, self.decoded.bom_bytes);
        }
        let step = self.decoded.text.get(self.text_at..at)?;
        self.file_at += match self.decoded.width {
            Width::Utf16 => step.encode_utf16().count() * 2,
            _ => step.chars().count(),
        };
        self.text_at = at;
        Some(self.file_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_maps_back_to_file_bytes() {
        let utf16: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain("aé😀z".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let latin = b"caf\xe9 cr\xe8me, d\xe9j\xe0 vu, \x80 5";
        for bytes in [&utf16[..], &latin[..], "\u{feff}aé😀z".as_bytes()] {
            let decoded = decode(bytes, None).unwrap();
            let mut cursor = decoded.cursor();
            let (at, last) = decoded.text.char_indices().last().unwrap();
            let range = cursor.range(at..decoded.text.len()).unwrap();
            assert_eq!(range.end, bytes.len());
            assert!(bytes[range.start..].contains(&(last as u8)));
        }
        assert_eq!(decode(latin, None).unwrap().guessed, Some("windows-1252"));
        assert!(decode(latin, None).unwrap().text.contains('€'));
    }

    #[test]
    fn binary_is_refused() {
        assert_eq!(decode(b"ab\0cd", None).unwrap_err().kind(), ErrorKind::Corrupted);
    }
}
