//! Child processes: run, or run and read the output; a failure names the command.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Doing, Failure, Result};

/// One child process to be, with the line that names it in messages.
#[derive(Debug)]
pub(crate) struct Process {
    command: Command,
    line: String,
}

impl Process {
    pub(crate) fn new(program: impl AsRef<OsStr>, folder: &Path) -> Self {
        let program = program.as_ref();
        let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
        let mut command = Command::new(program);
        // No task asks a question, so a tool that would must fail instead of waiting.
        command.current_dir(folder).stdin(Stdio::null());
        // `cargo xtask` tells of this package. Build scripts look at such words (`ring` does): a cargo of ours would build
        // again what one from a shell has built, and the other way round.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_of_this_package) {
                command.env_remove(name);
            }
        }
        Self { command, line: name }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.line.push(' ');
        self.line.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<I>(self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        arguments.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Prints the command, runs it with our own output, and fails when it does.
    pub(crate) fn run(mut self) -> Result<()> {
        println!("$ {}", self.line);
        let status = self.command.status().doing(format!("start `{}`", self.line))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("`{}` ended with {status}", self.line)))
        }
    }

    /// The command, for one that runs beside others.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Runs the command and returns what it wrote to standard output.
    pub(crate) fn read(mut self) -> Result<String> {
        let output = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .doing(format!("start `{}`", self.line))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!(
                "`{}` ended with {}: {}",
                self.line,
                output.status,
                errors.trim()
            )));
        }
        String::from_utf8(output.stdout).doing(format!("read the output of `{}` as UTF-8", self.line))
    }
}

/// What cargo sets for a program that it runs, and not for itself.
fn is_of_this_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "OUT_DIR"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_not_told_of_this_package() {
        assert!(is_of_this_package("CARGO_MANIFEST_DIR") && !is_of_this_package("CARGO_TARGET_DIR"));
        // `cargo test` sets them as `cargo run` does.
        let told = Process::new("env", Path::new(".")).read().unwrap();
        assert!(
            told.contains("PATH=") && !told.contains("CARGO_MANIFEST_DIR=") && !told.contains("CARGO_PKG_")
        );
    }

    #[test]
    fn output_is_read() {
        let text = Process::new("sh", Path::new(".")).args(["-c", "printf hello"]).read().unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn failure_names_the_command_and_its_last_words() {
        let failure =
            Process::new("sh", Path::new(".")).args(["-c", "echo broken >&2; exit 3"]).read().unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("sh -c") && text.contains('3') && text.contains("broken"), "{text}");
    }
}
