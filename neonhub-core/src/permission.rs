//! Permission words and the roles that hold them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! permissions {
    ($(#[doc = $doc:literal] $name:ident = $word:literal),+ $(,)?) => {
        /// A right that an operation needs. The words are stable and the same in every language.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[non_exhaustive]
        pub enum Permission { $(#[doc = $doc] #[serde(rename = $word)] $name),+ }

        impl Permission {
            /// Every word.
            pub const ALL: &'static [Permission] = &[$(Permission::$name),+];

            /// What it lets a principal do, one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Permission::$name => $doc.trim_ascii()),+ }
            }

            /// The permission with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Permission::ALL.iter().copied().find(|p| p.word() == word)
            }

            /// The word, such as `read:people`.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Permission::$name => $word),+ }
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

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct PermissionSet(u64);

impl PermissionSet {
    /// No rights.
    pub const NONE: PermissionSet = PermissionSet(0);

    /// The set of these words.
    #[must_use]
    pub const fn of(words: &[Permission]) -> Self {
        let mut bits = 0;
        let mut rest = words;
        while let [first, tail @ ..] = rest {
            bits |= 1 << *first as u64;
            rest = tail;
        }
        PermissionSet(bits)
    }

    /// Every right.
    #[must_use]
    pub const fn all() -> Self {
        PermissionSet::of(Permission::ALL)
    }

    /// True when `word` is in the set.
    #[must_use]
    pub const fn has(self, word: Permission) -> bool {
        self.0 & (1 << word as u64) != 0
    }

    /// True when every word of `other` is in the set.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What both sets hold.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        PermissionSet(self.0 & other.0)
    }

    /// This set without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        PermissionSet(self.0 & !other.0)
    }

    /// The words, in catalogue order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |p| self.has(*p))
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::word)).finish()
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

    /// What the role may do.
    #[must_use]
    pub const fn permissions(self) -> PermissionSet {
        use Permission as P;
        match self {
            Role::Owner => PermissionSet::all(),
            Role::Admin => PermissionSet::all().without(PermissionSet::of(&[P::OwnOrganization])),
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
    PermissionSet::of(&[
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_nest() {
        let all: Vec<_> = Role::ALL.iter().map(|r| r.permissions()).collect();
        for pair in all.windows(2) {
            assert_eq!(pair[0].intersection(pair[1]), pair[1], "a lower role holds nothing more");
        }
        assert!(!Role::Admin.permissions().has(Permission::OwnOrganization));
        assert!(!Role::Viewer.permissions().has(Permission::ReadPii));
    }
}
