//! Where a store lives, by its URL, and whose key it has when none is given.

use std::path::PathBuf;
use std::sync::Arc;

use super::KEY_VARIABLE;
use crate::seal::RootKey;
use crate::store::{MemoryStore, SharedStore};
use crate::vault::{EnvKey, FileKey, FixedKey, KeyProvider};
use crate::{Error, ErrorKind, Result};

/// Where a store turned out to live.
pub(in crate::hub) enum Home {
    Memory,
    File(PathBuf),
    /// The path that names the store on this machine.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "this build opens no server"))]
    Server(PathBuf),
}

impl Home {
    pub(super) fn location(&self) -> Option<PathBuf> {
        match self {
            Home::File(path) => Some(path.clone()),
            Home::Memory | Home::Server(_) => None,
        }
    }

    pub(super) fn beside(self) -> Option<PathBuf> {
        match self {
            Home::File(path) | Home::Server(path) => Some(path),
            Home::Memory => None,
        }
    }
}

/// The root key's provider when none is given.
pub(super) fn default_key(home: &Home) -> Result<Arc<dyn KeyProvider>> {
    if std::env::var_os(KEY_VARIABLE).is_some() {
        return Ok(Arc::new(EnvKey::new(KEY_VARIABLE)));
    }
    match home {
        Home::Memory => Ok(Arc::new(FixedKey(RootKey::generate("memory")?))),
        Home::File(store) => Ok(Arc::new(FileKey::beside(store))),
        Home::Server(_) => Err(Error::new(
            ErrorKind::Config,
            "hub.open",
            format!(
                "a store on a server needs its root key: set {KEY_VARIABLE} to 64 hex digits, the same in every process"
            ),
        )),
    }
}

/// The store of a URL, and where it lives.
pub(in crate::hub) async fn open_at(url: &str) -> Result<(SharedStore, Home)> {
    if url == "memory:" {
        #[cfg(all(feature = "testing", feature = "postgres"))]
        if let Some(store) = crate::store::conformance::postgres::instead_of_memory().await? {
            return Ok((store, Home::Memory));
        }
        return Ok((Arc::new(MemoryStore::new()), Home::Memory));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return open_server(url).await;
    }
    if let Some((scheme, _)) = url.split_once("://") {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "hub.open",
            "this version keeps records in a file, in a PostgreSQL database or in memory",
        )
        .with_context("scheme", scheme));
    }
    if let Some(folder) = url.strip_prefix("sled:") {
        return open_folder(PathBuf::from(folder)).await;
    }
    let (path, allows_network) = file_of(url);
    if path.as_os_str().is_empty() {
        return Err(Error::invalid(
            "hub.open",
            "store",
            "expected a path, sqlite:PATH, sled:PATH, postgres://... or memory:",
        ));
    }
    let (store, path) = open_file(path, allows_network).await?;
    Ok((store, Home::File(path)))
}

#[cfg(feature = "postgres")]
async fn open_server(url: &str) -> Result<(SharedStore, Home)> {
    let options = crate::store::postgres::PostgresOptions::from_url(url)?;
    let home = Home::Server(options.beside());
    Ok((Arc::new(crate::store::postgres::PostgresStore::with_options(options).await?), home))
}

#[cfg(not(feature = "postgres"))]
#[allow(clippy::unused_async, reason = "same signature as with the feature")]
async fn open_server(_url: &str) -> Result<(SharedStore, Home)> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "hub.open",
        "this build has no PostgreSQL store: enable the feature `postgres`",
    ))
}

#[cfg(feature = "sled")]
async fn open_folder(path: PathBuf) -> Result<(SharedStore, Home)> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("hub.open", "store", "expected sled:PATH"));
    }
    let store = crate::store::sled::SledStore::open(&path).await?;
    Ok((Arc::new(store), Home::File(path)))
}

#[cfg(not(feature = "sled"))]
#[allow(clippy::unused_async, reason = "same signature as with the feature")]
async fn open_folder(_path: PathBuf) -> Result<(SharedStore, Home)> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "hub.open",
        "this build has no sled store: enable the feature `sled`",
    ))
}

/// The path of a file, and whether it may lie on a network file system. A plain path has no options.
fn file_of(url: &str) -> (PathBuf, bool) {
    let Some(rest) = url.strip_prefix("sqlite:") else { return (PathBuf::from(url), false) };
    let path = rest.strip_suffix("?network_fs=allow");
    (PathBuf::from(path.unwrap_or(rest)), path.is_some())
}

#[cfg(feature = "sqlite")]
async fn open_file(path: PathBuf, allows_network: bool) -> Result<(SharedStore, PathBuf)> {
    use crate::store::sqlite::SqliteStore;
    let store = match allows_network {
        true => SqliteStore::open_anywhere(&path).await?,
        false => SqliteStore::open(&path).await?,
    };
    Ok((Arc::new(store), path))
}

#[cfg(not(feature = "sqlite"))]
#[allow(clippy::unused_async, reason = "same signature as with the feature")]
async fn open_file(_path: PathBuf, _allows_network: bool) -> Result<(SharedStore, PathBuf)> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "hub.open",
        "this build has no file store: enable the feature `sqlite`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_url_has_options() {
        assert_eq!(file_of("sqlite:/a/b.neon?network_fs=allow"), (PathBuf::from("/a/b.neon"), true));
        assert_eq!(file_of("sqlite:/a/b.neon"), (PathBuf::from("/a/b.neon"), false));
        assert_eq!(file_of("/a/b?network_fs=allow"), (PathBuf::from("/a/b?network_fs=allow"), false));
    }
}
