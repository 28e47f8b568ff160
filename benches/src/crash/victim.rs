//! A child process that is killed without warning.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::Result;

/// How long a child may stay silent before the check gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running child whose printed lines are its acknowledgements: it prints a line after the thing it names is done.
#[derive(Debug)]
pub struct Victim {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Victim {
    /// Starts the child with its standard output read line by line.
    ///
    /// # Errors
    /// When the child cannot be started.
    pub fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("the child has no output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            // A line cut short by the kill acknowledges nothing: `12` may be the head of `123`.
            while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
                if sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Ok(Self { child, lines, seen: Vec::new() })
    }

    /// Waits until the child has printed `count` lines or ended.
    ///
    /// # Errors
    /// When the child stays silent for two minutes.
    pub fn wait_for_lines(&mut self, count: usize) -> Result<()> {
        while self.seen.len() < count {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    return Err("the child stayed silent for two minutes".into());
                }
            }
        }
        Ok(())
    }

    /// Waits until the child has printed `count` more lines than it had, or ended.
    ///
    /// # Errors
    /// When the child stays silent for two minutes.
    pub fn wait_for_more(&mut self, count: usize) -> Result<()> {
        self.seen.extend(self.lines.try_iter());
        self.wait_for_lines(self.seen.len() + count)
    }

    /// Whether the child has not ended yet.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Kills the child (SIGKILL) after a pause, and returns every line it printed.
    ///
    /// # Errors
    /// When the child cannot be killed.
    pub fn kill_after(mut self, pause: Duration) -> Result<(Vec<String>, ExitStatus)> {
        thread::sleep(pause);
        // A child that has ended is waited for all the same, so the result of kill says nothing.
        self.child.kill()?;
        let status = self.child.wait()?;
        // The pipe is drained after the end: what was printed was acknowledged.
        let mut seen = std::mem::take(&mut self.seen);
        seen.extend(self.lines.iter());
        Ok((seen, status))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // No child outlives a check that ended with an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn child_is_killed_and_what_it_printed_is_kept() {
        let mut victim = Victim::start(shell("echo one; echo two; exec sleep 60")).unwrap();
        victim.wait_for_lines(2).unwrap();
        let (lines, status) = victim.kill_after(Duration::ZERO).unwrap();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(status.signal(), Some(9));
    }

    #[test]
    fn line_cut_short_is_no_acknowledgement() {
        let mut victim = Victim::start(shell("echo one; printf tw")).unwrap();
        victim.wait_for_lines(2).unwrap();
        assert_eq!(victim.kill_after(Duration::ZERO).unwrap().0, ["one"]);
    }

    #[test]
    fn child_that_ends_by_itself_is_not_waited_for_longer() {
        let mut victim = Victim::start(shell("echo one")).unwrap();
        victim.wait_for_lines(5).unwrap();
        assert_eq!(victim.kill_after(Duration::ZERO).unwrap().0, ["one"]);
    }
}
