//! What a vector and a text cost as their index grows a hundredfold, on made data: nobody has 100,000 real ones at hand.

use std::time::Instant;

use neonhub::knowledge::{
    FlatIndex, GraphIndex, GraphOptions, TextDoc, TextIndex, VectorIndex, VectorStorage,
};
use neonhub_core::{Rng, Seed};

use super::minilm::DIMS;
use super::peers::{self, Peers, Work};
use super::searched::{K, Searched, name, names};
use super::texts;
use crate::{Goal, Result, Row, Runs, median};

/// Sizes at which the cost is measured, from the first to the last.
const STEPS: [usize; 5] = [1_000, 2_000, 10_000, 20_000, 100_000];
const QUERIES: usize = 200;
/// Texts of one commit.
const COMMIT: usize = 1_000;
/// Growth that n log n allows one item from 1,000 to 100,000: log 100,000 over log 1,000.
const PER_ITEM: f64 = 5.0 / 3.0;

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let steps: Vec<usize> = STEPS.iter().map(|step| runs.size(*step)).collect();
    let most = steps.last().copied().unwrap_or_default();
    let (all, queries) = (made(most, 1), made(QUERIES, 99));
    let folder = tempfile::tempdir()?;
    Work { rows: &all, queries: &queries, count: all.len(), steps: &steps, ..Work::default() }
        .write(folder.path())?;
    let peers = peers::growth(folder.path())?;
    let truths = steps.iter().map(|size| Searched::exactly(all.get(..*size).unwrap_or(&all), 1, &queries));
    let truths = truths.collect::<Result<Vec<_>>>()?;
    let mut flat = FlatIndex::new(DIMS);
    let flat = curve(&mut flat, &all, &queries, &steps, &truths)?;
    let mut graph = GraphIndex::new(DIMS, VectorStorage::default(), GraphOptions::default())?;
    let graph = curve(&mut graph, &all, &queries, &steps, &truths)?;
    let words = words(&steps, folder.path())?;
    let mut rows = at_most(&graph, &peers);
    rows.extend(shown("graph", &graph, &peers));
    rows.extend(shown("flat", &flat, &peers));
    rows.extend(shown("text", &words, &Peers::default()));
    Ok(rows)
}

/// What was measured at one size.
#[derive(Clone, Copy, Debug)]
struct Point {
    size: usize,
    /// Microseconds of an item since the size before.
    add: f64,
    p50: f64,
    recall: f64,
}

fn curve(
    index: &mut dyn VectorIndex,
    all: &[Vec<f32>],
    queries: &[Vec<f32>],
    steps: &[usize],
    truths: &[Searched],
) -> Result<Vec<Point>> {
    let (mut points, mut done) = (Vec::new(), 0);
    for (size, truth) in steps.iter().copied().zip(truths) {
        let start = Instant::now();
        for (n, vector) in all.iter().enumerate().take(size).skip(done) {
            index.upsert(&name(n), vector)?;
        }
        let add = start.elapsed().as_secs_f64() * 1e6 / (size - done) as f64;
        done = size;
        let found = Searched::by(queries, |query| names(index.search(query, K, None)?))?;
        points.push(Point { size, add, p50: found.p50(), recall: found.recall(truth) });
    }
    Ok(points)
}

fn words(steps: &[usize], folder: &std::path::Path) -> Result<Vec<Point>> {
    let index = TextIndex::open(Some(&folder.join("words")))?;
    let (mut points, mut done) = (Vec::new(), 0);
    for size in steps.iter().copied() {
        let bodies: Vec<(String, String)> = (done..size).map(|n| (name(n), texts::document(n).0)).collect();
        let docs = bodies.iter().map(|(id, body)| TextDoc {
            id,
            title: "",
            headings: "",
            body,
            language: Some("en"),
        });
        let docs: Vec<TextDoc<'_>> = docs.collect();
        let start = Instant::now();
        for commit in docs.chunks(COMMIT) {
            index.apply(&[], commit, "all")?;
        }
        let add = start.elapsed().as_secs_f64() * 1e6 / (size - done) as f64;
        done = size;
        let (mut times, mut hits) = (Vec::new(), 0);
        for n in (0..size).step_by((size / QUERIES).max(1)) {
            let query = texts::document(n).1;
            let start = Instant::now();
            let found = index.search(&query, K, None)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
            hits += usize::from(found.iter().any(|hit| *hit.id == *name(n)));
        }
        let recall = hits as f64 / times.len() as f64;
        points.push(Point { size, add, p50: median(&times).ok_or("nothing was asked")?, recall });
    }
    Ok(points)
}

