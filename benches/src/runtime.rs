//! The runtime: the durable queue, the stores and the door, each beside what a user would pick instead.

mod door;
mod kill;
mod peers;
mod queue;
mod redis;
mod server;
mod store;

use std::time::Instant;

use crate::{Part, Result};

/// The parts of the group.
pub(crate) const PARTS: &[Part] = &[
    ("queue", queue::rows),
    ("kill", kill::rows),
    ("server", server::rows),
    ("store", store::rows),
    ("door", door::rows),
];

/// Plays a child process of one of the parts; the first word is `runtime-PART`.
pub(crate) fn child(_started: Instant, arguments: &[String]) -> Result<()> {
    match arguments {
        [part, rest @ ..] if part == "runtime-queue" => queue::child(rest),
        [part, rest @ ..] if part == kill::CHILD => kill::child(rest),
        _ => Err("no such child".into()),
    }
}
