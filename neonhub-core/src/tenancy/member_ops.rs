//! Operations on members and custom roles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::key::ApiKey;
use super::member::{
    CustomRole, MemberStatus, Membership, MembershipId, RoleId, check_declared, check_grant, role_rights,
};
use crate::bus::Event;
use crate::op::{Audit, Effect, Operation, Page};
use crate::permission::{Permission, PermissionSet, Role};
use crate::store::{Expected, Key, Query, Stored};
use crate::{Error, ErrorKind, Result, Scope};

/// Tells of a change of a member in its commit. Open streams look at their rights again when they hear of it.
fn tell(cx: &Scope, kind: &str, member: &Membership) -> Result<()> {
    let data = json!({ "user": member.user, "role": member.role, "status": member.status });
    cx.emit(Event::new(cx, kind, "membership", member.id.as_str(), data))?;
    cx.concern("membership", member.id.as_str());
    Ok(())
}

fn tell_role(cx: &Scope, role: &CustomRole) -> Result<()> {
    let data = json!({ "name": role.name, "permissions": role.permissions });
    cx.emit(Event::new(cx, "role.changed", "custom_role", role.id.as_str(), data))?;
    cx.concern("custom_role", role.id.as_str());
    Ok(())
}

/// Asks a user to join this workspace with a role.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteMember {
    /// The user, by the id the host knows it by, 1..200 bytes.
    pub user: String,
    /// `owner`, `admin`, `member`, `viewer` or the name of a custom role; nothing beyond the caller's own rights.
    pub role: String,
}

impl Operation for InviteMember {
    type Output = Membership;
    const NAME: &'static str = "members.invite";
    const NEEDS: &'static [Permission] = &[Permission::ManageTeam];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Business;
    async fn run(self, cx: &Scope) -> Result<Membership> {
        if !(1..=200).contains(&self.user.len()) {
            return Err(Error::invalid(Self::NAME, "user", "expected 1..200 bytes"));
        }
        check_grant(cx, &role_rights(cx, "role", &self.role).await?)?;
        if let Some(mut found) = cx.find::<Membership>("user", self.user.as_str()).await? {
            if found.status != MemberStatus::Removed {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    Self::NAME,
                    "this user is a member already",
                )
                .with_context("holder", &found.id));
            }
            (found.body.status, found.body.role) = (MemberStatus::Invited, self.role);
            cx.save(&found)?;
            tell(cx, "member.invited", &found.body)?;
            return Ok(found.body);
        }
        let member = Membership {
            id: MembershipId::new(cx),
            user: self.user,
            role: self.role,
            status: MemberStatus::Invited,
        };
        cx.create(&member)?;
        tell(cx, "member.invited", &member)?;
        Ok(member)
    }
    fn examples() -> Vec<Self> {
        vec![InviteMember { user: "ada".into(), role: "member".into() }]
    }
}

/// Lists the members of this workspace, by user.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListMembers {
    /// Most members of the page, 1..500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListMembers {
    type Output = Page<Membership>;
    const NAME: &'static str = "members.list";
    const NEEDS: &'static [Permission] = &[Permission::ManageTeam];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<Membership>> {
        let query = Query::index("user").limit(self.limit.unwrap_or(50) as usize);
        let page = cx.page::<Membership>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|m| m.body).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListMembers::default()]
    }
}

/// Gives a member another role. It holds for the member's next call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRole {
    /// The user.
    pub user: String,
    /// The new role; neither it nor the old one may go beyond the caller's own rights.
    pub role: String,
}

/// The member, if it is one.
async fn member(cx: &Scope, user: &str) -> Result<Stored<Membership>> {
    let found = cx.find::<Membership>("user", user).await?;
    found.filter(|m| m.status != MemberStatus::Removed).ok_or_else(|| cx.missing("membership"))
}

/// The last owner can be neither removed nor demoted. The other owner is checked in the same commit, so that two
/// owners cannot demote each other at once.
async fn keep_an_owner(cx: &Scope, leaving: &Stored<Membership>) -> Result<()> {
    let owner = Role::Owner.word();
    if leaving.role != owner || leaving.status != MemberStatus::Active {
        return Ok(());
    }
    let owners = cx.query::<Membership>(&Query::index("role").prefix(Key::text(owner)).limit(2)).await?;
    match owners.iter().find(|o| o.id != leaving.id) {
        Some(other) => cx.expect::<Membership>(other.id.as_str(), Expected::Rev(other.rev)),
        None => Err(Error::new(
            ErrorKind::Blocked,
            cx.operation(),
            "this is the last owner: make another member an owner first",
        )
        .with_code("last_owner")),
    }
}