/// The graph at its largest beside hnswlib.
fn at_most(graph: &[Point], peers: &Peers) -> Vec<Row> {
    let Some(last) = graph.last() else { return Vec::new() };
    let size = last.size;
    let row = Row::new(format!("graph query p50, {size} x {DIMS}"), last.p50, "us", Goal::RatioAtMost(3.0));
    vec![
        peers.beside(row, "hnswlib", &format!("p50_{size}")),
        Row::new(format!("graph recall@10, {size}"), last.recall, "", Goal::AtLeast(0.99)),
    ]
}

/// The curve of one index, and how its goals hold. A goal of the curve stands in its last point.
fn shown(what: &str, points: &[Point], peers: &Peers) -> Vec<Row> {
    let mut rows = Vec::new();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return rows };
    for point in points {
        // A scan is linear, and said to be; nothing may be worse.
        let bound = linear(first, point);
        let query = Row::new(
            format!("{what} query p50 at {}", point.size),
            point.p50,
            "us",
            Goal::RatioAtMost(bound),
        );
        rows.push(query.against(format!("at {}", first.size), first.p50));
        let add = format!("{what} ingest per item, up to {}", point.size);
        let add = Row::new(add, point.add, "us", Goal::RatioAtMost(PER_ITEM));
        rows.push(add.against(format!("up to {}", first.size), first.add));
    }
    let at = |size: usize| points.iter().find(|point| point.size * 100 == size * last.size / 1_000);
    if let (Some(small), Some(large)) = (at(2_000), at(20_000)) {
        let sizes = format!("{} -> {}", small.size, large.size);
        let bound = if what == "flat" { linear(small, large) } else { 5.0 };
        let name = format!("{what} query, growth {sizes}");
        rows.push(growth(name, large.p50 / small.p50, bound, "p50", small, large, peers));
        let name = format!("{what} ingest per item, growth {sizes}");
        rows.push(growth(name, large.add / small.add, 1.5, "add", small, large, peers));
    }
    rows
}

/// As many times as there are more rows, with a fifth for noise.
fn linear(small: &Point, large: &Point) -> f64 {
    large.size as f64 / small.size as f64 * 1.2
}

fn growth(
    name: String,
    ours: f64,
    bound: f64,
    figure: &str,
    small: &Point,
    large: &Point,
    peers: &Peers,
) -> Row {
    let row = Row::new(name, ours, "x", Goal::AtMost(bound));
    match peers.growth("hnswlib", &format!("{figure}_{}", small.size), &format!("{figure}_{}", large.size)) {
        Some(theirs) => row.against("hnswlib", theirs),
        None => row,
    }
}

fn number(rng: &mut Rng) -> f32 {
    rng.below(2_000_001) as f32 / 1_000_000.0 - 1.0
}

/// Vectors as sentence encoders make them: around topics, with far fewer directions than dimensions.
fn made(count: usize, seed: u64) -> Vec<Vec<f32>> {
    const HIDDEN: usize = 32;
    let mut rng = Seed::from_number(42).rng();
    let map: Vec<Vec<f32>> = (0..DIMS).map(|_| (0..HIDDEN).map(|_| number(&mut rng)).collect()).collect();
    let topics: Vec<Vec<f32>> = (0..200).map(|_| (0..HIDDEN).map(|_| number(&mut rng)).collect()).collect();
    let mut rng = Seed::from_number(seed).rng();
    let mut one = || {
        let topic = topics.get(rng.below(200) as usize).cloned().unwrap_or_default();
        let hidden: Vec<f32> = topic.iter().map(|t| t + 0.7 * number(&mut rng)).collect();
        let dot = |row: &Vec<f32>| row.iter().zip(&hidden).map(|(a, b)| a * b).sum::<f32>();
        let mut vector: Vec<f32> = map.iter().map(|row| dot(row) + 0.3 * number(&mut rng)).collect();
        let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|v| *v /= norm);
        vector
    };
    (0..count).map(|_| one()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_scan_may_grow_with_its_rows() {
        let point = |size: usize| Point { size, add: 10.0, p50: size as f64, recall: 1.0 };
        let points = [1_000, 2_000, 20_000, 100_000].map(point);
        let holds = |what: &str| -> Vec<bool> {
            let rows = shown(what, &points, &Peers::default());
            rows.iter().filter(|row| row.name().contains("growth 2000 -> 20000")).map(Row::holds).collect()
        };
        assert_eq!(holds("flat"), [true, true]);
        assert_eq!(holds("graph"), [false, true]);
    }

    #[test]
    fn an_item_that_costs_more_and_more_misses_its_goal() {
        let points = [(1_000, 10.0), (100_000, 17.0)];
        let points = points.map(|(size, add)| Point { size, add, p50: 1.0, recall: 1.0 });
        let rows = shown("text", &points, &Peers::default());
        let missed: Vec<&str> = rows.iter().filter(|row| !row.holds()).map(Row::name).collect();
        assert_eq!(missed, ["text ingest per item, up to 100000"]);
    }
}
