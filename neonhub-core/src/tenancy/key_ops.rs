//! Operations on API keys.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::directory::put_new;
use super::key::{ApiKey, ApiKeyId, KeyView, Minted, mint};
use super::member::check_grant;
use super::{KeyDirectory, WorkspaceId};
use crate::op::{Effect, Operation, Page};
use crate::permission::{Permission, PermissionSet};
use crate::resilience::Rate;
use crate::store::Query;
use crate::{Error, Result, Scope, Timestamp};

/// How long the old key of a rotation stays valid, in milliseconds: 24 h. Our choice.
const OVERLAP_MS: u64 = 24 * 3_600_000;
const EXAMPLE_ID: &str = "key_01kaf3w0000000000000000000";

/// Makes an API key. Its secret is in this answer and nowhere else.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// Name, 1..100 characters.
    pub name: String,
    /// What it may do; nothing beyond the caller's own rights, and of words under `app:` those the host declared.
    /// `own:organization` makes a root key.
    pub permissions: Vec<Permission>,
    /// Until when it is valid; left out: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// A rate of its own, in place of the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Rate>,
}

/// A new key with its secret.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewKey {
    /// The key.
    pub key: KeyView,
    /// The secret, shown this once.
    pub secret: String,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("key", &self.key).field("secret", &"***").finish()
    }
}

impl CreateKey {
    fn check(&self, cx: &Scope) -> Result<()> {
        let mut faults = crate::Faults::new();
        let is_name = (1..=100).contains(&self.name.chars().count());
        faults.check(is_name, "name", "expected 1..100 characters");
        faults.check(!self.permissions.is_empty(), "permissions", "expected at least one word");
        for (n, word) in self.permissions.iter().enumerate() {
            cx.hub().check_declared(&mut faults, &format!("permissions[{n}]"), *word);
        }
        let is_ahead = self.expires_at.is_none_or(|at| at > cx.now());
        faults.check(is_ahead, "expires_at", "expected an instant to come");
        if let Some(rate) = self.rate_limit {
            let is_bounded =
                (1..=1_000_000).contains(&rate.max) && (1_000..=31 * 86_400_000).contains(&rate.per_ms);
            faults.check(is_bounded, "rate_limit", "expected 1..1 000 000 calls per second to 31 days");
        }
        faults.into_result(cx.operation())
    }

    async fn make(mut self, cx: &Scope) -> Result<NewKey> {
        check_grant(cx, &PermissionSet::of(&self.permissions))?;
        self.permissions.sort_unstable();
        self.permissions.dedup();
        let Minted { prefix, secret, hash } = mint(cx);
        // First, and by itself: a line without a key finds nothing, a key without its line could not be used.
        let line = KeyDirectory { prefix: prefix.clone(), workspace: cx.workspace().clone() };
        put_new(cx.hub(), WorkspaceId::hub(), &line, cx.label()).await?;
        let key = ApiKey {
            id: ApiKeyId::new(cx),
            name: self.name,
            prefix,
            key_hash: hash,
            permissions: self.permissions,
            owner: cx.label().to_owned(),
            rate_limit: self.rate_limit,
            expires_at: self.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        cx.create(&key)?;
        cx.concern("api_key", key.id.as_str());
        Ok(NewKey { key: key.into(), secret: secret.expose().to_owned() })
    }
}

impl Operation for CreateKey {
    type Output = NewKey;
    const NAME: &'static str = "api_keys.create";
    const NEEDS: &'static [Permission] = &[Permission::ManageTeam];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<NewKey> {
        self.check(cx)?;
        self.make(cx).await
    }
    fn examples() -> Vec<Self> {
        vec![CreateKey {
            name: "shop".into(),
            permissions: vec![Permission::ReadPeople],
            expires_at: None,
            rate_limit: Some(Rate { max: 600, per_ms: 60_000 }),
        }]
    }
}

/// Lists the API keys of this workspace, without their secrets.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListKeys {
    /// Most keys of the page, 1..500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListKeys {
    type Output = Page<KeyView>;
    const NAME: &'static str = "api_keys.list";
    const NEEDS: &'static [Permission] = &[Permission::ManageTeam];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<KeyView>> {
        let query = Query::by_id().limit(self.limit.unwrap_or(50) as usize);
        let page = cx.page::<ApiKey>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|k| k.body.into()).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListKeys::default()]
    }
}

/// Revokes an API key: its next call is refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeKey {
    /// Id of the key.
    pub id: ApiKeyId,
}

impl Operation for RevokeKey {
    type Output = KeyView;
    const NAME: &'static str = "api_keys.revoke";
    const NEEDS: &'static [Permission] = &[Permission::ManageTeam];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<KeyView> {
        let mut key = cx.need::<ApiKey>(self.id.as_str()).await?;
        check_grant(cx, &key.rights())?;
        if key.revoked_at.is_none_or(|at| at > cx.now()) {
            key.body.revoked_at = Some(cx.now());
            cx.save(&key)?;
            let data = serde_json::json!({ "name": key.name });
            cx.emit(crate::bus::Event::new(cx, "api_key.revoked", "api_key", key.id.as_str(), data))?;
            cx.concern("api_key", key.id.as_str());
        }
        Ok(key.body.into())
    }
    fn examples() -> Vec<Self> {
        EXAMPLE_ID.to_owned().try_into().map(|id| RevokeKey { id }).into_iter().collect()
    }
}

/// Replaces an API key by a new one with the same rights; for a while both are valid.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Id of the key.
    pub id: ApiKeyId,
    /// How long the old one stays valid, in milliseconds, at most 30 days. Default 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_ms: Option<u64>,
}

impl Operation for RotateKey {
    type Output = NewKey;
    const NAME: &'static str = "api_keys.rotate";
    const NEEDS: &'static [Permission] = &[Permission::ManageTeam];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<NewKey> {
        let overlap = self.overlap_ms.unwrap_or(OVERLAP_MS);
        if overlap > 30 * 86_400_000 {
            return Err(Error::invalid(Self::NAME, "overlap_ms", "expected at most 30 days in milliseconds"));
        }
        let mut old = cx.need::<ApiKey>(self.id.as_str()).await?;
        if !old.is_valid(cx.now()) {
            return Err(Error::invalid(Self::NAME, "id", "expected a key that is valid: create a new one"));
        }
        let new = CreateKey {
            name: old.name.clone(),
            permissions: old.permissions.clone(),
            expires_at: old.expires_at,
            rate_limit: old.rate_limit,
        };
        let made = new.make(cx).await?;
        let end = cx.now().plus(Duration::from_millis(overlap));
        old.body.expires_at = Some(old.expires_at.map_or(end, |at| at.min(end)));
        cx.save(&old)?;
        Ok(made)
    }
    fn examples() -> Vec<Self> {
        let id = EXAMPLE_ID.to_owned().try_into();
        id.map(|id| RotateKey { id, overlap_ms: Some(3_600_000) }).into_iter().collect()
    }
}
