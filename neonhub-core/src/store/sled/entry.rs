//! How records, index entries and the feed are laid out in the one tree, so that byte order is the order of queries.
//!
//! `r KIND 00 WORKSPACE ID` records, `i KIND 00 N WORKSPACE KEY ID` index entries, `f SEQ` the feed, `c WORKSPACE CHAIN`
//! heads of chains, `b HASH` blobs, `k KIND` kinds. Workspaces have one length; a key ends where no key goes on.

use std::ops::Bound;

use serde::Serialize;

use super::super::transfer::feed_entry;
use super::super::{FeedEntry, Item, Key, Order, Query, RecordItem, Row};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result};

fn damaged() -> Error {
    Error::new(
        ErrorKind::Corrupted,
        "store.get",
        "an entry of the store is damaged: restore it from a backup",
    )
}

pub(super) fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| damaged())
}

pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|cause| Error::internal("store.commit", cause))
}

pub(super) fn record_prefix(kind: &str, ws: &WorkspaceId) -> Vec<u8> {
    [b"r", kind.as_bytes(), b"\0", ws.as_str().as_bytes()].concat()
}

pub(super) fn record_key(kind: &str, ws: &WorkspaceId, id: &str) -> Vec<u8> {
    let mut key = record_prefix(kind, ws);
    key.extend(id.as_bytes());
    key
}

pub(super) fn index_prefix(kind: &str, n: usize, ws: &WorkspaceId) -> Vec<u8> {
    let n = [u8::try_from(n).unwrap_or(u8::MAX)];
    [b"i", kind.as_bytes(), b"\0", &n, ws.as_str().as_bytes()].concat()
}

/// Where the entries of a key begin.
pub(super) fn at(kind: &str, n: usize, ws: &WorkspaceId, key: &Key) -> Vec<u8> {
    let mut out = index_prefix(kind, n, ws);
    out.extend(Key::bytes(key.as_bytes()).as_bytes());
    out
}

/// Where they end: ids are UTF-8 and hold no byte 0xff, and a key that goes on after a zero has one here.
pub(super) fn behind(kind: &str, n: usize, ws: &WorkspaceId, key: &Key) -> Vec<u8> {
    let mut out = at(kind, n, ws, key);
    out.push(0xff);
    out
}

pub(super) fn index_entry(kind: &str, n: usize, ws: &WorkspaceId, key: &Key, id: &str) -> Vec<u8> {
    let mut out = at(kind, n, ws, key);
    out.extend(id.as_bytes());
    out
}

/// The first key after all that begin with `prefix`; prefixes end with ASCII.
pub(super) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut out = prefix.to_vec();
    if let Some(last) = out.last_mut() {
        *last += 1;
    }
    out
}

/// The keys of a query by id: from, and up to without.
pub(super) fn id_range(kind: &str, ws: &WorkspaceId, query: &Query) -> (Vec<u8>, Vec<u8>) {
    let prefix = record_prefix(kind, ws);
    let (mut from, mut to) = (prefix.clone(), after(&prefix));
    if let Some((_, id)) = &query.after {
        let mut place = record_key(kind, ws, id);
        match query.order {
            Order::Ascending => {
                place.push(0);
                from = place;
            }
            Order::Descending => to = place,
        }
    }
    (from, to)
}

/// The keys of a query by index: from, and up to without.
pub(super) fn index_range(kind: &str, n: usize, ws: &WorkspaceId, query: &Query) -> (Vec<u8>, Vec<u8>) {
    let prefix = index_prefix(kind, n, ws);
    let mut from = match &query.from {
        Bound::Included(key) => at(kind, n, ws, key),
        Bound::Excluded(key) => behind(kind, n, ws, key),
        Bound::Unbounded => prefix.clone(),
    };
    let mut to = match &query.to {
        Bound::Included(key) => behind(kind, n, ws, key),
        Bound::Excluded(key) => at(kind, n, ws, key),
        Bound::Unbounded => after(&prefix),
    };
    if let Some((key, id)) = &query.after {
        let mut place = index_entry(kind, n, ws, key, id);
        match query.order {
            Order::Ascending => {
                place.push(0);
                from = from.max(place);
            }
            Order::Descending => to = to.min(place),
        }
    }
    (from, to)
}

pub(super) fn feed_key(seq: u64) -> Vec<u8> {
    [&b"f"[..], &seq.to_be_bytes()].concat()
}

pub(super) fn seq_of(key: &[u8]) -> u64 {
    key.get(1..).and_then(|b| <[u8; 8]>::try_from(b).ok()).map_or(0, u64::from_be_bytes)
}

pub(super) fn feed(bytes: &[u8]) -> Result<FeedEntry> {
    match serde_json::from_slice(bytes).map_err(|_| damaged())? {
        Item::Feed { seq, workspace, at, changes } => Ok(feed_entry(seq, workspace, at, changes)),
        _ => Err(damaged()),
    }
}

pub(super) fn chain_key(ws: &WorkspaceId, chain: &str) -> Vec<u8> {
    [b"c", ws.as_str().as_bytes(), chain.as_bytes()].concat()
}

pub(super) fn head((seq, hash): &(u64, [u8; 32])) -> Vec<u8> {
    [&seq.to_be_bytes()[..], hash].concat()
}

pub(super) fn read_head(bytes: &[u8]) -> Result<(u64, [u8; 32])> {
    let (seq, hash) = bytes.split_at_checked(8).ok_or_else(damaged)?;
    let seq = <[u8; 8]>::try_from(seq).map_err(|_| damaged())?;
    Ok((u64::from_be_bytes(seq), <[u8; 32]>::try_from(hash).map_err(|_| damaged())?))
}

/// A record as it lies in the tree: its checksum, then its parts as JSON.
pub(super) struct Stored {
    pub(super) sum: u64,
    pub(super) record: RecordItem,
}

impl Stored {
    pub(super) fn of(kind: &str, ws: &WorkspaceId, row: Row) -> Self {
        Stored { sum: row.checksum(kind), record: RecordItem::of(ws.clone(), kind, row) }
    }

    pub(super) fn write(&self) -> Result<Vec<u8>> {
        let mut out = self.sum.to_le_bytes().to_vec();
        out.extend(json(&self.record)?);
        Ok(out)
    }

    /// # Errors
    /// `Corrupted` naming kind and id.
    pub(super) fn read(kind: &str, id: &str, bytes: &[u8]) -> Result<Self> {
        let named = || damaged().with_context("kind", kind.to_owned()).with_context("id", id.to_owned());
        let (sum, rest) = bytes.split_at_checked(8).ok_or_else(named)?;
        let sum = u64::from_le_bytes(<[u8; 8]>::try_from(sum).map_err(|_| named())?);
        Ok(Stored { sum, record: serde_json::from_slice(rest).map_err(|_| named())? })
    }

    pub(super) fn verified(self, kind: &str) -> Result<Row> {
        let row = self.record.into_row()?;
        row.verify(kind, self.sum)?;
        Ok(row)
    }
}
