//! Vectors of MiniLM for the known items. Making them takes minutes, so a file beside the texts keeps them, each under
//! the hash of its text.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use neonhub::knowledge::{
    ChunkOptions, EmbedKind, Embedder, LocalModel, chunk, embed_all, embedded_text, extract,
};
use neonhub_core::{Error, ErrorKind};
use xxhash_rust::xxh3::xxh3_64;

use super::packages::{Item, TEXTS};
use super::peers;
use crate::Result;

/// Numbers of a vector.
pub(super) const DIMS: usize = 384;
/// Bytes of a vector in the file: its text's hash, then its numbers.
const ENTRY: usize = 8 + 4 * DIMS;
/// Texts that are made and written at once.
const BATCH: usize = 512;
const NAME: &str = "minilm";

/// The vectors as an embedder that computes nothing: what is measured with it is all but the embedding.
#[derive(Debug)]
pub(super) struct Given {
    path: PathBuf,
    id: String,
    vectors: HashMap<u64, Vec<f32>>,
}

impl Given {
    /// The vectors that a file holds.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = if path.exists() { std::fs::read(path)? } else { Vec::new() };
        // A run that was broken off leaves a part of an entry at most.
        let vectors = bytes.chunks_exact(ENTRY).filter_map(entry).collect();
        let id = path.file_stem().ok_or("the file of vectors has no name")?.to_string_lossy().into_owned();
        Ok(Self { path: path.to_owned(), id, vectors })
    }

    /// All that the items need: their passages, their questions, and the whole of each. `None` without a model.
    pub(super) fn of(items: &[Item]) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let Some(path) = peers::model(folder.path())? else { return Ok(None) };
        let texts = std::env::var_os(TEXTS).ok_or("the texts are not named")?;
        let beside = Path::new(&texts).parent().ok_or("the texts are in no folder")?;
        let model = LocalModel::open(path)?.named(NAME);
        let mut given = Self::read(&beside.join(format!("{}.vectors", model.id())))?;
        let mut missing = BTreeSet::new();
        for item in items {
            missing.extend(passages(item)?);
            missing.insert(whole(item)?);
            missing.extend(item.asked.then(|| item.query.clone()));
        }
        missing.retain(|text| !given.vectors.contains_key(&key(text)));
        given.make(&model, &missing.into_iter().collect::<Vec<_>>())?;
        Ok(Some(given))
    }

    fn make(&mut self, model: &LocalModel, texts: &[String]) -> Result<()> {
        if texts.is_empty() {
            return Ok(());
        }
        eprintln!("making {} vectors of MiniLM; they are kept in {}", texts.len(), self.path.display());
        let mut file = self.file()?;
        let runtime = tokio::runtime::Runtime::new()?;
        for batch in texts.chunks(BATCH) {
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            let vectors = runtime.block_on(embed_all(model, &batch, EmbedKind::Passage))?;
            let mut bytes = Vec::with_capacity(batch.len() * ENTRY);
            for (text, vector) in batch.iter().zip(vectors) {
                bytes.extend(key(text).to_le_bytes());
                bytes.extend(vector.iter().flat_map(|number| number.to_le_bytes()));
                self.vectors.insert(key(text), vector);
            }
            file.write_all(&bytes)?;
        }
        Ok(())
    }

    /// The file, at the end of its last whole entry.
    fn file(&self) -> Result<File> {
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        let length = file.metadata()?.len();
        file.set_len(length - length % ENTRY as u64)?;
        Ok(file)
    }

    /// The file that holds them.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The vector of a text.
    pub(super) fn vector(&self, text: &str) -> neonhub_core::Result<Vec<f32>> {
        self.vectors.get(&key(text)).cloned().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "bench.minilm", "no vector was made for this text")
        })
    }

    /// The vector of each item as a whole.
    pub(super) fn items(&self, items: &[Item]) -> Result<Vec<Vec<f32>>> {
        items.iter().map(|item| Ok(self.vector(&whole(item)?)?)).collect()
    }

    /// The vector of each question that is asked.
    pub(super) fn questions(&self, items: &[Item]) -> Result<Vec<Vec<f32>>> {
        items.iter().filter(|item| item.asked).map(|item| Ok(self.vector(&item.query)?)).collect()
    }
}

#[async_trait]
impl Embedder for Given {
    fn id(&self) -> &str {
        &self.id
    }

    fn dims(&self) -> usize {
        DIMS
    }

    fn max_batch(&self) -> usize {
        BATCH
    }

    async fn embed(&self, texts: &[&str], _kind: EmbedKind) -> neonhub_core::Result<Vec<Vec<f32>>> {
        texts.iter().map(|text| self.vector(text)).collect()
    }
}

fn key(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

fn entry(bytes: &[u8]) -> Option<(u64, Vec<f32>)> {
    let (key, numbers) = bytes.split_first_chunk::<8>()?;
    let (numbers, _) = numbers.as_chunks::<4>();
    Some((u64::from_le_bytes(*key), numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()))
}

/// What is embedded of an item when it is uploaded under its name.
fn passages(item: &Item) -> Result<Vec<String>> {
    let mut read = extract(item.text.as_bytes(), "item.txt")?;
    read.title = Some(item.name.clone());
    let chunks = chunk(&read, ChunkOptions::default())?;
    Ok(chunks.iter().map(|chunk| chunk.embedded_text(Some(&item.name), &read.text)).collect())
}

/// An item as one text, for who does not cut.
pub(super) fn whole(item: &Item) -> Result<String> {
    let mut passages = passages(item)?;
    Ok(match (passages.pop(), passages.is_empty()) {
        (Some(only), true) => only,
        _ => embedded_text(Some(&item.name), &[], "", &item.text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back_and_a_broken_end_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("minilm@1.vectors");
        let mut bytes = key("tea").to_le_bytes().to_vec();
        bytes.extend((0..DIMS).flat_map(|n| (n as f32).to_le_bytes()));
        bytes.extend([1, 2, 3]);
        std::fs::write(&path, bytes).unwrap();
        let given = Given::read(&path).unwrap();
        assert_eq!(given.id(), "minilm@1");
        assert_eq!(given.vector("tea").unwrap()[..3], [0.0, 1.0, 2.0]);
        assert_eq!(given.vector("coffee").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(given.file().unwrap().metadata().unwrap().len(), ENTRY as u64);
    }

    #[test]
    fn a_short_item_is_one_passage() {
        let item = Item {
            name: "tea".into(),
            query: "a drink".into(),
            text: "Leaves in water.".into(),
            asked: false,
        };
        assert_eq!(passages(&item).unwrap(), [whole(&item).unwrap()]);
        assert_eq!(whole(&item).unwrap(), "tea\nLeaves in water.");
    }
}
