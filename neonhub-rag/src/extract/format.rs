//! Which format a file has, by name, MIME type and content.

use neonhub_core::{Error, ErrorKind, Result};

use super::OP;

/// A format that can be extracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Portable Document Format.
    Pdf,
    /// Office Open XML word processing document.
    Docx,
    /// A web page.
    Html,
    /// CommonMark with tables and front matter.
    Markdown,
    /// Comma, semicolon or tab separated values.
    Csv,
    /// Plain text.
    Text,
}

const NAMES: &[(&str, Format)] = &[
    ("pdf", Format::Pdf),
    ("docx", Format::Docx),
    ("docm", Format::Docx),
    ("html", Format::Html),
    ("htm", Format::Html),
    ("xhtml", Format::Html),
    ("md", Format::Markdown),
    ("markdown", Format::Markdown),
    ("csv", Format::Csv),
    ("tsv", Format::Csv),
    ("txt", Format::Text),
    ("text", Format::Text),
    ("application/pdf", Format::Pdf),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", Format::Docx),
    ("application/vnd.ms-word.document.macroenabled.12", Format::Docx),
    ("text/html", Format::Html),
    ("application/xhtml+xml", Format::Html),
    ("text/markdown", Format::Markdown),
    ("text/x-markdown", Format::Markdown),
    ("text/csv", Format::Csv),
    ("text/tab-separated-values", Format::Csv),
    ("text/plain", Format::Text),
];

impl Format {
    /// The format that a file name, extension or MIME type names.
    #[must_use]
    pub fn from_name(name_or_mime: &str) -> Option<Self> {
        let name = name_or_mime.trim().to_ascii_lowercase();
        let mime = name.split(';').next().unwrap_or_default().trim();
        let extension = name.rsplit('.').next().unwrap_or_default();
        NAMES.iter().find(|(n, _)| *n == mime || *n == extension).map(|(_, f)| *f)
    }

    /// The format of these bytes: the name decides, the content confirms it, or decides alone.
    ///
    /// # Errors
    /// `Corrupted` when the content contradicts the name, `Unsupported` when nothing fits or the file is
    /// encrypted or of the old Word format.
    pub fn detect(bytes: &[u8], name_or_mime: &str) -> Result<Self> {
        let head = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
        let is_pdf = head.windows(5).any(|w| w == b"%PDF-");
        // Records that a zip file begins with (APPNOTE 4.3): words may begin with the two letters, too.
        let is_zip =
            [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|mark| bytes.starts_with(*mark));
        refuse_compound_file(bytes)?;
        match Self::from_name(name_or_mime) {
            Some(Format::Pdf) if !is_pdf => Err(broken("not a PDF: the header %PDF- is missing")),
            Some(Format::Docx) if !is_zip => {
                Err(broken("not a Word document: it does not start like a zip file"))
            }
            Some(Format::Text | Format::Markdown | Format::Csv | Format::Html)
                if is_zip || begins_as_pdf(bytes) =>
            {
                Err(broken("the content is a PDF or zip file: name it by its real type"))
            }
            Some(format) => Ok(format),
            None if looks_like_html(head) => Ok(Format::Html),
            None if is_pdf => Ok(Format::Pdf),
            None if is_zip && contains(bytes, b"word/document.xml") => Ok(Format::Docx),
            None => Err(Error::new(
                ErrorKind::Unsupported,
                OP,
                "unknown document type: expected pdf, docx, html, md, csv or txt",
            )
            .with_code("unsupported_type")),
        }
    }

    /// The MIME type.
    #[must_use]
    pub const fn mime(self) -> &'static str {
        match self {
            Format::Pdf => "application/pdf",
            Format::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Format::Html => "text/html",
            Format::Markdown => "text/markdown",
            Format::Csv => "text/csv",
            Format::Text => "text/plain",
        }
    }

    /// A short word for logs and errors.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Format::Pdf => "pdf",
            Format::Docx => "docx",
            Format::Html => "html",
            Format::Markdown => "markdown",
            Format::Csv => "csv",
            Format::Text => "text",
        }
    }
}

/// `Corrupted` with a reason.
pub(crate) fn broken(reason: &'static str) -> Error {
    Error::new(ErrorKind::Corrupted, OP, reason)
}

/// Word wraps an encrypted DOCX in a compound file (MS-OFFCRYPTO 2.2); the same container holds old `.doc`.
fn refuse_compound_file(bytes: &[u8]) -> Result<()> {
    if !bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) {
        return Ok(());
    }
    let marker: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let message = if contains(bytes, &marker) {
        "the document is encrypted: remove its password and upload it again"
    } else {
        "old binary Office format: save it as docx and upload it again"
    };
    Err(Error::new(ErrorKind::Unsupported, OP, message))
}

/// The header of a PDF at the very beginning; a text about PDF files may name it further on.
fn begins_as_pdf(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start();
    bytes.strip_prefix(b"%PDF-").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
}

fn looks_like_html(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    text.starts_with("<!doctype html") || text.starts_with("<html")
}

pub(crate) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    needle.first().is_some_and(|first| {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|b| b == first) {
            rest = rest.get(at..).unwrap_or_default();
            if rest.starts_with(needle) {
                return true;
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        false
    })
}
