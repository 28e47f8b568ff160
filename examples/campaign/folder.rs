//! The out folder: everything a campaign leaves behind as files.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use neonhub::campaign::{Asset, Plan, Report};
use neonhub::people::csv::RowFault;
use neonhub::{Error, ErrorKind, Result};

/// The folder that results are written to.
pub(crate) struct OutFolder(PathBuf);

impl OutFolder {
    /// Makes the folder and makes sure it can be written to, before any work is done.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let folder = OutFolder(path.to_owned());
        fs::create_dir_all(path).map_err(|cause| folder.fault("", cause))?;
        let probe = path.join(".writable");
        fs::write(&probe, b"")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|cause| folder.fault("", cause))?;
        Ok(folder)
    }

    /// Where a file of the folder is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `plan.json`.
    pub(crate) fn plan(&self, plan: &Plan) -> Result<()> {
        self.json("plan.json", serde_json::to_string_pretty(plan))
    }

    /// `assets/<channel>/<place>.json`; texts of an earlier brief go away.
    pub(crate) fn assets(&self, assets: &[Asset]) -> Result<()> {
        let root = self.path("assets");
        if root.exists() {
            fs::remove_dir_all(&root).map_err(|cause| self.fault("assets", cause))?;
        }
        for asset in assets {
            let place = asset.step_key.rsplit('.').next().unwrap_or("1");
            self.json(
                &format!("assets/{}/{}-{place}.json", asset.channel, asset.channel),
                serde_json::to_string_pretty(asset),
            )?;
        }
        Ok(())
    }

    /// `rejected-contacts.csv`: what was wrong, row by row (counted from 1 below the header), without the values.
    pub(crate) fn rejected(&self, faults: &[RowFault]) -> Result<()> {
        let mut text = "row,field,reason,row_rejected\n".to_owned();
        for fault in faults {
            let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let line = [
                fault.row.to_string(),
                cell(&fault.field),
                cell(&fault.reason),
                fault.row_rejected.to_string(),
            ];
            text.push_str(&(line.join(",") + "\n"));
        }
        self.write("rejected-contacts.csv", text.as_bytes())
    }

    /// `report.json` and `report.html`.
    pub(crate) fn report(&self, report: &Report) -> Result<()> {
        self.json("report.json", serde_json::to_string_pretty(report))?;
        self.write("report.html", report.to_html()?.as_bytes())
    }

    /// A file of the folder, whole or not at all: written beside its place, then moved there.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let target = self.path(name);
        let draft = target.with_extension("part");
        let folder = target.parent().unwrap_or(&self.0);
        fs::create_dir_all(folder)
            .and_then(|()| fs::File::create(&draft))
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, &target))
            .map_err(|cause| self.fault(name, cause))
    }

    fn json(&self, name: &str, text: serde_json::Result<String>) -> Result<()> {
        let text = text.map_err(|cause| Error::internal("campaign", cause))?;
        self.write(name, format!("{text}\n").as_bytes())
    }

    fn fault(&self, name: &str, cause: std::io::Error) -> Error {
        use std::io::ErrorKind as Io;
        let (kind, cure) = match cause.kind() {
            Io::PermissionDenied | Io::ReadOnlyFilesystem => (
                ErrorKind::PermissionDenied,
                "the out folder cannot be written to: choose another with --out",
            ),
            Io::StorageFull | Io::QuotaExceeded => (
                ErrorKind::Unavailable,
                "the disk is full: free some space and run again, nothing is sent twice",
            ),
            Io::NotADirectory | Io::AlreadyExists => {
                (ErrorKind::InvalidInput, "the out folder is a file: choose another with --out")
            }
            _ => (ErrorKind::Unavailable, "the out folder cannot be used: choose another with --out"),
        };
        Error::new(kind, "campaign", cure).with_context("path", self.path(name).display()).with_source(cause)
    }
}
