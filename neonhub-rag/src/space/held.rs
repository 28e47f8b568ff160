//! Which documents an index holds, and the file that says so.
//!
//! A change adds one line to the file, so that it costs what it changes and not what there is. Each commit of the words
//! names the file, how far it is true, and its checksum up to there. Notes may follow: they say up to which commit of the
//! feed nothing changed. What does not fit together is not read: the index is then built from the records.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use neonhub_core::{Error, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::feed::Place;

/// What the names of the files begin with.
const PREFIX: &str = "documents.";
/// Commits of the feed from one note to the next.
const NOTE_EVERY: u64 = 200;
/// Lines beyond the number of documents from which a file is begun anew.
const SPARE_LINES: usize = 1_000;

/// What an index holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    /// The place of the feed whose documents these are; none while they are on their way there.
    pub(super) at: Option<Place>,
    /// Embedder of the vectors.
    pub(super) embedder: String,
    /// Content hash and number of chunks by document.
    pub(super) documents: BTreeMap<String, (String, u32)>,
}

/// Documents that go, and then documents that come: a line of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldChange {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) out: Vec<String>,
    #[serde(default, rename = "in", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) put: BTreeMap<String, (String, u32)>,
    /// In a note: the commit of the feed up to which nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<Place>,
}

impl Held {
    /// Changes what is held. Gives the change that takes it back.
    pub(super) fn apply(&mut self, change: HeldChange) -> HeldChange {
        let mut back = HeldChange::default();
        for id in change.out {
            if let Some(entry) = self.documents.remove(&id) {
                back.put.insert(id, entry);
            }
        }
        for (id, entry) in change.put {
            if let Some(before) = self.documents.insert(id.clone(), entry) {
                back.put.insert(id.clone(), before);
            }
            back.out.push(id);
        }
        back
    }
}

/// What a commit of the words says about the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    at: Option<Place>,
    embedder: String,
    file: String,
    bytes: u64,
    sum: u64,
}

/// The file of this process. Each process begins one of its own, so that two never write into one.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    at: Option<Position>,
    /// The file that was found, for notes until this process begins its own.
    found: Option<String>,
    /// Position of the feed that a file last spoke of.
    noted: u64,
}

#[derive(Clone, Debug)]
struct Position {
    file: String,
    bytes: u64,
    sum: u64,
    lines: usize,
    /// True when no other file is left.
    is_alone: bool,
}

impl Journal {
    /// One that is begun with the first change, after the one that the commit with this stamp names.
    pub(super) fn new(folder: &Path, found: Option<&str>) -> Self {
        let found = found.and_then(|stamp| serde_json::from_str::<Stamp>(stamp).ok());
        let noted = found.as_ref().and_then(|stamp| stamp.at).map_or(0, |at| at.seq);
        Self { folder: folder.to_owned(), at: None, found: found.map(|stamp| stamp.file), noted }
    }

    /// What the index held at the commit with this stamp; `None` when the file does not say so.
    pub(super) fn read(folder: &Path, stamp: &str) -> Option<Held> {
        let stamp: Stamp = serde_json::from_str(stamp).ok()?;
        if !stamp.file.starts_with(PREFIX) || stamp.file.contains(['/', '\\']) {
            return None;
        }
        let bytes = fs::read(folder.join(&stamp.file)).ok()?;
        let (told, later) = bytes.split_at_checked(usize::try_from(stamp.bytes).ok()?)?;
        let mut held = Held { at: stamp.at, embedder: stamp.embedder, ..Held::default() };
        let mut sum = 0;
        for line in told.split_inclusive(|byte| *byte == b'\n') {
            sum = xxh3_64_with_seed(line, sum);
            held.apply(serde_json::from_slice(line).ok()?);
        }
        // A change that follows belongs to a commit that never came.
        for line in later.split(|byte| *byte == b'\n') {
            let Ok(HeldChange { note: Some(at), .. }) = serde_json::from_slice(line) else { break };
            held.at = held.at.and(Some(at));
        }
        (sum == stamp.sum).then_some(held)
    }

