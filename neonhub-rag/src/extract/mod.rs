//! Text out of documents: PDF, DOCX, HTML, Markdown, CSV and plain text.
//!
//! [`extract`] turns the bytes of one file into one text with typed blocks, each of which points back to a
//! page or a byte range of the file. Text that a reader of the document would not see is never mixed in; it is
//! kept apart in [`Extracted::hidden`]. Nothing the document refers to is fetched.

mod build;
mod csv;
mod decode;
#[cfg(feature = "extract")]
mod docx;
mod format;
mod front_matter;
#[cfg(feature = "extract")]
mod html;
mod markdown;
mod model;
mod ocr;
#[cfg(feature = "extract")]
mod pdf;
mod text;

pub use format::Format;
pub use model::{Block, BlockKind, Extracted, HiddenReason, HiddenText, Link, Origin, Warning, WarningCode};
pub(crate) use ocr::recognise;
pub use ocr::{Ocr, OcrPage};

use std::panic::{AssertUnwindSafe, catch_unwind};

use neonhub_core::{Error, ErrorKind, Result};

/// The operation word of every error of this module.
pub(crate) const OP: &str = "documents.extract";

/// Largest file, in bytes (100 MiB).
pub const MAX_FILE_BYTES: usize = 100 * 1024 * 1024;
/// Most pages of one document.
pub const MAX_PAGES: usize = 5_000;
/// Most characters of one document's text.
pub const MAX_CHARS: usize = 10_000_000;
/// Most bytes that a compressed part may unpack to (200 MiB).
#[cfg(feature = "extract")]
pub(crate) const MAX_UNPACKED_BYTES: usize = 200 * 1024 * 1024;

/// Extracts the text of one file.
///
/// `name_or_mime` is a file name (`guide.pdf`), a bare extension (`pdf`) or a MIME type; the content decides
/// where it contradicts nothing but the name is unknown. Cost: one pass over the file, memory about three
/// times its text.
///
/// # Errors
/// - `InvalidInput`: the file is empty, or over 100 MiB, 5 000 pages or 10 million characters.
/// - `Unsupported`: an unknown format, an encrypted file, or a format this build leaves out.
/// - `Corrupted`: a truncated or broken file; the message says what is wrong.
///
/// # Example
/// ```
/// let page = neonhub_rag::extract(b"# Voice\n\nWarm and plain.", "guide.md")?;
/// assert_eq!(page.title.as_deref(), Some("Voice"));
/// assert_eq!(page.text, "Voice\n\nWarm and plain.");
/// # Ok::<(), neonhub_core::Error>(())
/// ```
pub fn extract(bytes: &[u8], name_or_mime: &str) -> Result<Extracted> {
    if bytes.is_empty() {
        return Err(Error::invalid(OP, "bytes", "the file is empty (0 bytes): upload it again"));
    }
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Error::invalid(OP, "bytes", "expected at most 100 MiB: split the file")
            .with_context("size_bytes", bytes.len()));
    }
    let format = Format::detect(bytes, name_or_mime)?;
    // Parsers of foreign formats are fed hostile bytes; a panic in one of them must not end the host.
    let extracted = catch_unwind(AssertUnwindSafe(|| run(format, bytes))).unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Corrupted, OP, "the file is damaged: the parser gave up on it")
            .with_context("format", format.word()))
    })?;
    if extracted.text.len() > MAX_CHARS && extracted.text.chars().count() > MAX_CHARS {
        return Err(Error::invalid(
            OP,
            "bytes",
            "expected at most 10 million characters: split the document",
        ));
    }
    Ok(extracted)
}

fn run(format: Format, bytes: &[u8]) -> Result<Extracted> {
    match format {
        Format::Text => text::extract(bytes),
        Format::Markdown => markdown::extract(bytes),
        Format::Csv => csv::extract(bytes),
        #[cfg(feature = "extract")]
        Format::Html => html::extract(bytes),
        #[cfg(feature = "extract")]
        Format::Docx => docx::extract(bytes),
        #[cfg(feature = "extract")]
        Format::Pdf => pdf::extract(bytes),
        #[cfg(not(feature = "extract"))]
        Format::Html | Format::Docx | Format::Pdf => Err(Error::new(
            ErrorKind::Unsupported,
            OP,
            "this build reads text, Markdown and CSV only: enable the feature extract",
        )
        .with_code("unsupported_type")
        .with_context("format", format.word())),
    }
}

#[cfg(test)]
mod tests;
