//! Writing backups and increments.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::delta::Delta;
use super::{Counts, End, FORMAT, Head, INCREMENT, LINE, Manifest};
use crate::store::{Item, Store, pack};
use crate::{Error, ErrorKind, Result};

fn unwritable(cause: std::io::Error) -> Error {
    let full = cause.kind() == std::io::ErrorKind::StorageFull;
    let message = if full {
        "the disk is full: free space and try again"
    } else {
        "the backup cannot be written: check the folder and its rights"
    };
    Error::new(ErrorKind::Unavailable, "store.backup", message).with_source(cause)
}

/// Writes lines and hashes them.
struct Lines<W> {
    out: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Lines<W> {
    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(value).map_err(|cause| Error::internal("store.backup", cause))?;
        text.push(b'\n');
        if text.len() as u64 > LINE {
            let message =
                "a file in the store is too large for a backup: files up to 100 MiB can be backed up";
            return Err(Error::new(ErrorKind::Conflict, "store.backup", message).with_code("blob_too_large"));
        }
        self.hash.update(&text);
        self.size += text.len() as u64;
        self.out.write_all(&text).map_err(unwritable)
    }
}

/// Writes a snapshot of the store while its writers go on.
///
/// # Errors
/// `Corrupted` naming the record when one does not match its checksum: a backup never holds damage as if it were
/// sound; `Unavailable` when `out` cannot be written.
pub async fn write_backup(store: &dyn Store, out: &mut (dyn Write + Send)) -> Result<Manifest> {
    write(store, None, out).await
}

/// Writes what changed since a position of the change feed: the increment on top of the backup that ends there. Blobs
/// come along when a changed record names them.
///
/// # Errors
/// As [`write_backup`]; `InvalidInput` for a position that is still to come; `Conflict` with the code `cursor_expired`
/// when the feed no longer goes back so far: take a full backup.
pub async fn write_increment(
    store: &dyn Store,
    since_seq: u64,
    out: &mut (dyn Write + Send),
) -> Result<Manifest> {
    write(store, Some(since_seq), out).await
}

async fn write(store: &dyn Store, since: Option<u64>, out: &mut (dyn Write + Send)) -> Result<Manifest> {
    let mut snapshot = store.snapshot().await?;
    let (engine, seq) = (store.caps().engine.to_owned(), snapshot.seq());
    let mut delta = match since {
        Some(since) => Some(Delta::read(store, since, seq).await?),
        None => None,
    };
    let mut lines = Lines { out, hash: Sha256::new(), size: 0 };
    let base = delta.as_ref().map(|d| d.base.clone());
    let neonhub_backup = if base.is_some() { INCREMENT } else { FORMAT };
    lines.line(&Head { neonhub_backup, engine: engine.clone(), seq, base })?;
    let (mut items, mut records) = (0, 0);
    loop {
        let page = snapshot.next().await?;
        if page.is_empty() {
            break;
        }
        let page = match &mut delta {
            Some(delta) => delta.choose(page),
            None => page,
        };
        for mut item in page {
            if let Item::Blob { hash, bytes } = &mut item {
                *bytes = pack::unpack(hash, std::mem::take(bytes))?;
            }
            items += 1;
            records += u64::from(matches!(item, Item::Record(_)));
            lines.line(&item)?;
        }
    }
    for item in delta.iter_mut().flat_map(Delta::gone) {
        items += 1;
        lines.line(&item)?;
    }
    let sha256 = crate::store_hex(&lines.hash.clone().finalize());
    lines.line(&End { end: Counts { items, records, sha256: sha256.clone() } })?;
    lines.out.flush().map_err(unwritable)?;
    Ok(Manifest { engine, seq, since_seq: since, records, items, size_bytes: lines.size, sha256 })
}

/// Writes a backup to a file. The file appears under its name only when it is whole and synced.
///
/// # Errors
/// As [`write_backup`]; `AlreadyExists` when the file is there.
pub async fn backup_to(store: &dyn Store, path: &Path) -> Result<Manifest> {
    to_file(store, None, path).await
}

/// Writes an increment to a file, as [`backup_to`] does.
///
/// # Errors
/// As [`write_increment`]; `AlreadyExists` when the file is there.
pub async fn increment_to(store: &dyn Store, since_seq: u64, path: &Path) -> Result<Manifest> {
    to_file(store, Some(since_seq), path).await
}

async fn to_file(store: &dyn Store, since: Option<u64>, path: &Path) -> Result<Manifest> {
    if path.exists() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            "store.backup",
            "there is a file with this name: choose another one",
        )
        .with_context("path", path.display()));
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let fail = |e| unwritable(e).with_context("path", path.display());
    let mut out = BufWriter::new(private(part).map_err(fail)?);
    let written = write(store, since, &mut out).await;
    let synced = written.and_then(|manifest| {
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(fail)?;
        std::fs::rename(part, path).map_err(fail)?;
        Ok(manifest)
    });
    if synced.is_err() {
        // Half a backup helps nobody.
        let _ = std::fs::remove_file(part);
    }
    synced
}

/// A new file that its owner alone may read: it holds what the store holds.
pub(in crate::store) fn private(path: &Path) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
