//! Bytes to a document with its chunks.

use std::collections::HashMap;
use std::sync::Arc;

use neonhub_core::store::canonical_json;
use neonhub_core::{Error, ErrorKind, Result, Scope};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::knowledge::Knowledge;
use super::migrate::give_next;
use super::model::{
    ChunkRecord, Document, DocumentId, DocumentState, Failure, Space, TextBlob, Trust, chunk_id,
};
use crate::chunk::{Chunk, chunk_for, hex};
use crate::embed::{EmbedKind, Embedder, embed_in};
use crate::extract::{Extracted, Format, extract, recognise};
use crate::language::detect_language;
use crate::vector::{decode, encode};

/// Version of extraction and chunking. Raised when either would give another text for the same file, so that
/// an unchanged file is then read again.
const RECIPE_VERSION: u32 = 1;

/// Bytes of plain text that are read and cut in two tenths of a millisecond.
const SHORT: usize = 2048;

/// What comes in.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) external_key: String,
    pub(super) name: String,
    pub(super) mime: Option<String>,
    pub(super) title: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) author: Option<String>,
    pub(super) language: Option<String>,
    pub(super) trust: Trust,
    pub(super) source: Option<String>,
    pub(super) consent_basis: Option<String>,
    pub(super) bytes: Arc<Vec<u8>>,
}

impl Incoming {
    /// A plain text that takes less time than a thread of its own is worth.
    fn is_short(&self) -> bool {
        let hint = self.mime.as_deref().unwrap_or(&self.name);
        let is_text = matches!(Format::detect(&self.bytes, hint), Ok(Format::Text | Format::Markdown));
        is_text && self.bytes.len() <= SHORT
    }
}

/// A file that is to become a document.
pub(super) struct NewFile {
    pub(super) incoming: Incoming,
    /// The version that search answers from now.
    pub(super) before: Option<Document>,
    /// The document, without what is read from the file.
    pub(super) blank: Document,
}

/// What one file became.
pub(super) struct Ingested {
    pub(super) document: Document,
    pub(super) chunks: Vec<ChunkRecord>,
}

struct Parsed {
    extracted: Extracted,
    title: String,
    chunks: Vec<Chunk>,
    language: Option<String>,
}

/// Everything that decides the chunks and vectors of a file, hashed.
pub(super) fn recipe(
    knowledge: &Knowledge,
    incoming: &Incoming,
    space: &Space,
    blob: &str,
) -> Result<String> {
    let parts = (
        RECIPE_VERSION,
        blob,
        (&incoming.name, &incoming.mime, &incoming.title, &incoming.language),
        (&space.embedder, space.chunking, &space.language),
    );
    let mut all = canonical_json(&parts)?;
    let hint = incoming.mime.as_deref().unwrap_or(&incoming.name);
    if let (Some(ocr), Ok(Format::Pdf)) = (knowledge.ocr(), Format::detect(&incoming.bytes, hint)) {
        all.push_str(ocr.id());
    }
    Ok(hex(&Sha256::digest(all.as_bytes())))
}