impl Operation for SetRole {
    type Output = Membership;
    const NAME: &'static str = "members.set_role";
    const NEEDS: &'static [Permission] = &[Permission::ManageTeam];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<Membership> {
        let mut found = member(cx, &self.user).await?;
        check_grant(cx, &role_rights(cx, "role", &self.role).await?)?;
        check_grant(cx, &role_rights(cx, "role", &found.role).await.unwrap_or_default())?;
        if found.role == self.role {
            return Ok(found.body);
        }
        keep_an_owner(cx, &found).await?;
        found.body.role = self.role;
        cx.save(&found)?;
        tell(cx, "member.role_changed", &found.body)?;
        Ok(found.body)
    }
    fn examples() -> Vec<Self> {
        vec![SetRole { user: "ada".into(), role: "viewer".into() }]
    }
}

/// Removes a member. Its keys are revoked in the same commit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveMember {
    /// The user.
    pub user: String,
}

impl Operation for RemoveMember {
    type Output = Membership;
    const NAME: &'static str = "members.remove";
    const NEEDS: &'static [Permission] = &[Permission::ManageTeam];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<Membership> {
        let mut found = member(cx, &self.user).await?;
        check_grant(cx, &role_rights(cx, "role", &found.role).await.unwrap_or_default())?;
        keep_an_owner(cx, &found).await?;
        found.body.status = MemberStatus::Removed;
        cx.save(&found)?;
        let owner = format!("user:{}", self.user);
        let keys = Query::index("owner").equals(owner.as_str()).limit(10_000);
        for mut key in cx.query::<ApiKey>(&keys).await? {
            if key.revoked_at.is_none_or(|at| at > cx.now()) {
                key.body.revoked_at = Some(cx.now());
                cx.save(&key)?;
            }
        }
        tell(cx, "member.removed", &found.body)?;
        Ok(found.body)
    }
    fn examples() -> Vec<Self> {
        vec![RemoveMember { user: "ada".into() }]
    }
}

/// Makes a custom role, or changes what it holds. It holds for the next call of whoever has it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRole {
    /// Name, 1..40 lower-case letters, digits, `_` and `-`; not that of a built-in role.
    pub name: String,
    /// What it holds: words such as `read:content`, or those the host declared under `app:`, none beyond the caller's own
    /// rights.
    pub permissions: Vec<Permission>,
}

impl Operation for PutRole {
    type Output = CustomRole;
    const NAME: &'static str = "roles.put";
    const NEEDS: &'static [Permission] = &[Permission::ManageTeam];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(mut self, cx: &Scope) -> Result<CustomRole> {
        let is_shaped = (1..=40).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
            && Role::from_word(&self.name).is_none()
            && !["agent", "system", "api_key"].contains(&self.name.as_str());
        if !is_shaped {
            let expected = "expected 1..40 lower-case letters, digits, `_` and `-`, not a built-in role";
            return Err(Error::invalid(Self::NAME, "name", expected));
        }
        check_declared(cx, &self.permissions)?;
        check_grant(cx, &PermissionSet::of(&self.permissions))?;
        self.permissions.sort_unstable();
        self.permissions.dedup();
        if let Some(mut found) = cx.find::<CustomRole>("name", self.name.as_str()).await? {
            check_grant(cx, &PermissionSet::of(&found.permissions))?;
            if found.permissions != self.permissions {
                found.body.permissions = self.permissions;
                cx.save(&found)?;
                tell_role(cx, &found.body)?;
            }
            return Ok(found.body);
        }
        let role = CustomRole { id: RoleId::new(cx), name: self.name, permissions: self.permissions };
        cx.create(&role)?;
        tell_role(cx, &role)?;
        Ok(role)
    }
    fn examples() -> Vec<Self> {
        let permissions = vec![Permission::ReadContent, Permission::WriteContent];
        vec![PutRole { name: "editor".into(), permissions }]
    }
}
