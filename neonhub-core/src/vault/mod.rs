//! The vault: secrets sealed at rest and never printed.
//!
//! A [`KeyProvider`] gives the root key, which wraps one [`DataKey`] per workspace, which seals secrets and the
//! sealed columns of records (`Scope::sealer`). Rotating the data key is online: readers open old and new versions
//! while [`RotateDataKey`] seals every value anew, page by page, and goes on where it was after a crash. Rotating
//! the root wraps the data keys anew and touches nothing else.
//!
//! No operation gives a secret out. Code in this process reads one with [`Scope::secret`](crate::Scope::secret).
//!
//! ```
//! use neonhub_core::vault::{PlainSecret, PutSecret, SecretKind};
//! use neonhub_core::Hub;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let hub = Hub::builder().build().await?;
//! let cx = hub.workspace("default").await?;
//! let put = PutSecret::new("smtp.password", SecretKind::Password, PlainSecret::new("correct horse"));
//! cx.call(put).await?;
//! let secret = cx.secret("smtp.password").await?;
//! assert_eq!(secret.expose(), "correct horse");
//! assert_eq!(format!("{secret}"), "***");
//! # Ok::<(), neonhub_core::Error>(())
//! # }).unwrap();
//! ```

mod check;
mod data_key;
mod open;
mod ops;
mod provider;
mod reseal;
pub(crate) mod root;
mod rotate;
mod secret;

use crate::op::{Entry, IdempotencyRecord, entry};
use crate::store::Kind;

pub use check::{CheckVault, VaultReport};
pub use data_key::{DataKey, KeyUse};
pub use open::KeyCheck;
pub(crate) use open::{Vault, open};
pub use ops::{DeleteSecret, ListSecrets, PutSecret};
#[cfg(feature = "vault-passphrase")]
pub use provider::PassphraseKey;
pub use provider::{EnvKey, FileKey, FixedKey, FnKey, KeyProvider, ProviderSpec};
pub use reseal::{KeyRotation, SealedColumn};
pub use root::RootKey;
pub use rotate::{DataKeyRotated, RootRotated, RotateDataKey, RotateRoot};
pub use secret::{PlainSecret, SecretInfo, SecretKind, VaultSecret};

/// Operations of the vault.
pub static CATALOGUE: &[Entry] = &[
    entry::<PutSecret>(),
    entry::<DeleteSecret>(),
    entry::<ListSecrets>(),
    entry::<RotateDataKey>(),
    entry::<RotateRoot>(),
    entry::<CheckVault>(),
];

/// Records of the vault.
pub static KINDS: &[Kind] =
    &[Kind::of::<KeyCheck>(), Kind::of::<DataKey>(), Kind::of::<VaultSecret>(), Kind::of::<KeyRotation>()];

/// Sealed columns of the runtime itself.
pub static COLUMNS: &[SealedColumn] = &[
    SealedColumn::by(Kind::of::<VaultSecret>(), secret::place),
    SealedColumn::of::<IdempotencyRecord>("idempotency", "output"),
];

#[cfg(test)]
mod tests;
