//! Spelling of code and prose, by `typos`.

use std::path::Path;

use crate::failure::Result;
use crate::process::Process;
use crate::python::Tools;

/// Runs `typos` over the files that git knows; words of ours stand in `typos.toml`.
pub(crate) fn check(root: &Path, tools: &Tools) -> Result<()> {
    Process::new(tools.program("typos"), root).args(["--config", "typos.toml", "--format", "brief"]).run()
}
