//! Records of knowledge: space, dataset, document, chunk.

use std::collections::BTreeMap;

use neonhub_core::store::{Index, Key, Record};
use neonhub_core::{Role, Timestamp, id_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chunk::ChunkOptions;
use crate::extract::{Block, HiddenText, Warning};
use crate::index::VectorStorage;

id_type!(SpaceId, "spc", "An embedding space.");
id_type!(DatasetId, "dst", "A dataset of documents.");
id_type!(DocumentId, "doc", "One version of a document.");

/// An embedding space: documents that are searched together with one embedder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Space {
    /// Its id.
    pub id: SpaceId,
    /// Name, unique in the workspace, such as `brand-voice`.
    pub name: String,
    /// Embedder that makes its vectors.
    pub embedder: String,
    /// Length of the vectors.
    pub dims: u32,
    /// How near vectors are found.
    #[serde(default)]
    pub distance: Distance,
    /// How its texts are cut.
    pub chunking: ChunkOptions,
    /// ISO 639-1 code of its texts, when they share one; else each document's is detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How exactly the index keeps the vectors.
    #[serde(default)]
    pub storage: VectorStorage,
    /// State.
    pub state: SpaceState,
    /// The move to another embedder, while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Migration>,
    /// The cutting of its documents by changed sizes, while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recut: Option<Recut>,
}

/// How far the documents of a space are cut anew. Search answers from the old chunks of those that are not yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recut {
    /// Documents that were cut anew so far.
    pub done: u64,
    /// The last document that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<DocumentId>,
}

/// How near two vectors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// By the angle between them: every index compares vectors of length 1.
    #[default]
    Cosine,
}

/// A move of a space to another embedder. Search answers from the old one until every chunk has both vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Migration {
    /// The embedder it moves to.
    pub embedder: String,
    /// Length of its vectors.
    pub dims: u32,
    /// Chunks that were changed so far.
    pub done: u64,
    /// Vectors that were made in this round over the documents.
    pub round: u64,
    /// The last document that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<DocumentId>,
    /// True when the space answers from the new embedder and only the old vectors are being dropped.
    pub switched: bool,
}

/// State of a space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpaceState {
    /// Takes documents and answers.
    #[default]
    Active,
    /// Moves to another embedder; answers from the old one.
    Migrating,
    /// Answers nothing.
    Retired,
}

impl Record for Space {
    const KIND: &'static str = "space";
    const INDEXES: &'static [Index] = &[Index::unique("name")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.name))]
    }
}

/// A dataset: documents of one kind in one space, with who may read them and what for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dataset {
    /// Its id.
    pub id: DatasetId,
    /// The space it belongs to.
    pub space: SpaceId,
    /// Name, unique in the space, such as `brand-voice`.
    pub name: String,
    /// What it holds.
    pub kind: DatasetKind,
    /// Roles that may read it; empty: everyone with `read:content`.
    pub acl: Vec<Role>,
    /// Purposes it may be used for; empty: any.
    pub purposes: Vec<String>,
    /// What the host keeps with it, by name. It changes no answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Value>,
}

/// What a dataset holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    /// Documents.
    #[default]
    Documents,
    /// Questions with their answers.
    Faq,
    /// Figures in words.
    Analytics,
}

impl Record for Dataset {
    const KIND: &'static str = "dataset";
    const INDEXES: &'static [Index] = &[Index::unique("space_name")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.space.as_str()).and_text(&self.name))]
    }
}

/// One version of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// Its id. Each version has its own.
    pub id: DocumentId,
    /// The dataset it belongs to.
    pub dataset: DatasetId,
    /// The space of the dataset.
    pub space: SpaceId,
    /// What joins the versions of one document; the file name unless given.
    pub external_key: String,
    /// Version, from 1.
    pub version: u32,
    /// The version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<DocumentId>,
    /// File name, or the name that was given.
    pub name: String,
    /// Title.
    pub title: String,
    /// MIME type of the format that was read.
    pub mime: String,
    /// SHA-256 of the file, under which the store keeps it.
    pub blob: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// SHA-256 under which the store keeps the extracted text with its blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_blob: Option<String>,
    /// ISO 639-1 code of its language, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Number of pages, for formats that have pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// Characters of the text.
    pub chars: u64,
    /// Number of chunks.
    pub chunks: u32,
    /// Number of chunks that had to be embedded; the others were taken from the version before.
    pub embedded: u32,
    /// State.
    pub state: DocumentState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// True for the version that search answers from.
    pub current: bool,
    /// True for the newest version. It is not the current one when it failed.
    pub latest: bool,
    /// How far its text can be trusted.
    pub trust: Trust,
    /// Where it comes from, such as the address of a page; absent for an upload that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The consent or contract that allows to use it, where it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_basis: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Remarks of the extraction.
    pub warnings: Vec<Warning>,
    /// When this version came in.
    pub ingested_at: Timestamp,
    /// Hash of everything that decides its chunks and vectors; equal ones need no work.
    pub recipe: String,
    /// What the upload said about the file.
    #[serde(default)]
    pub given: Given,
    /// When it was deleted. It can be restored for 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Hash over its chunks, by which the indexes know whether they hold them.
    pub content_hash: String,
}

