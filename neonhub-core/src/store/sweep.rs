//! What nobody needs any more: old entries of the feed, and blobs that no record names.

use std::collections::HashSet;

use super::{Item, Store};
use crate::{Result, Timestamp};

/// Feed entries of one page.
const PAGE: usize = 1000;

/// Removes blobs that no record names and that were last put before `before`; gives how many.
///
/// A body names a blob when its 64 hex digits stand in it anywhere. `before` keeps blobs whose record is still to be
/// committed.
///
/// # Errors
/// What the store answers.
pub async fn sweep_blobs(store: &dyn Store, before: Timestamp) -> Result<u64> {
    let mut named: HashSet<[u8; 64]> = HashSet::new();
    let mut snapshot = store.snapshot().await?;
    let mut orphans = Vec::new();
    loop {
        let page = snapshot.next().await?;
        if page.is_empty() {
            break;
        }
        for item in page {
            match item {
                Item::Record(record) => hashes(record.body.as_bytes(), |hash| {
                    named.insert(*hash);
                }),
                // Blobs come after all records.
                Item::Blob { hash, .. } => {
                    if <&[u8; 64]>::try_from(hash.as_bytes()).is_ok_and(|h| !named.contains(h)) {
                        orphans.push(hash);
                    }
                }
                Item::Kind { .. } | Item::Gone { .. } | Item::Chain { .. } | Item::Feed { .. } => {}
            }
        }
    }
    drop(snapshot);
    store.blob_delete(&orphans, before).await
}

/// Each run of exactly 64 lower-case hex digits.
pub(super) fn hashes(body: &[u8], mut found: impl FnMut(&[u8; 64])) {
    for run in body.split(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        if let Ok(hash) = <&[u8; 64]>::try_from(run) {
            found(hash);
        }
    }
}

/// Forgets entries of the feed that are older than `before`, but none behind `hold`, the position of the slowest reader
/// that still needs what follows it; gives how many.
///
/// # Errors
/// What the store answers.
pub async fn trim_feed(store: &dyn Store, before: Timestamp, hold: Option<u64>) -> Result<u64> {
    let figures = store.figures().await?;
    let mut through = figures.feed_oldest.saturating_sub(1);
    loop {
        let page = store.changes(through, PAGE).await?;
        // Entries are in the order of their commits, whose clocks may differ a little: the first young one ends it.
        let old = page.iter().take_while(|e| e.at < before).last();
        match old {
            Some(last) => through = last.seq,
            None => break,
        }
        if page.last().is_some_and(|last| last.seq > through) {
            break;
        }
    }
    store.trim_feed(through.min(hold.unwrap_or(u64::MAX))).await
}
