//! Walks the tree of a page and emits its blocks.

use std::ops::Range;

use ego_tree::NodeRef;
use scraper::{ElementRef, Node};

use super::super::build::{Builder, Inline};
use super::super::{BlockKind, Link, Origin, WarningCode};
use super::align::Aligner;
use super::style::{Look, Sheet};
use super::table;

/// Elements whose content is no text of the page. `noscript` speaks only to browsers without scripts.
pub(super) const DROPPED: [&str; 19] = [
    "script", "style", "template", "noscript", "iframe", "object", "embed", "svg", "math", "canvas", "audio",
    "video", "select", "datalist", "textarea", "head", "nav", "meter", "progress",
];
const INLINE: [&str; 38] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del", "dfn", "em",
    "font", "i", "img", "input", "ins", "kbd", "label", "map", "mark", "output", "picture", "q", "ruby", "s",
    "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u",
];
/// Deepest nesting that is read; real pages stay below 100.
const MAX_DEPTH: usize = 220;

/// True for what stands beside the text of a page: headers, footers and asides, and what calls itself one of them.
pub(super) fn is_beside(el: ElementRef<'_>) -> bool {
    let stands_in = |names: &[&str]| {
        el.ancestors().filter_map(ElementRef::wrap).any(|outer| names.contains(&outer.value().name()))
    };
    match el.value().name() {
        "aside" => true,
        "footer" => !stands_in(&["blockquote"]),
        "header" => !stands_in(&["article", "section", "main", "blockquote"]),
        _ => {
            matches!(el.attr("role"), Some("banner" | "complementary" | "contentinfo" | "navigation"))
        }
    }
}

/// State of the walk.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    out: Builder,
    aligner: Aligner<'a>,
    sheet: &'a Sheet,
    pub(super) inline: Inline,
    range: Option<Range<usize>>,
    kind: BlockKind,
    lists: u8,
    /// Inside of a heading or cell, where blocks of the page only part words.
    flat: u32,
    is_cut: bool,
    leaves_out: bool,
}

impl<'a> Walker<'a> {
    pub(super) fn new(out: Builder, aligner: Aligner<'a>, sheet: &'a Sheet, leaves_out: bool) -> Self {
        Self {
            out,
            aligner,
            sheet,
            inline: Inline::default(),
            range: None,
            kind: BlockKind::Paragraph,
            lists: 0,
            flat: 0,
            is_cut: false,
            leaves_out,
        }
    }

    /// Walks an element; what its ancestors hide is hidden in it too.
    pub(super) fn start(&mut self, el: ElementRef<'_>) {
        let mut look = Look::default();
        let ancestors: Vec<_> = el.ancestors().filter_map(ElementRef::wrap).collect();
        for ancestor in ancestors.into_iter().rev() {
            look = look.inside(ancestor, self.sheet);
        }
        self.element(el, &look, 0);
        self.flush();
    }

    pub(super) fn finish(mut self) -> Builder {
        if self.is_cut {
            self.out.warn(WarningCode::NestedTooDeep, MAX_DEPTH.to_string());
        }
        self.out
    }

    pub(super) fn children(&mut self, node: NodeRef<'_, Node>, look: &Look, depth: usize) {
        for child in node.children() {
            if let Some(text) = child.value().as_text() {
                self.text(text, look);
            } else if let Some(el) = ElementRef::wrap(child) {
                self.element(el, look, depth + 1);
            }
        }
    }

    fn text(&mut self, text: &str, look: &Look) {
        if let Some(reason) = look.hidden() {
            self.aligner.locate(text);
            self.out.hidden(text, reason, None);
            return;
        }
        if let Some(found) = self.aligner.locate(text) {
            self.range = Some(match self.range.take() {
                Some(r) => r.start.min(found.start)..r.end.max(found.end),
                None => found,
            });
        }
        self.inline.push(text);
    }

