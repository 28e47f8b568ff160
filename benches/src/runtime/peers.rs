//! Queues that a program would pick instead, each measured by a program of its own in the same minutes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::redis::{self, Fsync, Redis};
use crate::Result;
use crate::medians::Medians;

/// Interpreter with the queues of Python installed.
const PYTHON: &str = "NEONHUB_BENCH_PYTHON";
const QUEUES: &str = include_str!("../../python/queues.py");
/// Folder with the queues of Node installed, and the programs that measure them.
const NODE: &str = "NEONHUB_BENCH_NODE";
/// URL of a PostgreSQL server.
pub(super) const SERVER: &str = "NEONHUB_TEST_DATABASE_URL";

/// Program that measures a queue of Rust.
const RUST: &str = "NEONHUB_BENCH_APALIS";

/// Its settings, and how it is called with them: as we sync, and as its own setup leaves it.
pub(super) const APALIS: [(&str, &str); 2] =
    [("full", "apalis-sqlite, synchronous=FULL"), ("off", "apalis-sqlite as set up, synchronous=OFF")];
pub(super) const PERSIST: &str = "persist-queue";
pub(super) const HUEY: &str = "huey-SQLite";
pub(super) const GRAPHILE: &str = "graphile-worker";
pub(super) const BOSS: &str = "pg-boss";

/// How BullMQ is called where it stands beside us.
pub(super) fn bullmq_name(fsync: Fsync) -> &'static str {
    match fsync {
        Fsync::Always => "BullMQ, Redis appendfsync always",
        Fsync::EverySecond => "BullMQ, Redis appendfsync everysec",
    }
}

/// Jobs per second of the queues of Python that `part` (`enqueue` or `work`) measures, each job synced.
pub(super) fn python(part: &str, jobs: usize) -> Result<Vec<(String, f64)>> {
    let Some(python) = found(PYTHON, "the queues of Python") else { return Ok(Vec::new()) };
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(python);
    command.args(["-c", QUEUES, part, &jobs.to_string()]).arg(folder.path());
    values(command)
}

/// Jobs per second that the queue of Rust works.
pub(super) fn rust(jobs: usize) -> Result<Vec<(String, f64)>> {
    let Some(program) = found(RUST, "the queue of Rust") else { return Ok(Vec::new()) };
    let mut rates = Vec::new();
    for (sync, name) in APALIS {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(&program);
        command.arg(folder.path()).arg(jobs.to_string()).args([sync, name]);
        rates.extend(values(command)?);
    }
    Ok(rates)
}

/// Jobs per second of the queues of Node on the PostgreSQL server that `part` (`enqueue`, `batches` or `work`) measures.
pub(super) fn on_server(part: &str, jobs: usize, at_once: usize) -> Result<Vec<(String, f64)>> {
    let Some(mut command) = node("postgres.mjs") else { return Ok(Vec::new()) };
    let Some(server) = found(SERVER, "the queues on a server") else { return Ok(Vec::new()) };
    command.arg(part).arg(jobs.to_string()).arg(server).arg(at_once.to_string());
    values(command)
}

/// What `part` (`enqueue`, `work`, `latency`, `across` or `memory`) measures of BullMQ on a fresh Redis server.
pub(super) fn bullmq(part: &str, jobs: usize, fsync: Fsync) -> Result<Vec<(String, f64)>> {
    let Some(mut command) = node("bullmq.mjs") else { return Ok(Vec::new()) };
    let Some(program) = found(redis::PROGRAM, "BullMQ") else { return Ok(Vec::new()) };
    let server = Redis::start(&program.to_string_lossy(), fsync)?;
    command.arg(part).arg(jobs.to_string()).arg(server.port().to_string());
    values(command)
}

/// Adds the jobs per second of BullMQ under its name.
pub(super) fn add_bullmq(taken: &mut Medians, part: &str, jobs: usize, fsync: Fsync) -> Result<()> {
    for (_, rate) in bullmq(part, jobs, fsync)? {
        taken.add(bullmq_name(fsync), rate);
    }
    Ok(())
}

/// What the environment names; without it the rivals are left out, and that is said.
fn found(name: &str, what: &str) -> Option<OsString> {
    let value = std::env::var_os(name);
    if value.is_none() {
        eprintln!("{name} is not set: {what} are left out");
    }
    value
}

fn node(program: &str) -> Option<Command> {
    let folder = PathBuf::from(found(NODE, "the queues of Node")?);
    let mut command = Command::new("node");
    command.arg(folder.join(program));
    Some(command)
}

/// Runs a program that prints a line per value, its name and a number with a tab between them.
fn values(mut command: Command) -> Result<Vec<(String, f64)>> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("a rival failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    read(&String::from_utf8(output.stdout)?)
}

fn read(text: &str) -> Result<Vec<(String, f64)>> {
    let lines = text.lines().map(|line| {
        let (name, value) = line.split_once('\t').ok_or_else(|| format!("odd line of a rival: {line}"))?;
        Ok((name.to_owned(), value.parse()?))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_name() {
        assert_eq!(read("p50\t1.5\np99\t4\n").unwrap(), [("p50".to_owned(), 1.5), ("p99".to_owned(), 4.0)]);
        for odd in ["p50 1.5", "p50\tfast"] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_program_that_fails_is_an_error_with_its_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        assert!(values(command).unwrap_err().to_string().contains("broken"));
    }
}
