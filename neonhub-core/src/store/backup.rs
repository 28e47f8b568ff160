//! Backups: one file that every engine writes and every engine restores.
//!
//! Lines of JSON: a head, the items of a snapshot, and an end with the counts and the SHA-256 of all bytes before it.
//! A file that was cut, changed or lengthened anywhere is refused before a byte of it reaches a store.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::transfer::{blob_bytes, unhex};
use super::{Item, Store};
use crate::{Error, ErrorKind, Result};

/// Version of the file's form.
const FORMAT: u16 = 1;
/// Items that go into the new store at once.
const PAGE: usize = 500;
/// Longest line that is read: a blob of 64 MiB in base64 and some room. A longer one is damage.
const LINE: u64 = 96 << 20;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Engine that it was taken from.
    pub engine: String,
    /// Position of the last commit it holds.
    pub seq: u64,
    /// Records.
    pub records: u64,
    /// All items: kinds, records, chain heads, blobs, feed entries.
    pub items: u64,
    /// Bytes of the file.
    pub size_bytes: u64,
    /// SHA-256 of everything before the last line, hex.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    neonhub_backup: u16,
    engine: String,
    seq: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: Counts,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    items: u64,
    records: u64,
    sha256: String,
}

fn unwritable(cause: std::io::Error) -> Error {
    let full = cause.kind() == std::io::ErrorKind::StorageFull;
    let message = if full {
        "the disk is full: free space and try again"
    } else {
        "the backup cannot be written: check the folder and its rights"
    };
    Error::new(ErrorKind::Unavailable, "store.backup", message).with_source(cause)
}

fn damaged(problem: impl Into<String>, line: u64) -> Error {
    Error::new(
        ErrorKind::Corrupted,
        "store.verify_backup",
        format!("the backup is damaged: {}; nothing was restored", problem.into()),
    )
    .with_context("line", line)
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
    let mut snapshot = store.snapshot().await?;
    let engine = store.caps().engine.to_owned();
    let mut lines = Lines { out, hash: Sha256::new(), size: 0 };
    lines.line(&Head { neonhub_backup: FORMAT, engine: engine.clone(), seq: snapshot.seq() })?;
    let (mut items, mut records) = (0, 0);
    loop {
        let page = snapshot.next().await?;
        if page.is_empty() {
            break;
        }
        for item in &page {
            items += 1;
            records += u64::from(matches!(item, Item::Record(_)));
            lines.line(item)?;
        }
    }
    let sha256 = crate::store_hex(&lines.hash.clone().finalize());
    lines.line(&End { end: Counts { items, records, sha256: sha256.clone() } })?;
    lines.out.flush().map_err(unwritable)?;
    Ok(Manifest { engine, seq: snapshot.seq(), records, items, size_bytes: lines.size, sha256 })
}

/// Writes a backup to a file. The file appears under its name only when it is whole and synced.
///
/// # Errors
/// As [`write_backup`]; `AlreadyExists` when the file is there.
pub async fn backup_to(store: &dyn Store, path: &Path) -> Result<Manifest> {
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
    let written = write_backup(store, &mut out).await;
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
pub(super) fn private(path: &Path) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Reads lines and hashes them.
struct Reading {
    input: BufReader<File>,
    hash: Sha256,
    size: u64,
    number: u64,
}

impl Reading {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|cause| {
            let kind = match cause.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Unavailable,
            };
            Error::new(kind, "store.verify_backup", "the backup cannot be read: check path and rights")
                .with_context("path", path.display())
                .with_source(cause)
        })?;
        Ok(Reading { input: BufReader::new(file), hash: Sha256::new(), size: 0, number: 0 })
    }

    /// The next line without its end, and the hash of all before it; `None` at the end of the file.
    fn line(&mut self) -> Result<Option<(Vec<u8>, Sha256)>> {
        let before = self.hash.clone();
        let mut text = Vec::new();
        let read = (&mut self.input).take(LINE).read_until(b'\n', &mut text);
        self.number += 1;
        read.map_err(|cause| damaged("it cannot be read to its end", self.number).with_source(cause))?;
        if text.is_empty() {
            return Ok(None);
        }
        self.hash.update(&text);
        self.size += text.len() as u64;
        if text.pop() != Some(b'\n') {
            return Err(damaged("it ends in the middle of a line", self.number));
        }
        Ok(Some((text, before)))
    }

    fn need(&mut self) -> Result<(Vec<u8>, Sha256)> {
        self.line()?.ok_or_else(|| damaged("its end is missing", self.number))
    }
}

