//! NeonHub as a store of documents whose vectors are given, in a process of its own, so that its memory and processor
//! time are nobody else's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use neonhub::knowledge::{CompactKnowledge, DeleteDocument, SearchMode};
use serde_json::json;

use super::library::Library;
use super::minilm::{Given, whole};
use super::packages::{self, Item};
use super::peers::MARKER;
use crate::Result;
use crate::measure::{median, resident};
use crate::process::cpu;

/// Questions that a time is the median of.
const QUERIES: usize = 100;
const ALL: usize = usize::MAX;

/// Measures; `arguments` are the folder of the work, the number of documents, and the file of vectors.
pub(super) fn run(arguments: &[String]) -> Result<()> {
    let [folder, count, vectors] = arguments else { return Err("expected folder, count and vectors".into()) };
    let (folder, count) = (Path::new(folder), count.parse()?);
    let guest = Guest {
        given: Arc::new(Given::read(Path::new(vectors))?),
        items: packages::read_written(folder)?,
        count,
    };
    let place = folder.join("ours");
    std::fs::create_dir(&place)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut line = BTreeMap::from([("name", json!("NeonHub"))]);
    let figures = runtime.block_on(guest.measure(&place))?;
    line.extend(figures.into_iter().map(|(name, value)| (name, json!(value))));
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

type Figures = BTreeMap<&'static str, f64>;

struct Guest {
    given: Arc<Given>,
    items: Vec<Item>,
    /// Documents that are there at first; the others are added and deleted one by one.
    count: usize,
}

impl Guest {
    async fn measure(&self, place: &Path) -> Result<Figures> {
        let url = place.join("ours.neon").to_string_lossy().into_owned();
        let before = resident()?;
        let library = Library::open(&url, Some(Arc::clone(&self.given))).await?;
        library.found().await?;
        let mut figures = self.fill(&library).await?;
        figures.extend(self.ask(&library).await?);
        figures.insert("ram", resident()? - before);
        figures.insert("disk", mebibytes(place)?);
        figures.extend(self.change(&library).await?);
        // Its blobs are packed: of those it is seen nowhere.
        if holding(place, MARKER.as_bytes())? == 0 {
            return Err("a word that was not purged yet is in no file".into());
        }
        let purge = CompactKnowledge { restorable_days: Some(0), blob_grace_s: Some(0) };
        library.scope.call(purge).await?;
        figures.insert("left", holding(place, MARKER.as_bytes())? as f64);
        figures.insert("open", self.open(&library, &url).await?);
        figures.insert("single_rate", self.singly(&url).await?);
        Ok(figures)
    }

    /// The ingest, a tenth first, and how its cost and that of a query grew until the end.
    async fn fill(&self, library: &Library) -> Result<Figures> {
        let first = self.count / 10;
        let (start, began) = (Instant::now(), cpu()?);
        self.found_after(library, 0, first).await?;
        let tenth = cpu()? - began;
        let seconds = start.elapsed().as_secs_f64();
        let small = library.ask(&self.items, SearchMode::Hybrid, None, QUERIES).await?;
        let (start, began) = (Instant::now(), cpu()?);
        self.found_after(library, first, self.count).await?;
        let rest = cpu()? - began;
        let seconds = seconds + start.elapsed().as_secs_f64();
        let large = library.ask(&self.items, SearchMode::Hybrid, None, QUERIES).await?;
        let per_document = |cpu: f64, documents: usize| cpu / documents as f64;
        Ok(Figures::from([
            ("rate", self.count as f64 / seconds),
            ("cpu_rate", self.count as f64 / (tenth + rest)),
            ("ingest_growth", per_document(rest, self.count - first) / per_document(tenth, first)),
            ("query_growth", large.p50 / small.p50),
        ]))
    }

    /// A tenth of the documents in a space of their own, one a call: documents in a second.
    async fn singly(&self, url: &str) -> Result<f64> {
        let library = Library::open(url, Some(Arc::clone(&self.given))).await?.beside("singly");
        library.found().await?;
        let (count, start) = (self.count / 10, Instant::now());
        library.fill_singly(&self.items, 0, count).await?;
        library.ask(&self.items, SearchMode::Hybrid, None, 1).await?;
        let seconds = start.elapsed().as_secs_f64();
        library.scope.hub().close().await?;
        Ok(count as f64 / seconds)
    }

    /// Documents are taken in when a search finds them.
    async fn found_after(&self, library: &Library, first: usize, last: usize) -> Result<()> {
        library.fill(&self.items, first, last).await?;
        library.ask(&self.items, SearchMode::Hybrid, None, 1).await.map(|_| ())
    }

    async fn ask(&self, library: &Library) -> Result<Figures> {
        let held = self.items.get(..self.count).unwrap_or(&self.items);
        let ask = |mode, tag, most| library.ask(held, mode, tag, most);
        let text = ask(SearchMode::Text, None, ALL).await?;
        let vector = ask(SearchMode::Vector, None, ALL).await?;
        let both = ask(SearchMode::Hybrid, None, ALL).await?;
        let tenth = ask(SearchMode::Vector, Some("tenth"), QUERIES).await?;
        let hundredth = ask(SearchMode::Vector, Some("hundredth"), QUERIES).await?;
        Ok(Figures::from([
            ("text", text.p50),
            ("p50", vector.p50),
            ("hybrid", both.p50),
            ("text_mrr", text.quality.mrr),
            ("vector_mrr", vector.quality.mrr),
            ("mrr", both.quality.mrr),
            ("text_hit", text.quality.hit),
            ("vector_hit", vector.quality.hit),
            ("hit", both.quality.hit),
            ("filter_10", tenth.p50),
            ("filter_100", hundredth.p50),
            ("short", (vector.short + tenth.short + hundredth.short) as f64),
        ]))
    }

    /// Documents added and deleted one by one, each seen by the query after it.
    async fn change(&self, library: &Library) -> Result<Figures> {
        let (mut adds, mut deletes) = (Vec::new(), Vec::new());
        for (number, item) in self.items.iter().enumerate().skip(self.count) {
            let search = library.question(MARKER, &whole(item)?, SearchMode::Hybrid).await?;
            let start = Instant::now();
            let document = library.add(number, item).await?;
            let found = library.numbers(search.clone()).await?;
            adds.push(start.elapsed().as_secs_f64() * 1e3);
            if !found.contains(&number) {
                return Err("a document that was added is not found".into());
            }
            let start = Instant::now();
            library.scope.call(DeleteDocument { document: document.id }).await?;
            let found = library.numbers(search).await?;
            deletes.push(start.elapsed().as_secs_f64() * 1e3);
            if found.contains(&number) {
                return Err("a document that was deleted is found".into());
            }
        }
        let middle = |times: &[f64]| median(times).ok_or("nothing was changed");
        Ok(Figures::from([("add", middle(&adds)?), ("delete", middle(&deletes)?)]))
    }

    /// Milliseconds from opening the store to an answer, which must be the one from before.
    async fn open(&self, library: &Library, url: &str) -> Result<f64> {
        let item = self.items.first().ok_or("there are no items")?;
        let search = library.question(&item.query, &item.query, SearchMode::Hybrid).await?;
        let before = library.numbers(search.clone()).await?;
        library.scope.hub().close().await?;
        let start = Instant::now();
        let library = Library::open(url, Some(Arc::clone(&self.given))).await?;
        let after = library.numbers(search).await?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        library.scope.hub().close().await?;
        if after == before { Ok(took) } else { Err("another answer after opening again".into()) }
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { all.extend(files(&path)?) } else { all.push(path) }
    }
    Ok(all)
}

/// What a folder holds, in MiB.
pub(super) fn mebibytes(folder: &Path) -> Result<f64> {
    let sizes = files(folder)?.into_iter().map(|path| Ok(std::fs::metadata(path)?.len() as f64));
    Ok(sizes.sum::<Result<f64>>()? / 1_048_576.0)
}

/// Files that hold these bytes.
fn holding(folder: &Path, bytes: &[u8]) -> Result<usize> {
    let mut count = 0;
    for path in files(folder)? {
        count += usize::from(std::fs::read(path)?.windows(bytes.len()).any(|window| window == bytes));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_weighed_and_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("in/a"), "a marker b").unwrap();
        std::fs::write(folder.path().join("b"), vec![0; 1_048_566]).unwrap();
        assert_eq!(mebibytes(folder.path()).unwrap(), 1.0);
        assert_eq!(holding(folder.path(), b"marker").unwrap(), 1);
        assert_eq!(holding(folder.path(), b"markers").unwrap(), 0);
    }
}
