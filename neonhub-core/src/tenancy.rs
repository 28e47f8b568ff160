//! Workspaces: the one unit of isolation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::Record;
use crate::{Result, id_type};

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
        }
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
        faults.into_result("workspaces.update")
    }
}
