//! Known items: descriptions of Debian packages. The question is the one-line summary, the document the long text below
//! it, which does not hold that line.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use neonhub_core::Seed;
use serde::{Deserialize, Serialize};

use crate::Result;

/// A file in the format of Debian's translated descriptions.
pub(super) const TEXTS: &str = "NEONHUB_BENCH_TEXTS";
/// The items as the peers read them: one object of JSON a line.
const FILE: &str = "texts.jsonl";
/// Fewest words of a document: below, the summary says more than the text.
const WORDS: usize = 25;
/// Of so many documents one is asked for.
const ASKED: usize = 20;

/// A document and the question it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// Name of the package.
    pub(super) name: String,
    /// The question: the summary.
    pub(super) query: String,
    /// The document.
    pub(super) text: String,
    /// Whether the question is asked.
    pub(super) asked: bool,
}

/// The items, the same ones on every run over the same file; `None` when no file is named.
pub(super) fn items(count: usize) -> Result<Option<Vec<Item>>> {
    let Some(path) = std::env::var_os(TEXTS) else {
        eprintln!("{TEXTS} is not set: the known items are left out");
        return Ok(None);
    };
    let mut items = read(&std::fs::read_to_string(path)?);
    let mut rng = Seed::from_number(5).rng();
    for n in (1..items.len()).rev() {
        items.swap(n, rng.below(n as u64 + 1) as usize);
    }
    items.truncate(count);
    items.iter_mut().step_by(ASKED).for_each(|item| item.asked = true);
    Ok(Some(items))
}

fn read(file: &str) -> Vec<Item> {
    let mut seen = BTreeSet::new();
    let items = file.split("\n\n").filter_map(|paragraph| {
        let name = paragraph.lines().find_map(|line| line.strip_prefix("Package: "))?;
        let (_, description) = paragraph.split_once("Description-en: ")?;
        let (query, text) = description.split_once('\n')?;
        // A line of a single full stop stands for an empty one.
        let lines = text.lines().map(|line| line.trim());
        let text = lines.map(|line| if line == "." { "" } else { line }).collect::<Vec<_>>().join("\n");
        let is_long = text.split_whitespace().count() >= WORDS;
        is_long.then(|| Item { name: name.to_owned(), query: query.to_owned(), text, asked: false })
    });
    // Packages of one source share their text; only the first could be found by it.
    items.filter(|item| seen.insert(item.text.clone())).collect()
}

/// Writes the items as the peers read them.
pub(super) fn write(items: &[Item], folder: &Path) -> Result<()> {
    let mut lines = String::new();
    for item in items {
        writeln!(lines, "{}", serde_json::to_string(item)?)?;
    }
    Ok(std::fs::write(folder.join(FILE), lines)?)
}

/// The items that were written into a folder.
pub(super) fn read_written(folder: &Path) -> Result<Vec<Item>> {
    let lines = std::fs::read_to_string(folder.join(FILE))?;
    Ok(lines.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?)
}

/// What a list of answers is worth: the mean of one over the rank of the item that was asked for, and the share of
/// questions whose item is among the first ten.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quality {
    pub(super) mrr: f64,
    pub(super) hit: f64,
}

impl Quality {
    /// Of ranks from 1; `None` for an item that was not found.
    pub(super) fn of(ranks: &[Option<usize>]) -> Self {
        let found = ranks.iter().flatten();
        let count = ranks.len().max(1) as f64;
        Self {
            mrr: found.clone().map(|rank| 1.0 / *rank as f64).sum::<f64>() / count,
            hit: found.count() as f64 / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_read_without_their_summary() {
        let long = " one two three four five six seven eight nine ten.\n".repeat(3);
        let file = format!(
            "Package: a\nDescription-md5: x\nDescription-en: what it is\n{long} .\n last\n\n\
             Package: b\nDescription-en: the same text\n{long} .\n last\n\nPackage: c\nDescription-en: short\n text\n"
        );
        let items = read(&file);
        assert_eq!(items.len(), 1);
        assert_eq!((items[0].name.as_str(), items[0].query.as_str()), ("a", "what it is"));
        assert!(items[0].text.ends_with("ten.\n\nlast") && !items[0].text.contains("what it is"));
    }

    #[test]
    fn items_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let item =
            Item { name: "a".into(), query: "what\nit is".into(), text: "\"long\"".into(), asked: true };
        write(std::slice::from_ref(&item), folder.path()).unwrap();
        assert_eq!(read_written(folder.path()).unwrap(), [item]);
    }

    #[test]
    fn quality_counts_ranks() {
        let quality = Quality::of(&[Some(1), Some(2), None, None]);
        assert_eq!((quality.mrr, quality.hit), (0.375, 0.5));
    }
}
