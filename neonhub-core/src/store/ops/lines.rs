//! Records of a workspace as lines of JSON, out and in.

use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LONG, path};
use crate::audit::AuditEntry;
use crate::bus::Event;
use crate::hub::StoreMark;
use crate::job::Job;
use crate::op::{Audit, Effect, IdempotencyRecord, Operation, Sink};
use crate::permission::Permission;
use crate::store::backup;
use crate::store::ndjson::{self, ImportPlan, Imported, OnConflict};
use crate::store::{Kind, Record as _, Tombstone};
use crate::tenancy::{DirectoryEntry, Workspace};
use crate::vault::KeyCheck;
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

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
        Tombstone::KIND,
        StoreMark::KIND,
    ]
    .contains(&kind.name)
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
    const SINKS: &'static [Sink] = &[Sink::Export];
    const AUDIT: Audit = Audit::Security;
    const HOST_ONLY: bool = true;
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
    const AUDIT: Audit = Audit::Security;
    const HOST_ONLY: bool = true;
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
