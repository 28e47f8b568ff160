//! Where the root key comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::root::RootKey;
use crate::{Error, ErrorKind, Result};

/// Gives the root key of a store: from a file, the environment, a passphrase, or a key service.
///
/// A key service keeps its master key to itself: its provider asks the service to decrypt the 32 bytes that lie
/// beside the store, and gives those. A keychain of the operating system is reached the same way, through
/// [`FnKey`] and the library the host already uses.
#[async_trait]
pub trait KeyProvider: fmt::Debug + Send + Sync + 'static {
    /// Its name in errors: `file campaign.neon.key`, `variable NEONHUB_KEY`.
    fn name(&self) -> String;

    /// The root key. `salt` is 16 bytes kept with the store, for keys made from a passphrase.
    ///
    /// # Errors
    /// `Config` naming the provider.
    async fn root_key(&self, salt: &[u8; 16]) -> Result<RootKey>;

    /// The file it reads, where a rotation in place puts the next key.
    fn file(&self) -> Option<&Path> {
        None
    }
}

/// A key that is at hand.
#[derive(Clone, Debug)]
pub struct FixedKey(pub RootKey);

#[async_trait]
impl KeyProvider for FixedKey {
    fn name(&self) -> String {
        self.0.provider().to_owned()
    }
    async fn root_key(&self, _salt: &[u8; 16]) -> Result<RootKey> {
        Ok(self.0.clone())
    }
}

/// 64 hex digits in a variable of the environment.
#[derive(Clone, Debug)]
pub struct EnvKey(String);

impl EnvKey {
    /// Reads the variable `name`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        EnvKey(name.into())
    }
}

#[async_trait]
impl KeyProvider for EnvKey {
    fn name(&self) -> String {
        format!("variable {}", self.0)
    }
    async fn root_key(&self, _salt: &[u8; 16]) -> Result<RootKey> {
        let text = std::env::var(&self.0).map_err(|_| {
            Error::new(ErrorKind::Config, "hub.open", "the variable with the root key is not set")
                .with_context("provider", self.name())
        })?;
        RootKey::from_hex(&zeroize::Zeroizing::new(text), self.name())
    }
}

/// A file of mode 0600 with 64 hex digits.
#[derive(Clone, Debug)]
pub struct FileKey {
    path: PathBuf,
    makes: bool,
}

impl FileKey {
    /// Reads the file; a missing one is an error.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FileKey { path: path.into(), makes: false }
    }

    /// Reads the file, and makes it with a new key when it is missing.
    #[must_use]
    pub fn or_new(path: impl Into<PathBuf>) -> Self {
        FileKey { path: path.into(), makes: true }
    }

    /// The default of a store file: `campaign.neon` keeps its key in `campaign.neon.key`.
    #[must_use]
    pub fn beside(store: &Path) -> Self {
        let mut name = store.as_os_str().to_owned();
        name.push(".key");
        FileKey::or_new(name)
    }
}

#[async_trait]
impl KeyProvider for FileKey {
    fn name(&self) -> String {
        format!("file {}", self.path.file_name().unwrap_or_default().to_string_lossy())
    }
    async fn root_key(&self, _salt: &[u8; 16]) -> Result<RootKey> {
        for _ in 0..2 {
            match std::fs::read_to_string(&self.path) {
                Ok(text) => {
                    check_mode(&self.path)?;
                    return RootKey::from_hex(&zeroize::Zeroizing::new(text), self.name());
                }
                Err(cause) if self.makes && cause.kind() == std::io::ErrorKind::NotFound => {
                    let key = RootKey::generate(self.name())?;
                    match create(&self.path, &key) {
                        Ok(()) => return Ok(key),
                        // Another process was first: read its key.
                        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
                        Err(cause) => return Err(unusable(&self.path, cause)),
                    }
                }
                Err(cause) => return Err(unusable(&self.path, cause)),
            }
        }
        Err(Error::new(ErrorKind::Config, "hub.open", "the key file appears and disappears")
            .with_context("provider", self.name()))
    }
    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

pub(super) fn unusable(path: &Path, cause: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Config,
        "hub.open",
        "the key file cannot be used: check its folder and rights, or give the hub another key provider",
    )
    .with_context("file", path.display())
    .with_source(cause)
}

