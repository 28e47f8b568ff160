//! A vector index as a file: a cache that is thrown away when a byte of it is wrong.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use neonhub_core::{Error, Result};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::adaptive::Form;
use super::graph::Links;
use super::rows::{Exact, Rows, quantise};
use super::{AdaptiveIndex, FlatIndex, GraphIndex, VectorStorage, from_half};

/// Name and version of the format.
const MAGIC: &[u8; 8] = b"NEONVX02";
/// The slot of nothing.
const NONE: u32 = u32::MAX;

impl AdaptiveIndex {
    /// Writes the index beside its `stamp` (what it was built from), to a temporary file that is synced and
    /// then renamed: a reader sees the old file or the new one. Removed vectors are not written.
    ///
    /// # Errors
    /// `Internal` with the cause when the file cannot be written.
    pub fn save(&self, path: &Path, stamp: &str) -> Result<()> {
        write_synced(path, |out| {
            out.put_raw(MAGIC)?;
            out.put(stamp.as_bytes())?;
            match &self.form {
                Form::Flat(flat) => put_rows(out, &flat.rows),
                Form::Graph(graph) => {
                    let mut graph = graph.clone();
                    super::VectorIndex::compact(graph.as_mut());
                    put_rows(out, &graph.rows)?;
                    put_links(out, &graph.links)
                }
            }
        })
        .map_err(|e| Error::internal("index.save", e))
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
        let rows = take_rows(&mut rest)?;
        let form = if rest.is_empty() {
            Form::Flat(FlatIndex { rows })
        } else {
            let links = take_links(&mut rest, rows.slots())?;
            Form::Graph(Box::new(GraphIndex::from_parts(rows, links)))
        };
        rest.is_empty().then(|| (Self::from_form(form), stamp))
    }
}

/// The file while it is written, with the checksum of what is in it.
struct Out {
    file: BufWriter<File>,
    sum: Xxh3,
}

impl Out {
    fn put_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.file.write_all(bytes)
    }

    /// Bytes after their number.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put_u32(bytes.len())?;
        self.put_raw(bytes)
    }

    fn put_u32(&mut self, number: usize) -> io::Result<()> {
        self.put_raw(&u32::try_from(number).unwrap_or(NONE).to_le_bytes())
    }

    /// Numbers, some thousand at a time: the whole of a large index would be in memory once more.
    fn put_numbers<const N: usize, T: Copy>(
        &mut self,
        numbers: &[T],
        write: fn(T) -> [u8; N],
    ) -> io::Result<()> {
        numbers.chunks(8 * 1024).try_for_each(|some| {
            let bytes: Vec<u8> = some.iter().flat_map(|number| write(*number)).collect();
            self.put_raw(&bytes)
        })
    }
}

fn put_rows(to: &mut Out, rows: &Rows) -> io::Result<()> {
    to.put_u32(rows.dims())?;
    to.put_u32(rows.slots())?;
    for id in &rows.ids {
        to.put(id.as_deref().unwrap_or_default().as_bytes())?;
    }
    match &rows.exact {
        Exact::None => {
            to.put_raw(&[0])?;
            to.put_numbers(&rows.codes, |code| [code.cast_unsigned()])?;
            to.put_numbers(&rows.scales, f32::to_le_bytes)
        }
        Exact::Half(halves) => {
            to.put_raw(&[1])?;
            to.put_numbers(halves, u16::to_le_bytes)
        }
        Exact::Full(values) => {
            to.put_raw(&[2])?;
            to.put_numbers(values, f32::to_le_bytes)
        }
    }
}

