//! Reading backups and increments, with every byte checked.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Base, End, Head, INCREMENT, LINE, Manifest, damaged};
use crate::store::transfer::unhex;
use crate::store::{Item, pack};
use crate::{Error, ErrorKind, Result};

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
pub(super) fn read(
    path: &Path,
    mut each: impl FnMut(Item) -> Result<()>,
) -> Result<(Manifest, Option<Base>)> {
    let mut reading = Reading::open(path)?;
    let (text, _) = reading.need()?;
    let head: Head = serde_json::from_slice(&text).map_err(|_| damaged("it does not begin as one", 1))?;
    if head.neonhub_backup > INCREMENT {
        return Err(Error::new(
            ErrorKind::Config,
            "store.verify_backup",
            format!(
                "the backup has format {}, this build reads up to {INCREMENT}: use a newer neonhub",
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
            let Head { engine, seq, base, .. } = head;
            let since_seq = base.as_ref().map(|b| b.seq);
            let size_bytes = reading.size;
            let manifest = Manifest { engine, seq, since_seq, records, items, size_bytes, sha256 };
            return Ok((manifest, base));
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
    verify(path).map(|(manifest, _)| manifest)
}

pub(super) fn verify(path: &Path) -> Result<(Manifest, Option<Base>)> {
    read(path, |item| match item {
        Item::Blob { hash, bytes } => pack::unpack(&hash, bytes).map(drop),
        Item::Chain { hash, .. } => unhex(&hash).map(drop),
        Item::Record(record) => record.into_row().map(drop),
        Item::Kind { .. } | Item::Gone { .. } | Item::Feed { .. } => Ok(()),
    })
}
