//! What extraction yields: one text, its blocks, and what was kept out of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The text of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// Title from the document itself: front matter, properties, `<title>`, or the first heading.
    pub title: Option<String>,
    /// MIME type of the format that was read.
    pub mime: String,
    /// The text. Every byte range of this crate points into it.
    pub text: String,
    /// Blocks in reading order. Ranges do not overlap; between them stand line breaks only.
    pub blocks: Vec<Block>,
    /// Text that a reader would not see, in document order.
    pub hidden: Vec<HiddenText>,
    /// Links of the visible text.
    pub links: Vec<Link>,
    /// What a person should know about this extraction.
    pub warnings: Vec<Warning>,
    /// Front matter or document properties, by lower-case key.
    pub metadata: BTreeMap<String, String>,
    /// Number of pages, for formats that have pages.
    pub pages: Option<u32>,
}

impl Extracted {
    /// The text of a block.
    #[must_use]
    pub fn block_text(&self, block: &Block) -> &str {
        self.text.get(block.byte_start..block.byte_end).unwrap_or_default()
    }

    /// The block that holds this byte of the text, or the last one before it.
    #[must_use]
    pub fn block_at(&self, byte: usize) -> Option<&Block> {
        let after = self.blocks.partition_point(|b| b.byte_start <= byte);
        self.blocks.get(after.checked_sub(1)?)
    }

    /// True when this warning was raised.
    #[must_use]
    pub fn has_warning(&self, code: WarningCode) -> bool {
        self.warnings.iter().any(|w| w.code == code)
    }

    pub(crate) fn warn(&mut self, code: WarningCode, detail: impl Into<String>) {
        self.warnings.push(Warning { code, detail: detail.into() });
    }
}

/// One block of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// First byte in the text.
    pub byte_start: usize,
    /// Byte after the last one in the text.
    pub byte_end: usize,
    /// Where it stands in the file.
    pub origin: Origin,
}

/// The kind of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BlockKind {
    /// A heading.
    Heading {
        /// 1 (highest) to 6.
        level: u8,
    },
    /// Running prose.
    Paragraph,
    /// One item of a list.
    ListItem {
        /// 0 for the outermost list.
        depth: u8,
    },
    /// A table: one line per row, cells parted by ` | `.
    Table {
        /// True when the first row names the columns.
        has_header: bool,
    },
    /// Preformatted text.
    Code,
    /// A footnote or endnote, placed after the block that refers to it.
    Footnote,
}

/// Where a block stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Page number from 1, for formats that have pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// Name of the part inside a container file, such as `word/document.xml`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part: Option<String>,
    /// First byte in the file, or in the part when one is named.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_start: Option<usize>,
    /// Byte after the last one in the file or part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_end: Option<usize>,
}

impl Origin {
    pub(crate) fn bytes(range: std::ops::Range<usize>) -> Self {
        Self { file_start: Some(range.start), file_end: Some(range.end), ..Self::default() }
    }

    #[cfg(feature = "extract")]
    pub(crate) fn page(page: u32) -> Self {
        Self { page: Some(page), ..Self::default() }
    }
}

/// Text that the document holds but does not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HiddenText {
    /// The text itself. It is tainted: an instruction in it is data.
    pub text: String,
    /// Why a reader does not see it.
    pub reason: HiddenReason,
    /// Page number from 1, for formats that have pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// Byte of the visible text before which it stands.
    pub before_byte: usize,
}

/// Why text is not visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HiddenReason {
    /// The `hidden` attribute, a closed dialog, or Word's hidden font effect.
    Attribute,
    /// `display: none` or `content-visibility: hidden`.
    DisplayNone,
    /// `visibility: hidden` or `collapse`.
    Visibility,
    /// Letters too small to read, or a box without size.
    ZeroSize,
    /// Letters in the colour of their background, or fully transparent.
    SameColour,
    /// Placed outside the page or clipped away.
    OffPage,
    /// Drawn with the invisible mode of PDF without a scanned image behind it, or written in characters that
    /// show nothing.
    Invisible,
}

/// A link of the visible text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Target as written. It was not visited.
    pub url: String,
    /// First byte of the link's words in the text.
    pub byte_start: usize,
    /// Byte after the last one.
    pub byte_end: usize,
}

/// A remark about an extraction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// What it is about.
    pub code: WarningCode,
    /// Page, encoding name or count that belongs to it.
    pub detail: String,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningCode {
    /// A page shows an image and holds no text: it needs optical character recognition.
    NeedsOcr,
    /// The text layer of a page was made by character recognition and may hold misreadings.
    OcrLayer,
    /// The character encoding was guessed; the detail names it.
    EncodingGuessed,
    /// The document holds no visible text.
    NoText,
    /// Hidden text was found and kept apart; the detail counts it.
    HiddenText,
    /// Text in a font without a character map was left out; the detail names the page.
    UnmappedFont,
    /// One page could not be read; the detail names it.
    PageUnreadable,
    /// Macros are in the file and were ignored.
    MacrosIgnored,
    /// Tracked changes: what was marked as deleted was left out.
    DeletionsLeftOut,
    /// Raw HTML in a Markdown file was left out, because this build does not read HTML.
    HtmlLeftOut,
    /// Elements nested deeper than any real document were left out.
    NestedTooDeep,
    /// Text outside the main part of a web page was left out; the detail counts characters.
    OutsideMain,
    /// A row or field could not be read; the detail names it.
    RowSkipped,
}
