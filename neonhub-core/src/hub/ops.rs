//! Operations of the runtime itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::{self, AuditEntry, AuditReport};
use crate::op::{Effect, Entry, IdempotencyRecord, Operation, Page, entry};
use crate::permission::Permission;
use crate::scope::Principal;
use crate::store::{Kind, Query};
use crate::tenancy::{DirectoryEntry, Mode, Workspace, WorkspaceId, WorkspaceStatus};
use crate::{Result, Scope};

/// Operations of the runtime.
pub static CATALOGUE: &[Entry] = &[
    entry::<WhoAmI>(),
    entry::<GetWorkspace>(),
    entry::<UpdateWorkspace>(),
    entry::<QueryAudit>(),
    entry::<VerifyAudit>(),
];

/// Record kinds of the runtime.
pub static KINDS: &[Kind] = &[
    Kind::of::<Workspace>(),
    Kind::of::<DirectoryEntry>(),
    Kind::of::<AuditEntry>(),
    Kind::of::<IdempotencyRecord>(),
];

/// Tells who is calling, with which rights, in which workspace.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhoAmI {}

/// Who is calling.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Caller {
    /// The principal.
    pub principal: Principal,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// What it may do.
    pub permissions: Vec<Permission>,
}

impl Operation for WhoAmI {
    type Output = Caller;
    const NAME: &'static str = "scope.whoami";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Caller> {
        Ok(Caller {
            principal: cx.principal().clone(),
            workspace: cx.workspace().clone(),
            permissions: cx.permissions().iter().collect(),
        })
    }
    fn examples() -> Vec<Self> {
        vec![WhoAmI {}]
    }
}

/// Gives the settings of this workspace.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetWorkspace {}

impl Operation for GetWorkspace {
    type Output = Workspace;
    const NAME: &'static str = "workspaces.get";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Workspace> {
        Ok(cx.hub().workspace_of(cx).await?.body)
    }
    fn examples() -> Vec<Self> {
        vec![GetWorkspace {}]
    }
}

/// Changes settings of this workspace; what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateWorkspace {
    /// Display name, 1..200 characters.
    pub name: Option<String>,
    /// `sandbox` for trying out, `production` for real people.
    pub mode: Option<Mode>,
    /// `active`, `paused`, `suspended` or `closed`.
    pub status: Option<WorkspaceStatus>,
    /// BCP 47 language tag.
    pub default_locale: Option<String>,
    /// IANA time zone.
    pub timezone: Option<String>,
    /// ISO 3166-1 alpha-2 region for reading national phone numbers.
    pub default_region: Option<String>,
    /// Lets offline-made text through in production mode.
    pub allow_offline_output: Option<bool>,
}

impl Operation for UpdateWorkspace {
    type Output = Workspace;
    const NAME: &'static str = "workspaces.update";
    const NEEDS: &'static [Permission] = &[Permission::ManageOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<Workspace> {
        let mut stored = cx.hub().workspace_of(cx).await?;
        let w = &mut stored.body;
        macro_rules! patch {
            ($($field:ident),+) => { $(if let Some(value) = self.$field { w.$field = value; })+ };
        }
        patch!(name, mode, status, default_locale, timezone, allow_offline_output);
        if self.default_region.is_some() {
            w.default_region = self.default_region;
        }
        w.check()?;
        cx.save(&stored)?;
        Ok(stored.body)
    }
    fn examples() -> Vec<Self> {
        vec![UpdateWorkspace { timezone: Some("Europe/Vienna".into()), ..Self::default() }]
    }
}

/// Reads the audit log, newest entries last.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueryAudit {
    /// Only this action, such as `people.resolve`.
    pub action: Option<String>,
    /// Most entries of the page, 1..500. Default 50.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Operation for QueryAudit {
    type Output = Page<AuditEntry>;
    const NAME: &'static str = "audit.query";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<AuditEntry>> {
        let query = match &self.action {
            Some(action) => Query::index("action").prefix(action.as_str()),
            None => Query::by_id(),
        };
        let page = cx
            .page::<AuditEntry>(query.limit(self.limit.unwrap_or(50) as usize), self.cursor.as_deref())
            .await?;
        Ok(Page { items: page.items.into_iter().map(|e| e.body).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![QueryAudit { action: Some("people.resolve".into()), limit: Some(10), cursor: None }]
    }
}

/// Walks the audit chain of this workspace and names the first entry that was changed, removed or moved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAudit {}

impl Operation for VerifyAudit {
    type Output = AuditReport;
    const NAME: &'static str = "audit.verify";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<AuditReport> {
        audit::verify(cx).await
    }
    fn examples() -> Vec<Self> {
        vec![VerifyAudit {}]
    }
}
