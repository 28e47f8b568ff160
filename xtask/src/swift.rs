//! The Swift side: every source must parse; where a Swift toolchain is there, the package is built and tested too.

use crate::failure::{Failure, Result};
use crate::process::Process;
use crate::python::Tools;
use crate::sources;
use crate::workspace::Workspace;

/// Folder of the Swift package.
const PACKAGE: &str = "bindings/mobile/swift";

/// Prints each place where a file does not parse; tree-sitter knows Swift's grammar, not its types.
const PARSE: &str = include_str!("swift/parse.py");

/// Parses every Swift source with tree-sitter, and runs the package's tests when this machine can.
pub(crate) fn check(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let paths = sources::paths(&workspace.root)?;
    let sources: Vec<String> = paths.into_iter().filter(|path| path.ends_with(".swift")).collect();
    if sources.is_empty() {
        return Err(Failure::new("there is no Swift source"));
    }
    Process::new(tools.python(), &workspace.root).args(["-c", PARSE]).args(&sources).run()?;
    if Process::new("swift", &workspace.root).arg("--version").read().is_err() {
        println!("no Swift toolchain here: {} files were parsed, and nothing was compiled", sources.len());
        return Ok(());
    }
    let library = workspace.target.join("debug");
    Process::new("swift", &workspace.root)
        .args(["test", "--package-path", PACKAGE, "--scratch-path"])
        .arg(workspace.target.join("swift"))
        .arg("-Xlinker")
        .arg(format!("-L{}", library.display()))
        .env("LD_LIBRARY_PATH", &library)
        .run()
}
