//! From placed runs to paragraphs and tables in reading order.
//!
//! Runs join to rows by their base line, rows to bands that share the same empty gutters. A band with gutters
//! is a table when its cells are short, else text columns, read one after the other.

use super::super::text::list_item;
use super::interpret::Run;

/// Share of the size by which base lines of one row may differ (superscripts).
const SAME_ROW: f32 = 0.45;
/// Gap between two words, as a share of the size.
const WORD_GAP: f32 = 0.15;
/// Gap between two columns, as a share of the size; justified text stays below.
const GUTTER: f32 = 1.1;
/// Cells of a table hold at most this many characters in the middle case; text columns hold more.
const CELL_CHARS: usize = 26;
/// A line gap above this multiple of the size starts a paragraph; bold lines are set closer.
const PARAGRAPH_GAP: f32 = 1.75;
const BOLD_GAP: f32 = 1.45;
/// Columns are often set on different base lines; runs this near in height and a gutter apart share a row.
const SAME_ROW_APART: f32 = 0.8;

/// A paragraph, list item, heading or table of one page; which of them is decided over the whole document.
#[derive(Clone, Debug, Default)]
pub(super) struct Paragraph {
    pub(super) text: String,
    pub(super) size: f32,
    pub(super) is_bold: bool,
    pub(super) is_item: bool,
    pub(super) lines: usize,
    /// Cells, when it is a table.
    pub(super) rows: Vec<Vec<String>>,
}

/// Text between two gutters of a row.
#[derive(Clone, Debug)]
struct Segment {
    x0: f32,
    x1: f32,
    y: f32,
    size: f32,
    text: String,
    is_bold: bool,
}

struct Row {
    y: f32,
    segments: Vec<Segment>,
}

/// Paragraphs of one page in reading order; turned text follows upright text.
pub(super) fn paragraphs(runs: Vec<Run>) -> Vec<Paragraph> {
    let mut by_quarter: [Vec<Run>; 4] = Default::default();
    for run in runs {
        if let Some(group) = by_quarter.get_mut(usize::from(run.quarter)) {
            group.push(run);
        }
    }
    by_quarter.into_iter().flat_map(|runs| read(rows(runs))).collect()
}

fn rows(mut runs: Vec<Run>) -> Vec<Row> {
    runs.sort_by(|a, b| b.y.total_cmp(&a.y).then(a.x.total_cmp(&b.x)));
    let mut groups: Vec<Vec<Run>> = Vec::new();
    for run in runs {
        match groups.last_mut() {
            Some(group) if is_same_row(group, &run) => group.push(run),
            _ => groups.push(vec![run]),
        }
    }
    groups.into_iter().map(row).collect()
}

fn is_same_row(group: &[Run], run: &Run) -> bool {
    let Some(largest) = group.iter().max_by(|a, b| a.size.total_cmp(&b.size)) else { return false };
    let size = largest.size.max(run.size);
    let apart = (largest.y - run.y).abs();
    let is_beside = |other: &Run| {
        run.x - (other.x + other.width) > GUTTER * size || other.x - (run.x + run.width) > GUTTER * size
    };
    apart <= SAME_ROW * size || (apart <= SAME_ROW_APART * size && group.iter().all(is_beside))
}

fn row(mut runs: Vec<Run>) -> Row {
    runs.sort_by(|a, b| a.x.total_cmp(&b.x));
    let y = runs.first().map_or(0.0, |r| r.y);
    let mut segments: Vec<Segment> = Vec::new();
    for run in runs {
        if let Some(last) = segments.last_mut() {
            let gap = run.x - last.x1;
            let size = last.size.max(run.size);
            // A word printed twice with a hair between is a fake bold.
            if run.x - last.x0 < 0.1 * size && run.text == last.text {
                continue;
            }
            if gap <= GUTTER * size {
                if gap > WORD_GAP * size && !last.text.ends_with(' ') && !run.text.starts_with(' ') {
                    last.text.push(' ');
                }
                // The look of a line is that of most of its letters, not of a bullet or a footnote mark.
                if run.text.len() > last.text.len() {
                    (last.size, last.is_bold) = (run.size, run.is_bold);
                }
                last.text.push_str(&run.text);
                last.x1 = last.x1.max(run.x + run.width);
                continue;
            }
        }
        let Run { x, y, width, size, text, is_bold, .. } = run;
        segments.push(Segment { x0: x, x1: x + width, y, size, text, is_bold });
    }
    Row { y, segments }
}

/// An empty stripe from top to bottom of a band.
type Gutter = (f32, f32);

