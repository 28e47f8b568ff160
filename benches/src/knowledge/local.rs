//! A sentence encoder computed in this process beside torch with the same weights, each on every core.

use neonhub::knowledge::{EmbedKind, LocalModel, embed_all};

use super::packages::{items, write};
use super::peers;
use crate::{Goal, Result, Row, Runs, seconds};

const TEXTS: usize = 1_000;
const PEER: &str = "torch";

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let (Some(path), Some(items)) = (peers::model(folder.path())?, items(runs.size(TEXTS))?) else {
        return Ok(Vec::new());
    };
    write(&items, folder.path())?;
    let peers = peers::embed(folder.path())?;
    let mut loads = Vec::new();
    let mut model = None;
    for _ in 0..3 {
        let (opened, took) = seconds(|| LocalModel::open(&path));
        loads.push(took);
        model = Some(opened?);
    }
    let (model, load) =
        (model.ok_or("no model was loaded")?, crate::median(&loads).ok_or("nothing was measured")?);
    let texts: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let embed = |texts: &[&str]| runtime.block_on(embed_all(&model, texts, EmbedKind::Passage));
    embed(texts.get(..8).unwrap_or_default())?;
    let rate = runs.median_of(|| {
        let (vectors, took) = seconds(|| embed(&texts));
        Ok(vectors?.len() as f64 / took)
    })?;
    let question = "how do I send a newsletter to everyone who agreed";
    let one = runs.median_of(|| {
        let (vectors, took) = seconds(|| (0..20).try_for_each(|_| embed(&[question]).map(|_| ())));
        vectors?;
        Ok(took * 1e3 / 20.0)
    })?;
    let name = format!("local embedding, MiniLM, {} texts", texts.len());
    Ok(vec![
        peers.beside(Row::new(name, rate, "docs/s", Goal::RatioAtLeast(0.55)), PEER, "rate"),
        Row::new("local embedding, one question", one, "ms", Goal::AtMost(50.0)),
        Row::new("local model, load", load * 1e3, "ms", Goal::AtMost(300.0)),
    ])
}
