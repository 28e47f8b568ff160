//! Whether the right document comes first when nothing was downloaded: known items through the whole of NeonHub with its
//! offline embedder, beside bare BM25. With MiniLM the part `documents` shows it.

use neonhub::knowledge::SearchMode;

use super::bare;
use super::library::{Answers, Library};
use super::packages::{Item, items};
use crate::{Goal, Result, Row, Runs};

const DOCUMENTS: usize = 20_000;
const ALL: usize = usize::MAX;
/// Most a joined list may lose against the better of its two.
const GUARD: f64 = 0.01;
const PEER: &str = "bare BM25";

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let Some(items) = items(runs.size(DOCUMENTS))? else { return Ok(Vec::new()) };
    let folder = tempfile::tempdir()?;
    let bare = bare::tantivy(&items, &folder.path().join("bare"))?.quality;
    let url = folder.path().join("ours.neon").to_string_lossy().into_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let [text, vector, both] = runtime.block_on(measure(&url, &items))?;
    let mut rows = vec![
        Row::new("hybrid MRR@10, nothing downloaded", both.quality.mrr, "", Goal::RatioAtLeast(0.99))
            .against(PEER, bare.mrr),
        Row::new("hybrid hit@10, nothing downloaded", both.quality.hit, "", Goal::RatioAtLeast(0.99))
            .against(PEER, bare.hit),
    ];
    for (list, answers) in [("words alone", text), ("vectors alone", vector)] {
        let least = answers.quality.mrr - GUARD;
        let name = format!("hybrid MRR@10 beside {list}, offline");
        rows.push(
            Row::new(name, both.quality.mrr, "", Goal::AtLeast(least)).against(list, answers.quality.mrr),
        );
    }
    rows.push(
        Row::new("hybrid query p50, offline embedder", both.p50, "us", Goal::RatioAtMost(5.0))
            .against("its words alone", text.p50),
    );
    Ok(rows)
}

/// By words, by vectors, by both.
async fn measure(url: &str, items: &[Item]) -> Result<[Answers; 3]> {
    let library = Library::open(url, None).await?;
    library.found().await?;
    library.fill(items, 0, items.len()).await?;
    let ask = |mode| library.ask(items, mode, None, ALL);
    // The first search brings the indexes up to date.
    library.ask(items, SearchMode::Hybrid, None, 1).await?;
    let measured =
        [ask(SearchMode::Text).await?, ask(SearchMode::Vector).await?, ask(SearchMode::Hybrid).await?];
    library.scope.hub().close().await?;
    Ok(measured)
}
