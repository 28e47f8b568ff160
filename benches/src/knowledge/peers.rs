//! Search libraries a Python program would pick instead, measured in the same minutes on the same data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::packages::{Item, write};
use crate::{Result, Row};

/// Interpreter with the peers of `benches/python/knowledge.txt` and the package of the model.
const PYTHON: &str = "NEONHUB_BENCH_PYTHON";
/// The measuring program, from the root of the repository.
const PROGRAM: &str = "benches/python/knowledge.py";
/// A word that the documents hold which are added and deleted one by one, and no other.
pub(super) const MARKER: &str = "qvxzmarkerword";

/// Figures of one peer, by name.
#[derive(Debug, Deserialize)]
pub(super) struct Peer {
    name: String,
    #[serde(flatten)]
    figures: BTreeMap<String, f64>,
}

impl Peer {
    /// One figure.
    pub(super) fn figure(&self, figure: &str) -> Result<f64> {
        let missing = || format!("{} measured no `{figure}`", self.name);
        Ok(self.figures.get(figure).copied().ok_or_else(missing)?)
    }
}

/// The peers of one part; none where the interpreter is not named.
#[derive(Debug, Default)]
pub(super) struct Peers(Vec<Peer>);

impl Peers {
    /// Reads lines of JSON, one peer each.
    pub(super) fn read(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| line.starts_with('{'));
        Ok(Self(lines.map(serde_json::from_str).collect::<std::result::Result<_, _>>()?))
    }

    /// The first one.
    pub(super) fn first(self) -> Option<Peer> {
        self.0.into_iter().next()
    }

    /// The row beside the figure of a peer; alone when the peer was not measured, and a goal on the ratio is then
    /// missed.
    pub(super) fn beside(&self, row: Row, peer: &str, figure: &str) -> Row {
        let found = self.0.iter().find(|p| p.name.starts_with(peer));
        match found.and_then(|p| Some((p, p.figures.get(figure)?))) {
            Some((peer, value)) => row.against(peer.name.clone(), *value),
            None => row,
        }
    }

    /// How many times one figure of a peer is another one of it.
    pub(super) fn growth(&self, peer: &str, small: &str, large: &str) -> Option<f64> {
        let found = self.0.iter().find(|p| p.name.starts_with(peer))?;
        Some(found.figures.get(large)? / found.figures.get(small)?)
    }

    fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// What the peers read: vectors, questions, and the texts where there are some.
#[derive(Debug, Default)]
pub(super) struct Work<'a> {
    pub(super) rows: &'a [Vec<f32>],
    pub(super) queries: &'a [Vec<f32>],
    pub(super) items: &'a [Item],
    /// How many of the rows are there at first; the others are added and deleted one by one.
    pub(super) count: usize,
    /// Numbers of rows at which a growing index is measured.
    pub(super) steps: &'a [usize],
}

impl Work<'_> {
    /// Writes it into a folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        for (name, vectors) in [("rows.f32", self.rows), ("queries.f32", self.queries)] {
            let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
            std::fs::write(folder.join(name), bytes)?;
        }
        let dims = self.rows.first().map_or(0, Vec::len);
        let shape = serde_json::json!({
            "dims": dims, "count": self.count, "steps": self.steps, "marker": MARKER,
        });
        std::fs::write(folder.join("shape.json"), shape.to_string())?;
        if self.items.is_empty() { Ok(()) } else { write(self.items, folder) }
    }
}

/// Measures vector search over the work of the folder.
pub(super) fn vectors(folder: &Path) -> Result<Peers> {
    run("vectors", folder)
}

/// Measures a graph over the work of the folder as it grows.
pub(super) fn growth(folder: &Path) -> Result<Peers> {
    run("growth", folder)
}

/// Measures stores that are filled with the work of the folder, each in its own process.
pub(super) fn stores(folder: &Path) -> Result<Peers> {
    let measured = ["Chroma", "LanceDB", "txtai"].map(|store| run(store, folder));
    measured.into_iter().try_fold(Peers::default(), |all, one| Ok(all.and(one?)))
}

/// Measures embedding of `texts.jsonl` of the folder with the model that [`model`] found.
pub(super) fn embed(folder: &Path) -> Result<Peers> {
    run("embed", folder)
}

/// The folder of the MiniLM model; `None` without the interpreter.
pub(super) fn model(folder: &Path) -> Result<Option<PathBuf>> {
    run("model", folder)?;
    let file = folder.join("model");
    Ok(if file.exists() { Some(PathBuf::from(std::fs::read_to_string(file)?)) } else { None })
}

fn run(part: &str, folder: &Path) -> Result<Peers> {
    let Some(python) = std::env::var_os(PYTHON) else {
        eprintln!("{PYTHON} is not set: the peers of `{part}` are left out");
        return Ok(Peers::default());
    };
    let mut command = Command::new(python);
    // Nothing may be fetched, and nothing be told, while it is measured.
    command
        .env("HF_HUB_OFFLINE", "1")
        .env("ANONYMIZED_TELEMETRY", "False")
        .env("TOKENIZERS_PARALLELISM", "true");
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONWARNINGS", "ignore");
    let output = command.args([PROGRAM, part]).arg(folder).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the peers of `{part}` failed: {error}").into());
    }
    Peers::read(&String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Goal;

    #[test]
    fn a_peer_that_was_not_measured_leaves_the_goal_missed() {
        let peers = Peers::read("noise\n{\"name\": \"Chroma\", \"p50\": 4.0}\n").unwrap();
        let row = || Row::new("query", 2.0, "us", Goal::RatioAtMost(1.0));
        assert!(peers.beside(row(), "Chroma", "p50").holds());
        assert!(!peers.beside(row(), "Chroma", "hybrid").holds());
        assert!(!peers.beside(row(), "LanceDB", "p50").holds());
        let chroma = peers.first().unwrap();
        assert_eq!(chroma.figure("p50").unwrap(), 4.0);
        assert!(chroma.figure("disk").unwrap_err().to_string().contains("disk"));
    }
}
