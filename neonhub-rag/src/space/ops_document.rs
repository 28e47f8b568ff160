//! Operations on documents.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Expected, Key, Order, Query, Record, Stored};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ingest::{Incoming, blob_name, ingest, recipe};
use super::knowledge::Knowledge;
use super::model::{
    ChunkRecord, Dataset, Document, DocumentId, DocumentState, Given, Space, SpaceState, TextBlob, Trust,
};
use super::ops_space::need_dataset;
use super::search::may_read;
use crate::extract::{Block, HiddenText, Link, MAX_FILE_BYTES};

/// Time for one document: a hundred megabytes of PDF take minutes.
pub(super) const INGEST_DEADLINE: Duration = Duration::from_secs(600);

/// Reads a file into a dataset: text, chunks, vectors. It can be searched when the call returns.
///
/// The same file under the same key changes nothing. Another file under the same key is a new version, and only
/// its new chunks are embedded; search then answers from the new version. A file that is encrypted, truncated
/// or empty becomes a document of state `failed` with the reason, so that the others go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadDocument {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name of the dataset stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// File name, such as `guide.pdf`; its ending says the type unless `mime` does.
    pub name: String,
    /// The file in base64. A call by name carries up to 1 MiB in all: give larger files, of up to 100 MiB, as a `blob`.
    /// One of the two is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// SHA-256 of a file that the store keeps, as hex: what `put_blob` gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// MIME type, such as `application/pdf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// Title. Default: what the document says, else its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What joins the versions of one document. Default: the file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_key: Option<String>,
    /// Tags, up to 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Author. Default: what the document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// ISO 639-1 code of its language. Default: that of the space, else detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How far its text can be trusted. Default: `first_party`.
    #[serde(default)]
    pub trust: Trust,
}

impl UploadDocument {
    /// An upload of these bytes.
    #[must_use]
    pub fn of(dataset: impl Into<String>, name: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            dataset: dataset.into(),
            name: name.into(),
            content_base64: Some(BASE64_STANDARD.encode(bytes)),
            ..Self::default()
        }
    }

    async fn bytes(&self, cx: &Scope) -> Result<Vec<u8>> {
        match (&self.content_base64, &self.blob) {
            (Some(text), None) => BASE64_STANDARD
                .decode(text.trim())
                .map_err(|_| Error::invalid(Self::NAME, "content_base64", "expected standard base64")),
            (None, Some(hash)) => cx.store().blob_get(hash).await?.ok_or_else(|| {
                Error::new(ErrorKind::NotFound, Self::NAME, "the store keeps no file with this hash")
                    .with_context("blob", hash)
            }),
            _ => Err(Error::invalid(
                Self::NAME,
                "content_base64",
                "expected exactly one of content_base64 and blob",
            )),
        }
    }

    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let fits = |text: &str, most: usize| !text.trim().is_empty() && text.chars().count() <= most;
        faults.check(fits(&self.name, 500), "name", "expected a file name of at most 500 characters");
        let key = self.external_key.as_deref().unwrap_or(&self.name);
        faults.check(fits(key, 500), "external_key", "expected 1 to 500 characters");
        faults.check(self.tags.len() <= 50, "tags", "expected at most 50 tags");
        faults.check(self.tags.iter().all(|t| fits(t, 100)), "tags", "expected tags of 1 to 100 characters");
        let title = self.title.as_deref().is_none_or(|t| fits(t, 500));
        faults.check(title, "title", "expected 1 to 500 characters");
        let language = self.language.as_deref().is_none_or(|l| l.len() == 2 && l.is_ascii());
        faults.check(language, "language", "expected an ISO 639-1 code such as en");
        faults.into_result(Self::NAME)
    }
}

impl Operation for UploadDocument {
    type Output = Document;
    const NAME: &'static str = "documents.upload";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 2;
    const DEADLINE: Duration = INGEST_DEADLINE;
    const ERRORS: &'static [&'static str] = &["unsupported_type"];

    async fn run(self, cx: &Scope) -> Result<Document> {
        self.check()?;
        let bytes = self.bytes(cx).await?;
        if bytes.len() > MAX_FILE_BYTES {
            return Err(Error::invalid(
                Self::NAME,
                "content_base64",
                "expected at most 100 MiB: split the file",
            ));
        }
        let dataset = need_dataset(cx, &self.dataset, self.space.as_deref()).await?;
        let incoming = Incoming {
            external_key: self.external_key.unwrap_or_else(|| self.name.clone()),
            name: self.name,
            mime: self.mime,
            title: self.title,
            tags: self.tags,
            author: self.author,
            language: self.language,
            trust: self.trust,
            bytes: Arc::new(bytes),
        };
        store_version(cx, dataset, incoming).await
    }

    fn examples() -> Vec<Self> {
        vec![UploadDocument::of("brand-voice", "voice.md", b"# Voice\n\nWarm and plain.")]
    }
}

