//! PDF (ISO 32000): the text layer in reading order, with page numbers.
//!
//! Letters are placed by the content streams, so lines, columns, tables and headings are found from where they
//! stand and how large they are. Kept apart as hidden: letters in the colour of what lies behind them, letters
//! too small to read or off the page, and invisible letters unless a scanned image lies behind them (then they
//! are the text layer of character recognition). Any encrypted file is refused, one that opens without a
//! password too, since its owner restricted it.

mod blocks;
mod budget;
mod cmap;
mod font;
mod interpret;
mod layout;
mod matrix;
mod metrics;

use std::collections::BTreeMap;

use lopdf::{DecompressError, Dictionary, Document, LoadOptions, Object, ObjectId, decode_text_string};
use neonhub_core::{Error, ErrorKind, Result};

use super::build::Builder;
use super::format::{Format, broken, contains};
use super::{Extracted, HiddenReason, MAX_PAGES, MAX_UNPACKED_BYTES, OP, WarningCode};
use blocks::PagePart;
use budget::{Budget, MAX_OBJECT_STREAM_BYTES, MAX_STREAM_BYTES, bomb};
use interpret::{Interpreter, Page};

/// Extracts a PDF.
pub(crate) fn extract(bytes: &[u8]) -> Result<Extracted> {
    extract_within(bytes, MAX_UNPACKED_BYTES)
}

/// Extracts a PDF whose streams unpack to so many bytes at most.
pub(crate) fn extract_within(bytes: &[u8], unpacked: usize) -> Result<Extracted> {
    let mut budget = Budget::of(unpacked);
    let doc = load(bytes, &mut budget)?;
    let pages = doc.get_pages();
    if pages.is_empty() {
        return Err(broken("the PDF has no readable page: it is truncated or damaged"));
    }
    if pages.len() > MAX_PAGES {
        return Err(Error::invalid(OP, "bytes", "expected at most 5000 pages: split the document")
            .with_context("pages", pages.len()));
    }
    let mut out = Builder::new(Format::Pdf);
    out.pages(u32::try_from(pages.len()).unwrap_or(u32::MAX));
    properties(&doc, &mut out);
    let mut fonts = BTreeMap::new();
    let mut parts: Vec<PagePart> = Vec::new();
    for (number, id) in pages {
        match read_page(&doc, id, &mut fonts, &mut budget) {
            Some(page) => parts.extend(page_parts(page, number, &mut out)),
            None => out.warn(WarningCode::PageUnreadable, number.to_string()),
        }
        if let Some(fault) = budget.fault() {
            return Err(fault.with_context("page", number));
        }
    }
    blocks::emit(parts, &mut out);
    Ok(out.finish())
}

fn load(bytes: &[u8], budget: &mut Budget) -> Result<Document> {
    // The end mark stands in the last 1024 bytes by the reader's rule of ISO 32000-1, Annex H; real files
    // append more, but a file without any mark was cut off.
    let tail = bytes.get(bytes.len().saturating_sub(4096)..).unwrap_or_default();
    if !contains(tail, b"%%EOF") {
        return Err(broken("the PDF is truncated: its end mark %%EOF is missing: upload it again"));
    }
    let options = LoadOptions {
        filter: Some(budget::weigh),
        max_decompressed_size: Some(MAX_OBJECT_STREAM_BYTES),
        ..LoadOptions::default()
    };
    let encrypted = || {
        Error::new(
            ErrorKind::Unsupported,
            OP,
            "the PDF is encrypted: remove its protection and upload it again",
        )
    };
    budget::open(*budget);
    let loaded = Document::load_mem_with_options(bytes, options);
    *budget = budget::opened();
    if let Some(fault) = budget.fault() {
        return Err(fault);
    }
    match loaded {
        Ok(doc) if doc.is_encrypted() || doc.was_encrypted() => Err(encrypted()),
        Ok(doc) => Ok(doc),
        Err(lopdf::Error::InvalidPassword | lopdf::Error::Decryption(_)) => Err(encrypted()),
        Err(cause @ lopdf::Error::Decompress(DecompressError::MemoryLimitExceeded { .. })) => {
            Err(bomb("16 MiB in one stream of objects").with_source(cause))
        }
        Err(cause) if contains(tail, b"/Encrypt") => Err(encrypted().with_source(cause)),
        Err(cause) => {
            Err(broken("the PDF is damaged: its cross-reference data cannot be read").with_source(cause))
        }
    }
}

