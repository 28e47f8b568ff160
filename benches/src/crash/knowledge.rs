//! A child that ingests and deletes is killed again and again: what was acknowledged is found, what was deleted is
//! not, and the index answers exactly as one that is built anew from the store. After a compaction no byte of what was
//! deleted is left in a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use neonhub::knowledge::{
    CompactKnowledge, DeleteDocument, ListDocuments, SearchKnowledge, SearchResult, TextIndex,
};
use neonhub::{Hub, Scope};

use super::librarian::{self, DOCUMENTS, WORDS, mark};
use super::{Options, Victim};
use crate::Result;

/// A child is killed after so many lines at most ...
const MAX_LINES: u64 = 12;
/// ... and a pause of so many microseconds at most, which puts the kill anywhere inside a commit of store or index.
const MAX_PAUSE_US: u64 = 30_000;

/// Runs the check.
///
/// # Errors
/// Names the first answer that differs, and the first trace of something deleted.
pub(super) fn check(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("shelf.neon");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rng = options.rng();
    let mut book = Book::default();
    for kill in 0..options.kills {
        let mut command = Command::new(std::env::current_exe()?);
        let seed = options.seed.wrapping_mul(1_000) + kill;
        command.args(["--child", "librarian"]).arg(&path).arg(seed.to_string());
        let mut victim = Victim::start(command)?;
        victim.wait_for_lines(rng.below(MAX_LINES) as usize)?;
        let (lines, status) = victim.kill_after(Duration::from_micros(rng.below(MAX_PAUSE_US)))?;
        if status.code().is_some() {
            return Err(format!("child {kill} ended by itself with {status} instead of being killed").into());
        }
        for line in &lines {
            book.read(line)?;
        }
        runtime
            .block_on(book.compare(&path, folder.path()))
            .map_err(|e| format!("after kill {kill}: {e}"))?;
    }
    let gone = runtime.block_on(book.traces(&path))?;
    let bytes = book.bytes_gone(folder.path())?;
    println!(
        "{} kills: {} changes acknowledged, {} documents there, {gone} deleted texts in no index, {bytes} in no file",
        options.kills,
        book.acknowledged,
        book.now.len()
    );
    if options.kills >= 10 && (book.acknowledged < options.kills || gone == 0 || bytes == 0) {
        return Err("too few changes were acknowledged to say anything".into());
    }
    Ok(())
}

/// What the children did.
#[derive(Debug, Default)]
struct Book {
    /// Version of each document that is there.
    now: BTreeMap<u64, u64>,
    /// What a child began and may have done: the version, or none for a deletion.
    begun: BTreeMap<u64, Option<u64>>,
    /// Every version that ever was, also those that were only begun.
    ever: Vec<(u64, u64)>,
    acknowledged: u64,
}

