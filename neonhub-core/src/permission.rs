//! Permission words and the roles that hold them.

mod app;
mod set;
#[cfg(test)]
mod tests;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use app::APP_SHAPE;
pub use app::AppPermission;
pub use set::PermissionSet;

macro_rules! permissions {
    ($(#[doc = $doc:literal] $name:ident = $word:literal),+ $(,)?) => {
        /// A right that an operation needs. The words are stable and the same in every language; hosts add their own
        /// under `app:`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Permission {
            $(#[doc = $doc] $name,)+
            /// A right of the host's own, see [`Permission::app`].
            App(AppPermission),
        }

        /// Their places in a set.
        #[derive(Clone, Copy)]
        enum Place { $($name),+ }

        impl Permission {
            /// Every word of NeonHub; those of a host are told by `scope.list_permissions`.
            pub const ALL: &'static [Permission] = &[$(Permission::$name),+];

            /// What it lets a principal do, one sentence. What a host's word means only its host knows.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Permission::$name => $doc.trim_ascii(),)+
                    Permission::App(_) => "A right of the host's own.",
                }
            }

            /// The word, such as `read:people`.
            #[must_use]
            pub fn word(&self) -> &str {
                match self {
                    $(Permission::$name => $word,)+
                    Permission::App(word) => word.word(),
                }
            }

            /// Its bit in a set; none for a host's.
            const fn bit(self) -> Option<u64> {
                match self {
                    $(Permission::$name => Some(1 << Place::$name as u64),)+
                    Permission::App(_) => None,
                }
            }
        }
    };
}

permissions! {
    /// Read campaigns, content, knowledge, sends.
    ReadContent = "read:content",
    /// Write campaigns, content, knowledge.
    WriteContent = "write:content",
    /// Delete content.
    DeleteContent = "delete:content",
    /// Manage members, roles and keys.
    ManageTeam = "manage:team",
    /// Manage wallets and billing.
    ManageBilling = "manage:billing",
    /// Manage workspaces and their settings.
    ManageOrganization = "manage:organization",
    /// Run agents and models.
    ExecuteAgents = "execute:agents",
    /// Read people; contact values are masked without `read:pii`.
    ReadPeople = "read:people",
    /// See contact values unmasked.
    ReadPii = "read:pii",
    /// Write people.
    WritePeople = "write:people",
    /// Erase people.
    DeletePeople = "delete:people",
    /// Export people.
    ExportPeople = "export:people",
    /// Write the consent ledger and suppression.
    WriteConsent = "write:consent",
    /// Send to the outside, through the gate.
    SendMessages = "send:messages",
    /// Approve content.
    ApproveContent = "approve:content",
    /// Write brands and their voice.
    WriteBrand = "write:brand",
    /// Read analytics, runs and jobs.
    ReadAnalytics = "read:analytics",
    /// Manage connections to services.
    ManageConnections = "manage:connections",
    /// Manage budgets.
    ManageBudget = "manage:budget",
    /// Spend budgets.
    SpendBudget = "spend:budget",
    /// Approve effects of agents.
    ApproveEffects = "approve:effects",
    /// Manage secrets.
    ManageSecrets = "manage:secrets",
    /// Manage policies and limits.
    ManagePolicies = "manage:policies",
    /// Manage jobs and queues.
    ManageJobs = "manage:jobs",
    /// Read the audit log.
    ReadAudit = "read:audit",
    /// Close, transfer or restore a workspace.
    OwnOrganization = "own:organization",
}

impl Permission {
    /// The permission with this word: one of NeonHub's, or a host's.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let base = Permission::ALL.iter().copied().find(|p| p.word() == word);
        base.or_else(|| AppPermission::parse(word).map(Permission::App))
    }

    /// A right of the host's own, for the needs of its operations. The host declares the word with
    /// [`HubBuilder::permission`](crate::HubBuilder::permission).
    ///
    /// ```
    /// use neonhub_core::Permission;
    ///
    /// const NEEDS: &[Permission] = &[Permission::app("app:orders.refund")];
    /// assert_eq!(NEEDS[0].word(), "app:orders.refund");
    /// ```
    ///
    /// # Panics
    /// For a word of another shape than [`AppPermission`] has; in a constant the program does not compile then. What
    /// comes from outside goes through [`Permission::from_word`].
    #[must_use]
    pub const fn app(word: &str) -> Self {
        let parsed = AppPermission::parse(word);
        assert!(parsed.is_some(), "expected app: and words of a-z, 0-9 and _ with dots between them");
        match parsed {
            Some(word) => Permission::App(word),
            None => unreachable!(),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A named set of permissions inside one workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, and alone may close or transfer the workspace.
    Owner,
    /// Everything but closing or transferring the workspace.
    Admin,
    /// Day-to-day marketing work.
    Member,
    /// Reads with contact values masked.
    Viewer,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Role] = &[Role::Owner, Role::Admin, Role::Member, Role::Viewer];

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Member => "member",
            Role::Viewer => "viewer",
        }
    }

    /// The role with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Role::ALL.iter().copied().find(|r| r.word() == word)
    }

    /// What the role may do. Owners and admins hold the words of the host too, the others only by a custom role.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        use Permission as P;
        match self {
            Role::Owner => PermissionSet::all(),
            Role::Admin => PermissionSet::all().without(&PermissionSet::of(&[P::OwnOrganization])),
            Role::Member => PermissionSet::of(&[
                P::ReadContent,
                P::WriteContent,
                P::ReadPeople,
                P::ReadPii,
                P::WritePeople,
                P::WriteConsent,
                P::SendMessages,
                P::WriteBrand,
                P::ExecuteAgents,
                P::ReadAnalytics,
            ]),
            Role::Viewer => PermissionSet::of(&[P::ReadContent, P::ReadPeople, P::ReadAnalytics]),
        }
    }
}

/// What no agent ever holds, whatever its principal may do.
pub const NEVER_AGENT: PermissionSet = {
    use Permission as P;
    PermissionSet::base(&[
        P::DeletePeople,
        P::ExportPeople,
        P::ManageTeam,
        P::ManageBilling,
        P::ManageOrganization,
        P::ManageConnections,
        P::ManageBudget,
        P::ManageSecrets,
        P::ManagePolicies,
        P::ManageJobs,
        P::OwnOrganization,
    ])
};
