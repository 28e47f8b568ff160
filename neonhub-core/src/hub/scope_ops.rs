//! Operations on the calling scope: who calls, what it may do, what is missing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::op::{Effect, Operation};
use crate::permission::{Permission, Role};
use crate::policy::Verdict;
use crate::scope::Principal;
use crate::tenancy::WorkspaceId;
use crate::{Result, Scope};

/// Tells who is calling, with which rights, in which workspace, and how many calls are left.
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
    /// Its roles.
    pub roles: Vec<String>,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// How many calls are admitted now; absent when nothing is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_left: Option<u32>,
}

impl Operation for WhoAmI {
    type Output = Caller;
    const NAME: &'static str = "scope.whoami";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Caller> {
        let calls_left = match cx.own_bucket() {
            Some((counted, bucket)) => match cx.rate_of(counted, &bucket).await? {
                Some(rate) => Some(cx.left(&bucket, rate).await?),
                None => None,
            },
            None => None,
        };
        Ok(Caller {
            principal: cx.principal().clone(),
            workspace: cx.workspace().clone(),
            roles: cx.roles().to_vec(),
            permissions: cx.permission_words(),
            calls_left,
        })
    }
    fn examples() -> Vec<Self> {
        vec![WhoAmI {}]
    }
}

/// Tells whether the caller may call an operation, and if not what is missing. Of an agent it is known what its run had read.
/// Calls nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Can {
    /// Name of the operation.
    pub operation: String,
    /// Its input as far as it is known, for policies that look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Map<String, Value>>,
}

/// The answer of `scope.can`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Allowed {
    /// True when the call would pass rights, tenant and policies.
    pub allowed: bool,
    /// The rights that are missing.
    pub missing: Vec<Permission>,
    /// What policies say.
    pub verdict: Verdict,
    /// The policies that decided, `name@version`.
    pub policies: Vec<String>,
    /// The state of the workspace, when it stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
}

impl Operation for Can {
    type Output = Allowed;
    const NAME: &'static str = "scope.can";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Allowed> {
        let line = cx.hub().operation(&self.operation)?;
        let missing: Vec<Permission> =
            line.needs.iter().copied().filter(|p| !cx.permissions().has(*p)).collect();
        let control = cx.control().await?;
        let decision = crate::policy::preview(line, cx, &control, self.target.unwrap_or_default()).await?;
        let is_shut = !line.effect.is_read_only() && !line.while_suspended && !control.status.takes_writes();
        Ok(Allowed {
            allowed: missing.is_empty() && !is_shut && decision.verdict < Verdict::RequireApproval,
            missing,
            verdict: decision.verdict,
            policies: decision.fired().map(|r| r.policy.label()).collect(),
            workspace: is_shut.then(|| control.status.word().to_owned()),
        })
    }
    fn examples() -> Vec<Self> {
        vec![Can { operation: "workspaces.update".into(), target: None }]
    }
}

/// Lists the words of rights, those of the host last: what each means, which roles hold it, which operations need it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListPermissions {}

/// One word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionLine {
    /// The word.
    pub word: Permission,
    /// What it lets a principal do.
    pub meaning: String,
    /// Built-in roles that hold it.
    pub roles: Vec<Role>,
    /// Operations that need it.
    pub operations: Vec<String>,
}

impl Operation for ListPermissions {
    type Output = Vec<PermissionLine>;
    const NAME: &'static str = "scope.list_permissions";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Vec<PermissionLine>> {
        let base = Permission::ALL.iter().map(|word| (*word, word.meaning()));
        let line = |(word, meaning): (Permission, &str)| PermissionLine {
            word,
            meaning: meaning.to_owned(),
            roles: Role::ALL.iter().copied().filter(|r| r.permissions().has(word)).collect(),
            operations: cx
                .hub()
                .operations()
                .filter(|e| !e.internal && e.needs.contains(&word))
                .map(|e| e.name.to_owned())
                .collect(),
        };
        Ok(base.chain(cx.hub().app_permissions()).map(line).collect())
    }
    fn examples() -> Vec<Self> {
        vec![ListPermissions {}]
    }
}