/// Title, author and language of the document.
fn properties(doc: &Document, out: &mut Builder) {
    let info = doc.trailer.get_deref(b"Info", doc).and_then(Object::as_dict);
    let text = |key: &[u8]| decode_text_string(info.as_ref().ok()?.get_deref(key, doc).ok()?).ok();
    for (key, name) in [(&b"Author"[..], "author"), (b"Subject", "subject"), (b"Keywords", "keywords")] {
        if let Some(value) = text(key) {
            out.meta(name, &value);
        }
    }
    if let Some(title) = text(b"Title").filter(|t| !is_file_name(t)) {
        out.title(&title);
        out.meta("title", &title);
    }
    if let Some(Ok(lang)) = doc.catalog().ok().and_then(|c| c.get(b"Lang").ok()).map(decode_text_string) {
        out.meta("language", &lang);
    }
}

/// Office programs and browsers write the file name of the source as title; that is no title.
fn is_file_name(title: &str) -> bool {
    let title = title.trim().to_ascii_lowercase();
    title.starts_with("microsoft word - ")
        || [".doc", ".docx", ".odt", ".htm", ".html", ".pdf", ".indd", ".tex", ".pptx", ".md", ".txt"]
            .iter()
            .any(|ending| title.ends_with(ending))
}

fn read_page<'a>(
    doc: &'a Document,
    id: ObjectId,
    fonts: &mut font::Cache,
    budget: &mut Budget,
) -> Option<Page> {
    let content = budget.take(MAX_STREAM_BYTES, |limit| doc.get_page_content_with_limit(id, limit))?;
    let resources: &'a Dictionary = match inherited(doc, id, b"Resources").map(Object::as_dict) {
        Some(Ok(resources)) => resources,
        _ => return Some(Page::default()),
    };
    let mut interpreter = Interpreter::new(doc, fonts, budget, media_box(doc, id));
    interpreter.run(&content, resources);
    Some(interpreter.finish())
}

/// A page attribute, from the page or the nearest of its ancestors.
fn inherited<'a>(doc: &'a Document, page: ObjectId, key: &[u8]) -> Option<&'a Object> {
    let mut node = doc.get_dictionary(page).ok()?;
    for _ in 0..32 {
        if let Ok(value) = node.get_deref(key, doc) {
            return Some(value);
        }
        node = doc.get_dictionary(node.get(b"Parent").and_then(Object::as_reference).ok()?).ok()?;
    }
    None
}

fn media_box(doc: &Document, page: ObjectId) -> Option<[f32; 4]> {
    let corners: Vec<f32> = inherited(doc, page, b"MediaBox")?
        .as_array()
        .ok()?
        .iter()
        .filter_map(|n| doc.dereference(n).ok()?.1.as_float().ok())
        .collect();
    match corners.as_slice() {
        [a, b, c, d] => Some([a.min(*c), b.min(*d), a.max(*c), b.max(*d)]),
        _ => None,
    }
}

/// Paragraphs of one page; hidden runs go to the builder at once.
fn page_parts(page: Page, number: u32, out: &mut Builder) -> Vec<PagePart> {
    let is_scan = page.has_large_image;
    let mut shown = Vec::new();
    let mut hidden = Vec::new();
    let mut recognised = 0;
    for run in page.runs {
        match run.hidden {
            Some(HiddenReason::Invisible) if is_scan => {
                recognised += 1;
                shown.push(run);
            }
            Some(reason) => hidden.push((reason, run)),
            None => shown.push(run),
        }
    }
    let has_text = shown.iter().any(|r| !r.text.trim().is_empty());
    if !has_text && page.has_image {
        out.warn(WarningCode::NeedsOcr, number.to_string());
    }
    if recognised > 0 {
        out.warn(WarningCode::OcrLayer, number.to_string());
    }
    if page.unmapped > 0 {
        out.warn(WarningCode::UnmappedFont, number.to_string());
    }
    let mut parts: Vec<PagePart> =
        hidden.into_iter().map(|(reason, run)| PagePart::hidden(number, reason, run.text)).collect();
    parts.extend(layout::paragraphs(shown).into_iter().map(|p| PagePart::shown(number, p)));
    parts
}
