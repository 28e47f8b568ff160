//! Programs of the system that tests need: found, or installed where the system's package manager may be used.

use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure, Result};
use crate::process::Process;
use crate::workspace::Workspace;

/// Program, Debian package, and the argument that makes it show its version. `strace` shows the system calls that
/// stand between a commit and its acknowledgement; `mvn` builds the Kotlin artifact.
const PROGRAMS: [(&str, &str, &str); 2] = [("strace", "strace", "--version"), ("mvn", "maven", "--version")];

/// The server that a queue of Node is measured on, likewise.
const REDIS: (&str, &str, &str) = ("redis-server", "redis-server", "--version");

/// Installs what is missing. Other systems than Linux run without: the tests that need these programs are not built
/// there.
pub(crate) fn install(root: &Path) -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("nothing is needed on this system");
        return Ok(());
    }
    PROGRAMS.into_iter().try_for_each(|program| ensure(root, program))
}

/// Installs the Redis server unless it is there, and gives its program.
pub(crate) fn redis(root: &Path) -> Result<PathBuf> {
    ensure(root, REDIS)?;
    Ok(REDIS.0.into())
}

fn ensure(root: &Path, (program, package, version): (&str, &str, &str)) -> Result<()> {
    let is_there = || Process::new(program, root).arg(version).read().is_ok();
    if is_there() {
        println!("{program} is there");
        return Ok(());
    }
    let apt = |arguments: &[&str]| {
        Process::new("apt-get", root).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").run()
    };
    let installed = apt(&["update", "-qq"]).and_then(|()| apt(&["install", "-y", "-qq", package]));
    if installed.is_err() || !is_there() {
        return Err(Failure::new(format!("`{program}` is missing: install the package {package}")));
    }
    Ok(())
}

/// The English descriptions of Debian's packages, as one file in the target folder: texts that every Debian machine can
/// have, each with a summary that asks for it. Read from the package manager, into folders of our own.
pub(crate) fn package_descriptions(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("bench-texts");
    let file = folder.join("descriptions");
    if file.exists() {
        return Ok(file);
    }
    let (lists, cache) = (folder.join("lists"), folder.join("cache"));
    for folder in [lists.join("partial"), cache.join("archives/partial")] {
        std::fs::create_dir_all(&folder).doing(format!("make {}", folder.display()))?;
    }
    let option = |name: &str, path: &Path| format!("{name}={}", path.display());
    Process::new("apt-get", &folder)
        // The images of machines leave descriptions out; ours are read by us alone.
        .args(["update", "-qq", "-o", "Acquire::Languages=en", "-o", "APT::Sandbox::User=root"])
        .args(["-o".to_owned(), option("Dir::State::Lists", &lists)])
        .args(["-o".to_owned(), option("Dir::Cache", &cache)])
        .run()?;
    let size = |path: &PathBuf| std::fs::metadata(path).map(|data| data.len()).unwrap_or_default();
    let found = std::fs::read_dir(&lists).doing(format!("read {}", lists.display()))?;
    let largest = found
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().contains("_i18n_Translation-en"))
        .max_by_key(size)
        .ok_or_else(|| {
            Failure::new("the package manager has no descriptions: the bench needs a Debian system")
        })?;
    let text = Process::new("/usr/lib/apt/apt-helper", &folder).arg("cat-file").arg(&largest).read()?;
    std::fs::write(&file, text).doing(format!("write {}", file.display()))?;
    Ok(file)
}
