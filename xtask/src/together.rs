//! One store, several languages at the same time: a process of each writes people, and no write may be lost. Once with a
//! file, once with a PostgreSQL server.
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
    write_and_count(workspace, tools, folder.join("shared.neon").as_os_str(), None)?;
    let server = Server::start(workspace)?;
    let store = format!("{}?schema=together&pool=3&folder={}", server.url(), folder.display());
    write_and_count(workspace, tools, store.as_ref(), Some(KEY))
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
