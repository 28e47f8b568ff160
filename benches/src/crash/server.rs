//! The PostgreSQL server of a check: where it is, and how it is stopped without warning and started again.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;

/// Where the server is.
const URL: &str = "NEONHUB_TEST_DATABASE_URL";
/// A script that stops it as a crash would (`stop`) and starts it again (`start`).
const CONTROL: &str = "NEONHUB_TEST_DATABASE_CONTROL";

/// A server that this check may stop.
#[derive(Debug)]
pub(super) struct Server {
    url: String,
    control: PathBuf,
}

impl Server {
    /// The server that the environment names.
    ///
    /// # Errors
    /// When it names none: a check that needs a server does not pass without it.
    pub(super) fn from_env() -> Result<Self> {
        let read = |name: &str| {
            std::env::var(name)
                .map_err(|_| format!("{name} is not set: run this with `cargo xtask crash runtime`"))
        };
        Ok(Self { url: read(URL)?, control: read(CONTROL)?.into() })
    }

    /// URL of a new store there.
    pub(super) fn store(&self, label: &str) -> String {
        format!("{}?schema={label}_{}&pool=4", self.url, std::process::id())
    }

    /// Stops the server without letting it finish anything, and starts it again after a pause.
    pub(super) fn crash(&self, pause: Duration) -> Result<()> {
        self.run("stop")?;
        std::thread::sleep(pause);
        self.run("start")
    }

    fn run(&self, word: &str) -> Result<()> {
        let status = Command::new("sh")
            .arg(&self.control)
            .arg(word)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{word}` of the server ended with {status}").into())
        }
    }
}
