//! Knowledge: documents in, passages out, beside what one would write with what is at hand.

mod bare;
mod documents;
mod figures;
mod growth;
mod guest;
mod library;
mod local;
mod minilm;
mod packages;
mod peers;
mod quality;
mod searched;
mod texts;
mod vectors;
mod words;

use crate::{Part, Result};

/// The parts of the group.
pub(crate) const PARTS: &[Part] = &[
    ("vectors", vectors::rows),
    ("words", words::rows),
    ("documents", documents::rows),
    ("quality", quality::rows),
    ("figures", figures::rows),
    ("local", local::rows),
    ("growth", growth::rows),
];

/// Plays a child process of one of the parts.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    match arguments {
        [part, rest @ ..] if part == "knowledge-documents" => guest::run(rest),
        _ => Err("no such child".into()),
    }
}