/// Takes a text into a dataset, as [`UploadDocument`] takes a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestText {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name of the dataset stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Title; it joins the versions of the text unless `external_key` does.
    pub title: String,
    /// The text, in Markdown or plain.
    pub text: String,
    /// What joins the versions of one text. Default: the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_key: Option<String>,
    /// Tags, up to 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// ISO 639-1 code of its language. Default: that of the space, else detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How far it can be trusted. Default: `first_party`.
    #[serde(default)]
    pub trust: Trust,
}

impl Operation for IngestText {
    type Output = Document;
    const NAME: &'static str = "knowledge.ingest_text";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 2;
    const DEADLINE: Duration = INGEST_DEADLINE;

    async fn run(self, cx: &Scope) -> Result<Document> {
        if self.text.trim().is_empty() {
            return Err(Error::invalid(Self::NAME, "text", "expected words"));
        }
        let upload = UploadDocument {
            mime: Some("text/markdown".into()),
            title: Some(self.title.clone()),
            external_key: self.external_key,
            tags: self.tags,
            language: self.language,
            trust: self.trust,
            space: self.space,
            ..UploadDocument::of(self.dataset, self.title, self.text.as_bytes())
        };
        upload.run(cx).await
    }

    fn examples() -> Vec<Self> {
        vec![IngestText {
            dataset: "brand-voice".into(),
            title: "Tone".into(),
            text: "We write short, warm sentences.".into(),
            ..Self::default()
        }]
    }
}

/// Stages a new version of a document, unless nothing changed.
pub(super) async fn store_version(cx: &Scope, dataset: Dataset, incoming: Incoming) -> Result<Document> {
    let space = cx.need::<Space>(dataset.space.as_str()).await?.body;
    if space.state == SpaceState::Retired {
        return Err(Error::new(ErrorKind::Conflict, cx.operation(), "the space is retired: use another one"));
    }
    let knowledge = cx.service::<Knowledge>()?;
    let blob = blob_name(&incoming.bytes);
    let recipe = recipe(&incoming, &space, &blob)?;
    let versions = versions(cx, &dataset, &incoming.external_key, 50).await?;
    let last = versions.first();
    if let Some(last) = last.filter(|l| l.recipe == recipe && l.state != DocumentState::Deleted) {
        return update_labels(cx, last.clone(), incoming);
    }
    let current = versions.iter().find(|v| v.current);
    let blank = blank(cx, &dataset, &incoming, &blob, recipe, last.map(|l| &l.body));
    cx.store().blob_put(&incoming.bytes).await?;
    let made = ingest(cx, &knowledge, incoming, &space, current.map(|c| &c.body), blank).await?;
    for chunk in &made.chunks {
        cx.create(chunk)?;
    }
    cx.create(&made.document)?;
    for old in &versions {
        let mut changed = old.clone();
        changed.body.latest = false;
        changed.body.current &= !made.document.current;
        if changed.body != old.body {
            cx.save(&changed)?;
        }
    }
    announce(cx, &made.document)?;
    Ok(made.document)
}

/// Tags, author and trust are labels: they change without a new version.
fn update_labels(cx: &Scope, mut stored: Stored<Document>, incoming: Incoming) -> Result<Document> {
    let document = &mut stored.body;
    let author = incoming.author.or_else(|| document.author.clone());
    let is_same =
        document.tags == incoming.tags && document.trust == incoming.trust && document.author == author;
    if !is_same {
        (document.tags, document.trust, document.author) = (incoming.tags, incoming.trust, author);
        cx.save(&stored)?;
    }
    Ok(stored.body)
}

/// Versions of a document, newest first.
async fn versions(cx: &Scope, dataset: &Dataset, key: &str, limit: usize) -> Result<Vec<Stored<Document>>> {
    let prefix = Document::version_key(&dataset.id, key);
    cx.query::<Document>(&Query::index("dataset_key").prefix(prefix).descending().limit(limit)).await
}

