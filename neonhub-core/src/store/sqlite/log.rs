//! The write-ahead log, as far as its sync is left to us.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Pause before a sync that failed is tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// What of the write-ahead log is still to be synced.
pub(super) struct Log {
    path: Option<PathBuf>,
    /// Until when.
    pub(super) due: Option<Instant>,
    #[cfg(test)]
    pub(super) unsynced: u32,
}

impl Log {
    pub(super) fn beside(connection: &Connection) -> Self {
        let path = connection.path().filter(|p| !p.is_empty()).map(|p| PathBuf::from(format!("{p}-wal")));
        Log {
            path,
            due: None,
            #[cfg(test)]
            unsynced: 0,
        }
    }

    /// Time until a sync is due.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.due.map_or(Duration::MAX, |due| due.saturating_duration_since(now))
    }

    pub(super) fn wants(&mut self, due: Instant) {
        #[cfg(test)]
        {
            self.unsynced += 1;
        }
        self.due = Some(self.due.map_or(due, |old| old.min(due)));
    }

    pub(super) fn sync_if_due(&mut self, now: Instant) {
        let Some(path) = self.path.as_ref().filter(|_| self.due.is_some_and(|due| due <= now)) else {
            return;
        };
        // SQLite's locks are on the other files: opening and closing this one frees none.
        match File::options().write(true).open(path).and_then(|log| log.sync_data()) {
            Ok(()) => self.due = None,
            // A checkpoint of another process may have removed it, and synced what was in it.
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => self.due = None,
            Err(cause) => {
                tracing::warn!(%cause, "the log of the store cannot be synced: it is tried again");
                self.due = Some(now + AGAIN);
            }
        }
    }
}
