//! A trivial operation through the Python binding next to a bare hop to a thread and back.

use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::{Goal, Result, Row, Runs};

/// Python with the release build of the module installed.
const PYTHON: &str = "NEONHUB_BENCH_PYTHON";

/// The measuring program, given to Python as text so that no path of a checkout is needed.
const PROGRAM: &str = include_str!("../../python/hop.py");

/// What the program prints: microseconds per awaited call.
#[derive(Debug, Deserialize)]
struct Measured {
    operation_us: f64,
    hop_us: f64,
}

/// The row.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let python =
        std::env::var_os(PYTHON).ok_or_else(|| format!("{PYTHON} must name a Python with the module"))?;
    let calls = runs.size(2_000).to_string();
    let mut command = Command::new(python);
    command.args(["-c", PROGRAM, &calls, &runs.count().to_string()]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the Python program ended with {}", output.status).into());
    }
    let measured: Measured = serde_json::from_slice(&output.stdout)?;
    let row =
        Row::new("trivial operation through Python", measured.operation_us, "us", Goal::RatioAtMost(3.0));
    Ok(vec![row.against("bare run_in_executor", measured.hop_us)])
}
