//! Queues a Python program would pick instead, measured in the same minute.

use std::process::Command;

use crate::Result;

/// Interpreter with the peers installed.
const PYTHON: &str = "NEONHUB_BENCH_PYTHON";
const SCRIPT: &str = include_str!("../../../python/queues.py");

/// Jobs per second of each peer that enqueues one by one with a sync.
pub(super) fn enqueue(jobs: usize) -> Result<Vec<(String, f64)>> {
    run("enqueue", jobs)
}

/// Jobs per second of each peer that works a full queue.
pub(super) fn work(jobs: usize) -> Result<Vec<(String, f64)>> {
    run("work", jobs)
}

fn run(part: &str, jobs: usize) -> Result<Vec<(String, f64)>> {
    let Some(python) = std::env::var_os(PYTHON) else {
        eprintln!("{PYTHON} is not set: the queues of Python are left out");
        return Ok(Vec::new());
    };
    let folder = tempfile::tempdir()?;
    let output =
        Command::new(python).args(["-c", SCRIPT, part, &jobs.to_string()]).arg(folder.path()).output()?;
    if !output.status.success() {
        return Err(format!("the peers failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    text.lines()
        .map(|line| {
            let (name, rate) = line.split_once('\t').ok_or_else(|| format!("odd line of a peer: {line}"))?;
            Ok((name.to_owned(), rate.parse()?))
        })
        .collect()
}
