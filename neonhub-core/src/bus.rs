//! Events: what happened, written in the commit that made it so, read in order with a cursor.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::store::{Kind, Record, Stored};
use crate::tenancy::WorkspaceId;
use crate::{ErrorKind, Result, Scope, Timestamp};

/// How many live items a slow subscriber may lag before it reads the feed instead.
const LIVE_BUFFER: usize = 1024;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Id of the event.
    pub id: String,
    /// Dotted word, such as `person.created`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// Kind of the record it is about.
    pub subject_kind: String,
    /// Id of the record it is about.
    pub subject_id: String,
    /// Facts: ids, counts, words; no contact values.
    pub data: Value,
    /// Joins everything one outer call caused.
    pub correlation_id: String,
    /// Who.
    pub actor: String,
}

impl Record for Event {
    const KIND: &'static str = "bus_event";
    fn id(&self) -> &str {
        &self.id
    }
}

impl Event {
    /// An event about a record, now.
    #[must_use]
    pub fn new(cx: &Scope, kind: &str, subject_kind: &str, subject_id: &str, data: Value) -> Self {
        Event {
            id: cx.new_id("evt"),
            kind: kind.to_owned(),
            at: cx.now(),
            subject_kind: subject_kind.to_owned(),
            subject_id: subject_id.to_owned(),
            data,
            correlation_id: cx.correlation().to_owned(),
            actor: cx.label().to_owned(),
        }
    }
}

/// One item of a subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum Item {
    /// A durable event: each subscriber with a cursor gets it once, in order.
    Event {
        /// Position; give it back to go on after this item.
        cursor: u64,
        /// The event.
        event: Event,
    },
    /// Progress of running work. May be dropped when a subscriber is slow; never stored.
    Progress(Progress),
}

/// How far a piece of work is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The work: `import`, `ingest`, `assets`, `launch`.
    pub task: String,
    /// Units done.
    pub done: u64,
    /// Units in all, 0 while unknown.
    pub total: u64,
    /// What is being done now.
    pub note: String,
}

/// The in-process side of the bus.
#[derive(Debug)]
pub(crate) struct Bus {
    progress: broadcast::Sender<(WorkspaceId, Arc<Progress>)>,
}

impl Default for Bus {
    fn default() -> Self {
        Bus { progress: broadcast::channel(LIVE_BUFFER).0 }
    }
}

impl Bus {
    pub(crate) fn report(&self, workspace: &WorkspaceId, progress: Progress) {
        // No receiver is no fault: nobody watches.
        let _ = self.progress.send((workspace.clone(), Arc::new(progress)));
    }
}

/// A stream of events of one workspace.
pub struct Subscription {
    cx: Scope,
    cursor: u64,
    ready: std::collections::VecDeque<Item>,
    seq: tokio::sync::watch::Receiver<u64>,
    live: broadcast::Receiver<(WorkspaceId, Arc<Progress>)>,
    types: Option<String>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl Subscription {
    /// The position after the last durable item given out.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next item, waiting for it. `None` once the hub is closed and everything was given out.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn next(&mut self) -> Result<Option<Item>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                if let Item::Event { cursor, .. } = &item {
                    self.cursor = *cursor;
                }
                return Ok(Some(item));
            }
            self.seq.borrow_and_update();
            match self.read().await {
                Ok(true) => continue,
                Ok(false) => {}
                // The store went away under the read because the hub closed: that is the end of the stream.
                Err(error) if error.kind() == ErrorKind::Unavailable && self.cx.hub().is_closing() => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            if self.cx.hub().is_closing() {
                return Ok(None);
            }
            tokio::select! {
                changed = self.seq.changed() => if changed.is_err() { return Ok(None) },
                () = self.cx.hub().closing() => {}
                live = self.live.recv() => match live {
                    Ok((workspace, progress)) if workspace == *self.cx.workspace() => {
                        self.ready.push_back(Item::Progress((*progress).clone()));
                    }
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                },
            }
        }
    }

    /// Reads one page of the feed; true when the cursor moved.
    async fn read(&mut self) -> Result<bool> {
        if self.cx.hub().is_closed() {
            return Ok(false);
        }
        let entries = self.cx.store().changes(self.cursor, 256).await?;
        let Some(last) = entries.last().map(|e| e.seq) else { return Ok(false) };
        let mut ids = Vec::new();
        for entry in entries.iter().filter(|e| e.workspace == *self.cx.workspace()) {
            let events = entry.changes.iter().filter(|c| c.kind == Event::KIND && c.after > 0);
            ids.extend(events.map(|c| (entry.seq, c.id.clone())));
        }
        let names: Vec<String> = ids.iter().map(|(_, id)| id.clone()).collect();
        let rows = self.cx.store().get_many(Kind::of::<Event>(), self.cx.workspace(), &names).await?;
        for ((seq, _), row) in ids.into_iter().zip(rows) {
            let Some(row) = row else { continue };
            let event = Stored::<Event>::from_row(&row)?.body;
            if self.types.as_deref().is_none_or(|t| matches_type(t, &event.kind)) {
                self.ready.push_back(Item::Event { cursor: seq, event });
            }
        }
        if self.ready.is_empty() {
            self.cursor = last;
        } else {
            // A commit with several events has one position: only its last item may move the cursor there.
            settle(&mut self.ready);
            if let Some(Item::Event { cursor, .. }) = self.ready.back_mut() {
                *cursor = last;
            }
        }
        Ok(true)
    }
}

/// Gives every item but the last of a commit the position before it, so that going on after a cursor never
/// skips the rest of that commit.
fn settle(items: &mut std::collections::VecDeque<Item>) {
    let seqs: Vec<u64> =
        items.iter().map(|i| if let Item::Event { cursor, .. } = i { *cursor } else { 0 }).collect();
    for (n, item) in items.iter_mut().enumerate() {
        if let Item::Event { cursor, .. } = item {
            let own = *cursor;
            if seqs.get(n + 1) == Some(&own) {
                *cursor = own.saturating_sub(1);
            }
        }
    }
}

/// `person.*` matches every word below `person`; `*` matches all.
fn matches_type(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(head) => kind.starts_with(head),
        None => kind == pattern,
    }
}

impl Scope {
    /// Events of this workspace after `cursor` (0: from the start), then those to come, with live progress.
    ///
    /// # Errors
    /// `PermissionDenied` without `read:analytics`.
    pub fn subscribe(&self, cursor: u64, types: Option<&str>) -> Result<Subscription> {
        self.require(crate::Permission::ReadAnalytics)?;
        Ok(Subscription {
            cx: self.clone(),
            cursor,
            ready: std::collections::VecDeque::new(),
            seq: self.store().watch(),
            live: self.hub().bus().progress.subscribe(),
            types: types.map(str::to_owned),
        })
    }

    /// Tells live subscribers how far a piece of work is. Costs nothing when nobody listens.
    pub fn progress(&self, task: &str, done: u64, total: u64, note: impl Into<String>) {
        let bus = self.hub().bus();
        if bus.progress.receiver_count() > 0 {
            bus.report(self.workspace(), Progress { task: task.to_owned(), done, total, note: note.into() });
        }
    }
}
