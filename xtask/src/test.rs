//! `cargo xtask test`: the whole proof, from formatting to the Python suite.

use crate::check;
use crate::crash;
use crate::example;
use crate::failure::{Failure, Result};
use crate::kotlin::Kotlin;
use crate::node;
use crate::offline;
use crate::postgres::{self, Server};
use crate::python::{self, Tools};
use crate::steps::{Steps, with_table};
use crate::swift;
use crate::system;
use crate::together;
use crate::workspace::Workspace;

/// A part of the tests that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Check,
    Rust,
    Postgres,
    Example,
    Offline,
    Crash,
    Python,
    Node,
    Kotlin,
    Together,
}

impl Part {
    const ALL: [Self; 10] = [
        Self::Check,
        Self::Rust,
        Self::Postgres,
        Self::Example,
        Self::Offline,
        Self::Crash,
        Self::Python,
        Self::Node,
        Self::Kotlin,
        Self::Together,
    ];

    fn parse(word: &str) -> Result<Self> {
        match word {
            "check" => Ok(Self::Check),
            "rust" => Ok(Self::Rust),
            "postgres" => Ok(Self::Postgres),
            "example" => Ok(Self::Example),
            "offline" => Ok(Self::Offline),
            "crash" => Ok(Self::Crash),
            "python" => Ok(Self::Python),
            "node" => Ok(Self::Node),
            "kotlin" => Ok(Self::Kotlin),
            "together" => Ok(Self::Together),
            other => Err(Failure::new(format!(
                "no part `{other}`: choose check, rust, postgres, example, offline, crash, python, node, kotlin or together"
            ))),
        }
    }
}

/// Runs the task.
pub(crate) fn main(options: &[String]) -> Result<()> {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let parts = match options.as_slice() {
        [] => Part::ALL.to_vec(),
        ["--only", part] => vec![Part::parse(part)?],
        _ => return Err(Failure::new("`test` takes no option but `--only PART`")),
    };
    let workspace = Workspace::load()?;
    with_table(|steps| {
        // The check builds the programs that the later parts start.
        if !parts.contains(&Part::Check) {
            steps.run("programs and examples", 300, || workspace.build_programs())?;
        }
        parts.iter().try_for_each(|part| run(*part, &workspace, steps))
    })
}

fn run(part: Part, workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    match part {
        Part::Check => check::run(workspace, steps),
        Part::Rust => {
            steps.run("system programs", 60, || system::install(&workspace.root))?;
            steps.run("rust tests", 600, || rust_tests(workspace))?;
            steps.run("doc tests", 120, || check::doc_tests(workspace))
        }
        Part::Postgres => postgres::tests(workspace, steps),
        Part::Example => steps.run("example twice, compared", 60, || example::is_reproducible(workspace)),
        Part::Offline => {
            steps.run("system programs", 60, || system::install(&workspace.root))?;
            steps.run("offline: no socket", 60, || offline::check(workspace))
        }
        Part::Crash => {
            // Fewer kills than `cargo xtask crash` makes, which is for who changes what they look at.
            let kills = |count: u32| ["--kills".to_owned(), count.to_string()];
            steps.run("crash: store", 60, || crash::run(workspace, "store", &[]))?;
            steps.run("crash: knowledge", 60, || crash::run(workspace, "knowledge", &kills(20)))?;
            steps.run("crash: campaign", 120, || crash::run(workspace, "campaign", &kills(6)))?;
            steps.run("crash: runs", 60, || crash::run(workspace, "runs", &kills(500)))?;
            steps.run("crash: runtime", 60, || crash::run(workspace, "runtime", &kills(60)))?;
            steps.run("crash: postgres", 120, || crash::run(workspace, "postgres", &kills(20)))?;
            let jobs = ["--jobs".to_owned(), "1000".to_owned()];
            steps.run("crash: fleet", 90, || crash::run(workspace, "fleet", &jobs))
        }
        Part::Python => {
            let tools = Tools::install(workspace)?;
            steps.run("python build", 300, || tools.install_binding(workspace, "dev"))?;
            steps.run("python suite", 300, || python::suite(workspace, &tools))?;
            steps.run("python example", 60, || python::example(workspace, &tools))?;
            steps.run("python, fresh environment", 120, || {
                let wheel = tools.build_wheel(workspace, "dev")?;
                python::fresh(workspace, &wheel)
            })
        }
        // The bindings are built by their own parts before.
        Part::Together => {
            let tools = Tools::install(workspace)?;
            steps.run("all languages on one store", 120, || together::check(workspace, &tools))
        }
        Part::Kotlin => {
            steps.run("system programs", 60, || system::install(&workspace.root))?;
            let kotlin = Kotlin::prepare(workspace)?;
            steps.run("kotlin build and suite", 420, || kotlin.install())?;
            steps.run("kotlin example", 60, || kotlin.example())?;
            steps.run("kotlin in a fresh project", 60, || kotlin.fresh_project())?;
            let tools = Tools::install(workspace)?;
            steps.run("swift sources", 30, || swift::check(workspace, &tools))
        }
        Part::Node => {
            steps.run("node tools", 60, || node::tools(workspace))?;
            steps.run("node build", 300, || node::build(workspace, &["--dev"]))?;
            steps.run("node suite", 300, || node::suite(workspace))?;
            steps.run("node package in an empty folder", 60, || node::fresh(workspace))
        }
    }
}

/// Runs all tests, those included that a bare `cargo test` shows as ignored because they need a server: here the
/// tools for the servers are there, and a missing one is a failure.
fn rust_tests(workspace: &Workspace) -> Result<()> {
    let (tools, server) = (Tools::install(workspace)?, Server::start(workspace)?);
    let tests = workspace
        .cargo_shared("test")
        .args(["--lib", "--bins", "--tests", "--examples", "--", "--include-ignored"])
        .env("NEONHUB_TEST_PYTHON", tools.python());
    server.serve_tests(tests)?.run()
}
