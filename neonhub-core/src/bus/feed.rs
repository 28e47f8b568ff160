//! The change feed as events, read once for all subscriptions of the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::event::{BusEvent, Event};
use crate::store::{Kind, Record as _, Stored, rebuild_from};
use crate::tenancy::WorkspaceId;
use crate::{ErrorKind, Hub, Result};

/// Commits read at once.
const PAGE: usize = 256;
/// Events after which a page ends: a commit may hold a thousand of them.
const PAGE_EVENTS: usize = 1024;
/// Events kept for readers that are not far behind, whatever the number of commits.
const KEEP_EVENTS: usize = 16 * 1024;
/// Commits kept for readers that are not far behind.
const KEEP: usize = 1024;
/// Commits kept for readers when the hub closes.
const KEEP_AT_CLOSE: usize = 16 * 1024;

/// One commit with the events of its workspace, which may be none.
#[derive(Debug)]
pub(super) struct CommitEvents {
    pub(super) seq: u64,
    pub(super) events: Vec<BusEvent>,
}

/// Commits after `start` and up to `end`, without gaps.
#[derive(Debug, Default)]
struct Ring {
    start: u64,
    end: u64,
    commits: VecDeque<Arc<CommitEvents>>,
    /// Events in all commits.
    events: usize,
}

impl Ring {
    fn push(&mut self, commit: CommitEvents, most: usize) {
        self.end = commit.seq;
        self.events += commit.events.len();
        self.commits.push_back(Arc::new(commit));
        while self.commits.len() > most || (self.events > KEEP_EVENTS && self.commits.len() > 1) {
            if let Some(old) = self.commits.pop_front() {
                self.start = old.seq;
                self.events -= old.events.len();
            }
        }
    }

    fn restart(&mut self, at: u64) {
        *self = Ring { start: at, end: at, ..Ring::default() };
    }

    fn after(&self, cursor: u64) -> Vec<Arc<CommitEvents>> {
        let from = self.commits.partition_point(|c| c.seq <= cursor);
        self.commits.iter().skip(from).take(PAGE).map(Arc::clone).collect()
    }
}

/// Reads the feed for everyone: ten thousand subscriptions cost one read per commit.
#[derive(Debug, Default)]
pub(super) struct Feed(tokio::sync::Mutex<Ring>);

impl Feed {
    /// Commits after `cursor`, oldest first, at most a page. Empty at the end.
    pub(super) async fn after(&self, hub: &Hub, cursor: u64) -> Result<Vec<Arc<CommitEvents>>> {
        let mut ring = self.0.lock().await;
        if cursor < ring.start {
            // Far behind: read for this one alone.
            drop(ring);
            if hub.is_closed() {
                return Ok(Vec::new());
            }
            return Ok(open_page(hub, cursor).await?.into_iter().map(Arc::new).collect());
        }
        if cursor > ring.end + KEEP as u64 || ring.commits.is_empty() && cursor > ring.end {
            ring.restart(cursor);
        }
        while ring.end <= cursor && !hub.is_closed() {
            let page = open_page(hub, ring.end).await?;
            if page.is_empty() {
                break;
            }
            for commit in page {
                ring.push(commit, KEEP);
            }
        }
        Ok(ring.after(cursor))
    }

    /// Reads everything after `cursor` into memory, so that it can be given out when the store is closed.
    pub(super) async fn keep(&self, hub: &Hub, cursor: u64) -> Result<()> {
        let mut ring = self.0.lock().await;
        if cursor < ring.start || ring.commits.is_empty() {
            ring.restart(cursor);
        }
        while ring.commits.len() < KEEP_AT_CLOSE && ring.events < KEEP_EVENTS {
            let page = read(hub, ring.end).await?;
            if page.is_empty() {
                break;
            }
            for commit in page {
                ring.push(commit, KEEP_AT_CLOSE);
            }
        }
        Ok(())
    }
}

/// As [`read_from`]; nothing once the store is being closed: what was left is in the ring then.
async fn open_page(hub: &Hub, after: u64) -> Result<Vec<CommitEvents>> {
    match read_from(hub, after).await {
        // A store that is closed says so; damage and faults of ours are no end of a stream.
        Err(error) if hub.is_closing() && error.kind() == ErrorKind::Unavailable => Ok(Vec::new()),
        other => other,
    }
}

/// As [`read`]; from the start means from the first commit that is kept.
async fn read_from(hub: &Hub, after: u64) -> Result<Vec<CommitEvents>> {
    match read(hub, after).await {
        Err(error) if after == 0 => match rebuild_from(&error) {
            Some(from) => read(hub, from).await,
            None => Err(error),
        },
        other => other,
    }
}

/// One page of the feed with its events.
async fn read(hub: &Hub, after: u64) -> Result<Vec<CommitEvents>> {
    let mut entries = hub.store().changes(after, PAGE).await?;
    let mut count = 0;
    let fits = entries.iter().take_while(|entry| {
        let has_room = count < PAGE_EVENTS;
        count += entry.changes.iter().filter(|c| c.kind == Event::KIND && c.after > 0).count();
        has_room
    });
    let fits = fits.count();
    entries.truncate(fits);
    // Ids by workspace, so that a page costs one read per workspace.
    let mut asked: BTreeMap<WorkspaceId, Vec<(usize, u16, String)>> = BTreeMap::new();
    for (n, entry) in entries.iter().enumerate() {
        let events = entry.changes.iter().filter(|c| c.kind == Event::KIND && c.after > 0);
        for (sub, change) in events.enumerate() {
            let sub = u16::try_from(sub).unwrap_or(u16::MAX);
            asked.entry(entry.workspace.clone()).or_default().push((n, sub, change.id.clone()));
        }
    }
    let mut commits: Vec<CommitEvents> =
        entries.iter().map(|e| CommitEvents { seq: e.seq, events: Vec::new() }).collect();
    for (workspace, places) in asked {
        let ids: Vec<String> = places.iter().map(|(_, _, id)| id.clone()).collect();
        let rows = hub.store().get_many(Kind::of::<Event>(), &workspace, &ids).await?;
        for ((n, sub, _), row) in places.into_iter().zip(rows) {
            // An event that was removed by retention since is over.
            let (Some(row), Some(commit)) = (row, commits.get_mut(n)) else { continue };
            let event = Stored::<Event>::from_row(&row)?.body;
            let workspace_id = workspace.clone();
            commit.events.push(BusEvent { seq: commit.seq, sub, workspace_id, event });
        }
    }
    Ok(commits)
}
