//! Tables of data against tables of layout.

use scraper::{Element as _, ElementRef};

use super::style::{Look, Sheet};

/// True for a table of data: no role of layout, no blocks that a data cell would not hold.
pub(super) fn is_data(table: ElementRef<'_>) -> bool {
    if matches!(table.value().attr("role"), Some("presentation" | "none")) {
        return false;
    }
    let mut rows = 0;
    let mut cells = 0;
    for el in table.descendants().skip(1).filter_map(ElementRef::wrap) {
        match el.value().name() {
            "table" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "pre" => return false,
            "tr" => rows += 1,
            "td" | "th" => cells += 1,
            _ => {}
        }
    }
    rows > 0 && cells > rows
}

/// The rows of a table, also inside of `thead`, `tbody` and `tfoot`.
pub(super) fn rows(table: ElementRef<'_>) -> Vec<ElementRef<'_>> {
    table.descendants().filter_map(ElementRef::wrap).filter(|el| el.value().name() == "tr").collect()
}

/// The cells of a row.
pub(super) fn cells(row: ElementRef<'_>) -> Vec<ElementRef<'_>> {
    row.child_elements().filter(|el| matches!(el.value().name(), "td" | "th")).collect()
}

/// The look inside a row, through the elements between it and its table.
pub(super) fn look_of_row(row: ElementRef<'_>, table: ElementRef<'_>, look: &Look, sheet: &Sheet) -> Look {
    let mut path = vec![row];
    let mut at = row.parent_element();
    while let Some(el) = at.filter(|el| el.id() != table.id()) {
        path.push(el);
        at = el.parent_element();
    }
    path.into_iter().rev().fold(look.clone(), |look, el| look.inside(el, sheet))
}
