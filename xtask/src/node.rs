//! The Node side: the package built from the clone, its suite, and the packed package in an empty folder.

use std::path::{Path, PathBuf};

use crate::failure::{Doing, Result};
use crate::postgres::Server;
use crate::process::Process;
use crate::workspace::Workspace;

/// Folder of the Node binding.
const BINDING: &str = "bindings/node";

/// npm, which is a script of the shell on Windows.
const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join(BINDING)
}

/// Installs the pinned tools of the lock file, unless they are those that are there.
pub(crate) fn tools(workspace: &Workspace) -> Result<()> {
    install(&folder(workspace))
}

/// Installs what the lock file of a folder pins, unless it is there.
pub(crate) fn install(folder: &Path) -> Result<()> {
    let lock = std::fs::read_to_string(folder.join("package-lock.json")).doing("read package-lock.json")?;
    let stamp = folder.join("node_modules/lock.installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        println!("the tools are there already");
        return Ok(());
    }
    Process::new(NPM, folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).run()?;
    std::fs::write(stamp, lock).doing("note what was installed")
}

/// Builds the package as `npm run build` does; the option `--dev` leaves the optimisation out.
pub(crate) fn build(workspace: &Workspace, options: &[&str]) -> Result<()> {
    Process::new("node", &folder(workspace))
        .arg("build.mjs")
        .args(options)
        .env("CARGO_TARGET_DIR", &workspace.target)
        .run()
}

/// Runs the tests, the long ones in full length, and the type checks that are among them.
pub(crate) fn suite(workspace: &Workspace) -> Result<()> {
    // One file after the other: each looks at the memory and the time it takes.
    let folder = folder(workspace);
    let tests = Process::new("node", &folder)
        .args(["--expose-gc", "--test", "--test-concurrency=1"])
        .args(files(&folder.join("test"), "mjs")?)
        .env("NEONHUB_TEST_FULL", "1");
    Server::start(workspace)?.serve(tests).run()
}

/// Packs the package, installs it into an empty folder without the network, and runs the examples there.
pub(crate) fn fresh(workspace: &Workspace) -> Result<()> {
    let (packs, fresh) = (workspace.target.join("npm"), workspace.target.join("node-fresh"));
    for folder in [&packs, &fresh] {
        if folder.exists() {
            std::fs::remove_dir_all(folder).doing(format!("empty {}", folder.display()))?;
        }
        std::fs::create_dir_all(folder).doing(format!("make {}", folder.display()))?;
    }
    Process::new("node", &folder(workspace)).arg("pack.mjs").arg(&packs).run()?;
    std::fs::write(fresh.join("package.json"), "{ \"private\": true }\n").doing("write package.json")?;
    let install = ["install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts"];
    Process::new(NPM, &fresh).args(install).args(files(&packs, "tgz")?).run()?;
    let examples = workspace.root.join("examples/node");
    for name in ["hello.mjs", "ingest.mjs"] {
        let program = fresh.join(name);
        std::fs::copy(examples.join(name), &program).doing(format!("copy {name}"))?;
        // The first one takes no folder and passes it over.
        Process::new("node", &fresh).arg(&program).arg(workspace.root.join("examples/data/brand")).run()?;
    }
    let tsc = folder(workspace).join("node_modules/typescript/bin/tsc");
    let types = folder(workspace).join("node_modules/@types");
    Process::new("node", &fresh)
        .arg(tsc)
        .args(["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "--typeRoots"])
        .arg(types)
        .args(["--noCheck", "--outDir", "."])
        .arg(examples.join("campaign.ts"))
        .run()?;
    Process::new("node", &fresh)
        .args(["campaign.js", "--out", "out", "--data"])
        .arg(workspace.root.join("examples/data"))
        .run()
}

/// The files of a folder with an ending, sorted.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).doing(format!("list {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    paths.sort();
    Ok(paths)
}
