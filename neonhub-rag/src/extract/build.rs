//! Grows the text of a document block by block.

use super::format::Format;
use super::{Block, BlockKind, Extracted, HiddenReason, HiddenText, Link, Origin, WarningCode};

/// Collects blocks; whitespace inside prose is folded, code keeps its own.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    out: Extracted,
}

/// Text of one block with the links inside it, byte ranges relative to the text.
#[derive(Debug, Default, Clone)]
pub(crate) struct Inline {
    pub(crate) text: String,
    pub(crate) links: Vec<Link>,
    /// What was written in characters that show nothing.
    invisible: String,
}

impl Inline {
    /// Appends text with white space folded to single blanks.
    pub(crate) fn push(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                // Soft hyphens and zero-width characters carry no text; they hide words from search.
                '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\0' => {}
                c if shows_nothing(c) => self.invisible.extend(smuggled(c)),
                c if c.is_whitespace() => self.blank(),
                c => self.text.push(c),
            }
        }
    }

    /// Appends one blank unless the text ends in white space or is empty.
    pub(crate) fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
            self.text.push(' ');
        }
    }

    /// A forced line break.
    pub(crate) fn line_break(&mut self) {
        while self.text.ends_with(' ') {
            self.text.pop();
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// True when nothing visible was added.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Takes what was collected.
    pub(crate) fn take(&mut self) -> Inline {
        std::mem::take(self)
    }
}

impl Builder {
    pub(crate) fn new(format: Format) -> Self {
        Self { out: Extracted { mime: format.mime().to_owned(), ..Extracted::default() } }
    }

    /// Adds a block of folded text; an empty one is dropped.
    pub(crate) fn block(&mut self, kind: BlockKind, inline: &Inline, origin: Origin) {
        self.hidden(&inline.invisible, HiddenReason::Invisible, origin.page);
        let text = inline.text.trim_end();
        if text.trim().is_empty() {
            return;
        }
        let start = self.begin(kind);
        self.out.text.push_str(text);
        self.out.links.extend(inline.links.iter().filter(|l| l.byte_start < l.byte_end).map(|l| Link {
            url: l.url.clone(),
            byte_start: start + l.byte_start.min(text.len()),
            byte_end: start + l.byte_end.min(text.len()),
        }));
        self.end(kind, start, origin);
    }

    /// Adds a block whose text is used as it is, but for white space at its end.
    pub(crate) fn raw_block(&mut self, kind: BlockKind, text: &str, origin: Origin) {
        let invisible: String = text.chars().filter_map(smuggled).collect();
        self.hidden(&invisible, HiddenReason::Invisible, origin.page);
        let text: String = text.chars().filter(|c| !shows_nothing(*c)).collect();
        let text = text.trim_end();
        if text.trim().is_empty() {
            return;
        }
        let start = self.begin(kind);
        self.out.text.push_str(text);
        self.end(kind, start, origin);
    }

    /// Adds a table; cells are folded and parted by ` | `.
    pub(crate) fn table(&mut self, rows: &[Vec<String>], has_header: bool, origin: Origin) {
        let lines: Vec<String> = rows
            .iter()
            .filter(|row| row.iter().any(|cell| !cell.trim().is_empty()))
            .map(|row| row.iter().map(|cell| fold(cell)).collect::<Vec<_>>().join(" | "))
            .collect();
        let has_header = has_header && lines.len() > 1;
        self.raw_block(BlockKind::Table { has_header }, &lines.join("\n"), origin);
    }

    /// Keeps hidden text apart.
    pub(crate) fn hidden(&mut self, text: &str, reason: HiddenReason, page: Option<u32>) {
        let text = fold(text);
        if text.is_empty() {
            return;
        }
        let before_byte = self.out.text.len();
        match self.out.hidden.last_mut() {
            Some(last) if last.reason == reason && last.page == page && last.before_byte == before_byte => {
                last.text.push(' ');
                last.text.push_str(&text);
            }
            _ => self.out.hidden.push(HiddenText { text, reason, page, before_byte }),
        }
    }

    pub(crate) fn warn(&mut self, code: WarningCode, detail: impl Into<String>) {
        self.out.warn(code, detail);
    }

    pub(crate) fn meta(&mut self, key: &str, value: &str) {
        let value = fold(value);
        if !value.is_empty() {
            self.out.metadata.insert(key.trim().to_lowercase(), value);
        }
    }

    pub(crate) fn title(&mut self, title: &str) {
        let title = fold(title);
        if self.out.title.is_none() && !title.is_empty() {
            self.out.title = Some(title);
        }
    }

    #[cfg(feature = "extract")]
    pub(crate) fn pages(&mut self, pages: u32) {
        self.out.pages = Some(pages);
    }

    /// True when anything visible was added.
    #[cfg(feature = "extract")]
    pub(crate) fn has_text(&self) -> bool {
        !self.out.text.is_empty()
    }

    /// Ends the document: the first heading is the title when nothing else named one.
    pub(crate) fn finish(mut self) -> Extracted {
        if self.out.title.is_none() {
            let first = self.out.blocks.iter().take(3).find(|b| matches!(b.kind, BlockKind::Heading { .. }));
            self.out.title = first.map(|b| fold(self.out.block_text(b)));
        }
        if self.out.text.is_empty() && !self.out.has_warning(WarningCode::NeedsOcr) {
            self.out.warn(WarningCode::NoText, "");
        }
        if !self.out.hidden.is_empty() {
            let count = self.out.hidden.len().to_string();
            self.out.warn(WarningCode::HiddenText, count);
        }
        self.out
    }

    fn begin(&mut self, kind: BlockKind) -> usize {
        if let Some(last) = self.out.blocks.last() {
            let both_items =
                matches!(last.kind, BlockKind::ListItem { .. }) && matches!(kind, BlockKind::ListItem { .. });
            self.out.text.push_str(if both_items { "\n" } else { "\n\n" });
        }
        self.out.text.len()
    }

    fn end(&mut self, kind: BlockKind, start: usize, origin: Origin) {
        self.out.blocks.push(Block { kind, byte_start: start, byte_end: self.out.text.len(), origin });
    }
}

/// Tag characters and the supplementary variation selectors: no reader sees them, every model reads them.
// Unicode 17 (2025): Tags U+E0000..E007F, Variation Selectors Supplement U+E0100..E01EF.
fn shows_nothing(c: char) -> bool {
    matches!(c, '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The ASCII character that a tag character stands for.
fn smuggled(c: char) -> Option<char> {
    let ascii = u32::from(c).checked_sub(0xe_0000).and_then(|n| u8::try_from(n).ok())?;
    (0x20..0x7f).contains(&ascii).then(|| char::from(ascii))
}

/// White space folded to single blanks, ends trimmed.
pub(crate) fn fold(text: &str) -> String {
    let mut inline = Inline::default();
    inline.push(text);
    inline.text.truncate(inline.text.trim_end().len());
    inline.text
}