/// Reads a backup from its head to its end and hands out its items.
///
/// # Errors
/// `Corrupted` naming the line and what is wrong with it; `Config` for a file of a newer version.
fn read(path: &Path, mut each: impl FnMut(Item) -> Result<()>) -> Result<Manifest> {
    let mut reading = Reading::open(path)?;
    let (text, _) = reading.need()?;
    let head: Head = serde_json::from_slice(&text).map_err(|_| damaged("it does not begin as one", 1))?;
    if head.neonhub_backup > FORMAT {
        return Err(Error::new(
            ErrorKind::Config,
            "store.verify_backup",
            format!(
                "the backup has format {}, this build reads up to {FORMAT}: use a newer neonhub",
                head.neonhub_backup
            ),
        ));
    }
    let (mut items, mut records) = (0, 0);
    loop {
        let (text, before) = reading.need()?;
        if text.starts_with(b"{\"end\"") {
            let end: End = serde_json::from_slice(&text)
                .map_err(|_| damaged("its end cannot be read", reading.number))?;
            let sha256 = crate::store_hex(&before.finalize());
            if end.end.sha256 != sha256 || (end.end.items, end.end.records) != (items, records) {
                return Err(damaged("its bytes do not match their hash", reading.number));
            }
            if reading.line()?.is_some() {
                return Err(damaged("something follows its end", reading.number));
            }
            let Head { engine, seq, .. } = head;
            return Ok(Manifest { engine, seq, records, items, size_bytes: reading.size, sha256 });
        }
        let item: Item =
            serde_json::from_slice(&text).map_err(|_| damaged("a line cannot be read", reading.number))?;
        items += 1;
        records += u64::from(matches!(item, Item::Record(_)));
        each(item)?;
    }
}

/// Reads a backup to its end and checks every byte and every item of it.
///
/// # Errors
/// `Corrupted` naming what is wrong; `NotFound` when there is no such file.
pub fn verify_backup(path: &Path) -> Result<Manifest> {
    read(path, |item| match &item {
        Item::Blob { hash, data } => blob_bytes(hash, data).map(drop),
        Item::Chain { hash, .. } => unhex(hash).map(drop),
        Item::Record(record) => record.clone().into_row().map(drop),
        Item::Kind { .. } | Item::Feed { .. } => Ok(()),
    })
}

/// Restores a backup into an empty store, after every byte of it was checked.
///
/// # Errors
/// As [`verify_backup`]; `Conflict` when the store holds anything.
pub async fn restore_backup(path: &Path, into: &dyn Store) -> Result<Manifest> {
    let manifest = verify_backup(path)?;
    let figures = into.figures().await?;
    if into.seq().await? > 0 || figures.blobs > 0 || figures.kinds.iter().any(|k| k.records > 0) {
        return Err(Error::new(
            ErrorKind::Conflict,
            "store.restore",
            "the store to restore into is not empty: name a new file or database",
        ));
    }
    // Pages are handed over as they are read: the file may be larger than memory.
    let (pages, mut inbox) = tokio::sync::mpsc::channel::<Vec<Item>>(2);
    let source = path.to_owned();
    let reader = tokio::task::spawn_blocking(move || {
        let mut page = Vec::with_capacity(PAGE);
        let gone = || Error::new(ErrorKind::Cancelled, "store.restore", "the restore was given up");
        let manifest = read(&source, |item| {
            page.push(item);
            if page.len() < PAGE {
                return Ok(());
            }
            pages.blocking_send(std::mem::take(&mut page)).map_err(|_| gone())
        })?;
        pages.blocking_send(page).map_err(|_| gone())?;
        Ok::<_, Error>(manifest)
    });
    while let Some(page) = inbox.recv().await {
        into.load(page).await?;
    }
    let again = reader.await.map_err(|cause| Error::internal("store.restore", cause))??;
    if again != manifest {
        return Err(damaged("it changed while it was restored: throw the new store away", 0));
    }
    Ok(manifest)
}
