//! What a principal may do: rights that grow smaller from scope to scope, and those that hold at the moment.

use std::sync::Arc;

use super::{Authority, Principal, Scope};
use crate::Result;
use crate::op::denied;
use crate::permission::{NEVER_AGENT, Permission, PermissionSet, Role};

/// The role of every agent.
const AGENT_ROLE: &str = "agent";

impl Scope {
    /// A scope for an agent: the rights both it and this principal hold, and never the rights no agent has.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "callers make the set for this call")]
    pub fn for_agent(&self, name: &str, run: &str, allowed: PermissionSet) -> Scope {
        self.with(|inner| {
            // An agent that another one asked acts for the same user or key.
            let acts_for = match &inner.principal {
                Principal::Agent { acts_for, .. } => acts_for.clone(),
                _ => inner.label.to_string(),
            };
            inner.principal = Principal::Agent { name: name.to_owned(), run: run.to_owned(), acts_for };
            inner.label = inner.principal.label().into();
            inner.permissions = inner.permissions.intersection(&allowed).without(&NEVER_AGENT);
            inner.ceiling = inner.ceiling.intersection(&allowed).without(&NEVER_AGENT);
            inner.roles = Arc::new([AGENT_ROLE.to_owned()]);
        })
    }

    /// A scope of the same workspace and principal with a lower role.
    #[must_use]
    pub fn with_role(&self, role: Role) -> Scope {
        self.with(|inner| {
            inner.permissions = inner.permissions.intersection(&role.permissions());
            inner.ceiling = inner.ceiling.intersection(&role.permissions());
            inner.roles = Arc::new([role.word().to_owned()]);
        })
    }

    /// A scope of the same workspace and principal with these rights at most.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "callers make the set for this call")]
    pub fn with_permissions(&self, rights: PermissionSet) -> Scope {
        self.with(|inner| {
            inner.permissions = inner.permissions.intersection(&rights);
            // The rights of members and keys are looked up at every call, and never go beyond this.
            inner.ceiling = inner.ceiling.intersection(&rights);
        })
    }

    /// This scope for a principal whose rights are looked up at every call: a member or a key.
    pub(crate) fn under(&self, authority: Authority, rights: &crate::tenancy::Held) -> Scope {
        self.with(|inner| {
            inner.authority = authority;
            inner.permissions = inner.ceiling.intersection(&rights.permissions);
            inner.roles = Arc::from(rights.roles.clone());
            inner.rate = rights.rate;
        })
    }

    /// The rights that hold now. An agent keeps its role; its rights shrink with those of whom it acts for.
    pub(crate) fn with_current(&self, rights: &crate::tenancy::Held) -> Scope {
        let permissions = self.0.ceiling.intersection(&rights.permissions);
        if permissions == self.0.permissions && self.0.rate == rights.rate {
            return self.clone();
        }
        self.with(|inner| {
            inner.permissions = permissions;
            inner.rate = rights.rate;
            if !matches!(inner.principal, Principal::Agent { .. }) {
                inner.roles = Arc::from(rights.roles.clone());
            }
        })
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// A rate of this principal's own, in place of the profile's.
    pub(crate) fn own_rate(&self) -> Option<crate::resilience::Rate> {
        self.0.rate
    }

    /// The roles of the principal: `owner`, `admin`, `member`, `viewer`, `agent`, or the name of a custom one.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.0.roles
    }

    /// What the principal may do.
    #[must_use]
    pub fn permissions(&self) -> &PermissionSet {
        &self.0.permissions
    }

    /// The words the principal holds: those of NeonHub in catalogue order, then those the host declared.
    #[must_use]
    pub fn permission_words(&self) -> Vec<Permission> {
        let held = self.permissions();
        let declared = self.hub().app_permissions().map(|(word, _)| word);
        Permission::ALL.iter().copied().chain(declared).filter(|word| held.has(*word)).collect()
    }

    /// Checks a right beyond those the operation declares.
    ///
    /// # Errors
    /// `PermissionDenied` naming the missing word.
    pub fn require(&self, word: Permission) -> Result<()> {
        if self.0.permissions.has(word) { Ok(()) } else { Err(denied(self.0.operation, word)) }
    }
}
