//! When a checkpoint is due, and making it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{AuditEntry, Checkpoint, merkle};
use crate::store::{Kind, Query, Stored};
use crate::tenancy::WorkspaceId;
use crate::{Hub, Result, Scope, Timestamp};

/// A checkpoint every so many entries, and at least once a day. Our choice.
const EVERY: u64 = 1_000;
const AT_LEAST: Duration = Duration::from_secs(24 * 3_600);

/// What is not anchored yet, by workspace.
#[derive(Clone, Copy, Debug)]
struct Pending {
    entries: u64,
    /// Last entry that is anchored.
    anchored: u64,
    since: Timestamp,
}

/// The chains this process writes to.
#[derive(Debug, Default)]
pub(crate) struct Chains(Mutex<HashMap<WorkspaceId, Pending>>);

impl Chains {
    fn get(&self, workspace: &WorkspaceId) -> Option<Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(workspace).copied()
    }

    fn set(&self, workspace: &WorkspaceId, pending: Pending) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(workspace.clone(), pending);
    }

    fn workspaces(&self) -> Vec<WorkspaceId> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut behind: Vec<_> = all.iter().filter(|(_, p)| p.entries > 0).map(|(w, _)| w.clone()).collect();
        behind.sort();
        behind
    }
}

/// Notes that entries were committed, and anchors when it is time. A checkpoint that fails is no fault of the call
/// that was due to make it: it is said, and tried again with the next entries.
pub(crate) async fn checkpoint(cx: &Scope, entries: usize) {
    if let Err(cause) = note(cx.hub(), cx.workspace(), entries as u64).await {
        tracing::warn!(workspace = %cx.workspace(), %cause, "the audit log could not be anchored");
    }
}

async fn note(hub: &Hub, workspace: &WorkspaceId, entries: u64) -> Result<()> {
    let mut pending = match hub.chains().get(workspace) {
        Some(known) => Pending { entries: known.entries + entries, ..known },
        None => first_look(hub, workspace).await?,
    };
    let is_due = pending.entries >= EVERY || pending.since.plus(AT_LEAST) <= hub.now();
    if is_due {
        // Before the work, so that calls beside this one do not all do it.
        let reset = Pending { entries: 0, since: hub.now(), ..pending };
        hub.chains().set(workspace, reset);
        match anchor(hub, workspace, pending.anchored).await {
            Ok(Some(seq)) => pending = Pending { anchored: seq, ..reset },
            Ok(None) => pending = reset,
            Err(error) => {
                hub.chains().set(workspace, pending);
                return Err(error);
            }
        }
    }
    hub.chains().set(workspace, pending);
    Ok(())
}

/// What a process before this one left to be anchored.
async fn first_look(hub: &Hub, workspace: &WorkspaceId) -> Result<Pending> {
    let last = hub.anchor().all(workspace).await?.into_iter().max_by_key(|c| c.seq);
    let head = head(hub, workspace).await?.map_or(0, |e| e.seq);
    let anchored = last.as_ref().map_or(0, |c| c.seq);
    let since = last.map_or_else(|| hub.now(), |c| c.at);
    Ok(Pending { entries: head.saturating_sub(anchored), anchored, since })
}

async fn head(hub: &Hub, workspace: &WorkspaceId) -> Result<Option<AuditEntry>> {
    let query = Query::by_id().descending().limit(1);
    let rows = hub.store().query(Kind::of::<AuditEntry>(), workspace, &query).await?;
    rows.first().map(|r| Stored::<AuditEntry>::from_row(r).map(|s| s.body)).transpose()
}

/// Most entries under one root: what a process that died left is anchored in pieces.
const MOST: usize = 10_000;

/// Anchors what stands after `anchored`; the last entry that is anchored then.
async fn anchor(hub: &Hub, workspace: &WorkspaceId, anchored: u64) -> Result<Option<u64>> {
    let mut done = None;
    loop {
        let after = done.unwrap_or(anchored);
        let query = Query::by_id().after(crate::store::Key::new(), super::id_of(after)).limit(MOST);
        let rows = hub.store().query(Kind::of::<AuditEntry>(), workspace, &query).await?;
        let mut leaves = Vec::with_capacity(rows.len());
        let mut last = None;
        for row in &rows {
            let entry = Stored::<AuditEntry>::from_row(row)?.body;
            leaves.push(super::unhex(&entry.hash).unwrap_or_default());
            last = Some(entry);
        }
        let Some(last) = last else { return Ok(done) };
        let checkpoint = Checkpoint {
            workspace: workspace.clone(),
            from: after + 1,
            seq: last.seq,
            head: last.hash,
            root: crate::store_hex(&merkle::root(&leaves)),
            at: hub.now(),
        };
        hub.anchor().put(&checkpoint).await?;
        done = Some(checkpoint.seq);
        if rows.len() < MOST {
            return Ok(done);
        }
    }
}

/// Anchors the ends of all chains this process wrote to, before the store closes.
pub(crate) async fn anchor_all(hub: &Hub) {
    for workspace in hub.chains().workspaces() {
        let Some(pending) = hub.chains().get(&workspace) else { continue };
        if let Err(cause) = anchor(hub, &workspace, pending.anchored).await {
            tracing::warn!(%workspace, %cause, "the audit log could not be anchored");
        }
    }
}
