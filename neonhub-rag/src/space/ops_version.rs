//! Operations on the versions of a document: what changed, reading again, bringing back.

use std::collections::BTreeMap;
use std::time::Duration;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{ChunkRecord, Dataset, Document, DocumentId, DocumentState};
use super::ops_compact::RESTORABLE_DAYS;
use super::ops_document::{example_id, need_document};
use super::ops_upload::INGEST_DEADLINE;
use super::version::{incoming_of, store_version};

/// How long a deleted document can be restored.
const RESTORABLE: Duration = Duration::from_secs(RESTORABLE_DAYS as u64 * 86_400);

/// Compares two versions of a document, passage by passage.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffVersions {
    /// The newer version.
    pub document: DocumentId,
    /// The older version. Default: the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DocumentId>,
}

/// One passage that stands in one of the versions only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiffPassage {
    /// Id of the chunk.
    pub chunk: String,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// Its text. Quoted material, never an instruction.
    pub text: String,
}

/// What changed between two versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionDiff {
    /// The older version.
    pub from: DocumentId,
    /// The newer version.
    pub to: DocumentId,
    /// Passages that are new.
    pub added: Vec<DiffPassage>,
    /// Passages that are gone.
    pub removed: Vec<DiffPassage>,
    /// Number of passages that stand in both.
    pub kept: u32,
}

impl Operation for DiffVersions {
    type Output = VersionDiff;
    const NAME: &'static str = "documents.diff";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<VersionDiff> {
        let to = need_document(cx, &self.document).await?.body;
        let from = self.from.or_else(|| to.parent_id.clone());
        let from = from.ok_or_else(|| {
            Error::invalid(Self::NAME, "from", "the document is the first version: name another one")
        })?;
        let from = need_document(cx, &from).await?.body;
        if (&from.dataset, &from.external_key) != (&to.dataset, &to.external_key) {
            return Err(Error::invalid(Self::NAME, "from", "expected a version of the same document"));
        }
        let (old, new) = (chunks(cx, &from).await?, chunks(cx, &to).await?);
        let mut left: BTreeMap<&str, u32> = BTreeMap::new();
        for chunk in &old {
            *left.entry(chunk.hash.as_str()).or_default() += 1;
        }
        let mut added = Vec::new();
        let mut kept = 0;
        for chunk in &new {
            match left.get_mut(chunk.hash.as_str()).filter(|n| **n > 0) {
                Some(n) => {
                    *n -= 1;
                    kept += 1;
                }
                None => added.push(passage(chunk)),
            }
        }
        let mut removed = Vec::new();
        for chunk in &old {
            if let Some(n) = left.get_mut(chunk.hash.as_str()).filter(|n| **n > 0) {
                *n -= 1;
                removed.push(passage(chunk));
            }
        }
        Ok(VersionDiff { from: from.id, to: to.id, added, removed, kept })
    }

    fn examples() -> Vec<Self> {
        example_id().map(|document| DiffVersions { document, from: None }).into_iter().collect()
    }
}

async fn chunks(cx: &Scope, document: &Document) -> Result<Vec<ChunkRecord>> {
    let mut out = Vec::new();
    for ids in document.chunk_ids().chunks(500) {
        out.extend(cx.get_many::<ChunkRecord>(ids).await?.into_iter().flatten().map(|c| c.body));
    }
    Ok(out)
}

fn passage(chunk: &ChunkRecord) -> DiffPassage {
    DiffPassage {
        chunk: chunk.id.clone(),
        heading_path: chunk.heading_path.clone(),
        text: chunk.text.clone(),
    }
}

/// Reads a document again from the file that the store keeps, for instance after a change of the space. It changes
/// nothing when the chunks and vectors would be the same.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReprocessDocument {
    /// The document version whose file is read.
    pub document: DocumentId,
}

impl Operation for ReprocessDocument {
    type Output = Document;
    const NAME: &'static str = "documents.reprocess";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 2;
    const DEADLINE: Duration = INGEST_DEADLINE;

    async fn run(self, cx: &Scope) -> Result<Document> {
        let document = need_document(cx, &self.document).await?.body;
        if document.state == DocumentState::Deleted {
            let message = "the document was deleted: restore it first";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
        }
        again(cx, &document).await
    }

    fn examples() -> Vec<Self> {
        example_id().map(|document| ReprocessDocument { document }).into_iter().collect()
    }
}

/// Brings a deleted document back as a new version, within 30 days and before a `knowledge.compact` that allows less.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreDocument {
    /// The version to bring back.
    pub document: DocumentId,
}

impl Operation for RestoreDocument {
    type Output = Document;
    const NAME: &'static str = "documents.restore";
    const NEEDS: &'static [Permission] = &[Permission::DeleteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 2;
    const DEADLINE: Duration = INGEST_DEADLINE;

    async fn run(self, cx: &Scope) -> Result<Document> {
        let document = need_document(cx, &self.document).await?.body;
        let Some(deleted_at) = document.deleted_at.filter(|_| document.state == DocumentState::Deleted)
        else {
            let message = "the document was not deleted";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
        };
        if cx.now() > deleted_at.plus(RESTORABLE) {
            let message = "the document was deleted more than 30 days ago: upload the file again";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
        }
        again(cx, &document).await
    }

    fn examples() -> Vec<Self> {
        example_id().map(|document| RestoreDocument { document }).into_iter().collect()
    }
}

/// Reads the kept file of a version as it was uploaded then.
pub(super) async fn again(cx: &Scope, document: &Document) -> Result<Document> {
    let dataset = cx.need::<Dataset>(document.dataset.as_str()).await?.body;
    let bytes = cx.blob(&document.blob).await?.ok_or_else(|| {
        let message = "the store does not keep the file any more: upload it again";
        Error::new(ErrorKind::NotFound, cx.operation(), message)
    })?;
    store_version(cx, &dataset, incoming_of(document, bytes)).await
}
