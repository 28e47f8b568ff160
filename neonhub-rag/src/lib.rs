//! Knowledge of NeonHub: extraction, chunking, embedding, indexes and hybrid search.
#![forbid(unsafe_code)]

mod chunk;
mod embed;
mod extract;
pub mod hybrid;
mod index;
mod language;
mod space;

pub use chunk::{Chunk, ChunkOptions, chunk, count_tokens, embedded_text};
pub use embed::{BucketCounts, EmbedKind, Embedder, OfflineHash, embed_all};
pub use extract::{
    Block, BlockKind, Extracted, Format, HiddenReason, HiddenText, Link, MAX_CHARS, MAX_FILE_BYTES,
    MAX_PAGES, Origin, Warning, WarningCode, extract,
};
pub use index::{FlatIndex, IdSet, Scored, TextDoc, TextIndex, VectorIndex};
pub use language::detect_language;
pub use space::{
    CATALOGUE, ChunkRecord, CreateDataset, CreateSpace, Dataset, DatasetId, DatasetKind, DeleteDocument,
    Document, DocumentId, DocumentState, DocumentText, Failure, GetDataset, GetDocument, GetSpace, GetText,
    Hit, IngestText, KINDS, Knowledge, ListDatasets, ListDocuments, ListSpaces, ListVersions, SearchFilters,
    SearchKnowledge, SearchMode, SearchResult, Space, SpaceId, SpaceState, Trust, UploadDocument, install,
    install_with,
};
