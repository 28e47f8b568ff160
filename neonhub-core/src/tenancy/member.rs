//! Members of a workspace and custom roles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::permission::{Permission, PermissionSet, Role};
use crate::store::{Index, Key, Record};
use crate::{Error, Faults, Result, Scope, id_type};

id_type!(MembershipId, "mem", "A membership.");
id_type!(RoleId, "rol", "A custom role.");

/// Where a membership stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// Asked to join; becomes active when the user first calls.
    Invited,
    /// May call.
    Active,
    /// May not any more.
    Removed,
}

/// A user's place in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Membership {
    /// Its id.
    pub id: MembershipId,
    /// The user, by the id the host knows it by.
    pub user: String,
    /// Role: `owner`, `admin`, `member`, `viewer` or the name of a custom one.
    pub role: String,
    /// Where it stands.
    pub status: MemberStatus,
}

impl Record for Membership {
    const KIND: &'static str = "membership";
    const INDEXES: &'static [Index] = &[Index::unique("user"), Index::on("role")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let role = (self.status == MemberStatus::Active).then(|| Key::text(&self.role));
        vec![Some(Key::text(&self.user)), role]
    }
}

/// A role of a workspace's own: any subset of the rights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomRole {
    /// Its id.
    pub id: RoleId,
    /// Name.
    pub name: String,
    /// What it holds.
    pub permissions: Vec<Permission>,
}

impl Record for CustomRole {
    const KIND: &'static str = "custom_role";
    const INDEXES: &'static [Index] = &[Index::unique("name")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.name))]
    }
}

/// What a role holds, built in or custom.
///
/// # Errors
/// `InvalidInput` naming `field` and the roles there are.
pub(super) async fn role_rights(cx: &Scope, field: &str, role: &str) -> Result<PermissionSet> {
    if let Some(built_in) = Role::from_word(role) {
        return Ok(built_in.permissions());
    }
    if let Some(found) = cx.find::<CustomRole>("name", role).await? {
        return Ok(PermissionSet::of(&found.permissions));
    }
    let words: Vec<&str> = Role::ALL.iter().map(|r| r.word()).collect();
    let expected = format!("expected {} or the name of a custom role", words.join(", "));
    Err(Error::invalid(cx.operation(), field, expected))
}

/// A principal grants only what it holds. A role with every right holds what the host declared too, which no set lists.
///
/// # Errors
/// `PermissionDenied` naming the first right it does not hold.
pub(super) fn check_grant(cx: &Scope, granted: &PermissionSet) -> Result<()> {
    let declared = cx.hub().app_permissions().map(|(word, _)| word);
    let mut words = granted.iter().chain(declared.filter(|word| granted.has(*word)));
    let beyond = words.find(|word| !cx.permissions().has(*word));
    beyond.map_or(Ok(()), |word| Err(crate::op::denied(cx.operation(), word)))
}

/// The words that an input names are NeonHub's, or declared by the host.
///
/// # Errors
/// `InvalidInput` naming each word that is neither.
pub(super) fn check_declared(cx: &Scope, words: &[Permission]) -> Result<()> {
    let mut faults = Faults::new();
    for (n, word) in words.iter().enumerate() {
        cx.hub().check_declared(&mut faults, &format!("permissions[{n}]"), *word);
    }
    faults.into_result(cx.operation())
}
