//! Word documents (Office Open XML, ISO/IEC 29500): headings, lists, tables, footnotes.
//!
//! Kept apart as hidden: runs with the hidden font effect (directly or by style), white letters on white, and
//! letters under two points. Dropped: what tracked changes deleted, field codes, comments, headers, footers and
//! macros. Relations to outside files are never followed.

mod body;
mod styles;
mod xml;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use neonhub_core::{Error, ErrorKind, Result};
use zip::ZipArchive;
use zip::result::ZipError;

use super::build::Builder;
use super::format::{Format, broken};
use super::{Extracted, MAX_UNPACKED_BYTES, OP, WarningCode};
use body::{Body, Parts};
use styles::Styles;

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

const MAIN: &str = "word/document.xml";
/// Highest allowed ratio of unpacked to packed bytes; XML of real documents stays below 30.
const MAX_RATIO: usize = 100;
/// Below this size a high ratio is no danger: a page of one repeated word reaches 200.
const RATIO_FROM_BYTES: usize = 1024 * 1024;

/// Extracts a Word document.
pub(crate) fn extract(bytes: &[u8]) -> Result<Extracted> {
    extract_within(bytes, MAX_UNPACKED_BYTES)
}

/// Extracts a Word document whose parts unpack to so many bytes at most.
pub(crate) fn extract_within(bytes: &[u8], unpacked: usize) -> Result<Extracted> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| {
        broken("the zip container is truncated or damaged: upload the document again").with_source(e)
    })?;
    let mut budget = unpacked;
    let main = part(&mut zip, MAIN, &mut budget)?
        .ok_or_else(|| broken("not a Word document: the part word/document.xml is missing"))?;
    let styles = part(&mut zip, "word/styles.xml", &mut budget)?;
    let styles = styles.as_deref().map(Styles::parse).transpose()?.unwrap_or_default();
    let rels = part(&mut zip, "word/_rels/document.xml.rels", &mut budget)?;
    let links = rels.as_deref().map(relations).transpose()?.unwrap_or_default();

    let mut out = Builder::new(Format::Docx);
    properties(&mut zip, &mut budget, &mut out)?;
    if zip.index_for_name("word/vbaProject.bin").is_some() {
        out.warn(WarningCode::MacrosIgnored, "");
    }
    let mut notes = BTreeMap::new();
    for (name, kind) in [("word/footnotes.xml", "footnote"), ("word/endnotes.xml", "endnote")] {
        if let Some(xml) = part(&mut zip, name, &mut budget)? {
            let parts = Parts { part: name, styles: &styles, links: &links, notes: &BTreeMap::new() };
            notes.extend(Body::new(&xml, parts, &mut out).notes(kind)?);
        }
    }
    let parts = Parts { part: MAIN, styles: &styles, links: &links, notes: &notes };
    Body::new(&main, parts, &mut out).document()?;
    Ok(out.finish())
}

/// Reads one part as text, within the limits; `None` when the container has no such part.
fn part(zip: &mut Archive<'_>, name: &str, budget: &mut usize) -> Result<Option<String>> {
    let file = match zip.by_name(name) {
        Ok(file) => file,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(ZipError::UnsupportedArchive(what)) if what.contains("assword") => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                OP,
                "the document is encrypted: remove its password and upload it again",
            ));
        }
        Err(e) => return Err(damaged(name).with_source(e)),
    };
    let packed = usize::try_from(file.compressed_size()).unwrap_or(usize::MAX);
    let limit = packed.saturating_mul(MAX_RATIO).max(RATIO_FROM_BYTES).min(*budget);
    let mut raw = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut raw).map_err(|e| damaged(name).with_source(e))?;
    if raw.len() > limit {
        return Err(Error::new(
            ErrorKind::Blocked,
            OP,
            "a part unpacks to more than 100 times its size or 200 MiB: the file looks like a zip bomb",
        )
        .with_context("part", name));
    }
    *budget -= raw.len();
    let decoded = super::decode::decode(&raw, None).map_err(|_| damaged(name))?;
    Ok(Some(decoded.text))
}

fn damaged(name: &str) -> Error {
    broken("a part of the document is damaged: save it again and upload it").with_context("part", name)
}

/// Targets of outside links by relation id.
fn relations(text: &str) -> Result<BTreeMap<String, String>> {
    let mut links = BTreeMap::new();
    xml::each_element(text, |el| {
        if el.name == "Relationship" && el.attr("TargetMode").as_deref() == Some("External") {
            links.extend(el.attr("Id").zip(el.attr("Target")));
        }
    })?;
    Ok(links)
}

/// Title and author from the core properties.
fn properties(zip: &mut Archive<'_>, budget: &mut usize, out: &mut Builder) -> Result<()> {
    let Some(core) = part(zip, "docProps/core.xml", budget)? else { return Ok(()) };
    for (name, text) in xml::texts(&core)? {
        match name.as_str() {
            "title" => {
                out.title(&text);
                out.meta("title", &text);
            }
            "creator" => out.meta("author", &text),
            "subject" | "keywords" | "description" | "created" | "modified" | "language" => {
                out.meta(&name, &text);
            }
            _ => {}
        }
    }
    Ok(())
}
