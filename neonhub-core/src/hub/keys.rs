//! Where the root key comes from.

use std::path::{Path, PathBuf};

use super::builder::Home;
use crate::seal::RootKey;
use crate::{Error, ErrorKind, Result};

/// Name of the environment variable with the root key: 64 hex digits.
pub(super) const VARIABLE: &str = "NEONHUB_KEY";

/// The key of a store: given, from the environment, or from the file beside the store, made on first open.
pub(super) fn root_key(given: Option<RootKey>, home: &Home) -> Result<RootKey> {
    if let Some(key) = given {
        return Ok(key);
    }
    if let Ok(text) = std::env::var(VARIABLE) {
        return RootKey::from_hex(&text, VARIABLE);
    }
    match home {
        Home::Memory => RootKey::generate("memory"),
        Home::File(store) => from_file(&key_file(store)),
        Home::Server => Err(Error::new(
            ErrorKind::Config,
            "hub.open",
            format!(
                "a store on a server needs its root key: set {VARIABLE} to 64 hex digits, the same in every process"
            ),
        )),
    }
}

/// `campaign.neon` keeps its key in `campaign.neon.key`.
fn key_file(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

fn from_file(path: &Path) -> Result<RootKey> {
    let name = format!("file {}", path.file_name().unwrap_or_default().to_string_lossy());
    for _ in 0..2 {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                check_mode(path)?;
                return RootKey::from_hex(&text, name);
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                let key = RootKey::generate(name.clone())?;
                match create(path, key.to_hex().expose()) {
                    Ok(()) => return Ok(key),
                    // Another process was first: read its key.
                    Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(cause) => return Err(unusable(path, cause)),
                }
            }
            Err(cause) => return Err(unusable(path, cause)),
        }
    }
    Err(Error::new(ErrorKind::Config, "hub.open", "the key file appears and disappears")
        .with_context("file", name))
}

fn unusable(path: &Path, cause: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Config,
        "hub.open",
        format!(
            "the key file cannot be used: check its folder and rights, or set {VARIABLE} to 64 hex digits"
        ),
    )
    .with_context("file", path.display())
    .with_source(cause)
}

/// Written whole under another name first, so that a crash never leaves half a key.
fn create(path: &Path, hex: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(hex.as_bytes())?;
    file.sync_all()?;
    // A hard link fails when the name is taken, a rename would replace another process's key.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    linked
}

#[cfg(unix)]
fn check_mode(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map_err(|cause| unusable(path, cause))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, "hub.open", "the key file may be read by others: run chmod 600 on it")
        .with_context("file", path.display()))
}

#[cfg(not(unix))]
fn check_mode(_path: &Path) -> Result<()> {
    Ok(())
}
