//! Operations on workspaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::directory::{check_slug, taken};
use super::{DirectoryEntry, Mode, Workspace, WorkspaceId, WorkspaceStatus};
use crate::op::{Audit, Effect, Operation, Page};
use crate::permission::{Permission, Role};
use crate::scope::{Authority, Principal};
use crate::store::{Key, Kind, Query, Stored};
use crate::{Error, Result, Scope};

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
    /// Region that the targets of its data must be tagged with, such as `eu`; empty text: anywhere.
    pub region_tag: Option<String>,
    /// Lets targets without a region pass as well.
    pub residency_any: Option<bool>,
}

impl Operation for UpdateWorkspace {
    type Output = Workspace;
    const NAME: &'static str = "workspaces.update";
    const NEEDS: &'static [Permission] = &[Permission::ManageOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<Workspace> {
        if self.status == Some(WorkspaceStatus::Closed) {
            cx.require(Permission::OwnOrganization)?;
        }
        let mut stored = cx.hub().workspace_of(cx).await?;
        let w = &mut stored.body;
        macro_rules! patch {
            ($($field:ident),+) => { $(if let Some(value) = self.$field { w.$field = value; })+ };
        }
        patch!(name, mode, status, default_locale, timezone, allow_offline_output);
        if let Some(tag) = self.region_tag {
            w.residency.region = (!tag.is_empty()).then_some(tag);
        }
        if let Some(any) = self.residency_any {
            w.residency.any = any;
        }
        if self.default_region.is_some() {
            w.default_region = self.default_region;
        }
        w.check()?;
        cx.save(&stored)?;
        cx.concern("workspace", stored.id.as_str());
        Ok(stored.body)
    }
    fn examples() -> Vec<Self> {
        vec![UpdateWorkspace { timezone: Some("Europe/Vienna".into()), ..Self::default() }]
    }
}

/// Makes a workspace in the organization of this one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWorkspace {
    /// Short name, 1..40 lower-case letters, digits and hyphens. When it is taken outside the organization, the new
    /// workspace gets a longer one, which is in the answer.
    pub slug: String,
    /// Display name, 1..200 characters. Default: the slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// IANA time zone. Default: that of this workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

impl Operation for CreateWorkspace {
    type Output = Workspace;
    const NAME: &'static str = "workspaces.create";
    const NEEDS: &'static [Permission] = &[Permission::ManageOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    async fn run(self, cx: &Scope) -> Result<Workspace> {
        check_slug(Self::NAME, &self.slug)?;
        let here = cx.hub().workspace_of(cx).await?;
        let mut made = Workspace::sandbox(WorkspaceId::new(cx), &self.slug);
        made.organization = Some(here.organization().clone());
        made.residency = here.residency.clone();
        made.default_locale.clone_from(&here.default_locale);
        made.timezone = self.timezone.unwrap_or_else(|| here.timezone.clone());
        if let Some(name) = self.name {
            made.name = name;
        }
        made.check().map_err(|e| e.for_operation(Self::NAME))?;
        if let Some(holder) = cx.hub().entry_of(&self.slug).await? {
            if holder.organization() == here.organization() {
                return Err(taken());
            }
            // Whether a stranger uses a name is not told: the new one is only longer.
            let tail = cx.new_id("x");
            made.slug = format!("{}-{}", self.slug, tail.get(tail.len() - 8..).unwrap_or_default());
        }
        cx.hub().found(&made, Vec::new(), cx.label()).await?;
        Ok(made)
    }
    fn examples() -> Vec<Self> {
        vec![CreateWorkspace { slug: "second-brand".into(), ..Self::default() }]
    }
}

/// Lists the workspaces of this organization that the caller belongs to, by slug.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListWorkspaces {
    /// Most workspaces of the page, 1..500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceLine {
    /// Its id.
    pub id: WorkspaceId,
    /// Short name.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// State.
    pub status: WorkspaceStatus,
}

/// Lines of the directory that are read at once.
const LOOK: usize = 500;

