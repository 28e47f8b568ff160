//! Operations of the runtime itself.

pub use super::backup::{RotateBackup, RotatedBackup};
pub use super::scope_ops::{Allowed, Caller, Can, ListPermissions, PermissionLine, WhoAmI};
use crate::audit::AuditEntry;
pub use crate::audit::{QueryAudit, VerifyAudit};
use crate::op::{Entry, IdempotencyRecord, entry};
use crate::store::Kind;
use crate::tenancy::{DirectoryEntry, Workspace};
pub use crate::tenancy::{GetWorkspace, UpdateWorkspace};

/// Operations of the runtime.
pub static CATALOGUE: &[Entry] =
    &[entry::<WhoAmI>(), entry::<Can>(), entry::<ListPermissions>(), entry::<RotateBackup>()];

/// Record kinds of the runtime.
pub static KINDS: &[Kind] = &[
    Kind::of::<Workspace>(),
    Kind::of::<DirectoryEntry>(),
    Kind::of::<AuditEntry>(),
    Kind::of::<crate::audit::AuditFloor>(),
    Kind::of::<IdempotencyRecord>(),
    Kind::of::<super::StoreMark>(),
];
