//! Plain text: paragraphs by blank lines, list items by their marks, underlined and all-capital headings.

use neonhub_core::Result;

use super::build::{Builder, Inline};
use super::decode::{FileCursor, decode};
use super::format::Format;
use super::{BlockKind, Extracted, Origin, WarningCode};

/// A line this long or longer, in characters, is taken as wrapped by an editor and joined with the next one.
const WRAPPED_FROM: usize = 45;

/// Extracts a text file.
pub(crate) fn extract(bytes: &[u8]) -> Result<Extracted> {
    let decoded = decode(bytes, None)?;
    let mut out = Builder::new(Format::Text);
    if let Some(encoding) = decoded.guessed {
        out.warn(WarningCode::EncodingGuessed, encoding);
    }
    let mut cursor = decoded.cursor();
    let mut group: Vec<Line<'_>> = Vec::new();
    for line in lines(&decoded.text) {
        if line.text.is_empty() {
            flush(&mut group, &mut out, &mut cursor);
        } else {
            group.push(line);
        }
    }
    flush(&mut group, &mut out, &mut cursor);
    Ok(out.finish())
}

#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    start: usize,
    indent: usize,
}

impl Line<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut at = 0;
    // Old Mac files end lines in a bare CR; a form feed parts pages.
    text.split_inclusive(['\n', '\r', '\u{c}'])
        .map(move |raw| {
            let indent = raw.len() - raw.trim_start().len();
            let line = Line { text: raw.trim(), start: at + indent, indent };
            at += raw.len();
            line
        })
        .filter({
            // The empty line between CR and LF is no paragraph break.
            let mut after_cr = false;
            let bytes = text.as_bytes();
            move |line| {
                let is_gap = line.text.is_empty() && after_cr && line.indent == 1;
                after_cr = bytes.get(line.end()) == Some(&b'\r');
                !is_gap
            }
        })
}

fn flush(group: &mut Vec<Line<'_>>, out: &mut Builder, cursor: &mut FileCursor<'_>) {
    let mut rest = std::mem::take(group);
    if let [first, second, ..] = rest.as_slice()
        && let Some(level) = underline(second.text)
    {
        let heading = [*first];
        add(BlockKind::Heading { level }, &heading, first.text, out, cursor);
        rest.drain(..2);
    } else if let [only] = rest.as_slice()
        && is_capital_heading(only.text)
    {
        add(BlockKind::Heading { level: 2 }, &rest, only.text, out, cursor);
        return;
    }
    let mut part: Vec<Line<'_>> = Vec::new();
    for line in rest {
        if list_item(line.text).is_some() {
            paragraph(&part, out, cursor);
            part.clear();
        }
        part.push(line);
    }
    paragraph(&part, out, cursor);
}

fn paragraph(lines: &[Line<'_>], out: &mut Builder, cursor: &mut FileCursor<'_>) {
    let Some(first) = lines.first() else { return };
    let joined = join(lines);
    match list_item(first.text) {
        Some(marker) => {
            let depth = u8::try_from(first.indent / 2).unwrap_or(u8::MAX).min(8);
            let body = joined.get(marker..).unwrap_or_default().trim_start();
            add(BlockKind::ListItem { depth }, lines, body, out, cursor);
        }
        None => add(BlockKind::Paragraph, lines, &joined, out, cursor),
    }
}

fn join(lines: &[Line<'_>]) -> String {
    let is_wrapped = lines.len() > 1
        && lines
            .split_last()
            .is_some_and(|(_, all)| all.iter().all(|l| l.text.chars().count() >= WRAPPED_FROM));
    let is_item = lines.first().is_some_and(|l| list_item(l.text).is_some());
    let glue = if is_wrapped || is_item { " " } else { "\n" };
    lines.iter().map(|l| l.text).collect::<Vec<_>>().join(glue)
}

fn add(kind: BlockKind, lines: &[Line<'_>], text: &str, out: &mut Builder, cursor: &mut FileCursor<'_>) {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
    let origin = cursor.range(first.start..last.end()).map(Origin::bytes).unwrap_or_default();
    let mut inline = Inline::default();
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            inline.line_break();
        }
        inline.push(line);
    }
    out.block(kind, &inline, origin);
}

/// Level of a line of `=` (1) or `-` (2) under a heading.
fn underline(line: &str) -> Option<u8> {
    if line.len() < 3 {
        return None;
    }
    match line {
        l if l.bytes().all(|b| b == b'=') => Some(1),
        l if l.bytes().all(|b| b == b'-') => Some(2),
        _ => None,
    }
}

fn is_capital_heading(line: &str) -> bool {
    line.chars().count() <= 80
        && line.chars().filter(|c| c.is_alphabetic()).count() >= 3
        && !line.chars().any(char::is_lowercase)
        && line.chars().any(char::is_uppercase)
        && !line.ends_with(['.', '!', '?', ',', ';'])
}

/// Byte length of the mark that starts a list item: `- `, `* `, `• `, `1. `, `2) `.
pub(crate) fn list_item(line: &str) -> Option<usize> {
    let first = line.chars().next()?;
    if matches!(first, '-' | '*' | '+' | '•' | '◦' | '▪' | '‣' | '–' | '·' | '●' | '○' | '\u{f0b7}')
    {
        let rest = line.get(first.len_utf8()..)?;
        return rest.starts_with([' ', '\t', '\u{a0}']).then_some(first.len_utf8());
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = line.get(digits..)?;
    ((1..=3).contains(&digits) && (rest.starts_with(". ") || rest.starts_with(") "))).then_some(digits + 1)
}
