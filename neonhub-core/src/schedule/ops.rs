//! Operations on schedules.

mod create;
mod instants;
mod manage;

pub use create::{CreateSchedule, UpdateSchedule};
pub use instants::{Backfill, Instant, Preview, TriggerNow};
pub use manage::{DeleteSchedule, GetSchedule, ListSchedules, PauseSchedule, ResumeSchedule};

use super::model::{Schedule, ScheduleId};
use crate::hub::closest;
use crate::store::{Query, Record as _, Stored};
use crate::{Result, Scope};

/// Schedules among which the closest to an unknown one are looked for.
const LOOKED_THROUGH: usize = 500;

pub(super) fn example_id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    let prefix = if std::any::type_name::<T>().ends_with("SessionId") { "ses" } else { "sch" };
    match T::try_from(format!("{prefix}_00000000000000000000000001")) {
        Ok(id) => id,
        Err(error) => unreachable!("an example id is one: {error:?}"),
    }
}

/// The schedule with this id; without one the error names the closest.
async fn need(cx: &Scope, id: &ScheduleId) -> Result<Stored<Schedule>> {
    if let Some(found) = cx.get::<Schedule>(id.as_str()).await? {
        return Ok(found);
    }
    let known = cx.query::<Schedule>(&Query::index("name").limit(LOOKED_THROUGH)).await?;
    let close = closest(id.as_str(), known.iter().map(|s| s.id.as_str()));
    let name = |id: &str| known.iter().find(|s| s.id.as_str() == id).map_or("", |s| s.name.as_str());
    let close: Vec<String> = close.into_iter().map(|id| format!("{id} ({})", name(id))).collect();
    Err(cx.missing(Schedule::KIND).with_context("closest", close.join(", ")))
}
