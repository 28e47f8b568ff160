//! Reads the story of a Word document, event by event.

use std::collections::BTreeMap;

use neonhub_core::Result;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::super::build::{Builder, Inline};
use super::super::{BlockKind, HiddenReason, Link, Origin, WarningCode};
use super::styles::Styles;
use super::xml::{self, Element};

/// Text in half points up to this size cannot be read (1.5 points).
const SMALLEST_HALF_POINTS: u32 = 3;

/// What the story refers to.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) part: &'a str,
    pub(super) styles: &'a Styles,
    pub(super) links: &'a BTreeMap<String, String>,
    pub(super) notes: &'a BTreeMap<(String, String), String>,
}

/// State of the reader.
pub(super) struct Body<'a> {
    reader: Reader<&'a [u8]>,
    parts: Parts<'a>,
    out: &'a mut Builder,
    /// Paragraphs in hand; text boxes nest them.
    paragraphs: Vec<Paragraph>,
    tables: Vec<Table>,
    run: Run,
    place: Place,
    link: Option<(String, usize)>,
    /// Notes that the block in hand refers to.
    pending: Vec<(String, String)>,
    /// Text of the note in hand, when a part of notes is read.
    note: Option<String>,
    is_notes: bool,
    has_deletions: bool,
}

/// Which properties the reader stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Text,
    ParagraphProperties,
    RunProperties,
    CellProperties,
}

#[derive(Debug, Default)]
struct Paragraph {
    start: usize,
    style: String,
    list_depth: Option<u8>,
    outline: Option<u8>,
    is_shaded: bool,
    inline: Inline,
}

#[derive(Debug, Default)]
struct Table {
    start: usize,
    rows: Vec<Vec<String>>,
    has_header: bool,
    has_style: bool,
    is_shaded: bool,
}

#[derive(Debug, Default)]
struct Run {
    is_hidden: Option<bool>,
    style: String,
    is_white: bool,
    is_tiny: bool,
    is_shaded: bool,
    takes_text: bool,
}

impl<'a> Body<'a> {
    pub(super) fn new(text: &'a str, parts: Parts<'a>, out: &'a mut Builder) -> Self {
        Self {
            reader: xml::reader(text),
            parts,
            out,
            paragraphs: Vec::new(),
            tables: Vec::new(),
            run: Run::default(),
            place: Place::Text,
            link: None,
            pending: Vec::new(),
            note: None,
            is_notes: false,
            has_deletions: false,
        }
    }

    /// Reads the main story into blocks.
    pub(super) fn document(mut self) -> Result<()> {
        while self.step(|_, _, _| ())? {}
        if self.has_deletions {
            self.out.warn(WarningCode::DeletionsLeftOut, "");
        }
        Ok(())
    }

    /// Reads a part of notes: text by kind and id.
    pub(super) fn notes(mut self, kind: &str) -> Result<BTreeMap<(String, String), String>> {
        self.is_notes = true;
        let mut notes = BTreeMap::new();
        let mut id = String::new();
        while self.step(|body, el, is_start| {
            if el.name != kind {
                return;
            }
            if is_start {
                id = el.attr("id").unwrap_or_default();
                // Separators are drawn lines, not notes.
                body.note = el.attr("type").is_none_or(|t| t == "normal").then(String::new);
            }
        })? {
            if let Some(note) = self.note.as_ref().filter(|n| !n.is_empty()) {
                notes.insert((kind.to_owned(), id.clone()), note.clone());
            }
        }
        Ok(notes)
    }

