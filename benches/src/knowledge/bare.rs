//! Full-text search as a Rust program has it without NeonHub: bare tantivy, and a full-text table of SQLite.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use tantivy::collector::TopDocs;
use tantivy::query::QueryParser;
use tantivy::schema::{IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions, Value as _};
use tantivy::{Index, TantivyDocument, doc};

use super::packages::{Item, Quality};
use super::searched::K;
use crate::Result;
use crate::measure::median;

/// Memory of tantivy's writer: the least that it accepts, as ours has it.
const WRITER_BYTES: usize = 15_000_000;

/// What one way to search for words answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Words {
    pub(super) quality: Quality,
    pub(super) p50: f64,
    /// Documents a second until they are durable and found.
    pub(super) rate: f64,
}

impl Words {
    /// Asks every question that the items ask; `search` gives the numbers of the items it finds.
    pub(super) fn of(items: &[Item], rate: f64, search: impl Fn(&str) -> Result<Vec<usize>>) -> Result<Self> {
        let (mut times, mut ranks) = (Vec::new(), Vec::new());
        for (number, item) in items.iter().enumerate().filter(|(_, item)| item.asked) {
            let start = Instant::now();
            let found = search(&item.query)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
            ranks.push(found.iter().position(|found| *found == number).map(|at| at + 1));
        }
        let p50 = median(&times).ok_or("nothing was asked")?;
        Ok(Self { quality: Quality::of(&ranks), p50, rate })
    }
}

/// Words alone, in lower case, as a person would have to type them for a query language.
fn plain(query: &str) -> Vec<String> {
    let words = query.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// Bare tantivy: English stems in title and body, any word may match.
pub(super) fn tantivy(items: &[Item], folder: &Path) -> Result<Words> {
    let mut schema = Schema::builder();
    let number = schema.add_u64_field("number", STORED);
    let stems = TextFieldIndexing::default()
        .set_tokenizer("en_stem")
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let stems = TextOptions::default().set_indexing_options(stems);
    let (title, body) = (schema.add_text_field("title", stems.clone()), schema.add_text_field("body", stems));
    std::fs::create_dir_all(folder)?;
    let start = Instant::now();
    let index = Index::create_in_dir(folder, schema.build())?;
    let mut writer = index.writer_with_num_threads::<TantivyDocument>(1, WRITER_BYTES)?;
    for (n, item) in items.iter().enumerate() {
        writer
            .add_document(doc!(number => n as u64, title => item.name.clone(), body => item.text.clone()))?;
    }
    writer.commit()?;
    writer.wait_merging_threads()?;
    let reader = index.reader()?;
    let rate = items.len() as f64 / start.elapsed().as_secs_f64();
    let parser = QueryParser::for_index(&index, vec![title, body]);
    Words::of(items, rate, |query| {
        let searcher = reader.searcher();
        let query = parser.parse_query(&plain(query).join(" "))?;
        let hits = searcher.search(&query, &TopDocs::with_limit(K).order_by_score())?;
        let found = hits.into_iter().map(|(_, address)| {
            let stored: TantivyDocument = searcher.doc(address)?;
            Ok(stored.get_first(number).and_then(|value| value.as_u64()).unwrap_or(u64::MAX) as usize)
        });
        found.collect()
    })
}

/// A full-text table, filled in one durable transaction.
pub(super) fn sqlite(items: &[Item], path: &Path) -> Result<Words> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE VIRTUAL TABLE doc USING fts5(title, body, tokenize = 'porter unicode61');",
    )?;
    let start = Instant::now();
    let transaction = connection.transaction()?;
    for (number, item) in items.iter().enumerate() {
        let row = (number as i64, &item.name, &item.text);
        transaction.execute("INSERT INTO doc (rowid, title, body) VALUES (?1, ?2, ?3)", row)?;
    }
    transaction.commit()?;
    let rate = items.len() as f64 / start.elapsed().as_secs_f64();
    Words::of(items, rate, |query| {
        let query = plain(query).iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" OR ");
        let mut statement = connection
            .prepare_cached("SELECT rowid FROM doc WHERE doc MATCH ?1 ORDER BY bm25(doc) LIMIT 10")?;
        let found = statement.query_map([query], |row| row.get::<_, i64>(0))?;
        found.map(|number| Ok(usize::try_from(number?).unwrap_or(usize::MAX))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_find_the_item_that_is_asked_for() {
        let item = |n: usize| Item {
            name: format!("package{n}"),
            query: format!("all about topic{n}!"),
            text: format!("This text tells of topic{n} and nothing else."),
            asked: n.is_multiple_of(2),
        };
        let items: Vec<Item> = (0..20).map(item).collect();
        let folder = tempfile::tempdir().unwrap();
        let found = [
            tantivy(&items, &folder.path().join("tantivy")).unwrap(),
            sqlite(&items, &folder.path().join("words.db")).unwrap(),
        ];
        for words in found {
            assert_eq!((words.quality.mrr, words.quality.hit), (1.0, 1.0));
        }
    }
}
