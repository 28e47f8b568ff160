//! Known items in a space of NeonHub, through the operations that a host calls.

use std::sync::Arc;
use std::time::Instant;

use neonhub::Scope;
use neonhub::knowledge::{
    CreateDataset, CreateSpace, Document, EmbedTexts, Embedder as _, Knowledge, SearchFilters,
    SearchKnowledge, SearchMode, UploadDocument, UploadDocuments, VectorKind,
};

use super::minilm::Given;
use super::packages::{Item, Quality};
use super::searched::K;
use crate::Result;
use crate::measure::median;

/// Uploads under way at once: an upload waits for its commit, and the next one computes meanwhile.
const UPLOADS: usize = 8;
/// Documents of one call, and such calls under way at once.
const BATCH: usize = 500;
const BATCHES: usize = 2;
/// The space that is filled by batches; one of another name is filled one by one.
const SPACE: &str = "bench";
/// Labels, and the documents that have them: one in so many.
const TAGS: [(&str, usize); 2] = [("tenth", 10), ("hundredth", 100)];

/// A workspace with one space.
#[derive(Clone, Debug)]
pub(super) struct Library {
    pub(super) scope: Scope,
    /// The embedder of its vectors; the offline one without.
    embedder: Option<String>,
    /// Name of its space, and of the dataset in it.
    pub(super) space: &'static str,
}

/// What one way to ask answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    pub(super) quality: Quality,
    pub(super) p50: f64,
    pub(super) p95: f64,
    /// Answers of fewer hits than there are, up to ten.
    pub(super) short: usize,
}

impl Library {
    /// Opens the store, with the given vectors or else the offline embedder.
    pub(super) async fn open(url: &str, given: Option<Arc<Given>>) -> Result<Self> {
        let embedder = given.as_ref().map(|given| given.id().to_owned());
        let knowledge = match given {
            Some(given) => Knowledge::new().embedder_added(given),
            None => Knowledge::new(),
        };
        let scope = neonhub::builder_with(knowledge).store(url).build().await?.workspace("default").await?;
        Ok(Self { scope, embedder, space: SPACE })
    }

    /// The same with another space.
    pub(super) fn beside(&self, space: &'static str) -> Self {
        Self { space, ..self.clone() }
    }

    /// Makes its space.
    pub(super) async fn found(&self) -> Result<()> {
        let name = self.space.to_owned();
        let space = CreateSpace { name: name.clone(), embedder: self.embedder.clone(), ..Default::default() };
        self.scope.call(space).await?;
        let dataset = CreateDataset { space: name.clone(), name, ..Default::default() };
        self.scope.call(dataset).await?;
        Ok(())
    }

    /// Takes one document in.
    pub(super) async fn add(&self, number: usize, item: &Item) -> Result<Document> {
        Ok(self.scope.call(self.upload(number, item)).await?)
    }

    fn upload(&self, number: usize, item: &Item) -> UploadDocument {
        let tags = TAGS.into_iter().filter(|(_, step)| number.is_multiple_of(*step));
        UploadDocument {
            title: Some(item.name.clone()),
            language: Some("en".into()),
            tags: tags.map(|(tag, _)| tag.to_owned()).collect(),
            ..UploadDocument::of_text(self.space, format!("{number}.txt"), &item.text)
        }
    }

    /// Takes items in, batch by batch; says of how many chunks they are.
    pub(super) async fn fill(&self, items: &[Item], first: usize, last: usize) -> Result<u64> {
        let (mut tasks, mut chunks) = (tokio::task::JoinSet::new(), 0);
        let numbers: Vec<usize> = (first..last.min(items.len())).collect();
        for batch in numbers.chunks(BATCH) {
            if tasks.len() >= BATCHES {
                chunks += tasks.join_next().await.ok_or("no upload is under way")???;
            }
            let uploads = batch.iter().filter_map(|n| Some(self.upload(*n, items.get(*n)?)));
            let (scope, documents) = (self.scope.clone(), uploads.collect());
            tasks.spawn(async move {
                let report = scope.call(UploadDocuments { documents }).await?;
                if report.failed == 0 {
                    crate::Result::Ok(report.embedded)
                } else {
                    Err("a document failed".into())
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            chunks += done??;
        }
        Ok(chunks)
    }

    /// Takes items in, one by one, some at once.
    pub(super) async fn fill_singly(&self, items: &[Item], first: usize, last: usize) -> Result<()> {
        let mut tasks = tokio::task::JoinSet::new();
        for (number, item) in items.iter().enumerate().take(last).skip(first) {
            if tasks.len() >= UPLOADS {
                tasks.join_next().await.ok_or("no upload is under way")???;
            }
            let (library, item) = (self.clone(), item.clone());
            tasks.spawn(async move { library.add(number, &item).await.map(|_| ()) });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }

    /// A search with the vector of the text given, as far as it needs one.
    pub(super) async fn question(
        &self,
        query: &str,
        text: &str,
        mode: SearchMode,
    ) -> Result<SearchKnowledge> {
        let embed = EmbedTexts {
            texts: vec![text.to_owned()],
            kind: VectorKind::Query,
            embedder: self.embedder.clone(),
        };
        let vector = if mode == SearchMode::Text { None } else { Some(self.scope.call(embed).await?.packed) };
        Ok(SearchKnowledge { k: Some(K as u32), mode, vector, ..SearchKnowledge::of(query) })
    }

    /// Numbers of the documents that a search finds.
    pub(super) async fn numbers(&self, search: SearchKnowledge) -> Result<Vec<usize>> {
        let found = self.scope.call(search).await?;
        Ok(found.hits.iter().filter_map(|hit| hit.name.strip_suffix(".txt")?.parse().ok()).collect())
    }

    /// Asks up to `most` of the questions that the items ask, which are all in it.
    pub(super) async fn ask(
        &self,
        items: &[Item],
        mode: SearchMode,
        tag: Option<&str>,
        most: usize,
    ) -> Result<Answers> {
        let (mut times, mut ranks, mut short) = (Vec::new(), Vec::new(), 0);
        let step = TAGS.iter().find(|(name, _)| Some(*name) == tag).map_or(1, |(_, step)| *step);
        let least = K.min(items.len().div_ceil(step));
        for (number, item) in items.iter().enumerate().filter(|(_, item)| item.asked).take(most) {
            let filters = SearchFilters {
                tags: tag.iter().map(|tag| (*tag).to_owned()).collect(),
                ..Default::default()
            };
            let search = SearchKnowledge { filters, ..self.question(&item.query, &item.query, mode).await? };
            let start = Instant::now();
            let found = self.numbers(search).await?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
            short += usize::from(found.len() < least);
            ranks.push(found.iter().position(|found| *found == number).map(|at| at + 1));
        }
        let p50 = median(&times).ok_or("nothing was asked")?;
        times.sort_by(f64::total_cmp);
        let p95 = *times.get(times.len() * 95 / 100).ok_or("nothing was asked")?;
        Ok(Answers { quality: Quality::of(&ranks), p50, p95, short })
    }
}
