//! Putting, removing and listing secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::{PlainSecret, SecretInfo, SecretKind, VaultSecret, label};
use crate::op::{Audit, Effect, Operation, Page};
use crate::permission::Permission;
use crate::store::{Expected, Key, Query, Stored};
use crate::{Error, Faults, Result, Scope, Timestamp};

/// Longest name, in bytes.
const MAX_NAME: usize = 200;
/// Longest value, in bytes.
const MAX_VALUE: usize = 64 * 1024;

/// Puts a secret, or replaces the one of this name. The value is sealed at once and never given out again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// Name, 1..200 of `a-z A-Z 0-9 . _ : / -`.
    pub name: String,
    /// What it is for.
    pub kind: SecretKind,
    /// The value, 1 byte to 64 KiB.
    pub value: PlainSecret,
    /// When it stops being valid, in UTC milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl PutSecret {
    /// A secret without an end.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: SecretKind, value: PlainSecret) -> Self {
        PutSecret { name: name.into(), kind, value, expires_at: None }
    }

    fn check(&self, cx: &Scope) -> Result<()> {
        let mut faults = Faults::new();
        faults.check(is_name(&self.name), "name", "expected 1..200 letters, digits and . _ : / -");
        let size = self.value.expose().len();
        faults.check((1..=MAX_VALUE).contains(&size), "value", "expected 1 byte to 64 KiB");
        faults.check(
            self.expires_at.is_none_or(|at| at > cx.now()),
            "expires_at",
            "expected an instant in the future",
        );
        faults.into_result(Self::NAME)
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b))
}

impl Operation for PutSecret {
    type Output = SecretInfo;
    const NAME: &'static str = "vault.put";
    const NEEDS: &'static [Permission] = &[Permission::ManageSecrets];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<SecretInfo> {
        self.check(cx)?;
        let (kind, field) = label(self.kind, &self.name);
        let value = cx.sealer().seal(&kind, &field, self.value.expose())?;
        let found = cx.find::<VaultSecret>("name", Key::text(&self.name)).await?;
        let body = VaultSecret {
            id: found.as_ref().map_or_else(|| cx.new_id("sec"), |old| old.id.clone()),
            name: self.name,
            kind: self.kind,
            key_version: value.key_version().unwrap_or_default(),
            value,
            aad_hash: cx.sealer().aad_hash(&kind, &field),
            rotated_at: cx.now(),
            expires_at: self.expires_at,
            last_used_at: None,
        };
        let stored = match found {
            Some(old) => {
                let stored = Stored { body, ..old };
                cx.save(&stored)?;
                stored
            }
            None => {
                cx.create(&body)?;
                let (created_at, created_by) = (cx.now(), cx.label().to_owned());
                Stored { body, rev: 0, created_at, updated_at: created_at, created_by }
            }
        };
        Ok(stored.into())
    }

    fn examples() -> Vec<Self> {
        vec![PutSecret::new("smtp.password", SecretKind::Password, PlainSecret::new("correct horse battery"))]
    }
}

/// Removes a secret.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteSecret {
    /// Its name.
    pub name: String,
}

impl Operation for DeleteSecret {
    type Output = SecretInfo;
    const NAME: &'static str = "vault.delete";
    const NEEDS: &'static [Permission] = &[Permission::ManageSecrets];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<SecretInfo> {
        let found = cx.find::<VaultSecret>("name", Key::text(&self.name)).await?;
        let stored = found.ok_or_else(|| cx.missing("secret").with_context("name", &self.name))?;
        cx.delete::<VaultSecret>(&stored.id, Expected::Rev(stored.rev))?;
        Ok(stored.into())
    }

    fn examples() -> Vec<Self> {
        vec![DeleteSecret { name: "smtp.password".into() }]
    }
}

/// Lists secrets by name, without their values.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListSecrets {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Most secrets of the page, 1..500. Default 50.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Operation for ListSecrets {
    type Output = Page<SecretInfo>;
    const NAME: &'static str = "vault.list";
    const NEEDS: &'static [Permission] = &[Permission::ManageSecrets];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<SecretInfo>> {
        if self.limit.is_some_and(|n| !(1..=500).contains(&n)) {
            return Err(Error::invalid(Self::NAME, "limit", "expected 1..500"));
        }
        let query = match &self.prefix {
            // Names hold no NUL, so the bytes of a prefix are the start of the keys of all names with it.
            Some(prefix) if is_name(prefix) => {
                Query::index("name").prefix(Key::from_encoded(prefix.as_bytes().to_vec()))
            }
            Some(_) => {
                return Err(Error::invalid(
                    Self::NAME,
                    "prefix",
                    "expected 1..200 letters, digits and . _ : / -",
                ));
            }
            None => Query::index("name"),
        };
        let limit = self.limit.unwrap_or(50) as usize;
        let page = cx.page::<VaultSecret>(query.limit(limit), self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(SecretInfo::from).collect(), next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListSecrets { prefix: Some("smtp.".into()), ..Self::default() }]
    }
}
