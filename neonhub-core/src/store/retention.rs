//! How long records are kept, and the job that removes those whose time is over.

use std::collections::BinaryHeap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Expected, Key, Kind, Query, Record as _, Row, Write};
use crate::bus::Event;
use crate::hub::DEFAULT_WORKSPACE;
use crate::job::{JobSpec, Outcome};
use crate::schedule::SYSTEM;
use crate::tenancy::{Workspace, WorkspaceId};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// The job that removes what is kept no longer.
pub(crate) const RETAIN: &str = "store.retain";
/// Time between two of them in a workspace.
// Our choice: times of keeping are counted in days.
const EVERY: Duration = Duration::from_secs(86_400);
/// Time of one try: it reads every record of the kinds that have an age or a number.
const LONGEST: Duration = Duration::from_secs(3600);
/// Records of one page, and so of one commit.
const PAGE: usize = 500;
/// Records above the number of a kind that one job removes, at most; the next one goes on.
const SURPLUS: u64 = 100_000;
/// How often a process without workers in the background looks whether a day is over.
const LOOK: Duration = Duration::from_secs(3600);
/// How much two clocks that write one feed may differ.
// Our choice: far beyond what synchronised clocks do.
const SKEW: Duration = Duration::from_secs(3600);
/// Age from which entries of the change feed go, unless a subscriber has still to read them, in days.
// Our choice (rule of the runtime, section 3.2).
pub(super) const FEED_DAYS: u32 = 7;

/// How long records of a kind are kept. What still needs a record ([`OnDelete::Restrict`](super::OnDelete)) keeps it
/// longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// Until somebody removes them.
    Forever,
    /// So many days after they were last written.
    Age(u32),
    /// As many per workspace, those made last.
    Count(u64),
    /// Until the instant in this field of their body, in milliseconds; without the field, or with none in it, for ever.
    /// An index of the same name must have that instant as its key, and saves reading those that are still kept.
    Until(&'static str),
}

/// Payload of the job.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retain {}

impl Scope {
    /// Has the queue of built-in work remove what is kept no longer, unless it did within a day or is about to.
    pub(crate) async fn retain_daily(&self) -> Result<()> {
        let cx = self.staging(RETAIN, "daily");
        let spec = JobSpec::new(SYSTEM, RETAIN, json!({})).timeout(LONGEST);
        cx.submit(spec.dedupe(RETAIN).keep_key_for(EVERY)).await?;
        match cx.flush().await {
            // Another process was first.
            Err(error) if matches!(error.code(), "stale_revision" | "unique_taken") => Ok(()),
            other => other.map(drop),
        }
    }
}

impl Scope {
    /// The same for a program that works only when it is asked to. A workspace younger than a day has nothing old.
    pub(crate) async fn retain_when_due(&self) -> Result<()> {
        let (hub, now) = (self.hub(), self.now());
        if !hub.room().is_time_to_tidy(self.workspace(), now, LOOK) {
            return Ok(());
        }
        let place = self.workspace();
        let Some(row) = self.store().get(Kind::of::<Workspace>(), place, place.as_str()).await? else {
            return Ok(());
        };
        if row.created_at.plus(EVERY) > now {
            return Ok(());
        }
        hub.system_scope(place.clone(), "retention").retain_daily().await
    }
}

/// Removes what this workspace keeps no longer: records whose time is over, kind by kind, old entries of its audit log, its
/// events whose place in the change feed is gone, and ended jobs. With the default workspace go the books of the hub itself
/// and the old end of the change feed. What one part cannot be rid of keeps the others from nothing; a crash costs nothing
/// that was done.
pub(crate) async fn retain(cx: &Scope) -> Result<Outcome> {
    let mut failed = None;
    if is_home(cx).await? {
        let hub = cx.hub().system_scope(WorkspaceId::hub(), "retention").staging(RETAIN, "hub");
        // The feed first: with its entries go the events they tell of.
        if let Err(error) = old_feed(cx).await {
            tracing::warn!(code = error.code(), "the change feed could not be cut");
            failed = Some(error);
        }
        failed = of_workspace(&hub).await.or(failed);
    }
    failed = of_workspace(cx).await.or(failed);
    if let Err(error) = cx.sweep_ended().await {
        tracing::warn!(code = error.code(), "ended jobs could not be removed");
        failed = Some(error);
    }
    Ok(failed.map_or(Outcome::Done, Outcome::Failed))
}

