//! The out folder: everything a campaign leaves behind as files.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use neonhub::campaign::{Asset, Plan, Report};
use neonhub::{Error, ErrorKind, Result};
use serde::Serialize;

/// The folder that results are written to.
pub struct OutFolder(PathBuf);

impl OutFolder {
    /// Makes the folder and makes sure it can be written to, before any work is done.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = OutFolder(path.to_owned());
        fs::create_dir_all(path).map_err(|cause| folder.fault("", cause))?;
        let probe = path.join(".writable");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(|cause| folder.fault("", cause))?;
        Ok(folder)
    }

    /// Where a file of the folder is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `plan.json`.
    pub fn plan(&self, plan: &Plan) -> Result<()> {
        self.json("plan.json", plan)
    }

    /// `assets/<channel>/<place>.json`; texts of an earlier brief go away.
    pub fn assets(&self, assets: &[Asset]) -> Result<()> {
        let root = self.path("assets");
        if root.exists() {
            fs::remove_dir_all(&root).map_err(|cause| self.fault("assets", cause))?;
        }
        for asset in assets {
            let place = asset.step_key.rsplit('.').next().unwrap_or("1");
            self.json(&format!("assets/{}/{}-{place}.json", asset.channel, asset.channel), asset)?;
        }
        Ok(())
    }

    /// `report.json` and `report.html`.
    pub fn report(&self, report: &Report) -> Result<()> {
        self.json("report.json", report)?;
        self.write("report.html", report.to_html()?.as_bytes())
    }

    /// A file of the folder, whole or not at all: written beside its place, then moved there.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let target = self.path(name);
        let draft = target.with_extension("part");
        let folder = target.parent().unwrap_or(&self.0);
        fs::create_dir_all(folder)
            .and_then(|()| fs::File::create(&draft))
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, &target))
            .map_err(|cause| self.fault(name, cause))
    }

    fn json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value).map_err(|cause| Error::internal("campaign", cause))?;
        text.push('\n');
        self.write(name, text.as_bytes())
    }

    fn fault(&self, name: &str, cause: std::io::Error) -> Error {
        use std::io::ErrorKind as Io;
        let (kind, cure) = match cause.kind() {
            Io::PermissionDenied | Io::ReadOnlyFilesystem => {
                (ErrorKind::PermissionDenied, "the out folder cannot be written to: choose another with --out")
            }
            Io::StorageFull | Io::QuotaExceeded => {
                (ErrorKind::Unavailable, "the disk is full: free some space and run again, nothing is sent twice")
            }
            Io::NotADirectory | Io::AlreadyExists => {
                (ErrorKind::InvalidInput, "the out folder is a file: choose another with --out")
            }
            _ => (ErrorKind::Unavailable, "the out folder cannot be used: choose another with --out"),
        };
        Error::new(kind, "campaign", cure).with_context("path", self.path(name).display()).with_source(cause)
    }
}
