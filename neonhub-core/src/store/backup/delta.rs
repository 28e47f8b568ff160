//! What belongs into an increment.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::{Base, damaged};
use crate::store::sweep::hashes;
use crate::store::transfer::feed_item;
use crate::store::{Item, Store};
use crate::tenancy::WorkspaceId;
use crate::{Error, Result};

/// Commits of the feed that are read at once.
const PAGE: usize = 500;

/// What changed between two positions of the feed.
pub(super) struct Delta {
    pub(super) base: Base,
    changed: HashSet<(String, WorkspaceId, String)>,
    /// Whether those that changed were taken out of the way of what they became.
    is_cleared: bool,
    blobs: HashSet<[u8; 64]>,
}

impl Delta {
    pub(super) async fn read(store: &dyn Store, since: u64, seq: u64) -> Result<Self> {
        if since > seq {
            let text = format!("expected a position up to {seq}, the last commit");
            return Err(Error::invalid("store.backup", "since_seq", text));
        }
        let base = base_at(store, since).await?;
        let (mut changed, mut after) = (HashSet::new(), since);
        while after < seq {
            let page = store.changes(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for entry in page.into_iter().filter(|e| e.seq <= seq) {
                let places = entry.changes.into_iter().map(|c| (c.kind, entry.workspace.clone(), c.id));
                changed.extend(places);
            }
        }
        Ok(Delta { base, changed, is_cleared: false, blobs: HashSet::new() })
    }

    /// Removals of all that changed; once.
    pub(super) fn gone(&mut self) -> Vec<Item> {
        if std::mem::replace(&mut self.is_cleared, true) {
            return Vec::new();
        }
        let gone = self.changed.iter().cloned();
        let mut gone: Vec<_> =
            gone.map(|(kind, workspace, id)| (kind, workspace.to_string(), id, workspace)).collect();
        gone.sort_by(|a, b| (&a.0, &a.1, &a.2).cmp(&(&b.0, &b.1, &b.2)));
        gone.into_iter().map(|(kind, _, id, workspace)| Item::Gone { workspace, kind, id }).collect()
    }

    /// What of a page belongs into the increment.
    pub(super) fn choose(&mut self, page: Vec<Item>) -> Vec<Item> {
        let mut out = Vec::new();
        for item in page {
            if !matches!(item, Item::Kind { .. }) {
                out.extend(self.gone());
            }
            let is_in = match &item {
                Item::Kind { .. } | Item::Chain { .. } => true,
                Item::Gone { .. } => false,
                Item::Record(record) => {
                    let place = (record.kind.clone(), record.workspace.clone(), record.id.clone());
                    let is_in = self.changed.contains(&place);
                    if is_in {
                        hashes(record.body.as_bytes(), |hash| {
                            self.blobs.insert(*hash);
                        });
                    }
                    is_in
                }
                Item::Blob { hash, .. } => {
                    <&[u8; 64]>::try_from(hash.as_bytes()).is_ok_and(|h| self.blobs.contains(h))
                }
                Item::Feed { seq, .. } => *seq > self.base.seq,
            };
            if is_in {
                out.push(item);
            }
        }
        out
    }
}

/// A position of the feed with the hash of its commit.
pub(super) async fn base_at(store: &dyn Store, seq: u64) -> Result<Base> {
    let Some(before) = seq.checked_sub(1) else {
        return Err(Error::invalid(
            "store.backup",
            "since_seq",
            "expected the `seq` of a backup, at least 1",
        ));
    };
    let entry = store.changes(before, 1).await?.pop();
    let entry = entry.ok_or_else(|| damaged("the feed of the store has no such commit", 0))?;
    let line =
        serde_json::to_vec(&feed_item(&entry)).map_err(|cause| Error::internal("store.backup", cause))?;
    Ok(Base { seq, commit: crate::store_hex(&Sha256::digest(line)) })
}