/// What an upload says about its file; what is left out is detected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Given {
    /// MIME type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// State of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentState {
    /// Can be searched.
    Ready,
    /// Could not be read; `failure` says why.
    Failed,
    /// Deleted; its chunks are gone.
    Deleted,
}

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Word of the error, such as `corrupted` or `unsupported`.
    pub code: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// How far a text can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// From the owner of the workspace.
    #[default]
    FirstParty,
    /// From a user or customer.
    User,
    /// From the web.
    Web,
}

impl Record for Document {
    const KIND: &'static str = "document";
    const INDEXES: &'static [Index] = &[Index::unique("dataset_key"), Index::on("dataset_listed")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let is_listed = (self.latest || self.current) && self.state != DocumentState::Deleted;
        vec![
            Some(Document::version_key(&self.dataset, &self.external_key).and_int(self.version.into())),
            is_listed.then(|| Key::text(self.dataset.as_str()).and_text(&self.external_key)),
        ]
    }
}

impl Document {
    /// Start of the keys of all versions of a document.
    pub(crate) fn version_key(dataset: &DatasetId, external_key: &str) -> Key {
        Key::text(dataset.as_str()).and_text(external_key)
    }

    /// The ids of its chunks.
    pub(crate) fn chunk_ids(&self) -> Vec<String> {
        chunk_ids(self.id.as_str(), self.chunks).collect()
    }
}

/// The ids of the chunks of a document: its id, a dot, and the position.
pub(crate) fn chunk_ids(document: &str, chunks: u32) -> impl Iterator<Item = String> {
    (0..chunks).map(move |position| chunk_id(document, position))
}

/// The id of one chunk. Positions have five digits, so that ids sort like them.
pub(crate) fn chunk_id(document: &str, position: u32) -> String {
    format!("{document}.{position:05}")
}

/// One chunk of a document as it is stored and searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkRecord {
    /// Id of the document, a dot, and the position.
    pub id: String,
    /// The document version it belongs to.
    pub document: DocumentId,
    /// Place in the document, from 0.
    pub position: u32,
    /// Its text, exactly `text[byte_start..byte_end]` of the document.
    pub text: String,
    /// First byte in the text of the document.
    pub byte_start: u64,
    /// Byte after the last one.
    pub byte_end: u64,
    /// Page, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// Header of the table that it continues.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// Size in tokens.
    pub tokens: u32,
    /// Hash of what was embedded.
    pub hash: String,
    /// ISO 639-1 code of its language, where it can be told; else that of its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Embedder that made the vector.
    pub embedder: String,
    /// The vector: half-precision numbers, little endian, in base64.
    pub vector: String,
    /// The vector of the embedder that the space moves to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextVector>,
}

/// A second vector of a chunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NextVector {
    /// Embedder that made it.
    pub embedder: String,
    /// The vector, as in [`ChunkRecord::vector`].
    pub vector: String,
}

impl ChunkRecord {
    /// The stored vector of an embedder, if there is one: vectors of two embedders are never mixed.
    pub(crate) fn vector_of(&self, embedder: &str) -> Option<&str> {
        if self.embedder == embedder {
            return Some(&self.vector);
        }
        self.next.as_ref().filter(|n| n.embedder == embedder).map(|n| n.vector.as_str())
    }
}

impl Record for ChunkRecord {
    const KIND: &'static str = "chunk";
    fn id(&self) -> &str {
        &self.id
    }
}

/// The extracted text with its blocks, as the store keeps it beside the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TextBlob {
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
    pub(crate) hidden: Vec<HiddenText>,
    pub(crate) links: Vec<crate::extract::Link>,
    pub(crate) metadata: BTreeMap<String, String>,
}
