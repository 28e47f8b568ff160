//! How many runs of an agent began on a day: counted in the very commit that begins one, so that starts side by side,
//! in other processes too, never pass the bound.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::AgentRun;
use crate::store::{Expected, Key, Query, Record};
use crate::{Error, ErrorKind, Result, Retry, Scope, Timestamp};

/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// The runs of an agent on the latest day on which it was bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunCount {
    /// The agent.
    pub id: String,
    /// The first instant of the day by UTC.
    pub day: Timestamp,
    /// Runs that began on it.
    pub runs: u32,
}

impl Record for RunCount {
    const KIND: &'static str = "agent_run_count";
    fn id(&self) -> &str {
        &self.id
    }
}

/// Stages one run more of an agent.
///
/// # Errors
/// `RateLimited`, code `agent_quota`, with the time to the next day when there were `most`.
pub(super) async fn count(scope: &Scope, agent: &str, most: u32) -> Result<()> {
    let day = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
    let begun = Timestamp::from_millis(scope.now().as_millis().div_euclid(day) * day);
    let old = scope.get::<RunCount>(agent).await?;
    let expected = old.as_ref().map_or(Expected::Absent, |old| Expected::Rev(old.rev));
    let runs = match old.filter(|old| old.day == begun) {
        Some(old) => old.runs,
        // The first one that is counted today: there may have been others before the bound was set.
        None => {
            let name = || Key::text(agent);
            let today =
                Query::index("agent").from(name().and_time(begun)).up_to(name().and_time(scope.now()));
            u32::try_from(scope.count::<AgentRun>(&today).await?).unwrap_or(u32::MAX)
        }
    };
    if runs >= most {
        let until = begun.plus(DAY).since(scope.now());
        return Err(Error::new(
            ErrorKind::RateLimited,
            "runs.start",
            "the agent has had all its runs of this day",
        )
        .with_code("agent_quota")
        .with_retry(Retry::After(until))
        .with_context("agent", agent)
        .with_context("runs_per_day", most));
    }
    scope.put(&RunCount { id: agent.to_owned(), day: begun, runs: runs + 1 }, expected)
}
