//! What other processes made of the file since this one opened it.

use std::collections::HashMap;

use rusqlite::Connection;

use super::schema;
use crate::store::{Batch, Kind, Write, grow};
use crate::{Error, ErrorKind, Result};

/// The lists of indexes that the file has, read again whenever its tables have changed.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Number that SQLite raises with each change of a table.
    cookie: Option<i64>,
    /// Version of the file's format.
    version: i64,
    indexes: HashMap<String, String>,
}

impl Shape {
    /// Looks whether tables have changed. Inside a transaction that writes, nobody changes them until it ends.
    pub(super) fn refresh(&mut self, c: &Connection) -> rusqlite::Result<()> {
        let cookie = c.prepare_cached("PRAGMA schema_version")?.query_row([], |r| r.get(0))?;
        if self.cookie == Some(cookie) {
            return Ok(());
        }
        self.version = c.query_row("PRAGMA user_version", [], |r| r.get(0))?;
        let mut statement = c.prepare_cached("SELECT name, indexes FROM _kind")?;
        self.indexes = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
        self.cookie = Some(cookie);
        Ok(())
    }

    /// # Errors
    /// `Config` with the code `newer_store`, naming both sides, for what a newer build has changed.
    pub(super) fn check(&self, batch: &Batch) -> Result<()> {
        let ours = schema::BUILD_VERSION;
        if self.version > ours {
            return Err(Error::new(
                ErrorKind::Config,
                "store.commit",
                format!(
                    "a newer neonhub has brought the store to file version {}, this process writes {ours}: start it \
                     again with the newer build",
                    self.version
                ),
            )
            .with_code("newer_store")
            .with_context("file_version", self.version)
            .with_context("build_version", ours));
        }
        let puts = batch.writes.iter().filter_map(|write| match write {
            Write::Put { kind, .. } => Some(kind),
            Write::Delete { .. } | Write::Check { .. } => None,
        });
        puts.chain(batch.links.iter().map(|link| &link.kind)).try_for_each(|kind| self.check_kind(kind))
    }

    fn check_kind(&self, kind: &Kind) -> Result<()> {
        match self.indexes.get(kind.name) {
            Some(found) if found.split_whitespace().count() > kind.indexes.len() => {
                Err(grow::outgrown(kind, found))
            }
            _ => Ok(()),
        }
    }
}
