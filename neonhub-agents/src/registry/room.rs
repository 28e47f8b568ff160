//! The room for runs: so many of a workspace work at a time, so many wait.

use std::time::Duration;

use neonhub_core::resilience::{Lane, Place, Plan};
use neonhub_core::run::{AgentRun, RunStatus};
use neonhub_core::{Faults, Principal, Result, Scope};
use serde::{Deserialize, Serialize};

/// The name that the places go by.
const TARGET: &str = "runs";
/// What gives more runs a place.
const SETTING: &str = "`queue`, `queue_ms` or `at_once` of RunRoom";

/// How many runs of agents work at a time in one workspace of one process, and how many wait. Given to a hub as a service:
/// `builder.service(Arc::new(RunRoom::default().at_once(16)))`.
///
/// A run takes its place when it is driven and gives it back when it ends or waits for somebody. A run that another one
/// waits for works in the place of that one; a plan takes none itself, its nodes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunRoom {
    /// Runs that work at a time, 1 to 1 024. Default 8.
    pub at_once: u32,
    /// Runs that may wait for a place, 0 to 100 000; one more is refused (`Unavailable`, code `no_place`). Default 1 024.
    pub queue: u32,
    /// Longest wait for a place, in milliseconds, 1 to 86 400 000. Default 600 000.
    pub queue_ms: u64,
}

impl Default for RunRoom {
    fn default() -> Self {
        // Rule of agents, section 7: eight. The queue is as long as that of a provider of models, for the same reason: a
        // hundred calls at once are a busy minute and no overload.
        RunRoom { at_once: 8, queue: 1_024, queue_ms: 600_000 }
    }
}

impl RunRoom {
    /// Runs that work at a time.
    #[must_use]
    pub fn at_once(mut self, runs: u32) -> Self {
        self.at_once = runs;
        self
    }

    /// Runs that may wait for a place, and how long.
    #[must_use]
    pub fn queue(mut self, runs: u32, wait: Duration) -> Self {
        (self.queue, self.queue_ms) = (runs, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// `InvalidInput` naming the settings that are out of them.
    pub fn check(&self, operation: &'static str) -> Result<()> {
        let mut faults = Faults::new();
        faults.check((1..=1_024).contains(&self.at_once), "at_once", "expected 1..1 024 runs at a time");
        faults.check(self.queue <= 100_000, "queue", "expected 0..100 000 runs that wait");
        faults.check(
            (1..=86_400_000).contains(&self.queue_ms),
            "queue_ms",
            "expected 1..86 400 000 milliseconds",
        );
        faults.into_result(operation)
    }

    fn lane(self) -> Result<Lane> {
        self.check("agents.room")?;
        Ok(Lane {
            concurrency: usize::try_from(self.at_once).unwrap_or(1),
            queue: usize::try_from(self.queue).unwrap_or(usize::MAX),
            wait: Duration::from_millis(self.queue_ms),
        })
    }
}

/// A place for a run that is called by `above`; none for one that works in the place of a run above it.
///
/// # Errors
/// `Unavailable`, code `no_place`; `InvalidInput` for a room out of its bounds.
pub(super) async fn take(cx: &Scope, above: Option<&str>) -> Result<Option<Place>> {
    if has_place_above(cx, above).await? {
        return Ok(None);
    }
    let room = cx.hub().service::<RunRoom>().map_or_else(RunRoom::default, |room| *room);
    cx.take_place(&Plan::new(TARGET).lane(room.lane()?).setting(SETTING)).await.map(Some)
}

/// The run that calls through this scope.
pub(super) fn caller(cx: &Scope) -> Option<&str> {
    match cx.principal() {
        Principal::Agent { run, .. } => Some(run),
        _ => None,
    }
}

/// True when a run above works, and so holds a place while it waits for this one: a second place for the same piece of
/// work could not be had once eight runs wait for each other.
async fn has_place_above(cx: &Scope, above: Option<&str>) -> Result<bool> {
    let mut next = above.map(str::to_owned);
    while let Some(id) = next {
        let Some(run) = cx.get::<AgentRun>(&id).await? else { break };
        if run.spec.is_some() && run.status == RunStatus::Running {
            return Ok(true);
        }
        next = run.body.parent_run;
    }
    Ok(false)
}