/// Written whole under another name first, so that a crash never leaves half a key.
pub(super) fn create(path: &Path, key: &RootKey) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    write(&draft, key)?;
    // A hard link fails when the name is taken, a rename would replace another process's key.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    linked
}

/// Writes a key file of mode 0600 and syncs it.
pub(super) fn write(path: &Path, key: &RootKey) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(key.to_hex().expose().as_bytes())?;
    file.sync_all()
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

/// A function of the host: a key service, or the keychain of the operating system.
pub struct FnKey {
    name: String,
    ask: Box<dyn Fn() -> Result<RootKey> + Send + Sync>,
}

impl FnKey {
    /// Asks `ask` for the key. `name` stands in errors.
    #[must_use]
    pub fn new(name: impl Into<String>, ask: impl Fn() -> Result<RootKey> + Send + Sync + 'static) -> Self {
        FnKey { name: name.into(), ask: Box::new(ask) }
    }
}

impl fmt::Debug for FnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnKey").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyProvider for FnKey {
    fn name(&self) -> String {
        self.name.clone()
    }
    async fn root_key(&self, _salt: &[u8; 16]) -> Result<RootKey> {
        (self.ask)().map_err(|e| e.with_context("provider", &self.name))
    }
}

/// A passphrase, through Argon2id. About 20 ms and 19 MiB per opening.
#[cfg(feature = "vault-passphrase")]
#[derive(Clone, Debug)]
pub struct PassphraseKey(crate::Secret);

#[cfg(feature = "vault-passphrase")]
impl PassphraseKey {
    /// Derives the key from a passphrase of at least 12 characters.
    ///
    /// # Errors
    /// `InvalidInput` for a shorter one.
    pub fn new(passphrase: crate::Secret) -> Result<Self> {
        if passphrase.expose().chars().count() < 12 {
            return Err(Error::invalid("hub.open", "passphrase", "expected at least 12 characters"));
        }
        Ok(PassphraseKey(passphrase))
    }
}

#[cfg(feature = "vault-passphrase")]
#[async_trait]
impl KeyProvider for PassphraseKey {
    fn name(&self) -> String {
        "passphrase".to_owned()
    }
    async fn root_key(&self, salt: &[u8; 16]) -> Result<RootKey> {
        // 19 MiB, two passes, one lane: OWASP Password Storage Cheat Sheet, 2024.
        let bad = |cause: argon2::Error| {
            Error::new(ErrorKind::Config, "hub.open", "the passphrase gives no key")
                .with_source(std::io::Error::other(cause.to_string()))
        };
        let params = argon2::Params::new(19 * 1024, 2, 1, Some(super::root::KEY_BYTES)).map_err(bad)?;
        let hash = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut key = zeroize::Zeroizing::new([0; super::root::KEY_BYTES]);
        hash.hash_password_into(self.0.expose().as_bytes(), salt, &mut key[..]).map_err(bad)?;
        Ok(RootKey::from_bytes(*key, self.name()))
    }
}

/// Names a provider in the input of `vault.rotate_root`. The key itself is never part of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ProviderSpec {
    /// A variable of the environment that holds 64 hex digits.
    Env {
        /// Name of the variable.
        name: String,
    },
    /// A key file of mode 0600; made with a new key when it is missing.
    File {
        /// Its path.
        path: String,
    },
}

impl ProviderSpec {
    pub(super) fn provider(self) -> std::sync::Arc<dyn KeyProvider> {
        match self {
            ProviderSpec::Env { name } => std::sync::Arc::new(EnvKey::new(name)),
            ProviderSpec::File { path } => std::sync::Arc::new(FileKey::or_new(path)),
        }
    }
}
