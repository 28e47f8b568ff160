//! A sentence encoder computed in this process beside the runtimes of Python with the same weights, each on every core.

use std::path::Path;

use neonhub::knowledge::{EmbedKind, Embedder as _, LocalModel, embed_all};

use super::packages::{items, write};
use super::peers;
use crate::{Goal, Result, Row, Runs, median, seconds};

const TEXTS: usize = 1_000;
const PEERS: [&str; 2] = ["torch", "onnxruntime"];
/// Tokens that stand before and behind a text.
const MARKS: usize = 2;
/// Least cosine to a vector of torch.
const SAME: f64 = 0.999;

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let (Some(path), Some(mut items)) = (peers::model(folder.path())?, items(runs.size(TEXTS))?) else {
        return Ok(Vec::new());
    };
    let (mut loads, mut model) = (Vec::new(), None);
    for _ in 0..3 {
        let (opened, took) = seconds(|| LocalModel::open(&path));
        loads.push(took * 1e3);
        model = Some(opened?);
    }
    let (model, load) = (model.ok_or("no model was loaded")?, median(&loads).ok_or("nothing was measured")?);
    // Of a longer text ours reads all, and the others its beginning.
    let fits = |text: &str| -> Result<bool> {
        let tokens = model.token_spans(text)?.map_or(0, |spans| spans.len());
        Ok(tokens + MARKS <= model.max_tokens())
    };
    let fitting: Vec<bool> = items.iter().map(|item| fits(&item.text)).collect::<Result<_>>()?;
    let mut fitting = fitting.into_iter();
    items.retain(|_| fitting.next().unwrap_or_default());
    write(&items, folder.path())?;
    let peers = peers::embed(folder.path())?;
    let texts: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let embed = |texts: &[&str]| runtime.block_on(embed_all(&model, texts, EmbedKind::Passage));
    embed(texts.get(..8).unwrap_or_default())?;
    let mut made = Vec::new();
    let rate = runs.median_of(|| {
        let (vectors, took) = seconds(|| embed(&texts));
        made = vectors?;
        Ok(made.len() as f64 / took)
    })?;
    let question = "how do I send a newsletter to everyone who agreed";
    let one = runs.median_of(|| {
        let (vectors, took) = seconds(|| (0..20).try_for_each(|_| embed(&[question]).map(|_| ())));
        vectors?;
        Ok(took * 1e3 / 20.0)
    })?;
    let row = |name: &str, value, unit: &str, goal, peer: &str, figure: &str| {
        peers.beside(Row::new(name, value, unit, goal), peer, figure)
    };
    let name = format!("local embedding, MiniLM f32, {} texts", texts.len());
    let [torch, onnx] = PEERS;
    Ok(vec![
        row(&name, rate, "docs/s", Goal::RatioAtLeast(0.55), torch, "rate"),
        // 0.55 of torch was 0.43 of onnxruntime when the goal was set (41 and 52 texts a second).
        row(&name, rate, "docs/s", Goal::RatioAtLeast(0.43), onnx, "rate"),
        Row::new("least cosine to a vector of torch", least(&made, folder.path())?, "", Goal::AtLeast(SAME)),
        row("local embedding, one question", one, "ms", Goal::AtMost(50.0), torch, "one"),
        row("local model, load", load, "ms", Goal::AtMost(300.0), torch, "load"),
        row("local model, load", load, "ms", Goal::AtMost(300.0), onnx, "load"),
    ])
}

/// The least likeness of our vectors to those that torch wrote.
fn least(ours: &[Vec<f32>], folder: &Path) -> Result<f64> {
    let bytes = std::fs::read(folder.join("torch.f32"))?;
    let (numbers, _) = bytes.as_chunks::<4>();
    let theirs: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    let dims = ours.first().map_or(1, Vec::len).max(1);
    if theirs.len() != ours.len() * dims {
        return Err("torch made another number of vectors".into());
    }
    let dot = |(a, b): (&Vec<f32>, &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    Ok(ours.iter().zip(theirs.chunks_exact(dims)).map(dot).fold(1.0, f64::min))
}
