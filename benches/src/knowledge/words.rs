//! Search for words: the text index as the core has it beside bare tantivy and SQLite, over the known items.

use std::path::Path;
use std::time::Instant;

use neonhub::knowledge::{TextDoc, TextIndex};

use super::bare::{self, Words};
use super::packages::{Item, items};
use super::searched::{K, name};
use crate::{Goal, Result, Row, Runs};

const DOCUMENTS: usize = 20_000;
/// Documents of one commit, as an ingest has them.
const COMMIT: usize = 2_000;

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let Some(items) = items(runs.size(DOCUMENTS))? else { return Ok(Vec::new()) };
    let folder = tempfile::tempdir()?;
    let few = items.get(..items.len() / 10).unwrap_or_default();
    let place = |name: &str| folder.path().join(name);
    let (small, ours) = (own(few, &place("few"))?, own(&items, &place("ours"))?);
    let (bare_small, tantivy) =
        (bare::tantivy(few, &place("bare-few"))?, bare::tantivy(&items, &place("bare"))?);
    let sqlite = bare::sqlite(&items, &place("words.db"))?;
    let of = items.len();
    let p50 = format!("text query p50, {of} documents");
    let row = |name: &str, value, unit: &str, goal, peer: &str, theirs| {
        Row::new(name, value, unit, goal).against(peer, theirs)
    };
    let (bare, fts) = ("bare tantivy", "SQLite FTS5");
    let quality = (ours.quality, tantivy.quality, sqlite.quality);
    Ok(vec![
        row(&p50, ours.p50, "us", Goal::RatioAtMost(1.3), bare, tantivy.p50),
        row(&p50, ours.p50, "us", Goal::RatioAtMost(1.0), fts, sqlite.p50),
        row("text MRR@10", quality.0.mrr, "", Goal::RatioAtLeast(0.99), bare, quality.1.mrr),
        row("text hit@10", quality.0.hit, "", Goal::RatioAtLeast(0.99), bare, quality.1.hit),
        row("text MRR@10", quality.0.mrr, "", Goal::RatioAtLeast(0.99), fts, quality.2.mrr),
        row("text index alone, filling", ours.rate, "docs/s", Goal::RatioAtLeast(0.5), bare, tantivy.rate),
        row(
            &format!("text query, growth {} -> {of}", few.len()),
            ours.p50 / small.p50,
            "x",
            Goal::AtMost(5.0),
            bare,
            tantivy.p50 / bare_small.p50,
        ),
        row(
            &format!("text ingest per document, growth {} -> {of}", few.len()),
            small.rate / ours.rate,
            "x",
            Goal::AtMost(1.5),
            bare,
            bare_small.rate / tantivy.rate,
        ),
    ])
}

fn own(items: &[Item], folder: &Path) -> Result<Words> {
    let index = TextIndex::open(Some(folder))?;
    let ids: Vec<String> = (0..items.len()).map(name).collect();
    let docs = ids.iter().zip(items).map(|(id, item)| TextDoc {
        id,
        title: &item.name,
        headings: "",
        body: &item.text,
        language: Some("en"),
    });
    let docs: Vec<TextDoc<'_>> = docs.collect();
    let start = Instant::now();
    for commit in docs.chunks(COMMIT) {
        index.apply(&[], commit, "all")?;
    }
    let rate = items.len() as f64 / start.elapsed().as_secs_f64();
    Words::of(items, rate, |query| {
        let hits = index.search(query, K, None)?;
        Ok(hits.iter().filter_map(|hit| hit.id.strip_prefix('c')?.parse().ok()).collect())
    })
}
