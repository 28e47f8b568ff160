//! Walking the chain.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::prune::AuditFloor;
use super::{AuditEntry, genesis, hash_of, id_of, unhex};
use crate::store::{Key, Kind, Query, Row, Stored, canonical_json};
use crate::{ErrorKind, Result, Scope};

/// The answer of `audit.verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditReport {
    /// True when every entry is as it was written.
    pub ok: bool,
    /// Entries read.
    pub entries: u64,
    /// Number of the first bad entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<u64>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Checkpoints outside the store that the chain was held against.
    #[serde(default)]
    pub anchors: u64,
}

impl AuditReport {
    pub(super) fn bad(entries: u64, seq: u64, problem: &str) -> Self {
        AuditReport {
            ok: false,
            entries,
            first_bad: Some(seq),
            problem: Some(problem.to_owned()),
            anchors: 0,
        }
    }

    pub(super) fn good(entries: u64, anchors: u64) -> Self {
        AuditReport { ok: true, entries, first_bad: None, problem: None, anchors }
    }
}

/// The chain up to an entry: its number and hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) hash: [u8; 32],
}

impl Link {
    /// Goes on with the stored form of the next entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn next(self, body: &str) -> Result<Link, &'static str> {
        let entry: AuditEntry = serde_json::from_str(body).map_err(|_| "an entry cannot be read")?;
        if entry.seq != self.seq + 1 || entry.id != id_of(entry.seq) {
            return Err("an entry is missing or out of order");
        }
        // Members this build does not know would go unseen by the hash.
        if canonical_json(&entry).ok().as_deref() != Some(body) {
            return Err("an entry was changed after it was written");
        }
        let hash = hash_of(&self.hash, &entry).map_err(|_| "an entry cannot be hashed")?;
        if unhex(&entry.prev_hash) != Some(self.hash) || unhex(&entry.hash) != Some(hash) {
            return Err("an entry was changed after it was written");
        }
        Ok(Link { seq: entry.seq, hash })
    }
}

/// Where to begin: the entry before `from`, the floor that pruning left, or the genesis.
async fn start(cx: &Scope, from: u64) -> Result<Result<Link, AuditReport>> {
    let mut link = Link { seq: 0, hash: genesis(cx.workspace()) };
    if let Some(floor) = cx.get::<AuditFloor>(AuditFloor::ID).await? {
        let anchored = cx.hub().anchor().all(cx.workspace()).await?;
        let is_known = anchored.iter().any(|c| c.seq == floor.seq && c.head == floor.hash);
        let Some(hash) = unhex(&floor.hash).filter(|_| is_known) else {
            return Ok(Err(AuditReport::bad(0, 1, "the beginning was removed and no anchor knows its end")));
        };
        link = Link { seq: floor.seq, hash };
    }
    if from <= link.seq + 1 {
        return Ok(Ok(link));
    }
    let bad = |problem| Ok(Err(AuditReport::bad(0, from - 1, problem)));
    match cx.get::<AuditEntry>(&id_of(from - 1)).await {
        Ok(Some(before)) => match unhex(&before.hash) {
            Some(hash) => Ok(Ok(Link { seq: from - 1, hash })),
            None => bad("an entry cannot be read"),
        },
        Ok(None) => bad("an entry is missing or out of order"),
        Err(error) if error.kind() == ErrorKind::Corrupted => bad("an entry does not match its checksum"),
        Err(error) => Err(error),
    }
}

/// Walks the chain of the workspace from `from` (default its beginning) to `to` (default its end) and holds it
/// against the anchors.
///
/// # Errors
/// What the store and the anchor answer; a damaged entry is an answer, not an error.
pub(super) async fn verify(cx: &Scope, from: Option<u64>, to: Option<u64>) -> Result<AuditReport> {
    let mut link = match start(cx, from.unwrap_or(1)).await? {
        Ok(link) => link,
        Err(report) => return Ok(report),
    };
    let first = link.seq;
    let anchors = cx.hub().anchor().all(cx.workspace()).await?;
    let heads: BTreeMap<u64, &str> = anchors.iter().map(|c| (c.seq, c.head.as_str())).collect();
    let mut held = 0;
    loop {
        cx.cancel_token().check("audit.verify")?;
        let query = Query::by_id().limit(500).after(Key::new(), id_of(link.seq));
        let read = link.seq - first;
        let page = match cx.store().query(Kind::of::<AuditEntry>(), cx.workspace(), &query).await {
            Ok(page) => page,
            Err(error) if error.kind() == ErrorKind::Corrupted => {
                return Ok(AuditReport::bad(read, link.seq + 1, "an entry does not match its checksum"));
            }
            Err(error) => return Err(error),
        };
        let is_last = page.len() < 500;
        for row in page {
            match step(link, &row, &heads) {
                Ok(next) => {
                    held += u64::from(heads.contains_key(&next.seq));
                    link = next;
                }
                Err(problem) => {
                    return Ok(AuditReport::bad(link.seq - first, link.seq + 1, problem));
                }
            }
            if to == Some(link.seq) {
                return Ok(AuditReport::good(link.seq - first, held));
            }
        }
        if is_last {
            break;
        }
    }
    let end = to.unwrap_or(0).max(heads.keys().next_back().copied().unwrap_or(0));
    if end > link.seq && to.is_none_or(|to| to > link.seq) {
        let problem = "the end is missing: later entries were anchored or asked for";
        return Ok(AuditReport::bad(link.seq - first, link.seq + 1, problem));
    }
    Ok(AuditReport::good(link.seq - first, held))
}

fn step(link: Link, row: &Row, heads: &BTreeMap<u64, &str>) -> Result<Link, &'static str> {
    if row.id != id_of(link.seq + 1) {
        return Err("an entry is missing or out of order");
    }
    let next = link.next(&row.body)?;
    match heads.get(&next.seq) {
        Some(head) if unhex(head) != Some(next.hash) => {
            Err("the chain is whole but not the one that was anchored: it was rewritten")
        }
        _ => Ok(next),
    }
}

/// An entry by its number.
pub(super) fn entry_of(row: &Row) -> Result<AuditEntry> {
    Stored::<AuditEntry>::from_row(row).map(|s| s.body)
}
