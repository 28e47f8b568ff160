//! Taking the last traces of what was deleted out of the files.

use std::sync::Arc;
use std::time::Duration;

use neonhub_core::op::{Audit, Effect, Operation};
use neonhub_core::store::{Expected, Query, sweep_blobs};
use neonhub_core::{Clock as _, Error, ErrorKind, Faults, Permission, Result, Scope, SystemClock, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::knowledge::{Knowledge, folder_of};
use super::model::{Document, DocumentId, DocumentState, SpaceId};

/// Days for which a deleted document can be restored.
pub(super) const RESTORABLE_DAYS: u32 = 30;
/// Age of blobs that no record names before they go: a record may still be on its way. Seconds.
const BLOB_GRACE_S: u64 = 86_400;
/// Below this age a blob may be that of an upload under way in another workspace: an upload takes up to 600 seconds.
const SAFE_GRACE_S: u64 = 3_600;
/// Documents of one page, and so of one commit.
const PAGE: usize = 500;

/// Takes what was deleted out of the files: the index files of the workspace are written anew, documents that can no
/// longer be restored are dropped with their files, and the store gives back the space of what was removed.
///
/// Deleted text is in no answer long before: this is for its last traces. Blobs go when no record of the store names
/// them, whichever workspace it is of; those of newer uploads than `blob_grace_s` wait for the next call. It writes the
/// store's files anew, so it takes time in proportion to their size.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompactKnowledge {
    /// Days for which deleted documents can still be restored, 0 to 30. Default 30; with 0 every deleted document
    /// goes for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorable_days: Option<u32>,
    /// Age from which unnamed blobs go, in seconds. Default 86400; below 3600 it needs `own:organization` and 0 is only
    /// for while nobody writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob_grace_s: Option<u64>,
}

/// What was compacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnowledgeCompacted {
    /// Number of spaces whose files were written anew.
    pub spaces: u32,
    /// Versions of deleted documents that were dropped.
    pub documents: u64,
    /// Blobs that no record named any more.
    pub blobs: u64,
}

impl Operation for CompactKnowledge {
    type Output = KnowledgeCompacted;
    const NAME: &'static str = "knowledge.compact";
    const NEEDS: &'static [Permission] = &[Permission::DeleteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(3_600);

    async fn run(self, cx: &Scope) -> Result<KnowledgeCompacted> {
        let days = self.restorable_days.unwrap_or(RESTORABLE_DAYS);
        let mut faults = Faults::new();
        faults.check(days <= RESTORABLE_DAYS, "restorable_days", "expected 0 to 30");
        faults.into_result(Self::NAME)?;
        let grace = self.blob_grace_s.unwrap_or(BLOB_GRACE_S);
        if grace < SAFE_GRACE_S {
            cx.require(Permission::OwnOrganization)?;
        }
        let documents =
            drop_deleted(cx, cx.now().minus(Duration::from_secs(u64::from(days) * 86_400))).await?;
        let knowledge = cx.service::<Knowledge>()?;
        let (spaces, indexes): (Vec<_>, Vec<_>) = {
            let projection = knowledge.in_step(cx).await?;
            projection.indexes.iter().map(|(id, index)| (id.clone(), Arc::clone(index))).unzip()
        };
        knowledge.places().keep_only(cx, &spaces).await?;
        drop_folders(cx, &spaces).await?;
        for index in &indexes {
            index.compact().await?;
        }
        // Blobs carry the time of the machine: they are put outside of any commit.
        let before = SystemClock.now().plus(Duration::from_millis(1)).minus(Duration::from_secs(grace));
        let blobs = where_supported(sweep_blobs(cx.store(), before).await)?.unwrap_or_default();
        // The bytes of removed rows stand in the files until these are written anew.
        where_supported(cx.store().compact().await)?;
        Ok(KnowledgeCompacted { spaces: u32::try_from(indexes.len()).unwrap_or(u32::MAX), documents, blobs })
    }

    fn examples() -> Vec<Self> {
        vec![CompactKnowledge::default()]
    }
}

/// Removes the index files of spaces that answer nothing any more.
async fn drop_folders(cx: &Scope, answering: &[String]) -> Result<()> {
    let Some(folder) = folder_of(cx) else { return Ok(()) };
    let answering = answering.to_vec();
    let failed = |cause: std::io::Error| {
        let message = "the index of a retired space cannot be removed: look at the rights of its folder";
        Error::new(ErrorKind::Unavailable, CompactKnowledge::NAME, message).with_source(cause)
    };
    let done = tokio::task::spawn_blocking(move || {
        let entries = match std::fs::read_dir(&folder) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let is_of_a_space = name.to_str().is_some_and(|name| name.parse::<SpaceId>().is_ok());
            if is_of_a_space && !answering.iter().any(|space| name.to_str() == Some(space)) {
                std::fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    });
    done.await.map_err(|cause| Error::internal(CompactKnowledge::NAME, cause))?
}

/// A store of the host may do without upkeep: its files are the host's.
fn where_supported<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        other => other.map(Some),
    }
}

/// Drops every version that was deleted at `before` or earlier, page by page; gives how many.
async fn drop_deleted(cx: &Scope, before: Timestamp) -> Result<u64> {
    // The sweep sees what is committed: each page is a commit of its own.
    let outside = cx.outside();
    let (mut dropped, mut after) = (0, None);
    loop {
        cx.cancel_token().check(CompactKnowledge::NAME)?;
        let page = outside.call(DropPage { after, before }).await?;
        dropped += page.dropped;
        match page.last {
            Some(last) => after = Some(last),
            None => return Ok(dropped),
        }
    }
}

/// One page of documents, looked at for deleted ones.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DropPage {
    /// The document before the page.
    after: Option<DocumentId>,
    /// Deletions at this instant or earlier are final.
    before: Timestamp,
}

/// What became of a page.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct DroppedPage {
    /// The last document of the page; absent at the end.
    last: Option<DocumentId>,
    /// Versions that were dropped.
    dropped: u64,
}

impl Operation for DropPage {
    type Output = DroppedPage;
    const NAME: &'static str = "knowledge.drop_page";
    const NEEDS: &'static [Permission] = &[Permission::DeleteContent];
    const EFFECT: Effect = Effect::Idempotent;
    // The compaction leaves one row; its pages leave none.
    const AUDIT: Audit = Audit::None;
    const RERUNS: u8 = 5;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<DroppedPage> {
        let mut query = Query::by_id().limit(PAGE);
        if let Some(after) = &self.after {
            query = query.after(Default::default(), after.as_str());
        }
        let page = cx.query::<Document>(&query).await?;
        let mut dropped = 0;
        for version in page.iter().filter(|d| d.state == DocumentState::Deleted) {
            if version.deleted_at.unwrap_or(version.ingested_at) <= self.before {
                cx.delete::<Document>(version.id.as_str(), Expected::Rev(version.rev))?;
                dropped += 1;
            }
        }
        let last = page.last().filter(|_| page.len() == PAGE).map(|d| d.body.id.clone());
        Ok(DroppedPage { last, dropped })
    }
}
