//! The flat index as a file: a cache that is thrown away when a byte of it is wrong.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use neonhub_core::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::{FlatIndex, VectorIndex};

/// Name and version of the format.
const MAGIC: &[u8; 8] = b"NEONFL01";

impl FlatIndex {
    /// Writes the index beside its `stamp` (what it was built from), to a temporary file that is synced and
    /// then renamed: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// `Internal` with the cause when the file cannot be written.
    pub fn save(&self, path: &Path, stamp: &str) -> Result<()> {
        let mut bytes = Vec::with_capacity(self.halves.len() * 2 + self.ids.len() * 40 + 64);
        bytes.extend_from_slice(MAGIC);
        put(&mut bytes, stamp.as_bytes());
        bytes.extend((self.dims() as u32).to_le_bytes());
        bytes.extend((self.ids.len() as u32).to_le_bytes());
        for id in &self.ids {
            put(&mut bytes, id.as_bytes());
        }
        bytes.extend(self.halves.iter().flat_map(|h| h.to_le_bytes()));
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        write_synced(path, &bytes).map_err(|e| Error::internal("index.save", e))
    }

    /// Reads an index with its stamp; `None` when the file is missing, of another version, or damaged.
    #[must_use]
    pub fn load(path: &Path) -> Option<(Self, String)> {
        let bytes = fs::read(path).ok()?;
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
        if xxh3_64(body).to_le_bytes() != checksum {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let stamp = String::from_utf8(take_bytes(&mut rest)?.to_vec()).ok()?;
        let (dims, rows) = (take_u32(&mut rest)? as usize, take_u32(&mut rest)? as usize);
        let mut ids: Vec<Arc<str>> = Vec::new();
        for _ in 0..rows {
            ids.push(std::str::from_utf8(take_bytes(&mut rest)?).ok()?.into());
        }
        if rest.len() != rows.checked_mul(dims)?.checked_mul(2)? || dims == 0 {
            return None;
        }
        let mut index = FlatIndex::new(dims);
        for (id, row) in ids.into_iter().zip(rest.chunks_exact(dims * 2)) {
            let halves: Vec<u16> = row.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
            index.push_halves(id, &halves);
        }
        Some((index, stamp))
    }
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend((bytes.len() as u32).to_le_bytes());
    to.extend_from_slice(bytes);
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_le_bytes(*head))
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_u32(rest)? as usize;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // Two processes may save at the same time; each writes its own temporary file.
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
