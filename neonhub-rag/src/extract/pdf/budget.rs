//! How much the streams of one file may unpack to. A few kilobytes can stand for gigabytes, so every stream that is
//! unpacked takes from one budget, those too that hold the objects of the file and are read while it is opened.

use std::cell::Cell;

use lopdf::{DecompressError, Object, ObjectId, Stream};
use neonhub_core::{Error, ErrorKind};

use super::super::OP;

/// Most bytes that one stream may unpack to (64 MiB); the content of one page is far smaller.
pub(super) const MAX_STREAM_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes that one stream of objects, or one cross-reference stream, may unpack to (16 MiB).
// Producers put some hundred objects into one; a cross-reference stream takes some 7 bytes per object.
pub(super) const MAX_OBJECT_STREAM_BYTES: usize = 16 * 1024 * 1024;
/// Most words in all streams of objects: each takes up to some 100 bytes once it is read.
const MAX_WORDS: usize = 8_000_000;

/// What is left for the streams of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    bytes: usize,
    words: usize,
    /// The limit that a stream broke.
    broken: Option<&'static str>,
}

impl Budget {
    /// So many bytes in all.
    pub(super) const fn of(bytes: usize) -> Self {
        Self { bytes, words: MAX_WORDS, broken: None }
    }

    /// Unpacks a stream of at most `most` bytes; `None` when it is damaged, or breaks a limit.
    pub(super) fn unpack(&mut self, stream: &Stream, most: usize) -> Option<Vec<u8>> {
        self.take(most, |limit| stream.get_plain_content_with_limit(limit))
    }

    /// Charges what `unpack` gives, for which it gets the room there is.
    pub(super) fn take(
        &mut self,
        most: usize,
        unpack: impl FnOnce(usize) -> lopdf::Result<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        if self.broken.is_some() {
            return None;
        }
        let limit = most.min(self.bytes);
        match unpack(limit) {
            Ok(content) => {
                self.bytes = self.bytes.saturating_sub(content.len());
                Some(content)
            }
            Err(lopdf::Error::Decompress(DecompressError::MemoryLimitExceeded { .. })) => {
                self.broken = Some(match most {
                    _ if limit < most => "200 MiB in all",
                    MAX_STREAM_BYTES => "64 MiB in one stream",
                    MAX_OBJECT_STREAM_BYTES => "16 MiB in one stream of objects",
                    _ => "8 MiB in the map of a font",
                });
                None
            }
            Err(_) => None,
        }
    }

    /// The error of a broken limit.
    pub(super) fn fault(&self) -> Option<Error> {
        self.broken.map(bomb)
    }

    fn weigh(&mut self, stream: &Stream) {
        let Some(content) = self.unpack(stream, MAX_OBJECT_STREAM_BYTES) else { return };
        match self.words.checked_sub(words(&content)) {
            Some(left) => self.words = left,
            None => self.broken = Some("8 million words in streams of objects"),
        }
    }
}

/// The error of a file that unpacks to more than a limit.
pub(super) fn bomb(limit: &'static str) -> Error {
    let message = format!("the PDF unpacks to more than {limit}: print it to a new PDF, or split it");
    Error::new(ErrorKind::Blocked, OP, message)
}

fn words(content: &[u8]) -> usize {
    let mut is_in_word = false;
    let mut count = 0;
    for byte in content {
        let opens = matches!(byte, b'[' | b'<' | b'(' | b'/');
        count += usize::from(opens || (!is_in_word && !byte.is_ascii_whitespace()));
        is_in_word = !byte.is_ascii_whitespace();
    }
    count
}

thread_local! {
    // The reader takes a plain function and calls it in the thread that opens the file.
    static OPENING: Cell<Budget> = const { Cell::new(Budget::of(0)) };
}

/// Gives a budget to [`weigh`] for the file that this thread opens next.
pub(super) fn open(budget: Budget) {
    OPENING.set(budget);
}

/// What [`weigh`] left.
pub(super) fn opened() -> Budget {
    OPENING.get()
}

/// Called by the reader for every object, before it unpacks one that holds others. Nothing is read once a limit broke.
pub(super) fn weigh(id: (u32, u16), object: &mut Object) -> Option<(ObjectId, Object)> {
    let mut budget = OPENING.get();
    if let Ok(stream) = object.as_stream()
        && stream.dict.has(b"First")
    {
        budget.weigh(stream);
        OPENING.set(budget);
    }
    budget.broken.is_none().then(|| (id, object.clone()))
}
