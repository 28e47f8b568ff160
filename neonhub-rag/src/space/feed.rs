//! What the feed of the store says about documents.

use neonhub_core::store::{FeedEntry, Record as _};
use neonhub_core::{Result, Scope};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::model::{Dataset, Document, Space};

/// Most commits that are read one by one; above, comparing all documents is cheaper.
const MOST_COMMITS: usize = 1_000;

/// A commit of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) seq: u64,
    /// Hash of the commit: a store that was put back to a backup may have another one at the same position.
    pub(super) mark: u64,
}

/// What changed after a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// Ids of documents, in order.
    pub(super) documents: Vec<String>,
    /// Whether a space or a dataset did.
    pub(super) is_about_spaces: bool,
}

impl Place {
    fn of(entry: &FeedEntry) -> Self {
        // What is long about an entry is its changes: their ends tell it from another one.
        let ends = [entry.changes.first(), entry.changes.last()];
        let words = (entry.seq, &entry.workspace, entry.at, entry.changes.len(), ends);
        Self { seq: entry.seq, mark: xxh3_64(format!("{words:?}").as_bytes()) }
    }

    /// The commit at a position. One that the feed does not hold is like no other: from there all is compared.
    pub(super) async fn at(cx: &Scope, seq: u64) -> Result<Self> {
        let entries = match seq.checked_sub(1) {
            Some(before) => entries(cx, before, 1).await?,
            None => None,
        };
        let own = entries.iter().flatten().find(|entry| entry.seq == seq).map(Self::of);
        Ok(own.unwrap_or(Self { seq, mark: 0 }))
    }

    /// What the commits after this one changed, up to a later position at least, and the commit there. `None` when the feed
    /// does not tell: it is too long, begins later, or is another one.
    pub(super) async fn until(self, cx: &Scope, seq: u64) -> Result<Option<(Changed, Self)>> {
        let is_near = seq.checked_sub(self.seq).is_some_and(|commits| commits <= MOST_COMMITS as u64);
        let Some(before) = self.seq.checked_sub(1).filter(|_| is_near) else { return Ok(None) };
        let Some(entries) = entries(cx, before, MOST_COMMITS + 1).await? else { return Ok(None) };
        let last = entries.iter().find(|entry| entry.seq == seq).map(Self::of);
        let (Some((own, later)), Some(last)) = (entries.split_first(), last) else { return Ok(None) };
        Ok((Self::of(own) == self).then(|| (Changed::by(cx, later), last)))
    }
}

impl Changed {
    fn by(cx: &Scope, entries: &[FeedEntry]) -> Self {
        let (mut documents, mut is_about_spaces) = (Vec::new(), false);
        let own = entries.iter().filter(|entry| entry.workspace == *cx.workspace());
        for change in own.flat_map(|entry| &entry.changes) {
            match change.kind.as_str() {
                Document::KIND => documents.push(change.id.clone()),
                Space::KIND | Dataset::KIND => is_about_spaces = true,
                _ => {}
            }
        }
        documents.sort_unstable();
        documents.dedup();
        Self { documents, is_about_spaces }
    }
}

/// The commits after a position; `None` when the feed begins later.
async fn entries(cx: &Scope, after: u64, limit: usize) -> Result<Option<Vec<FeedEntry>>> {
    match cx.store().changes(after, limit).await {
        Err(error) if error.code() == "cursor_expired" => Ok(None),
        entries => entries.map(Some),
    }
}
