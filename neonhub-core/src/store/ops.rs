//! Operations on the store itself.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::{self, Manifest};
use super::ndjson::{self, ImportPlan, Imported, OnConflict};
use super::{Damage, Kind, KindFigures, Record as _, sweep};
use crate::audit::AuditEntry;
use crate::bus::Event;
use crate::job::Job;
use crate::op::{Effect, Entry, IdempotencyRecord, Operation, entry};
use crate::permission::Permission;
use crate::tenancy::{DirectoryEntry, Workspace};
use crate::vault::KeyCheck;
use crate::{Clock as _, Error, ErrorKind, Result, Scope, SystemClock, Timestamp};

/// Operations on the store.
pub static CATALOGUE: &[Entry] = &[
    entry::<CheckStore>(),
    entry::<RepairStore>(),
    entry::<BackupStore>(),
    entry::<VerifyBackup>(),
    entry::<RestoreStore>(),
    entry::<MigrateStore>(),
    entry::<DriftStore>(),
    entry::<CompactStore>(),
    entry::<StoreStats>(),
    entry::<ExportStore>(),
    entry::<ImportStore>(),
];

/// Walks over a large store take their time.
const LONG: Duration = Duration::from_secs(3600);
/// Age of feed entries that `store.compact` forgets, in days.
// Our choice, as the runtime rules state it.
const FEED_DAYS: u32 = 7;
/// Age of blobs that no record names before they go: a record may still be on its way. Seconds.
const BLOB_GRACE_S: u64 = 24 * 3600;

/// Kinds that no import writes: proofs, keys and the hub's own books.
fn is_importable(kind: &Kind) -> bool {
    ![
        AuditEntry::KIND,
        KeyCheck::KIND,
        DirectoryEntry::KIND,
        IdempotencyRecord::KIND,
        Workspace::KIND,
        Event::KIND,
        Job::KIND,
    ]
    .contains(&kind.name)
}

/// Reads the store and lists what is damaged: records that do not match their checksum, holes in the change feed,
/// blobs that do not match their hash, broken pages and index entries.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckStore {
    /// `false` compares tables and indexes with what is declared and reads no record. Default `true`.
    pub deep: Option<bool>,
}

/// One damaged part of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Kind of the record, or the part of the store.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What is wrong.
    pub problem: String,
}

impl From<Damage> for Finding {
    fn from(damage: Damage) -> Self {
        Finding { kind: damage.kind, id: damage.id, problem: damage.problem }
    }
}

impl Operation for CheckStore {
    type Output = Vec<Finding>;
    const NAME: &'static str = "store.check";
    const NEEDS: &'static [Permission] = &[Permission::ManageOrganization];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Vec<Finding>> {
        let drift = cx.store().drift().await?;
        let drift =
            drift.into_iter().map(|problem| Finding { kind: "_schema".into(), id: String::new(), problem });
        let mut findings: Vec<Finding> = drift.collect();
        if self.deep != Some(false) {
            findings.extend(cx.store().check().await?.into_iter().map(Finding::from));
        }
        Ok(findings)
    }
    fn examples() -> Vec<Self> {
        vec![CheckStore { deep: Some(true) }]
    }
}

/// Rebuilds what can be rebuilt from the records themselves: indexes. What has no second source in the store is left
/// and named, and comes back from a backup.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RepairStore {
    /// The findings to repair, as `store.check` gave them. Default: all there are.
    pub findings: Vec<Finding>,
}

/// The answer of `store.repair`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Repaired {
    /// What was done.
    pub done: Vec<String>,
    /// What is still damaged.
    pub left: Vec<Finding>,
}

impl Operation for RepairStore {
    type Output = Repaired;
    const NAME: &'static str = "store.repair";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Repaired> {
        let done = cx.store().repair().await?;
        let left = cx.store().check().await?.into_iter().map(Finding::from);
        let wanted = |f: &Finding| self.findings.is_empty() || self.findings.contains(f);
        Ok(Repaired { done, left: left.filter(wanted).collect() })
    }
    fn examples() -> Vec<Self> {
        vec![RepairStore::default()]
    }
}

/// Writes a backup of the whole store to a new file while writers go on. The key is not in it: keep it elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupStore {
    /// Path of the new file.
    pub target: String,
}

impl Operation for BackupStore {
    type Output = Manifest;
    const NAME: &'static str = "store.backup";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Manifest> {
        backup::backup_to(cx.store(), &path(Self::NAME, "target", &self.target)?).await
    }
    fn examples() -> Vec<Self> {
        vec![BackupStore { target: "backups/monday.neonbackup".into() }]
    }
}

fn path(operation: &'static str, field: &str, text: &str) -> Result<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return Err(Error::invalid(operation, field, "expected a path"));
    }
    Ok(PathBuf::from(text))
}

/// Reads a backup to its end and checks every byte of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBackup {
    /// Path of the backup.
    pub source: String,
}

/// The answer of `store.verify_backup`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verified {
    /// What the backup holds; absent when it is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// What is wrong with it.
    pub findings: Vec<String>,
}