impl Book {
    fn read(&mut self, line: &str) -> Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, document, version] = words.as_slice() else {
            return Err(format!("odd line: {line}").into());
        };
        let (document, version): (u64, u64) = (document.parse()?, version.parse()?);
        match *word {
            "try" => {
                self.begun.insert(document, Some(version));
                self.ever.push((document, version));
            }
            "cut" => {
                self.begun.insert(document, None);
            }
            _ => {
                match self.begun.remove(&document).flatten() {
                    Some(version) => self.now.insert(document, version),
                    None => self.now.remove(&document),
                };
                self.acknowledged += 1;
            }
        }
        Ok(())
    }

    /// Opens the store as the next process would and compares its answers with those of a new index.
    async fn compare(&mut self, path: &Path, folder: &Path) -> Result<()> {
        let (hub, scope) = librarian::open(path).await?;
        self.settle(&scope).await?;
        let answers = self.answers(&scope).await?;
        self.no_dead_marks(&answers)?;
        hub.close().await?;
        let copy = copy_store(path, &folder.join("copy"))?;
        let (hub, scope) = librarian::open(&copy).await?;
        let anew = self.answers(&scope).await?;
        hub.close().await?;
        std::fs::remove_dir_all(folder.join("copy"))?;
        for ((query, one), (_, two)) in answers.iter().zip(&anew) {
            if one != two {
                let (one, two) = (short(one), short(two));
                return Err(format!("`{query}` finds {one:?}, an index built anew finds {two:?}").into());
            }
        }
        Ok(())
    }

    /// Finds out what became of the change that the kill interrupted, and holds the rest against the book.
    async fn settle(&mut self, scope: &Scope) -> Result<()> {
        let mut written = Vec::new();
        for (document, begun) in std::mem::take(&mut self.begun) {
            let there = match begun {
                Some(version) => is_there(scope, document, version).await?.then_some(version),
                None => None,
            };
            written.extend(begun.map(|_| there.is_some()));
            let before = self.now.get(&document).copied();
            let before_holds = match before {
                Some(version) => is_there(scope, document, version).await?,
                None => false,
            };
            match (begun, there, before_holds) {
                (_, Some(version), false) => self.now.insert(document, version),
                (Some(_), None, held) if held == before.is_some() => before,
                (None, None, false) => self.now.remove(&document),
                (None, None, true) => before,
                _ => return Err(format!("document {document} is neither as before nor as begun").into()),
            };
        }
        if written.iter().any(|is_there| Some(is_there) != written.first()) {
            return Err("a call for several documents was done by half".into());
        }
        for document in 0..DOCUMENTS {
            if let Some(version) = self.now.get(&document)
                && !is_there(scope, document, *version).await?
            {
                return Err(format!("document {document} lost its acknowledged version").into());
            }
        }
        Ok(())
    }

    async fn answers(&self, scope: &Scope) -> Result<Vec<(String, SearchResult)>> {
        let marks = self.now.iter().map(|(document, version)| mark(*document, *version));
        let mut out = Vec::new();
        for query in WORDS.iter().map(|w| (*w).to_owned()).chain(marks) {
            let search = SearchKnowledge { k: Some(50), ..SearchKnowledge::of(query.clone()) };
            out.push((query, scope.call(search).await?));
        }
        Ok(out)
    }

    fn no_dead_marks(&self, answers: &[(String, SearchResult)]) -> Result<()> {
        for hit in answers.iter().flat_map(|(_, answer)| &answer.hits) {
            let document = number(&hit.name)?;
            let alive = self.now.get(&document).map(|version| mark(document, *version));
            if alive.is_none_or(|alive| !hit.text.contains(&alive)) {
                return Err(format!("a deleted or older text of document {document} was found").into());
            }
        }
        Ok(())
    }

    /// Deletes every second document, so that there is something to look for however few kills there were.
    async fn clear_half(&mut self, scope: &Scope) -> Result<()> {
        let list = ListDocuments { dataset: librarian::PLACE.into(), ..ListDocuments::default() };
        for there in scope.call(list).await?.items.into_iter().step_by(2) {
            self.now.remove(&number(&there.name)?);
            scope.call(DeleteDocument { document: there.id }).await?;
        }
        Ok(())
    }

    /// Compacts, and counts the deleted texts of which no index file holds a word.
    async fn traces(&mut self, path: &Path) -> Result<usize> {
        let (hub, scope): (Hub, Scope) = librarian::open(path).await?;
        self.clear_half(&scope).await?;
        let all = CompactKnowledge { restorable_days: Some(0), blob_grace_s: Some(0) };
        scope.call(all).await?;
        hub.close().await?;
        let mut index = path.as_os_str().to_owned();
        index.push(".index");
        let folder = text_folder(Path::new(&index))?.ok_or("the store has no index beside it")?;
        let text = TextIndex::open(Some(&folder))?;
        for (document, version) in &self.now {
            if !text.holds_term(&mark(*document, *version))? {
                return Err(format!("the index lacks document {document}: nothing is proved").into());
            }
        }
        let mut gone = 0;
        for (document, version) in &self.ever {
            if self.now.get(document) == Some(version) {
                continue;
            }
            if text.holds_term(&mark(*document, *version))? {
                return Err(
                    format!("a word of version {version} of document {document} is still in a file").into()
                );
            }
            gone += 1;
        }
        Ok(gone)
    }

    /// After a compaction: counts the texts of deleted documents that stand in no file, neither as a record nor as a
    /// blob. Older versions of documents that are there are kept for their readers.
    fn bytes_gone(&self, folder: &Path) -> Result<usize> {
        let files: Vec<Vec<u8>> = files(folder)?.iter().map(std::fs::read).collect::<std::io::Result<_>>()?;
        let stands = |mark: &str| files.iter().any(|f| f.windows(mark.len()).any(|w| w == mark.as_bytes()));
        let mut gone = 0;
        for (document, version) in &self.ever {
            let mark = mark(*document, *version);
            match self.now.get(document) {
                Some(now) if now == version && !stands(&mark) => {
                    return Err(format!("no file holds document {document}: nothing is proved").into());
                }
                None if stands(&mark) => {
                    return Err(
                        format!("a file holds version {version} of deleted document {document}").into()
                    );
                }
                None => gone += 1,
                Some(_) => {}
            }
        }
        Ok(gone)
    }
}

/// All files of a folder and of those in it.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            out.extend(files(&path)?);
        } else {
            out.push(path);
        }
    }
    Ok(out)
}

/// The number of a document by its name.
fn number(name: &str) -> Result<u64> {
    Ok(name.trim_end_matches(".md").parse()?)
}

async fn is_there(scope: &Scope, document: u64, version: u64) -> Result<bool> {
    let mark = mark(document, version);
    let found = scope.call(SearchKnowledge::of(format!("\"{mark}\""))).await?;
    Ok(found.hits.iter().any(|hit| hit.text.contains(&mark)))
}

fn short(answer: &SearchResult) -> Vec<(String, f32)> {
    answer.hits.iter().map(|hit| (hit.chunk.clone(), hit.score)).collect()
}

/// Copies the files of a store, and not its index.
fn copy_store(path: &Path, to: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(path.parent().ok_or("the store has no folder")?)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(to.join(path.file_name().ok_or("the store has no name")?))
}

/// The first folder named `text`.
fn text_folder(folder: &Path) -> Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.ends_with("text") {
            return Ok(Some(path));
        }
        if let Some(found) = text_folder(&path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
