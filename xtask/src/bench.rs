//! `cargo xtask bench GROUP`: measures a group in release mode and writes its rows to `target/bench/GROUP.json`.

use std::path::PathBuf;

use crate::failure::{Doing, Failure, Result};
use crate::kotlin::Kotlin;
use crate::node;
use crate::postgres::{Server, URL};
use crate::process::Process;
use crate::python::Tools;
use crate::steps::with_table;
use crate::system;
use crate::workspace::{SHIPPED, Workspace};

const USAGE: &str = "say what to measure: `cargo xtask bench GROUP [--quick] [--only PART]` (groups: spine, knowledge, runtime, languages, agents)";

/// What knowledge is measured against.
const SEARCH_PEERS: &str = "benches/python/knowledge.txt";

/// Queues of Node that ours is measured against, and the programs that measure them.
const QUEUE_PEERS: &str = "benches/node";

/// A queue of Rust that ours is measured against: a workspace of its own.
const APALIS: &str = "apalis";

/// What agents are measured against: libraries of Python, of Node, and a workspace of Rust.
const AGENT_PEERS: [&str; 3] = ["benches/python/agents.txt", "benches/node/agents", "rig"];

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    group: &'a str,
    is_quick: bool,
    only: Option<&'a str>,
}

impl<'a> Request<'a> {
    fn read(options: &'a [String]) -> Result<Self> {
        let (mut group, mut is_quick, mut only) = (None, false, None);
        let mut options = options.iter().map(String::as_str);
        while let Some(option) = options.next() {
            match option {
                "--quick" => is_quick = true,
                "--only" => only = Some(options.next().ok_or_else(|| Failure::new(USAGE))?),
                name if group.is_none() && !name.starts_with('-') => group = Some(name),
                _ => return Err(Failure::new(USAGE)),
            }
        }
        let group = group.ok_or_else(|| Failure::new(USAGE))?;
        Ok(Self { group, is_quick, only })
    }

    /// Whether a part of a group is measured.
    fn has(&self, group: &str, part: &str) -> bool {
        self.group == group && self.only.is_none_or(|only| only == part)
    }
}