impl Operation for VerifyBackup {
    type Output = Verified;
    const NAME: &'static str = "store.verify_backup";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONG;
    async fn run(self, _cx: &Scope) -> Result<Verified> {
        let source = path(Self::NAME, "source", &self.source)?;
        match backup::verify_backup(&source) {
            Ok(manifest) => Ok(Verified { manifest: Some(manifest), findings: Vec::new() }),
            Err(error) if error.kind() == ErrorKind::Corrupted => {
                Ok(Verified { manifest: None, findings: vec![error.to_string()] })
            }
            Err(error) => Err(error),
        }
    }
    fn examples() -> Vec<Self> {
        vec![VerifyBackup { source: "backups/monday.neonbackup".into() }]
    }
}

/// Restores a backup into a new, empty store beside this one, on any engine. Nothing is written before every byte of
/// the backup was checked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreStore {
    /// Path of the backup.
    pub source: String,
    /// URL of the new store: a path, `sqlite:PATH`, `sled:PATH` or `postgres://...`.
    pub into: String,
}

impl Operation for RestoreStore {
    type Output = Manifest;
    const NAME: &'static str = "store.restore";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = LONG;
    async fn run(self, _cx: &Scope) -> Result<Manifest> {
        let source = path(Self::NAME, "source", &self.source)?;
        if self.into == "memory:" {
            return Err(Error::invalid(Self::NAME, "into", "expected a store that outlives this call"));
        }
        // Checked before the new store is made, so that a damaged backup leaves nothing behind.
        backup::verify_backup(&source)?;
        let store = crate::hub::open_store(&self.into).await?;
        let restored = backup::restore_backup(&source, store.as_ref()).await;
        let closed = store.close().await;
        restored.and_then(|manifest| closed.map(|()| manifest))
    }
    fn examples() -> Vec<Self> {
        vec![RestoreStore { source: "backups/monday.neonbackup".into(), into: "restored.neon".into() }]
    }
}

/// Brings the store to this version. Opening does it already where the user may; this tells how it stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MigrateStore {
    /// Only tells.
    pub dry_run: bool,
}

/// The answer of `store.migrate`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Migrated {
    /// Version of the store.
    pub version: u32,
    /// Version that this build works with.
    pub build_version: u32,
    /// Numbers of the migrations that are still to come.
    pub pending: Vec<u32>,
}

impl Operation for MigrateStore {
    type Output = Migrated;
    const NAME: &'static str = "store.migrate";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<Migrated> {
        let (version, build_version) = cx.store().version().await?;
        Ok(Migrated { version, build_version, pending: (version + 1..=build_version).collect() })
    }
    fn examples() -> Vec<Self> {
        vec![MigrateStore { dry_run: true }]
    }
}

/// Compares the tables, columns and indexes that are there with those declared.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftStore {}

impl Operation for DriftStore {
    type Output = Vec<String>;
    const NAME: &'static str = "store.drift";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Vec<String>> {
        cx.store().drift().await
    }
    fn examples() -> Vec<Self> {
        vec![DriftStore {}]
    }
}

/// Forgets old entries of the change feed and blobs that no record names, and gives their space back, so that the bytes
/// of what was removed are gone from the files.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompactStore {
    /// Age from which feed entries go, in days, 1..3650. Default 7.
    pub feed_days: Option<u32>,
    /// Age from which unnamed blobs go, in seconds. Default 86400; 0 only while nobody writes.
    pub blob_grace_s: Option<u64>,
}

/// The answer of `store.compact`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Compacted {
    /// Bytes before.
    pub before_bytes: u64,
    /// Bytes after.
    pub after_bytes: u64,
    /// Feed entries forgotten.
    pub feed_removed: u64,
    /// Blobs removed.
    pub blobs_removed: u64,
}

impl Operation for CompactStore {
    type Output = Compacted;
    const NAME: &'static str = "store.compact";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Compacted> {
        let days = self.feed_days.unwrap_or(FEED_DAYS);
        if !(1..=3650).contains(&days) {
            return Err(Error::invalid(Self::NAME, "feed_days", "expected 1..3650"));
        }
        let grace = Duration::from_secs(self.blob_grace_s.unwrap_or(BLOB_GRACE_S));
        let store = cx.store();
        let old = cx.now().minus(Duration::from_secs(u64::from(days) * 86_400));
        let feed_removed = sweep::trim_feed(store, old).await?;
        // Blobs carry the time of the machine: they are put outside of any commit.
        let before = SystemClock.now().plus(Duration::from_millis(1)).minus(grace);
        let blobs_removed = sweep::sweep_blobs(store, before).await?;
        let (before_bytes, after_bytes) = store.compact().await?;
        Ok(Compacted { before_bytes, after_bytes, feed_removed, blobs_removed })
    }
    fn examples() -> Vec<Self> {
        vec![CompactStore { feed_days: Some(7), blob_grace_s: None }]
    }
}

/// Tells how much the store holds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreStats {}

