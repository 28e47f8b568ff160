//! What is promised of knowledge by itself, with nothing downloaded: plain text read and cut, a file until it is found, and
//! how a large space asks and lies on the disk.

use std::time::Instant;

use lopdf::content::{Content, Operation};
use lopdf::{Document, Object, Stream, StringFormat, dictionary};
use neonhub::knowledge::{ChunkOptions, SearchMode, UploadDocument, chunk, extract};

use super::guest::mebibytes;
use super::library::Library;
use super::packages::{Item, items};
use crate::process::cpu;
use crate::{Goal, Result, Row, Runs};

/// Bytes of plain text that are read and cut.
const PLAIN: usize = 16_000_000;
/// Documents of the large space; each is a chunk or a few.
const DOCUMENTS: usize = 100_000;
/// Questions to it.
const QUERIES: usize = 500;
const PAGES: usize = 10;
const LINES: usize = 40;
/// Bytes of a chunk of 512 numbers when a million of them fill 4 GiB.
const BYTES: f64 = 4_294.967_296;

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let count = runs.size(DOCUMENTS);
    let Some(known) = items(count)? else { return Ok(Vec::new()) };
    let text = plain(&known, runs.size(PLAIN));
    let rate = runs.median_of(|| read_and_cut(&text))?;
    let mut rows =
        vec![Row::new("plain text, read and cut, by processor time", rate, "MB/s", Goal::AtLeast(2.0))];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let file = ten_pages(&known)?;
    let took = runs.median_of(|| runtime.block_on(until_found(&file)))?;
    rows.push(Row::new("a PDF of 10 pages, upload until found", took, "ms", Goal::AtMost(2_000.0)));
    let [p50, p95, bytes] = runtime.block_on(large(&many(&known, count)))?;
    rows.push(Row::new(format!("hybrid query p50, {count} documents"), p50, "ms", Goal::Shown));
    rows.push(Row::new(format!("hybrid query p95, {count} documents"), p95, "ms", Goal::AtMost(20.0)));
    rows.push(Row::new("files, for each chunk of 512 numbers", bytes, "bytes", Goal::AtMost(BYTES)));
    Ok(rows)
}

fn plain(items: &[Item], bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 10_000);
    for item in items.iter().cycle() {
        text.push_str(&item.text);
        text.push_str("\n\n");
        if text.len() >= bytes {
            break;
        }
    }
    text
}

/// Megabytes a second.
fn read_and_cut(text: &str) -> Result<f64> {
    let began = cpu()?;
    // A document has at most ten million characters.
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.len().min(4_000_000));
        let read = extract(part, "plain.txt")?;
        if chunk(&read, ChunkOptions::default())?.is_empty() {
            return Err("a text was cut into nothing".into());
        }
        rest = after;
    }
    Ok(text.len() as f64 / 1e6 / (cpu()? - began))
}

/// A PDF whose pages are lines of known items.
fn ten_pages(items: &[Item]) -> Result<Vec<u8>> {
    let words: Vec<&str> =
        items.iter().flat_map(|item| item.text.split_whitespace()).take(PAGES * LINES * 10).collect();
    let mut lines = words.chunks(10).map(|words| words.join(" "));
    let mut document = Document::with_version("1.7");
    let pages = document.new_object_id();
    let font = document
        .add_object(dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica" });
    let mut kids: Vec<Object> = Vec::new();
    for _ in 0..PAGES {
        let mut operations = vec![
            Operation::new("BT", vec![]),
            Operation::new("Tf", vec!["F1".into(), 10.into()]),
            Operation::new("TL", vec![14.into()]),
            Operation::new("Td", vec![50.into(), 780.into()]),
        ];
        for line in lines.by_ref().take(LINES) {
            let shown: Vec<u8> = line.bytes().filter(u8::is_ascii).collect();
            operations.push(Operation::new("Tj", vec![Object::String(shown, StringFormat::Literal)]));
            operations.push(Operation::new("T*", vec![]));
        }
        operations.push(Operation::new("ET", vec![]));
        let content = document.add_object(Stream::new(dictionary! {}, Content { operations }.encode()?));
        let page = dictionary! {
            "Type" => "Page", "Parent" => pages, "Contents" => content,
            "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
            "Resources" => dictionary! { "Font" => dictionary! { "F1" => font } },
        };
        kids.push(document.add_object(page).into());
    }
    let tree = dictionary! { "Type" => "Pages", "Count" => PAGES as i64, "Kids" => kids };
    document.objects.insert(pages, Object::Dictionary(tree));
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes)?;
    Ok(bytes)
}

/// Milliseconds from the upload to the answer that holds it, in a new store.
async fn until_found(file: &[u8]) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let library = Library::open(&folder.path().join("ours.neon").to_string_lossy(), None).await?;
    library.found().await?;
    let upload = UploadDocument::of(library.space, "0.pdf", file);
    let query = extract(file, "0.pdf")?.text.split_whitespace().take(8).collect::<Vec<_>>().join(" ");
    let start = Instant::now();
    let document = library.scope.call(upload).await?;
    let found = library.scope.call(neonhub::knowledge::SearchKnowledge::of(query)).await?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    library.scope.hub().close().await?;
    let is_found = found.hits.iter().any(|hit| hit.document == document.id);
    if is_found { Ok(took) } else { Err("a document that was uploaded is not found".into()) }
}

/// As many items as are wanted: those that come again get a line that no other has.
fn many(known: &[Item], count: usize) -> Vec<Item> {
    let again = |(n, item): (usize, &Item)| match n / known.len().max(1) {
        0 => item.clone(),
        edition => {
            Item { text: format!("{}\n\nEdition {edition} of {}.", item.text, item.name), ..item.clone() }
        }
    };
    known.iter().cycle().take(count).enumerate().map(again).collect()
}

/// Milliseconds of a hybrid question in the middle and for nineteen of twenty, and bytes of all files for each chunk.
async fn large(items: &[Item]) -> Result<[f64; 3]> {
    let folder = tempfile::tempdir()?;
    let library = Library::open(&folder.path().join("ours.neon").to_string_lossy(), None).await?;
    library.found().await?;
    let chunks = library.fill(items, 0, items.len()).await?;
    library.ask(items, SearchMode::Hybrid, None, 10).await?;
    let asked = library.ask(items, SearchMode::Hybrid, None, QUERIES).await?;
    library.scope.hub().close().await?;
    let bytes = mebibytes(folder.path())? * 1_048_576.0 / chunks as f64;
    Ok([asked.p50 / 1e3, asked.p95 / 1e3, bytes])
}
