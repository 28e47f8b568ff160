//! Whether the right document comes first: known items through the whole of NeonHub, by words, by vectors of either
//! embedder, and by both, beside bare tantivy.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use neonhub::Scope;
use neonhub::knowledge::{
    CreateDataset, CreateSpace, EmbedTexts, Knowledge, LocalModel, SearchKnowledge, SearchMode, TextDoc,
    TextIndex, UploadDocument, VectorKind,
};

use super::packages::{Item, Quality, items, write};
use super::peers;
use crate::measure::median;
use crate::{Goal, Result, Row, Runs};

const DOCUMENTS: usize = 20_000;
/// Uploads under way at once: an upload waits for its commit, and the next one computes meanwhile.
const UPLOADS: usize = 8;
const OFFLINE: &str = "offline";
const MINILM: &str = "minilm";
const PEER: &str = "tantivy";
/// Most a joined list may lose against the better of its two.
const GUARD: f64 = 0.01;

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let Some(items) = items(runs.size(DOCUMENTS))? else { return Ok(Vec::new()) };
    let folder = tempfile::tempdir()?;
    write(&items, folder.path())?;
    let peers = peers::texts(folder.path())?;
    let words = by_words(&items, folder.path())?;
    let of = items.len();
    let mut rows = vec![
        peers.beside(
            Row::new(format!("text query p50, {of} known items"), words.p50, "us", Goal::RatioAtMost(1.3)),
            PEER,
            "p50",
        ),
        peers.beside(Row::new("text MRR@10", words.quality.mrr, "", Goal::RatioAtLeast(0.99)), PEER, "mrr"),
        peers.beside(Row::new("text hit@10", words.quality.hit, "", Goal::RatioAtLeast(0.99)), PEER, "hit"),
    ];
    let model = peers::model(folder.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let url = folder.path().join("ours.neon").to_string_lossy().into_owned();
    let measured = runtime.block_on(measure(&url, &items, model.as_deref()))?;
    let offline = Lists::of(&measured, OFFLINE)?;
    let name = "hybrid MRR@10, nothing downloaded";
    rows.push(peers.beside(
        Row::new(name, offline.both.quality.mrr, "", Goal::RatioAtLeast(0.99)),
        PEER,
        "mrr",
    ));
    rows.extend(offline.guard("offline"));
    if model.is_some() {
        let minilm = Lists::of(&measured, MINILM)?;
        rows.push(Row::new("hybrid MRR@10, MiniLM", minilm.both.quality.mrr, "", Goal::AtLeast(0.76)));
        rows.push(Row::new("hybrid hit@10, MiniLM", minilm.both.quality.hit, "", Goal::AtLeast(0.90)));
        rows.extend(minilm.guard("MiniLM"));
        let name = "hybrid query p50, MiniLM, vector given";
        rows.push(Row::new(name, minilm.both.p50, "us", Goal::AtMost(20_000.0)));
    }
    Ok(rows)
}

/// The word index alone, as the core has it.
fn by_words(items: &[Item], folder: &Path) -> Result<Answers> {
    let index = TextIndex::open(Some(&folder.join("words")))?;
    let ids: Vec<String> = (0..items.len()).map(|n| format!("c{n:06}")).collect();
    let docs = ids.iter().zip(items).map(|(id, item)| TextDoc {
        id,
        title: &item.name,
        headings: "",
        body: &item.text,
        language: Some("en"),
    });
    index.apply(&[], &docs.collect::<Vec<_>>(), "all")?;
    let (mut times, mut ranks) = (Vec::new(), Vec::new());
    for (id, item) in ids.iter().zip(items).filter(|(_, item)| item.asked) {
        let start = Instant::now();
        let hits = index.search(&item.query, 10, None)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        ranks.push(hits.iter().position(|hit| *hit.id == **id).map(|at| at + 1));
    }
    Answers::of(&times, &ranks)
}

/// What one way to ask answered.
#[derive(Clone, Copy, Debug)]
struct Answers {
    quality: Quality,
    p50: f64,
}

