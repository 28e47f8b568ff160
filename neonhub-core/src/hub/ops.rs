//! Operations of the runtime itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::builder::KeyCheck;
pub use super::scope_ops::{Allowed, Caller, Can, ListPermissions, PermissionLine, WhoAmI};
use crate::audit::AuditEntry;
pub use crate::audit::{QueryAudit, VerifyAudit};
use crate::bus::Event;
use crate::op::{Effect, Entry, IdempotencyRecord, Operation, entry};
use crate::permission::Permission;
use crate::store::{Damage, Kind};
use crate::tenancy::{DirectoryEntry, Workspace};
pub use crate::tenancy::{GetWorkspace, UpdateWorkspace};
use crate::{Result, Scope};

/// Operations of the runtime.
pub static CATALOGUE: &[Entry] = &[
    entry::<WhoAmI>(),
    entry::<Can>(),
    entry::<ListPermissions>(),
    entry::<CheckStore>(),
    entry::<StoreStats>(),
];

/// Record kinds of the runtime.
pub static KINDS: &[Kind] = &[
    Kind::of::<Workspace>(),
    Kind::of::<DirectoryEntry>(),
    Kind::of::<KeyCheck>(),
    Kind::of::<AuditEntry>(),
    Kind::of::<crate::audit::AuditFloor>(),
    Kind::of::<Event>(),
    Kind::of::<IdempotencyRecord>(),
];

/// Reads every record of the store and lists what is damaged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckStore {}

/// One damaged part of the store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(3600);
    async fn run(self, cx: &Scope) -> Result<Vec<Finding>> {
        Ok(cx.store().check().await?.into_iter().map(Finding::from).collect())
    }
    fn examples() -> Vec<Self> {
        vec![CheckStore {}]
    }
}

/// Tells how the store is doing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreStats {}

/// Figures of the store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// Engine: `sqlite` or `memory`.
    pub engine: String,
    /// Commits so far: the position of the change feed.
    pub commits: u64,
}

impl Operation for StoreStats {
    type Output = Figures;
    const NAME: &'static str = "store.stats";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Figures> {
        Ok(Figures { engine: cx.store().caps().engine.to_owned(), commits: cx.store().seq().await? })
    }
    fn examples() -> Vec<Self> {
        vec![StoreStats {}]
    }
}
