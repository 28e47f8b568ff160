//! Who is at work on this file: a locked file per worker, so that others can tell when a process is gone.
//!
//! The operating system drops the lock with the process, however it ends; no process id is trusted.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(super) struct Workers {
    folder: PathBuf,
    ours: Mutex<Vec<(String, File)>>,
}

impl Workers {
    /// `campaign.neon` keeps its workers in `campaign.neon.workers/`.
    pub(super) fn beside(store: &Path) -> Self {
        let mut folder = store.as_os_str().to_owned();
        folder.push(".workers");
        Workers { folder: PathBuf::from(folder), ours: Mutex::default() }
    }

    pub(super) fn register(&self, name: &str) -> Result<()> {
        let fail = |cause: std::io::Error| {
            Error::new(
                ErrorKind::Config,
                "hub.open",
                "the folder of the store cannot be written: check its rights",
            )
            .with_context("folder", self.folder.display())
            .with_source(cause)
        };
        std::fs::create_dir_all(&self.folder).map_err(fail)?;
        let path = self.folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(fail)?;
        file.lock().map_err(fail)?;
        self.ours.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), file));
        Ok(())
    }

    /// False when nobody holds the worker's lock any more.
    pub(super) fn is_alive(&self, name: &str) -> bool {
        if self.ours.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(n, _)| n == name) {
            return true;
        }
        let path = self.folder.join(name);
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { return false };
        match file.try_lock() {
            Ok(()) => {
                // Its process is gone and nobody takes this name again.
                let _ = std::fs::remove_file(path);
                false
            }
            Err(TryLockError::WouldBlock) => true,
            // Without lock support nothing is known: the lease has to end by itself.
            Err(TryLockError::Error(_)) => true,
        }
    }

    pub(super) fn leave(&self) {
        for (name, file) in self.ours.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            drop(file);
            let _ = std::fs::remove_file(self.folder.join(name));
        }
        // Gone only when empty: other processes may be at work.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.leave();
    }
}