/// Figures of the store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StoreReport {
    /// Engine: `sqlite`, `postgres`, `sled` or `memory`.
    pub engine: String,
    /// Commits so far: the position of the change feed.
    pub commits: u64,
    /// Records and bytes per kind.
    pub kinds: Vec<KindFigures>,
    /// Entries that the feed still holds.
    pub feed_length: u64,
    /// The oldest cursor that can still be read from.
    pub oldest_cursor: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of blobs.
    pub blob_bytes: u64,
    /// Bytes on disk, 0 in memory.
    pub disk_bytes: u64,
}

impl Operation for StoreStats {
    type Output = StoreReport;
    const NAME: &'static str = "store.stats";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<StoreReport> {
        let figures = cx.store().figures().await?;
        Ok(StoreReport {
            engine: cx.store().caps().engine.to_owned(),
            commits: cx.store().seq().await?,
            kinds: figures.kinds,
            feed_length: figures.feed_length,
            oldest_cursor: figures.feed_oldest.saturating_sub(1),
            blobs: figures.blobs,
            blob_bytes: figures.blob_bytes,
            disk_bytes: figures.disk_bytes,
        })
    }
    fn examples() -> Vec<Self> {
        vec![StoreStats {}]
    }
}

/// Writes the records of this workspace to a new file, one line of JSON each, in the order of kind and id.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportStore {
    /// Path of the new file.
    pub target: String,
    /// Kinds to write. Default: all that an import takes.
    #[serde(default)]
    pub kinds: Vec<String>,
}

/// The answer of `store.export`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExportReport {
    /// Records written.
    pub records: u64,
    /// Bytes of the file.
    pub size_bytes: u64,
}

impl Operation for ExportStore {
    type Output = ExportReport;
    const NAME: &'static str = "store.export";
    const NEEDS: &'static [Permission] = &[Permission::ExportPeople];
    const EFFECT: Effect = Effect::Read;
    const AUDIT: crate::op::Audit = crate::op::Audit::Security;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<ExportReport> {
        let target = path(Self::NAME, "target", &self.target)?;
        let known = cx.hub().kinds();
        for kind in &self.kinds {
            if !known.iter().any(|k| k.name == kind && k.name != KeyCheck::KIND) {
                let close = crate::hub::closest(kind, known.iter().map(|k| k.name)).join(", ");
                return Err(Error::invalid(Self::NAME, "kinds", "expected names of record kinds")
                    .with_context("closest", close));
            }
        }
        let takes = |kind: &str| match self.kinds.is_empty() {
            true => known.iter().any(|k| k.name == kind && is_importable(k)),
            false => self.kinds.iter().any(|k| k == kind),
        };
        let fail = |cause| {
            Error::new(
                ErrorKind::Unavailable,
                Self::NAME,
                "the file cannot be written: check folder and rights",
            )
            .with_context("path", target.display())
            .with_source(cause)
        };
        if target.exists() {
            return Err(Error::new(ErrorKind::AlreadyExists, Self::NAME, "there is a file with this name"));
        }
        let mut out = std::io::BufWriter::new(backup::private(&target).map_err(fail)?);
        let done = ndjson::export(cx.store(), Some(cx.workspace()), takes, &mut out).await?;
        let file = out.into_inner().map_err(|e| fail(e.into_error()))?;
        file.sync_all().map_err(fail)?;
        Ok(ExportReport { records: done.records, size_bytes: done.bytes })
    }
    fn examples() -> Vec<Self> {
        vec![ExportStore { target: "people.ndjson".into(), kinds: vec!["workspace".into()] }]
    }
}

/// Takes records of an export into this workspace. Each line stands alone: a wrong one is reported with its number and
/// the others go on, so that a repeated import with `on_conflict: skip` goes on where it stopped.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImportStore {
    /// Path of the export.
    pub source: String,
    /// Checks everything and writes nothing.
    pub dry_run: bool,
    /// What to do with records that are there already: `fail` reports them, `skip`, or `replace`. Default `fail`.
    pub on_conflict: OnConflict,
}

impl Operation for ImportStore {
    type Output = Imported;
    const NAME: &'static str = "store.import";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Imported> {
        let source = path(Self::NAME, "source", &self.source)?;
        let file = std::fs::File::open(&source).map_err(|cause| missing(&source, cause))?;
        let kinds: Vec<Kind> = cx.hub().kinds().iter().copied().filter(is_importable).collect();
        let plan = ImportPlan {
            workspace: cx.workspace(),
            at: Timestamp::from_millis(cx.now().as_millis()),
            kinds: &kinds,
            on_conflict: self.on_conflict,
            dry_run: self.dry_run,
        };
        ndjson::import(cx.store(), &plan, &mut BufReader::new(file)).await
    }
    fn examples() -> Vec<Self> {
        vec![ImportStore { source: "people.ndjson".into(), dry_run: true, on_conflict: OnConflict::Skip }]
    }
}

fn missing(path: &Path, cause: std::io::Error) -> Error {
    let kind = match cause.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "store.import", "the source cannot be read: check path and rights")
        .with_context("path", path.display())
        .with_source(cause)
}
