//! Operations on the store itself.

mod backups;
mod lines;
mod repair;
mod upkeep;

use std::path::PathBuf;
use std::time::Duration;

pub use backups::{BackupStore, RestoreStore, Verified, VerifyBackup};
pub use lines::{ExportReport, ExportStore, ImportStore};
pub use repair::{CheckStore, Finding, RepairStore, Repaired};
pub use upkeep::{CompactStore, Compacted, DriftStore, MigrateStore, Migrated, StoreReport, StoreStats};

use crate::op::{Entry, entry};
use crate::{Error, Result};

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

fn path(operation: &'static str, field: &str, text: &str) -> Result<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return Err(Error::invalid(operation, field, "expected a path"));
    }
    Ok(PathBuf::from(text))
}
