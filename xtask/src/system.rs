//! Programs of the system that tests need: found, or installed where the system's package manager may be used.

use std::path::Path;

use crate::failure::{Failure, Result};
use crate::process::Process;

/// Program, Debian package, and the argument that makes it show its version. `strace` shows the system calls that
/// stand between a commit and its acknowledgement; `mvn` builds the Kotlin artifact.
const PROGRAMS: [(&str, &str, &str); 2] = [("strace", "strace", "--version"), ("mvn", "maven", "--version")];

/// Installs what is missing. Other systems than Linux run without: the tests that need these programs are not built
/// there.
pub(crate) fn install(root: &Path) -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("nothing is needed on this system");
        return Ok(());
    }
    for (program, package, version) in PROGRAMS {
        let is_there = || Process::new(program, root).arg(version).read().is_ok();
        if is_there() {
            println!("{program} is there");
            continue;
        }
        let apt = |arguments: &[&str]| {
            Process::new("apt-get", root).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").run()
        };
        let installed = apt(&["update", "-qq"]).and_then(|()| apt(&["install", "-y", "-qq", package]));
        if installed.is_err() || !is_there() {
            return Err(Failure::new(format!("`{program}` is missing: install the package {package}")));
        }
    }
    Ok(())
}
