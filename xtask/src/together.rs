//! One store, several languages. At the same time: a process of each writes people, and no write may be lost. One after
//! the other: a run that Python begins asks a question, Node says yes, and Rust or Kotlin goes on with it. Once with a file,
//! once with a PostgreSQL server.
//!
//! A side is a program `STORE PREFIX COUNT` that resolves `PREFIX-0@shared.example` to `PREFIX-(COUNT-1)@shared.example`
//! and prints `done COUNT`. All bindings must have been built.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::failure::{Doing, Failure, Result};
use crate::kotlin::Kotlin;
use crate::postgres::{KEY, Server};
use crate::process::Process;
use crate::python::Tools;
use crate::workspace::Workspace;

/// People that each side writes.
const COUNT: usize = 300;

/// A program of one language.
struct Side {
    prefix: &'static str,
    command: Command,
}

/// Runs all sides at once on one store and counts what arrived.
pub(crate) fn check(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let folder = workspace.target.join("together");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).doing(format!("empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).doing(format!("make {}", folder.display()))?;
    let file = folder.join("shared.neon");
    write_and_count(workspace, tools, file.as_os_str(), None)?;
    pass_runs_on(workspace, tools, file.as_os_str(), None)?;
    let server = Server::start(workspace)?;
    let store = format!("{}?schema=together&pool=3&folder={}", server.url(), folder.display());
    write_and_count(workspace, tools, store.as_ref(), Some(KEY))?;
    pass_runs_on(workspace, tools, store.as_ref(), Some(KEY))
}

/// A run from language to language, twice.
fn pass_runs_on(workspace: &Workspace, tools: &Tools, store: &OsStr, key: Option<&str>) -> Result<()> {
    let shared = workspace.root.join("tests/shared");
    let ask = |process: Process, words: &[&str]| {
        let process = words.iter().fold(process, |process, word| process.arg(word));
        match key {
            Some(key) => process.env("NEONHUB_KEY", key),
            None => process,
        }
        .read()
    };
    let python =
        || Process::new(tools.python(), &workspace.root).arg(shared.join("python_run.py")).arg(store);
    let finishers: [(&str, Process); 2] = [
        (
            "Rust",
            Process::new(workspace.program("neonhub-crash"), &workspace.root).args(["--child", "finisher"]),
        ),
        ("Kotlin", Kotlin::prepare(workspace)?.java("ai.neonhub.FinishKt")?),
    ];
    for (language, finisher) in finishers {
        let begun = ask(python(), &["begin", language])?;
        let run =
            begun.trim().strip_prefix("run ").ok_or_else(|| Failure::new(format!("no run: {begun}")))?;
        let node = Process::new("node", &workspace.root).arg(shared.join("node_approve.mjs")).arg(store);
        print!("{begun}{}", ask(node, &[run])?);
        let finished = ask(finisher.arg(store), &[run])?;
        print!("{finished}{}", ask(python(), &["look", language, run])?);
        if !finished.contains(&format!("finished {run}: completed")) {
            return Err(Failure::new(format!("{language} did not finish the run: {finished}")));
        }
    }
    Ok(())
}

fn write_and_count(workspace: &Workspace, tools: &Tools, store: &OsStr, key: Option<&str>) -> Result<()> {
    let mut running = Vec::new();
    for mut side in sides(workspace, tools)? {
        side.command.envs(key.map(|key| ("NEONHUB_KEY", key)));
        side.command.arg(store).args([side.prefix, &COUNT.to_string()]).current_dir(&workspace.root);
        let child = side.command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        running.push((side.prefix, child.doing(format!("start the writer of {}", side.prefix))?));
    }
    let names: Vec<&str> = running.iter().map(|(prefix, _)| *prefix).collect();
    println!("writing at once: {}", names.join(", "));
    for (prefix, child) in running {
        let output = child.wait_with_output().doing(format!("wait for the writer of {prefix}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || !text.contains(&format!("done {COUNT}")) {
            return Err(Failure::new(format!("the writer of {prefix} ended with {}: {text}", output.status)));
        }
    }
    let reader = workspace.root.join("tests/shared/python_reader.py");
    let mut count = Process::new(tools.python(), &workspace.root).arg(reader).arg(store).args(&names);
    if let Some(key) = key {
        count = count.env("NEONHUB_KEY", key);
    }
    let counted = count.read()?;
    print!("{counted}");
    for name in &names {
        if !counted.lines().any(|line| line == format!("{name} {COUNT}")) {
            return Err(Failure::new(format!("writes of {name} were lost: expected {COUNT}")));
        }
    }
    Ok(())
}

/// A process of each language, and a second one of Python.
fn sides(workspace: &Workspace, tools: &Tools) -> Result<Vec<Side>> {
    let shared = workspace.root.join("tests/shared");
    let python = || Process::new(tools.python(), &workspace.root).arg(shared.join("python_writer.py"));
    let node = Process::new("node", &workspace.root).arg(shared.join("node_writer.mjs"));
    let kotlin = Kotlin::prepare(workspace)?.java("ai.neonhub.SharedKt")?;
    let side = |prefix, process: Process| Side { prefix, command: process.into_command() };
    Ok(vec![
        side("python", python()),
        side("python-too", python()),
        side("node", node),
        side("kotlin", kotlin),
    ])
}
