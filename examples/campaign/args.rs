//! What the user may say on the command line, and what holds when nothing is said.

use std::path::{Path, PathBuf};

use clap::Parser;
use neonhub::{Error, ErrorKind, Result, Timestamp};

/// The bundled example: a fictional coffee roaster.
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

/// One brief becomes a gated multi-channel campaign, offline, on one file.
#[derive(Debug, Parser)]
#[command(name = "campaign", version, after_help = "With no option at all it runs on bundled example data.")]
pub(crate) struct Args {
    /// Folder with the brand's documents: PDF, DOCX, Markdown, HTML and TXT, subfolders too
    #[arg(long, value_name = "DIR")]
    brand: Option<PathBuf>,
    /// The brief, a TOML file; copy the bundled examples/data/brief.toml to begin
    #[arg(long, value_name = "FILE.toml")]
    brief: Option<PathBuf>,
    /// The contacts, a CSV file with a header row
    #[arg(long, value_name = "FILE.csv")]
    contacts: Option<PathBuf>,
    /// Where records are kept [default: campaign.neon in the out folder]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Where results are written
    #[arg(long, value_name = "DIR", default_value = "campaign-out")]
    pub(crate) out: PathBuf,
    /// Fixes all chance: same inputs, seed and now give the same out folder
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The instant the campaign runs at [default: now]
    #[arg(long, value_name = "RFC3339")]
    now: Option<String>,
}

impl Args {
    /// The folder of brand documents.
    pub(crate) fn brand(&self) -> Result<PathBuf> {
        let folder = self.brand.clone().unwrap_or_else(|| Path::new(DATA).join("brand"));
        match std::fs::metadata(&folder) {
            Ok(found) if found.is_dir() => Ok(folder),
            Ok(_) => {
                Err(wrong("--brand", &folder, "is a file: give the folder that holds the brand's documents"))
            }
            Err(cause) => Err(unreadable("--brand", &folder, "give an existing folder of documents", cause)),
        }
    }

    /// The text of the brief.
    pub(crate) fn brief(&self) -> Result<String> {
        let file = self.brief.clone().unwrap_or_else(|| Path::new(DATA).join("brief.toml"));
        let bytes = std::fs::read(&file).map_err(|cause| {
            unreadable("--brief", &file, "copy examples/data/brief.toml and fill it in", cause)
        })?;
        String::from_utf8(bytes).map_err(|_| wrong("--brief", &file, "is not UTF-8 text: save it as UTF-8"))
    }

    /// The contacts file.
    pub(crate) fn contacts(&self) -> Result<PathBuf> {
        let file = self.contacts.clone().unwrap_or_else(|| Path::new(DATA).join("contacts.csv"));
        match std::fs::File::open(&file).and_then(|f| f.metadata()) {
            Ok(found) if found.is_file() => Ok(file),
            Ok(_) => Err(wrong("--contacts", &file, "is a folder: give a CSV file")),
            Err(cause) => Err(unreadable("--contacts", &file, "give a CSV file with a header row", cause)),
        }
    }

    /// Where records are kept.
    pub(crate) fn store(&self) -> String {
        self.store.clone().unwrap_or_else(|| self.out.join("campaign.neon").to_string_lossy().into_owned())
    }

    /// The instant to stand still at, or `None` for the clock of the machine.
    pub(crate) fn now(&self) -> Result<Option<Timestamp>> {
        self.now.as_deref().map(|text| Timestamp::parse("--now", text)).transpose()
    }
}

fn wrong(option: &'static str, path: &Path, message: &'static str) -> Error {
    Error::invalid("campaign", option, message).with_context("path", path.display())
}

fn unreadable(option: &'static str, path: &Path, cure: &str, cause: std::io::Error) -> Error {
    let kind = match cause.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        _ => ErrorKind::Unavailable,
    };
    let state = if kind == ErrorKind::NotFound { "does not exist" } else { "cannot be read" };
    Error::new(kind, "campaign", format!("{option} {state}: {cure}"))
        .with_context("path", path.display())
        .with_source(cause)
}
