//! Knowledge of NeonHub: documents in, cited passages out.
//!
//! A file goes through [`extract()`] (text with blocks, hidden text kept apart), [`chunk()`] (pieces of about 500
//! tokens), an [`Embedder`] (vectors; [`OfflineHash`] needs no model) and into two indexes: exact vectors
//! ([`FlatIndex`]) and words ([`TextIndex`]), joined by [`hybrid::fuse`]. Each step is a plain function that works
//! alone. [`install`] adds the records and operations to a hub: `spaces.*`, `datasets.*`, `documents.*`,
//! `knowledge.ingest_text` and `knowledge.search`.
//!
//! The records of the store are the truth; the indexes are caches that [`Knowledge`] keeps in step.
//!
//! ```
//! use neonhub_core::Hub;
//! use neonhub_rag::{CreateDataset, CreateSpace, SearchKnowledge, UploadDocument, install};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let hub = install(Hub::builder()).build().await?;
//! let ws = hub.workspace("default").await?;
//! ws.call(CreateSpace { name: "brand-voice".into(), ..Default::default() }).await?;
//! let (space, name) = ("brand-voice".into(), "brand-voice".into());
//! ws.call(CreateDataset { space, name, ..Default::default() }).await?;
//! ws.call(UploadDocument::of("brand-voice", "tone.md", b"# Tone\n\nWe never say cheap.")).await?;
//! let found = ws.call(SearchKnowledge::of("cheap")).await?;
//! assert_eq!(found.hits[0].citation, "Tone");
//! # Ok::<(), neonhub_core::Error>(())
//! # }).unwrap();
//! ```
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
    Document, DocumentId, DocumentState, DocumentText, EmbedTexts, Failure, GetDataset, GetDocument,
    GetSpace, GetText, Hit, IngestText, KINDS, Knowledge, ListDatasets, ListDocuments, ListSpaces,
    ListVersions, SearchFilters, SearchKnowledge, SearchMode, SearchResult, Space, SpaceId, SpaceState,
    Trust, UploadDocument, VectorKind, Vectors, install, install_with,
};
