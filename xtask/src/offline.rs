//! The example in a world without network, with every call for a socket watched and refused: a hub without a provider
//! opens none, not even one whose failure it would not mind.

use std::path::{Path, PathBuf};

use crate::example;
use crate::failure::{Doing, Failure, Result};
use crate::process::Process;
use crate::workspace::Workspace;

/// Calls that a program cannot speak to another machine without. `socketpair`, with which a process speaks to itself, is
/// none of them.
const CALLS: &str = "trace=socket,connect,bind,listen,accept,accept4,sendto,sendmsg";
/// What a call for a socket gets.
const REFUSED: &str = "inject=socket:error=EACCES";
/// Opens a connection to this machine, so that the watch is known to see one.
const OPENS_ONE: &str = "exec 3<>/dev/tcp/127.0.0.1/9";

/// Runs the example and fails when it asked for a socket. Only Linux has the means; elsewhere it says so.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("skipped: watching system calls needs Linux (strace)");
        return Ok(());
    }
    let folder = workspace.target.join("offline");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).doing(format!("empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).doing(format!("make {}", folder.display()))?;
    let watch = Watch { root: workspace.root.clone(), log: folder.join("calls") };
    let found = watch.calls(&["bash", "-c", OPENS_ONE], false)?;
    if !found.iter().any(|call| call.contains("socket(AF_INET")) {
        return Err(Failure::new(
            "the watch does not see a socket that is opened: its answer would be worth nothing",
        ));
    }
    let namespace = namespace(&workspace.root);
    match namespace {
        Some(_) => println!("in a namespace without network"),
        None => println!("no namespace without network (the right is missing): the calls alone are refused"),
    }
    let program = workspace.program("examples/campaign").to_string_lossy().into_owned();
    let out = folder.join("out").to_string_lossy().into_owned();
    let mut command: Vec<&str> = namespace.unwrap_or_default().to_vec();
    command.extend([program.as_str(), "--seed", example::SEED, "--now", example::NOW, "--out", out.as_str()]);
    let found = watch.calls(&command, true)?;
    if found.is_empty() {
        println!("no socket was asked for");
        return Ok(());
    }
    found.iter().for_each(|call| println!("  {call}"));
    Err(Failure::new("the example asked for a socket although no provider is configured"))
}

/// How a program is started without network, where this process has the right.
fn namespace(root: &Path) -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["unshare", "--net"], &["unshare", "--map-root-user", "--net"]];
    let works = |way: &&&[&str]| {
        let mut words = way.iter();
        let program = words.next().copied().unwrap_or_default();
        Process::new(program, root).args(words).arg("true").read().is_ok()
    };
    WAYS.iter().find(works).copied()
}

struct Watch {
    root: PathBuf,
    log: PathBuf,
}

impl Watch {
    /// The calls of a program and of all its children.
    fn calls(&self, command: &[&str], must_succeed: bool) -> Result<Vec<String>> {
        let traced = Process::new("strace", &self.root)
            .args(["--follow-forks", "--seccomp-bpf", "--quiet=all", "-e", CALLS, "-e", REFUSED, "-o"])
            .arg(&self.log)
            .args(command);
        let ended = traced.read();
        if must_succeed || !self.log.exists() {
            ended?;
        }
        let text = std::fs::read_to_string(&self.log).doing(format!("read {}", self.log.display()))?;
        Ok(calls_in(&text))
    }
}

/// The lines that are calls; others tell of signals and ends.
fn calls_in(log: &str) -> Vec<String> {
    let is_call = |line: &&str| line.contains('(') && !line.contains("+++") && !line.contains("---");
    log.lines().filter(is_call).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_from_signals_and_ends() {
        let log = "7 socket(AF_INET, SOCK_STREAM, 0) = -1 EACCES (Permission denied) (INJECTED)\n\
                   7 --- SIGCHLD {si_signo=SIGCHLD} ---\n7 +++ exited with 0 +++\n";
        assert_eq!(
            calls_in(log),
            ["7 socket(AF_INET, SOCK_STREAM, 0) = -1 EACCES (Permission denied) (INJECTED)"]
        );
        assert!(calls_in("7 +++ exited with 0 +++\n").is_empty());
    }
}