fn read(rows: Vec<Row>) -> Vec<Paragraph> {
    let mut out = Vec::new();
    let mut band: Vec<Row> = Vec::new();
    let mut gutters: Vec<Gutter> = Vec::new();
    for row in rows {
        let next = shared(&gutters, &row, band.is_empty());
        let is_new = match (gutters.is_empty(), next.is_empty()) {
            _ if band.is_empty() => false,
            // The band had gutters and this row would close the last of them.
            (false, true) => true,
            // The band was plain text and this row brings gutters.
            (true, _) => row.segments.len() > 1,
            (false, false) => false,
        };
        if is_new {
            let own = own_gutters(&row);
            // A column may start above the other one: lines right of the new gutters belong to them.
            let is_right = |r: &Row| own.first().is_some_and(|g| r.segments.iter().all(|s| s.x0 >= g.1));
            let kept = band.iter().rposition(|r| !gutters.is_empty() || !is_right(r)).map_or(0, |n| n + 1);
            let pulled = band.split_off(kept);
            out.extend(read_band(std::mem::take(&mut band), &gutters));
            band = pulled;
            gutters = own;
        } else {
            gutters = next;
        }
        band.push(row);
    }
    out.extend(read_band(band, &gutters));
    out
}

fn own_gutters(row: &Row) -> Vec<Gutter> {
    row.segments.windows(2).filter_map(|w| Some((w.first()?.x1, w.get(1)?.x0))).collect()
}

/// Gutters that stay open when a row joins the band.
fn shared(gutters: &[Gutter], row: &Row, is_first: bool) -> Vec<Gutter> {
    if is_first {
        return own_gutters(row);
    }
    let mut open = gutters.to_vec();
    for segment in &row.segments {
        open = open.into_iter().flat_map(|g| cut(g, segment)).collect();
    }
    open
}

/// What a segment leaves of a gutter: the wider of its two sides, if that is still wide enough.
fn cut((from, to): Gutter, segment: &Segment) -> Option<Gutter> {
    let least = 0.6 * segment.size;
    if segment.x1 <= from || segment.x0 >= to {
        return Some((from, to));
    }
    let (left, right) = (segment.x0 - from, to - segment.x1);
    let kept = if left >= right { (from, segment.x0) } else { (segment.x1, to) };
    (kept.1 - kept.0 >= least).then_some(kept)
}

fn read_band(rows: Vec<Row>, gutters: &[Gutter]) -> Vec<Paragraph> {
    let parted = rows.iter().filter(|r| r.segments.len() > 1).count();
    if gutters.is_empty() || parted < 2 {
        return flow(rows.into_iter().filter_map(line_of_row).collect());
    }
    let mut chars: Vec<usize> =
        rows.iter().flat_map(|r| r.segments.iter().map(|s| s.text.trim().chars().count())).collect();
    chars.sort_unstable();
    let middle = chars.get(chars.len() / 2).copied().unwrap_or(0);
    let longest = chars.last().copied().unwrap_or(0);
    if middle <= CELL_CHARS && parted * 2 >= rows.len() && longest <= 4 * CELL_CHARS {
        return table_with_edges(rows, gutters);
    }
    let mut columns: Vec<Vec<Segment>> = vec![Vec::new(); gutters.len() + 1];
    for segment in rows.into_iter().flat_map(|r| r.segments) {
        if let Some(column) = columns.get_mut(column_of(&segment, gutters)) {
            column.push(segment);
        }
    }
    columns.into_iter().flat_map(|column| flow(merge_rows(column))).collect()
}

fn column_of(segment: &Segment, gutters: &[Gutter]) -> usize {
    let middle = f32::midpoint(segment.x0, segment.x1);
    gutters.iter().filter(|(_, to)| middle >= *to).count()
}

/// One row without common gutters reads as one line.
fn line_of_row(row: Row) -> Option<Segment> {
    row.segments.into_iter().reduce(|mut line, next| {
        line.text.push(' ');
        line.text.push_str(&next.text);
        line.x1 = next.x1;
        line.size = line.size.max(next.size);
        line.is_bold &= next.is_bold;
        line
    })
}

/// Segments of one row that fell into the same column.
fn merge_rows(column: Vec<Segment>) -> Vec<Segment> {
    let mut lines: Vec<Segment> = Vec::new();
    for segment in column {
        match lines.last_mut() {
            Some(last) if (last.y - segment.y).abs() <= SAME_ROW * last.size => {
                last.text.push(' ');
                last.text.push_str(&segment.text);
                last.x1 = last.x1.max(segment.x1);
            }
            _ => lines.push(segment),
        }
    }
    lines
}

/// A table, and the lines above and below it that only fell into its first column.
fn table_with_edges(mut rows: Vec<Row>, gutters: &[Gutter]) -> Vec<Paragraph> {
    let (left, right) = rows
        .iter()
        .filter(|r| r.segments.len() > 1)
        .filter_map(|r| r.segments.first())
        .fold((f32::MAX, f32::MIN), |(l, r), s| (l.min(s.x0), r.max(s.x1)));
    let is_prose = |row: &Row| match row.segments.as_slice() {
        [only] => only.x1 > right + only.size || only.x0 < left - only.size,
        _ => false,
    };
    let first = rows.iter().position(|r| !is_prose(r)).unwrap_or(rows.len());
    let last = rows.iter().rposition(|r| !is_prose(r)).map_or(first, |n| n + 1).max(first);
    let after = rows.split_off(last);
    let inner = rows.split_off(first);
    let lines = |rows: Vec<Row>| flow(rows.into_iter().filter_map(line_of_row).collect());
    let mut out = lines(rows);
    out.push(table(inner, gutters));
    out.extend(lines(after));
    out
}

