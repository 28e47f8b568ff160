//! Operations on documents that are there.

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Expected, Key, Query, Stored};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{ChunkRecord, Dataset, Document, DocumentId, DocumentState};
use super::ops_space::need_dataset;
use super::search::may_read;
use super::version::{announce, versions};

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

/// Deletes a document with all its versions: its chunks leave the store and search in the same commit. For 30 days
/// `documents.restore` brings it back.
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
    const EFFECT: Effect = Effect::Compensable("documents.restore");
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Document> {
        let named = need_document(cx, &self.document).await?;
        let mut out = named.body.clone();
        for mut version in all_versions(cx, &named).await? {
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

/// Every version of a document, oldest first.
async fn all_versions(cx: &Scope, named: &Document) -> Result<Vec<Stored<Document>>> {
    let start = || Document::version_key(&named.dataset, &named.external_key);
    let mut query = Query::index("dataset_key").prefix(start()).limit(500);
    let mut out: Vec<Stored<Document>> = Vec::new();
    loop {
        let page = cx.query::<Document>(&query).await?;
        let Some(last) = page.last() else { return Ok(out) };
        query = query.after(start().and_int(last.version.into()), last.body.id.as_str());
        out.extend(page);
    }
}
