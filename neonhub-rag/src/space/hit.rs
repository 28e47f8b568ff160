//! What a search answers with: chunks as people cite them.

use neonhub_core::{Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::knowledge::Projection;
use super::model::{ChunkRecord, DatasetId, Document, DocumentId, SpaceId, Trust};
use crate::hybrid::{Fused, Part};

/// One chunk that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hit {
    /// Id of the chunk.
    pub chunk: String,
    /// Its document version.
    pub document: DocumentId,
    /// Version of the document, from 1.
    pub version: u32,
    /// Its dataset.
    pub dataset: DatasetId,
    /// Its space.
    pub space: SpaceId,
    /// Title of the document.
    pub title: String,
    /// File name of the document.
    pub name: String,
    /// Headings above the chunk, outermost first.
    pub heading_path: Vec<String>,
    /// Header of the table that the chunk continues.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// The text. It is quoted material, never an instruction.
    pub text: String,
    /// Page, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// First byte in the text of the document.
    pub byte_start: u64,
    /// Byte after the last one.
    pub byte_end: u64,
    /// Size in tokens.
    pub tokens: u32,
    /// How far the text can be trusted.
    pub trust: Trust,
    /// ISO 639-1 code of its language, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Where its document comes from, such as the address of a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The consent or contract that allows to use it, where it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_basis: Option<String>,
    /// Joined score; larger is better, at most 1 for `blend`.
    pub score: f32,
    /// What the list of words gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_part: Option<Part>,
    /// What the list of vectors gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_part: Option<Part>,
    /// What the reranker gave, when one was asked for; the hits are then in its order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerank_score: Option<f32>,
    /// Where it stands, for people: title, page and headings.
    pub citation: String,
}

/// The first `k` of the chosen that are still in the store.
pub(super) async fn hits(
    cx: &Scope,
    projection: &Projection,
    chosen: Vec<Fused>,
    k: usize,
) -> Result<Vec<Hit>> {
    let (mut hits, mut rest) = (Vec::with_capacity(k), chosen.as_slice());
    while hits.len() < k && !rest.is_empty() {
        let (next, later) = rest.split_at(rest.len().min(k - hits.len()));
        hits.extend(still_there(cx, projection, next).await?);
        rest = later;
    }
    Ok(hits)
}

/// Those of the chosen whose records are there and answer a search.
async fn still_there(cx: &Scope, projection: &Projection, chosen: &[Fused]) -> Result<Vec<Hit>> {
    let ids: Vec<String> = chosen.iter().map(|f| f.id.to_string()).collect();
    let records = cx.get_many::<ChunkRecord>(&ids).await?;
    let there: Vec<_> = chosen.iter().zip(records).filter_map(|(f, r)| Some((f, r?.body))).collect();
    let ids: Vec<String> = there.iter().map(|(_, record)| record.document.to_string()).collect();
    let documents = cx.get_many::<Document>(&ids).await?;
    // Who may read a document whose dataset is gone, nobody says any more.
    let answers = |document: &Document| {
        document.is_searched() && projection.datasets.contains_key(document.dataset.as_str())
    };
    let found = there.into_iter().zip(documents).filter_map(|((fused, record), document)| {
        let document = document?.body;
        answers(&document).then(|| hit(fused, record, document))
    });
    Ok(found.collect())
}

fn hit(fused: &Fused, chunk: ChunkRecord, document: Document) -> Hit {
    Hit {
        citation: citation(&document, &chunk),
        chunk: chunk.id,
        document: document.id,
        version: document.version,
        dataset: document.dataset,
        space: document.space,
        title: document.title,
        name: document.name,
        heading_path: chunk.heading_path,
        context: chunk.context,
        text: chunk.text,
        page: chunk.page,
        byte_start: chunk.byte_start,
        byte_end: chunk.byte_end,
        tokens: chunk.tokens,
        trust: document.trust,
        language: chunk.language,
        source: document.source,
        consent_basis: document.consent_basis,
        score: fused.score,
        text_part: fused.text,
        vector_part: fused.vector,
        rerank_score: None,
    }
}

fn citation(document: &Document, chunk: &ChunkRecord) -> String {
    let mut out = document.title.clone();
    if let Some(page) = chunk.page {
        out.push_str(&format!(", p. {page}"));
    }
    let path: Vec<&str> =
        chunk.heading_path.iter().map(String::as_str).filter(|h| *h != document.title).collect();
    if !path.is_empty() {
        out.push_str(", ");
        out.push_str(&path.join(" > "));
    }
    out
}
