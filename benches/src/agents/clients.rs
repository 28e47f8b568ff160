//! The clients, each a program of its own that is told `NAME FOLDER KIND URL AT AMOUNT` and prints a line of JSON for each
//! number of runs at once (see [`crate::load`]).

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

use super::ours;
use crate::Result;

/// Ours in memory.
pub(super) const OURS: &str = "neonhub";
/// Ours on a file.
pub(super) const DURABLE: &str = "neonhub, SQLite";

/// Python with our module.
const PYTHON: &str = "NEONHUB_BENCH_PYTHON";
/// Python with the peers of `benches/python/agents.txt`.
const PYTHON_PEERS: &str = "NEONHUB_BENCH_AGENTS_PYTHON";
/// The folder where the peers of `benches/node/agents` are installed, with their program.
const NODE_PEERS: &str = "NEONHUB_BENCH_AGENTS_NODE";
/// The program of `benches/rig`.
const RIG: &str = "NEONHUB_BENCH_RIG";
/// The program of the clients in Python, from the root of the repository.
const CLIENTS_PYTHON: &str = "benches/python/clients.py";
/// The same in Node: the file of ours, and where peers are installed a copy of it.
const CLIENTS_NODE: &str = "benches/node/agents";
/// Where our module of Node is found by its name.
const NODE_BINDING: &str = "bindings/node";
/// The status of a client whose library is not installed.
const NOT_INSTALLED: i32 = 3;
/// What would send requests elsewhere than to our server.
const PROXIES: [&str; 8] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What a client is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Python,
    Node,
}

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) language: Language,
    /// What its program calls it.
    pub(super) name: &'static str,
    /// What is imported to use it, where importing is measured.
    pub(super) module: Option<&'static str>,
}

/// A client of Rust.
pub(super) const fn rust(name: &'static str) -> Client {
    Client { language: Language::Rust, name, module: None }
}

/// A client of Python.
pub(super) const fn python(name: &'static str, module: Option<&'static str>) -> Client {
    Client { language: Language::Python, name, module }
}

/// A client of Node.
pub(super) const fn node(name: &'static str, module: Option<&'static str>) -> Client {
    Client { language: Language::Node, name, module }
}

/// What a client prints.
#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct Line {
    /// Its name with its version.
    pub(super) name: String,
    /// Runs at once.
    pub(super) at: usize,
    #[serde(flatten)]
    pub(super) found: Found,
}

/// What was found at one number of runs at once.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum Found {
    /// Runs per second, processor milliseconds of a run, the most memory so far in MiB.
    Figures { rate: f64, cpu_ms: f64, peak_mib: f64 },
    /// Why a run failed.
    Failure { failed: String },
}

/// What came of asking a client.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Lines(Vec<Line>),
    /// It is not there, and why.
    LeftOut(String),
}

impl Client {
    /// Whether it is ours: then it has to be there.
    pub(super) fn is_ours(&self) -> bool {
        self.name == OURS || self.name == DURABLE
    }

    /// Its name among all clients: `Rust/rig`.
    pub(super) fn id(&self) -> String {
        format!("{:?}/{}", self.language, self.name)
    }

