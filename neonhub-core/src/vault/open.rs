//! The vault of an open hub: its root key, and the sealers of its workspaces.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data_key::{self, DataKey, KeyUse};
use super::provider::{FileKey, KeyProvider};
use super::reseal::SealedColumn;
use super::root::{RootKey, random, random_key};
use crate::seal::{REPLACE_AT, Sealer};
use crate::store::{Expected, Kind, Record, SharedStore, Stored};
use crate::tenancy::WorkspaceId;
use crate::{Clock, ErrorKind, Hub, Result, Timestamp};

/// How keys are kept since the vault: wrapped, not derived.
const WRAPPED: u16 = 1;

/// Proof that a store was opened with the root key it was made with.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyCheck {
    id: String,
    pub(super) fingerprint: String,
    /// For keys from a passphrase, 32 hex digits. Stores of before the vault have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) salt: Option<String>,
    /// How the data keys are kept: 0 derived from the root, 1 wrapped by it.
    #[serde(default)]
    pub(super) keys: u16,
}

impl Record for KeyCheck {
    const KIND: &'static str = "key_check";
    fn id(&self) -> &str {
        &self.id
    }
}

impl KeyCheck {
    fn salt(&self) -> [u8; 16] {
        let mut salt = [0; 16];
        if let Some(text) = &self.salt {
            for (n, byte) in salt.iter_mut().enumerate() {
                let digits = text.get(n * 2..n * 2 + 2).unwrap_or("00");
                *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
            }
        }
        salt
    }
}

/// The root key of a hub.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) key: RootKey,
    pub(super) fits: bool,
    pub(super) provider: Arc<dyn KeyProvider>,
    pub(super) salt: [u8; 16],
    /// Keys of workspaces without a stored one are derived: a store of before the vault.
    pub(super) derives: bool,
}

/// What the hub keeps of the vault.
#[derive(Debug)]
pub(crate) struct Vault {
    root: RwLock<Arc<Root>>,
    sealers: Mutex<HashMap<WorkspaceId, Arc<Sealer>>>,
    pub(super) columns: Vec<SealedColumn>,
}

/// Asks the provider for the root key and compares it with the store's; a new store takes this one.
pub(crate) async fn open(
    store: &SharedStore,
    provider: Arc<dyn KeyProvider>,
    columns: Vec<SealedColumn>,
    clock: &dyn Clock,
) -> Result<Vault> {
    let root = loop {
        let found = check_of(store).await?;
        let salt = match &found {
            Some(check) => check.salt(),
            None => {
                let mut salt = [0; 16];
                random(&mut salt)?;
                salt
            }
        };
        let mut key = provider.root_key(&salt).await?;
        if let Some(check) = found {
            let mut fits = key.fingerprint() == check.fingerprint;
            if !fits && let Some(next) = finish_rotation(provider.as_ref(), &check.fingerprint).await? {
                (key, fits) = (next, true);
            }
            break Root { key, fits, provider, salt, derives: check.body.keys < WRAPPED };
        }
        let check = KeyCheck {
            id: "root".into(),
            fingerprint: key.fingerprint(),
            salt: Some(crate::store_hex(&salt)),
            keys: WRAPPED,
        };
        // False: another process was first; compare with its key.
        data_key::commit(store, clock.now(), [(check, Expected::Absent)]).await?;
    };
    Ok(Vault { root: RwLock::new(Arc::new(root)), sealers: Mutex::default(), columns })
}

pub(super) async fn check_of(store: &SharedStore) -> Result<Option<Stored<KeyCheck>>> {
    let row = store.get(Kind::of::<KeyCheck>(), &WorkspaceId::hub(), "root").await?;
    row.as_ref().map(Stored::<KeyCheck>::from_row).transpose()
}

/// A rotation in place was cut off between its commit and the new name of the key file: gives it the name.
async fn finish_rotation(provider: &dyn KeyProvider, fingerprint: &str) -> Result<Option<RootKey>> {
    let Some(file) = provider.file() else { return Ok(None) };
    let next = next_file(file);
    if !next.exists() {
        return Ok(None);
    }
    let key = FileKey::new(&next).root_key(&[0; 16]).await?;
    if key.fingerprint() != fingerprint {
        return Ok(None);
    }
    std::fs::rename(&next, file).map_err(|cause| super::provider::unusable(file, cause))?;
    Ok(Some(key))
}

