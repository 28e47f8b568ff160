//! The outbox: writes what would have been sent into a folder. The default for every channel.
#![doc = include_str!("docs.md")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use neonhub_core::connector::{
    Action, Channel, Cleared, Connector, EffectId, Manifest, Outbound, Payload, Probe, Receipt,
};
use neonhub_core::{Error, ErrorKind, Result, Retry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The channels an outbox takes when none are named.
const CHANNELS: &[&str] = &["email", "sms", "x", "linkedin", "instagram", "facebook"];

/// What the outbox is.
pub static MANIFEST: Manifest = Manifest {
    id: "outbox",
    title: "Outbox",
    about: "Writes what would have been sent into a folder",
    actions: &[Action { name: "deliver", about: "Writes one file per message", idempotent: true }],
    source: "our own format",
    open: |settings| Ok(Arc::new(Outbox::from_settings(crate::settings("outbox", settings)?)?)),
};

/// Settings of an outbox.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OutboxConfig {
    /// The folder; made when missing. Required.
    pub folder: PathBuf,
    /// The channels to take. Default: email, sms, x, linkedin, instagram, facebook.
    pub channels: Option<Vec<Channel>>,
}

/// Writes messages as files named by their effect id: `email/<effect>.eml`, `<channel>/<effect>.json`.
///
/// A file appears whole (temporary file, then rename), so the probe is a look: there, or not there.
#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    channels: Vec<Channel>,
}

impl Outbox {
    /// An outbox in `folder` for the default channels.
    ///
    /// # Errors
    /// `Config` when the folder cannot be made or written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        Outbox::from_settings(OutboxConfig { folder: folder.into(), channels: None })
    }

    /// An outbox for the default channels whose folder is made at the first delivery.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        let channels = CHANNELS.iter().filter_map(|c| Channel::new(c).ok()).collect();
        Outbox { folder: folder.into(), channels }
    }

    /// An outbox from settings.
    ///
    /// # Errors
    /// `InvalidInput` without a folder; `Config` when it cannot be made or written.
    pub fn from_settings(config: OutboxConfig) -> Result<Self> {
        if config.folder.as_os_str().is_empty() {
            return Err(Error::invalid("outbox.open", "folder", "expected the folder to write into"));
        }
        let channels = match config.channels {
            Some(channels) => channels,
            None => CHANNELS.iter().map(|c| Channel::new(c)).collect::<Result<_>>()?,
        };
        let outbox = Outbox { folder: config.folder, channels };
        for channel in &outbox.channels {
            let place = outbox.place(channel);
            std::fs::create_dir_all(&place).map_err(|cause| {
                Error::new(
                    ErrorKind::Config,
                    "outbox.open",
                    "the outbox folder cannot be made: check its rights",
                )
                .with_context("folder", place.display())
                .with_source(cause)
            })?;
        }
        Ok(outbox)
    }

    fn place(&self, channel: &Channel) -> PathBuf {
        self.folder.join(channel.as_str().replace(':', "-"))
    }

    fn file(&self, channel: &Channel, effect: &EffectId) -> PathBuf {
        let ending = if channel.as_str() == "email" { "eml" } else { "json" };
        self.place(channel).join(format!("{effect}.{ending}"))
    }
}

#[async_trait]
impl Connector for Outbox {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn channels(&self) -> Vec<Channel> {
        self.channels.clone()
    }

    fn region(&self) -> Option<&str> {
        Some(neonhub_core::tenancy::LOCAL)
    }

    async fn deliver(&self, cleared: Cleared) -> Result<Receipt> {
        let outbound = cleared.into_outbound();
        let path = self.file(&outbound.channel, &outbound.effect);
        let receipt = receipt(&outbound.effect);
        if path.exists() {
            return Ok(receipt);
        }
        let bytes = render(outbound)?;
        write_whole(&path, &bytes).map_err(|cause| refused(&path, cause))?;
        Ok(receipt)
    }

    async fn probe(&self, effect: &EffectId, channel: &Channel) -> Result<Probe> {
        Ok(if self.file(channel, effect).exists() {
            Probe::Landed(receipt(effect))
        } else {
            Probe::NotLanded
        })
    }

    /// One sync for the whole batch: a sync per file would cost more than everything else together.
    async fn settle(&self) -> Result<()> {
        sync_folder(&self.folder).map_err(|cause| refused(&self.folder, cause))
    }

    async fn health(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|cause| refused(&self.folder, cause))
    }
}

fn receipt(effect: &EffectId) -> Receipt {
    Receipt { provider_id: format!("outbox:{effect}"), provider_status: Some("written".into()) }
}

/// Nothing was delivered: the file is not there under its name.
fn refused(path: &Path, cause: std::io::Error) -> Error {
    let full = cause.kind() == std::io::ErrorKind::StorageFull;
    let message = if full {
        "the disk is full: free space"
    } else {
        "the outbox folder cannot be written: check its rights"
    };
    Error::new(ErrorKind::Unavailable, "outbox.deliver", message)
        .with_context("path", path.display())
        .with_retry(Retry::Backoff)
        .with_source(cause)
}

fn render(outbound: Outbound) -> Result<Vec<u8>> {
    let (channel, effect, facts) = (outbound.channel, outbound.effect, outbound.facts);
    let body = match outbound.payload {
        Payload::Email { message, .. } => return Ok(message),
        Payload::Text { from, to, body } => {
            json!({ "channel": channel, "effect_id": effect, "from": from, "to": to.expose(), "body": body, "facts": facts })
        }
        Payload::Post { account, text, link, alt_texts } => json!({
            "channel": channel, "effect_id": effect, "account": account, "text": text, "link": link,
            "alt_texts": alt_texts, "facts": facts,
        }),
    };
    pretty(&body)
}

fn pretty(body: &Value) -> Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec_pretty(body).map_err(|cause| Error::internal("outbox.deliver", cause))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    let draft = path.with_file_name(name);
    let mut file = match std::fs::File::create(&draft) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(path.parent().unwrap_or(path))?;
            std::fs::File::create(&draft)?
        }
        other => other?,
    };
    file.write_all(bytes)?;
    drop(file);
    std::fs::rename(&draft, path)
}

#[cfg(target_os = "linux")]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let folder = std::fs::File::open(folder)?;
    Ok(rustix::fs::syncfs(folder)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    for place in std::fs::read_dir(folder)? {
        let place = place?.path();
        if !place.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&place)? {
            std::fs::File::open(file?.path())?.sync_all()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