/// The blob name of some bytes, as the store computes it.
pub(super) fn blob_name(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Extracts, cuts and embeds files, each with the version before it and a document to fill in. A file that cannot be read
/// becomes a failed document; of the others only an unknown type and a file over the limits are errors of their own. The
/// embedder is asked for all of them together.
pub(super) async fn ingest(
    cx: &Scope,
    knowledge: &Arc<Knowledge>,
    space: &Space,
    files: Vec<NewFile>,
) -> Result<Vec<Result<Ingested>>> {
    let embedder = knowledge.embedder(&space.embedder)?;
    let incoming = files.iter().map(|file| file.incoming.clone()).collect();
    let parsed = parse_all(incoming, space, knowledge, &embedder).await?;
    cx.cancel_token().check(cx.operation())?;
    let mut read = Vec::with_capacity(files.len());
    for (file, parsed) in files.into_iter().zip(parsed) {
        read.push(match parsed {
            Ok(parsed) => Ok((file.blank, known_vectors(cx, file.before, parsed, &space.embedder).await?)),
            Err(error) => Err(failed(file.blank, error)),
        });
    }
    let new = embed(cx, read.iter().flatten().map(|(_, known)| known), embedder.as_ref()).await?;
    let mut new = new.into_iter();
    let mut out = Vec::with_capacity(read.len());
    for file in read {
        out.push(match file {
            Ok((blank, known)) => Ok(finish(cx, knowledge, space, blank, known, new.next()).await?),
            Err(failed) => failed,
        });
    }
    Ok(out)
}

/// A file that was read and embedded becomes a document with its chunks.
async fn finish(
    cx: &Scope,
    knowledge: &Knowledge,
    space: &Space,
    mut document: Document,
    known: Known,
    new: Option<Vec<Vec<f32>>>,
) -> Result<Ingested> {
    let new = new.unwrap_or_default();
    document.embedded = u32::try_from(new.len()).unwrap_or(u32::MAX);
    let vectors = known.with(new);
    let Parsed { extracted, title, chunks, language } = known.parsed;
    document.title = title;
    document.mime.clone_from(&extracted.mime);
    document.author = document.author.or_else(|| extracted.metadata.get("author").cloned());
    document.language = language;
    document.pages = extracted.pages;
    document.chars = extracted.text.chars().count() as u64;
    document.chunks = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    document.warnings.clone_from(&extracted.warnings);
    let mut chunks: Vec<ChunkRecord> = chunks
        .iter()
        .zip(vectors)
        .map(|(chunk, vector)| record(&document.id, chunk, &extracted.text, &space.embedder, &vector))
        .collect();
    // Whoever says a language says it of the whole; of a single chunk it was found out already.
    let is_said = document.given.language.is_some() || space.language.is_some() || chunks.len() == 1;
    for chunk in &mut chunks {
        let own = if is_said { None } else { detect_language(&chunk.text).map(str::to_owned) };
        chunk.language = own.or_else(|| document.language.clone());
    }
    give_next(cx, knowledge, space, &document.title, &mut chunks).await?;
    document.content_hash = content_hash(&document, &chunks);
    let blob = TextBlob {
        text: extracted.text,
        blocks: extracted.blocks,
        hidden: extracted.hidden,
        links: extracted.links,
        metadata: extracted.metadata,
    };
    let blob = serde_json::to_vec(&blob).map_err(|e| Error::internal(cx.operation(), e))?;
    document.text_blob = Some(cx.keep_blob(&blob).await?);
    Ok(Ingested { document, chunks })
}

/// Reads and cuts files, in order: short ones at once, the others beside each other, one per processor.
async fn parse_all(
    files: Vec<Incoming>,
    space: &Space,
    knowledge: &Arc<Knowledge>,
    embedder: &Arc<dyn Embedder>,
) -> Result<Vec<Result<Parsed>>> {
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    let mut under_way = JoinSet::new();
    let mut out: Vec<Option<Result<Parsed>>> = files.iter().map(|_| None).collect();
    for (at, file) in files.into_iter().enumerate() {
        let is_short = file.is_short();
        let work = parse(file, space.clone(), Arc::clone(knowledge), Arc::clone(embedder));
        if is_short {
            keep(&mut out, at, work.await);
            tokio::task::yield_now().await;
            continue;
        }
        if under_way.len() >= most {
            joined(&mut out, under_way.join_next().await)?;
        }
        under_way.spawn(async move { (at, work.await) });
    }
    while !under_way.is_empty() {
        joined(&mut out, under_way.join_next().await)?;
    }
    Ok(out.into_iter().flatten().collect())
}

fn keep(out: &mut [Option<Result<Parsed>>], at: usize, parsed: Result<Parsed>) {
    if let Some(place) = out.get_mut(at) {
        *place = Some(parsed);
    }
}

fn joined(
    out: &mut [Option<Result<Parsed>>],
    ended: Option<std::result::Result<(usize, Result<Parsed>), tokio::task::JoinError>>,
) -> Result<()> {
    if let Some(ended) = ended {
        let (at, parsed) = ended.map_err(|cause| Error::internal("documents.upload", cause))?;
        keep(out, at, parsed);
    }
    Ok(())
}

async fn parse(
    incoming: Incoming,
    space: Space,
    knowledge: Arc<Knowledge>,
    embedder: Arc<dyn Embedder>,
) -> Result<Parsed> {
    let file = incoming.clone();
    let is_short = file.is_short();
    let read = move || extract(&file.bytes, file.mime.as_deref().unwrap_or(&file.name));
    let mut extracted = beside(is_short, read).await?;
    if let Some(ocr) = knowledge.ocr() {
        recognise(ocr, &incoming.bytes, &mut extracted).await?;
    }
    beside(is_short, move || {
        let title = incoming.title.or_else(|| extracted.title.clone()).unwrap_or(incoming.name);
        extracted.title = Some(title.clone());
        let chunks = chunk_for(&extracted, space.chunking, embedder.as_ref())?;
        let language = incoming
            .language
            .or(space.language)
            .or_else(|| detect_language(&extracted.text).map(str::to_owned));
        Ok(Parsed { extracted, title, chunks, language })
    })
    .await
}

/// Beside the async tasks: extraction of a large file takes seconds of processor time, and so does its cutting. What is short
/// is done at once.
async fn beside<T: Send + 'static>(
    is_short: bool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if is_short {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("documents.upload", e))?
}

