//! Answers of models on tape.

use std::path::PathBuf;

use neonhub_core::llm::{Cassette as Tape, CassetteMode};
use serde_json::Value;

use super::read;
use crate::error::FfiResult;

/// A cassette for the models of a hub. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Cassette(Tape);

impl Cassette {
    /// Opens it; the file is made with the first recording. `mode` is `auto` (plays what is there and records what is
    /// missing), `record` (in place of what was there) or `replay` (anything else is an error).
    ///
    /// # Errors
    /// `InvalidInput` for another mode; `Config` when there is nothing to replay; `Corrupted` for a file that is no cassette.
    pub fn open(path: impl Into<PathBuf>, mode: &str) -> FfiResult<Self> {
        let mode: CassetteMode = read("testing.cassette", "mode", Value::from(mode))?;
        Ok(Cassette(Tape::for_hub(path, mode)?))
    }

    /// Erases every answer about a person; says how many there were.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be written.
    pub fn erase_person(&self, person: &str) -> FfiResult<usize> {
        Ok(self.0.erase_person(person)?)
    }

    pub(crate) fn tape(&self) -> Tape {
        self.0.clone()
    }
}
