//! Reading the file beside the commits: a thread of its own parses ahead, at most two pages.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use neonhub_core::{Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::PAGE_ROWS;
use super::make::Maker;
use crate::people::csv::{ContactReader, Encoding, ReadOptions, RowFault};
use crate::people::engine::Intent;
use crate::people::hash;

const OPERATION: &str = "people.import.start";
/// Pages read ahead.
const AHEAD: usize = 2;
/// A page ends early when its rows hold this much, so that a file of huge rows stays within bounded memory.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Where contacts come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File(PathBuf),
    Text(std::sync::Arc<str>),
}

/// What the header says.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) key: String,
    pub(super) delimiter: char,
    pub(super) missing: Vec<String>,
}

/// A row read and made ready.
#[derive(Debug)]
pub(super) struct MadeRow {
    pub(super) row: u64,
    pub(super) line: u64,
    pub(super) faults: Vec<RowFault>,
    /// What to do; none for a rejected row.
    pub(super) intent: Option<Intent>,
}

impl MadeRow {
    /// About how much memory the row takes beyond its fixed parts.
    fn weight(&self) -> usize {
        let Some(intent) = &self.intent else { return 0 };
        let traits: usize = intent.fields.traits.iter().map(|(_, v)| v.as_str().map_or(0, str::len)).sum();
        let texts: usize = intent.consents.iter().filter_map(|c| c.text.as_ref()).map(|t| t.body.len()).sum();
        traits + texts
    }
}

/// A page read ahead.
#[derive(Debug)]
pub(super) struct ReadPage {
    pub(super) rows: Vec<MadeRow>,
    pub(super) encoding: Encoding,
    /// True when the file ends behind it.
    is_last: bool,
}

type Reader = ContactReader<Box<dyn Read + Send>>;

impl Source {
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        match self {
            Source::File(path) => open_file(path).map(|f| Box::new(f) as Box<dyn Read + Send>),
            Source::Text(text) => Ok(Box::new(Cursor::new(text.as_bytes().to_vec()))),
        }
    }

    /// Name of the file for the job.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Source::File(path) => path.file_name().map(|n| n.to_string_lossy().into_owned()),
            Source::Text(_) => None,
        }
    }

    /// Hashes content and settings and reads the header, so that a file that cannot be read starts nothing.
    pub(super) async fn head(&self, options: &ReadOptions, settings: String) -> Result<Head> {
        let (source, options) = (self.clone(), options.clone());
        blocking(move || {
            let mut digest = Sha256::new();
            let mut content = source.open()?;
            let mut chunk = vec![0; 256 * 1024];
            loop {
                let read = content.read(&mut chunk).map_err(unreadable)?;
                let Some(bytes) = chunk.get(..read).filter(|b| !b.is_empty()) else { break };
                digest.update(bytes);
            }
            digest.update(settings.as_bytes());
            let reader = Reader::open(source.open()?, &options)?;
            Ok(Head {
                key: hash::hex(&digest.finalize()),
                delimiter: reader.delimiter(),
                missing: reader.columns().missing().iter().map(|c| (*c).to_owned()).collect(),
            })
        })
        .await
    }

    /// Reads pages from the first row on.
    pub(super) fn pages(&self, options: &ReadOptions, mut maker: Maker) -> mpsc::Receiver<Result<ReadPage>> {
        let (send, receive) = mpsc::channel(AHEAD);
        let (source, options) = (self.clone(), options.clone());
        tokio::task::spawn_blocking(move || {
            let mut reader = match source.open().and_then(|s| Reader::open(s, &options)) {
                Ok(reader) => reader,
                Err(error) => return drop(send.blocking_send(Err(error))),
            };
            loop {
                let page = next_page(&mut reader, &mut maker);
                let is_last = page.as_ref().map_or(true, |p| p.is_last);
                // Nobody waits any more: the import was stopped.
                if send.blocking_send(page).is_err() || is_last {
                    return;
                }
            }
        });
        receive
    }
}

fn next_page(reader: &mut Reader, maker: &mut Maker) -> Result<ReadPage> {
    let mut rows = Vec::with_capacity(PAGE_ROWS);
    let (mut weight, mut is_last) = (0, false);
    while rows.len() < PAGE_ROWS && weight < PAGE_BYTES {
        match reader.next_row()? {
            Some(row) => rows.push(maker.make(row)?),
            None => {
                is_last = true;
                break;
            }
        }
        weight += rows.last().map_or(0, MadeRow::weight);
    }
    Ok(ReadPage { rows, encoding: reader.encoding(), is_last })
}

fn open_file(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(Error::invalid(OPERATION, "path", "expected a file, this is a folder"));
    }
    Ok(file)
}

fn unreadable(cause: std::io::Error) -> Error {
    let (kind, message) = match cause.kind() {
        std::io::ErrorKind::NotFound => {
            (ErrorKind::NotFound, "there is no such contacts file: check the path")
        }
        std::io::ErrorKind::PermissionDenied => {
            (ErrorKind::Config, "the contacts file may not be read: check its permissions")
        }
        _ => (ErrorKind::Unavailable, "the contacts file cannot be read"),
    };
    Error::new(kind, OPERATION, message).with_source(cause)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(cause) => Err(Error::internal(OPERATION, cause)),
    }
}
