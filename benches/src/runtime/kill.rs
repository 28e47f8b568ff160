//! A worker that is killed while it works, five times over: nothing is lost, nothing is done twice, nothing waits long.

use crate::crash::{LEASE_AND_A_SECOND, WORKER, kill_workers, play_worker};
use crate::{Goal, Result, Row, Runs};

/// How often a worker is killed.
const KILLS: u64 = 5;
/// Jobs they work in all.
const JOBS: usize = 10_000;

/// The child that this part starts.
pub(super) const CHILD: &str = WORKER;

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let found = kill_workers(KILLS, runs.size(JOBS) as u64)?;
    let row = |what: &str, value: f64, unit: &str, bound: f64| {
        Row::new(format!("kill -9 of a worker, {KILLS} times: {what}"), value, unit, Goal::AtMost(bound))
    };
    let longest = LEASE_AND_A_SECOND.as_secs_f64() * 1e3;
    Ok(vec![
        row("lost", found.lost as f64, "jobs", 0.0),
        row("done twice by the ledger of their effects", found.doubled as f64, "jobs", 0.0),
        row("longest hold of a job after a kill", found.longest.as_secs_f64() * 1e3, "ms", longest),
        row("handlers begun again", found.repeats as f64, "jobs", found.bound as f64),
    ])
}

/// Plays the worker.
pub(super) fn child(arguments: &[String]) -> Result<()> {
    play_worker(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::CHILDREN;

    #[test]
    fn the_child_has_the_name_that_the_crash_program_knows() {
        assert!(CHILDREN.iter().any(|(name, _)| *name == CHILD));
    }
}
