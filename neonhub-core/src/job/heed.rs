//! What wakes the loops of a process: instants of schedules, and commits of other processes.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::crew::{TICK, VIRTUAL_TICK, workspaces};
use super::room::Room;
use super::{Job, JobNote, QueueControl};
use crate::permission::Role;
use crate::scope::Principal;
use crate::store::Record as _;
use crate::tenancy::WorkspaceId;
use crate::{Hub, Result, Timestamp};

/// When it is first looked whether old records are to be removed, and how often after that; once a day they are.
const TIDY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(5 * 60));
/// Commits of others that are read one by one; beyond it every queue looks.
const FEED_PAGE: usize = 512;

/// Fires schedules as their instants come.
pub(super) async fn keep_time(
    hub: Hub,
    mut known: Vec<WorkspaceId>,
    mut stop: watch::Receiver<Option<Duration>>,
) {
    let clock = hub.room().clock();
    let rest = if hub.has_virtual_clock() { VIRTUAL_TICK } else { TICK };
    let mut tidy_at = Instant::now() + TIDY.0;
    loop {
        let mut next: Option<Timestamp> = None;
        for workspace in clock.take() {
            if !known.contains(&workspace) {
                known.push(workspace);
            }
        }
        let is_tidy_time = !hub.is_paused() && Instant::now() >= tidy_at;
        if is_tidy_time {
            tidy_at = Instant::now() + TIDY.1;
        }
        for workspace in &known {
            if is_tidy_time
                && let Err(error) = hub.system_scope(workspace.clone(), "retention").retain_daily().await
            {
                tracing::warn!(%error, "the removal of old records could not be enqueued: it is tried again");
            }
            match fire(&hub, workspace).await {
                Ok(at) => next = [next, at].into_iter().flatten().min(),
                Err(_) if hub.is_closed() => return,
                Err(error) => tracing::warn!(%error, "schedules could not be fired: they are tried again"),
            }
        }
        let left = next.map(|at| at.as_millis().saturating_sub(hub.steady_now().as_millis()).max(1));
        let left = left.map_or(rest, |ms| rest.min(Duration::from_millis(ms.unsigned_abs())));
        tokio::select! {
            _ = stop.changed() => return,
            () = clock.rung() => {}
            () = tokio::time::sleep(left) => {}
        }
    }
}

async fn fire(hub: &Hub, workspace: &WorkspaceId) -> Result<Option<Timestamp>> {
    if hub.is_paused() {
        return Ok(None);
    }
    let cx = hub.scope_of(workspace.clone(), Principal::System { job: "schedules".into() }, Role::Owner);
    cx.fire_schedules().await?;
    cx.next_firing().await
}

/// Hears of commits by other processes and rings for them.
pub(super) async fn listen(hub: Hub, mut stop: watch::Receiver<Option<Duration>>) {
    let mut others = hub.store().watch_others();
    let mut cursor = hub.store().seq().await.unwrap_or(0);
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            changed = others.changed() => if changed.is_err() { return },
        }
        others.borrow_and_update();
        match hear(&hub, &mut cursor).await {
            Ok(()) => {}
            Err(_) if hub.is_closed() => return,
            Err(error) => tracing::warn!(%error, "the commits of other processes could not be read"),
        }
    }
}

pub(super) async fn hear(hub: &Hub, cursor: &mut u64) -> Result<()> {
    let room = hub.room();
    loop {
        let entries = match hub.store().changes(*cursor, FEED_PAGE).await {
            Ok(entries) => entries,
            // The feed was trimmed beyond where this process stood.
            Err(error) if error.code() == "cursor_expired" => return look_everywhere(hub, cursor).await,
            Err(error) => return Err(error),
        };
        let Some(last) = entries.last().map(|e| e.seq) else { return Ok(()) };
        let is_full = entries.len() == FEED_PAGE;
        *cursor = last;
        for entry in &entries {
            let is = |kind: &str| entry.changes.iter().any(|c| c.kind == kind);
            if is(Job::KIND) || is(QueueControl::KIND) {
                room.ring_all(&entry.workspace);
            }
            entry.changes.iter().filter(|c| c.kind == Job::KIND).for_each(|c| room.moved(&c.id, c.after));
            for note in entry.changes.iter().filter(|c| c.kind == JobNote::KIND && room.holds(&c.id)) {
                stop_if_asked(hub, room, &entry.workspace, &note.id).await?;
            }
        }
        if is_full {
            return look_everywhere(hub, cursor).await;
        }
    }
}

/// Far behind, everything looks once, instead of every line being read.
async fn look_everywhere(hub: &Hub, cursor: &mut u64) -> Result<()> {
    *cursor = hub.store().seq().await?;
    for workspace in workspaces(hub).await? {
        hub.room().ring_all(&workspace);
    }
    Ok(())
}

/// Tells a handler here that another process cancelled its job.
async fn stop_if_asked(hub: &Hub, room: &Room, workspace: &WorkspaceId, job: &str) -> Result<()> {
    let cx = hub.scope_of(workspace.clone(), Principal::System { job: "workers".into() }, Role::Owner);
    if cx.get::<JobNote>(job).await?.is_some_and(|n| n.cancel.is_some()) {
        room.stop(job);
    }
    Ok(())
}