/// True for the workspace that every store has.
async fn is_home(cx: &Scope) -> Result<bool> {
    let home = cx.hub().entry_of(DEFAULT_WORKSPACE).await?;
    Ok(home.is_some_and(|entry| entry.workspace == *cx.workspace()))
}

/// Forgets old entries of the change feed that no subscriber needs.
async fn old_feed(cx: &Scope) -> Result<()> {
    let before = cx.now().minus(Duration::from_secs(u64::from(FEED_DAYS) * 86_400));
    let hold = cx.hub().slowest_subscriber(cx.now()).await?;
    match super::trim_feed(cx.store(), before, hold).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        other => other.map(drop),
    }
}

/// Removes the events that no reader can get to any more: those older than the change feed and than what it is kept for.
async fn old_events(cx: &Scope) -> Result<u64> {
    let Some(oldest) = oldest_entry(cx).await? else { return Ok(0) };
    let age = Duration::from_secs(u64::from(FEED_DAYS) * 86_400);
    // Clocks of processes differ a little, and so may neighbours in the feed.
    let before = cx.now().minus(age).min(oldest.minus(SKEW));
    let kind = Kind::of::<Event>();
    let mut gone = 0;
    loop {
        cx.cancel_token().check(RETAIN)?;
        // Ids are in the order of time: the first page without an old one ends it.
        let page = cx.store().query(kind, cx.workspace(), &Query::by_id().limit(PAGE)).await?;
        let old = page.into_iter().filter(|row| row.updated_at < before);
        let old: Vec<_> = old.map(|row| (row.id, row.rev)).collect();
        let removed = remove(cx, kind, &old).await?;
        if removed == 0 {
            return Ok(gone);
        }
        gone += removed;
    }
}

/// When the oldest commit that the feed still tells of was made.
async fn oldest_entry(cx: &Scope) -> Result<Option<Timestamp>> {
    let first = match cx.store().changes(0, 1).await {
        Err(error) => match super::rebuild_from(&error) {
            Some(from) => cx.store().changes(from, 1).await?,
            None => return Err(error),
        },
        Ok(first) => first,
    };
    Ok(first.first().map(|entry| entry.at))
}

/// Removes the records whose time is over; gives the last failure.
async fn of_workspace(cx: &Scope) -> Option<Error> {
    let mut failed = None;
    let mut note = |what: &str, done: Result<u64>| match done {
        Ok(0) => {}
        Ok(gone) => tracing::info!(kind = what, gone, "records whose time was over were removed"),
        Err(error) => {
            tracing::warn!(kind = what, code = error.code(), "old records could not be removed");
            failed = Some(error);
        }
    };
    note("audit_entry", crate::audit::prune_daily(cx).await);
    note(Event::KIND, old_events(cx).await);
    for kind in cx.hub().kinds() {
        let done = match kind.retention() {
            Keep::Forever => continue,
            Keep::Age(days) => {
                let before = cx.now().minus(Duration::from_secs(u64::from(days) * 86_400));
                walk(cx, *kind, Query::by_id(), |row| row.updated_at < before).await
            }
            Keep::Count(most) => surplus(cx, *kind, most).await,
            Keep::Until(field) => until(cx, *kind, field).await,
        };
        note(kind.name, done);
    }
    failed
}

