//! `cargo xtask crash GROUP`: kills a child process at seeded points, reopens what it left and checks it.

use crate::failure::{Failure, Result};
use crate::process::Process;
use crate::steps::with_table;
use crate::workspace::Workspace;

/// Program that holds the children and their checks.
const PROGRAM: &str = "neonhub-crash";

/// Runs the task.
pub(crate) fn main(options: &[String]) -> Result<()> {
    let Some((group, options)) = options.split_first().filter(|(group, _)| !group.starts_with('-')) else {
        return Err(Failure::new(
            "say what to crash: `cargo xtask crash GROUP` (groups: store, knowledge, campaign, runtime)",
        ));
    };
    let workspace = Workspace::load()?;
    with_table(|steps| {
        steps.run("programs and examples", 300, || workspace.build_programs())?;
        steps.run(&format!("crash: {group}"), 300, || run(&workspace, group, options))
    })
}

/// Runs one group with the programs that [`Workspace::build_programs`] made. The program knows its own defaults.
pub(crate) fn run(workspace: &Workspace, group: &str, options: &[String]) -> Result<()> {
    Process::new(workspace.program(PROGRAM), &workspace.root)
        .arg(group)
        .args(options)
        .env("NEONHUB_CAMPAIGN", workspace.program("examples/campaign"))
        .run()
}
