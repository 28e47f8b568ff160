//! `cargo xtask check`: everything that must hold before the tests are worth running.

mod bindings;
mod dependencies;
mod features;
mod hygiene;
mod lengths;
mod spelling;

use crate::failure::{Failure, Result};
use crate::generate;
use crate::python::Tools;
use crate::steps::{Steps, with_table};
use crate::workspace::{BINDINGS, Workspace};

/// Runs the task.
pub(crate) fn main(options: &[String]) -> Result<()> {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let keeps_going = match options.as_slice() {
        [] => false,
        ["--keep-going"] => true,
        _ => return Err(Failure::new("`check` takes no option but `--keep-going`")),
    };
    let workspace = Workspace::load()?;
    with_table(|steps| {
        if keeps_going {
            steps.keeping_going();
        }
        run(&workspace, steps)?;
        steps.run("each feature alone", 600, || features::alone(&workspace))?;
        steps.run("doc tests", 120, || doc_tests(&workspace))
    })
}

/// The steps of the check, cheapest first, without the tests in the documentation, which `test` runs with the others, and
/// without each feature alone, which takes a build of its own for each.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let root = &workspace.root;
    steps.run("formatting", 20, || formatting(workspace))?;
    steps.run("rules of the repository", 10, || hygiene::check(root))?;
    steps.run("licences and sources", 20, || dependencies::check(workspace))?;
    steps.run("file lengths", 10, || lengths::report(workspace))?;
    steps.run("size of the bindings", 10, || bindings::report(workspace))?;
    let mut tools = None;
    steps.run("python tools", 60, || {
        tools = Some(Tools::install(workspace)?);
        Ok(())
    })?;
    let tools = tools.ok_or_else(|| Failure::new("the Python tools are missing"))?;
    steps.run("spelling", 10, || spelling::check(root, &tools))?;
    steps.run("lints", 400, || lints(workspace, &tools))?;
    steps.run("documentation", 120, || documentation(workspace))?;
    steps.run("without features", 200, || features::none(workspace))?;
    steps.run("programs and examples", 300, || workspace.build_programs())?;
    steps.run("generated files", 10, || generate::run(workspace, generate::Mode::Check))
}

/// Runs the code in the documentation.
pub(crate) fn doc_tests(workspace: &Workspace) -> Result<()> {
    workspace.cargo_shared("test").arg("--doc").run()
}

/// Every member but the scratch ones, so `--all` will not do.
fn formatting(workspace: &Workspace) -> Result<()> {
    let members = workspace.members().iter().flat_map(|member| ["-p", &member.name]);
    workspace.cargo("fmt").arg("--check").args(members).run()
}

/// The native modules of Python and Node among the others: nothing is linked, so that they take no host along.
fn lints(workspace: &Workspace, tools: &Tools) -> Result<()> {
    workspace
        .cargo_shared("clippy")
        .args(BINDINGS.iter().flat_map(|name| ["-p", name]))
        .args(["--all-targets", "--", "-D", "warnings"])
        // The interpreter of every build of the Python module: another one makes cargo build pyo3 again.
        .env("PYO3_PYTHON", tools.python())
        .run()
}

/// Builds the documentation with every rustdoc warning an error, broken links among them. The examples are part of
/// it so that the feature set stays the one of all other builds.
fn documentation(workspace: &Workspace) -> Result<()> {
    workspace
        .cargo_shared("doc")
        .args(["--no-deps", "--lib", "--examples"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}
