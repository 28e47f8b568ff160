//! The files of the repository, as git sees them.

use std::path::{Path, PathBuf};

use crate::failure::{Doing, Result};
use crate::process::Process;

/// One text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Path from the repository root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Paths of all files that are tracked or would be tracked by `git add`, sorted.
pub(crate) fn paths(root: &Path) -> Result<Vec<String>> {
    let listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Process::new("git", root).args(listing).read()?;
    let mut paths: Vec<String> = listed
        .split('\0')
        .filter(|path| !path.is_empty() && root.join(path).is_file())
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// The text files among [`paths`]. Files that are not UTF-8 are left out: they are data.
pub(crate) fn texts(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths(root)? {
        let bytes = std::fs::read(root.join(&path)).doing(format!("read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

/// Paths of all files below a folder, relative to it and sorted. A missing folder is empty.
pub(crate) fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        if !next.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&next).doing(format!("list {}", next.display()))? {
            let path = entry.doing(format!("list {}", next.display()))?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                found.push(relative.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}
