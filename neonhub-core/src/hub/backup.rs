//! Backups into a folder, of which the newest are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::op::{Audit, Effect, Operation};
use crate::permission::Permission;
use crate::store::{Manifest, backup_to};
use crate::{Error, ErrorKind, Result, Scope};

/// Backups that are kept unless it is said: a week of days. Our choice.
const KEEP: u32 = 7;
const MAX_KEEP: u32 = 3_650;
/// Around the instant in the name of a file.
const NAME: (&str, &str) = ("neonhub-", ".neonbackup");

/// Writes a backup of the whole store into a folder, under a name that tells the instant, and removes the oldest of those
/// that it wrote there before. The key is not in it: keep it elsewhere. Made for a schedule; each store needs a folder of
/// its own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateBackup {
    /// Path of a folder that is there.
    pub folder: String,
    /// How many backups stay, 1..3650. Default 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
}

/// The answer of `hub.backup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotatedBackup {
    /// Path of the new file.
    pub path: String,
    /// What it holds.
    pub manifest: Manifest,
    /// Old backups that were removed.
    pub removed: u32,
}

impl Operation for RotateBackup {
    type Output = RotatedBackup;
    const NAME: &'static str = "hub.backup";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const HOST_ONLY: bool = true;
    const DEADLINE: Duration = Duration::from_secs(3_600);
    async fn run(self, cx: &Scope) -> Result<RotatedBackup> {
        let folder = PathBuf::from(&self.folder);
        if self.folder.is_empty() || !folder.is_dir() {
            let message = "expected the path of a folder that is there and that backups may be written to";
            return Err(Error::invalid(Self::NAME, "folder", message));
        }
        let keep = self.keep.unwrap_or(KEEP);
        if !(1..=MAX_KEEP).contains(&keep) {
            return Err(Error::invalid(Self::NAME, "keep", "expected 1..3650"));
        }
        let name = name(cx);
        let path = folder.join(&name);
        let manifest = backup_to(cx.store(), &path).await.map_err(|e| e.for_operation(Self::NAME))?;
        let removed = remove_old(&folder, &name, keep as usize - 1)?;
        Ok(RotatedBackup { path: path.display().to_string(), manifest, removed })
    }
    fn examples() -> Vec<Self> {
        vec![RotateBackup { folder: "backups".into(), keep: Some(14) }]
    }
}

fn name(cx: &Scope) -> String {
    let now = cx.now();
    let at = now.to_jiff().strftime("%Y%m%dT%H%M%S");
    format!("{}{at}{:03}Z{}", NAME.0, now.as_millis() % 1_000, NAME.1)
}

/// True for a name that this operation gives: such files alone are removed.
fn is_ours(name: &str) -> bool {
    let at = name.strip_prefix(NAME.0).and_then(|rest| rest.strip_suffix(NAME.1));
    let is_digit = |n: usize, b: u8| match n {
        8 => b == b'T',
        18 => b == b'Z',
        _ => b.is_ascii_digit(),
    };
    at.is_some_and(|at| at.len() == 19 && at.bytes().enumerate().all(|(n, b)| is_digit(n, b)))
}

/// Removes all but the new one and the newest of the others. Gives how many went.
fn remove_old(folder: &Path, new: &str, keep: usize) -> Result<u32> {
    let fail = |cause: std::io::Error| {
        let message = "the new backup is there, and the old ones could not be removed: look at the rights on the folder";
        Error::new(ErrorKind::Unavailable, RotateBackup::NAME, message).with_source(cause)
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        names.extend(name.to_str().filter(|name| is_ours(name) && *name != new).map(str::to_owned));
    }
    // The instant leads the name: the newest come last.
    names.sort_unstable();
    let old = names.len().saturating_sub(keep);
    for name in names.iter().take(old) {
        std::fs::remove_file(folder.join(name)).map_err(fail)?;
    }
    Ok(u32::try_from(old).unwrap_or(u32::MAX))
}