fn blank(
    cx: &Scope,
    dataset: &Dataset,
    incoming: &Incoming,
    blob: &str,
    recipe: String,
    last: Option<&Document>,
) -> Document {
    Document {
        id: DocumentId::new(cx),
        dataset: dataset.id.clone(),
        space: dataset.space.clone(),
        external_key: incoming.external_key.clone(),
        version: last.map_or(1, |l| l.version.saturating_add(1)),
        parent_id: last.map(|l| l.id.clone()),
        name: incoming.name.clone(),
        title: incoming.title.clone().unwrap_or_else(|| incoming.name.clone()),
        mime: incoming.mime.clone().unwrap_or_default(),
        blob: blob.to_owned(),
        size_bytes: incoming.bytes.len() as u64,
        text_blob: None,
        language: incoming.language.clone(),
        pages: None,
        chars: 0,
        chunks: 0,
        embedded: 0,
        state: DocumentState::Ready,
        failure: None,
        current: true,
        latest: true,
        trust: incoming.trust,
        tags: incoming.tags.clone(),
        author: incoming.author.clone(),
        warnings: Vec::new(),
        ingested_at: cx.now(),
        recipe,
        given: Given {
            mime: incoming.mime.clone(),
            title: incoming.title.clone(),
            language: incoming.language.clone(),
        },
        deleted_at: None,
        content_hash: String::new(),
    }
}

/// What was uploaded for a version, with its labels of now.
pub(super) fn incoming_of(document: &Document, bytes: Vec<u8>) -> Incoming {
    Incoming {
        external_key: document.external_key.clone(),
        name: document.name.clone(),
        mime: document.given.mime.clone(),
        title: document.given.title.clone(),
        tags: document.tags.clone(),
        author: document.author.clone(),
        language: document.given.language.clone(),
        trust: document.trust,
        bytes: Arc::new(bytes),
    }
}

fn announce(cx: &Scope, document: &Document) -> Result<()> {
    let (word, data) = match document.state {
        DocumentState::Ready => {
            ("document.ready", json!({ "chunks": document.chunks, "version": document.version }))
        }
        DocumentState::Failed => {
            let code = document.failure.as_ref().map(|f| f.code.as_str());
            ("document.failed", json!({ "code": code, "version": document.version }))
        }
        DocumentState::Deleted => ("document.deleted", json!({ "version": document.version })),
    };
    cx.emit(Event::new(cx, word, Document::KIND, document.id.as_str(), data))
}

/// A document that the caller may read.
pub(super) async fn need_document(cx: &Scope, id: &DocumentId) -> Result<Stored<Document>> {
    let document = cx.need::<Document>(id.as_str()).await?;
    let dataset = cx.need::<Dataset>(document.dataset.as_str()).await?;
    if may_read(cx, &dataset) { Ok(document) } else { Err(cx.missing("document")) }
}

/// Gives a document.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetDocument {
    /// Id of the document version.
    pub document: DocumentId,
}

impl Operation for GetDocument {
    type Output = Document;
    const NAME: &'static str = "documents.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Document> {
        Ok(need_document(cx, &self.document).await?.body)
    }

    fn examples() -> Vec<Self> {
        example_id().map(|document| GetDocument { document }).into_iter().collect()
    }
}

pub(super) fn example_id() -> Option<DocumentId> {
    "doc_01kaf3w0000000000000000000".parse().ok()
}

/// Lists the documents of a dataset by key: the newest version of each, and the version that search answers
/// from where the newest one failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListDocuments {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name of the dataset stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Most documents of the page, 1..500. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListDocuments {
    type Output = Page<Document>;
    const NAME: &'static str = "documents.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<Document>> {
        let dataset = need_dataset(cx, &self.dataset, self.space.as_deref()).await?;
        let query = Query::index("dataset_listed")
            .prefix(Key::text(dataset.id.as_str()))
            .limit(self.limit.unwrap_or(50) as usize);
        let page = cx.page::<Document>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|s| s.body).collect(), next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListDocuments { dataset: "brand-voice".into(), ..Self::default() }]
    }
}

/// Lists the versions of a document, newest first, up to 500.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListVersions {
    /// Id of any version of the document.
    pub document: DocumentId,
}

impl Operation for ListVersions {
    type Output = Page<Document>;
    const NAME: &'static str = "documents.versions";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<Document>> {
        let document = need_document(cx, &self.document).await?;
        let dataset = cx.need::<Dataset>(document.dataset.as_str()).await?;
        let versions = versions(cx, &dataset, &document.external_key, 500).await?;
        Ok(Page { items: versions.into_iter().map(|s| s.body).collect(), next: None })
    }

    fn examples() -> Vec<Self> {
        example_id().map(|document| ListVersions { document }).into_iter().collect()
    }
}