fn table(rows: Vec<Row>, gutters: &[Gutter]) -> Paragraph {
    let mut out = Paragraph { is_bold: true, ..Paragraph::default() };
    let mut last_y = f32::MAX;
    for row in rows {
        let mut cells = vec![String::new(); gutters.len() + 1];
        let starts_left = row.segments.first().is_some_and(|s| column_of(s, gutters) == 0);
        let is_close = last_y - row.y < 1.4 * row.segments.first().map_or(10.0, |s| s.size);
        if out.rows.is_empty() {
            out.is_bold = row.segments.iter().all(|s| s.is_bold);
        }
        out.size = row.segments.iter().fold(out.size, |m, s| m.max(s.size));
        last_y = row.y;
        for segment in row.segments {
            if let Some(cell) = cells.get_mut(column_of(&segment, gutters)) {
                append(cell, &segment.text);
            }
        }
        // A row that starts further right right below another one is the wrapped end of its cells.
        match out.rows.last_mut() {
            Some(last) if !starts_left && is_close => {
                for (cell, more) in last.iter_mut().zip(&cells) {
                    append(cell, more);
                }
            }
            _ => out.rows.push(cells),
        }
    }
    out
}

fn append(to: &mut String, text: &str) {
    let text = text.trim();
    if !to.is_empty() && !text.is_empty() {
        to.push(' ');
    }
    to.push_str(text);
}

/// Lines of one column to paragraphs.
fn flow(lines: Vec<Segment>) -> Vec<Paragraph> {
    let continuations = continuations(&lines);
    let mut out: Vec<Paragraph> = Vec::new();
    for (line, continues) in lines.into_iter().zip(continuations) {
        let text = line.text.trim();
        let marker = list_item(text);
        let continues = continues && marker.is_none();
        match out.last_mut() {
            Some(paragraph) if continues => {
                join(&mut paragraph.text, text);
                paragraph.lines += 1;
                paragraph.is_bold &= line.is_bold;
            }
            _ => out.push(Paragraph {
                text: text.get(marker.unwrap_or(0)..).unwrap_or_default().trim_start().to_owned(),
                size: line.size,
                is_bold: line.is_bold,
                is_item: marker.is_some(),
                lines: 1,
                rows: Vec::new(),
            }),
        }
    }
    out
}

/// True when two lines stand as closely and look as alike as lines of one paragraph do.
fn is_close(above: &Segment, line: &Segment) -> bool {
    let size = above.size.max(line.size);
    let has_same_look = (above.size - line.size).abs() <= 0.08 * size && above.is_bold == line.is_bold;
    let limit = if above.is_bold { BOLD_GAP } else { PARAGRAPH_GAP };
    let gap = above.y - line.y;
    has_same_look && gap > 0.0 && gap <= limit * size
}

/// For each line, whether it goes on with the one above.
fn continuations(lines: &[Segment]) -> Vec<bool> {
    let mut out = Vec::with_capacity(lines.len());
    let mut start = 0;
    for end in 1..=lines.len() {
        let pair = lines.get(end - 1).zip(lines.get(end));
        if pair.is_some_and(|(above, line)| is_close(above, line)) {
            continue;
        }
        let group = lines.get(start..end).unwrap_or_default();
        let right = group.iter().fold(f32::MIN, |m, l| m.max(l.x1));
        let wrapped: Vec<bool> = group.windows(2).map(|pair| is_wrapped(pair, right)).collect();
        // Where most lines end early, each is a line of its own: a list without marks, an address.
        let is_list = wrapped.iter().filter(|w| !**w).count() * 5 > wrapped.len() * 3;
        out.push(false);
        out.extend(wrapped.into_iter().map(|w| w && !is_list));
        start = end;
    }
    out
}

/// True when the line above was full: the first word of the next one would not have fitted.
fn is_wrapped(pair: &[Segment], right: f32) -> bool {
    let [above, line] = pair else { return false };
    let chars = line.text.chars().count().max(1) as f32;
    let word = line.text.split_whitespace().next().map_or(0, |w| w.chars().count()) as f32;
    let needed = (word + 1.0) * (line.x1 - line.x0) / chars + 0.5 * line.size;
    right - above.x1 < needed
}

/// Joins a line; a hyphen at the end of the line above before a small letter parted one word.
fn join(text: &mut String, line: &str) {
    let is_parted = text.ends_with(['-', '\u{ad}', '\u{2010}'])
        && text.chars().rev().nth(1).is_some_and(char::is_lowercase)
        && line.chars().next().is_some_and(char::is_lowercase);
    if is_parted {
        text.pop();
    } else {
        text.push(' ');
    }
    text.push_str(line);
}