    /// Has it done an order `KIND URL AT AMOUNT` in an empty folder.
    ///
    /// # Errors
    /// When it fails, and when it is ours and not there.
    pub(super) fn measure(&self, order: [&str; 4]) -> Result<Outcome> {
        let mut command = match self.program()? {
            Ok(command) => command,
            Err(why) => return self.missing(why),
        };
        let folder = tempfile::tempdir()?;
        command.arg(self.name).arg(folder.path()).args(order);
        let output = alone(&mut command).output()?;
        if output.status.code() == Some(NOT_INSTALLED) {
            return self.missing(last_line(&output));
        }
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} ended with {}: {error}", self.id(), output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        let lines = text.lines().filter(|line| line.starts_with('{'));
        Ok(Outcome::Lines(lines.map(serde_json::from_str).collect::<std::result::Result<_, _>>()?))
    }

    /// Milliseconds that importing adds to a bare interpreter; `None` where that is not measured or it is not there.
    ///
    /// # Errors
    /// When a process fails.
    pub(super) fn cold_import(&self, rounds: usize) -> Result<Option<f64>> {
        let Some(module) = self.module else { return Ok(None) };
        let Ok(interpreter) = self.interpreter() else { return Ok(None) };
        let code = match self.language {
            Language::Python => format!("import {module}"),
            _ => format!("import({module:?})"),
        };
        let mut added = Vec::new();
        // The first pair warms the files up.
        for round in 0..=rounds {
            let (loaded, bare) = (started(&interpreter, &code)?, started(&interpreter, "0")?);
            if round > 0 {
                added.push(loaded - bare);
            }
        }
        Ok(crate::median(&added))
    }

    fn missing(&self, why: String) -> Result<Outcome> {
        if self.is_ours() {
            return Err(format!("{} cannot be measured: {why}", self.id()).into());
        }
        Ok(Outcome::LeftOut(why))
    }

    /// Its program; else why there is none.
    fn program(&self) -> Result<std::result::Result<Command, String>> {
        if self.language == Language::Rust {
            return Ok(if self.is_ours() {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--child", ours::CHILD]);
                Ok(command)
            } else {
                named(RIG).map(Command::new)
            });
        }
        let interpreter = match self.interpreter() {
            Ok(interpreter) => interpreter,
            Err(why) => return Ok(Err(why)),
        };
        let mut command = Command::new(interpreter.program);
        match (self.language, interpreter.folder) {
            (Language::Node, Some(folder)) if !self.is_ours() => {
                command.arg(Path::new(&folder).join("clients.mjs"))
            }
            (Language::Node, _) => command.arg(format!("{CLIENTS_NODE}/clients.mjs")),
            _ => command.arg(CLIENTS_PYTHON),
        };
        Ok(Ok(command))
    }

    fn interpreter(&self) -> std::result::Result<Interpreter, String> {
        Ok(match (self.language, self.is_ours()) {
            (Language::Node, true) => {
                Interpreter { program: "node".into(), folder: Some(NODE_BINDING.into()), flag: "-e" }
            }
            (Language::Node, false) => {
                Interpreter { program: "node".into(), folder: Some(named(NODE_PEERS)?), flag: "-e" }
            }
            (_, true) => Interpreter { program: named(PYTHON)?, folder: None, flag: "-c" },
            (_, false) => Interpreter { program: named(PYTHON_PEERS)?, folder: None, flag: "-c" },
        })
    }
}

/// What runs code that is given as text.
#[derive(Debug)]
struct Interpreter {
    program: OsString,
    /// Where modules are looked for.
    folder: Option<OsString>,
    flag: &'static str,
}

fn named(variable: &str) -> std::result::Result<OsString, String> {
    std::env::var_os(variable).ok_or_else(|| format!("{variable} is not set"))
}

/// Sends nothing to anybody else, and has a key, which some demand.
fn alone(command: &mut Command) -> &mut Command {
    for proxy in PROXIES {
        command.env_remove(proxy);
    }
    let quiet = [
        ("LANGCHAIN_TRACING_V2", "false"),
        ("LANGSMITH_TRACING", "false"),
        ("OPENAI_AGENTS_DISABLE_TRACING", "1"),
        ("OPENAI_API_KEY", "bench"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ];
    command.envs(quiet).stdin(Stdio::null())
}

/// Milliseconds of a process that runs a piece of code.
fn started(interpreter: &Interpreter, code: &str) -> Result<f64> {
    let mut command = Command::new(&interpreter.program);
    if let Some(folder) = &interpreter.folder {
        command.current_dir(folder);
    }
    let (output, seconds) = crate::seconds(|| alone(command.arg(interpreter.flag).arg(code)).output());
    let output = output?;
    if !output.status.success() {
        return Err(format!("`{code}` failed: {}", last_line(&output)).into());
    }
    Ok(seconds * 1e3)
}

fn last_line(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    error.trim().lines().last().unwrap_or("no reason was given").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_a_missing_peer_is_left_out_but_not_ours() {
        let line = r#"{"name": "rig 0.44.0", "at": 10, "rate": 2.5, "cpu_ms": 0.5, "peak_mib": 20}"#;
        let line: Line = serde_json::from_str(line).unwrap();
        assert_eq!((line.at, &line.found), (10, &Found::Figures { rate: 2.5, cpu_ms: 0.5, peak_mib: 20.0 }));
        let line: Line = serde_json::from_str(r#"{"name": "rig", "at": 1, "failed": "no"}"#).unwrap();
        assert_eq!(line.found, Found::Failure { failed: "no".into() });
        let left = rust("rig").missing("gone".into()).unwrap();
        assert_eq!(left, Outcome::LeftOut("gone".into()));
        assert!(rust(DURABLE).missing("gone".into()).unwrap_err().to_string().contains("gone"));
    }

    #[test]
    fn an_import_is_measured_over_an_empty_process() {
        let interpreter = Interpreter { program: "sh".into(), folder: None, flag: "-c" };
        assert!(started(&interpreter, "sleep 0.05").unwrap() >= 50.0);
        assert!(started(&interpreter, "exit 4").is_err());
    }
}
