//! Spaces, datasets, documents and search: the records of knowledge and the operations on them.

mod caches;
mod cards;
mod feed;
mod held;
mod hit;
mod ingest;
mod knowledge;
mod migrate;
mod model;
mod ops_ai_embed;
mod ops_batch;
mod ops_compact;
mod ops_document;
mod ops_embed;
mod ops_folder;
mod ops_manage;
mod ops_search;
mod ops_space;
mod ops_text;
mod ops_upload;
mod ops_url;
mod ops_version;
mod passages;
mod recut;
mod rerank;
mod search;
#[cfg(feature = "postgres")]
mod server_index;
mod space_index;
mod version;

use std::sync::Arc;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub use hit::Hit;
pub use knowledge::Knowledge;
pub use migrate::{MigrateSpace, MigrationPlan};
pub use model::{
    ChunkRecord, Dataset, DatasetId, DatasetKind, Distance, Document, DocumentId, DocumentState, Failure,
    Given, Migration, NextVector, Recut, Space, SpaceId, SpaceState, Trust,
};
pub use ops_ai_embed::{AiEmbed, AiVectors};
pub use ops_batch::{UploadDocuments, UploadReport, UploadedDocument};
pub use ops_compact::{CompactKnowledge, KnowledgeCompacted};
pub use ops_document::{DeleteDocument, GetDocument, ListDocuments, ListVersions};
pub use ops_embed::{EmbedTexts, VectorKind, Vectors};
pub use ops_folder::{FolderFault, FolderReport, IngestFolder};
pub use ops_manage::{DeleteDataset, RetireSpace, UpdateDataset, UpdateSpace};
pub use ops_search::SearchKnowledge;
pub(crate) use ops_search::search_request;
pub use ops_space::{CreateDataset, CreateSpace, GetDataset, GetSpace, ListDatasets, ListSpaces};
pub use ops_text::{DocumentText, GetText};
pub use ops_upload::{IngestText, UploadDocument};
pub use ops_url::IngestUrl;
pub use ops_version::{DiffPassage, DiffVersions, ReprocessDocument, RestoreDocument, VersionDiff};
pub use rerank::Reranker;
pub(crate) use search::LEXICAL_FLOOR;
pub use search::{SearchFilters, SearchMode, SearchResult};

/// The operations of knowledge.
pub static CATALOGUE: &[Entry] = &[
    entry::<CreateSpace>(),
    entry::<GetSpace>(),
    entry::<ListSpaces>(),
    entry::<CreateDataset>(),
    entry::<GetDataset>(),
    entry::<ListDatasets>(),
    entry::<UploadDocument>(),
    entry::<UploadDocuments>(),
    entry::<GetDocument>(),
    entry::<ListDocuments>(),
    entry::<GetText>(),
    entry::<ListVersions>(),
    entry::<DeleteDocument>(),
    entry::<DiffVersions>(),
    entry::<ReprocessDocument>(),
    entry::<RestoreDocument>(),
    entry::<UpdateSpace>(),
    entry::<RetireSpace>(),
    entry::<MigrateSpace>(),
    entry::<UpdateDataset>(),
    entry::<DeleteDataset>(),
    entry::<CompactKnowledge>(),
    entry::<IngestFolder>(),
    entry::<IngestText>(),
    entry::<IngestUrl>(),
    entry::<SearchKnowledge>(),
    entry::<EmbedTexts>(),
    entry::<AiEmbed>(),
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
    builder
        .operations(CATALOGUE)
        .operations(crate::conversation::CATALOGUE)
        .operations(crate::memory::CATALOGUE)
        .operations(crate::context::CATALOGUE)
        .kinds(KINDS)
        .kinds(crate::conversation::KINDS)
        .kinds(crate::memory::KINDS)
        .kinds(crate::renew::KINDS)
        .sealed(crate::memory::SEALED)
        .handler(Arc::new(crate::conversation::EmbedMessages))
        .handler(Arc::new(crate::conversation::SummarizeConversations))
        .handler(Arc::new(migrate::MigrateHandler))
        .handler(Arc::new(recut::RecutHandler))
        .handler(Arc::new(crate::renew::RenewVectors))
        .service(Arc::new(knowledge))
}

#[cfg(test)]
mod tests;