    fn element(&mut self, el: ElementRef<'_>, outer: &Look, depth: usize) {
        let name = el.value().name();
        if DROPPED.contains(&name) || (self.leaves_out && depth > 0 && is_beside(el)) {
            return;
        }
        if depth > MAX_DEPTH {
            self.is_cut = true;
            return;
        }
        let look = outer.inside(el, self.sheet);
        if look.hidden().is_some() {
            // A hidden element makes no block, but something inside it may be made visible again.
            self.children(*el, &look, depth);
            return;
        }
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading(el, &look, depth),
            "br" if self.flat > 0 => self.inline.blank(),
            "br" => self.inline.line_break(),
            "hr" => self.flush(),
            "ul" | "ol" | "menu" => self.list(el, &look, depth),
            "li" | "dd" => self.item(el, &look, depth),
            "pre" => self.pre(el, &look),
            "table" if self.flat == 0 && table::is_data(el) => self.table(el, &look, depth),
            "a" => self.link(el, &look, depth),
            name if INLINE.contains(&name) => self.children(*el, &look, depth),
            _ => {
                self.flush();
                self.children(*el, &look, depth);
                self.flush();
            }
        }
    }

    fn heading(&mut self, el: ElementRef<'_>, look: &Look, depth: usize) {
        self.flush();
        let level = el.value().name().bytes().last().map_or(1, |b| b.saturating_sub(b'0'));
        let outer = std::mem::replace(&mut self.kind, BlockKind::Heading { level });
        self.flat += 1;
        self.children(*el, look, depth);
        self.flat -= 1;
        self.flush();
        self.kind = outer;
    }

    fn list(&mut self, el: ElementRef<'_>, look: &Look, depth: usize) {
        self.flush();
        self.lists = self.lists.saturating_add(1);
        self.children(*el, look, depth);
        self.flush();
        self.lists = self.lists.saturating_sub(1);
    }

    fn item(&mut self, el: ElementRef<'_>, look: &Look, depth: usize) {
        self.flush();
        let depth_of_list = self.lists.saturating_sub(1);
        let outer = std::mem::replace(&mut self.kind, BlockKind::ListItem { depth: depth_of_list });
        self.children(*el, look, depth);
        self.flush();
        self.kind = outer;
    }

    fn link(&mut self, el: ElementRef<'_>, look: &Look, depth: usize) {
        self.inline.text.reserve(1);
        let byte_start = self.inline.text.len();
        self.children(*el, look, depth);
        let text = self.inline.text.get(byte_start..).unwrap_or_default();
        let byte_start = byte_start + (text.len() - text.trim_start().len());
        let byte_end = self.inline.text.trim_end().len();
        if let Some(url) = el.value().attr("href").filter(|u| !u.starts_with('#') && byte_start < byte_end) {
            self.inline.links.push(Link { url: url.trim().to_owned(), byte_start, byte_end });
        }
    }

    fn pre(&mut self, el: ElementRef<'_>, look: &Look) {
        self.flush();
        let mut code = String::new();
        let hidden_inside = self.visible_text(*el, look, &mut code, 0);
        if let Some(found) = self.aligner.locate(&code) {
            self.range = Some(found);
        }
        let origin = self.origin();
        self.out.raw_block(BlockKind::Code, code.trim_matches('\n'), origin);
        self.is_cut |= hidden_inside;
    }

    /// Text with its white space; returns true when something was nested too deep.
    fn visible_text(
        &mut self,
        node: NodeRef<'_, Node>,
        look: &Look,
        into: &mut String,
        depth: usize,
    ) -> bool {
        let mut is_cut = depth > MAX_DEPTH;
        for child in node.children().filter(|_| depth <= MAX_DEPTH) {
            if let Some(text) = child.value().as_text() {
                match look.hidden() {
                    Some(reason) => self.out.hidden(text, reason, None),
                    None => into.push_str(text),
                }
            } else if let Some(el) = ElementRef::wrap(child)
                && !DROPPED.contains(&el.value().name())
            {
                let inner = look.inside(el, self.sheet);
                is_cut |= self.visible_text(child, &inner, into, depth + 1);
            }
        }
        is_cut
    }

    fn table(&mut self, el: ElementRef<'_>, look: &Look, depth: usize) {
        self.flush();
        let mut rows = Vec::new();
        let mut has_header = false;
        for (n, row) in table::rows(el).into_iter().enumerate() {
            let row_look = table::look_of_row(row, el, look, self.sheet);
            let cells: Vec<_> = table::cells(row);
            has_header |= n == 0 && !cells.is_empty() && cells.iter().all(|c| c.value().name() == "th");
            rows.push(cells.into_iter().map(|c| self.cell(c, &row_look, depth)).collect());
        }
        let origin = self.origin();
        self.out.table(&rows, has_header, origin);
    }

    fn cell(&mut self, el: ElementRef<'_>, look: &Look, depth: usize) -> String {
        let look = look.inside(el, self.sheet);
        self.flat += 1;
        self.children(*el, &look, depth + 1);
        self.flat -= 1;
        self.inline.take().text
    }

    /// Ends the block in hand.
    fn flush(&mut self) {
        if self.flat > 0 {
            self.inline.blank();
            return;
        }
        let inline = self.inline.take();
        let origin = self.origin();
        if !inline.is_blank() {
            self.out.block(self.kind, &inline, origin);
        }
    }

    fn origin(&mut self) -> Origin {
        let range = self.range.take().and_then(|r| self.aligner.file_range(r));
        range.map(Origin::bytes).unwrap_or_default()
    }
}
