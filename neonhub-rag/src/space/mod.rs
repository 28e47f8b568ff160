//! Spaces, datasets, documents and search: the records of knowledge and the operations on them.

mod ingest;
mod knowledge;
mod model;
mod ops_document;
mod ops_embed;
mod ops_search;
mod ops_space;
mod search;
mod space_index;
mod vector;

use std::sync::Arc;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub use knowledge::Knowledge;
pub use model::{
    ChunkRecord, Dataset, DatasetId, DatasetKind, Document, DocumentId, DocumentState, Failure, Space,
    SpaceId, SpaceState, Trust,
};
pub use ops_document::{
    DeleteDocument, DocumentText, GetDocument, GetText, IngestText, ListDocuments, ListVersions,
    UploadDocument,
};
pub use ops_embed::{EmbedTexts, VectorKind, Vectors};
pub use ops_search::SearchKnowledge;
pub use ops_space::{CreateDataset, CreateSpace, GetDataset, GetSpace, ListDatasets, ListSpaces};
pub use search::{Hit, SearchFilters, SearchMode, SearchResult};

/// The operations of knowledge.
pub static CATALOGUE: &[Entry] = &[
    entry::<CreateSpace>(),
    entry::<GetSpace>(),
    entry::<ListSpaces>(),
    entry::<CreateDataset>(),
    entry::<GetDataset>(),
    entry::<ListDatasets>(),
    entry::<UploadDocument>(),
    entry::<GetDocument>(),
    entry::<ListDocuments>(),
    entry::<GetText>(),
    entry::<ListVersions>(),
    entry::<DeleteDocument>(),
    entry::<IngestText>(),
    entry::<SearchKnowledge>(),
    entry::<EmbedTexts>(),
];

/// The record kinds of knowledge.
pub static KINDS: &[Kind] =
    &[Kind::of::<Space>(), Kind::of::<Dataset>(), Kind::of::<Document>(), Kind::of::<ChunkRecord>()];

/// Adds knowledge to a hub, with the offline embedder.
pub fn install(builder: HubBuilder) -> HubBuilder {
    install_with(builder, Knowledge::new())
}

/// Adds knowledge to a hub, with embedders of one's own.
pub fn install_with(builder: HubBuilder, knowledge: Knowledge) -> HubBuilder {
    builder.operations(CATALOGUE).kinds(KINDS).service(Arc::new(knowledge))
}

#[cfg(test)]
mod tests;