    /// Writes down the change that leads to `held`. Gives the stamp of the commit that brings it.
    ///
    /// # Errors
    /// `Internal` with the cause when the file cannot be written.
    pub(super) fn write(&mut self, held: &Held, change: &HeldChange) -> Result<String> {
        let fault = |cause: io::Error| Error::internal("knowledge.index", cause);
        let last = self.at.take().filter(|at| at.lines < held.documents.len() + SPARE_LINES);
        let appended = match last {
            Some(at) => self.append(at, &line(change)?).map_err(fault)?,
            None => None,
        };
        let at = match appended {
            Some(at) => at,
            None => {
                let all = HeldChange { put: held.documents.clone(), ..HeldChange::default() };
                self.begin(&line(&all)?).map_err(fault)?
            }
        };
        let stamp = Stamp {
            at: held.at,
            embedder: held.embedder.clone(),
            file: at.file.clone(),
            bytes: at.bytes,
            sum: at.sum,
        };
        self.noted = held.at.map_or(0, |at| at.seq);
        // Of the other file's commit it is not true any more that nothing changed.
        self.found = None;
        self.at = Some(at);
        serde_json::to_string(&stamp).map_err(|e| Error::internal("knowledge.index", e))
    }

    /// Writes down that nothing changed up to a commit of the feed, when the last word on it is long ago. Without it the
    /// next start has more to read.
    pub(super) fn note(&mut self, at: Place) {
        if at.seq.saturating_sub(self.noted) < NOTE_EVERY {
            return;
        }
        self.noted = at.seq;
        let Ok(line) = line(&HeldChange { note: Some(at), ..HeldChange::default() }) else { return };
        if let Some(last) = self.at.take() {
            self.at = self.append(last, &line).ok().flatten();
        } else if let Some(found) = &self.found {
            // Others may write notes into it too: each is true, whatever stands around it.
            let file = File::options().append(true).open(self.folder.join(found));
            let _ = file.and_then(|mut file| file.write_all(&line));
        }
    }

    /// Begins anew with the next change: the commit of the last one failed.
    pub(super) fn forget(&mut self) {
        self.at = None;
    }

