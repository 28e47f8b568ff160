//! Project tasks: `cargo xtask check`, `test`, `generate`, `bench`, `crash` and `postgres`.
//!
//! Each task is a file of its own. A task is a list of steps with a time budget each; the table of what
//! they took closes every run, and the first step that fails ends the run with its name.

use std::process::ExitCode;

mod bench;
mod check;
mod crash;
mod example;
mod failure;
mod generate;
mod kotlin;
mod node;
mod offline;
mod postgres;
mod process;
mod python;
mod sources;
mod steps;
mod swift;
mod system;
mod test;
mod together;
mod workspace;

use failure::{Failure, Result};

const HELP: &str = "\
Project tasks of NeonHub.

Usage: cargo xtask TASK [OPTIONS]

  check [--keep-going]       formatting, lints, docs, each feature alone, generated files, licences, spelling,
                             rules of the repository, and the report of file lengths;
                             --keep-going runs every step and fails at the end
  test [--only PART]         everything above once (of the features only none at all), then Rust tests, doc tests,
                             the example run twice and compared, and without network and with its sockets watched,
                             the suites on a PostgreSQL server, the crash groups, the suites of Python, Node and Kotlin
                             (with the parse of Swift), and all languages on one store
                             (PART: check, rust, postgres, example, offline, crash, python, node, kotlin or together)
  generate [--check]         write the generated language surfaces from the operation catalogue;
                             --check writes nothing and fails when a file is stale
  bench GROUP [--quick] [--only PART]
                             measure a group in release mode next to its rivals, print the table and
                             write target/bench/GROUP.json (groups: spine, knowledge, runtime, languages,
                             agents)
  crash GROUP [--kills N] [--seed N]
                             kill a child process at seeded points, reopen and check (groups: store, knowledge, campaign,
                             runtime, fleet; runtime is both the embedded store and a PostgreSQL server that is
                             stopped without warning too)
  postgres COMMAND...        start a PostgreSQL server on loopback, run the command with its URL in
                             NEONHUB_TEST_DATABASE_URL, stop the server
  help                       this text

Needs: Rust, git, Python 3.10 or newer, Node 20 or newer with npm, a JDK 17 and Maven. The rest is installed into
the target folder.
Environment: CARGO_TARGET_DIR (build folder), NEONHUB_PYTHON (the Python to make the virtual environment from).
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((task, options)) = arguments.split_first() else {
        print!("{HELP}");
        return Err(Failure::new("no task was given: choose one of the list above"));
    };
    match task.as_str() {
        "check" => check::main(options),
        "test" => test::main(options),
        "generate" => generate::main(options),
        "bench" => bench::main(options),
        "crash" => crash::main(options),
        "postgres" => postgres::main(options),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(Failure::new(format!("there is no task `{other}`: `cargo xtask help` lists them"))),
    }
}
