//! Decides over the whole document which paragraphs are headings, and which lines repeat on every page.

use std::collections::BTreeMap;

use super::super::build::{Builder, Inline};
use super::super::{BlockKind, HiddenReason, Origin};
use super::layout::Paragraph;

/// Letters this much larger than the body make a heading.
const HEADING_RATIO: f32 = 1.12;
/// Longest heading, in characters.
const HEADING_CHARS: usize = 160;
/// Longest bold line of body size that counts as a heading, in characters.
const BOLD_HEADING_CHARS: usize = 80;
/// Pages from which on repeated first and last lines are looked for.
const REPEAT_FROM_PAGES: usize = 3;

/// One paragraph or hidden piece of one page.
#[derive(Debug)]
pub(super) struct PagePart {
    page: u32,
    paragraph: Paragraph,
    hidden: Option<HiddenReason>,
}

impl PagePart {
    pub(super) fn shown(page: u32, paragraph: Paragraph) -> Self {
        Self { page, paragraph, hidden: None }
    }

    pub(super) fn hidden(page: u32, reason: HiddenReason, text: String) -> Self {
        Self { page, paragraph: Paragraph { text, ..Paragraph::default() }, hidden: Some(reason) }
    }
}

/// Emits the blocks of the document.
pub(super) fn emit(parts: Vec<PagePart>, out: &mut Builder) {
    let parts = without_running_lines(parts);
    let body = body_size(&parts);
    let sizes = heading_sizes(&parts, body);
    for part in parts {
        if let Some(reason) = part.hidden {
            out.hidden(&part.paragraph.text, reason, Some(part.page));
            continue;
        }
        let origin = Origin::page(part.page);
        let paragraph = part.paragraph;
        if !paragraph.rows.is_empty() {
            out.table(&paragraph.rows, paragraph.is_bold, origin);
            continue;
        }
        let mut inline = Inline::default();
        inline.push(&paragraph.text);
        out.block(kind(&paragraph, body, &sizes), &inline, origin);
    }
}

fn kind(paragraph: &Paragraph, body: i32, sizes: &[i32]) -> BlockKind {
    if is_large(paragraph, body) {
        let rank = sizes.iter().position(|s| *s == tenths(paragraph.size)).unwrap_or(0);
        return BlockKind::Heading { level: u8::try_from(rank + 1).unwrap_or(6).min(6) };
    }
    if paragraph.is_item {
        return BlockKind::ListItem { depth: 0 };
    }
    let is_line = paragraph.lines == 1
        && paragraph.text.chars().count() <= BOLD_HEADING_CHARS
        && !paragraph.text.ends_with(['.', ',', ';', ':']);
    if paragraph.is_bold && is_line {
        return BlockKind::Heading { level: u8::try_from(sizes.len() + 1).unwrap_or(6).min(6) };
    }
    BlockKind::Paragraph
}

fn is_large(paragraph: &Paragraph, body: i32) -> bool {
    paragraph.rows.is_empty()
        && tenths(paragraph.size) as f32 > body as f32 * HEADING_RATIO
        && paragraph.text.chars().count() <= HEADING_CHARS
}

/// The size that most characters have, in tenths of a point.
fn body_size(parts: &[PagePart]) -> i32 {
    let mut by_size: BTreeMap<i32, usize> = BTreeMap::new();
    for part in parts.iter().filter(|p| p.hidden.is_none()) {
        let chars =
            part.paragraph.text.len() + part.paragraph.rows.iter().flatten().map(String::len).sum::<usize>();
        *by_size.entry(tenths(part.paragraph.size)).or_default() += chars;
    }
    by_size.into_iter().max_by_key(|(size, chars)| (*chars, -size)).map_or(100, |(size, _)| size)
}

/// Sizes of headings, largest first.
fn heading_sizes(parts: &[PagePart], body: i32) -> Vec<i32> {
    let mut sizes: Vec<i32> = parts
        .iter()
        .filter(|p| p.hidden.is_none() && is_large(&p.paragraph, body))
        .map(|p| tenths(p.paragraph.size))
        .collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    sizes
}

/// Tenths of a point, to half a point, so that sizes of rounding programs compare equal.
fn tenths(size: f32) -> i32 {
    (size * 2.0).round() as i32 * 5
}

/// Drops first and last lines that repeat, but for their digits, on most pages: running heads, page numbers.
fn without_running_lines(parts: Vec<PagePart>) -> Vec<PagePart> {
    let mut edges: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for (n, part) in parts.iter().enumerate().filter(|(_, p)| p.hidden.is_none()) {
        edges.entry(part.page).and_modify(|e| e.1 = n).or_insert((n, n));
    }
    if edges.len() < REPEAT_FROM_PAGES {
        return parts;
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let key = |n: usize| parts.get(n).map(|p| masked(&p.paragraph)).unwrap_or_default();
    for (first, last) in edges.values() {
        *seen.entry(key(*first)).or_default() += 1;
        if first != last {
            *seen.entry(key(*last)).or_default() += 1;
        }
    }
    let is_running =
        |n: usize| !key(n).is_empty() && seen.get(&key(n)).is_some_and(|count| count * 5 >= edges.len() * 3);
    let dropped: Vec<usize> =
        edges.values().flat_map(|(first, last)| [*first, *last]).filter(|n| is_running(*n)).collect();
    parts.into_iter().enumerate().filter(|(n, _)| !dropped.contains(n)).map(|(_, p)| p).collect()
}

/// Text with its digits masked; long text and tables never count as running lines.
fn masked(paragraph: &Paragraph) -> String {
    if !paragraph.rows.is_empty() || paragraph.lines > 1 || paragraph.text.len() > 120 {
        return String::new();
    }
    // Runs of digits count as one, so that pages 9 and 10 are alike.
    let mut out = String::new();
    for c in paragraph.text.chars() {
        match c {
            c if !c.is_ascii_digit() => out.push(c),
            _ if !out.ends_with('#') => out.push('#'),
            _ => {}
        }
    }
    out
}
