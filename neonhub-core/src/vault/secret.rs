//! Secrets as records, and their way into code of this process.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::seal::{Sealed, Secret};
use crate::store::{Batch, Expected, Index, Key, Kind, Record, Row, Stored, Write};
use crate::{Result, Scope, Timestamp};

/// How often the last use of a secret is written down.
const USE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// A token of OAuth or of a session.
    Token,
    /// A key of an API.
    ApiKey,
    /// A password.
    Password,
    /// What webhooks are signed with.
    WebhookSecret,
    /// A key that links or tokens are signed with.
    SigningKey,
    /// The key of one person.
    PersonKey,
    /// Anything else.
    Other,
}

impl SecretKind {
    const fn word(self) -> &'static str {
        match self {
            SecretKind::Token => "token",
            SecretKind::ApiKey => "api_key",
            SecretKind::Password => "password",
            SecretKind::WebhookSecret => "webhook_secret",
            SecretKind::SigningKey => "signing_key",
            SecretKind::PersonKey => "person_key",
            SecretKind::Other => "other",
        }
    }
}

/// A secret on its way into the vault: printed as `***`, wiped on drop. It serialises whole, since it is the input
/// of an operation; it is part of no answer.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("writeOnly" = true))]
pub struct PlainSecret(#[schemars(with = "String")] Zeroizing<String>);

impl PlainSecret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        PlainSecret(Zeroizing::new(value.into()))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A secret as the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VaultSecret {
    /// Its id.
    pub id: String,
    /// Its name, unique in the workspace.
    pub name: String,
    /// What it is for.
    pub kind: SecretKind,
    /// Version of the data key it is sealed with.
    pub key_version: u32,
    /// Nonce and ciphertext.
    pub value: Sealed,
    /// SHA-256 of what the ciphertext is bound to, in hex.
    pub aad_hash: String,
    /// When the value was last replaced.
    pub rotated_at: Timestamp,
    /// When it stops being valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last read, to the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

impl Record for VaultSecret {
    const KIND: &'static str = "secret";
    const INDEXES: &'static [Index] = &[Index::unique("name")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.name))]
    }
}

/// Where a secret is sealed: its kind and name, so that two rows cannot swap their values.
pub(super) fn label(kind: SecretKind, name: &str) -> (String, String) {
    (format!("secret.{}", kind.word()), name.to_owned())
}

/// The same, from a stored body.
pub(super) fn place(body: &Value) -> Option<(String, String)> {
    let kind = serde_json::from_value(body.get("kind")?.clone()).ok()?;
    Some(label(kind, body.get("name")?.as_str()?))
}

/// What is told of a secret: everything but its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretInfo {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: SecretKind,
    /// Version of the data key it is sealed with.
    pub key_version: u32,
    /// When it was first put.
    pub created_at: Timestamp,
    /// When the value was last replaced.
    pub rotated_at: Timestamp,
    /// When it stops being valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last read, to the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

impl From<Stored<VaultSecret>> for SecretInfo {
    fn from(stored: Stored<VaultSecret>) -> Self {
        let Stored { body, created_at, .. } = stored;
        SecretInfo {
            id: body.id,
            name: body.name,
            kind: body.kind,
            key_version: body.key_version,
            created_at,
            rotated_at: body.rotated_at,
            expires_at: body.expires_at,
            last_used_at: body.last_used_at,
        }
    }
}

impl Scope {
    /// A secret of this workspace, for code of this process: connectors, models, signers. No operation gives it out.
    ///
    /// # Errors
    /// `NotFound` naming it; `Config` when the hub was opened with another root key; `Corrupted` when it was changed.
    pub async fn secret(&self, name: &str) -> Result<Secret> {
        let found = self.find::<VaultSecret>("name", Key::text(name)).await?;
        let stored = found.ok_or_else(|| self.missing("secret").with_context("name", name))?;
        let (kind, field) = label(stored.kind, &stored.name);
        let value = self.sealer().open(&kind, &field, &stored.value)?;
        self.note_use(stored).await;
        Ok(value)
    }

    /// Writes the use down, at most daily, in a commit of its own that may lose every race.
    async fn note_use(&self, mut stored: Stored<VaultSecret>) {
        let now = self.now();
        let is_fresh = stored.last_used_at.is_some_and(|at| at.plus(USE_EVERY) > now);
        if is_fresh || stored.rev == 0 {
            return;
        }
        stored.body.last_used_at = Some(now);
        let Ok(row) = Row::of(&stored.body, now, self.label()) else { return };
        let mut batch = Batch::new(self.workspace().clone(), now);
        let expected = Expected::Rev(stored.rev);
        batch.writes.push(Write::Put { kind: Kind::of::<VaultSecret>(), row, expected });
        // A use that is not written down is no reason to refuse the secret.
        let _ = self.store().commit(batch).await;
    }
}
