//! Web pages: the visible text of the main part, with headings, lists, tables and links.
//!
//! The main part is the one `main` of the page. Without it: its articles, when they hold at least half of what is left of
//! the page without `header`, `footer`, `nav` and `aside`; else the page without those; and when nothing is left then, the
//! whole page. The header of an article or section stays, for it holds its title, and so does the footer of a quotation.
//!
//! What counts as hidden: the `hidden` attribute, a closed `dialog`, and inline or embedded styles that a
//! browser would apply (`display`, `visibility`, `opacity`, sizes of zero, clipping, letters in the colour of
//! their background). `aria-hidden` is not hidden text: it hides from screen readers what everyone else sees.
//! External style sheets and scripts are never fetched, so a page that relies on them shows more here.

mod align;
mod depth;
mod style;
mod table;
mod walk;

use neonhub_core::Result;
use scraper::{ElementRef, Html, Selector};

use super::build::{Builder, fold};
use super::decode::{Decoded, decode};
use super::format::Format;
use super::{Extracted, WarningCode};
use align::Aligner;
use walk::Walker;

/// Extracts a web page.
pub(crate) fn extract(bytes: &[u8]) -> Result<Extracted> {
    let decoded = decode(bytes, declared_charset(bytes).as_deref())?;
    let mut out = Builder::new(Format::Html);
    if let Some(encoding) = decoded.guessed {
        out.warn(WarningCode::EncodingGuessed, encoding);
    }
    depth::check(&decoded.text)?;
    let page = Html::parse_document(&decoded.text);
    head(&page, &mut out);
    let aligner = Aligner::html(&decoded.text, decoded.cursor());
    Ok(body(&page, &out, || aligner.clone(), true))
}

/// Extracts Markdown that was rendered because it holds raw HTML; byte ranges point into the Markdown.
pub(crate) fn extract_rendered(
    out: &Builder,
    html: &str,
    source: &Decoded,
    body_at: usize,
) -> Result<Extracted> {
    depth::check(html)?;
    let page = Html::parse_document(html);
    let aligner = Aligner::markdown(&source.text, body_at, source.cursor());
    // What stands in a Markdown file is its text, whatever it is marked as.
    Ok(body(&page, out, || aligner.clone(), false))
}

fn body<'s>(page: &Html, out: &Builder, aligner: impl Fn() -> Aligner<'s>, is_page: bool) -> Extracted {
    let sheet = style::Sheet::of(page);
    let mut read = out.clone();
    for part in parts(page, is_page) {
        read = out.clone();
        let left_out = part.left_out(page.root_element());
        if left_out > 0 {
            read.warn(WarningCode::OutsideMain, left_out.to_string());
        }
        let mut walker = Walker::new(read, aligner(), &sheet, part.leaves_out);
        for start in &part.starts {
            walker.start(*start);
        }
        read = walker.finish();
        if read.has_text() {
            break;
        }
    }
    read.finish()
}

/// Where the text of a page stands.
#[derive(Debug)]
struct Part<'a> {
    starts: Vec<ElementRef<'a>>,
    /// Leaves out what stands beside the text: see [`walk::is_beside`].
    leaves_out: bool,
}

/// The parts that may be the text, the best first; the next one is for when the one before shows nothing.
fn parts(page: &Html, is_page: bool) -> Vec<Part<'_>> {
    let root = page.root_element();
    let whole = |leaves_out| Part { starts: vec![root], leaves_out };
    if let Some(main) = main_part(page) {
        return vec![Part { starts: vec![main], leaves_out: false }];
    }
    if !is_page {
        return vec![whole(false)];
    }
    let is_inner = |el: &ElementRef<'_>| {
        el.ancestors().filter_map(ElementRef::wrap).any(|outer| outer.value().name() == "article")
    };
    let mut articles = select(page, "article");
    articles.retain(|el| !is_inner(el) && !within_beside(*el));
    let held: usize = articles.iter().map(|el| size(*el)).sum();
    let mut out = Vec::new();
    if held > 0 && held * 2 >= size(root) {
        out.push(Part { starts: articles, leaves_out: true });
    }
    out.extend([whole(true), whole(false)]);
    out
}

impl Part<'_> {
    /// Characters of the page that do not belong to it.
    fn left_out(&self, root: ElementRef<'_>) -> usize {
        let inside: usize = self.starts.iter().map(|start| chars(*start)).sum();
        let beside: usize = match self.leaves_out {
            true => self.starts.iter().flat_map(|start| besides(*start)).map(chars).sum(),
            false => 0,
        };
        (chars(root) + beside).saturating_sub(inside)
    }
}

/// The outermost elements beside the text, without the start itself.
fn besides(start: ElementRef<'_>) -> Vec<ElementRef<'_>> {
    let mut out = Vec::new();
    let mut open: Vec<_> = start.children().filter_map(ElementRef::wrap).collect();
    while let Some(el) = open.pop() {
        if walk::is_beside(el) {
            out.push(el);
        } else {
            open.extend(el.children().filter_map(ElementRef::wrap));
        }
    }
    out
}

fn within_beside(el: ElementRef<'_>) -> bool {
    el.ancestors().filter_map(ElementRef::wrap).any(walk::is_beside)
}

/// Characters of the text in an element, without what stands beside it.
fn size(el: ElementRef<'_>) -> usize {
    chars(el).saturating_sub(besides(el).into_iter().map(chars).sum())
}

/// Title and description from the head.
fn head(page: &Html, out: &mut Builder) {
    if let Some(title) = select(page, "head title").first() {
        out.title(&title.text().collect::<String>());
    }
    for meta in select(page, "meta[name][content]") {
        let (name, content) =
            (meta.attr("name").unwrap_or_default(), meta.attr("content").unwrap_or_default());
        if ["description", "author", "keywords", "date"].contains(&name.to_ascii_lowercase().as_str()) {
            out.meta(name, content);
        }
    }
    if let Some(lang) = page.root_element().attr("lang") {
        out.meta("language", lang);
    }
}

/// The one `main` element, when the page has exactly one with words in it.
fn main_part(page: &Html) -> Option<ElementRef<'_>> {
    let found = select(page, "main, [role=main]");
    match found.as_slice() {
        [only] if only.text().any(|t| !t.trim().is_empty()) => Some(*only),
        _ => None,
    }
}

/// Characters of the text in an element.
fn chars(el: ElementRef<'_>) -> usize {
    el.descendants()
        .filter_map(|n| {
            let parent = n.parent().and_then(ElementRef::wrap).map_or("", |e| e.value().name());
            let is_text = !walk::DROPPED.contains(&parent) && parent != "title";
            n.value().as_text().filter(|_| is_text)
        })
        .map(|t| fold(t).chars().count())
        .sum()
}

/// Elements that match a selector of ours.
fn select<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    Selector::parse(selector).map(|s| page.select(&s).collect()).unwrap_or_default()
}

/// The charset that the page declares, looked for in its first 1024 bytes (HTML standard, 13.2.3.2).
fn declared_charset(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(bytes.get(..bytes.len().min(1024))?).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let label: String = after
        .trim_start_matches(['"', '\'', ' '])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.'))
        .collect();
    (!label.is_empty()).then_some(label)
}