/// Where the next key of a key file waits for the commit.
pub(super) fn next_file(file: &std::path::Path) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

impl Vault {
    pub(super) fn root(&self) -> Arc<Root> {
        Arc::clone(&self.root.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_root(&self, root: Root) {
        *self.root.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(root);
    }

    pub(crate) fn sealer(&self, workspace: &WorkspaceId) -> Arc<Sealer> {
        let mut sealers = self.sealers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(sealers.entry(workspace.clone()).or_insert_with(|| Arc::new(Sealer::unread(workspace))))
    }

    /// True when the root key is the one the store was made with.
    pub(crate) fn fits(&self) -> bool {
        self.root().fits
    }

    /// Workspaces that this process has worked in.
    pub(crate) fn known_workspaces(&self) -> Vec<WorkspaceId> {
        let sealers = self.sealers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known: Vec<WorkspaceId> = sealers.keys().cloned().collect();
        known.sort_unstable();
        known
    }

    /// Where the root key comes from, for reports.
    pub(crate) fn provider_name(&self) -> String {
        self.root().provider.name()
    }
}

impl Hub {
    /// Reads the keys of a workspace where they are not read yet, or not those of today.
    pub(crate) async fn read_keys(&self, workspace: &WorkspaceId) -> Result<()> {
        let sealer = self.sealer(workspace);
        if !sealer.is_stale() {
            return Ok(());
        }
        let root = self.vault().root();
        if !root.fits {
            let index = root.key.derive(format!("index|{workspace}").as_bytes());
            sealer.close(ErrorKind::Config, &root.key, index);
            return Ok(());
        }
        data_key::read(self.shared_store(), &sealer, workspace, &root.key, root.derives, self.now()).await
    }

    /// Once the keys of every workspace are wrapped, no further ones are derived.
    pub(crate) async fn keys_are_wrapped(&self) -> Result<()> {
        let root = self.vault().root();
        if !root.derives || !root.fits {
            return Ok(());
        }
        if let Some(mut check) = check_of(self.shared_store()).await? {
            check.body.keys = WRAPPED;
            let rev = Expected::Rev(check.rev);
            data_key::commit(self.shared_store(), self.now(), [(check.body, rev)]).await?;
        }
        let (key, provider) = (root.key.clone(), Arc::clone(&root.provider));
        self.vault().set_root(Root { key, provider, fits: true, salt: root.salt, derives: false });
        Ok(())
    }

    /// Stores the counts of seals, and makes the next key when one is near its bound.
    pub(crate) async fn tend_keys(&self, workspace: &WorkspaceId) -> Result<()> {
        let sealer = self.sealer(workspace);
        for (version, more) in sealer.take_uncounted() {
            for _ in 0..8 {
                let found = data_key::stored(self.shared_store(), workspace).await?;
                let Some(mut key) =
                    found.into_iter().find(|k| k.usage == KeyUse::Seal && k.version == version)
                else {
                    break;
                };
                key.body.seals += more;
                let is_used_up = key.seals >= REPLACE_AT && sealer.current_version() == Some(version);
                let rev = Expected::Rev(key.rev);
                if data_key::commit(self.shared_store(), self.now(), [(key.body, rev)]).await? {
                    if is_used_up {
                        self.next_data_key(workspace, version).await?;
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Makes the version after `current`; whoever is first makes it.
    pub(super) async fn next_data_key(&self, workspace: &WorkspaceId, current: u32) -> Result<()> {
        let at: Timestamp = self.now();
        let root = self.vault().root();
        let key = DataKey::make(&root.key, workspace, KeyUse::Seal, current + 1, &random_key()?, at)?;
        data_key::commit(self.shared_store(), at, [(key, Expected::Absent)]).await?;
        self.sealer(workspace).mark_stale();
        self.read_keys(workspace).await
    }
}
