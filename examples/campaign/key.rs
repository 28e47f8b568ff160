//! A root key that hangs on `--seed`, so that a repeated run writes the same unsubscribe tokens.
//!
//! Only for repeatable runs of an example: your own program leaves this out, and the store makes a random key in a
//! file beside it at its first open.

use std::path::PathBuf;

use neonhub::seal::RootKey;
use neonhub::{Error, ErrorKind, HubBuilder, Result, Seed};

/// Gives a new store the key of the seed. A store that has a key keeps it.
pub(crate) fn fixed(builder: HubBuilder, store: &str, seed: u64) -> Result<HubBuilder> {
    let mut bytes = [0; 32];
    Seed::from_number(seed).split(&[b"campaign example", b"root key"]).rng().fill(&mut bytes);
    let key = RootKey::from_bytes(bytes, "--seed");
    if store == "memory:" || store.starts_with("postgres") && store.contains("://") {
        return Ok(builder.root_key(key));
    }
    let path = PathBuf::from(format!("{}.key", store.strip_prefix("sqlite:").unwrap_or(store)));
    if !path.exists() && std::env::var_os("NEONHUB_KEY").is_none() {
        write(&path, key.to_hex().expose()).map_err(|cause| {
            Error::new(
                ErrorKind::Config,
                "campaign",
                "the key file cannot be written: choose another --store",
            )
            .with_context("path", path.display())
            .with_source(cause)
        })?;
    }
    Ok(builder)
}

fn write(path: &std::path::Path, hex: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(hex.as_bytes())
}
