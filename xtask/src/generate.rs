//! `cargo xtask generate`: the typed surfaces of the languages, written from the operation catalogue.
//!
//! The program `neonhub-catalogue` of the shared binding crate prints the catalogue as JSON; one file per language
//! below turns it into source text. The texts are committed, and `--check` fails when one of them is stale.

mod catalogue;
mod contract;
mod examples;
mod kotlin;
mod names;
mod node;
mod prose;
mod python;
mod shapes;
mod spaces;
mod swift;
mod uniffi;

use std::collections::BTreeSet;
use std::path::Path;

pub(crate) use catalogue::Catalogue;

use crate::failure::{Doing, Failure, Result};
use crate::process::Process;
use crate::sources;
use crate::steps::with_table;
use crate::workspace::Workspace;

/// Program that prints the catalogue.
const CATALOGUE_PROGRAM: &str = "neonhub-catalogue";

/// Mark that the first lines of every generated file carry. Written apart, since this file is not generated.
const MARK: &str = concat!("@gener", "ated by `cargo xtask generate`");

/// How many lines from the top the mark may stand.
const MARK_LINES: usize = 5;

/// Turns the catalogue into files.
type Writer = fn(&Catalogue) -> Result<Vec<GeneratedFile>>;

/// Every language with a generated surface, and what they share.
const WRITERS: [Writer; 5] = [contract::files, kotlin::files, node::files, python::files, swift::files];

/// One generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GeneratedFile {
    /// Path from the repository root, with `/`.
    path: String,
    text: String,
}

impl GeneratedFile {
    /// A file whose first line is the mark behind the language's comment sign, for example `#`.
    pub(crate) fn new(path: impl Into<String>, comment: &str, body: &str) -> Self {
        Self { path: path.into(), text: format!("{comment} {MARK}; do not edit.\n{body}") }
    }
}

/// What to do with the generated text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write every file that differs, and remove what is generated no more.
    Write,
    /// Write nothing and fail when a file differs.
    Check,
}

/// Runs the task.
pub(crate) fn main(options: &[String]) -> Result<()> {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (mode, builds) = match options.as_slice() {
        [] => (Mode::Write, true),
        ["--check"] => (Mode::Check, true),
        // For work on the generator itself: takes the catalogue program that is there.
        ["--no-build"] => (Mode::Write, false),
        _ => return Err(Failure::new("`generate` takes no option but `--check` and `--no-build`")),
    };
    let workspace = Workspace::load()?;
    with_table(|steps| {
        if builds {
            steps.run("programs and examples", 300, || workspace.build_programs())?;
        }
        steps.run("generated files", 10, || run(&workspace, mode))
    })
}

/// Generates everything with the catalogue program that [`Workspace::build_programs`] made.
pub(crate) fn run(workspace: &Workspace, mode: Mode) -> Result<()> {
    let catalogue = read_catalogue(workspace)?;
    let mut files = Vec::new();
    for write in WRITERS {
        files.extend(write(&catalogue)?);
    }
    files.extend(uniffi::files(workspace)?);
    let stale = stale(&workspace.root, &files)?;
    println!("{} operations, {} files, {} stale", catalogue.operations.len(), files.len(), stale.len());
    match mode {
        Mode::Check if stale.is_empty() => Ok(()),
        Mode::Check => {
            stale.iter().for_each(|change| println!("  {}", change.describe()));
            Err(Failure::new(
                "generated files are stale: run `cargo xtask generate` and commit what it writes",
            ))
        }
        Mode::Write => stale.iter().try_for_each(|change| change.apply(&workspace.root)),
    }
}

fn read_catalogue(workspace: &Workspace) -> Result<Catalogue> {
    let program = workspace.program(CATALOGUE_PROGRAM);
    if !program.exists() {
        return Err(Failure::new(format!(
            "no program `{CATALOGUE_PROGRAM}`: neonhub-ffi must have a binary of it"
        )));
    }
    let catalogue: Catalogue = serde_json::from_str(&Process::new(program, &workspace.root).read()?)?;
    if catalogue.operations.is_empty() {
        return Err(Failure::new("the catalogue holds no operation"));
    }
    Ok(catalogue)
}

/// One difference between what is generated and what is there.
#[derive(Debug, PartialEq, Eq)]
enum Change<'a> {
    Write(&'a GeneratedFile),
    Remove(String),
}

impl Change<'_> {
    fn describe(&self) -> String {
        match self {
            Self::Write(file) => format!("differs: {}", file.path),
            Self::Remove(path) => format!("generated no more: {path}"),
        }
    }

    fn apply(&self, root: &Path) -> Result<()> {
        println!("  {}", self.describe());
        match self {
            Self::Remove(path) => std::fs::remove_file(root.join(path)).doing(format!("remove {path}")),
            Self::Write(file) => {
                let path = root.join(&file.path);
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).doing(format!("make {}", folder.display()))?;
                }
                std::fs::write(path, &file.text).doing(format!("write {}", file.path))
            }
        }
    }
}

/// Whether a text carries the mark of generated files.
pub(crate) fn is_generated(text: &str) -> bool {
    text.lines().take(MARK_LINES).any(|line| line.contains(MARK))
}

fn stale<'a>(root: &Path, files: &'a [GeneratedFile]) -> Result<Vec<Change<'a>>> {
    let mut changes = Vec::new();
    for file in files {
        let path = root.join(&file.path);
        let there = if path.exists() {
            Some(std::fs::read(&path).doing(format!("read {}", file.path))?)
        } else {
            None
        };
        if there.as_deref() != Some(file.text.as_bytes()) {
            changes.push(Change::Write(file));
        }
    }
    let generated: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for source in sources::texts(root)? {
        if is_generated(&source.text) && !generated.contains(source.path.as_str()) {
            changes.push(Change::Remove(source.path));
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty repository in the target folder, removed when dropped.
    struct Repository(std::path::PathBuf);

    impl Repository {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-generate-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Process::new("git", &folder).args(["init", "--quiet"]).run().unwrap();
            Self(folder)
        }
    }

    impl Drop for Repository {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn changed_missing_and_left_over_files_are_stale() {
        let repository = Repository::new("stale");
        let file = |name: &str, body: &str| GeneratedFile::new(name, "#", body);
        let before = [file("same.py", "a\n"), file("changed.py", "old\n"), file("gone.py", "x\n")];
        before.iter().for_each(|file| Change::Write(file).apply(&repository.0).unwrap());
        std::fs::write(repository.0.join("by-hand.py"), "y\n").unwrap();

        let after = [file("same.py", "a\n"), file("changed.py", "new\n"), file("folder/new.py", "z\n")];
        let changes = stale(&repository.0, &after).unwrap();
        let expected =
            [Change::Write(&after[1]), Change::Write(&after[2]), Change::Remove("gone.py".to_owned())];
        assert_eq!(changes, expected);

        changes.iter().for_each(|change| change.apply(&repository.0).unwrap());
        assert_eq!(stale(&repository.0, &after).unwrap(), []);
        assert!(repository.0.join("by-hand.py").exists());
    }
}
