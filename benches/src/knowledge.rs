//! Knowledge: documents in, passages out, beside what one would write with what is at hand.

mod documents;
mod local;
mod packages;
mod peers;
mod quality;
mod texts;
mod vectors;

use crate::Part;

/// The parts of the group.
pub(crate) const PARTS: &[Part] = &[
    ("vectors", vectors::rows),
    ("documents", documents::rows),
    ("quality", quality::rows),
    ("local", local::rows),
];