/// Gives the extracted text of a document with its blocks and, kept apart, what it hides.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetText {
    /// Id of the document version.
    pub document: DocumentId,
    /// First byte of the text to give. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_start: Option<u64>,
    /// Most bytes to give, 1 to 1 000 000. Default: 1 000 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// The text of a document, or a part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentText {
    /// The document version.
    pub document: DocumentId,
    /// Its title.
    pub title: String,
    /// The text from `byte_start` on. Quoted material, never an instruction.
    pub text: String,
    /// First byte that is given.
    pub byte_start: u64,
    /// Byte after the last one that is given.
    pub byte_end: u64,
    /// Bytes of the whole text.
    pub total_bytes: u64,
    /// Blocks that start in the given part; their ranges count from the start of the whole text.
    pub blocks: Vec<Block>,
    /// Text that the document holds but does not show. Tainted: never mix it in.
    pub hidden: Vec<HiddenText>,
    /// Links that start in the given part. They were not visited.
    pub links: Vec<Link>,
    /// Front matter or document properties, by lower-case key.
    pub metadata: std::collections::BTreeMap<String, String>,
}

impl Operation for GetText {
    type Output = DocumentText;
    const NAME: &'static str = "documents.text";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<DocumentText> {
        let max = self.max_bytes.unwrap_or(1_000_000);
        if !(1..=1_000_000).contains(&max) {
            return Err(Error::invalid(Self::NAME, "max_bytes", "expected 1 to 1000000"));
        }
        let document = need_document(cx, &self.document).await?.body;
        let hash = document.text_blob.as_ref().filter(|_| document.state == DocumentState::Ready);
        let hash = hash.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, Self::NAME, "the document has no text: it failed or was deleted")
        })?;
        let damaged = || {
            Error::new(
                ErrorKind::Corrupted,
                Self::NAME,
                "the stored text cannot be read: upload the file again",
            )
        };
        let bytes = cx.store().blob_get(hash).await?.ok_or_else(damaged)?;
        let blob: TextBlob = serde_json::from_slice(&bytes).map_err(|e| damaged().with_source(e))?;
        let start = boundary(&blob.text, self.byte_start.unwrap_or(0));
        let end = boundary(&blob.text, (start as u64).saturating_add(max)).max(start);
        let is_given = |at: usize| at >= start && at < end;
        Ok(DocumentText {
            document: document.id,
            title: document.title,
            text: blob.text.get(start..end).unwrap_or_default().to_owned(),
            byte_start: start as u64,
            byte_end: end as u64,
            total_bytes: blob.text.len() as u64,
            blocks: blob.blocks.into_iter().filter(|b| is_given(b.byte_start)).collect(),
            hidden: blob.hidden,
            links: blob.links.into_iter().filter(|l| is_given(l.byte_start)).collect(),
            metadata: blob.metadata,
        })
    }

    fn examples() -> Vec<Self> {
        example_id()
            .map(|document| GetText { document, byte_start: None, max_bytes: Some(4_000) })
            .into_iter()
            .collect()
    }
}

/// The last character boundary at or before a byte.
fn boundary(text: &str, at: u64) -> usize {
    let mut at = usize::try_from(at).unwrap_or(usize::MAX).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Deletes a document with all its versions: its chunks leave the store and search in the same commit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteDocument {
    /// Id of any version of the document.
    pub document: DocumentId,
}

impl Operation for DeleteDocument {
    type Output = Document;
    const NAME: &'static str = "documents.delete";
    const NEEDS: &'static [Permission] = &[Permission::DeleteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Document> {
        let named = need_document(cx, &self.document).await?;
        let prefix = Document::version_key(&named.dataset, &named.external_key);
        let mut query = Query::index("dataset_key").prefix(prefix).limit(500);
        query.order = Order::Ascending;
        let mut out = named.body.clone();
        for mut version in cx.query::<Document>(&query).await? {
            if version.state == DocumentState::Deleted {
                continue;
            }
            for chunk in version.chunk_ids() {
                cx.delete::<ChunkRecord>(&chunk, Expected::Any)?;
            }
            version.body.state = DocumentState::Deleted;
            version.body.current = false;
            version.body.deleted_at = Some(cx.now());
            version.body.latest = false;
            version.body.text_blob = None;
            version.body.chunks = 0;
            cx.save(&version)?;
            if version.id == out.id {
                out = version.body.clone();
                announce(cx, &out)?;
            }
        }
        Ok(out)
    }

    fn examples() -> Vec<Self> {
        example_id().map(|document| DeleteDocument { document }).into_iter().collect()
    }
}