    /// Handles one event; false at the end of the part.
    fn step(&mut self, mut on_start: impl FnMut(&mut Self, &Element<'_>, bool)) -> Result<bool> {
        match self.reader.read_event().map_err(xml::malformed)? {
            Event::Start(start) => {
                on_start(self, &Element::new(&start), true);
                self.open(&start)?;
            }
            Event::Empty(start) => {
                let el = Element::new(&start);
                self.mark(&el);
                // An empty paragraph or cell still ends.
                if matches!(el.name, "tc" | "tr") {
                    self.structure(&el);
                }
            }
            Event::Text(text) if self.run.takes_text => self.text(&text.xml10_content()),
            Event::GeneralRef(reference) if self.run.takes_text => {
                if let Some(c) = xml::resolve(&reference) {
                    self.text(c.encode_utf8(&mut [0; 4]));
                }
            }
            Event::End(end) => self.close(end.local_name().into_inner()),
            Event::Eof => return Ok(false),
            _ => {}
        }
        Ok(true)
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<()> {
        let el = Element::new(start);
        match el.name {
            "del" | "moveFrom" | "delText" => {
                self.has_deletions = true;
                self.skip(start)?;
            }
            // The fallback of alternate content repeats it for old readers.
            "instrText" | "delInstrText" | "Fallback" | "annotation" | "rPrChange" | "pPrChange"
            | "tcPrChange" | "tblPrChange" => self.skip(start)?,
            _ => {
                self.structure(&el);
                self.mark(&el);
            }
        }
        Ok(())
    }

    fn skip(&mut self, start: &BytesStart<'_>) -> Result<()> {
        self.reader.read_to_end(start.name()).map_err(xml::malformed)?;
        Ok(())
    }

    /// Elements that hold others.
    fn structure(&mut self, el: &Element<'_>) {
        let start = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        match el.name {
            "p" => self.paragraphs.push(Paragraph { start, ..Paragraph::default() }),
            "pPr" => self.place = Place::ParagraphProperties,
            "r" => self.run = Run::default(),
            // Properties of the paragraph mark are no properties of its text.
            "rPr" if self.place == Place::Text => self.place = Place::RunProperties,
            "tcPr" => self.place = Place::CellProperties,
            "t" => self.run.takes_text = true,
            "tbl" => self.tables.push(Table { start, ..Table::default() }),
            "tr" => {
                if let Some(table) = self.tables.last_mut() {
                    table.rows.push(Vec::new());
                }
            }
            "tc" => {
                if let Some(table) = self.tables.last_mut() {
                    table.is_shaded = false;
                    if let Some(row) = table.rows.last_mut() {
                        row.push(String::new());
                    }
                }
            }
            "hyperlink" => {
                let target = el.attr("id").and_then(|id| self.parts.links.get(&id).cloned());
                let at = self.paragraphs.last().map_or(0, |p| p.inline.text.len());
                self.link = target.map(|url| (url, at));
            }
            _ => {}
        }
    }

    /// Properties and single characters.
    fn mark(&mut self, el: &Element<'_>) {
        match self.place {
            Place::ParagraphProperties => self.paragraph_property(el),
            Place::RunProperties => self.run_property(el),
            Place::CellProperties => {
                if el.name == "shd"
                    && let Some(table) = self.tables.last_mut()
                {
                    table.is_shaded = is_shade(el);
                }
            }
            Place::Text => match el.name {
                "tab" => self.text(" "),
                "br" | "cr" => self.line_break(),
                "noBreakHyphen" => self.text("-"),
                "footnoteReference" | "endnoteReference" => {
                    let kind = el.name.trim_end_matches("Reference").to_owned();
                    self.pending.extend(el.attr("id").map(|id| (kind, id)));
                }
                "tblHeader" | "tblStyle" | "tblLook" => {
                    if let Some(table) = self.tables.last_mut() {
                        table.has_style |= el.name == "tblStyle";
                        table.has_header |= el.name == "tblHeader" && table.rows.len() == 1 && el.is_on();
                        // The look of most tables sets their first row apart.
                        table.has_header |=
                            el.name == "tblLook" && el.attr("firstRow").as_deref() == Some("1");
                    }
                }
                _ => {}
            },
        }
    }

    fn paragraph_property(&mut self, el: &Element<'_>) {
        let Some(paragraph) = self.paragraphs.last_mut() else { return };
        match el.name {
            "pStyle" => paragraph.style = el.attr("val").unwrap_or_default(),
            "ilvl" => paragraph.list_depth = Some(el.attr("val").and_then(|v| v.parse().ok()).unwrap_or(0)),
            // List number 0 takes the paragraph out of the list of its style.
            "numId" if el.attr("val").as_deref() != Some("0") => {
                paragraph.list_depth.get_or_insert(0);
            }
            "outlineLvl" => {
                paragraph.outline = el.attr("val").and_then(|v| v.parse().ok()).filter(|o| *o < 9)
            }
            "shd" => paragraph.is_shaded = is_shade(el),
            _ => {}
        }
    }

    fn run_property(&mut self, el: &Element<'_>) {
        match el.name {
            "vanish" | "webHidden" => self.run.is_hidden = Some(el.is_on()),
            "rStyle" => self.run.style = el.attr("val").unwrap_or_default(),
            "color" => {
                self.run.is_white = el.attr("val").is_some_and(|v| v.eq_ignore_ascii_case("ffffff"));
            }
            "sz" => {
                let size = el.attr("val").and_then(|v| v.parse::<u32>().ok());
                self.run.is_tiny = size.is_some_and(|s| s <= SMALLEST_HALF_POINTS);
            }
            "shd" => self.run.is_shaded |= is_shade(el),
            "highlight" => self.run.is_shaded |= el.attr("val").is_some_and(|v| v != "none" && v != "white"),
            _ => {}
        }
    }

    fn hidden(&self) -> Option<HiddenReason> {
        let paragraph = self.paragraphs.last();
        let by_style = || {
            let styles = self.parts.styles;
            let of_paragraph = paragraph.and_then(|p| styles.is_hidden(&p.style));
            styles.is_hidden(&self.run.style).or(of_paragraph)
        };
        if self.run.is_hidden.or_else(by_style).unwrap_or(false) {
            return Some(HiddenReason::Attribute);
        }
        if self.run.is_tiny {
            return Some(HiddenReason::ZeroSize);
        }
        // The shading of a table style is not resolved, so white letters in a styled table count as visible.
        let has_ground = self.run.is_shaded
            || paragraph.is_some_and(|p| p.is_shaded)
            || self.tables.iter().any(|t| t.is_shaded || t.has_style);
        (self.run.is_white && !has_ground).then_some(HiddenReason::SameColour)
    }

    fn text(&mut self, text: &str) {
        match self.hidden() {
            Some(reason) => self.out.hidden(text, reason, None),
            None => {
                if let Some(paragraph) = self.paragraphs.last_mut() {
                    paragraph.inline.push(text);
                }
            }
        }
    }

    fn line_break(&mut self) {
        if let Some(paragraph) = self.paragraphs.last_mut() {
            paragraph.inline.line_break();
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "p" => self.end_paragraph(),
            "pPr" | "tcPr" => self.place = Place::Text,
            "rPr" if self.place == Place::RunProperties => self.place = Place::Text,
            "t" => self.run.takes_text = false,
            "r" => self.run = Run::default(),
            "tbl" => self.end_table(),
            "hyperlink" => {
                if let (Some((url, byte_start)), Some(p)) = (self.link.take(), self.paragraphs.last_mut()) {
                    let byte_end = p.inline.text.len();
                    p.inline.links.push(Link { url, byte_start, byte_end });
                }
            }
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        let Some(paragraph) = self.paragraphs.pop() else { return };
        let text = paragraph.inline.text.trim();
        if self.is_notes {
            if let Some(note) = &mut self.note {
                append(note, text);
            }
        } else if let Some(cell) = self.tables.last_mut().and_then(|t| t.rows.last_mut()?.last_mut()) {
            append(cell, text);
        } else {
            let kind = self.kind(&paragraph);
            if matches!(kind, BlockKind::Heading { .. }) && self.parts.styles.is_title(&paragraph.style) {
                self.out.title(text);
            }
            let origin = self.origin(paragraph.start);
            self.out.block(kind, &paragraph.inline, origin);
            self.emit_notes();
        }
    }

    fn kind(&self, paragraph: &Paragraph) -> BlockKind {
        let styles = self.parts.styles;
        let level = paragraph.outline.map(|o| (o + 1).min(6)).or_else(|| styles.heading(&paragraph.style));
        if let Some(level) = level {
            return BlockKind::Heading { level };
        }
        match paragraph.list_depth {
            Some(depth) => BlockKind::ListItem { depth },
            None if styles.is_list(&paragraph.style) => BlockKind::ListItem { depth: 0 },
            None => BlockKind::Paragraph,
        }
    }

    fn end_table(&mut self) {
        let Some(table) = self.tables.pop() else { return };
        if let Some(cell) = self.tables.last_mut().and_then(|t| t.rows.last_mut()?.last_mut()) {
            for row in &table.rows {
                append(cell, &row.join(", "));
            }
        } else if !self.is_notes {
            let origin = self.origin(table.start);
            self.out.table(&table.rows, table.has_header, origin);
            self.emit_notes();
        }
    }

    fn emit_notes(&mut self) {
        for key in std::mem::take(&mut self.pending) {
            if let Some(text) = self.parts.notes.get(&key) {
                let mut inline = Inline::default();
                inline.push(text);
                let origin = Origin { part: Some(format!("word/{}s.xml", key.0)), ..Origin::default() };
                self.out.block(BlockKind::Footnote, &inline, origin);
            }
        }
    }

    fn origin(&self, start: usize) -> Origin {
        let end = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        Origin { part: Some(self.parts.part.to_owned()), ..Origin::bytes(start..end.max(start)) }
    }
}

fn is_shade(el: &Element<'_>) -> bool {
    el.attr("fill").is_some_and(|f| !f.eq_ignore_ascii_case("auto") && !f.eq_ignore_ascii_case("ffffff"))
        || el.attr("themeFill").is_some()
}

fn append(to: &mut String, text: &str) {
    if !text.is_empty() && !to.is_empty() {
        to.push(' ');
    }
    to.push_str(text);
}
