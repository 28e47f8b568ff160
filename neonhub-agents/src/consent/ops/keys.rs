//! The signing keys of a workspace.

use neonhub_core::op::{Audit, Effect, Operation};
use neonhub_core::seal::Sealed;
use neonhub_core::store::Record;
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consent::token::SigningKey;
use crate::people::hash;

/// The keys that unsubscribe links are signed with, oldest first. All of them verify, the last one signs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SigningKeyRecord {
    /// The keys.
    pub keys: Vec<SealedKey>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SealedKey {
    /// The number that tokens carry.
    pub id: u32,
    /// 32 bytes as hex digits, sealed.
    pub secret: Sealed,
}

impl SigningKeyRecord {
    /// The one id.
    pub const ID: &'static str = "unsubscribe";
}

impl Record for SigningKeyRecord {
    const KIND: &'static str = "signing_key";
    fn id(&self) -> &str {
        SigningKeyRecord::ID
    }
}

/// Makes the workspace's first signing key if there is none.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnsureSigningKey {}

impl Operation for EnsureSigningKey {
    type Output = bool;
    const NAME: &'static str = "consent.ensure_signing_key";
    // Any call that reads or makes a link may be the first; nothing of the key is given out.
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Business;
    const RERUNS: u8 = 3;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<bool> {
        if cx.get::<SigningKeyRecord>(SigningKeyRecord::ID).await?.is_some() {
            return Ok(false);
        }
        let mut secret = [0; 32];
        cx.with_rng(|rng| rng.fill(&mut secret));
        let sealed = cx.sealer().seal("signing_key", "secret", &hash::hex(&secret))?;
        cx.create(&SigningKeyRecord { keys: vec![SealedKey { id: 1, secret: sealed }] })?;
        Ok(true)
    }
}

/// The workspace's keys; the first call makes one.
///
/// # Errors
/// `Config` when the store was opened with another root key.
pub async fn signing_keys(cx: &Scope) -> Result<Vec<SigningKey>> {
    let record = match cx.get::<SigningKeyRecord>(SigningKeyRecord::ID).await? {
        Some(record) => record,
        None => {
            // On its own, so that a link can be made inside any other work.
            cx.outside().call(EnsureSigningKey {}).await?;
            cx.need::<SigningKeyRecord>(SigningKeyRecord::ID).await?
        }
    };
    record.keys.iter().map(|key| open(cx, key)).collect()
}

fn open(cx: &Scope, key: &SealedKey) -> Result<SigningKey> {
    let text = cx.sealer().open("signing_key", "secret", &key.secret)?;
    let mut secret = [0; 32];
    let digits = text.expose();
    let fits = digits.len() == 64
        && secret.iter_mut().enumerate().all(|(n, byte)| {
            digits
                .get(n * 2..n * 2 + 2)
                .and_then(|d| u8::from_str_radix(d, 16).ok())
                .map(|b| *byte = b)
                .is_some()
        });
    if fits {
        return Ok(SigningKey::new(key.id, secret));
    }
    Err(Error::new(ErrorKind::Corrupted, "consent.signing_keys", "a signing key does not have 64 hex digits"))
}
