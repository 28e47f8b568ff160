//! Bytes to text: UTF-8 with or without BOM, UTF-16, and Windows-1252 for whatever is not UTF-8.

use std::io::Read;

use encoding_rs::{CoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};
use neonhub_core::{Error, ErrorKind, Result, Retry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const CHUNK_BYTES: usize = 64 * 1024;

/// The encoding of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encoding {
    /// UTF-8, with or without BOM.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, little end first.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, big end first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Windows-1252, of which Latin-1 text is a part.
    #[serde(rename = "windows-1252")]
    Windows1252,
    /// UTF-8 with single bytes of Windows-1252 in between.
    #[serde(rename = "mixed")]
    Mixed,
}

/// Turns a byte source into UTF-8 text, chunk by chunk.
pub(super) struct Decoder<R> {
    source: R,
    /// Bytes read and not yet decoded: at most an incomplete character.
    raw: Vec<u8>,
    state: State,
    is_started: bool,
    is_at_end: bool,
}

enum State {
    Utf8 { saw_utf8: bool, saw_bytes: bool },
    Utf16(Box<encoding_rs::Decoder>, Encoding),
}

impl<R> std::fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("is_at_end", &self.is_at_end).finish_non_exhaustive()
    }
}

impl<R: Read> Decoder<R> {
    pub(super) fn new(source: R) -> Self {
        let state = State::Utf8 { saw_utf8: false, saw_bytes: false };
        Decoder { source, raw: Vec::new(), state, is_started: false, is_at_end: false }
    }

    pub(super) fn encoding(&self) -> Encoding {
        match &self.state {
            State::Utf16(_, encoding) => *encoding,
            State::Utf8 { saw_bytes: false, .. } => Encoding::Utf8,
            State::Utf8 { saw_utf8: false, .. } => Encoding::Windows1252,
            State::Utf8 { .. } => Encoding::Mixed,
        }
    }

    /// Appends more text to `out`; false at the end of the source.
    pub(super) fn more(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        self.read_chunk()?;
        if !self.is_started {
            // A mark needs up to three bytes, the look for UTF-16 without one a few more.
            while !self.is_at_end && self.raw.len() < 64 {
                self.read_chunk()?;
            }
            self.start();
        }
        match &mut self.state {
            State::Utf8 { saw_utf8, saw_bytes } => {
                let used = utf8(&self.raw, self.is_at_end, out, saw_utf8, saw_bytes);
                self.raw.drain(..used);
            }
            State::Utf16(decoder, _) => {
                utf16(decoder, &self.raw, self.is_at_end, out)?;
                self.raw.clear();
            }
        }
        Ok(true)
    }

    fn read_chunk(&mut self) -> Result<()> {
        let have = self.raw.len();
        self.raw.resize(have + CHUNK_BYTES, 0);
        let room = self.raw.get_mut(have..).unwrap_or_default();
        let read = loop {
            match self.source.read(room) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let got = read.map_err(|e| {
            Error::new(ErrorKind::Unavailable, super::OPERATION, "the contacts file cannot be read")
                .with_context("io", e.kind())
                .with_retry(Retry::Backoff)
                .with_source(e)
        })?;
        self.raw.truncate(have + got);
        self.is_at_end = got == 0;
        Ok(())
    }

    fn start(&mut self) {
        self.is_started = true;
        let (mark, encoding) = match self.raw.as_slice() {
            [0xef, 0xbb, 0xbf, ..] => (3, Encoding::Utf8),
            [0xff, 0xfe, ..] => (2, Encoding::Utf16Le),
            [0xfe, 0xff, ..] => (2, Encoding::Utf16Be),
            // A header is ASCII: in UTF-16 every second byte of it is zero.
            [a, 0, b, 0, ..] if *a != 0 && *b != 0 => (0, Encoding::Utf16Le),
            [0, a, 0, b, ..] if *a != 0 && *b != 0 => (0, Encoding::Utf16Be),
            _ => (0, Encoding::Utf8),
        };
        self.raw.drain(..mark);
        self.state = match encoding {
            Encoding::Utf16Le => {
                State::Utf16(Box::new(UTF_16LE.new_decoder_without_bom_handling()), encoding)
            }
            Encoding::Utf16Be => {
                State::Utf16(Box::new(UTF_16BE.new_decoder_without_bom_handling()), encoding)
            }
            _ => return,
        };
    }
}

/// Copies what is UTF-8 and reads every other byte as Windows-1252. A file in Windows-1252 needs no guess from
/// its first bytes this way: accented letters may come late, and hardly any word of it is UTF-8 by chance.
fn utf8(raw: &[u8], is_last: bool, out: &mut Vec<u8>, saw_utf8: &mut bool, saw_bytes: &mut bool) -> usize {
    let mut used = 0;
    for chunk in raw.utf8_chunks() {
        let valid = chunk.valid();
        *saw_utf8 |= !valid.is_ascii();
        out.extend_from_slice(valid.as_bytes());
        used += valid.len();
        let bad = chunk.invalid();
        let is_cut = !is_last && used + bad.len() == raw.len() && is_cut_short(bad);
        if bad.is_empty() || is_cut {
            continue;
        }
        *saw_bytes = true;
        let (text, _) = WINDOWS_1252.decode_without_bom_handling(bad);
        out.extend_from_slice(text.as_bytes());
        used += bad.len();
    }
    used
}

/// True for the start of a UTF-8 character that the next chunk may complete.
fn is_cut_short(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}

fn utf16(decoder: &mut encoding_rs::Decoder, mut raw: &[u8], is_last: bool, out: &mut Vec<u8>) -> Result<()> {
    loop {
        let have = out.len();
        let room = decoder.max_utf8_buffer_length(raw.len()).unwrap_or(CHUNK_BYTES).max(16);
        out.resize(have + room, 0);
        let (result, read, written, _) =
            decoder.decode_to_utf8(raw, out.get_mut(have..).unwrap_or_default(), is_last);
        out.truncate(have + written);
        raw = raw.get(read..).unwrap_or_default();
        match result {
            CoderResult::InputEmpty => return Ok(()),
            CoderResult::OutputFull if read == 0 && written == 0 => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    super::OPERATION,
                    "the UTF-16 text cannot be decoded",
                ));
            }
            CoderResult::OutputFull => {}
        }
    }
}