/// What the measuring program finds in its environment.
type Found = Vec<(&'static str, PathBuf)>;

/// Runs the task. A goal that is missed stays in the table as missed; only a measurement that breaks fails.
pub(crate) fn main(options: &[String]) -> Result<()> {
    let request = Request::read(options)?;
    let workspace = Workspace::load()?;
    with_table(|steps| {
        let mut found = Found::new();
        let has_python_agents = request.has("agents", "python") || request.has("agents", "persisted");
        if request.has("spine", "python") || request.has("languages", "python") || has_python_agents {
            steps.run("python wheel, as shipped", 1_200, || {
                let tools = Tools::install(&workspace)?;
                let wheel = tools.build_wheel(&workspace, SHIPPED)?;
                tools.install_wheel(&workspace, &wheel)?;
                found.extend([("NEONHUB_BENCH_PYTHON", tools.python()), ("NEONHUB_BENCH_WHEEL", wheel)]);
                Ok(())
            })?;
        }
        let (has_queue, has_server) = (request.has("runtime", "queue"), request.has("runtime", "server"));
        if has_queue || has_server {
            steps.run("queues of Rust, Python and Node, and Redis", 600, || {
                found.push(("NEONHUB_BENCH_PYTHON", Tools::install(&workspace)?.python()));
                found.push(("NEONHUB_BENCH_NODE", node_peers(&workspace, QUEUE_PEERS, "bench-node")?));
                found.push(("NEONHUB_BENCH_REDIS", system::redis(&workspace.root)?));
                if has_queue {
                    found.push(("NEONHUB_BENCH_APALIS", rust_peer(&workspace, APALIS)?));
                }
                Ok(())
            })?;
        }
        if request.group == "knowledge" {
            steps.run("search libraries of Python, and texts", 900, || {
                let tools = Tools::install_search_peers(&workspace, SEARCH_PEERS)?;
                found.push(("NEONHUB_BENCH_PYTHON", tools.python()));
                found.push(("NEONHUB_BENCH_TEXTS", system::package_descriptions(&workspace)?));
                Ok(())
            })?;
        }
        if request.group == "agents" {
            steps.run("agent libraries of Rust, Python and Node", 900, || {
                found.extend(agent_peers(&workspace, &request)?);
                Ok(())
            })?;
        }
        if request.has("languages", "node") || request.has("agents", "node") {
            steps.run("node package, as shipped", 1_200, || {
                node::tools(&workspace)?;
                node::build(&workspace, &[])
            })?;
        }
        if request.has("languages", "kotlin") {
            steps.run("kotlin artifact, as shipped", 1_200, || {
                workspace.cargo("build").args(["--profile", SHIPPED, "-p", "neonhub-mobile"]).run()?;
                found.push(("NEONHUB_BENCH_KOTLIN", Kotlin::prepare_shipped(&workspace)?.bench()?));
                Ok(())
            })?;
        }
        steps.run("release programs", 1_200, || release_programs(&workspace))?;
        // It stops when this is dropped.
        let mut server = None;
        if has_queue || has_server {
            steps.run("postgres server", 60, || {
                let started = Server::start_safe(&workspace)?;
                found.push((URL, started.url().into()));
                server = Some(started);
                Ok(())
            })?;
        }
        let budget = match request.group {
            // The first run makes the vectors of its texts, which later ones read.
            "knowledge" => 1_500,
            "agents" => 1_800,
            _ => 900,
        };
        steps.run(&format!("bench {}", request.group), budget, || measure(&workspace, &request, found))
    })
}

/// Installs or builds what the parts that are asked for are measured beside.
fn agent_peers(workspace: &Workspace, request: &Request<'_>) -> Result<Found> {
    let [python, node, rig] = AGENT_PEERS;
    let has = |part: &str| request.has("agents", part);
    let mut found = Found::new();
    if has("python") || has("persisted") {
        let tools = Tools::install_peers(workspace, "python-agents", python)?;
        found.push(("NEONHUB_BENCH_AGENTS_PYTHON", tools.python()));
    }
    if has("node") {
        found.push(("NEONHUB_BENCH_AGENTS_NODE", node_peers(workspace, node, "bench-node-agents")?));
    }
    if has("rust") {
        found.push(("NEONHUB_BENCH_RIG", rust_peer(workspace, rig)?));
    }
    Ok(found)
}

/// Builds `benches/NAME`, a workspace that builds into a folder of its own: its features are not those of ours. Gives the
/// program.
fn rust_peer(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let folder = workspace.target.join(format!("bench-{name}"));
    let manifest = format!("benches/{name}/Cargo.toml");
    let build = workspace.cargo("build").args(["--release", "--locked", "--manifest-path", &manifest]);
    build.arg("--target-dir").arg(&folder).run()?;
    Ok(folder.join("release").join(format!("neonhub-bench-{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// Installs libraries of Node into the target folder, beside the programs that measure them. Gives the folder.
fn node_peers(workspace: &Workspace, from: &str, to: &str) -> Result<PathBuf> {
    let (from, to) = (workspace.root.join(from), workspace.target.join(to));
    std::fs::create_dir_all(&to).doing(format!("make {}", to.display()))?;
    for entry in std::fs::read_dir(&from).doing(format!("list {}", from.display()))?.flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).doing("copy a program of Node")?;
        }
    }
    node::install(&to)?;
    Ok(to)
}

/// Builds the runner and the example in one command, so that both come from one feature set.
fn release_programs(workspace: &Workspace) -> Result<()> {
    let programs =
        ["-p", "neonhub", "-p", "neonhub-bench", "--bin", "neonhub-bench", "--example", "campaign"];
    workspace.cargo("build").arg("--release").args(programs).run()
}

fn measure(workspace: &Workspace, request: &Request<'_>, found: Found) -> Result<()> {
    let release = workspace.target.join("release");
    let mut process = Process::new(release.join("neonhub-bench"), &workspace.root).arg(request.group);
    if request.is_quick {
        process = process.arg("--quick");
    }
    // A part alone is a look: the result file holds whole groups.
    process = match request.only {
        Some(part) => process.args(["--only", part]),
        None => process.arg("--out").arg(workspace.target.join("bench")),
    };
    for (name, path) in found {
        process = process.env(name, path);
    }
    process.env("NEONHUB_CAMPAIGN", release.join("examples/campaign")).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_in_any_order() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = words("--quick spine --only queue");
        let request = Request::read(&options).unwrap();
        assert_eq!(request, Request { group: "spine", is_quick: true, only: Some("queue") });
        assert!(request.has("spine", "queue") && !request.has("spine", "python"));
        let options = words("agents");
        assert!(Request::read(&options).unwrap().has("agents", "persisted"));
        for wrong in ["--quick", "spine other", "spine --only", "spine --fast"] {
            assert!(Request::read(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