fn failed(mut document: Document, error: Error) -> Result<Ingested> {
    let is_of_the_file = match error.kind() {
        ErrorKind::Corrupted | ErrorKind::Blocked => true,
        ErrorKind::Unsupported => error.code() != "unsupported_type",
        // Of the input faults only the empty file is one of the file itself.
        ErrorKind::InvalidInput => document.size_bytes == 0,
        _ => false,
    };
    if !is_of_the_file {
        return Err(error);
    }
    document.state = DocumentState::Failed;
    document.current = false;
    document.failure = Some(Failure { code: error.code().to_owned(), reason: error.message().to_owned() });
    Ok(Ingested { document, chunks: Vec::new() })
}

/// What was cut from a file, with the vectors of the version before, by the hash of what was embedded.
struct Known {
    parsed: Parsed,
    vectors: HashMap<String, Vec<f32>>,
}

async fn known_vectors(
    cx: &Scope,
    before: Option<Document>,
    parsed: Parsed,
    embedder: &str,
) -> Result<Known> {
    let mut vectors = HashMap::new();
    let ids = before.map(|before| before.chunk_ids()).unwrap_or_default();
    for ids in ids.chunks(500) {
        for chunk in cx.get_many::<ChunkRecord>(ids).await?.into_iter().flatten() {
            if let Some(vector) = chunk.vector_of(embedder) {
                vectors.insert(chunk.body.hash.clone(), decode(vector)?);
            }
        }
    }
    Ok(Known { parsed, vectors })
}

impl Known {
    /// The chunks that have no vector yet.
    fn new_chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.parsed.chunks.iter().filter(|chunk| !self.vectors.contains_key(&chunk.hash))
    }

    /// What is to be embedded for them.
    fn new_texts(&self) -> Vec<String> {
        let (title, source) = (&self.parsed.title, &self.parsed.extracted.text);
        self.new_chunks().map(|chunk| chunk.embedded_text(Some(title), source)).collect()
    }

    /// One vector per chunk, from those that were known and those of the new chunks, in their order.
    fn with(&self, new: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let mut new = new.into_iter();
        let chunks = self.parsed.chunks.iter();
        chunks.filter_map(|chunk| self.vectors.get(&chunk.hash).cloned().or_else(|| new.next())).collect()
    }
}

/// The vectors of the new chunks of each file.
async fn embed<'a>(
    cx: &Scope,
    files: impl Iterator<Item = &'a Known>,
    embedder: &dyn Embedder,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let texts: Vec<Vec<String>> = files.map(Known::new_texts).collect();
    let all: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
    let mut made = embed_in(cx, embedder, &all, EmbedKind::Passage).await?.into_iter();
    Ok(texts.iter().map(|texts| made.by_ref().take(texts.len()).collect()).collect())
}

fn record(document: &DocumentId, chunk: &Chunk, source: &str, embedder: &str, vector: &[f32]) -> ChunkRecord {
    ChunkRecord {
        id: chunk_id(document.as_str(), chunk.position),
        document: document.clone(),
        position: chunk.position,
        text: chunk.text(source).to_owned(),
        byte_start: chunk.byte_start as u64,
        byte_end: chunk.byte_end as u64,
        page: chunk.page,
        heading_path: chunk.heading_path.clone(),
        context: chunk.context.clone(),
        tokens: chunk.tokens,
        hash: chunk.hash.clone(),
        language: None,
        embedder: embedder.to_owned(),
        vector: encode(vector),
        next: None,
    }
}

/// By this the indexes know whether they hold a document: it covers all that they keep of it.
fn content_hash(document: &Document, chunks: &[ChunkRecord]) -> String {
    let mut hash = Sha256::new();
    for part in [document.title.as_str(), document.language.as_deref().unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    for chunk in chunks {
        hash.update(chunk.hash.as_bytes());
        hash.update(chunk.embedder.as_bytes());
    }
    hex(hash.finalize().get(..12).unwrap_or_default())
}