    /// `None` when the file is not as this process left it.
    fn append(&self, at: Position, line: &[u8]) -> io::Result<Option<Position>> {
        let mut file = match File::options().append(true).open(self.folder.join(&at.file)) {
            Ok(file) if file.metadata()?.len() == at.bytes => file,
            Ok(_) => return Ok(None),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause),
        };
        file.write_all(line)?;
        let (bytes, lines) = (at.bytes + line.len() as u64, at.lines + 1);
        Ok(Some(Position { sum: xxh3_64_with_seed(line, at.sum), bytes, lines, ..at }))
    }

    fn begin(&self, line: &[u8]) -> io::Result<Position> {
        for number in 0_u64.. {
            let file = format!("{PREFIX}{}.{number}", std::process::id());
            match File::options().write(true).create_new(true).open(self.folder.join(&file)) {
                Ok(mut new) => {
                    new.write_all(line)?;
                    let (bytes, sum) = (line.len() as u64, xxh3_64_with_seed(line, 0));
                    return Ok(Position { file, bytes, sum, lines: 1, is_alone: false });
                }
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(cause),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes the files that no commit names any more: all but that of the commit just made. A process that misses its
    /// own begins another one.
    pub(super) fn tidy(&mut self) {
        let Some(at) = self.at.as_mut().filter(|at| !at.is_alone) else { return };
        at.is_alone = true;
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name != at.file) {
                // One that stays is removed the next time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn line(change: &HeldChange) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(change).map_err(|e| Error::internal("knowledge.index", e))?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(out: &[&str], put: &[(&str, u32)]) -> HeldChange {
        HeldChange {
            out: out.iter().map(|id| (*id).to_owned()).collect(),
            put: put.iter().map(|(id, chunks)| ((*id).to_owned(), (format!("h{chunks}"), *chunks))).collect(),
            note: None,
        }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_change_can_be_taken_back() {
        let mut held = Held::default();
        held.apply(change(&[], &[("a", 1), ("b", 2)]));
        let before = held.clone();
        let back = held.apply(change(&["a", "x"], &[("b", 3), ("c", 4)]));
        assert_eq!(held.documents.keys().collect::<Vec<_>>(), ["b", "c"]);
        held.apply(back);
        assert_eq!(held, before);
    }

    #[test]
    fn a_stamp_reads_what_was_held_then_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, mut held) = (
            Journal::new(folder.path(), None),
            Held { at: Some(Place { seq: 7, mark: 8 }), ..Held::default() },
        );
        let mut stamps = Vec::new();
        for step in [change(&[], &[("a", 1)]), change(&[], &[("b", 2)]), change(&["a"], &[("b", 3)])] {
            held.apply(step.clone());
            stamps.push((journal.write(&held, &step).unwrap(), held.clone()));
            journal.tidy();
        }
        for (stamp, held) in &stamps {
            assert!(stamp.len() < 200, "a stamp does not grow: {stamp}");
            assert_eq!(Journal::read(folder.path(), stamp).as_ref(), Some(held));
        }
        assert_eq!(files(folder.path()).len(), 1);

        // Another process, and one whose file was touched, begin a file of their own.
        let mut other = Journal::new(folder.path(), None);
        let step = change(&[], &[("c", 4)]);
        held.apply(step.clone());
        let stamp = other.write(&held, &step).unwrap();
        other.tidy();
        assert_eq!(Journal::read(folder.path(), &stamp).as_ref(), Some(&held));
        assert_eq!(Journal::read(folder.path(), &stamps[2].0), None, "its file is gone");
        let step = change(&["c"], &[]);
        held.apply(step.clone());
        let stamp = journal.write(&held, &step).unwrap();
        assert_eq!(Journal::read(folder.path(), &stamp).as_ref(), Some(&held));
        assert_eq!(Journal::read(folder.path(), "{}"), None);
        for path in files(folder.path()) {
            let mut bytes = fs::read(&path).unwrap();
            bytes[3] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        assert_eq!(Journal::read(folder.path(), &stamp), None);
    }

    #[test]
    fn a_note_moves_the_place_and_only_right_behind_its_commit() {
        let folder = tempfile::tempdir().unwrap();
        let place = |seq| Some(Place { seq, mark: seq + 1 });
        let (mut journal, mut held) =
            (Journal::new(folder.path(), None), Held { at: place(7), ..Held::default() });
        let step = change(&[], &[("a", 1)]);
        held.apply(step.clone());
        let stamp = journal.write(&held, &step).unwrap();
        let at = |stamp: &str| Journal::read(folder.path(), stamp).unwrap().at;
        journal.note(place(8).unwrap());
        assert_eq!(at(&stamp), place(7), "a note so soon is not worth it");
        journal.note(place(500).unwrap());
        assert_eq!(at(&stamp), place(500));
        // Another process that changes nothing.
        Journal::new(folder.path(), Some(&stamp)).note(place(900).unwrap());
        assert_eq!(at(&stamp), place(900));
        assert_eq!(Journal::read(folder.path(), &stamp).unwrap().documents, held.documents);
        // One whose change has not come to a commit, and then failed.
        let mut other = Journal::new(folder.path(), Some(&stamp));
        other.write(&held, &HeldChange::default()).unwrap();
        other.forget();
        other.note(place(5_000).unwrap());
        assert_eq!(at(&stamp), place(900));

        // A change whose commit never came, and a note about what it made.
        let mut journal = Journal::new(folder.path(), None);
        let stamp = journal.write(&held, &HeldChange::default()).unwrap();
        held.at = place(1_000);
        let step = change(&["a"], &[]);
        held.apply(step.clone());
        let later = journal.write(&held, &step).unwrap();
        journal.note(place(2_000).unwrap());
        assert_eq!((at(&stamp), at(&later)), (place(7), place(2_000)));
        held.at = None;
        let on_its_way = journal.write(&held, &change(&[], &[("b", 1)])).unwrap();
        journal.note(place(3_000).unwrap());
        assert_eq!(at(&on_its_way), None, "what was on its way nowhere stays so");
    }

    #[test]
    fn a_file_of_many_changes_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, mut held) = (Journal::new(folder.path(), None), Held::default());
        let mut stamp = String::new();
        for n in 0..SPARE_LINES as u32 + 10 {
            let step = change(&[], &[("a", n)]);
            held.apply(step.clone());
            stamp = journal.write(&held, &step).unwrap();
            journal.tidy();
        }
        assert_eq!(Journal::read(folder.path(), &stamp), Some(held));
        let files = files(folder.path());
        assert_eq!(files.len(), 1);
        assert!(fs::metadata(&files[0]).unwrap().len() < 2_000);
    }
}
