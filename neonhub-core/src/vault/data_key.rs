//! Data keys: one per workspace and version, wrapped by the root key.
//!
//! They live in the hub's own workspace, so that a rotation of the root is one commit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::root::{KeyBytes, RootKey, random_key};
use crate::seal::{Sealer, Unwrapped};
use crate::store::{Batch, Expected, Index, Key, Kind, Query, Record, Row, SharedStore, Stored, Write};
use crate::tenancy::WorkspaceId;
use crate::{ErrorKind, Result, Timestamp};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// Sealing values.
    Seal,
    /// Blind index keys; it never changes, since what is indexed could not be found any more.
    Index,
}

impl KeyUse {
    const fn word(self) -> &'static str {
        match self {
            KeyUse::Seal => "seal",
            KeyUse::Index => "index",
        }
    }
}

/// One version of a workspace's key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DataKey {
    id: String,
    /// The workspace it seals for.
    pub workspace: WorkspaceId,
    /// What it is for.
    pub usage: KeyUse,
    /// From 1.
    pub version: u32,
    /// The key, sealed by the root key.
    wrapped: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the last value was sealed anew under a later version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
    /// Values sealed with it, as far as told: a crash may lose 65,536 of the count per process.
    #[serde(default)]
    pub seals: u64,
}

impl Record for DataKey {
    const KIND: &'static str = "data_key";
    const INDEXES: &'static [Index] = &[Index::on("workspace")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.workspace.as_str()))]
    }
}

impl DataKey {
    pub(super) fn make(
        root: &RootKey,
        workspace: &WorkspaceId,
        usage: KeyUse,
        version: u32,
        key: &KeyBytes,
        at: Timestamp,
    ) -> Result<Self> {
        let id = format!("{workspace}-{}-{version}", usage.word());
        let wrapped = root.wrap(key, &id)?;
        Ok(DataKey {
            wrapped,
            workspace: workspace.clone(),
            usage,
            version,
            created_at: at,
            retired_at: None,
            seals: 0,
            id,
        })
    }

    pub(super) fn key(&self, root: &RootKey) -> Result<KeyBytes> {
        root.unwrap_key(&self.wrapped, &self.id)
    }

    /// The same key under another root.
    pub(super) fn rewrap(&mut self, old: &RootKey, new: &RootKey) -> Result<()> {
        self.wrapped = new.wrap(&self.key(old)?, &self.id)?;
        Ok(())
    }
}

/// The stored keys of a workspace, oldest first.
pub(super) async fn stored(store: &SharedStore, workspace: &WorkspaceId) -> Result<Vec<Stored<DataKey>>> {
    let query = Query::index("workspace").equals(Key::text(workspace.as_str())).limit(10_000);
    let rows = store.query(Kind::of::<DataKey>(), &WorkspaceId::hub(), &query).await?;
    let mut keys = rows.iter().map(Stored::<DataKey>::from_row).collect::<Result<Vec<_>>>()?;
    keys.sort_by_key(|k| k.version);
    Ok(keys)
}

/// Writes records of the hub's own workspace in one commit. False when another process was first.
pub(super) async fn commit<R: Record>(
    store: &SharedStore,
    at: Timestamp,
    records: impl IntoIterator<Item = (R, Expected)>,
) -> Result<bool> {
    let mut batch = Batch::new(WorkspaceId::hub(), at);
    for (record, expected) in records {
        let row = Row::of(&record, at, "system:vault")?;
        batch.writes.push(Write::Put { kind: Kind::of::<R>(), row, expected });
    }
    match store.commit(batch).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == "stale_revision" => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads a workspace's keys into its sealer, and makes the first ones.
///
/// `derives` is true for stores of before the vault, whose first keys were derived from the root: they are kept,
/// wrapped from now on.
pub(super) async fn read(
    store: &SharedStore,
    sealer: &Sealer,
    workspace: &WorkspaceId,
    root: &RootKey,
    derives: bool,
    at: Timestamp,
) -> Result<()> {
    let legacy_index = root.derive(format!("index|{workspace}").as_bytes());
    let mut found = stored(store, workspace).await?;
    while found.is_empty() {
        let first =
            if derives { root.derive(format!("data|{workspace}|1").as_bytes()) } else { random_key()? };
        // The index key of a workspace hangs on the root it was made with: a repeated run finds the same keys.
        let made = [
            (DataKey::make(root, workspace, KeyUse::Seal, 1, &first, at)?, Expected::Absent),
            (DataKey::make(root, workspace, KeyUse::Index, 1, &legacy_index, at)?, Expected::Absent),
        ];
        commit(store, at, made).await?;
        found = stored(store, workspace).await?;
    }
    let mut seals = Vec::new();
    let mut index = None;
    for key in &found {
        match (key.usage, key.key(root)) {
            (_, Err(error)) => {
                tracing::error!(code = error.code(), version = key.version, "a data key does not open");
                sealer.close(ErrorKind::Corrupted, root, legacy_index);
                return Ok(());
            }
            (KeyUse::Seal, Ok(bytes)) => {
                seals.push(Unwrapped { version: key.version, key: bytes, seals: key.seals });
            }
            (KeyUse::Index, Ok(bytes)) => index = Some(bytes),
        }
    }
    sealer.install(seals, index.unwrap_or(legacy_index));
    Ok(())
}
