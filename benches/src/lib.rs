//! Measurements of NeonHub next to what a user would pick instead, and crash programs.
//!
//! A group is a list of [`Row`]s: a value of ours, the value of a rival on the same work, their ratio, and the goal.
//! The ratio is the number to keep: it moves less with the machine than the values do.
//! A goal that is missed stays in the table as missed.

mod agents;
pub mod crash;
mod knowledge;
mod languages;
mod load;
mod measure;
mod medians;
mod process;
mod report;
mod row;
mod runtime;
mod spine;

use std::error::Error;

pub use measure::{Runs, median, nanoseconds_per_call, seconds};
pub use report::{print, write};
pub use row::{Goal, Row};

/// Result of a measurement or of a crash check; the error is a sentence for the person at the terminal.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// One part of a group: its name, and the function that measures its rows.
pub type Part = (&'static str, fn(Runs) -> Result<Vec<Row>>);

/// Every group, by name, with its parts in the order of the table.
pub const GROUPS: &[(&str, &[Part])] = &[
    ("spine", spine::PARTS),
    ("knowledge", knowledge::PARTS),
    ("runtime", runtime::PARTS),
    ("languages", languages::PARTS),
    ("agents", agents::PARTS),
];

/// Plays a child process of a measurement; `started` is when this process began.
///
/// # Errors
/// When there is no such child, and whatever it meets.
pub fn child(started: std::time::Instant, arguments: &[String]) -> Result<()> {
    match arguments {
        [part, ..] if part.starts_with("runtime-") => runtime::child(started, arguments),
        [part, ..] if part.starts_with("knowledge-") => knowledge::child(arguments),
        [part, ..] if part.starts_with("agents-") => agents::child(arguments),
        _ => spine::child(started, arguments),
    }
}
