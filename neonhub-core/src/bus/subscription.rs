//! Events of one workspace for code that keeps its own cursor.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, watch};

use super::event::{Event, Item};
use super::filter::glob;
use super::live::{LiveItem, LiveWhat};
use crate::{Permission, Result, Scope};

/// Items that a subscription holds before it reads on.
const READY: usize = 1024;

/// A stream of events of one workspace.
pub struct Subscription {
    cx: Scope,
    cursor: Arc<AtomicU64>,
    /// Position of the feed up to which everything is in `ready`.
    read: u64,
    ready: VecDeque<Item>,
    seq: watch::Receiver<u64>,
    live: broadcast::Receiver<Arc<LiveItem>>,
    types: Option<String>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}

impl Subscription {
    /// The position after the last durable item given out.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor.load(Ordering::Relaxed)
    }

    /// The next item, waiting for it. `None` once the hub is closed and everything was given out; what a reader more
    /// than 16 384 commits behind has not got by then, it gets after the hub is opened again.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn next(&mut self) -> Result<Option<Item>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                if let Item::Event { cursor, .. } = &item {
                    self.cursor.store(*cursor, Ordering::Relaxed);
                }
                return Ok(Some(item));
            }
            self.cursor.store(self.read, Ordering::Relaxed);
            self.seq.borrow_and_update();
            // Asked before the read: what was committed before the close is found by it.
            let is_closed = self.cx.hub().is_closed();
            if self.fill().await? {
                continue;
            }
            if is_closed {
                return Ok(None);
            }
            tokio::select! {
                changed = self.seq.changed() => if changed.is_err() { self.cx.hub().closed().await },
                () = self.cx.hub().closed() => {}
                live = self.live.recv() => match live {
                    Ok(item) if item.workspace == *self.cx.workspace() => {
                        if let LiveWhat::Progress(progress) = &item.what {
                            self.ready.push_back(Item::Progress(progress.clone()));
                        }
                    }
                    // Progress is no more than a hint: what was dropped is not missed.
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => self.cx.hub().closed().await,
                },
            }
        }
    }

    /// Takes one page of the feed; true when the position moved.
    async fn fill(&mut self) -> Result<bool> {
        let commits = self.cx.hub().bus().feed.after(self.cx.hub(), self.read).await?;
        if commits.is_empty() {
            return Ok(false);
        }
        let mut last = self.read;
        for commit in &commits {
            // What waits for a slow reader stays bounded, however many events a commit holds.
            if self.ready.len() >= READY {
                break;
            }
            last = commit.seq;
            let own = commit.events.iter().filter(|e| e.workspace_id == *self.cx.workspace());
            let mut events: Vec<&Event> = own
                .map(|e| &e.event)
                .filter(|e| self.types.as_deref().is_none_or(|t| glob(t, &e.kind)))
                .collect();
            // Every event but the last of a commit has the position before it, so that going on after a cursor never
            // skips the rest of that commit.
            let end = events.pop();
            let before = commit.seq.saturating_sub(1);
            let rest = events.into_iter().map(|e| Item::Event { cursor: before, event: e.clone() });
            self.ready.extend(rest);
            self.ready.extend(end.map(|e| Item::Event { cursor: commit.seq, event: e.clone() }));
        }
        self.read = last;
        Ok(true)
    }
}

impl Scope {
    /// Events of this workspace after `cursor` (0: from the start), then those to come, with live progress.
    /// `types` is a type such as `person.created` or a pattern such as `person.*`.
    ///
    /// # Errors
    /// `PermissionDenied` without `read:analytics`.
    pub fn subscribe(&self, cursor: u64, types: Option<&str>) -> Result<Subscription> {
        self.require(Permission::ReadAnalytics)?;
        let bus = self.hub().bus();
        let position = Arc::new(AtomicU64::new(cursor));
        bus.register(&position);
        Ok(Subscription {
            cx: self.clone(),
            cursor: position,
            read: cursor,
            ready: VecDeque::new(),
            seq: self.store().watch(),
            live: bus.live.subscribe(),
            types: types.map(str::to_owned),
        })
    }
}
