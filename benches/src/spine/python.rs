//! A trivial operation through the Python binding next to a bare hop to a thread and back.

use crate::languages::python_rows;
use crate::{Result, Row, Runs};

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    python_rows(runs, Some("hop"))
}
