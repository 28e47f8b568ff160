mod bombs;
mod docx;
mod golden;
mod html;
mod mutated;
mod pdf;
mod plain;
pub(crate) mod samples;

use super::{BlockKind, Extracted};

/// Text of the blocks of a kind.
fn texts(page: &Extracted, is: impl Fn(&BlockKind) -> bool) -> Vec<&str> {
    page.blocks.iter().filter(|b| is(&b.kind)).map(|b| page.block_text(b)).collect()
}

fn headings(page: &Extracted) -> Vec<(u8, &str)> {
    page.blocks
        .iter()
        .filter_map(|b| match b.kind {
            BlockKind::Heading { level } => Some((level, page.block_text(b))),
            _ => None,
        })
        .collect()
}

fn items(page: &Extracted) -> Vec<&str> {
    texts(page, |k| matches!(k, BlockKind::ListItem { .. }))
}

fn tables(page: &Extracted) -> Vec<&str> {
    texts(page, |k| matches!(k, BlockKind::Table { .. }))
}

fn hidden(page: &Extracted) -> String {
    page.hidden.iter().map(|h| h.text.as_str()).collect::<Vec<_>>().join(" / ")
}

/// Holds for every extraction: ranges are in order, between them stand line breaks only.
pub(crate) fn check(page: &Extracted) {
    let mut at = 0;
    for block in &page.blocks {
        assert!(block.byte_start >= at && block.byte_end > block.byte_start);
        assert!(page.text[at..block.byte_start].chars().all(|c| c == '\n'));
        at = block.byte_end;
    }
    assert_eq!(at, page.text.len());
    for link in &page.links {
        assert!(page.text.get(link.byte_start..link.byte_end).is_some());
    }
}
