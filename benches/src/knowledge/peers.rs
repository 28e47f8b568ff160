//! Search libraries a Python program would pick instead, measured in the same minutes on the same data.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::{Result, Row};

/// Interpreter with the peers of `benches/python/knowledge.txt` and the package of the model.
const PYTHON: &str = "NEONHUB_BENCH_PYTHON";
/// Interpreter with sentence-transformers, which brings 5 GB of torch: only who names one measures it.
const TORCH: &str = "NEONHUB_BENCH_TORCH";
const SCRIPT: &str = include_str!("../../python/knowledge.py");

/// Figures of one peer, by name.
#[derive(Debug, Deserialize)]
pub(super) struct Peer {
    name: String,
    #[serde(flatten)]
    figures: BTreeMap<String, f64>,
}

/// The peers of one part; none where the interpreter is not named.
#[derive(Debug, Default)]
pub(super) struct Peers(Vec<Peer>);

impl Peers {
    /// The row beside the figure of a peer; alone when the peer was not measured, and a goal on the ratio is then
    /// missed.
    pub(super) fn beside(&self, row: Row, peer: &str, figure: &str) -> Row {
        let found = self.0.iter().find(|p| p.name.starts_with(peer));
        match found.and_then(|p| Some((p, p.figures.get(figure)?))) {
            Some((peer, value)) => row.against(peer.name.clone(), *value),
            None => row,
        }
    }
}

/// Measures vector search over `rows.f32` and `queries.f32` of the folder.
pub(super) fn vectors(folder: &Path) -> Result<Peers> {
    run(PYTHON, "vectors", folder)
}

/// Measures text search over `texts.jsonl` of the folder.
pub(super) fn texts(folder: &Path) -> Result<Peers> {
    run(PYTHON, "texts", folder)
}

/// Measures a store of documents and vectors, filled with `texts.jsonl` of the folder.
pub(super) fn store(folder: &Path) -> Result<Peers> {
    run(PYTHON, "store", folder)
}

/// Measures embedding of `texts.jsonl` of the folder with the model that [`model`] found.
pub(super) fn embed(folder: &Path) -> Result<Peers> {
    run(TORCH, "embed", folder)
}

/// The folder of the MiniLM model; `None` without the interpreter.
pub(super) fn model(folder: &Path) -> Result<Option<PathBuf>> {
    run(PYTHON, "model", folder)?;
    let file = folder.join("model");
    Ok(if file.exists() { Some(PathBuf::from(std::fs::read_to_string(file)?)) } else { None })
}

fn run(interpreter: &str, part: &str, folder: &Path) -> Result<Peers> {
    let Some(python): Option<OsString> = std::env::var_os(interpreter) else {
        eprintln!("{interpreter} is not set: the peers of `{part}` are left out");
        return Ok(Peers::default());
    };
    let output = Command::new(python).args(["-c", SCRIPT, part]).arg(folder).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the peers of `{part}` failed: {error}").into());
    }
    let lines = String::from_utf8(output.stdout)?;
    Ok(Peers(lines.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?))
}
