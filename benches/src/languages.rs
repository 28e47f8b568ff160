//! The way from each language into NeonHub. Every binding has a program of its own that prints one row per line as
//! JSON, `{name, ours, unit, peer, peer_value, goal}`; this group starts them and reads their rows.

use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::{Goal, Part, Result, Row, Runs};

/// Python with the release build of the module installed.
const PYTHON: &str = "NEONHUB_BENCH_PYTHON";
/// The measuring program of Python, given to it as text so that no path of a checkout is needed.
const PROGRAM: &str = include_str!("../../bindings/python/bench/hop.py");
/// The measuring program of Node, from the root of the repository.
const NODE: &str = "bindings/node/bench/hop.mjs";
/// A file with the options that `java` runs the measuring program of Kotlin with.
const KOTLIN: &str = "NEONHUB_BENCH_KOTLIN";

/// The parts of the group.
pub(crate) const PARTS: &[Part] = &[("python", python), ("node", node), ("kotlin", kotlin)];

/// A line that a program prints.
#[derive(Debug, Deserialize)]
struct Line {
    name: String,
    ours: f64,
    unit: String,
    #[serde(default)]
    peer: Option<String>,
    #[serde(default)]
    peer_value: Option<f64>,
    goal: String,
}

impl Line {
    fn row(self) -> Result<Row> {
        let goal = goal(&self.goal)?;
        let row = Row::new(self.name, self.ours, self.unit, goal);
        Ok(match (self.peer, self.peer_value) {
            (Some(peer), Some(value)) => row.against(peer, value),
            _ => row,
        })
    }
}

/// Reads `<= 3x`, `>= 0.5x`, `<= 60 ms`, `>= 5000 sends/s`.
fn goal(text: &str) -> Result<Goal> {
    let bad = || format!("the goal {text:?} is none: expected `<= 3x` or `<= 60 ms`");
    let (sign, bound) = text.split_once(' ').ok_or_else(bad)?;
    let (number, is_ratio) = match bound.strip_suffix('x') {
        Some(number) => (number, true),
        None => (bound.split(' ').next().unwrap_or(bound), false),
    };
    let bound: f64 = number.parse().map_err(|_| bad())?;
    match (sign, is_ratio) {
        ("<=", true) => Ok(Goal::RatioAtMost(bound)),
        (">=", true) => Ok(Goal::RatioAtLeast(bound)),
        ("<=", false) => Ok(Goal::AtMost(bound)),
        (">=", false) => Ok(Goal::AtLeast(bound)),
        _ => Err(bad().into()),
    }
}

/// The rows that Python prints.
pub(crate) fn python_rows(runs: Runs, only: Option<&str>) -> Result<Vec<Row>> {
    let python =
        std::env::var_os(PYTHON).ok_or_else(|| format!("{PYTHON} must name a Python with the module"))?;
    let mut command = Command::new(python);
    command.args(["-c", PROGRAM]).args(sizes(runs));
    if let Some(only) = only {
        command.args(["--only", only]);
    }
    read(command)
}

fn python(runs: Runs) -> Result<Vec<Row>> {
    python_rows(runs, None)
}

fn node(runs: Runs) -> Result<Vec<Row>> {
    let mut command = Command::new("node");
    command.arg(NODE).args(sizes(runs));
    read(command)
}

fn kotlin(runs: Runs) -> Result<Vec<Row>> {
    let options = std::env::var(KOTLIN).map_err(|_| format!("{KOTLIN} must name the options of java"))?;
    let mut command = Command::new("java");
    command.arg(format!("@{options}")).args(sizes(runs));
    read(command)
}

fn sizes(runs: Runs) -> [String; 4] {
    ["--rounds".into(), runs.count().to_string(), "--calls".into(), runs.size(2_000).to_string()]
}

fn read(mut command: Command) -> Result<Vec<Row>> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str::<Line>(line)?.row()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_read() {
        assert_eq!(goal("<= 3x").unwrap(), Goal::RatioAtMost(3.0));
        assert_eq!(goal(">= 0.5x").unwrap(), Goal::RatioAtLeast(0.5));
        assert_eq!(goal("<= 60 ms").unwrap(), Goal::AtMost(60.0));
        assert_eq!(goal(">= 5000 sends/s").unwrap(), Goal::AtLeast(5000.0));
        for bad in ["3x", "< 3x", "<= many"] {
            assert!(goal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_is_a_row() {
        let line =
            r#"{"name": "hop", "ours": 20, "unit": "us", "peer": "bare", "peer_value": 10, "goal": "<= 3x"}"#;
        let row = serde_json::from_str::<Line>(line).unwrap().row().unwrap();
        assert_eq!(row.ratio(), Some(2.0));
        assert!(row.holds());
    }
}
