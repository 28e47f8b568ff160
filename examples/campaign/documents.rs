//! The documents of a brand folder.

use std::path::{Path, PathBuf};

use neonhub::{Error, ErrorKind, Result};

/// Endings of the files that are documents; pictures and the like are passed over.
const ENDINGS: [&str; 7] = ["pdf", "docx", "md", "markdown", "html", "htm", "txt"];

/// A file of the brand folder.
pub(crate) struct BrandFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name below the folder, with `/` between folders on every system.
    pub(crate) name: String,
}

/// Every document below `folder`, by name, hidden ones aside.
pub(crate) fn below(folder: &Path) -> Result<Vec<BrandFile>> {
    let mut files = Vec::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((place, prefix)) = open.pop() {
        let fault = |cause: std::io::Error| {
            Error::new(
                ErrorKind::Unavailable,
                "campaign",
                "the brand folder cannot be read: check its rights",
            )
            .with_context("path", place.display())
            .with_source(cause)
        };
        for entry in std::fs::read_dir(&place).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let (path, name) = (entry.path(), format!("{prefix}{name}"));
            let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
            if entry.file_type().map_err(fault)?.is_dir() {
                open.push((path, format!("{name}/")));
            } else if ENDINGS.contains(&ending.as_str()) {
                files.push(BrandFile { path, name });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
