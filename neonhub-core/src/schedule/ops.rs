//! Operations on schedules.

mod create;
mod instants;
mod manage;

pub use create::{CreateSchedule, UpdateSchedule};
pub use instants::{Backfill, Instant, Preview, TriggerNow};
pub use manage::{DeleteSchedule, GetSchedule, ListSchedules, PauseSchedule, ResumeSchedule};

use super::model::{Schedule, ScheduleId};
use crate::store::Stored;
use crate::{Result, Scope};

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

async fn need(cx: &Scope, id: &ScheduleId) -> Result<Stored<Schedule>> {
    cx.need::<Schedule>(id.as_str()).await
}
