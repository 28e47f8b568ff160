//! A Redis server of its own for each measurement, in an empty folder, that writes its log before it answers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Result;

/// The program of the server.
pub(super) const PROGRAM: &str = "NEONHUB_BENCH_REDIS";
/// A server that does not answer by then does not start.
const PATIENCE: Duration = Duration::from_secs(10);

/// When the server syncs its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fsync {
    /// Before every answer.
    Always,
    /// Once a second: what was acknowledged since may be lost.
    EverySecond,
}

impl Fsync {
    /// The word of the server's settings.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
        }
    }
}

/// A running server; it ends and its data go when this is dropped.
#[derive(Debug)]
pub(super) struct Redis {
    server: Child,
    port: u16,
    _folder: TempDir,
}

impl Redis {
    /// Starts a server on a free port of loopback.
    ///
    /// # Errors
    /// When the program cannot be started, or does not answer in ten seconds.
    pub(super) fn start(program: &str, fsync: Fsync) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", fsync.word(), "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Self { server, port, _folder: folder };
        let start = Instant::now();
        while !redis.answers() {
            if start.elapsed() > PATIENCE {
                return Err(format!("{program} does not answer on port {port}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(redis)
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"+PONG")
        };
        ask().unwrap_or(false)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It has nothing to save: its folder goes with it.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