async fn until(cx: &Scope, kind: Kind, field: &'static str) -> Result<u64> {
    let now = cx.now();
    let query = match kind.index(field) {
        Ok(_) => Query::index(field).up_to(Key::from(now)),
        Err(_) => Query::by_id(),
    };
    walk(cx, kind, query, |row| ends_at(row, field).is_some_and(|end| end <= now)).await
}

/// The instant that a field of the body holds.
fn ends_at(row: &Row, field: &str) -> Option<Timestamp> {
    let body: Value = serde_json::from_str(&row.body).ok()?;
    body.get(field)?.as_i64().map(Timestamp::from_millis)
}

/// Removes what a query finds and `is_over` says, page by page.
async fn walk(cx: &Scope, kind: Kind, query: Query, is_over: impl Fn(&Row) -> bool) -> Result<u64> {
    let index = query.index.map(|name| kind.index(name)).transpose()?;
    let mut query = query.limit(PAGE);
    let mut gone = 0;
    loop {
        cx.cancel_token().check(RETAIN)?;
        let page = cx.store().query(kind, cx.workspace(), &query).await?;
        let Some(last) = page.last() else { return Ok(gone) };
        let key = index.and_then(|n| last.keys.get(n).cloned().flatten()).unwrap_or_default();
        query = query.after(key, last.id.clone());
        let is_last = page.len() < PAGE;
        let over: Vec<_> = page.into_iter().filter(&is_over).map(|row| (row.id, row.rev)).collect();
        gone += remove(cx, kind, &over).await?;
        if is_last {
            return Ok(gone);
        }
    }
}

/// Removes the oldest records of a kind beyond so many.
async fn surplus(cx: &Scope, kind: Kind, most: u64) -> Result<u64> {
    let there = cx.store().count(kind, cx.workspace(), &Query::by_id()).await?;
    let over = usize::try_from(there.saturating_sub(most).min(SURPLUS)).unwrap_or_default();
    if over == 0 {
        return Ok(0);
    }
    let mut oldest: BinaryHeap<(Timestamp, String, u64)> = BinaryHeap::with_capacity(over + 1);
    let mut query = Query::by_id().limit(PAGE);
    loop {
        cx.cancel_token().check(RETAIN)?;
        let page = cx.store().query(kind, cx.workspace(), &query).await?;
        let Some(last) = page.last() else { break };
        query = query.after(Key::new(), last.id.clone());
        for row in page {
            oldest.push((row.created_at, row.id, row.rev));
            if oldest.len() > over {
                oldest.pop();
            }
        }
    }
    let oldest: Vec<(String, u64)> = oldest.into_iter().map(|(_, id, rev)| (id, rev)).collect();
    let mut gone = 0;
    for page in oldest.chunks(PAGE) {
        gone += remove(cx, kind, page).await?;
    }
    Ok(gone)
}

/// Removes records in one commit; when one of them changed meanwhile or is still needed, each in a commit of its own.
async fn remove(cx: &Scope, kind: Kind, over: &[(String, u64)]) -> Result<u64> {
    if over.is_empty() {
        return Ok(0);
    }
    match remove_at_once(cx, kind, over).await {
        Err(error) if stays(&error) => {}
        other => return other.map(|()| over.len() as u64),
    }
    let mut gone = 0;
    for one in over.chunks(1) {
        match remove_at_once(cx, kind, one).await {
            Ok(()) => gone += 1,
            Err(error) if stays(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

async fn remove_at_once(cx: &Scope, kind: Kind, over: &[(String, u64)]) -> Result<()> {
    for (id, rev) in over {
        cx.stage(Write::Delete { kind, id: id.clone(), expected: Expected::Rev(*rev) })?;
    }
    cx.flush().await.map(drop)
}

/// True for a record that was written since it was read, or that another one still needs.
fn stays(error: &Error) -> bool {
    matches!(error.code(), "stale_revision" | "restricted")
}

#[cfg(test)]
mod tests;