impl Answers {
    fn of(times: &[f64], ranks: &[Option<usize>]) -> Result<Self> {
        Ok(Self { quality: Quality::of(ranks), p50: median(times).ok_or("nothing was asked")? })
    }
}

/// The two lists of a space, and what they are joined.
#[derive(Clone, Copy, Debug)]
struct Lists {
    text: Answers,
    vector: Answers,
    both: Answers,
}

impl Lists {
    fn of(measured: &[(&'static str, Self)], space: &str) -> Result<Self> {
        let found = measured.iter().find(|(name, _)| *name == space);
        Ok(found.ok_or("the space was not measured")?.1)
    }

    /// The joined list beside each of its two.
    fn guard(&self, embedder: &str) -> [Row; 2] {
        let mrr = |answers: Answers| answers.quality.mrr;
        let least = mrr(self.text).max(mrr(self.vector)) - GUARD;
        let row = |other: &str, value| {
            Row::new(
                format!("hybrid MRR@10 beside {other}, {embedder}"),
                mrr(self.both),
                "",
                Goal::AtLeast(least),
            )
            .against(format!("{other} alone"), value)
        };
        [row("words", mrr(self.text)), row("vectors", mrr(self.vector))]
    }
}

async fn measure(url: &str, items: &[Item], model: Option<&Path>) -> Result<Vec<(&'static str, Lists)>> {
    let mut spaces = vec![OFFLINE];
    let mut knowledge = Knowledge::new();
    if let Some(folder) = model {
        knowledge = knowledge.embedder_added(Arc::new(LocalModel::open(folder)?.named(MINILM)));
        spaces.push(MINILM);
    }
    let scope = neonhub::builder_with(knowledge).store(url).build().await?.workspace("default").await?;
    let mut out = Vec::new();
    for space in spaces {
        let embedder = (space != OFFLINE).then(|| space.to_owned());
        scope
            .call(CreateSpace { name: space.into(), embedder: embedder.clone(), ..Default::default() })
            .await?;
        scope.call(CreateDataset { space: space.into(), name: space.into(), ..Default::default() }).await?;
        upload(&scope, space, items).await?;
        let [text, vector, both] = [SearchMode::Text, SearchMode::Vector, SearchMode::Hybrid];
        out.push((
            space,
            Lists {
                text: ask(&scope, space, items, text, embedder.as_deref()).await?,
                vector: ask(&scope, space, items, vector, embedder.as_deref()).await?,
                both: ask(&scope, space, items, both, embedder.as_deref()).await?,
            },
        ));
    }
    scope.hub().close().await?;
    Ok(out)
}

async fn upload(scope: &Scope, space: &str, items: &[Item]) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for (number, item) in items.iter().enumerate() {
        if tasks.len() >= UPLOADS {
            tasks.join_next().await.ok_or("no upload is under way")???;
        }
        let upload = UploadDocument {
            title: Some(item.name.clone()),
            language: Some("en".into()),
            ..UploadDocument::of(space, format!("{number}.txt"), item.text.as_bytes())
        };
        let scope = scope.clone();
        tasks.spawn(async move { scope.call(upload).await.map(|_| ()) });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn ask(
    scope: &Scope,
    space: &str,
    items: &[Item],
    mode: SearchMode,
    embedder: Option<&str>,
) -> Result<Answers> {
    let (mut times, mut ranks) = (Vec::new(), Vec::new());
    for (number, item) in items.iter().enumerate().filter(|(_, item)| item.asked) {
        let embed = EmbedTexts {
            texts: vec![item.query.clone()],
            kind: VectorKind::Query,
            embedder: embedder.map(str::to_owned),
        };
        let vector = if mode == SearchMode::Text { None } else { Some(scope.call(embed).await?.packed) };
        let search = SearchKnowledge {
            spaces: vec![space.to_owned()],
            k: Some(10),
            mode,
            vector,
            ..SearchKnowledge::of(&item.query)
        };
        let start = Instant::now();
        let found = scope.call(search).await?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        let name = format!("{number}.txt");
        ranks.push(found.hits.iter().position(|hit| hit.name == name).map(|at| at + 1));
    }
    Answers::of(&times, &ranks)
}
