//! Headings, list items, table rows and paragraphs of a document, from Markdown or from the plain text of a
//! PDF or DOCX file, each with its byte span and the headings above it.

use crate::voice::text::{Span, is_list_mark};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Heading,
    Item,
    Paragraph,
    Row(Vec<Span>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) kind: Kind,
    /// Without marks and outer blanks.
    pub(super) span: Span,
    /// Headings above, outermost first.
    pub(super) path: Vec<String>,
}

/// What a block of a known outline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutlineKind {
    /// A heading of this level, 1 the highest.
    Heading(u8),
    /// Running prose.
    Paragraph,
    /// One item of a list.
    Item,
    /// A table: one line per row, cells parted by `|`.
    Table,
}

/// One block of a known outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlineBlock {
    /// What it is.
    pub kind: OutlineKind,
    /// Where it stands in the text.
    pub span: Span,
}

struct Line<'t> {
    text: &'t str,
    span: Span,
    is_indented: bool,
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut at = 0;
    let mut out = Vec::new();
    for raw in text.split_inclusive(['\n', '\u{c}']) {
        let lead = raw.len() - raw.trim_start().len();
        let body = raw.trim();
        let span = Span::new(at + lead, at + lead + body.len());
        out.push(Line { text: body, span, is_indented: lead > 0 });
        at += raw.len();
    }
    out
}

pub(super) fn blocks(text: &str) -> Vec<Block> {
    let lines = lines(text);
    let mut out: Vec<Block> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (i, line) in lines.iter().enumerate() {
        let next = lines.get(i + 1).map(|l| l.text);
        let before_blank = i.checked_sub(1).and_then(|p| lines.get(p)).is_none_or(|l| l.text.is_empty());
        let is_blank = line.text.trim_start_matches('>').trim().is_empty();
        if is_blank || is_rule(line.text) {
            open = false;
            continue;
        }
        if let Some((level, body)) = heading(line, next, before_blank && !(open && line.is_indented)) {
            path.retain(|(l, _)| *l < level);
            path.push((level, plain(body.of(text))));
            out.push(Block { kind: Kind::Heading, span: body, path: names(&path) });
            open = false;
            continue;
        }
        if let Some(cells) = cells(line) {
            out.push(Block { kind: Kind::Row(cells), span: line.span, path: names(&path) });
            open = false;
            continue;
        }
        let (kind, span) = match item(line) {
            Some(body) => (Kind::Item, body),
            None => (Kind::Paragraph, quote_body(line)),
        };
        if kind == Kind::Paragraph
            && open
            && let Some(last) = out.last_mut()
        {
            last.span.end = span.end;
            continue;
        }
        out.push(Block { kind, span, path: names(&path) });
        open = true;
    }
    out
}

/// Blocks of a document whose outline is known, such as one read from DOCX or Markdown.
pub(super) fn outlined(text: &str, outline: &[OutlineBlock]) -> Vec<Block> {
    let mut out: Vec<Block> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    for block in outline {
        let kind = match block.kind {
            OutlineKind::Heading(level) => {
                let level = usize::from(level);
                path.retain(|(l, _)| *l < level);
                path.push((level, plain(block.span.of(text))));
                Kind::Heading
            }
            OutlineKind::Paragraph => Kind::Paragraph,
            OutlineKind::Item => Kind::Item,
            OutlineKind::Table => {
                for line in lines(block.span.of(text)) {
                    let line = Line { span: line.span.shifted(block.span.start), ..line };
                    if let Some(cells) = cells(&line) {
                        out.push(Block { kind: Kind::Row(cells), span: line.span, path: names(&path) });
                    }
                }
                continue;
            }
        };
        out.push(Block { kind, span: block.span, path: names(&path) });
    }
    out
}

fn names(path: &[(usize, String)]) -> Vec<String> {
    path.iter().map(|(_, n)| n.clone()).collect()
}

