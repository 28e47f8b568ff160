//! Markdown with front matter and tables.
//!
//! A file without raw HTML is read event by event, so that each block knows its byte range. A file with raw
//! HTML is rendered first and then read as a web page, because only then do the rules for hidden text hold: a
//! `<div hidden>` may stand blocks away from the paragraph that it hides.

use neonhub_core::Result;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::build::{Builder, Inline};
use super::decode::{Decoded, FileCursor, decode};
use super::format::Format;
use super::{BlockKind, Extracted, Link, Origin, WarningCode, front_matter};

const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_FOOTNOTES);

/// Extracts a Markdown file.
pub(crate) fn extract(bytes: &[u8]) -> Result<Extracted> {
    let decoded = decode(bytes, None)?;
    let (pairs, body_at) = front_matter::split(&decoded.text);
    let body = decoded.text.get(body_at..).unwrap_or_default();
    let mut out = Builder::new(Format::Markdown);
    if let Some(encoding) = decoded.guessed {
        out.warn(WarningCode::EncodingGuessed, encoding);
    }
    for (key, value) in &pairs {
        if key == "title" {
            out.title(value);
        }
        out.meta(key, value);
    }
    let has_html = Parser::new_ext(body, OPTIONS).any(|e| matches!(e, Event::Html(_) | Event::InlineHtml(_)));
    if has_html {
        return with_html(&out, &decoded, body, body_at);
    }
    Ok(walk(out, &decoded, body, body_at))
}

fn walk(out: Builder, decoded: &Decoded, body: &str, body_at: usize) -> Extracted {
    let mut walker = Walker::new(out, decoded.cursor(), body_at);
    for (event, range) in Parser::new_ext(body, OPTIONS).into_offset_iter() {
        walker.event(event, range);
    }
    walker.out.finish()
}

#[cfg(feature = "extract")]
fn with_html(out: &Builder, decoded: &Decoded, body: &str, body_at: usize) -> Result<Extracted> {
    let mut html = String::with_capacity(body.len() * 2);
    pulldown_cmark::html::push_html(&mut html, Parser::new_ext(body, OPTIONS));
    super::html::extract_rendered(out, &html, decoded, body_at)
}

#[cfg(not(feature = "extract"))]
fn with_html(out: &Builder, decoded: &Decoded, body: &str, body_at: usize) -> Result<Extracted> {
    let mut out = out.clone();
    use neonhub_core::{Error, ErrorKind};
    // Without an HTML parser it cannot be known what such markup hides, so the file is refused.
    const HIDING: [&str; 6] = ["hidden", "display", "visibility", "font-size", "opacity", "color"];
    let raw: String = Parser::new_ext(body, OPTIONS)
        .filter_map(|e| match e {
            Event::Html(h) | Event::InlineHtml(h) => Some(h.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if HIDING.iter().any(|word| raw.contains(word)) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            super::OP,
            "the Markdown holds HTML that may hide text: enable the feature extract",
        ));
    }
    out.warn(WarningCode::HtmlLeftOut, "");
    Ok(walk(out, decoded, body, body_at))
}

struct Walker<'a> {
    out: Builder,
    cursor: FileCursor<'a>,
    body_at: usize,
    inline: Inline,
    kind: BlockKind,
    range: Option<std::ops::Range<usize>>,
    lists: u8,
    link: Option<(String, usize)>,
    table: Option<Table>,
    code: Option<String>,
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
    range: std::ops::Range<usize>,
}

impl<'a> Walker<'a> {
    fn new(out: Builder, cursor: FileCursor<'a>, body_at: usize) -> Self {
        Self {
            out,
            cursor,
            body_at,
            inline: Inline::default(),
            kind: BlockKind::Paragraph,
            range: None,
            lists: 0,
            link: None,
            table: None,
            code: None,
        }
    }

    fn event(&mut self, event: Event<'_>, range: std::ops::Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.inline_text(&text, range),
            },
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.inline_text(&text, range);
            }
            Event::SoftBreak => self.inline.blank(),
            Event::HardBreak => self.inline.line_break(),
            Event::Html(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => {}
            Event::Rule => self.flush(),
        }
    }

    fn inline_text(&mut self, text: &str, range: std::ops::Range<usize>) {
        self.widen(range);
        self.inline.push(text);
    }

    fn start(&mut self, tag: Tag<'_>, range: std::ops::Range<usize>) {
        match tag {
            Tag::Heading { level, .. } => self.open(BlockKind::Heading { level: level_of(level) }, range),
            Tag::Paragraph => {
                self.range = Some(range);
            }
            Tag::List(_) => {
                self.flush();
                self.lists = self.lists.saturating_add(1);
            }
            Tag::Item => {
                let depth = self.lists.saturating_sub(1);
                self.open(BlockKind::ListItem { depth }, range);
            }
            Tag::CodeBlock(_) => {
                self.flush();
                self.range = Some(range);
                self.code = Some(String::new());
            }
            Tag::Table(_) => {
                self.flush();
                self.table = Some(Table { rows: Vec::new(), range });
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::FootnoteDefinition(_) => self.open(BlockKind::Footnote, range),
            Tag::Link { dest_url, .. } => self.link = Some((dest_url.into_string(), self.inline.text.len())),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) | TagEnd::Item | TagEnd::FootnoteDefinition => self.flush(),
            TagEnd::Paragraph => {
                self.flush_keeping_kind();
            }
            TagEnd::List(_) => {
                self.flush();
                self.lists = self.lists.saturating_sub(1);
                // Text after an inner list belongs to the outer item.
                if let Some(depth) = self.lists.checked_sub(1) {
                    self.kind = BlockKind::ListItem { depth };
                }
            }
            TagEnd::CodeBlock => {
                let code = self.code.take().unwrap_or_default();
                let origin = self.origin();
                self.out.raw_block(BlockKind::Code, &code, origin);
            }
            TagEnd::TableCell => {
                let cell = self.inline.take();
                self.range = None;
                if let Some(row) = self.table.as_mut().and_then(|t| t.rows.last_mut()) {
                    row.push(cell.text);
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.range = Some(table.range);
                    let origin = self.origin();
                    self.out.table(&table.rows, true, origin);
                }
            }
            TagEnd::Link => {
                if let Some((url, byte_start)) = self.link.take() {
                    let byte_end = self.inline.text.len();
                    self.inline.links.push(Link { url, byte_start, byte_end });
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, kind: BlockKind, range: std::ops::Range<usize>) {
        self.flush();
        self.kind = kind;
        // The range of an item covers its inner list too; its own text sets the true one.
        self.range = (!matches!(kind, BlockKind::ListItem { .. })).then_some(range);
    }

    fn widen(&mut self, range: std::ops::Range<usize>) {
        self.range = Some(match self.range.take() {
            Some(r) => r.start.min(range.start)..r.end.max(range.end),
            None => range,
        });
    }

    fn flush(&mut self) {
        self.flush_keeping_kind();
        self.kind = BlockKind::Paragraph;
    }

    fn flush_keeping_kind(&mut self) {
        let inline = self.inline.take();
        let origin = self.origin();
        if !inline.is_blank() {
            self.out.block(self.kind, &inline, origin);
        }
    }

    fn origin(&mut self) -> Origin {
        let Some(range) = self.range.take() else { return Origin::default() };
        let shifted = range.start + self.body_at..range.end + self.body_at;
        self.cursor.range(shifted).map(Origin::bytes).unwrap_or_default()
    }
}

fn level_of(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
