//! Web pages: the visible text of the main part, with headings, lists, tables and links.
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
    Ok(body(&page, out, aligner))
}

/// Extracts Markdown that was rendered because it holds raw HTML; byte ranges point into the Markdown.
pub(crate) fn extract_rendered(
    out: Builder,
    html: &str,
    source: &Decoded,
    body_at: usize,
) -> Result<Extracted> {
    depth::check(html)?;
    let page = Html::parse_document(html);
    let aligner = Aligner::markdown(&source.text, body_at, source.cursor());
    Ok(body(&page, out, aligner))
}

fn body(page: &Html, mut out: Builder, aligner: Aligner<'_>) -> Extracted {
    let sheet = style::Sheet::of(page);
    let root = page.root_element();
    let chosen = main_part(page);
    if let Some(main) = chosen {
        let left_out = outside(root, main);
        if left_out > 0 {
            out.warn(WarningCode::OutsideMain, left_out.to_string());
        }
    }
    let start = chosen.unwrap_or(root);
    let mut walker = Walker::new(out, aligner, &sheet);
    walker.start(start);
    walker.finish().finish()
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

fn outside(root: ElementRef<'_>, main: ElementRef<'_>) -> usize {
    let count = |el: ElementRef<'_>| {
        el.descendants()
            .filter_map(|n| {
                let parent = n.parent().and_then(ElementRef::wrap).map_or("", |e| e.value().name());
                let is_text = !walk::DROPPED.contains(&parent) && parent != "title";
                n.value().as_text().filter(|_| is_text)
            })
            .map(|t| fold(t).chars().count())
            .sum::<usize>()
    };
    count(root).saturating_sub(count(main))
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