fn take_rows(rest: &mut &[u8]) -> Option<Rows> {
    let (dims, slots) = (take_u32(rest)? as usize, take_u32(rest)? as usize);
    if dims == 0 {
        return None;
    }
    let mut ids: Vec<Option<Arc<str>>> = Vec::new();
    for _ in 0..slots {
        let id = std::str::from_utf8(take_bytes(rest)?).ok()?;
        ids.push(Some(id.into()).filter(|_| !id.is_empty()));
    }
    let (storage, values) = (take(rest, 1)?.first().copied()?, slots.checked_mul(dims)?);
    let mut rows = match storage {
        0 => {
            let mut rows = Rows::new(dims, VectorStorage::Int8);
            rows.codes = take(rest, values)?.iter().map(|b| b.cast_signed()).collect();
            rows.scales = numbers(take(rest, slots.checked_mul(4)?)?, f32::from_le_bytes);
            rows
        }
        1 => {
            let halves = numbers(take(rest, values.checked_mul(2)?)?, u16::from_le_bytes);
            let mut rows = Rows::new(dims, VectorStorage::F16);
            requantise(&mut rows, &halves, from_half);
            rows.exact = Exact::Half(halves);
            rows
        }
        2 => {
            let full: Vec<f32> = numbers(take(rest, values.checked_mul(4)?)?, f32::from_le_bytes);
            let mut rows = Rows::new(dims, VectorStorage::F32);
            requantise(&mut rows, &full, |value| value);
            rows.exact = Exact::Full(full);
            rows
        }
        _ => return None,
    };
    rows.ids = ids;
    rows.relist();
    Some(rows)
}

fn requantise<T: Copy>(rows: &mut Rows, values: &[T], number: fn(T) -> f32) {
    rows.codes.reserve_exact(values.len());
    for row in values.chunks_exact(rows.dims()) {
        let row: Vec<f32> = row.iter().map(|value| number(*value)).collect();
        let (codes, scale) = quantise(&row);
        rows.codes.extend(codes);
        rows.scales.push(scale);
    }
}

fn put_links(to: &mut Out, links: &Links) -> io::Result<()> {
    to.put_u32(links.width())?;
    to.put_raw(&links.entry.unwrap_or(NONE).to_le_bytes())?;
    to.put(&links.levels)?;
    to.put(&links.counts)?;
    to.put_numbers(&links.ground, u32::to_le_bytes)?;
    to.put_u32(links.upper.len())?;
    for (slot, lists) in &links.upper {
        to.put_raw(&slot.to_le_bytes())?;
        to.put_u32(lists.len())?;
        for list in lists {
            to.put_u32(list.len())?;
            to.put_numbers(list, u32::to_le_bytes)?;
        }
    }
    Ok(())
}

fn take_links(rest: &mut &[u8], slots: usize) -> Option<Links> {
    let width = take_u32(rest)? as usize;
    let fits = |slot: &u32| (*slot as usize) < slots;
    let entry = Some(take_u32(rest)?).filter(|e| *e != NONE);
    let mut links = Links::new(width);
    links.levels = take_bytes(rest)?.to_vec();
    links.counts = take_bytes(rest)?.to_vec();
    let places = links.levels.len().checked_mul(width)?.checked_mul(8)?;
    links.ground = numbers(take(rest, places)?, u32::from_le_bytes);
    for _ in 0..take_u32(rest)? {
        let (slot, lists) = (take_u32(rest)?, take_u32(rest)?);
        let lists: Option<Vec<Vec<u32>>> = (0..lists).map(|_| take_slots(rest)).collect();
        links.upper.insert(slot, lists?);
    }
    links.entry = entry;
    // The checksum fits, so a slot out of range is a fault of the writer; it must not be walked over.
    let is_whole = (4..=64).contains(&width)
        && links.levels.len() <= slots
        && links.counts.len() == links.levels.len()
        && links.counts.iter().all(|c| usize::from(*c) <= width * 2)
        && links.entry.iter().chain(&links.ground).chain(links.upper.values().flatten().flatten()).all(fits);
    is_whole.then_some(links)
}

fn take_slots(rest: &mut &[u8]) -> Option<Vec<u32>> {
    let len = take_u32(rest)? as usize;
    Some(numbers(take(rest, len.checked_mul(4)?)?, u32::from_le_bytes))
}

fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|b| read(*b)).collect()
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_le_bytes(*head))
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_u32(rest)? as usize;
    take(rest, len)
}

fn write_synced(path: &Path, write: impl FnOnce(&mut Out) -> io::Result<()>) -> io::Result<()> {
    // Two processes may save at the same time; each writes its own temporary file.
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = File::create(&temporary).and_then(|file| {
        let mut out = Out { file: BufWriter::new(file), sum: Xxh3::new() };
        write(&mut out)?;
        let sum = out.sum.digest();
        out.file.write_all(&sum.to_le_bytes())?;
        out.file.into_inner()?.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
