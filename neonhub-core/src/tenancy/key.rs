//! API keys: kept as a hash, shown once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::permission::{Permission, PermissionSet};
use crate::resilience::Rate;
use crate::seal::constant_time_eq;
use crate::store::{Index, Key, Record};
use crate::{Scope, Secret, Timestamp, id_type};

id_type!(ApiKeyId, "key", "An API key.");

/// Starts the text of every key, so that scanners for leaked secrets know it.
const MARK: &str = "nhk";

/// An API key. The secret itself is nowhere: only its SHA-256, which is enough for 32 random bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Name.
    pub name: String,
    /// The first characters of the secret, to tell keys apart: 8.
    pub prefix: String,
    /// SHA-256 of the secret, hex.
    pub key_hash: String,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// The principal that made it: it goes with its member.
    pub owner: String,
    /// A rate of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Rate>,
    /// Until when it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl Record for ApiKey {
    const KIND: &'static str = "api_key";
    const INDEXES: &'static [Index] = &[Index::unique("prefix"), Index::on("owner")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.prefix)), Some(Key::text(&self.owner))]
    }
}

/// What may be shown of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyView {
    /// Its id.
    pub id: ApiKeyId,
    /// Name.
    pub name: String,
    /// The first characters of the secret.
    pub prefix: String,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// The principal that made it.
    pub owner: String,
    /// A rate of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Rate>,
    /// Until when it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        KeyView {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            permissions: key.permissions,
            owner: key.owner,
            rate_limit: key.rate_limit,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// A new secret: what it is found by, the text for its user, and its hash.
pub(super) struct Minted {
    pub(super) prefix: String,
    pub(super) secret: Secret,
    pub(super) hash: String,
}

/// Makes a secret of 32 random bytes from the scope's chance.
pub(super) fn mint(cx: &Scope) -> Minted {
    let (mut head, mut body) = ([0; 4], [0; 32]);
    cx.with_rng(|rng| {
        rng.fill(&mut head);
        rng.fill(&mut body);
    });
    let prefix = crate::store_hex(&head);
    let secret = format!("{MARK}_{prefix}_{}", crate::store_hex(&body));
    let hash = hash_of(&secret);
    Minted { prefix, secret: Secret::new(secret), hash }
}

/// The part of a secret that a key is found by.
pub(super) fn prefix_of(secret: &str) -> Option<&str> {
    let (mark, rest) = secret.split_once('_')?;
    let (prefix, body) = rest.split_once('_')?;
    (mark == MARK && prefix.len() == 8 && body.len() == 64).then_some(prefix)
}

fn hash_of(secret: &str) -> String {
    crate::store_hex(&Sha256::digest(secret.as_bytes()))
}

impl ApiKey {
    /// True when this is the secret of the key. Takes the same time whatever it is.
    pub(super) fn opens_with(&self, secret: &str) -> bool {
        constant_time_eq(self.key_hash.as_bytes(), hash_of(secret).as_bytes())
    }

    /// True while it may be used.
    #[must_use]
    pub fn is_valid(&self, at: Timestamp) -> bool {
        self.revoked_at.is_none_or(|r| at < r) && self.expires_at.is_none_or(|e| at < e)
    }

    /// What it may do.
    pub(super) fn rights(&self) -> PermissionSet {
        PermissionSet::of(&self.permissions)
    }
}
