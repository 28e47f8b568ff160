//! Documents with given vectors through the whole of NeonHub beside stores that Python programs pick. Ours takes 500
//! documents a call, two calls at once, and durably; the stores take theirs in batches of a thousand.

use std::path::Path;
use std::process::{Command, Stdio};

use super::minilm::Given;
use super::packages::{Item, items};
use super::peers::{self, MARKER, Peer, Peers, Work};
use crate::{Goal, Result, Row, Runs};

const DOCUMENTS: usize = 20_000;
/// Documents that are added and deleted one by one.
const EXTRA: usize = 11;
/// Most a joined list may lose against the better of its two.
const GUARD: f64 = 0.01;
const STORES: [&str; 3] = ["Chroma", "LanceDB", "txtai"];

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let Some(mut items) = items(runs.size(DOCUMENTS))? else { return Ok(Vec::new()) };
    let count = items.len();
    let extra: Vec<Item> = items.iter().take(EXTRA).enumerate().map(|(n, item)| marked(n, item)).collect();
    items.extend(extra);
    let Some(given) = Given::of(&items)? else { return Ok(Vec::new()) };
    let folder = tempfile::tempdir()?;
    let (rows, queries) = (given.items(&items)?, given.questions(&items)?);
    Work { rows: &rows, queries: &queries, items: &items, count, ..Work::default() }.write(folder.path())?;
    let ours = guest(folder.path(), count, given.path())?;
    Table { ours, peers: peers::stores(folder.path())?, count }.rows()
}

/// A document like another one, with a word that no other has.
fn marked(number: usize, item: &Item) -> Item {
    Item {
        name: format!("extra-{number}"),
        text: format!("{} {MARKER}", item.text),
        asked: false,
        query: item.query.clone(),
    }
}

/// The same in a process of ours.
fn guest(folder: &Path, count: usize, vectors: &Path) -> Result<Peer> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--child", "knowledge-documents"]).arg(folder).arg(count.to_string()).arg(vectors);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the child that holds the documents ended with {}", output.status).into());
    }
    Ok(Peers::read(&String::from_utf8(output.stdout)?)?.first().ok_or("the child printed nothing")?)
}

struct Table {
    ours: Peer,
    peers: Peers,
    count: usize,
}

impl Table {
    fn rows(&self) -> Result<Vec<Row>> {
        let mut rows = self.ingest()?;
        rows.extend(self.queries()?);
        rows.extend(self.quality()?);
        rows.extend(self.changes()?);
        rows.extend(self.footprint()?);
        Ok(rows)
    }

    fn ours(&self, name: &str, figure: &str, unit: &str, goal: Goal) -> Result<Row> {
        Ok(Row::new(name, self.ours.figure(figure)?, unit, goal))
    }

    /// One row for each of the stores.
    fn beside(&self, stores: &[&str], name: &str, figure: &str, unit: &str, goal: Goal) -> Result<Vec<Row>> {
        let row = self.ours(name, figure, unit, goal)?;
        Ok(stores.iter().map(|store| self.peers.beside(row.clone(), store, figure)).collect())
    }

    fn ingest(&self) -> Result<Vec<Row>> {
        let name = format!("ingest, {} documents with vectors, by processor time", self.count);
        let mut rows = self.beside(&STORES, &name, "cpu_rate", "docs/s", Goal::AtLeast(10_000.0))?;
        let least = Goal::RatioAtLeast(1.0);
        rows.extend(self.beside(&STORES, "the same by the clock", "rate", "docs/s", least)?);
        let singly =
            self.ours("the same, one a call, 8 at once, by the clock", "single_rate", "docs/s", least)?;
        rows.extend(STORES.iter().map(|store| self.peers.beside(singly.clone(), store, "rate")));
        let grown = format!("{} -> {}", self.count / 10, self.count);
        let name = format!("ingest per document, growth {grown}");
        rows.extend(self.beside(&["Chroma"], &name, "ingest_growth", "x", Goal::AtMost(1.5))?);
        let name = format!("hybrid query, growth {grown} (its scan is linear)");
        rows.push(self.ours(&name, "query_growth", "x", Goal::AtMost(10.0))?);
        Ok(rows)
    }

    fn queries(&self) -> Result<Vec<Row>> {
        let most = Goal::RatioAtMost(1.0);
        let mut rows = self.beside(&STORES, "vector query p50, whole path", "p50", "us", most)?;
        let name = "vector query p50, 1 in 10 by a tag, whole path";
        rows.extend(self.beside(&STORES, name, "filter_10", "us", most)?);
        let name = "vector query p50, 1 in 100 by a tag, whole path";
        rows.extend(self.beside(&STORES, name, "filter_100", "us", most)?);
        rows.push(self.ours("vector answers that are too short", "short", "", Goal::AtMost(0.0))?);
        let name = "hybrid query p50, vector given";
        rows.extend(self.beside(&["txtai"], name, "hybrid", "us", Goal::RatioAtMost(0.25))?);
        rows.extend(self.beside(&["LanceDB"], name, "hybrid", "us", most)?);
        Ok(rows)
    }

    fn quality(&self) -> Result<Vec<Row>> {
        let both = ["LanceDB", "txtai"];
        let mut rows = self.beside(&both, "hybrid MRR@10, MiniLM", "mrr", "", Goal::AtLeast(0.76))?;
        rows.extend(self.beside(&both, "hybrid hit@10, MiniLM", "hit", "", Goal::AtLeast(0.90))?);
        for (name, figure) in [("MRR@10", "mrr"), ("hit@10", "hit")] {
            let of = |list: &str| self.ours.figure(&format!("{list}_{figure}"));
            let (text, vector) = (of("text")?, of("vector")?);
            for (list, value) in [("words alone", text), ("vectors alone", vector)] {
                let row = self.ours(
                    &format!("hybrid {name} beside {list}"),
                    figure,
                    "",
                    Goal::AtLeast(value - GUARD),
                )?;
                rows.push(row.against(list, value));
            }
        }
        Ok(rows)
    }

    fn changes(&self) -> Result<Vec<Row>> {
        let most = Goal::AtMost(3.0);
        let mut rows = self.beside(&STORES, "one document added, durable and found", "add", "ms", most)?;
        rows.extend(self.beside(&STORES, "one document deleted, durably gone", "delete", "ms", most)?);
        let name = "files that hold a deleted word, ours after a purge";
        rows.extend(self.beside(&STORES, name, "left", "", Goal::AtMost(0.0))?);
        rows.extend(self.beside(&STORES, "open to the first answer", "open", "ms", Goal::AtMost(50.0))?);
        Ok(rows)
    }

    fn footprint(&self) -> Result<Vec<Row>> {
        let name = "memory growth of the process";
        let mut rows = self.beside(&["Chroma"], name, "ram", "MiB", Goal::RatioAtMost(0.4))?;
        rows.extend(self.beside(&["LanceDB", "txtai"], name, "ram", "MiB", Goal::RatioAtMost(1.0))?);
        rows.extend(self.beside(&["Chroma"], "size of all files", "disk", "MiB", Goal::RatioAtMost(0.6))?);
        rows.extend(self.beside(
            &["LanceDB", "txtai"],
            "size of all files",
            "disk",
            "MiB",
            Goal::RatioAtMost(1.0),
        )?);
        Ok(rows)
    }
}