impl Operation for ListWorkspaces {
    type Output = Page<WorkspaceLine>;
    const NAME: &'static str = "workspaces.list";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const VERSION: u16 = 2;
    async fn run(self, cx: &Scope) -> Result<Page<WorkspaceLine>> {
        let here = cx.hub().workspace_of(cx).await?;
        let kind = Kind::of::<DirectoryEntry>();
        let limit = self.limit.unwrap_or(50).clamp(1, 500) as usize;
        let mut query = Query::by_id().limit(LOOK);
        if let Some(cursor) = &self.cursor {
            query = query.after(Key::new(), cx.place_in(Self::NAME, kind, cursor).await?);
        }
        let mut items: Vec<WorkspaceLine> = Vec::new();
        loop {
            cx.cancel_token().check(Self::NAME)?;
            let rows = cx.store().query(kind, &WorkspaceId::hub(), &query).await?;
            let last = rows.last().map(|row| row.id.clone());
            let is_end = rows.len() < LOOK;
            for row in rows {
                let entry = Stored::<DirectoryEntry>::from_row(&row)?.body;
                let Some(line) = line(cx, &entry, &here).await? else { continue };
                if items.len() == limit {
                    let next = items.last().map(|line| cx.cursor_behind(Self::NAME, &line.slug));
                    return Ok(Page { items, next });
                }
                items.push(line);
            }
            match last {
                Some(slug) if !is_end => query = query.after(Key::new(), slug),
                _ => return Ok(Page { items, next: None }),
            }
        }
    }
    fn examples() -> Vec<Self> {
        vec![ListWorkspaces::default()]
    }
}

/// The workspace of a line of the directory, when it is of this organization and the caller belongs to it.
async fn line(cx: &Scope, entry: &DirectoryEntry, here: &Workspace) -> Result<Option<WorkspaceLine>> {
    if entry.organization() != here.organization() || !belongs(cx, entry).await? {
        return Ok(None);
    }
    let kind = Kind::of::<Workspace>();
    let Some(row) = cx.store().get(kind, &entry.workspace, entry.workspace.as_str()).await? else {
        return Ok(None);
    };
    let found = Stored::<Workspace>::from_row(&row)?.body;
    Ok(Some(WorkspaceLine { id: found.id, slug: found.slug, name: found.name, status: found.status }))
}

/// A member belongs to the workspaces it is a member of, a key to its own; the host's own principals to all.
async fn belongs(cx: &Scope, entry: &DirectoryEntry) -> Result<bool> {
    match cx.authority() {
        _ if entry.workspace == *cx.workspace() => Ok(true),
        Authority::Host => Ok(matches!(cx.principal(), Principal::User { .. })),
        Authority::Key(_) => Ok(false),
        Authority::Member(user) => {
            let who = Principal::User { id: user.as_ref().to_owned() };
            let there = cx.hub().scope_of(entry.workspace.clone(), who, Role::Viewer);
            let rights = super::rights_of(&there, cx.authority()).await?;
            Ok(rights.gone.is_none())
        }
    }
}

async fn set_status(cx: &Scope, status: WorkspaceStatus) -> Result<Workspace> {
    let mut stored = cx.hub().workspace_of(cx).await?;
    if stored.status != status {
        stored.body.status = status;
        cx.save(&stored)?;
        cx.concern("workspace", stored.id.as_str());
    }
    Ok(stored.body)
}

/// Checks a reason for people.
fn check_reason(cx: &Scope, reason: &str) -> Result<()> {
    if (1..=500).contains(&reason.chars().count()) {
        return Ok(());
    }
    Err(Error::invalid(cx.operation(), "reason", "expected 1..500 characters that say why"))
}

/// Suspends this workspace: it answers reads, all else is refused until it is restored.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendWorkspace {
    /// Why, 1..500 characters.
    pub reason: String,
}

impl Operation for SuspendWorkspace {
    type Output = Workspace;
    const NAME: &'static str = "workspaces.suspend";
    const NEEDS: &'static [Permission] = &[Permission::ManageOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const WHILE_SUSPENDED: bool = true;
    async fn run(self, cx: &Scope) -> Result<Workspace> {
        check_reason(cx, &self.reason)?;
        set_status(cx, WorkspaceStatus::Suspended).await
    }
    fn examples() -> Vec<Self> {
        vec![SuspendWorkspace { reason: "payment overdue".into() }]
    }
}

/// Closes this workspace. It can be restored until it is erased.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseWorkspace {
    /// Why, 1..500 characters.
    pub reason: String,
}

impl Operation for CloseWorkspace {
    type Output = Workspace;
    const NAME: &'static str = "workspaces.close";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const WHILE_SUSPENDED: bool = true;
    async fn run(self, cx: &Scope) -> Result<Workspace> {
        check_reason(cx, &self.reason)?;
        set_status(cx, WorkspaceStatus::Closed).await
    }
    fn examples() -> Vec<Self> {
        vec![CloseWorkspace { reason: "the brand was sold".into() }]
    }
}

/// Makes a suspended or closed workspace active again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreWorkspace {}

impl Operation for RestoreWorkspace {
    type Output = Workspace;
    const NAME: &'static str = "workspaces.restore";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const WHILE_SUSPENDED: bool = true;
    async fn run(self, cx: &Scope) -> Result<Workspace> {
        set_status(cx, WorkspaceStatus::Active).await
    }
    fn examples() -> Vec<Self> {
        vec![RestoreWorkspace {}]
    }
}