fn is_rule(line: &str) -> bool {
    let marks = line.chars().filter(|c| !c.is_whitespace()).count();
    marks >= 3
        && line.chars().all(|c| matches!(c, '-' | '=' | '_' | '*' | '|' | ':' | '+') || c.is_whitespace())
}

/// A Markdown heading, a bold line alone, or in plain text a short line without an end mark that starts a
/// paragraph or ends in a colon.
fn heading(line: &Line<'_>, next: Option<&str>, fresh: bool) -> Option<(usize, Span)> {
    let hashes = line.text.len() - line.text.trim_start_matches('#').len();
    if (1..=6).contains(&hashes) {
        let body = line.text.trim_start_matches('#').trim().trim_end_matches('#').trim_end();
        let start = line.span.end - line.text.trim_start_matches('#').trim_start().len();
        return Some((hashes, Span::new(start, start + body.len())));
    }
    let words = line.text.split_whitespace().count();
    let bold =
        line.text.strip_prefix("**").and_then(|t| t.strip_suffix("**").or_else(|| t.strip_suffix("**:")));
    if bold.is_some_and(|b| !b.contains("**") && words <= 8) {
        return Some((7, line.span));
    }
    let underlined =
        next.is_some_and(|n| n.len() >= 3 && (n.bytes().all(|b| b == b'=') || n.bytes().all(|b| b == b'-')));
    let starts_well = line.text.chars().next().is_some_and(|c| c.is_uppercase() || c.is_numeric());
    let ends_open = !line.text.ends_with(['.', '!', '?', ',', ';', '"', '\u{201d}', ')']);
    let short = (1..=7).contains(&words) && line.text.chars().count() <= 60;
    let plain_line =
        item(line).is_none() && !line.text.contains('|') && !line.text.starts_with(['>', '"', '\u{201c}']);
    let colon_title = line.text.ends_with(':') && words <= 5;
    let inner_colon = line.text.trim_end_matches(':').contains(": ");
    let followed = next.is_some_and(|n| {
        n.is_empty() || is_list_mark(n) || n.chars().count() > line.text.chars().count() || colon_title
    });
    let ok = plain_line
        && short
        && starts_well
        && ends_open
        && !inner_colon
        && (fresh || colon_title)
        && followed
        && next.is_some();
    // A line in the middle of wrapped text is not a heading, so plain headings rank below Markdown ones.
    (underlined && plain_line || ok).then(|| {
        let body = line.text.trim_end_matches(':');
        (if underlined { 1 } else { 8 }, Span::new(line.span.start, line.span.start + body.len()))
    })
}

fn item(line: &Line<'_>) -> Option<Span> {
    if !is_list_mark(line.text) {
        return None;
    }
    let marks = |c: char| {
        matches!(c, '-' | '*' | '+' | '\u{2013}' | '\u{2014}' | '\u{2022}' | '\u{25aa}' | '\u{25cf}')
    };
    let first = line.text.chars().next()?;
    let body = if first.is_ascii_digit() {
        line.text.trim_start_matches(|c: char| c.is_ascii_digit()).get(1..)?
    } else {
        line.text.get(first.len_utf8()..).filter(|_| marks(first))?
    };
    let body = body.trim_start();
    let body = body.strip_prefix("[ ] ").or_else(|| body.strip_prefix("[x] ")).unwrap_or(body);
    Some(Span::new(line.span.end - body.len(), line.span.end))
}

fn quote_body(line: &Line<'_>) -> Span {
    let body = line.text.trim_start_matches(['>', ' ']);
    Span::new(line.span.end - body.len(), line.span.end)
}

