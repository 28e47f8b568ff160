//! Knowledge of NeonHub: documents in, cited passages out.
//!
//! A file goes through [`extract()`] (text with blocks, hidden text kept apart), [`chunk()`] (pieces of about 500
//! tokens), an [`Embedder`] (vectors; [`OfflineHash`] needs no model) and into two indexes: vectors
//! ([`AdaptiveIndex`]) and words ([`TextIndex`]), joined by [`hybrid::fuse`]. Each step is a plain function that works
//! alone. [`install`] adds the records and operations to a hub: `spaces.*`, `datasets.*`, `documents.*`,
//! `knowledge.ingest_text` and `knowledge.search`.
//!
//! The records of the store are the truth; the indexes are caches that [`Knowledge`] keeps in step. With the feature
//! `postgres`, on a PostgreSQL store with pgvector, they are tables of the same database, shared by all processes.
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
// The one exception is the run-time choice of wide registers in `index::dot`.
#![deny(unsafe_code)]

mod allocator;
mod chunk;
mod context;
mod conversation;
mod embed;
mod extract;
pub mod hybrid;
mod index;
mod language;
mod memory;
mod person;
mod renew;
mod space;
mod vector;

pub use chunk::{Chunk, ChunkOptions, chunk, chunk_for, count_tokens, embedded_text};
pub use context::{BuildContext, BuiltContext, ContextBlock, ContextItem, Dropped, PartKind, PartLimits};
pub use conversation::{
    AppendMessage, CloseConversation, Conversation, ConversationHit, ConversationId, ConversationKind,
    ConversationPage, ConversationStatus, ConversationSummary, GetConversation, ListConversations, MarkRead,
    MergeConversations, Message, MessageEmbedding, MessageHit, MessageId, MessagePart, MessageRole,
    SearchConversations, SimilarConversations, StartConversation, SummarizeConversation,
    SummarizedConversation, SummaryId, UnmergeConversations,
};
#[cfg(feature = "local")]
pub use embed::LocalModel;
pub use embed::{BucketCounts, EmbedKind, Embedder, EmbedderConfig, EndpointModel, OfflineHash, embed_all};
pub use extract::{
    Block, BlockKind, Extracted, Format, HiddenReason, HiddenText, Link, MAX_CHARS, MAX_FILE_BYTES,
    MAX_PAGES, Ocr, OcrPage, Origin, Warning, WarningCode, extract,
};
#[cfg(any(test, feature = "testing"))]
pub use index::conformance as vector_conformance;
pub use index::{
    AdaptiveIndex, FLAT_LIMIT, FieldBoosts, FlatIndex, GraphIndex, GraphOptions, IdSet, Scored, TextDoc,
    TextIndex, VectorIndex, VectorStorage,
};
pub use language::detect_language;
pub use memory::{
    AddMemory, ConfirmMemory, ForgetMemory, Forgotten, MemoriesAsOf, Memory, MemoryChange, MemoryHit,
    MemoryId, MemoryKind, MemoryState, MemorySubject, RememberedAs, RetractMemory, SearchMemory, SourceLabel,
    SubjectKind,
};
pub use person::{PersonAsk, PersonSource, PersonStanding, Persons};
pub use space::{
    AiEmbed, AiVectors, CATALOGUE, ChunkRecord, CompactKnowledge, CreateDataset, CreateSpace, Dataset,
    DatasetId, DatasetKind, DeleteDataset, DeleteDocument, DiffPassage, DiffVersions, Distance, Document,
    DocumentId, DocumentState, DocumentText, EmbedTexts, Failure, FolderFault, FolderReport, GetDataset,
    GetDocument, GetSpace, GetText, Given, Hit, IngestFolder, IngestText, IngestUrl, KINDS, Knowledge,
    KnowledgeCompacted, ListDatasets, ListDocuments, ListSpaces, ListVersions, MigrateSpace, Migration,
    MigrationPlan, NextVector, Recut, ReprocessDocument, Reranker, RestoreDocument, RetireSpace,
    SearchFilters, SearchKnowledge, SearchMode, SearchResult, Space, SpaceId, SpaceState, Trust,
    UpdateDataset, UpdateSpace, UploadDocument, UploadDocuments, UploadReport, UploadedDocument, VectorKind,
    Vectors, VersionDiff, install, install_with,
};
