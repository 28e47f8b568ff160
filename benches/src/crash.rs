//! Crash checks: a child process is killed at seeded points, and what it left is opened and checked.
//!
//! A check never trusts a pause: the points follow from the seed, so that a failure can be run again.

mod campaign;
mod finisher;
mod fleet;
mod jobber;
mod knowledge;
mod librarian;
mod options;
mod postgres;
mod runs;
mod runtime;
mod server;
mod settled;
mod store;
mod victim;
mod workers;
mod writer;

pub use options::Options;
pub use victim::Victim;

pub(crate) use jobber::play_worker;
pub(crate) use settled::STUCK as LEASE_AND_A_SECOND;
pub(crate) use workers::kill_workers;

use crate::Result;

/// A function that kills and checks.
pub type Check = fn(&Options) -> Result<()>;

/// Name of the child that only works jobs.
pub(crate) const WORKER: &str = "runtime-worker";

/// Every group: its name, how often it kills unless told, and the check.
pub const GROUPS: &[(&str, u64, Check)] = &[
    ("store", 100, store::check),
    ("knowledge", 100, knowledge::check),
    ("campaign", 30, campaign::check),
    ("runtime", 200, runtime::check),
    ("postgres", 200, postgres::check),
    ("fleet", 2, fleet::check),
    ("runs", 10_000, runs::check),
];

/// A child's part: the rest of its arguments.
pub type Child = fn(&[String]) -> Result<()>;

/// The parts that the crash program plays as a child of itself.
pub const CHILDREN: &[(&str, Child)] = &[
    ("store-writer", writer::play),
    ("librarian", librarian::play),
    ("runtime-jobber", jobber::play),
    (WORKER, jobber::play_worker),
    ("finisher", finisher::play),
];