/// Cells of a table row: `a | b`, `| a | b |` or columns split by tabs.
fn cells(line: &Line<'_>) -> Option<Vec<Span>> {
    let mark = if line.text.contains('|') { '|' } else { '\t' };
    if !line.text.contains(mark) {
        return None;
    }
    let mut out = Vec::new();
    let mut at = line.span.start;
    for part in line.text.split(mark) {
        let lead = part.len() - part.trim_start().len();
        let body = part.trim();
        if !body.is_empty() {
            out.push(Span::new(at + lead, at + lead + body.len()));
        }
        at += part.len() + 1;
    }
    (out.len() >= 2).then_some(out)
}

/// Text without Markdown emphasis, code marks and link targets, blanks folded.
pub(super) fn plain(text: &str) -> String {
    let unquoted: Vec<&str> = text.lines().map(|l| l.trim_start().trim_start_matches("> ")).collect();
    let joined = unquoted.join("\n");
    let mut out = String::with_capacity(text.len());
    let mut rest = joined.as_str();
    while let Some(open) = rest.find('[') {
        let (head, tail) = rest.split_at(open);
        out.push_str(head);
        let link = tail.find("](").and_then(|m| tail.get(m..)?.find(')').map(|e| (m, m + e)));
        match link.filter(|(m, _)| tail.get(1..*m).is_some_and(|l| !l.contains('\n'))) {
            Some((m, end)) => {
                out.push_str(tail.get(1..m).unwrap_or(""));
                rest = tail.get(end + 1..).unwrap_or("");
            }
            None => {
                out.push('[');
                rest = tail.get(1..).unwrap_or("");
            }
        }
    }
    out.push_str(rest);
    let bare: String = out.replace("**", "").replace("__", "").replace('`', "");
    let folded = bare.split_whitespace().collect::<Vec<_>>().join(" ");
    strip_single_marks(&folded)
}

/// Takes `*word*` and `_word_` marks away, not lone ones (`5 * 3`, `snake_case`).
fn strip_single_marks(text: &str) -> String {
    let word = |w: &str| {
        let core = w.trim_matches(['*', '_']);
        if core.is_empty() {
            w.to_owned()
        } else if w.starts_with(['*', '_'])
            || w.trim_end_matches(['.', ',', ';', ':', '!', '?']).ends_with('*')
        {
            w.replace('*', "").trim_start_matches('_').trim_end_matches('_').to_owned()
        } else {
            w.to_owned()
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_split_into_blocks() {
        let text = "# Voice\n\nWe are\nwarm.\n\n## Words\n- **guests**, not customers\n- tea\n  and cake\n\n| Say | Not |\n|---|---|\n| a | b |\n";
        let found = blocks(text);
        let kinds: Vec<_> =
            found.iter().map(|b| (matches!(b.kind, Kind::Heading), plain(b.span.of(text)))).collect();
        assert_eq!(kinds[0], (true, "Voice".into()));
        assert_eq!(kinds[1], (false, "We are warm.".into()));
        assert_eq!(kinds[3], (false, "guests, not customers".into()));
        assert_eq!(kinds[4], (false, "tea and cake".into()));
        assert_eq!(found[4].path, ["Voice", "Words"]);
        assert!(matches!(&found[6].kind, Kind::Row(c) if c.len() == 2 && c[1].of(text) == "b"));
    }

    #[test]
    fn plain_text_of_a_pdf_is_split_too() {
        let text = "Our voice\n\nWe write the way we speak in the shop, with short\nwords and time to listen.\n\nWords we avoid\n\u{2022} cheap\n\u{2022} hurry\n";
        let found = blocks(text);
        assert_eq!(found.iter().filter(|b| b.kind == Kind::Heading).count(), 2);
        assert_eq!(found.iter().filter(|b| b.kind == Kind::Item).count(), 2);
        assert_eq!(found[3].path, ["Words we avoid"]);
    }

    #[test]
    fn marks_are_taken_away() {
        assert_eq!(
            plain("Say **guests**, _never_ `users` ([why](https://a.example))."),
            "Say guests, never users (why)."
        );
        assert_eq!(plain("5 * 3 and snake_case [x]"), "5 * 3 and snake_case [x]");
    }
}
