//! Feed entries as relational engines keep them: `[kind, id, before, after]` per change.

use super::{Change, FeedEntry, transfer};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Timestamp};

/// The changes of one commit as JSON text.
pub(super) fn text(changes: &[Change]) -> Result<String> {
    let compact: Vec<(&str, &str, u64, u64)> =
        changes.iter().map(|c| (c.kind.as_str(), c.id.as_str(), c.before, c.after)).collect();
    serde_json::to_string(&compact).map_err(|cause| Error::internal("store.commit", cause))
}

/// The entry again.
pub(super) fn entry(seq: u64, workspace: String, at: i64, json: &str) -> Result<FeedEntry> {
    let damaged = || {
        Error::new(ErrorKind::Corrupted, "store.changes", "an entry of the change feed is damaged")
            .with_context("seq", seq)
    };
    let compact: Vec<(String, String, u64, u64)> = serde_json::from_str(json).map_err(|_| damaged())?;
    let workspace = WorkspaceId::try_from(workspace).map_err(|_| damaged())?;
    Ok(transfer::feed_entry(seq, workspace, Timestamp::from_millis(at), compact))
}
