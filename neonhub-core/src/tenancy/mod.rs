//! Workspaces, the one unit of isolation, and who may do what in them: members, custom roles, API keys.

mod directory;
mod key;
mod key_ops;
mod member;
mod member_ops;
mod residency;
mod rights;
mod workspace_ops;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::op::{Entry, entry};
use crate::store::{Kind, Record};
use crate::{Result, id_type};

pub use directory::KeyDirectory;
pub use key::{ApiKey, KeyView};
pub use key_ops::{CreateKey, ListKeys, NewKey, RevokeKey, RotateKey};
pub use member::{CustomRole, MemberStatus, Membership};
pub use member_ops::{InviteMember, ListMembers, PutRole, RemoveMember, SetRole};
pub use residency::{LOCAL, Residency};
pub use workspace_ops::{
    CloseWorkspace, CreateWorkspace, GetWorkspace, ListWorkspaces, RestoreWorkspace, SuspendWorkspace,
    UpdateWorkspace, WorkspaceLine,
};

pub(crate) use directory::{check_slug, new_record};
pub use rights::Rights;
pub(crate) use rights::{Held, rights_of};

/// Operations of this room.
pub static CATALOGUE: &[Entry] = &[
    entry::<GetWorkspace>(),
    entry::<UpdateWorkspace>(),
    entry::<CreateWorkspace>(),
    entry::<ListWorkspaces>(),
    entry::<SuspendWorkspace>(),
    entry::<RestoreWorkspace>(),
    entry::<CloseWorkspace>(),
    entry::<InviteMember>(),
    entry::<ListMembers>(),
    entry::<SetRole>(),
    entry::<RemoveMember>(),
    entry::<PutRole>(),
    entry::<CreateKey>(),
    entry::<ListKeys>(),
    entry::<RevokeKey>(),
    entry::<RotateKey>(),
];

/// Records of this room, beside the workspace and its line in the directory.
pub static KINDS: &[Kind] =
    &[Kind::of::<Membership>(), Kind::of::<CustomRole>(), Kind::of::<ApiKey>(), Kind::of::<KeyDirectory>()];

id_type!(WorkspaceId, "wsp", "A workspace: the unit that every record belongs to.");

impl WorkspaceId {
    /// The home of hub-wide records: the list of workspaces itself.
    #[must_use]
    pub fn hub() -> Self {
        WorkspaceId("wsp_00000000000000000000000000".into())
    }
}

#[cfg(any(test, feature = "testing"))]
impl WorkspaceId {
    /// A workspace id for store tests.
    #[must_use]
    pub fn hub_sibling(n: u8) -> Self {
        WorkspaceId(format!("wsp_{n:026}").into())
    }
}

/// Whether real people may be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// For trying out: text of the offline model may pass the gate. The default of a new store.
    #[default]
    Sandbox,
    /// For real people: offline-made text is refused unless `allow_offline_output` is set.
    Production,
}

/// State of a workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceStatus {
    /// Everything works.
    #[default]
    Active,
    /// Reads and writes work, sends and runs are refused.
    Paused,
    /// Reads work, all else is refused.
    Suspended,
    /// Closed by its owner.
    Closed,
}

impl WorkspaceStatus {
    /// True while changes, sends and runs are taken at the door; the gate refuses sends of a paused workspace.
    #[must_use]
    pub const fn takes_writes(self) -> bool {
        matches!(self, WorkspaceStatus::Active | WorkspaceStatus::Paused)
    }

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            WorkspaceStatus::Active => "active",
            WorkspaceStatus::Paused => "paused",
            WorkspaceStatus::Suspended => "suspended",
            WorkspaceStatus::Closed => "closed",
        }
    }
}

/// A workspace and the defaults its records fall back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Display name.
    pub name: String,
    /// Short name, unique in the store; the directory of the hub leads from it to the workspace.
    pub slug: String,
    /// Whether real people may be reached.
    #[serde(default)]
    pub mode: Mode,
    /// State.
    #[serde(default)]
    pub status: WorkspaceStatus,
    /// BCP 47 language tag used where a person has none.
    pub default_locale: String,
    /// IANA zone used where a person has none.
    pub timezone: String,
    /// ISO 3166-1 alpha-2 region used to read national phone numbers; none means only `+` numbers are read.
    #[serde(default)]
    pub default_region: Option<String>,
    /// Lets offline-made text through in production mode.
    #[serde(default)]
    pub allow_offline_output: bool,
    /// The workspace that its organization began with; none: itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<WorkspaceId>,
    /// Where its data may go.
    #[serde(default, skip_serializing_if = "Residency::is_open")]
    pub residency: Residency,
}

impl Record for Workspace {
    const KIND: &'static str = "workspace";
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// One line of the hub's directory: which workspace a slug names. The workspace itself is a record of its own
/// workspace, so that a dispatch commit can check that it did not change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryEntry {
    /// The slug.
    pub slug: String,
    /// The workspace it names.
    pub workspace: WorkspaceId,
    /// The workspace that its organization began with; none: itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<WorkspaceId>,
}

impl DirectoryEntry {
    /// The workspace that stands for the organization.
    #[must_use]
    pub fn organization(&self) -> &WorkspaceId {
        self.organization.as_ref().unwrap_or(&self.workspace)
    }
}

impl Record for DirectoryEntry {
    const KIND: &'static str = "directory_entry";
    fn id(&self) -> &str {
        &self.slug
    }
}

impl Workspace {
    /// A sandbox workspace with neutral defaults.
    #[must_use]
    pub fn sandbox(id: WorkspaceId, slug: &str) -> Self {
        Workspace {
            id,
            name: slug.to_owned(),
            slug: slug.to_owned(),
            mode: Mode::Sandbox,
            status: WorkspaceStatus::Active,
            default_locale: "en".into(),
            timezone: "Etc/UTC".into(),
            default_region: None,
            allow_offline_output: false,
            organization: None,
            residency: Residency::default(),
        }
    }

    /// The workspace that stands for the organization.
    #[must_use]
    pub fn organization(&self) -> &WorkspaceId {
        self.organization.as_ref().unwrap_or(&self.id)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// `InvalidInput` naming every wrong field.
    pub fn check(&self) -> Result<()> {
        let mut faults = crate::Faults::new();
        faults.check(
            !self.name.trim().is_empty() && self.name.len() <= 200,
            "name",
            "expected 1..200 characters",
        );
        faults.check(
            crate::zone("timezone", &self.timezone).is_ok(),
            "timezone",
            "expected an IANA time zone such as Europe/Vienna",
        );
        if let Some(region) = &self.default_region {
            faults.check(
                region.len() == 2 && region.bytes().all(|b| b.is_ascii_uppercase()),
                "default_region",
                "expected an ISO 3166-1 alpha-2 code such as AT",
            );
        }
        if let Some(region) = &self.residency.region {
            let is_word = (1..=20).contains(&region.len())
                && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            faults.check(is_word && region != LOCAL, "region_tag", "expected a tag such as eu or us");
        }
        faults.into_result("workspaces.update")
    }
}
