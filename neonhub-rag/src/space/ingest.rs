//! Bytes to a document with its chunks.

use std::collections::HashMap;
use std::sync::Arc;

use neonhub_core::store::canonical_json;
use neonhub_core::{Error, ErrorKind, Result, Scope};
use sha2::{Digest, Sha256};

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

/// Extracts, cuts and embeds. A file that cannot be read becomes a failed document; only an unknown type and a
/// file over the limits are errors.
pub(super) async fn ingest(
    cx: &Scope,
    knowledge: &Knowledge,
    incoming: Incoming,
    space: &Space,
    before: Option<&Document>,
    blank: Document,
) -> Result<Ingested> {
    let embedder = knowledge.embedder(&space.embedder)?;
    let parsed = match parse(&incoming, space, knowledge, &embedder).await {
        Ok(parsed) => parsed,
        Err(error) => return failed(blank, error),
    };
    cx.cancel_token().check(cx.operation())?;
    let known = known_vectors(cx, before, &space.embedder).await?;
    let (vectors, embedded) = vectors(cx, &parsed, &known, embedder.as_ref()).await?;
    let mut document = blank;
    let Parsed { extracted, title, chunks, language } = parsed;
    document.title = title;
    document.mime.clone_from(&extracted.mime);
    document.author = document.author.or_else(|| extracted.metadata.get("author").cloned());
    document.language = language;
    document.pages = extracted.pages;
    document.chars = extracted.text.chars().count() as u64;
    document.chunks = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    document.embedded = embedded;
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

async fn parse(
    incoming: &Incoming,
    space: &Space,
    knowledge: &Knowledge,
    embedder: &Arc<dyn Embedder>,
) -> Result<Parsed> {
    let file = incoming.clone();
    let is_short = file.is_short();
    let read = move || extract(&file.bytes, file.mime.as_deref().unwrap_or(&file.name));
    let mut extracted = beside(is_short, read).await?;
    if let Some(ocr) = knowledge.ocr() {
        recognise(ocr, &incoming.bytes, &mut extracted).await?;
    }
    let (incoming, space, embedder) = (incoming.clone(), space.clone(), Arc::clone(embedder));
    beside(is_short, move || {
        let title = incoming
            .title
            .clone()
            .or_else(|| extracted.title.clone())
            .unwrap_or_else(|| incoming.name.clone());
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

/// Vectors of the version before, by the hash of what was embedded.
async fn known_vectors(
    cx: &Scope,
    before: Option<&Document>,
    embedder: &str,
) -> Result<HashMap<String, Vec<f32>>> {
    let mut known = HashMap::new();
    let Some(before) = before else { return Ok(known) };
    for ids in before.chunk_ids().chunks(500) {
        for chunk in cx.get_many::<ChunkRecord>(ids).await?.into_iter().flatten() {
            if let Some(vector) = chunk.vector_of(embedder) {
                known.insert(chunk.body.hash.clone(), decode(vector)?);
            }
        }
    }
    Ok(known)
}

/// One vector per chunk, and how many of them had to be made.
async fn vectors(
    cx: &Scope,
    parsed: &Parsed,
    known: &HashMap<String, Vec<f32>>,
    embedder: &dyn Embedder,
) -> Result<(Vec<Vec<f32>>, u32)> {
    let source = &parsed.extracted.text;
    let new: Vec<&Chunk> = parsed.chunks.iter().filter(|c| !known.contains_key(&c.hash)).collect();
    let texts: Vec<String> = new.iter().map(|c| c.embedded_text(Some(&parsed.title), source)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let made = embed_in(cx, embedder, &texts, EmbedKind::Passage).await?;
    let made: HashMap<&str, &Vec<f32>> = new.iter().map(|c| c.hash.as_str()).zip(&made).collect();
    let all = parsed
        .chunks
        .iter()
        .filter_map(|c| known.get(&c.hash).or_else(|| made.get(c.hash.as_str()).copied()).cloned());
    Ok((all.collect(), u32::try_from(new.len()).unwrap_or(u32::MAX)))
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
