//! Anchors: where checkpoints of the chain are kept, outside the store.

use std::fmt::Debug;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Timestamp};

/// The state of a chain at one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoint {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// First entry that the root is over.
    pub from: u64,
    /// Last entry.
    pub seq: u64,
    /// Hash of the last entry, hex.
    pub head: String,
    /// Root of the hash tree over the entries (RFC 6962), hex.
    pub root: String,
    /// When.
    pub at: Timestamp,
}

/// Keeps checkpoints where whoever can change the store cannot change them too.
#[async_trait]
pub trait Anchor: Debug + Send + Sync + 'static {
    /// Keeps a checkpoint, durably when it returns.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be kept; it is tried again with the next entries.
    async fn put(&self, checkpoint: &Checkpoint) -> Result<()>;

    /// The checkpoints of a workspace, oldest first.
    ///
    /// # Errors
    /// `Corrupted` when they cannot be read back, `Unavailable` when they cannot be read now.
    async fn all(&self, workspace: &WorkspaceId) -> Result<Vec<Checkpoint>>;
}

/// The anchor of a hub that was given none: a file beside the store, or memory.
pub(crate) fn anchor_beside(store: Option<&Path>) -> Arc<dyn Anchor> {
    match store {
        None => Arc::new(MemoryAnchor::default()),
        Some(store) => {
            let mut name = store.as_os_str().to_owned();
            name.push(".anchor");
            Arc::new(FileAnchor::new(name))
        }
    }
}

/// Checkpoints in memory, for tests and stores without a file.
#[derive(Debug, Default)]
pub struct MemoryAnchor(Mutex<Vec<Checkpoint>>);

#[async_trait]
impl Anchor for MemoryAnchor {
    async fn put(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(checkpoint.clone());
        Ok(())
    }

    async fn all(&self, workspace: &WorkspaceId) -> Result<Vec<Checkpoint>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.iter().filter(|c| c.workspace == *workspace).cloned().collect())
    }
}

/// Checkpoints in a file, one JSON object a line, only ever appended to. Put it on another volume, or where the
/// process may append and not rewrite, to guard against whoever can write the store.
#[derive(Debug)]
pub struct FileAnchor {
    path: PathBuf,
}

impl FileAnchor {
    /// An anchor in this file, which is made with the first checkpoint.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FileAnchor { path: path.into() }
    }
}

fn unavailable(cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "audit.anchor", "the anchor file cannot be read or written")
        .with_source(cause)
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).read(true).append(true).open(path)?;
    // A line cut short by a crash must not swallow the next one.
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(std::io::SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let lead = if last == [b'\n'] { "" } else { "\n" };
    file.write_all(format!("{lead}{line}\n").as_bytes())?;
    file.sync_data()
}

fn read(path: &Path) -> Result<Vec<Checkpoint>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(unavailable(cause)),
    };
    let mut all = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(checkpoint) => all.push(checkpoint),
            // Cut short by a crash; whatever it said comes again with the next checkpoint.
            Err(_) if !line.ends_with('}') => {}
            Err(cause) => {
                return Err(Error::new(
                    ErrorKind::Corrupted,
                    "audit.anchor",
                    "a line of the anchor file is broken",
                )
                .with_context("line", n + 1)
                .with_source(cause));
            }
        }
    }
    Ok(all)
}

/// Runs file work beside the async work.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|cause| Error::internal("audit.anchor", cause))?
}

#[async_trait]
impl Anchor for FileAnchor {
    async fn put(&self, checkpoint: &Checkpoint) -> Result<()> {
        let line = serde_json::to_string(checkpoint).map_err(|c| Error::internal("audit.anchor", c))?;
        let path = self.path.clone();
        beside(move || append(&path, &line).map_err(unavailable)).await
    }

    async fn all(&self, workspace: &WorkspaceId) -> Result<Vec<Checkpoint>> {
        let path = self.path.clone();
        let mut all = beside(move || read(&path)).await?;
        all.retain(|c| c.workspace == *workspace);
        Ok(all)
    }
}
