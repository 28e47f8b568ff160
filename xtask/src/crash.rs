//! `cargo xtask crash GROUP`: kills a child process at seeded points, reopens what it left and checks it.

use crate::failure::{Failure, Result};
use crate::postgres::Server;
use crate::process::Process;
use crate::steps::with_table;
use crate::workspace::Workspace;

/// Program that holds the children and their checks.
const PROGRAM: &str = "neonhub-crash";

/// Runs the task.
pub(crate) fn main(options: &[String]) -> Result<()> {
    let Some((group, options)) = options.split_first().filter(|(group, _)| !group.starts_with('-')) else {
        return Err(Failure::new(
            "say what to crash: `cargo xtask crash GROUP` (groups: store, knowledge, campaign, runtime, postgres, fleet, runs)",
        ));
    };
    let workspace = Workspace::load()?;
    // The runtime is one thing on two engines.
    let groups = if group == "runtime" { vec!["runtime", "postgres"] } else { vec![group.as_str()] };
    with_table(|steps| {
        steps.run("programs and examples", 300, || workspace.build_programs())?;
        groups.iter().try_for_each(|group| {
            steps.run(&format!("crash: {group}"), 300, || run(&workspace, group, options))
        })
    })
}

/// Groups that need a server they may stop.
const ON_SERVER: [&str; 2] = ["postgres", "fleet"];

/// Runs one group with the programs that [`Workspace::build_programs`] made. The program knows its own defaults.
pub(crate) fn run(workspace: &Workspace, group: &str, options: &[String]) -> Result<()> {
    let program = Process::new(workspace.program(PROGRAM), &workspace.root)
        .arg(group)
        .args(options)
        .env("NEONHUB_CAMPAIGN", workspace.program("examples/campaign"));
    if ON_SERVER.contains(&group) {
        let server = Server::start_safe(workspace)?;
        return server.serve_control(program)?.run();
    }
    program.run()
}
