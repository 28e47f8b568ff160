//! The spine: what the first release must reach.

mod contacts;
mod example;
mod gate;
mod people;
mod python;
mod queue;
mod rival;
mod sends;

use std::path::Path;
use std::time::Instant;

use crate::{Part, Result};

/// The parts of the group.
pub(crate) const PARTS: &[Part] =
    &[("people", people::rows), ("queue", queue::rows), ("example", example::rows), ("python", python::rows)];

/// Plays a child process of one of the parts.
pub(crate) fn child(started: Instant, arguments: &[String]) -> Result<()> {
    match arguments {
        [part, store] if part == "open" => people::child(started, Path::new(store)),
        _ => Err("no such child".into()),
    }
}
