//! Schedules: work that starts by itself, once for each instant, however many processes there are.
//!
//! A firing is one commit: it moves the schedule to its next instant, expecting the revision it read, and makes the
//! session of the instant with its job. Sessions are worked by the queue `system`, or follow the job of another
//! queue.

mod agent_work;
mod cost;
mod fire;
mod model;
mod ops;
mod session_ops;
mod suggest;
mod when;
mod work;

#[cfg(test)]
mod agent_tests;
#[cfg(test)]
mod suggest_tests;
#[cfg(test)]
mod tests;

pub use model::{
    AgentSession, Missed, Overlap, Schedule, ScheduleId, SessionCost, SessionId, SessionState, Target,
};
pub use ops::{
    Backfill, CreateSchedule, DeleteSchedule, GetSchedule, Instant, ListSchedules, PauseSchedule, Preview,
    ResumeSchedule, TriggerNow, UpdateSchedule,
};
pub use session_ops::{CancelSession, GetSession, ListSessions};
pub(crate) use suggest::suggestions;
pub use when::{Calendar, When};
pub(crate) use work::System;

use self::when::Plan;
use crate::op::{Entry, entry};
use crate::store::Kind;
use crate::{Result, Scope, Timestamp};

/// The queue of built-in work.
pub(crate) const SYSTEM: &str = "system";
const SESSION_RUN: &str = "session.run";
const SESSION_AGENT: &str = "session.agent";
const SESSION_END: &str = "session.end";

/// Operations on schedules and sessions.
pub static CATALOGUE: &[Entry] = &[
    entry::<CreateSchedule>(),
    entry::<UpdateSchedule>(),
    entry::<DeleteSchedule>(),
    entry::<GetSchedule>(),
    entry::<ListSchedules>(),
    entry::<PauseSchedule>(),
    entry::<ResumeSchedule>(),
    entry::<TriggerNow>(),
    entry::<Preview>(),
    entry::<Backfill>(),
    entry::<ListSessions>(),
    entry::<GetSession>(),
    entry::<CancelSession>(),
];

/// Record kinds of schedules.
pub static KINDS: &[Kind] = &[Kind::of::<Schedule>(), Kind::of::<AgentSession>()];

/// The rule of a schedule, read. When its zone is gone from the tables, that of the workspace stands in.
async fn plan(cx: &Scope, schedule: &Schedule) -> Result<Plan> {
    let home = cx.hub().workspace_of(cx).await?.body.timezone;
    let calendar = schedule.calendar.as_ref();
    let Some(zone) = schedule.when.zone_name().filter(|z| crate::zone("zone", z).is_err()) else {
        return schedule.when.plan(&home, schedule.anchor, calendar);
    };
    tracing::warn!(schedule = %schedule.id, zone, "the zone is unknown now: the workspace's zone stands in");
    let mut when = schedule.when.clone();
    if let When::Cron { zone, .. } | When::LocalDaily { zone, .. } = &mut when {
        zone.clone_from(&home);
    }
    when.plan(&home, schedule.anchor, calendar)
}

/// The next instant of a schedule after `now`, within its own bounds.
fn next_of(schedule: &Schedule, plan: &Plan, now: Timestamp) -> Option<Timestamp> {
    let from = match schedule.starts_at {
        Some(start) if start > now => start.minus(std::time::Duration::from_millis(1)),
        _ => now,
    };
    plan.next(from).filter(|at| schedule.ends_at.is_none_or(|end| *at <= end))
}
